//! A run of events as one piece of bytes: numbers in columns, bodies side by side by stream, compressed together.
//!
//! Nothing of an event is left out but its hash, which follows from the rest and the hash before.

use std::collections::HashMap;
use std::ops::Range;

use muster_model::LogPosition;

use super::chain::{self, Hash};
use crate::varint;

/// Most events of a block.
pub(super) const BLOCK_MAX_ROWS: u64 = 512;
/// A block takes no further event once its bodies have this many bytes.
pub(super) const BLOCK_BYTES: usize = 1 << 20;
/// The largest block when unpacked: bodies up to the bound, one more of the largest kind, and the numbers.
const UNPACKED_MAX_BYTES: usize = BLOCK_BYTES + super::BODY_MAX_BYTES + BLOCK_MAX_ROWS as usize * 5 * 10 + 16;
/// A third smaller than at level 3, and still a hundred thousand events a second.
const LEVEL: i32 = 9;

/// An event as it lies on disk, wherever it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row<'a> {
    pub(super) position: u64,
    pub(super) stream: u32,
    pub(super) version: u64,
    pub(super) previous: u64,
    pub(super) recorded_at: i64,
    pub(super) body: &'a [u8],
}

/// A block as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) first: LogPosition,
    pub(super) last: LogPosition,
    pub(super) recorded_at: i64,
    /// The hash of its last event.
    pub(super) hash: Hash,
    pub(super) packed: Vec<u8>,
}

/// The events of a block.
#[derive(Debug)]
pub(super) struct Unpacked {
    first: u64,
    numbers: Vec<Numbers>,
    content: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Numbers {
    stream: u32,
    version: u64,
    previous: u64,
    recorded_at: i64,
    body: Range<usize>,
}

/// Packs events that follow each other without a gap.
pub(super) fn pack(rows: &[Row<'_>]) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::with_capacity(rows.iter().map(|row| row.body.len() + 16).sum());
    varint::put(&mut content, rows.len() as u64);
    rows.iter()
        .for_each(|row| varint::put(&mut content, row.stream.into()));
    rows.iter().for_each(|row| varint::put(&mut content, row.version));
    // How far back the event before in its stream is; zero where there is none.
    for row in rows {
        let back = if row.previous == 0 {
            0
        } else {
            row.position - row.previous
        };
        varint::put(&mut content, back);
    }
    let mut time = rows.first().map_or(0, |row| row.recorded_at);
    for row in rows {
        varint::put(&mut content, (row.recorded_at - time) as u64);
        time = row.recorded_at;
    }
    rows.iter()
        .for_each(|row| varint::put(&mut content, row.body.len() as u64));
    // Bodies of one stream resemble each other most.
    for index in by_stream(rows.iter().map(|row| row.stream)) {
        content.extend_from_slice(rows[index].body);
    }
    zstd::bulk::compress(&content, LEVEL)
}

/// The places of rows in the order of their streams, and of time within each.
fn by_stream(streams: impl Iterator<Item = u32>) -> Vec<usize> {
    let mut order: Vec<(u32, usize)> = streams
        .enumerate()
        .map(|(index, stream)| (stream, index))
        .collect();
    order.sort_unstable();
    order.into_iter().map(|(_, index)| index).collect()
}

impl Block {
    /// The hash over everything in it.
    pub(super) fn seal(&self) -> Hash {
        let mut head = [0_u8; 40];
        let numbers = [self.first.0, self.last.0, self.recorded_at as u64];
        for (slot, number) in head.chunks_exact_mut(8).zip(numbers) {
            slot.copy_from_slice(&number.to_le_bytes());
        }
        head[24..].copy_from_slice(&self.hash);
        chain::parts(&head, &self.packed)
    }

    /// Its events; none where it is not what was packed.
    pub(super) fn unpack(&self) -> Option<Unpacked> {
        let content = zstd::bulk::decompress(&self.packed, UNPACKED_MAX_BYTES).ok()?;
        let unpacked = Unpacked::read(self.first.0, self.recorded_at, content)?;
        (unpacked.numbers.len() as u64 == self.last.0.checked_sub(self.first.0)? + 1).then_some(unpacked)
    }
}

impl Unpacked {
    fn read(first: u64, recorded_at: i64, content: Vec<u8>) -> Option<Self> {
        let mut rest = content.as_slice();
        let count = varint::take(&mut rest).filter(|count| (1..=BLOCK_MAX_ROWS).contains(count))? as usize;
        let mut column = || -> Option<Vec<u64>> { (0..count).map(|_| varint::take(&mut rest)).collect() };
        let (streams, versions, back, times, lengths) =
            (column()?, column()?, column()?, column()?, column()?);
        let mut time = recorded_at;
        let mut numbers = Vec::with_capacity(count);
        for (index, position) in (0..count).zip(first..) {
            time = time.checked_add(i64::try_from(times[index]).ok()?)?;
            let previous = match back[index] {
                0 => 0,
                back => position.checked_sub(back)?,
            };
            numbers.push(Numbers {
                stream: u32::try_from(streams[index]).ok()?,
                version: versions[index],
                previous,
                recorded_at: time,
                body: 0..0,
            });
        }
        let mut at = content.len() - rest.len();
        for index in by_stream(numbers.iter().map(|numbers| numbers.stream)) {
            let end = at.checked_add(usize::try_from(lengths[index]).ok()?)?;
            numbers[index].body = at..end;
            at = end;
        }
        (at == content.len()).then_some(Self {
            first,
            numbers,
            content,
        })
    }

    /// The event at a position.
    pub(super) fn get(&self, position: u64) -> Option<Row<'_>> {
        let index = usize::try_from(position.checked_sub(self.first)?).ok()?;
        let numbers = self.numbers.get(index)?;
        Some(Row {
            position,
            stream: numbers.stream,
            version: numbers.version,
            previous: numbers.previous,
            recorded_at: numbers.recorded_at,
            body: &self.content[numbers.body.clone()],
        })
    }

    /// All of them, in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        (self.first..)
            .take(self.numbers.len())
            .filter_map(|position| self.get(position))
    }
}

