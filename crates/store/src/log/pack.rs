//! Packs old events into blocks, a block at a time.

use std::ops::ControlFlow;
use std::sync::Arc;

use muster_model::{LogPosition, StreamVersion, Timestamp};
use rusqlite::{Connection, params};

use super::block::{self, BLOCK_BYTES, Block, Row};
use super::chain::Link;
use super::error::LogError;
use super::rows;
use super::types::Usage;

struct Owned {
    stream: u32,
    version: u64,
    previous: u64,
    recorded_at: i64,
    body: Vec<u8>,
}

/// The next block, if enough events for one lie before `before` and before what a restart reads.
///
/// It is sound: the chain over its events was computed anew, and it was unpacked again. Where that fails everything is
/// left as it is, because what is damaged is evidence.
pub(super) fn next(
    connection: &Connection,
    streams: &[Arc<str>],
    before: LogPosition,
    block_rows: u64,
) -> Result<Option<Block>, LogError> {
    let transaction = connection.unchecked_transaction()?;
    // Without a checkpoint a restart reads everything, and packed as well as plain.
    let needed: Option<i64> = transaction.query_row(
        "SELECT min(position) FROM checkpoints WHERE heads IS NOT NULL",
        [],
        |row| row.get(0),
    )?;
    let Some(needed) = needed else {
        return Ok(None);
    };
    let packed: Option<i64> = transaction.query_row("SELECT max(last) FROM blocks", [], |row| row.get(0))?;
    let first = packed.unwrap_or(0) as u64 + 1;
    // The event at a checkpoint is looked at, too.
    let end = before.0.min(needed as u64);
    let mut taken: Vec<Owned> = Vec::new();
    let mut bytes = 0;
    let Some(mut hash) = rows::hash_at(&transaction, first - 1)? else {
        return Err(damaged(first - 1, "it is missing"));
    };
    let last = end.saturating_sub(1).min(first + block_rows - 1);
    rows::visit(&transaction, first, last, &mut |row, stored| {
        if row.position != first + taken.len() as u64 {
            return Err(damaged(first + taken.len() as u64, "it is missing"));
        }
        let Some(text) = (row.stream as usize)
            .checked_sub(1)
            .and_then(|index| streams.get(index))
        else {
            return Err(damaged(row.position, "its stream is unknown"));
        };
        hash = Link {
            position: LogPosition(row.position),
            stream: text,
            version: StreamVersion(row.version),
            previous: LogPosition(row.previous),
            recorded_at: Timestamp::from_millis(row.recorded_at),
            body: row.body,
        }
        .hash(&hash);
        if stored != Some(hash) {
            return Err(damaged(row.position, "its hash does not fit"));
        }
        bytes += row.body.len();
        taken.push(Owned {
            stream: row.stream,
            version: row.version,
            previous: row.previous,
            recorded_at: row.recorded_at,
            body: row.body.to_vec(),
        });
        Ok(match bytes >= BLOCK_BYTES {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    })?;
    drop(transaction);
    if (taken.len() as u64) < block_rows && bytes < BLOCK_BYTES {
        return Ok(None);
    }
    let rows: Vec<Row<'_>> = (first..)
        .zip(&taken)
        .map(|(position, row)| Row {
            position,
            stream: row.stream,
            version: row.version,
            previous: row.previous,
            recorded_at: row.recorded_at,
            body: &row.body,
        })
        .collect();
    let failed = |_| damaged(first, "it cannot be packed");
    let block = Block {
        first: LogPosition(first),
        last: LogPosition(first + rows.len() as u64 - 1),
        recorded_at: rows[0].recorded_at,
        hash,
        packed: block::pack(&rows).map_err(failed)?,
    };
    let same = block
        .unpack()
        .is_some_and(|unpacked| unpacked.rows().eq(rows.iter().copied()));
    if same {
        Ok(Some(block))
    } else {
        Err(damaged(first, "it cannot be packed"))
    }
}

fn damaged(position: u64, what: &'static str) -> LogError {
    LogError::Damaged {
        position: LogPosition(position),
        what,
    }
}

/// Puts a block in the place of its events; part of a transaction.
pub(super) fn put(connection: &Connection, block: &Block) -> rusqlite::Result<()> {
    let (first, last) = (block.first.0 as i64, block.last.0 as i64);
    let removed = connection
        .prepare_cached("DELETE FROM events WHERE position BETWEEN ?1 AND ?2")?
        .execute([first, last])?;
    if removed as i64 != last - first + 1 {
        // They were there a moment ago, and nobody else removes any: nothing may be written any more.
        return Err(rusqlite::Error::StatementChangedRows(removed));
    }
    connection
        .prepare_cached("INSERT INTO blocks VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![
            last,
            first,
            block.recorded_at,
            block.hash.as_slice(),
            block.packed,
            block.seal().as_slice(),
        ])?;
    Ok(())
}

pub(super) fn usage(connection: &Connection) -> Result<Usage, LogError> {
    let blocks =
        "SELECT coalesce(sum(last - first + 1), 0), coalesce(sum(length(packed) + 64), 0) FROM blocks";
    let snapshots = "SELECT count(*), coalesce(sum(length(body) + 32), 0) FROM snapshots";
    let two = |sql| -> rusqlite::Result<(i64, i64)> {
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
    };
    let ((packed_events, packed_bytes), (snapshots, snapshot_bytes)) = (two(blocks)?, two(snapshots)?);
    Ok(Usage {
        packed_events: packed_events as u64,
        packed_bytes: packed_bytes as u64,
        snapshots: snapshots as u64,
        snapshot_bytes: snapshot_bytes as u64,
    })
}
