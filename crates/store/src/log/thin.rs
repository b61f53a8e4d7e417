//! Removes checkpoints that nobody needs any more, and the snapshots that only they needed.

use muster_model::{LogPosition, Timestamp};
use rusqlite::{Connection, params};

use super::error::LogError;
use super::snapshots::HEADS_KEPT;

/// How many streams are looked through in one transaction.
const STREAMS_AT_ONCE: u32 = 500;

/// What will be removed.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) remove: Vec<LogPosition>,
    /// Neighbours among those that stay, between which something goes.
    between: Vec<(LogPosition, LogPosition)>,
}

/// A step that fits between two commits of events.
#[derive(Debug)]
pub(super) enum Part {
    /// First, so that nobody finds a checkpoint without its snapshots. A crash right after it leaves snapshots that are in
    /// nobody's way; the next step of thinning that reaches over them takes them along.
    Checkpoints(Vec<LogPosition>),
    /// Then, of these streams (both included), what lies between two checkpoints that stay and is replaced by a later one there.
    Snapshots {
        streams: (u32, u32),
        between: Vec<(LogPosition, LogPosition)>,
    },
}

pub(super) fn checkpoints(connection: &Connection) -> Result<Vec<(LogPosition, Timestamp)>, LogError> {
    let mut statement =
        connection.prepare_cached("SELECT position, recorded_at FROM checkpoints ORDER BY position")?;
    let rows = statement.query_map([], |row| {
        Ok((
            LogPosition(row.get::<_, i64>(0)? as u64),
            Timestamp::from_millis(row.get(1)?),
        ))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Which of them may really go: those that a restart could start from stay.
pub(super) fn plan(connection: &Connection, remove: &[LogPosition]) -> Result<Plan, LogError> {
    let all: Vec<LogPosition> = checkpoints(connection)?
        .into_iter()
        .map(|(position, _)| position)
        .collect();
    let free = all.len().saturating_sub(HEADS_KEPT as usize);
    let goes: Vec<bool> = all
        .iter()
        .enumerate()
        .map(|(index, position)| index < free && remove.contains(position))
        .collect();
    let mut between = Vec::new();
    let (mut before, mut gap) = (LogPosition::ZERO, false);
    for (position, goes) in all.iter().zip(&goes) {
        if *goes {
            gap = true;
            continue;
        }
        if gap {
            between.push((before, *position));
        }
        (before, gap) = (*position, false);
    }
    let remove = all
        .into_iter()
        .zip(goes)
        .filter_map(|(position, goes)| goes.then_some(position));
    Ok(Plan {
        remove: remove.collect(),
        between,
    })
}

impl Plan {
    /// Its steps, for so many streams.
    pub(super) fn parts(&self, streams: u32) -> Vec<Part> {
        if self.remove.is_empty() {
            return Vec::new();
        }
        let mut parts = vec![Part::Checkpoints(self.remove.clone())];
        let mut first = 1;
        while first <= streams {
            let last = streams.min(first + STREAMS_AT_ONCE - 1);
            parts.push(Part::Snapshots {
                streams: (first, last),
                between: self.between.clone(),
            });
            first = last + 1;
        }
        parts
    }
}

/// Part of a transaction; says how many snapshots went.
pub(super) fn carry_out(connection: &Connection, part: &Part) -> rusqlite::Result<u64> {
    match part {
        Part::Checkpoints(positions) => {
            let mut delete = connection.prepare_cached("DELETE FROM checkpoints WHERE position = ?1")?;
            for position in positions {
                delete.execute([position.0 as i64])?;
            }
            Ok(0)
        }
        Part::Snapshots {
            streams: (first, last),
            between,
        } => {
            // The newest of those up to a checkpoint that stays is the one that belongs to it.
            let mut delete = connection.prepare_cached(
                "DELETE FROM snapshots WHERE stream = ?1 AND position > ?2 AND position < \
                 (SELECT max(position) FROM snapshots WHERE stream = ?1 AND position > ?2 AND position <= ?3)",
            )?;
            let mut removed = 0;
            for stream in *first..=*last {
                for (before, stays) in between {
                    removed += delete.execute(params![stream, before.0 as i64, stays.0 as i64])? as u64;
                }
            }
            Ok(removed)
        }
    }
}
