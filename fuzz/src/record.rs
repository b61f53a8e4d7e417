//! Records as the machine's store keeps them, read back from a disk that may be damaged.

use super::record::{Row, read};

/// The first byte says of which kind, the others are what stands in the table.
pub fn record(data: &[u8]) -> bool {
    let (which, body) = data.split_first().unwrap_or((&0, &[]));
    let Ok(body) = std::str::from_utf8(body) else {
        return false;
    };
    let kind = ["state", "event", "response", "hello", ""][usize::from(*which) % 5];
    let Some(stored) = read(7, 1_800_000_000_000, kind, body) else {
        return false;
    };
    assert!(stored.message.is_durable());
    assert_eq!(stored.message.type_name(), kind);
    let row = Row::of(&stored).expect("what was read can be kept");
    assert_eq!((row.record, row.at_ms, row.kind), (7, 1_800_000_000_000, kind));
    assert_eq!(
        read(row.record, row.at_ms, row.kind, &row.body).as_ref(),
        Some(&stored)
    );
    assert!(
        read(-1, i64::MIN, kind, body).is_none(),
        "records have no negative numbers"
    );
    assert!(read(i64::MAX, i64::MAX, kind, body).is_some());
    true
}
