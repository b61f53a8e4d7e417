//! The words everyone in Muster uses.
//!
//! Typed ids, vocabulary, the state a machine reports, the entries of the fleet's log, and the pure folds over them.
//! Begin with [`state::ReportedState`] (what a machine says of itself), then [`entry::MachineEntry`] (what the log
//! keeps of it) and [`view::MachineView`] (what the fleet knows of it by folding those entries).
//!
//! This crate knows nothing of sockets, frames, files, clocks or tasks. Everyone rebuilds when it changes: keep it small.

pub mod access;
pub mod calibration;
pub mod command;
pub mod desired;
pub mod devices;
pub mod entry;
pub mod filter;
pub mod gate;
pub mod ids;
pub mod recording;
pub mod release;
pub mod rollout;
pub mod safety;
pub mod service;
pub mod simulation;
pub mod state;
pub mod status;
pub mod stop;
pub mod telemetry;
pub mod time;
pub mod topic;
pub mod view;
pub mod vocabulary;
pub mod workload;

#[cfg(test)]
mod tests;

pub use command::{Accepts, CommandAnswer, GivenCommand, RecentCommands};
pub use desired::DesiredState;
pub use entry::{Entry, MachineEntry, MachineEvent};
pub use filter::{Filter, FilterError};
pub use ids::{
    BootId, DesiredVersion, LogPosition, MachineId, RecordNumber, SequenceNumber, SessionNumber,
    StateVersion, StreamVersion,
};
pub use state::{ReportedState, StatePatch};
pub use status::{Status, StatusWord};
pub use stop::LastStop;
pub use telemetry::Sample;
pub use time::Timestamp;
pub use topic::{Topic, TopicPattern};
pub use view::MachineView;
pub use vocabulary::{Authority, Mission, Mode, Presence, Safety, Severity};
