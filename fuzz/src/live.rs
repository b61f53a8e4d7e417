//! The live API: what clients ask for, and what they are told.

use muster_model::LogPosition;
use muster_protocol::api::Problem;
use muster_protocol::live::{Batch, ClientMessage};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What a client might ask for.
pub fn live_client(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    match serde_json::from_str::<ClientMessage>(text) {
        Ok(message) => {
            let written = serde_json::to_string(&message).expect("what came as JSON can be written as JSON");
            let again: ClientMessage = serde_json::from_str(&written).expect("what was written can be read");
            assert_eq!(again, message, "{text:?} became {written:?}");
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// What a `lagged` says, as a client reads it.
#[derive(Serialize, Deserialize)]
struct Lagged {
    dropped: u64,
    resume_after: LogPosition,
}

/// What a server might tell a client: a piece of a snapshot, an update, that something was dropped, a problem.
pub fn live_server(data: &[u8]) -> bool {
    [
        settles::<Batch>(data),
        settles::<Lagged>(data),
        settles::<Problem>(data),
    ]
    .contains(&true)
}

/// What is accepted is written in one way, and that way is accepted.
fn settles<T: Serialize + DeserializeOwned>(data: &[u8]) -> bool {
    let Ok(value) = serde_json::from_slice::<T>(data) else {
        return false;
    };
    let written = serde_json::to_string(&value).expect("what came as JSON can be written as JSON");
    let again: T = serde_json::from_str(&written).expect("what was written can be read");
    assert_eq!(serde_json::to_string(&again).ok(), Some(written));
    true
}
