//! What people want a machine to become: put into the log, then said to the machine, and said to one that comes back with less.
//!
//! A shard does not look into a section, so nothing here can start motion, clear a latch or loosen a limit: what a section means, and
//! whether it is applied, is the machine's to decide and to report.

use std::collections::BTreeSet;
use std::sync::Arc;

use muster_model::desired::{CONTENTS_MAX_BYTES, DesiredSection, DesiredState, SECTIONS_MAX};
use muster_model::entry::JsonText;
use muster_model::{DesiredVersion, MachineEntry, MachineId};
use muster_protocol::link::{Desired, ServerMessage};

use super::{Asked, ConnectionId, Effect, RequestId, Shard};
use crate::Now;

/// So far ahead of the server's own a version that a machine says it holds is believed. A version from nowhere could use up
/// all versions.
const BELIEVED_AHEAD: u64 = 1 << 20;

/// A change of one section.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredChange {
    /// Which section. Its name and content were checked by whoever asks.
    pub section: String,
    /// What is desired; none: nothing any more.
    pub content: Option<JsonText>,
    /// Who asks.
    pub issuer: String,
    /// Why.
    pub reason: String,
}

/// Why a desired state was not changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DesiredError {
    /// The fleet does not know the machine.
    #[error("there is no such machine")]
    NoSuchMachine,
    /// Somebody else changed it since the person saw it.
    #[error("it was changed by someone else in the meantime")]
    Conflict {
        /// As it is now, on disk or on its way there.
        current: Option<Arc<DesiredState>>,
    },
    /// It would be more than a machine is told.
    #[error("{0}")]
    TooMuch(String),
    /// The log did not take it.
    #[error("it could not be stored: {reason}")]
    NotPersisted {
        /// Why.
        reason: String,
    },
}

/// The desired state after a change; none where nobody ever desired anything.
pub type DesiredResult = Result<Option<Arc<DesiredState>>, DesiredError>;

impl Shard {
    /// Puts a change on its way to the log. The person is answered, and the machine told, when it is there.
    pub(super) fn change_desired(
        &mut self,
        now: Now,
        request: RequestId,
        machine: MachineId,
        change: DesiredChange,
        expected: Option<DesiredVersion>,
    ) {
        let result = match self.judge_desired(machine, &change, expected) {
            Ok(None) => {
                let DesiredChange {
                    section,
                    content,
                    issuer,
                    reason,
                } = change;
                self.append_desired(now, machine, section, content, issuer, reason);
                self.batch.answers.push((request, machine, Asked::Desired));
                return;
            }
            Ok(Some(unchanged)) => Ok(unchanged),
            Err(error) => Err(error),
        };
        self.effects.push(Effect::DesiredChanged { request, result });
    }

    /// Whether a change is to be made; what is desired, where it is so already.
    fn judge_desired(
        &self,
        machine: MachineId,
        change: &DesiredChange,
        expected: Option<DesiredVersion>,
    ) -> Result<Option<Option<Arc<DesiredState>>>, DesiredError> {
        let slot = self.slots.get(&machine).ok_or(DesiredError::NoSuchMachine)?;
        let pending = &slot.pending.desired;
        let version = pending
            .as_ref()
            .map_or(DesiredVersion::ZERO, |desired| desired.version);
        if expected.is_some_and(|expected| expected != version) {
            let current = pending.clone();
            return Err(DesiredError::Conflict { current });
        }
        let section = pending
            .as_ref()
            .and_then(|desired| desired.sections.get(&change.section));
        // What is on its way and not on disk yet must not be answered for.
        let settled = version
            == slot
                .view
                .desired
                .as_ref()
                .map_or(DesiredVersion::ZERO, |desired| desired.version);
        if settled && section.map(|section| &section.content) == change.content.as_ref() {
            return Ok(Some(slot.view.desired.clone()));
        }
        if let Some(content) = &change.content {
            let (sections, bytes) = match pending {
                Some(desired) => (
                    desired.sections.len() + usize::from(section.is_none()),
                    desired.contents_bytes_with(&change.section, content),
                ),
                None => (1, content.0.get().len()),
            };
            if sections > SECTIONS_MAX {
                let why = format!("at most {SECTIONS_MAX} sections are accepted: remove one first");
                return Err(DesiredError::TooMuch(why));
            }
            if bytes > CONTENTS_MAX_BYTES {
                let why = format!(
                    "all sections together would have {bytes} bytes, at most {CONTENTS_MAX_BYTES} are accepted"
                );
                return Err(DesiredError::TooMuch(why));
            }
        }
        Ok(None)
    }

    fn append_desired(
        &mut self,
        now: Now,
        machine: MachineId,
        section: String,
        content: Option<JsonText>,
        issuer: String,
        reason: String,
    ) {
        let Some(slot) = self.slots.get_mut(&machine) else {
            return;
        };
        let said = slot.desired_held;
        let desired = Arc::make_mut(slot.pending.desired.get_or_insert_default());
        // A machine that holds a higher one, from another server or from before this one's log was lost, would ignore the next as old.
        let believable = said.0 <= desired.version.0.saturating_add(BELIEVED_AHEAD);
        let version = if believable {
            desired.version.max(said).next()
        } else {
            desired.version.next()
        };
        desired.version = version;
        match &content {
            Some(content) => {
                let changed = DesiredSection {
                    version,
                    content: content.clone(),
                    issuer: issuer.clone(),
                    reason: reason.clone(),
                    changed_at: now.wall,
                };
                desired.sections.insert(section.clone(), changed);
            }
            None => drop(desired.sections.remove(&section)),
        }
        self.append(
            machine,
            MachineEntry::DesiredChanged {
                version,
                section,
                content,
                issuer,
                reason,
            },
        );
    }

    /// Changes are in the log and folded in: says the whole to each machine that is in session. One that is yet to be welcomed is
    /// told with its welcome.
    pub(super) fn tell_desired(&mut self, now: Now, machines: &BTreeSet<MachineId>) {
        for machine in machines.iter().copied() {
            if let Some(connection) = self.in_session(machine) {
                self.say_desired(now, connection, machine);
            }
        }
    }

    /// A machine was welcomed: says what is desired, if it holds less.
    pub(super) fn tell_newer_desired(&mut self, now: Now, connection: ConnectionId, machine: MachineId) {
        let newer = self.slots.get(&machine).is_some_and(|slot| {
            let desired = slot.view.desired.as_ref();
            desired.is_some_and(|desired| desired.version > slot.desired_held)
        });
        if newer {
            self.figures.desired_said_at_welcome += 1;
            self.say_desired(now, connection, machine);
        }
    }

    fn say_desired(&mut self, now: Now, connection: ConnectionId, machine: MachineId) {
        let Some(desired) = self
            .slots
            .get(&machine)
            .and_then(|slot| slot.view.desired.clone())
        else {
            return;
        };
        let desired = Desired {
            version: desired.version.0,
            base: None,
            document: desired.document().to_json(),
        };
        self.send(now, connection, machine, ServerMessage::Desired(desired));
    }
}
