//! What happens to identities is told in the fleet's log, among what happens to the machine.

use std::time::Duration;

use muster_brain::shard::{Input, ProfileChange};
use muster_model::MachineId;
use muster_model::entry::IdentityFact;

use super::Identity;
use super::register::Profile;
use crate::gateway::GatewayState;
use crate::state::ShardMessage;

/// How long a machine may take from its hello to being known.
const KNOWN_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Puts a fact into the log, where the fleet knows the machine.
pub async fn note(state: &GatewayState, machine: MachineId, what: IdentityFact, detail: String) {
    let note = Input::Note {
        machine,
        what,
        detail,
    };
    // A shard that has ended takes no notes.
    let _ = state
        .fleet
        .shard_of(machine)
        .inbox
        .send(ShardMessage::Step(Box::new(note)))
        .await;
}

/// A machine said hello. The first time, what people said of it before it came is put into the log as soon as it is known.
pub fn arrived(state: &GatewayState, identity: &Identity, machine: MachineId) {
    let record = identity.register().record(machine);
    let Some(record) = record.filter(|record| !record.joined) else {
        return;
    };
    let (state, identity, profile) = (state.clone(), identity.clone(), record.profile.clone());
    state.tasks.clone().spawn_small(async move {
        let known = async {
            while state.fleet.view(machine).is_none() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        if tokio::time::timeout(KNOWN_WITHIN, known).await.is_err() {
            // With its next hello it is tried again.
            return;
        }
        if !join(&state, machine, profile).await {
            return;
        }
        let noted = tokio::task::spawn_blocking(move || identity.joined(machine)).await;
        if let Ok(Err(error)) = noted {
            tracing::error!(%machine, %error, "that the machine joined cannot be noted");
        }
        note(
            &state,
            machine,
            IdentityFact::Enrolled,
            "it came with a certificate of this fleet".to_owned(),
        )
        .await;
    });
}

async fn join(state: &GatewayState, machine: MachineId, profile: Profile) -> bool {
    let mut changes = Vec::new();
    if !profile.labels.is_empty() {
        changes.push(ProfileChange::Labels(profile.labels));
    }
    changes.extend(profile.name.map(|name| ProfileChange::DisplayName(Some(name))));
    for change in changes {
        match state.fleet.change_profile(machine, change, None).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::warn!(%machine, %error, "what people said of a machine cannot be noted yet");
                return false;
            }
            Err(_) => return false,
        }
    }
    true
}

/// Another holder of a machine's key was seen.
pub async fn cloned(state: &GatewayState, identity: &Identity, machine: MachineId) {
    metrics::counter!("muster_identities_cloned_total").increment(1);
    tracing::error!(%machine, "two programs hold the key of one machine");
    let identity = identity.clone();
    let noted = tokio::task::spawn_blocking(move || identity.cloned(machine)).await;
    if let Ok(Err(error)) = noted {
        tracing::error!(%machine, %error, "a clone cannot be noted");
    }
    let detail = "two connections were alive at once by the same certificate; the newer one was let in. Shut the machine \
                  out and have it enrol again";
    note(state, machine, IdentityFact::Cloned, detail.to_owned()).await;
}
