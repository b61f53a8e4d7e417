//! Disks that fail: nothing is acknowledged that is not durable, and reading goes on.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use muster_model::LogPosition;
use muster_store::{CommitFailure, EventLog, FailPlan, LogError, LogOptions, MemoryLog, Reply};

use crate::kit::{at, check, event, open, open_with, stream};

fn never_acknowledges_again(log: &dyn EventLog, fail: &dyn Fn(CommitFailure)) {
    log.append(vec![event(&stream(1), 0, "before")]).wait().unwrap();

    fail(CommitFailure::DiskFull);
    let refused = log
        .append(vec![event(&stream(1), 0, "full"), event(&stream(2), 0, "full")])
        .wait();
    assert!(matches!(refused, Err(LogError::DiskFull)), "{refused:?}");
    assert!(log.failure().get().is_none());
    assert_eq!(log.stream_head(&stream(2)), None);
    let again = log
        .append(vec![event(&stream(1), 0, "after"), event(&stream(3), 0, "new")])
        .wait()
        .unwrap();
    assert_eq!(again[0].position, LogPosition(2));
    assert_eq!(log.stats().refused_disk_full, 1);

    fail(CommitFailure::Io);
    for _ in 0..3 {
        let refused = log.append(vec![event(&stream(1), 0, "lost")]).wait();
        assert!(matches!(refused, Err(LogError::Poisoned { .. })), "{refused:?}");
    }
    assert!(matches!(
        log.append(Vec::new()).wait(),
        Err(LogError::Poisoned { .. })
    ));
    let refused = log.save_checkpoint(LogPosition(2), at(0), Vec::new()).wait();
    assert!(matches!(refused, Err(LogError::Poisoned { .. })), "{refused:?}");
    assert_eq!(log.failure().get().unwrap().code(), "MST-S024");
    assert_eq!(log.head(), LogPosition(3));
    assert_eq!(log.read_forward(LogPosition(1), 10).unwrap().len(), 3);
    assert_eq!(log.read_stream_backward(&stream(1), None, 10).unwrap().len(), 2);
}

#[test]
fn memory() {
    let log = MemoryLog::new();
    never_acknowledges_again(&log, &|failure| log.fail_next_commit(failure));
}

#[test]
fn sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let fail = FailPlan::default();
    let options = LogOptions {
        fail: fail.clone(),
        ..LogOptions::default()
    };
    let log = open_with(directory.path(), options);
    never_acknowledges_again(&log, &|failure| fail.fail_next_commit(failure));
    drop(log);
    assert_eq!(open(directory.path()).head(), LogPosition(3));
    assert!(check(directory.path()).is_clean());
}

#[tokio::test]
async fn the_server_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let fail = FailPlan::default();
    let options = LogOptions {
        fail: fail.clone(),
        ..LogOptions::default()
    };
    let log = open_with(directory.path(), options);
    let mut failure = log.failure();
    fail.fail_next_commit(CommitFailure::Io);
    // Many in flight: none of those after the failure is acknowledged.
    let flight: Vec<_> = (0..100)
        .map(|_| log.append(vec![event(&stream(1), 0, "x")]))
        .collect();
    assert_eq!(failure.failed().await.code(), "MST-S024");
    for receipt in flight {
        assert!(matches!(receipt.await, Err(LogError::Poisoned { .. })));
    }
}

#[tokio::test]
async fn an_answer_that_panics_stops_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    log.submit(
        vec![event(&stream(1), 0, "x")],
        Reply::then(|_| panic!("a defect of the client")),
    );
    let error = loop {
        if let Err(error) = log.append(vec![event(&stream(1), 0, "y")]).await {
            break error;
        }
    };
    assert!(
        matches!(error, LogError::WriterGone | LogError::Closed),
        "{error:?}"
    );
    assert_eq!(log.failure().failed().await.code(), "MST-S031");
    assert_eq!(log.read_forward(LogPosition(1), 1).unwrap().len(), 1);
}

#[test]
fn a_full_queue_refuses_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let options = LogOptions {
        queue_max_rows: 10,
        batch_idle: Duration::from_millis(50),
        ..LogOptions::default()
    };
    let log = open_with(directory.path(), options);
    let answers: Vec<_> = (0..200)
        .map(|_| log.append(vec![event(&stream(1), 0, "x")]))
        .collect();
    let (mut taken, mut refused) = (0, 0);
    for answer in answers {
        match answer.wait() {
            Ok(_) => taken += 1,
            Err(LogError::QueueFull) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(taken >= 10 && refused > 0, "{taken} taken, {refused} refused");
    assert_eq!(log.head().0, taken);
    assert_eq!(log.stats().refused_queue_full, refused);
}

#[test]
fn a_closed_log_answers_all_and_takes_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    let answers: Vec<_> = (0..50)
        .map(|_| log.append(vec![event(&stream(1), 0, "x")]))
        .collect();
    log.close();
    for answer in answers {
        answer.wait().unwrap();
    }
    assert!(matches!(
        log.append(vec![event(&stream(1), 0, "x")]).wait(),
        Err(LogError::Closed)
    ));
    assert_eq!(log.read_forward(LogPosition(1), 100).unwrap().len(), 50);
}

