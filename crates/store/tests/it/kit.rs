//! What many tests need.

use std::path::Path;

use bytes::Bytes;
use muster_model::{MachineId, StreamVersion, Timestamp};
use muster_store::{Append, DataDirectory, Expected, LogOptions, Report, SqliteLog, StreamName, verify};

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(crate) fn machine(number: u128) -> MachineId {
    MachineId::from_uuid(uuid::Uuid::from_u128(number))
}

pub(crate) fn stream(number: u128) -> StreamName {
    machine(number).into()
}

pub(crate) fn event(stream: &StreamName, millis: i64, body: impl Into<Vec<u8>>) -> Append {
    Append {
        stream: stream.clone(),
        expected: Expected::Any,
        recorded_at: at(millis),
        body: Bytes::from(body.into()),
    }
}

pub(crate) fn expecting(stream: &StreamName, version: u64, body: &str) -> Append {
    Append {
        expected: Expected::Version(StreamVersion(version)),
        ..event(stream, 0, body)
    }
}

pub(crate) fn open(path: &Path) -> SqliteLog {
    open_with(path, LogOptions::default())
}

pub(crate) fn open_with(path: &Path, options: LogOptions) -> SqliteLog {
    SqliteLog::open(&DataDirectory::open(path).unwrap(), options).unwrap()
}

pub(crate) fn check(path: &Path) -> Report {
    verify(path, &mut |_| {}).unwrap()
}

/// Numbers that look random and are the same every time.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}
