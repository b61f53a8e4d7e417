//! Files of older versions, and a migration that is killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use muster_model::LogPosition;
use muster_store::EventLog;
use rusqlite::Connection;

use crate::kit::{Dice, check, event, open, stream};

const DIRECTORY: &str = "MUSTER_STORE_TEST_MIGRATED";
const ROUNDS: usize = 100;
const EVENTS: u64 = 50;

/// A log as version 1 of the schema left it.
fn of_version_1(path: &Path) {
    let log = open(path);
    let events = (0..EVENTS).map(|n| event(&stream(u128::from(n % 3)), n as i64, "kept"));
    log.append(events.collect()).wait().unwrap();
    drop(log);
    let connection = Connection::open(path.join("log.db")).unwrap();
    connection
        .execute_batch("DROP TABLE blocks; DELETE FROM schema_versions WHERE version > 1; PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
}

fn version(path: &Path) -> (i64, bool) {
    let connection = Connection::open(path.join("log.db")).unwrap();
    let version = connection
        .query_row("SELECT max(version) FROM schema_versions", [], |row| row.get(0))
        .unwrap();
    (version, connection.table_exists(None, "blocks").unwrap())
}

#[test]
fn a_log_of_version_1_is_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    of_version_1(directory.path());
    assert_eq!(version(directory.path()), (1, false));
    let report = check(directory.path());
    assert!(report.is_clean() && report.events == EVENTS, "{report:?}");
    assert_eq!(version(directory.path()), (1, false), "checking changes nothing");
    let log = open(directory.path());
    assert_eq!(
        log.read_forward(LogPosition(1), 100).unwrap().len() as u64,
        EVENTS
    );
    log.append(vec![event(&stream(1), 99, "more")]).wait().unwrap();
    drop(log);
    assert_eq!(version(directory.path()), (2, true));
    assert!(check(directory.path()).is_clean());
}

/// Row 14 of the reliability table.
#[test]
fn row_14_a_killed_migration_leaves_the_old_schema_or_the_new_one() {
    let directory = tempfile::tempdir().unwrap();
    of_version_1(directory.path());
    let old = std::fs::read(directory.path().join("log.db")).unwrap();
    let mut dice = Dice(14);
    let (mut left_old, mut left_new) = (0, 0);
    // How long it takes is learned on the way: where most come too late, the next are killed sooner.
    let mut span = Duration::from_millis(20);
    for round in 0..ROUNDS {
        for file in ["log.db-wal", "log.db-shm"] {
            let _ = std::fs::remove_file(directory.path().join(file));
        }
        std::fs::write(directory.path().join("log.db"), &old).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["migration::child", "--exact", "--nocapture"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("opening")));
        let began = Instant::now();
        let wait = span.mul_f64(dice.below(1_000) as f64 / 1_000.0);
        while began.elapsed() < wait {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        match version(directory.path()) {
            (1, false) => {
                left_old += 1;
                span = span.mul_f64(1.1);
            }
            (2, true) => {
                left_new += 1;
                span = span.mul_f64(0.9);
            }
            other => panic!("round {round}: {other:?}"),
        }
        let log = open(directory.path());
        let events = log.read_forward(LogPosition(1), 100).unwrap();
        assert_eq!(events.len() as u64, EVENTS, "round {round}");
        drop(log);
        assert!(check(directory.path()).is_clean(), "round {round}");
    }
    println!("\nfigure row_14 rounds={ROUNDS} old={left_old} new={left_new} neither=0");
    assert!(left_old > 0 && left_new > 0, "{left_old} {left_new}");
}

/// What is killed: run by the test above, in a process of its own.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    println!("\nopening");
    let _log = open(directory.as_ref());
    loop {
        std::thread::park();
    }
}
