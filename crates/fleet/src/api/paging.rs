//! Cursors: where a page ended, as a text that means something only here.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use muster_protocol::api::{PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX};

/// Writes a cursor.
pub fn write(cursor: &impl Serialize) -> String {
    // Cursors are words and numbers: they can always be written.
    let json = serde_json::to_vec(cursor).unwrap_or_default();
    json.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a cursor that was written here.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, ApiError> {
    let foreign = || ApiError::bad_parameter("cursor", "give the next_cursor of the page before, unchanged");
    if text.len() > 2_048
        || !text.len().is_multiple_of(2)
        || !text.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return Err(foreign());
    }
    let bytes = (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16));
    let bytes = bytes.collect::<Result<Vec<u8>, _>>().map_err(|_| foreign())?;
    serde_json::from_slice(&bytes).map_err(|_| foreign())
}

/// How many items a page has.
pub fn limit(asked: Option<u32>) -> Result<usize, ApiError> {
    let limit = asked.unwrap_or(PAGE_LIMIT_DEFAULT);
    if (1..=PAGE_LIMIT_MAX).contains(&limit) {
        Ok(limit as usize)
    } else {
        Err(ApiError::bad_parameter(
            "limit",
            format!("{limit}: 1 to {PAGE_LIMIT_MAX} is accepted"),
        ))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_cursor_comes_back_and_others_are_refused() {
        let cursor = ("näme".to_owned(), 7u64);
        assert_eq!(
            super::read::<(String, u64)>(&super::write(&cursor)).ok(),
            Some(cursor)
        );
        for foreign in ["", "zz", "5", "5b5d", "ää", &"00".repeat(2_000)] {
            assert!(super::read::<(String, u64)>(foreign).is_err(), "{foreign}");
        }
    }
}
