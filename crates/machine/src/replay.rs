//! Runs a recording into the same code again, and says what decides otherwise.
//!
//! Begin with [`replay`]. Safety takes every step again ([`crate::nodes::safety::steps::Replay`]); the nodes that go by timers
//! run on the time of the recording.

mod nodes;
mod report;
mod safety;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_model::Timestamp;
use muster_runtime::Clock;

use crate::message::Payload;
use crate::recording::RecordingError;
use crate::recording::reader::{End, Reader};

use nodes::Nodes;
pub use report::{Different, Report, Span};

/// What a machine's name for itself is in [`crate::recording::About::machine`].
const VERSION: &str = "version";

/// What is to be run again.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Which recording.
    pub file: PathBuf,
    /// From when on; what was before is needed to get there and is run as well where that is possible.
    pub from: Option<Timestamp>,
    /// Until when.
    pub to: Option<Timestamp>,
    /// Which nodes.
    pub nodes: Vec<Node>,
}

/// A node that can be run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// What may move.
    Safety,
    /// What of the machine's state is told.
    State,
    /// What is wrong with it.
    Health,
    /// Which measurements are sent.
    Telemetry,
}

impl Node {
    /// Every one.
    pub const ALL: &'static [Self] = &[Self::Safety, Self::State, Self::Health, Self::Telemetry];

    /// Its name on the machine.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Safety => "safety",
            Self::State => "state",
            Self::Health => "health",
            Self::Telemetry => "telemetry",
        }
    }
}

/// Runs a recording again.
pub fn replay(asked: &Asked) -> Result<Report, RecordingError> {
    let clock = Clock::start();
    let mut reader = Reader::open(&asked.file)?;
    let mut report = Report::new(&asked.file);
    let mut nodes = Nodes::new(&asked.nodes);
    let mut safety = asked.nodes.contains(&Node::Safety).then(safety::Player::default);
    for recorded in reader.by_ref() {
        let at = crate::recording::segment::at(recorded.header.log_time);
        if asked.to.is_some_and(|to| at > to) {
            break;
        }
        let within = asked.from.is_none_or(|from| at >= from);
        report.count(at, within);
        let payload = match recorded.payload() {
            Ok(Some(payload)) => payload,
            Ok(None) => continue,
            Err(error) => {
                // A version that says things in another way: what it says here cannot be run.
                report.unreadable(&recorded.channel.topic, &error);
                continue;
            }
        };
        if let (Some(safety), Payload::Steps(pack)) = (&mut safety, &payload) {
            safety.take(at, pack, within, &mut report);
        }
        if let Some(message) = nodes::message(&recorded, at, payload) {
            nodes.take(&message, within, &mut report);
        }
    }
    if let Some(End::Broken(why)) = reader.end() {
        report.broken = Some(why.clone());
    }
    report.describe(reader.about());
    report.took(Duration::from_millis(clock.mono_ms()));
    Ok(report)
}

/// What a file is called, for people.
fn name(file: &Path) -> String {
    file.display().to_string()
}
