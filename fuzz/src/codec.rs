//! Blocks of samples, read back from a disk that may be damaged.

use super::codec::{Packer, decode, encode};
use super::memory::Stored;

thread_local! {
    static PACKER: std::cell::RefCell<Packer> = std::cell::RefCell::new(Packer::new());
}

/// Where blocks of this law begin.
const START: i64 = 1_800_000_000_000;

/// A block: what can be read can be written, and is the same when it is read again.
pub fn telemetry_block(data: &[u8]) -> bool {
    let mut samples = Vec::new();
    let whole = decode(START, data, &|_| true, &mut |sample| samples.push(sample));
    let mut some = Vec::new();
    let again = decode(START, data, &|metric| metric % 2 == 0, &mut |sample| {
        some.push(sample);
    });
    assert_eq!(again, whole, "what is wanted does not change what is sound");
    let wanted: Vec<_> = samples
        .iter()
        .filter(|sample| sample.metric % 2 == 0)
        .map(bits)
        .collect();
    assert_eq!(some.iter().map(bits).collect::<Vec<_>>(), wanted);
    if whole.is_none() {
        return false;
    }
    assert!(samples.iter().all(|sample| sample.at >= START));
    samples.sort_by_key(|sample| (sample.metric, sample.at));
    let written = PACKER.with_borrow_mut(|packer| encode(packer, START, &samples));
    let mut read = Vec::new();
    assert_eq!(
        decode(START, &written, &|_| true, &mut |sample| read.push(sample)),
        Some(())
    );
    assert_eq!(
        read.iter().map(bits).collect::<Vec<_>>(),
        samples.iter().map(bits).collect::<Vec<_>>()
    );
    true
}

/// A sample with its value bit by bit: what is no number must come back, too.
fn bits(sample: &Stored) -> (i64, u64, u32, u8) {
    (
        sample.at,
        sample.value.to_bits(),
        sample.metric,
        sample.quality as u8,
    )
}
