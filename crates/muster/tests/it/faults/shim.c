/* Put in front of the C library of the process under test (LD_PRELOAD): a disk that fails, and another wall clock.
 *
 * MUSTER_FAULT_DISK names a file that is not there at first. Once it is, it says "eio N" (the Nth sync of a database from
 * then on fails with EIO, once, and all others succeed: the kernel forgets such an error as well) or "torn N" (the Nth
 * write to a database from then on is written by half, and the process is gone in the same moment).
 *
 * MUSTER_FAULT_CLOCK names a file with eight bytes: by how many seconds the wall clock is off, as a signed number in the
 * order of this processor. Only CLOCK_REALTIME moves; monotonic time is the kernel's. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum fault { NONE, EIO_ONCE, TORN };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum fault fault = NONE;
static long left = 0;

/* Whether the file is a database, its journal or its write-ahead log. */
static int is_database(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n <= 0) return 0;
  path[n] = 0;
  return strstr(path, "/log.db") || strstr(path, "/machine.sqlite");
}

/* True in the one call on which the fault falls. */
static int strikes(enum fault wanted, int fd) {
  const char *name = getenv("MUSTER_FAULT_DISK");
  if (!name || !is_database(fd)) return 0;
  int now = 0;
  pthread_mutex_lock(&lock);
  if (fault == NONE && left == 0) {
    FILE *file = fopen(name, "r");
    if (file) {
      char kind[16];
      long n;
      if (fscanf(file, "%15s %ld", kind, &n) == 2) {
        fault = strcmp(kind, "torn") == 0 ? TORN : EIO_ONCE;
        left = n;
      }
      fclose(file);
    }
  }
  if (fault == wanted && left > 0) now = --left == 0;
  /* It falls once. */
  if (now) left = -1;
  pthread_mutex_unlock(&lock);
  return now;
}

static int synced(const char *name, int fd) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  int answer = real(fd);
  if (strikes(EIO_ONCE, fd)) {
    errno = EIO;
    return -1;
  }
  return answer;
}

int fsync(int fd) { return synced("fsync", fd); }
int fdatasync(int fd) { return synced("fdatasync", fd); }

typedef ssize_t (*pwrite_like)(int, const void *, size_t, off64_t);

static ssize_t placed(const char *name, int fd, const void *from, size_t n, off64_t at) {
  pwrite_like real = (pwrite_like)dlsym(RTLD_NEXT, name);
  if (strikes(TORN, fd)) {
    real(fd, from, n / 2, at);
    _exit(137);
  }
  return real(fd, from, n, at);
}

ssize_t pwrite64(int fd, const void *from, size_t n, off64_t at) { return placed("pwrite64", fd, from, n, at); }
ssize_t pwrite(int fd, const void *from, size_t n, off_t at) { return placed("pwrite", fd, from, n, at); }

ssize_t write(int fd, const void *from, size_t n) {
  ssize_t (*real)(int, const void *, size_t) = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
  if (n > 1 && strikes(TORN, fd)) {
    real(fd, from, n / 2);
    _exit(137);
  }
  return real(fd, from, n);
}

static int64_t off_by(void) {
  static volatile int64_t *shared = NULL;
  static int looked = 0;
  if (!looked) {
    const char *name = getenv("MUSTER_FAULT_CLOCK");
    int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
      void *memory = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
      if (memory != MAP_FAILED) shared = memory;
      close(fd);
    }
    looked = 1;
  }
  return shared ? *shared : 0;
}

int clock_gettime(clockid_t which, struct timespec *time) {
  static int (*real)(clockid_t, struct timespec *) = NULL;
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int answer = real(which, time);
  if (answer == 0 && which == CLOCK_REALTIME) time->tv_sec += off_by();
  return answer;
}

int gettimeofday(struct timeval *time, void *zone) {
  (void)zone;
  struct timespec now;
  int answer = clock_gettime(CLOCK_REALTIME, &now);
  if (answer == 0) {
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
  }
  return answer;
}

time_t time(time_t *to) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (to) *to = now.tv_sec;
  return now.tv_sec;
}
