//! What holds for every document that is JSON.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What is accepted can be written, and is the same when it is read again.
pub fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(data: &[u8]) -> bool {
    match serde_json::from_slice::<T>(data) {
        Ok(value) => {
            let written = serde_json::to_vec(&value).expect("what came as JSON can be written as JSON");
            let again: T = serde_json::from_slice(&written).expect("what was written can be read");
            assert_eq!(again, value);
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}
