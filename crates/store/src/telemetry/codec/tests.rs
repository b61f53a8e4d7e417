use proptest::prelude::*;

use super::super::{codec, memory};
use super::*;

#[path = "../../../../../fuzz/src/codec.rs"]
#[allow(unreachable_pub, reason = "shared with the fuzz targets")]
mod law;

#[test]
fn fuzz_no_bytes_break_blocks() {
    muster_mutate::Target::new("telemetry_block").check(law::telemetry_block);
}

proptest! {
    #[test]
    fn comes_back(
        given in prop::collection::vec((1..5_u32, 0..100_000_i64, any::<f64>(), 0..3_usize), 0..200),
        noise in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut samples: Vec<Stored> = given
            .into_iter()
            .filter(|(_, _, value, _)| value.is_finite())
            .map(|(metric, at, value, quality)| Stored { at: at + 7, value, metric, quality: Quality::ALL[quality] })
            .collect();
        samples.sort_by_key(|sample| (sample.metric, sample.at));
        let body = encode(&mut Packer::new(), 7, &samples);
        let mut seen = Vec::new();
        prop_assert_eq!(decode(7, &body, &|_| true, &mut |sample| seen.push(sample)), Some(()));
        prop_assert_eq!(seen, samples);
        // Damage must not panic.
        let _ = decode(7, &noise, &|_| true, &mut |_| {});
    }
}
