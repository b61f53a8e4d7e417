//! Checkpoints: the states of streams at a position, and where every stream ended there.
//!
//! All of it can be derived from the events. Damage is noticed by hashes and costs time, never the truth.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use muster_model::{LogPosition, StreamVersion, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::chain::{self, Hash};
use super::error::LogError;
use super::reply::Reply;
use super::restore::event_mark;
use super::streams::Streams;
use super::types::{Snapshot, Snapshots, StreamHead, StreamName};
use crate::varint;

/// How many snapshots are written between two commits of events.
const SLICE_ROWS: usize = 500;
/// How many checkpoints keep where the streams ended; older ones serve time travel only.
pub(super) const HEADS_KEPT: i64 = 3;
/// Bodies below this are not worth compressing.
const COMPRESS_MIN_BYTES: usize = 128;
const COMPRESSION_LEVEL: i32 = 1;
/// Largest state of one stream.
const STATE_MAX_BYTES: usize = 16 << 20;
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;

/// A snapshot as it is stored.
pub(super) struct EncodedSnapshot {
    pub(super) stream: StreamName,
    pub(super) stored: Vec<u8>,
    pub(super) hash: Hash,
}

/// Where every stream ended at a position.
pub(super) struct Heads {
    pub(super) position: LogPosition,
    pub(super) recorded_at: Timestamp,
    /// The hash of the event at the position.
    pub(super) hash: Hash,
    pub(super) heads: Vec<(u32, StreamHead)>,
}

/// Compresses and seals states. Costs processor time, needs no disk.
pub(super) fn encode(position: LogPosition, changed: Vec<(StreamName, Vec<u8>)>) -> Vec<EncodedSnapshot> {
    let mut compressor = zstd::bulk::Compressor::new(COMPRESSION_LEVEL).ok();
    let seal = |(stream, body): (StreamName, Vec<u8>)| {
        let compressed = match &mut compressor {
            Some(compressor) if body.len() >= COMPRESS_MIN_BYTES => compressor.compress(&body).ok(),
            _ => None,
        };
        let (kind, content) = match &compressed {
            // The length goes before the content, hence the 4.
            Some(compressed) if compressed.len() + 4 < body.len() => (ZSTD, compressed),
            _ => (PLAIN, &body),
        };
        let mut stored = Vec::with_capacity(content.len() + 5);
        stored.push(kind);
        if kind == ZSTD {
            stored.extend_from_slice(&(body.len() as u32).to_le_bytes());
        }
        stored.extend_from_slice(content);
        let hash = chain::snapshot(&stream.to_string(), position, &stored);
        EncodedSnapshot { stream, stored, hash }
    };
    changed.into_iter().map(seal).collect()
}

fn decode(
    stream: &str,
    position: LogPosition,
    stored: &[u8],
    hash: &[u8],
    decompressor: &mut zstd::bulk::Decompressor<'_>,
) -> Option<Bytes> {
    if chain::snapshot(stream, position, stored) != hash {
        return None;
    }
    match stored.split_first()? {
        (&PLAIN, body) => Some(Bytes::copy_from_slice(body)),
        (&ZSTD, rest) => {
            let (length, content) = rest.split_first_chunk()?;
            let length = u32::from_le_bytes(*length) as usize;
            let body = decompressor
                .decompress(content, length.min(STATE_MAX_BYTES))
                .ok()?;
            (body.len() == length).then(|| body.into())
        }
        _ => None,
    }
}

/// A checkpoint that is being written, slice by slice between the commits of events.
///
/// Its own row comes last: a snapshot without it is not seen, because loading goes by checkpoints.
pub(super) struct Job {
    prepared: Prepared,
    done: bool,
    pub(super) reply: Reply<()>,
}

pub(super) struct Prepared {
    position: LogPosition,
    recorded_at: Timestamp,
    rows: VecDeque<(u32, EncodedSnapshot)>,
    heads: Vec<u8>,
}

impl Prepared {
    pub(super) fn into_job(self, reply: Reply<()>) -> Job {
        Job {
            prepared: self,
            done: false,
            reply,
        }
    }
}

/// Checks a checkpoint against the log and finds where the streams ended there.
pub(super) fn prepare(
    connection: &Connection,
    streams: &Streams,
    newest: LogPosition,
    position: LogPosition,
    recorded_at: Timestamp,
    rows: Vec<EncodedSnapshot>,
) -> Result<Prepared, LogError> {
    let head = streams.position;
    let out_of_range = LogError::CheckpointOutOfRange {
        position,
        newest,
        head,
    };
    if position < newest || position > head {
        return Err(out_of_range);
    }
    let Some((_, hash)) = event_mark(connection, position)? else {
        return Err(out_of_range);
    };
    let heads = heads_at(connection, streams, position)?;
    let numbered = rows.into_iter().map(|row| match streams.get(&row.stream) {
        Some(stream) if heads.contains_key(&stream.id) => Ok((stream.id, row)),
        _ => Err(LogError::UnknownStream { stream: row.stream }),
    });
    let rows = numbered.collect::<Result<_, _>>()?;
    let mut sorted: Vec<_> = heads.into_iter().collect();
    sorted.sort_unstable_by_key(|(id, _)| *id);
    Ok(Prepared {
        position,
        recorded_at,
        rows,
        heads: encode_heads(position, &hash, &sorted),
    })
}

