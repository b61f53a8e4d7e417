//! What people decide about a machine: its labels and the name it is shown under.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_model::view::Profile;
use muster_model::{MachineEntry, MachineId, StreamVersion};

use super::{Asked, Effect, RequestId, Shard};

/// What changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProfileChange {
    /// All labels.
    Labels(BTreeMap<String, String>),
    /// The name.
    DisplayName(Option<String>),
}

/// Why a profile was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// The fleet does not know the machine.
    #[error("there is no such machine")]
    NoSuchMachine,
    /// Somebody else changed it since the person saw it.
    #[error("it was changed by someone else in the meantime")]
    Conflict {
        /// As it is now.
        current: Arc<Profile>,
    },
    /// The log did not take it.
    #[error("it could not be stored: {reason}")]
    NotPersisted {
        /// Why.
        reason: String,
    },
}

impl Shard {
    pub(super) fn change_profile(
        &mut self,
        request: RequestId,
        machine: MachineId,
        change: ProfileChange,
        expected: Option<StreamVersion>,
    ) {
        let Some(slot) = self.slots.get_mut(&machine) else {
            self.effects.push(Effect::Answer {
                request,
                result: Err(ProfileError::NoSuchMachine),
            });
            return;
        };
        if expected.is_some_and(|expected| expected != slot.pending.profile.version) {
            let current = slot.pending.profile.clone();
            self.effects.push(Effect::Answer {
                request,
                result: Err(ProfileError::Conflict { current }),
            });
            return;
        }
        let version = slot.pending.stream.next();
        let profile = Arc::make_mut(&mut slot.pending.profile);
        let unchanged = match &change {
            ProfileChange::Labels(labels) => profile.labels == *labels,
            ProfileChange::DisplayName(name) => profile.display_name == *name,
        };
        if unchanged && slot.pending.profile.version == slot.view.profile.version {
            let result = Ok(slot.view.profile.clone());
            self.effects.push(Effect::Answer { request, result });
            return;
        }
        let profile = Arc::make_mut(&mut slot.pending.profile);
        profile.version = version;
        let entry = match change {
            ProfileChange::Labels(labels) => {
                profile.labels.clone_from(&labels);
                MachineEntry::Labelled { labels }
            }
            ProfileChange::DisplayName(display_name) => {
                profile.display_name.clone_from(&display_name);
                MachineEntry::Renamed { display_name }
            }
        };
        self.append(machine, entry);
        self.batch.answers.push((request, machine, Asked::Profile));
    }
}
