//! Packed events: read alike, checked alike, never packed where they are needed or damaged.

use std::ops::ControlFlow;
use std::path::Path;

use muster_model::LogPosition;
use muster_store::{CommitFailure, EventLog, FailPlan, LogError, LogOptions, SqliteLog};
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::kit::{Dice, at, check, event, open_with, stream};

const ALL: LogPosition = LogPosition(u64::MAX);

fn small_blocks(path: &Path) -> SqliteLog {
    failing(path, FailPlan::default())
}

fn failing(path: &Path, fail: FailPlan) -> SqliteLog {
    let options = LogOptions {
        block_rows: 10,
        fail,
        ..LogOptions::default()
    };
    open_with(path, options)
}

/// Events up to `last`, a second apart, and a checkpoint there.
fn grow(log: &SqliteLog, last: u64) {
    let mut dice = Dice(last + 1);
    let first = log.head().0 + 1;
    let batch = (first..=last)
        .map(|number| {
            let text = format!("{{\"n\":{number},\"v\":{}}}", dice.below(1000));
            event(&stream(u128::from(number % 7)), number as i64 * 1000, text)
        })
        .collect();
    log.append(batch).wait().unwrap();
    let states = (0..7)
        .map(|number| (stream(number), b"state".repeat(40)))
        .collect();
    log.save_checkpoint(LogPosition(last), at(last as i64 * 1000), states)
        .wait()
        .unwrap();
}

fn pack_all(log: &SqliteLog, before: LogPosition) -> u64 {
    let mut packed = 0;
    while let Some(events) = log.pack_next(before).unwrap() {
        packed += events;
    }
    packed
}

#[test]
fn nothing_that_a_restart_reads_is_packed() {
    let directory = tempfile::tempdir().unwrap();
    let log = small_blocks(directory.path());
    assert_eq!(log.pack_next(ALL).unwrap(), None);
    log.append((0..100).map(|n| event(&stream(n % 3), 0, "x")).collect())
        .wait()
        .unwrap();
    assert_eq!(log.pack_next(ALL).unwrap(), None, "there is no checkpoint");
    for last in [200, 300, 400, 500] {
        grow(&log, last);
    }
    // Restarts can begin at the checkpoints of 300, 400 and 500; the event at the oldest of them is looked at, too.
    assert_eq!(pack_all(&log, LogPosition(95)), 90);
    assert_eq!(pack_all(&log, ALL), 200);
    assert_eq!(log.usage().unwrap().packed_events, 290);
    drop(log);
    let log = small_blocks(directory.path());
    assert_eq!(log.head(), LogPosition(500));
    assert!(check(directory.path()).is_clean());
}

#[test]
fn reading_goes_on_while_events_are_packed() {
    let directory = tempfile::tempdir().unwrap();
    let log = small_blocks(directory.path());
    for last in [1_000, 2_000, 3_000, 4_000] {
        grow(&log, last);
    }
    let reader = log.clone();
    let reading = std::thread::spawn(move || {
        let mut rounds = 0;
        while reader.usage().unwrap().packed_events < 1_990 || rounds < 3 {
            let mut next = 1;
            reader
                .scan(LogPosition(1), LogPosition(4_000), &mut |event| {
                    assert_eq!(event.position.0, next);
                    next += 1;
                    ControlFlow::Continue(())
                })
                .unwrap();
            assert_eq!(next, 4_001);
            let events = reader.read_stream_backward(&stream(3), None, 1_000).unwrap();
            assert_eq!(events.len(), 572);
            assert_eq!(reader.position_at(at(1_234_500)).unwrap(), LogPosition(1_234));
            rounds += 1;
        }
        rounds
    });
    assert_eq!(pack_all(&log, ALL), 1_990);
    assert!(reading.join().unwrap() >= 3);
    assert_eq!(log.oldest_time().unwrap(), Some(at(1_000)));
    assert!(check(directory.path()).is_clean());
}

#[test]
fn damage_is_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let log = small_blocks(directory.path());
    for last in [100, 200, 300, 400] {
        grow(&log, last);
    }
    let connection = Connection::open(directory.path().join("log.db")).unwrap();
    connection
        .execute("UPDATE events SET body = x'7b7d' WHERE position = 25", [])
        .unwrap();
    assert_eq!(log.pack_next(ALL).unwrap(), Some(10));
    assert_eq!(log.pack_next(ALL).unwrap(), Some(10));
    match log.pack_next(ALL) {
        Err(LogError::Damaged { position, .. }) => assert_eq!(position, LogPosition(25)),
        other => panic!("{other:?}"),
    }
    let still: i64 = connection
        .query_row(
            "SELECT count(*) FROM events WHERE position BETWEEN 21 AND 30",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(still, 10);
    assert_eq!(
        check(directory.path()).first_bad.unwrap().position,
        LogPosition(25)
    );
}