/// Where streams ended at a position: where they end now, and before that where an event since tells so.
fn heads_at(
    connection: &Connection,
    streams: &Streams,
    position: LogPosition,
) -> rusqlite::Result<HashMap<u32, StreamHead>> {
    let mut heads: HashMap<u32, StreamHead> = streams
        .iter()
        .filter(|stream| stream.head.position <= position && stream.head.version != StreamVersion::ZERO)
        .map(|stream| (stream.id, stream.head))
        .collect();
    let mut seen = std::collections::HashSet::new();
    let mut statement = connection.prepare_cached(
        "SELECT stream, version, previous FROM events WHERE position > ?1 ORDER BY position",
    )?;
    let mut rows = statement.query([position.0 as i64])?;
    while let Some(row) = rows.next()? {
        let id: u32 = row.get(0)?;
        if seen.insert(id) {
            let version = row.get::<_, i64>(1)? as u64 - 1;
            let previous = row.get::<_, i64>(2)? as u64;
            if version > 0 {
                let head = StreamHead {
                    version: StreamVersion(version),
                    position: LogPosition(previous),
                };
                heads.insert(id, head);
            }
        }
    }
    Ok(heads)
}

impl Job {
    pub(super) fn position(&self) -> LogPosition {
        self.prepared.position
    }

    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Writes the next part in a transaction of its own; says how many bytes that were.
    pub(super) fn write_slice(&mut self, connection: &Connection) -> rusqlite::Result<usize> {
        let position = self.prepared.position.0 as i64;
        let rows = &mut self.prepared.rows;
        let last = rows.len() <= SLICE_ROWS;
        let mut bytes = 0;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut insert =
            connection.prepare_cached("INSERT OR REPLACE INTO snapshots VALUES (?1, ?2, ?3, ?4)")?;
        for (id, row) in rows.drain(..rows.len().min(SLICE_ROWS)) {
            insert.execute(params![id, position, row.stored, row.hash.as_slice()])?;
            // Rows of many streams land on many pages, each of which is written whole.
            bytes += row.stored.len() + 1024;
        }
        if last {
            connection.execute(
                "INSERT OR REPLACE INTO checkpoints VALUES (?1, ?2, ?3)",
                params![
                    position,
                    self.prepared.recorded_at.as_millis(),
                    self.prepared.heads
                ],
            )?;
            connection.execute(
                "UPDATE checkpoints SET heads = NULL WHERE heads IS NOT NULL AND position < \
                 (SELECT min(position) FROM (SELECT position FROM checkpoints ORDER BY position DESC LIMIT ?1))",
                [HEADS_KEPT],
            )?;
        }
        connection.execute_batch("COMMIT")?;
        self.done = last;
        Ok(bytes)
    }
}

fn encode_heads(position: LogPosition, hash: &Hash, heads: &[(u32, StreamHead)]) -> Vec<u8> {
    let mut content = Vec::with_capacity(32 + heads.len() * 9);
    content.extend_from_slice(hash);
    varint::put(&mut content, position.0);
    varint::put(&mut content, heads.len() as u64);
    for (id, head) in heads {
        varint::put(&mut content, u64::from(*id));
        varint::put(&mut content, head.version.0);
        varint::put(&mut content, head.position.0);
    }
    let mut sealed = chain::plain(&content).to_vec();
    sealed.append(&mut content);
    sealed
}

/// The hash of the event at the position, and where the streams ended.
fn decode_heads(position: LogPosition, sealed: &[u8]) -> Option<(Hash, Vec<(u32, StreamHead)>)> {
    let (seal, content) = sealed.split_first_chunk::<16>()?;
    if chain::plain(content) != *seal {
        return None;
    }
    let (hash, mut rest) = content.split_first_chunk::<16>()?;
    if varint::take(&mut rest)? != position.0 {
        return None;
    }
    let count = varint::take(&mut rest)?;
    let mut heads = Vec::new();
    for _ in 0..count {
        let id = u32::try_from(varint::take(&mut rest)?).ok()?;
        let version = StreamVersion(varint::take(&mut rest)?);
        let position = LogPosition(varint::take(&mut rest)?);
        heads.push((id, StreamHead { version, position }));
    }
    Some((*hash, heads))
}

