//! The one door to events, wherever they lie: one by one, or packed in blocks.

use std::ops::ControlFlow;
use std::sync::Arc;

use muster_model::LogPosition;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};

use super::block::{Block, Cache, Row, Unpacked};
use super::chain::Hash;
use super::error::LogError;

/// Why events could not be read.
#[derive(Debug)]
pub(super) enum RowError {
    /// SQLite could not.
    Sql(rusqlite::Error),
    /// A block is not what was packed.
    Block { first: LogPosition },
}

pub(super) const BLOCK_DAMAGED: &str = "the block that it is packed in is damaged";

impl From<rusqlite::Error> for RowError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<RowError> for LogError {
    fn from(error: RowError) -> Self {
        match error {
            RowError::Sql(error) => error.into(),
            RowError::Block { first } => Self::Damaged {
                position: first,
                what: BLOCK_DAMAGED,
            },
        }
    }
}

/// Is shown an event, and its hash where that is written down.
pub(super) type Visitor<'a, E> = dyn FnMut(Row<'_>, Option<Hash>) -> Result<ControlFlow<()>, E> + 'a;

/// Visits the events from `first` to `last` (both included) in order until the visitor breaks. The caller holds a read transaction, so that nothing is packed under its eyes. Where positions are missing, the
/// visitor sees it.
pub(super) fn visit<E: From<RowError>>(
    connection: &Connection,
    first: u64,
    last: u64,
    visitor: &mut Visitor<'_, E>,
) -> Result<(), E> {
    let sql = |error| E::from(RowError::Sql(error));
    let mut blocks = connection
        .prepare_cached(
            "SELECT first, last, recorded_at, hash, packed, seal FROM blocks WHERE last >= ?1 ORDER BY last",
        )
        .map_err(sql)?;
    let mut packed = blocks.query([first as i64]).map_err(sql)?;
    let mut next = first;
    while let Some(row) = packed.next().map_err(sql)? {
        // Blocks that lie behind what is asked for are not read.
        if row.get::<_, i64>(0).map_err(sql)? > last as i64 {
            break;
        }
        let block = read(row)?;
        // What lies before it would be plain.
        if block.first.0 > next && plain(connection, next, last.min(block.first.0 - 1), visitor)?.is_break() {
            return Ok(());
        }
        let unpacked = unpack(&block)?;
        for row in unpacked.rows() {
            if row.position < next || row.position > last {
                continue;
            }
            let hash = (row.position == block.last.0).then_some(block.hash);
            if visitor(row, hash)?.is_break() {
                return Ok(());
            }
        }
        next = block.last.0 + 1;
    }
    if next <= last {
        let _ = plain(connection, next, last, visitor)?;
    }
    Ok(())
}

