//! Recordings of a machine: what their files are called, and what the machine says of them.

pub mod name;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
pub use name::{Kind, Name};

/// Most recordings that are listed. More are kept by nobody: a machine keeps 64 for people, and as a rule 16 for what happened.
pub const LISTED_MAX: usize = 96;

/// Most failures that are listed.
pub const FAILED_MAX: usize = 8;

/// What a machine that records has on its disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct Recordings {
    /// Why nothing is recorded now; absent while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub paused: Option<String>,
    /// How far back what rolls goes, in seconds: anything in it can still be marked.
    pub rolling_s: u64,
    /// What rolls, in bytes.
    pub rolling_bytes: u64,
    /// What is kept, the newest first.
    pub kept: Vec<KeptRecording>,
    /// What could not be brought to the server, the newest first: the last few since the runtime began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedUpload>,
    /// How many more are kept than are listed here.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
}

/// A recording that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct KeptRecording {
    /// Its file. The name says all the rest but the length.
    pub file: String,
    /// How long it is, in bytes.
    pub bytes: u64,
}

/// A recording that could not be brought to the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct FailedUpload {
    /// The command that asked for it.
    pub command_id: String,
    /// Why, for a person.
    pub why: String,
}

/// A recording as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct Shown {
    /// Its file.
    pub file: String,
    /// How long it is, in bytes.
    pub bytes: u64,
    /// When its first message was said.
    pub from: Timestamp,
    /// When its last was.
    pub to: Timestamp,
    /// Why it is kept; absent while it rolls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub why: Option<String>,
    /// Whether a person keeps it.
    pub pinned: bool,
}

impl Shown {
    /// What a file's name says, and how long it is; nothing if the name is none of ours.
    pub fn of(file: &str, bytes: u64) -> Option<Self> {
        Some(Self::named(Name::of(file)?, bytes))
    }

    /// A file of this name.
    pub fn named(name: Name, bytes: u64) -> Self {
        let file = name.file();
        let (why, pinned) = match name.kind {
            Kind::Rolling => (None, false),
            Kind::Kept(why) => (Some(why), false),
            Kind::Pinned(why) => (Some(why), true),
        };
        Self {
            file,
            bytes,
            from: name.from,
            to: name.to,
            why,
            pinned,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
