//! Reading the log: by position, along one stream, by time.

use std::ops::ControlFlow;

use bytes::Bytes;
use muster_model::{LogPosition, StreamVersion, Timestamp};
use rusqlite::{Connection, OptionalExtension};

use super::PAGE_MAX_ROWS;
use super::error::LogError;
use super::restore::CHUNK_ROWS;
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
    let mut statement = connection.prepare_cached(
        "SELECT position, stream, version, previous, recorded_at, body FROM events \
         WHERE position >= ?1 AND position <= ?2 ORDER BY position",
    )?;
    let mut next = first.max(LogPosition(1)).0;
    while next <= last.0 {
        let until = next.saturating_add(CHUNK_ROWS - 1).min(last.0);
        let mut rows = statement.query([next as i64, until as i64])?;
        let mut seen = next - 1;
        while let Some(row) = rows.next()? {
            let position = LogPosition(row.get::<_, i64>(0)? as u64);
            let stream: u32 = row.get(1)?;
            // All that is up to the head is in memory before the head moves.
            let Some(stream) = shared.streams.read().name(stream).cloned() else {
                let what = "its stream is unknown";
                return Err(LogError::Damaged { position, what });
            };
            let event = EventRef {
                position,
                stream: &stream,
                version: StreamVersion(row.get::<_, i64>(2)? as u64),
                previous: LogPosition(row.get::<_, i64>(3)? as u64),
                recorded_at: Timestamp::from_millis(row.get(4)?),
                body: row.get_ref(5)?.as_blob().map_err(rusqlite::Error::from)?,
            };
            if visitor(event).is_break() {
                return Ok(());
            }
            seen = position.0;
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
    stream: &StreamName,
    id: u32,
    from: LogPosition,
    limit: usize,
) -> Result<Vec<Event>, LogError> {
    let mut statement = connection.prepare_cached(
        "SELECT stream, version, previous, recorded_at, body FROM events WHERE position = ?1",
    )?;
    let mut events = Vec::new();
    let mut position = from;
    while position != LogPosition::ZERO && events.len() < limit.min(PAGE_MAX_ROWS) {
        let found = statement
            .query_row([position.0 as i64], |row| {
                let event = Event {
                    position,
                    stream: stream.clone(),
                    version: StreamVersion(row.get::<_, i64>(1)? as u64),
                    previous: LogPosition(row.get::<_, i64>(2)? as u64),
                    recorded_at: Timestamp::from_millis(row.get(3)?),
                    body: Bytes::copy_from_slice(row.get_ref(4)?.as_blob()?),
                };
                Ok((row.get::<_, u32>(0)?, event))
            })
            .optional()?;
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
    time: Timestamp,
    head: LogPosition,
) -> Result<LogPosition, LogError> {
    let mut statement = connection.prepare_cached("SELECT recorded_at FROM events WHERE position = ?1")?;
    // All up to `before` are early enough, all after `after` are too late.
    let (mut before, mut after) = (0, head.0);
    while before < after {
        let middle = before + (after - before).div_ceil(2);
        let recorded_at: i64 = statement.query_row([middle as i64], |row| row.get(0))?;
        if recorded_at <= time.as_millis() {
            before = middle;
        } else {
            after = middle - 1;
        }
    }
    Ok(LogPosition(before))
}

pub(super) fn oldest_time(connection: &Connection) -> Result<Option<Timestamp>, LogError> {
    let oldest = connection
        .prepare_cached("SELECT recorded_at FROM events ORDER BY position LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(oldest.map(Timestamp::from_millis))
}
