//! The first session of a disk.

use muster_model::Severity;
use muster_protocol::link::{EventReport, MachineMessage};

/// The record that proves, by being behind it, that the first session is on the disk.
///
/// A machine that finds no session on its disk, while the server holds records of it, takes its disk for a new one and gives
/// up what is on it. So nothing may be sent in a disk's first session before that session is kept. Usually the state is the
/// record behind it; this is for a machine that does not know its state yet.
pub(super) fn first_session() -> MachineMessage {
    MachineMessage::Event(Box::new(EventReport {
        kind: "link.first_session".to_owned(),
        severity: Severity::Info,
        message: "First session with the server since this disk is in use".to_owned(),
        data: None,
        correlation_id: None,
        causation_id: None,
    }))
}
