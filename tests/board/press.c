/* Opens the emergency stop circuit of the simulated chip again and again, and takes the time until the contactor's line is low.
 *
 *   press ROUNDS PULL_OF_THE_INPUT VALUE_OF_THE_OUTPUT COMMAND_THAT_LETS_IT_MOVE
 *
 * From just before the write to `pull` until the first read that shows 0. The time of one read, which is how exact it is, is
 * measured first. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TRIES 20
#define GIVE_UP_US 2000000.0

static double now_us(void)
{
    struct timespec at;
    clock_gettime(CLOCK_BOOTTIME, &at);
    return at.tv_sec * 1e6 + at.tv_nsec / 1e3;
}

static int high(int value)
{
    char byte = '?';
    if (pread(value, &byte, 1, 0) != 1) {
        perror("value");
        exit(2);
    }
    return byte == '1';
}

static void set(int pull, const char *to)
{
    if (pwrite(pull, to, strlen(to), 0) < 0) {
        perror("pull");
        exit(2);
    }
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 64;
    int rounds = atoi(argv[1]);
    int pull = open(argv[2], O_WRONLY), value = open(argv[3], O_RDONLY);
    double *times = calloc(rounds > 0 ? rounds : 1, sizeof *times);
    if (rounds < 1 || pull < 0 || value < 0 || !times)
        return 2;
    double began = now_us();
    for (int i = 0; i < 10000; i++)
        high(value);
    printf("one read of the line takes %.1f us\n", (now_us() - began) / 10000);
    for (int round = 0; round < rounds; round++) {
        set(pull, "pull-up");
        /* Where it came late meanwhile, it stands again. */
        for (int tries = 0; system(argv[4]) != 0 || !high(value); tries++)
            if (tries == TRIES) {
                fprintf(stderr, "round %d: it does not move\n", round);
                return 1;
            }
        /* Not in step with the loop. */
        usleep(1000 + round * 617 % 9000);
        double pressed = now_us();
        set(pull, "pull-down");
        while (high(value))
            if (now_us() - pressed > GIVE_UP_US) {
                fprintf(stderr, "round %d: the line stays high\n", round);
                return 1;
            }
        times[round] = now_us() - pressed;
    }
    qsort(times, rounds, sizeof *times, by_size);
    printf("%d stops by the line, us: least %.0f, one of ten within %.0f, half within %.0f, 99 of 100 within %.0f, most %.0f\n", rounds, times[0],
           times[rounds / 10], times[rounds / 2], times[(rounds * 99 + 99) / 100 - 1], times[rounds - 1]);
    return 0;
}
