//! Walking the log with every check there is: the tail at open, all of it for [`super::verify`].

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use muster_model::{LogPosition, StreamVersion, Timestamp};
use rusqlite::{Connection, OptionalExtension};

use super::block::Row;
use super::chain::{GENESIS, Hash, Link};
use super::rows::{self, RowError};
use super::snapshots::{self, Heads};
use super::streams::Streams;
use super::types::{StreamHead, StreamName};
use super::verify::Finding;
use crate::error::OpenError;
use crate::sqlite::database;

/// How many events are read in one transaction, so that readers do not hold back the write-ahead log.
pub(super) const CHUNK_ROWS: u64 = 10_000;

/// What the writer starts from.
pub(super) struct Restored {
    pub(super) streams: Streams,
    pub(super) hash: Hash,
}

/// Restores where every stream ends from the newest sound checkpoint and the events after it.
pub(super) fn restore(connection: &Connection, path: &Path) -> Result<Restored, OpenError> {
    let damaged = |finding: Finding| OpenError::Damaged {
        path: path.to_owned(),
        position: finding.position,
        what: finding.what,
    };
    let failed = database(path, "read");
    let names = stream_names(connection).map_err(&failed)?;
    let head = head(connection).map_err(&failed)?;
    let start = snapshots::newest_heads(connection, head).map_err(&failed)?;
    let mut walk = Walk::new(names, start);
    walk.run(connection, head, &mut |_| {}).map_err(damaged)?;

    let mut streams = Streams::default();
    for name in &walk.names {
        let name: StreamName = name.parse().map_err(|_| {
            damaged(Finding {
                position: LogPosition::ZERO,
                what: format!("{name:?} is no name of a stream"),
            })
        })?;
        streams.add(name);
    }
    for (id, head) in (1..).zip(&walk.heads) {
        streams.set_head(id, *head);
    }
    streams.position = walk.position;
    streams.recorded_at = walk.recorded_at;
    Ok(Restored {
        streams,
        hash: walk.hash,
    })
}

/// The last position; zero if the log is empty.
pub(super) fn head(connection: &Connection) -> rusqlite::Result<LogPosition> {
    let position: Option<i64> = connection.query_row(
        // The newest are never packed.
        "SELECT coalesce((SELECT max(position) FROM events), (SELECT max(last) FROM blocks))",
        [],
        |row| row.get(0),
    )?;
    Ok(LogPosition(position.unwrap_or(0) as u64))
}

/// The names of all streams, by number. A hole in the numbers leaves an empty name, which no event's hash fits.
pub(super) fn stream_names(connection: &Connection) -> rusqlite::Result<Vec<Arc<str>>> {
    let mut names: Vec<Arc<str>> = Vec::new();
    let mut statement = connection.prepare("SELECT id, name FROM streams ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        // Numbers have no holes, so a number far off is a flipped bit: its stream will be found to be missing.
        if id == names.len() as i64 + 1 {
            names.push(row.get::<_, String>(1)?.into());
        }
    }
    Ok(names)
}

/// A walk over the log in order, checking that each event fits those before it.
pub(super) struct Walk {
    names: Vec<Arc<str>>,
    heads: Vec<StreamHead>,
    pub(super) position: LogPosition,
    recorded_at: Timestamp,
    hash: Hash,
}

impl Walk {
    /// Begins after a checkpoint, or at the beginning.
    pub(super) fn new(names: Vec<Arc<str>>, start: Option<Heads>) -> Self {
        let none = StreamHead {
            version: StreamVersion::ZERO,
            position: LogPosition::ZERO,
        };
        let mut walk = Self {
            heads: vec![none; names.len()],
            names,
            position: LogPosition::ZERO,
            recorded_at: Timestamp::EPOCH,
            hash: GENESIS,
        };
        if let Some(start) = start {
            walk.position = start.position;
            walk.recorded_at = start.recorded_at;
            walk.hash = start.hash;
            for (id, head) in start.heads {
                if let Some(slot) = (id as usize)
                    .checked_sub(1)
                    .and_then(|index| walk.heads.get_mut(index))
                {
                    *slot = head;
                }
            }
        }
        walk
    }