#[test]
fn bits_flipped_in_any_column_of_a_block() {
    let directory = tempfile::tempdir().unwrap();
    let log = small_blocks(directory.path());
    for last in [100, 200, 300, 400] {
        grow(&log, last);
    }
    pack_all(&log, ALL);
    drop(log);
    assert!(check(directory.path()).is_clean());
    let connection = Connection::open(directory.path().join("log.db")).unwrap();
    let mut dice = Dice(11);
    for column in ["last", "first", "recorded_at", "hash", "packed", "seal"] {
        for _ in 0..40 {
            let last = 10 * (1 + dice.below(19) as i64);
            let read = format!("SELECT {column} FROM blocks WHERE last = ?1");
            let old: Value = connection.query_row(&read, [last], |row| row.get(0)).unwrap();
            let flipped = match &old {
                Value::Integer(number) => Value::Integer(number ^ (1 << dice.below(63))),
                Value::Blob(bytes) => {
                    let mut bytes = bytes.clone();
                    let bit = dice.below(bytes.len() * 8);
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    Value::Blob(bytes)
                }
                other => panic!("{other:?}"),
            };
            let write = format!("UPDATE blocks SET {column} = ?1 WHERE last = ?2");
            if connection.execute(&write, (&flipped, last)).is_err() {
                continue;
            }
            let report = check(directory.path());
            let bad = report
                .first_bad
                .unwrap_or_else(|| panic!("{column} of the block to {last} went unseen: {flipped:?}"));
            assert!(
                bad.position.0 <= last as u64 + 1,
                "{column} of {last} was seen at {bad:?}"
            );
            let log = small_blocks(directory.path());
            match log.read_forward(LogPosition(1), 400) {
                Err(LogError::Damaged { .. } | LogError::Read { .. }) => {}
                other => panic!("{column} of {last}: {other:?}"),
            }
            drop(log);
            let place = match (column, &flipped) {
                ("last", Value::Integer(moved)) => *moved,
                _ => last,
            };
            connection.execute(&write, (&old, place)).unwrap();
        }
    }
    assert!(check(directory.path()).is_clean());
}

#[test]
fn a_block_that_lies_about_the_chain_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let log = small_blocks(directory.path());
    for last in [100, 200, 300, 400] {
        grow(&log, last);
    }
    pack_all(&log, ALL);
    drop(log);
    // Whole blocks, seals and all, in each other's place: only the chain can tell.
    let connection = Connection::open(directory.path().join("log.db")).unwrap();
    connection
        .execute_batch("DELETE FROM blocks WHERE last = 50")
        .unwrap();
    let report = check(directory.path());
    assert_eq!(report.first_bad.unwrap().position, LogPosition(41));
}

#[test]
fn a_disk_that_fails_while_packing() {
    let directory = tempfile::tempdir().unwrap();
    let fail = FailPlan::default();
    let log = failing(directory.path(), fail.clone());
    for last in [100, 200, 300, 400] {
        grow(&log, last);
    }
    fail.fail_next_commit(CommitFailure::DiskFull);
    assert!(matches!(log.pack_next(ALL), Err(LogError::DiskFull)));
    assert_eq!(log.usage().unwrap().packed_events, 0);
    assert_eq!(log.pack_next(ALL).unwrap(), Some(10));
    assert!(log.failure().get().is_none());
    fail.fail_next_commit(CommitFailure::Io);
    assert!(matches!(log.pack_next(ALL), Err(LogError::Poisoned { .. })));
    assert_eq!(log.failure().get().unwrap().code(), "MST-S024");
    assert_eq!(log.read_forward(LogPosition(1), 1_000).unwrap().len(), 400);
    drop(log);
    let log = small_blocks(directory.path());
    assert_eq!(log.read_forward(LogPosition(1), 1_000).unwrap().len(), 400);
    assert!(check(directory.path()).is_clean());
}

#[test]
fn the_file_stops_growing() {
    let directory = tempfile::tempdir().unwrap();
    let log = open_with(directory.path(), LogOptions::default());
    let mut sizes = Vec::new();
    for round in 1..=12_u64 {
        grow(&log, round * 5_000);
        let old = log.checkpoints().unwrap();
        let old: Vec<_> = old.iter().map(|(position, _)| *position).collect();
        log.thin(&old).unwrap();
        pack_all(&log, LogPosition((round * 5_000).saturating_sub(5_000)));
        sizes.push(
            std::fs::metadata(log.path()).unwrap().len()
                + std::fs::metadata(format!("{}-wal", log.path().display()))
                    .unwrap()
                    .len(),
        );
    }
    let usage = log.usage().unwrap();
    assert!(usage.packed_events >= 44_000, "{usage:?}");
    drop(log);
    let size = std::fs::metadata(directory.path().join("log.db")).unwrap().len();
    let plain = 15_000 * 100;
    assert!(
        size < plain * 2 + usage.packed_bytes,
        "{size} with {usage:?}, on the way {sizes:?}"
    );
    assert!(check(directory.path()).is_clean());
}
