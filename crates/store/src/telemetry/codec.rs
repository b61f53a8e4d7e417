//! How the samples of one block are written: by metric, times as differences, compressed where that pays.

use muster_model::vocabulary::Quality;

use super::memory::Stored;
use crate::varint;

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
/// Blocks below this are not worth compressing.
const COMPRESS_MIN_BYTES: usize = 256;
const COMPRESSION_LEVEL: i32 = 1;
/// No block unpacks to more than this.
const CONTENT_MAX_BYTES: usize = 64 << 20;
/// No sample takes less: a byte for its time, and its value.
const SAMPLE_MIN_BYTES: usize = 9;

/// What packs blocks: making one for each block would take longer than the packing.
pub(super) struct Packer(Option<zstd::bulk::Compressor<'static>>);

impl Packer {
    pub(super) fn new() -> Self {
        // Without memory for it, blocks stay as they are.
        Self(zstd::bulk::Compressor::new(COMPRESSION_LEVEL).ok())
    }

    fn pack(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.0.as_mut()?.compress(bytes).ok()
    }
}

/// Writes samples that are sorted by metric, then time. `start` is not later than any of them.
pub(super) fn encode(packer: &mut Packer, start: i64, samples: &[Stored]) -> Vec<u8> {
    let mut out = vec![PLAIN];
    for group in samples.chunk_by(|a, b| a.metric == b.metric) {
        varint::put(
            &mut out,
            group.first().map_or(0, |sample| u64::from(sample.metric)),
        );
        varint::put(&mut out, group.len() as u64);
        let doubtful = group.iter().any(|sample| sample.quality != Quality::Good);
        out.push(u8::from(doubtful));
        let mut before = start;
        for sample in group {
            varint::put(&mut out, sample.at.abs_diff(before));
            before = sample.at;
            if doubtful {
                out.push(quality_number(sample.quality));
            }
        }
        for sample in group {
            out.extend_from_slice(&sample.value.to_le_bytes());
        }
    }
    if out.len() >= COMPRESS_MIN_BYTES
        && let Some(packed) = packer.pack(&out[1..])
        && packed.len() + packed.len() / 8 < out.len()
    {
        let mut shorter = Vec::with_capacity(packed.len() + 6);
        shorter.push(ZSTD);
        varint::put(&mut shorter, out.len() as u64 - 1);
        shorter.extend_from_slice(&packed);
        return shorter;
    }
    out
}

/// Visits the samples of a block; `None` if it is damaged (what was visited by then was sound).
pub(super) fn decode(
    start: i64,
    body: &[u8],
    wanted: &dyn Fn(u32) -> bool,
    visit: &mut dyn FnMut(Stored),
) -> Option<()> {
    let (kind, mut rest) = body.split_first()?;
    match *kind {
        PLAIN => groups(start, rest, wanted, visit),
        ZSTD => {
            let length = varint::take(&mut rest)? as usize;
            let content = zstd::bulk::decompress(rest, length.min(CONTENT_MAX_BYTES)).ok()?;
            groups(start, &content, wanted, visit)
        }
        _ => None,
    }
}

fn groups(
    start: i64,
    mut rest: &[u8],
    wanted: &dyn Fn(u32) -> bool,
    visit: &mut dyn FnMut(Stored),
) -> Option<()> {
    let mut heads = Vec::new();
    while !rest.is_empty() {
        let metric = u32::try_from(varint::take(&mut rest)?).ok()?;
        let count = varint::take(&mut rest)?;
        let (doubtful, after) = rest.split_first()?;
        rest = after;
        // A count is believed as far as there are bytes for it, or a small block could ask for all memory there is.
        if count > (rest.len() / SAMPLE_MIN_BYTES) as u64 {
            return None;
        }
        heads.clear();
        let mut at = start;
        for _ in 0..count {
            at = at.checked_add_unsigned(varint::take(&mut rest)?)?;
            let quality = if *doubtful == 0 {
                Quality::Good
            } else {
                let (number, after) = rest.split_first()?;
                rest = after;
                *Quality::ALL.get(usize::from(*number))?
            };
            heads.push((at, quality));
        }
        let wanted = wanted(metric);
        for &(at, quality) in &heads {
            let (value, after) = rest.split_first_chunk()?;
            rest = after;
            if wanted {
                visit(Stored {
                    at,
                    value: f64::from_le_bytes(*value),
                    metric,
                    quality,
                });
            }
        }
    }
    Some(())
}

fn quality_number(quality: Quality) -> u8 {
    match quality {
        Quality::Good => 0,
        Quality::Uncertain => 1,
        Quality::Bad => 2,
    }
}

#[cfg(test)]
mod tests;
