//! Whole numbers in as few bytes as they need.

use super::varint::{put, take};

/// Bytes that might be such numbers, one after the other.
pub fn varint(data: &[u8]) -> bool {
    let mut rest = data;
    let mut numbers = Vec::new();
    loop {
        let before = rest.len();
        let Some(number) = take(&mut rest) else {
            break;
        };
        let used = before - rest.len();
        assert!((1..=10).contains(&used), "{used} bytes for {number}");
        numbers.push(number);
    }
    let mut written = Vec::new();
    numbers.iter().for_each(|number| put(&mut written, *number));
    assert!(written.len() <= data.len(), "as few bytes as they need");
    let mut again = written.as_slice();
    let read: Vec<u64> = std::iter::from_fn(|| take(&mut again)).collect();
    assert_eq!(read, numbers);
    assert!(again.is_empty());
    !numbers.is_empty()
}
