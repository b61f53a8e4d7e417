//! Checkpoints on disk: what is lost of them costs time, never the truth.

use muster_model::LogPosition;
use muster_store::{EventLog, SqliteLog};
use rusqlite::Connection;

use crate::kit::{at, check, event, open, stream};

fn with_two_checkpoints(log: &SqliteLog) {
    let states = |text: &str| {
        (1..=3)
            .map(|number| (stream(number), text.as_bytes().repeat(100)))
            .collect()
    };
    log.append((1..=3).map(|number| event(&stream(number), 1, "a")).collect())
        .wait()
        .unwrap();
    log.save_checkpoint(LogPosition(3), at(1), states("old"))
        .wait()
        .unwrap();
    log.append((1..=3).map(|number| event(&stream(number), 2, "b")).collect())
        .wait()
        .unwrap();
    log.save_checkpoint(LogPosition(6), at(2), states("new"))
        .wait()
        .unwrap();
    log.append(vec![event(&stream(1), 3, "c")]).wait().unwrap();
}

#[test]
fn a_damaged_snapshot_is_skipped() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    with_two_checkpoints(&log);
    assert_eq!(
        log.load_snapshots(LogPosition(7)).unwrap().checkpoint,
        LogPosition(6)
    );
    let connection = Connection::open(directory.path().join("log.db")).unwrap();
    connection
        .execute(
            "UPDATE snapshots SET body = x'00' WHERE stream = 2 AND position = 6",
            [],
        )
        .unwrap();

    let loaded = log.load_snapshots(LogPosition(7)).unwrap();
    assert_eq!(loaded.checkpoint, LogPosition(3));
    assert_eq!(loaded.damaged, [stream(2)]);
    assert_eq!(loaded.snapshots.len(), 3);
    assert_eq!(check(directory.path()).bad_snapshots.len(), 1);

    log.save_checkpoint(
        LogPosition(7),
        at(3),
        vec![(stream(1), b"s".to_vec()), (stream(2), b"t".to_vec())],
    )
    .wait()
    .unwrap();
    let loaded = log.load_snapshots(LogPosition(7)).unwrap();
    assert_eq!((loaded.checkpoint, loaded.damaged.len()), (LogPosition(7), 0));
}

#[test]
fn damaged_heads_are_walked_around() {
    let directory = tempfile::tempdir().unwrap();
    with_two_checkpoints(&open(directory.path()));
    let connection = Connection::open(directory.path().join("log.db")).unwrap();
    connection
        .execute("UPDATE checkpoints SET heads = x'0102'", [])
        .unwrap();
    drop(connection);
    let log = open(directory.path());
    assert_eq!(log.head(), LogPosition(7));
    assert_eq!(log.stream_head(&stream(1)).unwrap().version.0, 3);
    log.append(vec![event(&stream(1), 9, "d")]).wait().unwrap();
    drop(log);
    assert!(check(directory.path()).is_clean());
}

#[test]
fn a_checkpoint_ahead_of_the_log_is_ignored() {
    let directory = tempfile::tempdir().unwrap();
    with_two_checkpoints(&open(directory.path()));
    let connection = Connection::open(directory.path().join("log.db")).unwrap();
    connection
        .execute("DELETE FROM events WHERE position > 5", [])
        .unwrap();
    drop(connection);
    let log = open(directory.path());
    assert_eq!(log.head(), LogPosition(5));
    assert_eq!(
        log.load_snapshots(LogPosition(99)).unwrap().checkpoint,
        LogPosition(3)
    );
    let report = check(directory.path());
    assert!(report.first_bad.is_none() && !report.is_clean(), "{report:?}");
}

#[test]
fn many_streams_and_appends_in_between() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    let streams = 3_000;
    log.append(
        (0..streams)
            .map(|number| event(&stream(number), 1, "a"))
            .collect(),
    )
    .wait()
    .unwrap();
    let states = (0..streams)
        .map(|number| (stream(number), number.to_le_bytes().repeat(30)))
        .collect();
    let position = log.head();
    let checkpoint = log.save_checkpoint(position, at(1), states);
    let appends: Vec<_> = (0..50)
        .map(|_| log.append(vec![event(&stream(5), 2, "b")]))
        .collect();
    for append in appends {
        append.wait().unwrap();
    }
    checkpoint.wait().unwrap();
    drop(log);
    let log = open(directory.path());
    let loaded = log.load_snapshots(log.head()).unwrap();
    assert_eq!(loaded.snapshots.len(), streams as usize);
    assert!(loaded.snapshots.iter().zip(0..).all(|(row, number)| {
        row.stream == stream(number) && row.body == number.to_le_bytes().repeat(30)
    }));
    assert_eq!(log.stream_head(&stream(5)).unwrap().version.0, 51);
    assert!(check(directory.path()).is_clean());
}