/// Blocks that were used last, unpacked: who walks one stream back comes to the same block again and again.
#[derive(Debug, Default)]
pub(super) struct Cache {
    blocks: HashMap<u64, (u64, std::sync::Arc<Unpacked>)>,
    used: u64,
}

/// Blocks in the cache. One is about 150 KiB, and at most 2 MiB.
const CACHED_MAX: usize = 16;

impl Cache {
    pub(super) fn get(&mut self, last: u64) -> Option<std::sync::Arc<Unpacked>> {
        self.used += 1;
        let (used, block) = self.blocks.get_mut(&last)?;
        *used = self.used;
        Some(block.clone())
    }

    pub(super) fn put(&mut self, last: u64, block: std::sync::Arc<Unpacked>) {
        if self.blocks.len() >= CACHED_MAX
            && let Some(oldest) = self.blocks.iter().min_by_key(|(_, (used, _))| *used)
        {
            let oldest = *oldest.0;
            self.blocks.remove(&oldest);
        }
        self.used += 1;
        self.blocks.insert(last, (self.used, block));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Given = (u32, u64, Option<u64>, u32, Vec<u8>);

    fn rows(first: u64, given: &[Given]) -> Vec<Row<'_>> {
        let mut recorded_at = 1_700_000_000_000;
        (first..)
            .zip(given)
            .map(|(position, (stream, version, back, later, body))| {
                recorded_at += i64::from(*later);
                Row {
                    position,
                    stream: *stream,
                    version: *version,
                    previous: back.map_or(0, |back| position - 1 - back % position.max(1)),
                    recorded_at,
                    body,
                }
            })
            .collect()
    }

