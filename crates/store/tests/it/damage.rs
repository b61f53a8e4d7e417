//! Every flipped bit of every event is found.

use std::ops::Range;
use std::path::Path;

use muster_model::LogPosition;
use muster_store::{DataDirectory, EventLog, LogOptions, OpenError, SqliteLog};
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::kit::{Dice, at, check, event, open, stream};

const EVENTS: usize = 300;

fn written(path: &Path) {
    let log = open(path);
    let mut dice = Dice(99);
    for round in 0..EVENTS / 10 {
        let batch = (0..10)
            .map(|_| {
                let body: Vec<u8> = (0..dice.below(60)).map(|_| dice.below(256) as u8).collect();
                event(&stream(dice.below(7) as u128), round as i64 * 1000, body)
            })
            .collect();
        log.append(batch).wait().unwrap();
    }
    let changed = vec![(stream(1), b"state".repeat(100))];
    log.save_checkpoint(LogPosition(200), at(0), changed)
        .wait()
        .unwrap();
}

#[test]
fn bits_flipped_in_any_column() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path());
    assert!(check(directory.path()).is_clean());
    let connection = Connection::open(directory.path().join("log.db")).unwrap();
    let mut dice = Dice(7);
    for column in [
        "position",
        "stream",
        "version",
        "previous",
        "recorded_at",
        "body",
        "hash",
    ] {
        for _ in 0..25 {
            let position = 1 + dice.below(EVENTS) as i64;
            let read = format!("SELECT {column} FROM events WHERE position = ?1");
            let old: Value = connection.query_row(&read, [position], |row| row.get(0)).unwrap();
            let flipped = match &old {
                Value::Integer(number) => Value::Integer(number ^ (1 << dice.below(63))),
                Value::Blob(bytes) if bytes.is_empty() => continue,
                Value::Blob(bytes) => {
                    let mut bytes = bytes.clone();
                    let bit = dice.below(bytes.len() * 8);
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    Value::Blob(bytes)
                }
                other => panic!("{other:?}"),
            };
            let write = format!("UPDATE events SET {column} = ?1 WHERE position = ?2");
            // A position that is taken cannot be flipped to.
            if connection.execute(&write, (&flipped, position)).is_err() {
                continue;
            }
            let report = check(directory.path());
            let bad = report
                .first_bad
                .unwrap_or_else(|| panic!("{column} of {position} went unseen"));
            assert!(
                bad.position.0 <= position as u64,
                "{column} of {position} was seen at {bad:?}"
            );
            let place = match (column, &flipped) {
                ("position", Value::Integer(moved)) => *moved,
                _ => position,
            };
            connection.execute(&write, (&old, place)).unwrap();
        }
    }
    assert!(check(directory.path()).is_clean());
}

#[test]
fn bits_flipped_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path());
    let path = directory.path().join("log.db");
    let sound = std::fs::read(&path).unwrap();
    let rows = event_rows(&path, &sound);
    assert_eq!(rows.len(), EVENTS);
    let mut dice = Dice(31);
    for round in 0..400 {
        let row = &rows[dice.below(rows.len())];
        let byte = row.start + dice.below(row.len());
        let mut broken = sound.clone();
        broken[byte] ^= 1 << dice.below(8);
        std::fs::write(&path, &broken).unwrap();
        let report = check(directory.path());
        assert!(!report.is_clean(), "flip {round} of byte {byte} went unseen");
    }
    std::fs::write(&path, &sound).unwrap();
    assert!(check(directory.path()).is_clean());
}

/// Where the cells of the table's leaves stand in the file, by SQLite's file format.
fn event_rows(path: &Path, file: &[u8]) -> Vec<Range<usize>> {
    let connection = Connection::open(path).unwrap();
    let page_size: usize = connection
        .query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0))
        .unwrap() as usize;
    let root: i64 = connection
        .query_row(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'events'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let mut rows = Vec::new();
    let mut pages = vec![root as usize];
    while let Some(number) = pages.pop() {
        let start = (number - 1) * page_size;
        let page = &file[start..start + page_size];
        let short = |at: usize| usize::from(u16::from_be_bytes([page[at], page[at + 1]]));
        let long = |at: usize| u32::from_be_bytes(page[at..at + 4].try_into().unwrap()) as usize;
        let cells = short(3);
        match page[0] {
            5 => {
                pages.extend((0..cells).map(|cell| long(short(12 + 2 * cell))));
                pages.push(long(8));
            }
            13 => {
                for cell in 0..cells {
                    let at = short(8 + 2 * cell);
                    let (payload, first) = number_at(&page[at..]);
                    let (_, second) = number_at(&page[at + first..]);
                    rows.push(start + at..start + at + first + second + payload);
                }
            }
            other => panic!("page {number} is of kind {other}"),
        }
    }
    rows
}

fn number_at(bytes: &[u8]) -> (usize, usize) {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate() {
        value = (value << 7) | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return (value, index + 1);
        }
    }
    panic!("no number");
}

#[test]
fn damage_in_the_tail_stops_the_server() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path());
    let connection = Connection::open(directory.path().join("log.db")).unwrap();
    connection
        .execute("UPDATE events SET body = x'00' WHERE position = 250", [])
        .unwrap();
    drop(connection);
    let held = DataDirectory::open(directory.path()).unwrap();
    match SqliteLog::open(&held, LogOptions::default()) {
        Err(OpenError::Damaged { position, .. }) => assert_eq!(position, LogPosition(250)),
        other => panic!("{:?}", other.map(|_| ())),
    }
}
