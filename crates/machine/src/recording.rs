//! What was said on a machine's bus, in MCAP files that any viewer opens.
//!
//! Begin with [`form`] (a message as JSON with a schema), then [`segment`] (a file while it is written), [`folder`] (all files
//! of a machine, and their bounds), [`reader`] (a file read again). [`recorder`] is the thread that does it all while the
//! machine runs; `nodes::recorder` feeds it. The reasons are in `docs/decisions/0021-recordings.md`.

pub mod cut;
pub mod folder;
pub mod form;
pub mod reader;
pub mod recorder;
pub mod segment;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use muster_model::TopicPattern;

/// How a machine records.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the files are.
    pub directory: PathBuf,
    /// Most bytes of all files together.
    pub bytes_max: u64,
    /// Files that are older are removed, unless they are kept.
    pub age_max: Duration,
    /// Most bytes of one file.
    pub segment_bytes_max: u64,
    /// How long one file is written.
    pub segment_every: Duration,
    /// What is kept of the time before a moment that matters …
    pub before: Duration,
    /// … and after it.
    pub after: Duration,
    /// Most files that are kept by themselves.
    pub kept_max: usize,
    /// What stays free on the disk.
    pub reserve_bytes: u64,
    /// A disk that failed is tried again after this.
    pub retry_after: Duration,
    /// Bytes a second at most when one is brought to the server; zero: as many as go.
    pub upload_bytes_per_s: u64,
    /// Topics that are recorded …
    pub include: Vec<TopicPattern>,
    /// … but for these.
    pub exclude: Vec<TopicPattern>,
}

impl Options {
    /// The usual bounds, with files in this directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            bytes_max: 256 << 20,
            age_max: Duration::from_secs(24 * 3_600),
            segment_bytes_max: 16 << 20,
            segment_every: Duration::from_secs(300),
            before: Duration::from_secs(120),
            after: Duration::from_secs(30),
            kept_max: 16,
            reserve_bytes: 256 << 20,
            retry_after: Duration::from_secs(10),
            upload_bytes_per_s: 1 << 20,
            include: Vec::new(),
            exclude: Vec::new(),
        }
    }

    /// Whether this topic is recorded.
    pub fn wants(&self, topic: &str) -> bool {
        let matches = |patterns: &[TopicPattern]| patterns.iter().any(|pattern| pattern.matches(topic));
        (self.include.is_empty() || matches(&self.include)) && !matches(&self.exclude)
    }
}

/// What stands in every file about where it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The machine, as text: `machine_id`, `name`, `kind`, `version` …
    pub machine: BTreeMap<String, String>,
    /// What its nodes decide by, each as JSON: `thresholds`, `telemetry`, `state`.
    pub settings: BTreeMap<String, String>,
}

/// The name of the metadata that holds [`About::machine`].
pub const MACHINE: &str = "muster.machine";
/// The name of the metadata that holds [`About::settings`].
pub const SETTINGS: &str = "muster.settings";
/// The name of the metadata that says why a file was kept.
pub const KEPT: &str = "muster.kept";

/// Why a recording cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The operating system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It is not a recording, or a damaged one.
    #[error("it is no sound MCAP file: {0}")]
    Format(#[from] mcap::McapError),
    /// A message has no form that can be written.
    #[error("a message cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// There is no such recording.
    #[error("there is no recording {0:?}")]
    Unknown(String),
    /// It cannot be done to this one.
    #[error("{0}")]
    Refused(String),
}

impl RecordingError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
