//! Reading the log: by position, along one stream, by time.

use std::ops::ControlFlow;

use bytes::Bytes;
use muster_model::{LogPosition, StreamVersion, Timestamp};
use parking_lot::Mutex;
use rusqlite::Connection;

use super::PAGE_MAX_ROWS;
use super::block::Cache;
use super::error::LogError;
use super::restore::CHUNK_ROWS;
use super::rows;
use super::sqlite::Shared;
use super::types::{Event, EventRef, StreamName};

/// Visits events in order, in chunks of one short transaction each.
pub(super) fn scan(
    connection: &Connection,
    shared: &Shared,
    first: LogPosition,
    last: LogPosition,
    visitor: &mut dyn FnMut(EventRef<'_>) -> ControlFlow<()>,
) -> Result<(), LogError> {
    let mut next = first.max(LogPosition(1)).0;
    while next <= last.0 {
        let until = next.saturating_add(CHUNK_ROWS - 1).min(last.0);
        let transaction = connection.unchecked_transaction()?;
        let (mut seen, mut broke) = (next - 1, false);
        rows::visit(&transaction, next, until, &mut |row, _| {
            let position = LogPosition(row.position);
            if row.position != seen + 1 {
                return Ok(ControlFlow::Break(()));
            }
            // All that is up to the head is in memory before the head moves.
            let Some(stream) = shared.streams.read().name(row.stream).cloned() else {
                let what = "its stream is unknown";
                return Err(LogError::Damaged { position, what });
            };
            seen = row.position;
            let visited = visitor(EventRef {
                position,
                stream: &stream,
                version: StreamVersion(row.version),
                previous: LogPosition(row.previous),
                recorded_at: Timestamp::from_millis(row.recorded_at),
                body: row.body,
            });
            broke = visited.is_break();
            Ok(visited)
        })?;
        if broke {
            return Ok(());
        }
        if seen != until {
            return Err(LogError::Damaged {
                position: LogPosition(seen + 1),
                what: "it is missing",
            });
        }
        next = until + 1;
    }
    Ok(())
}

/// Walks one stream back along its links.
pub(super) fn stream_backward(
    connection: &Connection,
    cache: &Mutex<Cache>,
    stream: &StreamName,
    id: u32,
    from: LogPosition,
    limit: usize,
) -> Result<Vec<Event>, LogError> {
    let mut events = Vec::new();
    let mut position = from;
    while position != LogPosition::ZERO && events.len() < limit.min(PAGE_MAX_ROWS) {
        let found = rows::at(connection, cache, position.0, |row| {
            let event = Event {
                position,
                stream: stream.clone(),
                version: StreamVersion(row.version),
                previous: LogPosition(row.previous),
                recorded_at: Timestamp::from_millis(row.recorded_at),
                body: Bytes::copy_from_slice(row.body),
            };
            (row.stream, event)
        })?;
        match found {
            Some((owner, event)) if owner == id => {
                if event.previous >= position {
                    let what = "it links forward";
                    return Err(LogError::Damaged { position, what });
                }
                position = event.previous;
                events.push(event);
            }
            _ if events.is_empty() => {
                let stream = stream.clone();
                return Err(LogError::NotInStream { position, stream });
            }
            _ => {
                let what = "it was linked to, but is not of that stream";
                return Err(LogError::Damaged { position, what });
            }
        }
    }
    Ok(events)
}

/// Finds a moment by halving: times never decrease along the log.
pub(super) fn position_at(
    connection: &Connection,
    cache: &Mutex<Cache>,
    time: Timestamp,
    head: LogPosition,
) -> Result<LogPosition, LogError> {
    // All up to `before` are early enough, all after `after` are too late.
    let (mut before, mut after) = (0, head.0);
    while before < after {
        let middle = before + (after - before).div_ceil(2);
        let Some(recorded_at) = rows::at(connection, cache, middle, |row| row.recorded_at)? else {
            return Err(LogError::Damaged {
                position: LogPosition(middle),
                what: "it is missing",
            });
        };
        if recorded_at <= time.as_millis() {
            before = middle;
        } else {
            after = middle - 1;
        }
    }
    Ok(LogPosition(before))
}

pub(super) fn oldest_time(
    connection: &Connection,
    cache: &Mutex<Cache>,
) -> Result<Option<Timestamp>, LogError> {
    Ok(rows::at(connection, cache, 1, |row| {
        Timestamp::from_millis(row.recorded_at)
    })?)
}