#[test]
fn a_memory_log_can_be_slow_and_crash() {
    let log = MemoryLog::new();
    log.hold(true);
    let first = log.append(vec![event(&stream(1), 0, "a")]);
    let second = log.append(vec![event(&stream(1), 0, "b")]);
    assert_eq!((log.head(), log.stats().queued_rows), (LogPosition(0), 2));
    assert!(log.commit_next());
    first.wait().unwrap();
    log.crash();
    assert!(matches!(second.wait(), Err(LogError::Closed)));
    assert_eq!(log.head(), LogPosition(1));
}

const DIRECTORY: &str = "MUSTER_STORE_TEST_DIRECTORY";

/// A file that may not grow further fails with `EFBIG`, which SQLite calls an I/O error: a real one, in the middle.
#[test]
fn a_failing_write_poisons() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; ulimit -f 2048; exec "$0" "$@""#])
        .arg(std::env::current_exe().unwrap())
        .args(["failure::child", "--exact", "--nocapture"])
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let acknowledged: u64 = text
        .lines()
        .find_map(|line| line.strip_prefix("acknowledged ")?.parse().ok())
        .unwrap_or_else(|| panic!("{text}"));
    println!("{acknowledged} acknowledged before the write failed");
    assert!(acknowledged > 20);
    let log = open(directory.path());
    assert!(log.head().0 >= acknowledged);
    assert!(check(directory.path()).is_clean());
}

#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let log = open(directory.as_ref());
    let mut last = 0;
    let error = loop {
        match log.append(vec![event(&stream(1), 0, vec![7; 3000])]).wait() {
            Ok(placed) => last = placed[0].position.0,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, LogError::Poisoned { .. }), "{error:?}");
    assert_eq!(
        log.read_forward(LogPosition(1), 10_000).unwrap().len() as u64,
        last
    );
    for _ in 0..5 {
        assert!(log.append(vec![event(&stream(1), 0, "x")]).wait().is_err());
    }
    assert!(log.failure().get().is_some());
    println!("\nacknowledged {last}");
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    // Where exactly space ends decides which of SQLite's files cannot grow.
    for pages in 0..16 {
        the_disk_is_full_at(pages * 4096);
    }
}

fn the_disk_is_full_at(offset: usize) {
    let directory = tempfile::tempdir().unwrap();
    let Some(_mounted) = Mounted::tmpfs(directory.path(), "6m") else {
        println!("skipped: no tmpfs can be mounted here");
        return;
    };
    let data = directory.path().join("data");
    let log = open(&data);
    log.append(vec![event(&stream(1), 0, "first")]).wait().unwrap();
    let ballast = directory.path().join("ballast");
    std::fs::write(&ballast, vec![0; (2 << 20) + offset]).unwrap();

    let mut last = 1;
    let mut fill = |log: &dyn EventLog| loop {
        match log.append(vec![event(&stream(2), 0, vec![7; 2000])]).wait() {
            Ok(placed) => last = placed[0].position.0,
            Err(LogError::DiskFull) => break last,
            Err(other) => panic!("{other:?}: {:?}", log.failure().get()),
        }
    };
    let before = fill(&log);
    let small = log.append(vec![event(&stream(2), 0, vec![7; 20_000])]).wait();
    assert!(matches!(small, Err(LogError::DiskFull)), "{small:?}");
    assert_eq!(
        log.read_stream_backward(&stream(2), None, 10_000).unwrap().len() as u64,
        before - 1
    );

    std::fs::remove_file(&ballast).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while log.append(vec![event(&stream(2), 0, "again")]).wait().is_err() {
        assert!(Instant::now() < deadline, "it does not recover");
        std::thread::yield_now();
    }
    let after = fill(&log);
    println!("{before} events until the disk was full, {after} with more space");
    assert!(after > before);
    assert!(log.failure().get().is_none());
    assert!(check(&data).is_clean());
    drop(log);
    assert!(check(&data).is_clean());
}

struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn tmpfs(path: &'a Path, size: &str) -> Option<Self> {
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(path)
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(path))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}
