//! Machines as scopes look at them: as the fleet knows them, and before they come as people announced them.

use std::sync::Arc;

use muster_model::{MachineId, MachineView};

use super::register::{Enrolment, Profile, Record};
use crate::gateway::GatewayState;

/// A machine of the fleet, or one that has enrolled.
pub fn machine(state: &GatewayState, id: MachineId) -> Option<Arc<MachineView>> {
    let record = state
        .identity
        .as_ref()
        .and_then(|identity| identity.register().record(id));
    match record {
        Some(record) => Some(of_record(state, &record)),
        None => state.fleet.view(id),
    }
}

/// The machine of an identity. Until its labels are in the fleet's log, it has those of its token.
pub fn of_record(state: &GatewayState, record: &Record) -> Arc<MachineView> {
    let known = record.joined.then(|| state.fleet.view(record.machine)).flatten();
    known.unwrap_or_else(|| Arc::new(announced(Some(record.machine), &record.profile, state)))
}

/// The machine that used an enrolment or is to use it, or such a one as it is for.
pub fn of_enrolment(state: &GatewayState, enrolment: &Enrolment) -> Arc<MachineView> {
    let used = enrolment.used.as_ref().map(|used| used.machine);
    let known = used.or(enrolment.machine).and_then(|id| machine(state, id));
    known.unwrap_or_else(|| Arc::new(announced(None, &enrolment.profile, state)))
}

/// Such a machine as people announce.
pub fn announced(id: Option<MachineId>, profile: &Profile, state: &GatewayState) -> MachineView {
    let Profile { kind, name, labels } = profile;
    MachineView::announced(id, kind.as_deref(), name.as_deref(), labels, state.access.now())
}
