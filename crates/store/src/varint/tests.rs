use proptest::prelude::*;

use crate::varint;

#[path = "../../../../fuzz/src/varint.rs"]
#[allow(unreachable_pub, reason = "shared with the fuzz targets")]
mod law;

#[test]
fn fuzz_no_bytes_break_it() {
    muster_mutate::Target::new("varint").check(law::varint);
}

proptest! {
    #[test]
    fn comes_back(values in prop::collection::vec(any::<u64>(), 0..20)) {
        let mut bytes = Vec::new();
        for &value in &values {
            super::put(&mut bytes, value);
        }
        let mut rest = bytes.as_slice();
        for &value in &values {
            prop_assert_eq!(super::take(&mut rest), Some(value));
        }
        prop_assert_eq!(super::take(&mut rest), None);
    }
}