fn plain<E: From<RowError>>(
    connection: &Connection,
    first: u64,
    last: u64,
    visitor: &mut Visitor<'_, E>,
) -> Result<ControlFlow<()>, E> {
    let sql = |error| E::from(RowError::Sql(error));
    let mut statement = connection
        .prepare_cached(
            "SELECT position, stream, version, previous, recorded_at, body, hash FROM events \
             WHERE position >= ?1 AND position <= ?2 ORDER BY position",
        )
        .map_err(sql)?;
    let mut rows = statement.query([first as i64, last as i64]).map_err(sql)?;
    while let Some(row) = rows.next().map_err(sql)? {
        let get = || -> rusqlite::Result<_> {
            let hash = row.get_ref(6)?.as_blob()?;
            let row = Row {
                position: row.get::<_, i64>(0)? as u64,
                // A number that cannot be one is that of no stream.
                stream: u32::try_from(row.get::<_, i64>(1)?).unwrap_or(0),
                version: row.get::<_, i64>(2)? as u64,
                previous: row.get::<_, i64>(3)? as u64,
                recorded_at: row.get(4)?,
                body: row.get_ref(5)?.as_blob()?,
            };
            // A hash of another length fits nothing.
            Ok((row, hash.try_into().unwrap_or([0xff; 16])))
        };
        let (row, hash) = get().map_err(sql)?;
        if visitor(row, Some(hash))?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Calls `found` with the event at a position, if there is one.
pub(super) fn at<T>(
    connection: &Connection,
    cache: &Mutex<Cache>,
    position: u64,
    found: impl FnOnce(Row<'_>) -> T,
) -> Result<Option<T>, RowError> {
    let mut found = Some(found);
    // What is packed in between is plain before and in a block after: this order cannot miss it.
    let mut statement = connection.prepare_cached(
        "SELECT stream, version, previous, recorded_at, body FROM events WHERE position = ?1",
    )?;
    let answer = statement
        .query_row([position as i64], |row| {
            let row = Row {
                position,
                stream: u32::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
                version: row.get::<_, i64>(1)? as u64,
                previous: row.get::<_, i64>(2)? as u64,
                recorded_at: row.get(3)?,
                body: row.get_ref(4)?.as_blob()?,
            };
            Ok(found.take().map(|found| found(row)))
        })
        .optional()?;
    if let Some(answer) = answer {
        return Ok(answer);
    }
    let block = unpacked_at(connection, cache, position)?;
    Ok(block
        .as_deref()
        .and_then(|block| block.get(position))
        .and_then(|row| found.take().map(|found| found(row))))
}

fn unpacked_at(
    connection: &Connection,
    cache: &Mutex<Cache>,
    position: u64,
) -> Result<Option<Arc<Unpacked>>, RowError> {
    let bounds = connection
        .prepare_cached("SELECT first, last FROM blocks WHERE last >= ?1 ORDER BY last LIMIT 1")?
        .query_row([position as i64], |row| {
            Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64))
        })
        .optional()?;
    let Some((_, last)) = bounds.filter(|(first, _)| *first <= position) else {
        return Ok(None);
    };
    if let Some(block) = cache.lock().get(last) {
        return Ok(Some(block));
    }
    let mut statement = connection
        .prepare_cached("SELECT first, last, recorded_at, hash, packed, seal FROM blocks WHERE last = ?1")?;
    let mut rows = statement.query([last as i64])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let block = Arc::new(unpack(&read::<RowError>(row)?)?);
    cache.lock().put(last, block.clone());
    Ok(Some(block))
}

/// A block, if its seal is whole.
fn read<E: From<RowError>>(row: &rusqlite::Row<'_>) -> Result<Block, E> {
    let get = || -> rusqlite::Result<_> {
        let block = Block {
            first: LogPosition(row.get::<_, i64>(0)? as u64),
            last: LogPosition(row.get::<_, i64>(1)? as u64),
            recorded_at: row.get(2)?,
            hash: row.get_ref(3)?.as_blob()?.try_into().unwrap_or([0; 16]),
            packed: row.get_ref(4)?.as_blob()?.to_vec(),
        };
        let whole = row.get_ref(5)?.as_blob()? == block.seal();
        Ok((block, whole))
    };
    match get().map_err(RowError::Sql)? {
        (block, true) => Ok(block),
        (block, false) => Err(RowError::Block { first: block.first }.into()),
    }
}

fn unpack(block: &Block) -> Result<Unpacked, RowError> {
    block.unpack().ok_or(RowError::Block { first: block.first })
}

/// The hash of the event at a position that ends a block or is plain; that before the first event is known.
pub(super) fn hash_at(connection: &Connection, position: u64) -> rusqlite::Result<Option<Hash>> {
    if position == 0 {
        return Ok(Some(super::chain::GENESIS));
    }
    connection
        .prepare_cached(
            "SELECT hash FROM events WHERE position = ?1 UNION ALL SELECT hash FROM blocks WHERE last = ?1",
        )?
        .query_row(params![position as i64], |row| row.get::<_, Hash>(0))
        .optional()
}