    fn block(rows: &[Row<'_>]) -> Block {
        Block {
            first: LogPosition(rows[0].position),
            last: LogPosition(rows[rows.len() - 1].position),
            recorded_at: rows[0].recorded_at,
            hash: [7; 16],
            packed: pack(rows).unwrap(),
        }
    }

    fn given() -> impl Strategy<Value = Vec<Given>> {
        let body = prop::collection::vec(any::<u8>(), 0..60);
        let one = (1..9_u32, any::<u64>(), any::<Option<u64>>(), any::<u32>(), body);
        prop::collection::vec(one, 1..60)
    }

    proptest! {
        #[test]
        fn comes_back_as_it_was(first in 1..u64::MAX / 2, given in given()) {
            let rows = rows(first, &given);
            let unpacked = block(&rows).unpack().unwrap();
            prop_assert_eq!(unpacked.rows().collect::<Vec<_>>(), rows.clone());
            prop_assert_eq!(unpacked.get(first - 1), None);
            prop_assert_eq!(unpacked.get(first + rows.len() as u64), None);
        }

        #[test]
        fn a_flipped_bit_breaks_the_seal(given in given(), byte: prop::sample::Index, bit in 0..8_u8) {
            let mut block = block(&rows(5, &given));
            let seal = block.seal();
            let byte = byte.index(block.packed.len());
            block.packed[byte] ^= 1 << bit;
            prop_assert_ne!(block.seal(), seal);
        }

        #[test]
        fn any_bytes_are_read_or_refused(first: u64, recorded_at: i64, content: Vec<u8>, packed: Vec<u8>) {
            if let Some(unpacked) = Unpacked::read(first, recorded_at, content) {
                prop_assert_eq!(unpacked.rows().count(), unpacked.numbers.len());
            }
            let block = Block { first: LogPosition(first), last: LogPosition(first), recorded_at, hash: [0; 16], packed };
            let _ = block.unpack();
        }
    }

    #[test]
    fn a_block_that_says_it_is_huge_takes_no_memory() {
        let packed = zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap();
        let block = Block {
            first: LogPosition(1),
            last: LogPosition(1),
            recorded_at: 0,
            hash: [0; 16],
            packed,
        };
        assert!(block.unpack().is_none());
    }

    #[test]
    fn like_bodies_pack_well() {
        let bodies: Vec<String> = (0..BLOCK_MAX_ROWS)
            .map(|n| format!(r#"{{"state_reported":{{"record":{n},"version":{n},"at":"2026-11-21T15:21:{:02}.481Z","change":{{"patch":{{"thermal":{{"highest_celsius":{}.{}}}}}}}}}}}"#, n % 60, 40 + n % 17, n % 10))
            .collect();
        let rows: Vec<Row<'_>> = (1..)
            .zip(&bodies)
            .map(|(position, body)| Row {
                position,
                stream: (position % 100) as u32,
                version: position / 100,
                previous: position.saturating_sub(100),
                recorded_at: position as i64,
                body: body.as_bytes(),
            })
            .collect();
        let (plain, packed) = (
            bodies.iter().map(String::len).sum::<usize>(),
            pack(&rows).unwrap().len(),
        );
        assert!(packed * 6 < plain, "{packed} of {plain}");
    }

    #[test]
    fn the_cache_forgets_what_was_used_longest_ago() {
        let one = || std::sync::Arc::new(block(&rows(1, &[(1, 1, None, 0, vec![])])).unpack().unwrap());
        let mut cache = Cache::default();
        for last in 0..CACHED_MAX as u64 {
            cache.put(last, one());
        }
        assert!(cache.get(0).is_some());
        cache.put(99, one());
        assert!(cache.get(0).is_some() && cache.get(99).is_some() && cache.get(1).is_none());
        assert_eq!(cache.blocks.len(), CACHED_MAX);
    }
}
