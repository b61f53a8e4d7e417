//! How large anything on the link may be. Each limit is a setting of the server and is told to the machine in `welcome`.

use serde::{Deserialize, Serialize};

/// The limits of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Longest frame, in bytes.
    pub frame_max_bytes: usize,
    /// Longest frame that holds a `state`, in bytes.
    pub state_frame_max_bytes: usize,
    /// Deepest nesting of objects and arrays.
    pub depth_max: usize,
    /// Longest string, in bytes as written.
    pub string_max_bytes: usize,
    /// Most samples in one `telemetry`.
    pub samples_max: usize,
    /// Most lines in one `log`.
    pub log_lines_max: usize,
    /// Messages a second that one machine may send for long.
    pub messages_per_s: u32,
    /// Messages that one machine may send at once.
    pub messages_burst: u32,
}

impl Limits {
    /// The narrower of each.
    #[must_use]
    pub fn narrower(&self, other: &Self) -> Self {
        Self {
            frame_max_bytes: self.frame_max_bytes.min(other.frame_max_bytes),
            state_frame_max_bytes: self.state_frame_max_bytes.min(other.state_frame_max_bytes),
            depth_max: self.depth_max.min(other.depth_max),
            string_max_bytes: self.string_max_bytes.min(other.string_max_bytes),
            samples_max: self.samples_max.min(other.samples_max),
            log_lines_max: self.log_lines_max.min(other.log_lines_max),
            messages_per_s: self.messages_per_s.min(other.messages_per_s),
            messages_burst: self.messages_burst.min(other.messages_burst),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_max_bytes: 64 * 1024,
            state_frame_max_bytes: 256 * 1024,
            depth_max: 32,
            string_max_bytes: 16 * 1024,
            samples_max: 512,
            log_lines_max: 256,
            messages_per_s: 200,
            messages_burst: 1_000,
        }
    }
}