/// The newest sound knowledge of where the streams ended; `None` means: walk the log from its beginning.
pub(super) fn newest_heads(connection: &Connection, head: LogPosition) -> rusqlite::Result<Option<Heads>> {
    let mut statement = connection
        .prepare("SELECT position, heads FROM checkpoints WHERE heads IS NOT NULL ORDER BY position DESC")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let position = LogPosition(row.get::<_, i64>(0)? as u64);
        if position > head {
            tracing::warn!(%position, %head, "a checkpoint ahead of the log is ignored");
            continue;
        }
        let decoded = decode_heads(position, row.get_ref(1)?.as_blob()?);
        let mark = event_mark(connection, position).unwrap_or(None);
        match (decoded, mark) {
            (Some((hash, heads)), Some((recorded_at, in_log))) if hash == in_log => {
                return Ok(Some(Heads {
                    position,
                    recorded_at,
                    hash,
                    heads,
                }));
            }
            _ => tracing::warn!(%position, "a damaged checkpoint is skipped"),
        }
    }
    Ok(None)
}

/// The position of the newest checkpoint that is not ahead of the log.
pub(super) fn newest_checkpoint(connection: &Connection) -> rusqlite::Result<LogPosition> {
    let head = super::restore::head(connection)?;
    let sql = "SELECT max(position) FROM checkpoints WHERE position <= ?1";
    let newest: Option<i64> = connection.query_row(sql, [head.0 as i64], |row| row.get(0))?;
    Ok(LogPosition(newest.unwrap_or(0) as u64))
}

/// Loads the newest checkpoint at or before `at` of which every snapshot is sound.
pub(super) fn load(
    connection: &Connection,
    names: &[(u32, StreamName)],
    at: LogPosition,
) -> Result<Snapshots, LogError> {
    // What is thinned out meanwhile is still there for this transaction.
    let transaction = connection.unchecked_transaction()?;
    let connection: &Connection = &transaction;
    let mut damaged: Vec<StreamName> = Vec::new();
    let mut at = at;
    loop {
        let checkpoint = connection
            .prepare_cached(
                "SELECT position, recorded_at FROM checkpoints WHERE position <= ?1 ORDER BY position DESC LIMIT 1",
            )?
            .query_row([at.0 as i64], |row| {
                Ok((LogPosition(row.get::<_, i64>(0)? as u64), Timestamp::from_millis(row.get(1)?)))
            })
            .optional()?;
        let Some((checkpoint, recorded_at)) = checkpoint else {
            return Ok(Snapshots {
                damaged,
                ..Snapshots::default()
            });
        };
        let (snapshots, bad) = load_at(connection, names, checkpoint)?;
        let Some(oldest_bad) = bad.iter().map(|(position, _)| *position).min() else {
            return Ok(Snapshots {
                checkpoint,
                recorded_at: Some(recorded_at),
                snapshots,
                damaged,
            });
        };
        for (position, stream) in bad {
            tracing::warn!(%stream, %position, "a damaged snapshot is skipped");
            if !damaged.contains(&stream) {
                damaged.push(stream);
            }
        }
        // An older snapshot of that stream would be wrong at this checkpoint, so all go back to an older one.
        at = LogPosition(oldest_bad.0.saturating_sub(1));
    }
}

type Bad = Vec<(LogPosition, StreamName)>;

fn load_at(
    connection: &Connection,
    names: &[(u32, StreamName)],
    checkpoint: LogPosition,
) -> Result<(Vec<Snapshot>, Bad), LogError> {
    let mut decompressor = zstd::bulk::Decompressor::new().map_err(|error| LogError::Read {
        source: std::sync::Arc::new(rusqlite::Error::ToSqlConversionFailure(error.into())),
    })?;
    let mut statement = connection.prepare_cached(
        "SELECT position, body, hash FROM snapshots WHERE stream = ?1 AND position <= ?2 \
         ORDER BY position DESC LIMIT 1",
    )?;
    let mut snapshots = Vec::with_capacity(names.len());
    let mut bad = Vec::new();
    for (id, name) in names {
        let mut rows = statement.query(params![id, checkpoint.0 as i64])?;
        let Some(row) = rows.next()? else {
            continue;
        };
        let position = LogPosition(row.get::<_, i64>(0)? as u64);
        let stored = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        let hash = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        match decode(&name.to_string(), position, stored, hash, &mut decompressor) {
            Some(body) => snapshots.push(Snapshot {
                stream: name.clone(),
                position,
                body,
            }),
            None => bad.push((position, name.clone())),
        }
    }
    Ok((snapshots, bad))
}

#[cfg(test)]
mod tests;