    /// Walks up to `last`; stops at the first event that does not fit.
    pub(super) fn run(
        &mut self,
        connection: &Connection,
        last: LogPosition,
        progress: &mut dyn FnMut(LogPosition),
    ) -> Result<(), Finding> {
        while self.position < last {
            let until = LogPosition(self.position.0.saturating_add(CHUNK_ROWS)).min(last);
            match self.chunk(connection, until) {
                Ok(None) => {}
                Ok(Some(what)) => return Err(self.finding(what)),
                Err(RowError::Sql(error)) => {
                    return Err(self.finding(format!("it cannot be read: {error}")));
                }
                Err(RowError::Block { .. }) => return Err(self.finding(rows::BLOCK_DAMAGED.to_owned())),
            }
            if self.position < until {
                return Err(self.finding("it is missing".to_owned()));
            }
            progress(self.position);
        }
        Ok(())
    }

    fn finding(&self, what: String) -> Finding {
        Finding {
            position: self.position.next(),
            what,
        }
    }

    fn chunk(&mut self, connection: &Connection, until: LogPosition) -> Result<Option<String>, RowError> {
        // What is packed meanwhile stays where it was for this transaction.
        let transaction = connection.unchecked_transaction()?;
        let mut wrong = None;
        rows::visit(&transaction, self.position.0 + 1, until.0, &mut |row, hash| {
            wrong = self.step(row, hash);
            Ok::<_, RowError>(match wrong {
                Some(_) => ControlFlow::Break(()),
                None => ControlFlow::Continue(()),
            })
        })?;
        Ok(wrong)
    }

    /// What is wrong with an event. The hash is known of those that have theirs written down.
    fn step(&mut self, row: Row<'_>, hash: Option<Hash>) -> Option<String> {
        let Row {
            position,
            stream,
            version,
            previous,
            recorded_at: recorded_at_ms,
            body,
        } = row;
        if position != self.position.next().0 {
            return Some(format!("after {} comes {position}", self.position));
        }
        let index = (stream as usize).checked_sub(1);
        let Some((name, head)) =
            index.and_then(|index| Some((self.names.get(index)?, self.heads.get_mut(index)?)))
        else {
            return Some(format!("its stream {stream} is unknown"));
        };
        if version != head.version.next().0 {
            return Some(format!(
                "version {version} follows {} in its stream",
                head.version
            ));
        }
        if previous != head.position.0 {
            return Some(format!(
                "it links back to {previous} instead of {}",
                head.position
            ));
        }
        let recorded_at = Timestamp::from_millis(recorded_at_ms);
        if recorded_at.as_millis() != recorded_at_ms || recorded_at < self.recorded_at {
            return Some("its time is before that of the event before".to_owned());
        }
        let link = Link {
            position: LogPosition(position),
            stream: name,
            version: StreamVersion(version),
            previous: LogPosition(previous),
            recorded_at,
            body,
        };
        let expected = link.hash(&self.hash);
        if hash.is_some_and(|hash| hash != expected) {
            return Some("its hash does not fit".to_owned());
        }
        *head = StreamHead {
            version: StreamVersion(version),
            position: LogPosition(position),
        };
        self.position = LogPosition(position);
        self.recorded_at = recorded_at;
        self.hash = expected;
        None
    }

    /// How many streams have events.
    pub(super) fn streams_with_events(&self) -> u64 {
        self.heads
            .iter()
            .filter(|head| head.version != StreamVersion::ZERO)
            .count() as u64
    }
}

/// The time and hash of one of the newer events, which are never packed.
pub(super) fn event_mark(
    connection: &Connection,
    position: LogPosition,
) -> rusqlite::Result<Option<(Timestamp, Hash)>> {
    connection
        .prepare_cached("SELECT recorded_at, hash FROM events WHERE position = ?1")?
        .query_row([position.0 as i64], |row| {
            Ok((Timestamp::from_millis(row.get(0)?), row.get::<_, Hash>(1)?))
        })
        .optional()
}
