//! What is watched of desired state: from the log to the machine's disk, and from there to whoever applies it.

use std::collections::BTreeMap;

use muster_model::DesiredVersion;
use muster_model::desired::HeldDesired;
use muster_model::entry::JsonText;
use muster_protocol::link::Desired;

use super::super::schedule::Time;
use super::{Check, Judge};

/// What the judge knows of what is desired of one machine.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// The last version in the log.
    logged: DesiredVersion,
    /// Each section that is desired by then, as text.
    sections: BTreeMap<String, String>,
    /// What the machine's disk holds.
    kept: HeldDesired,
}

impl Judge {
    /// A change is durable in the log.
    pub(super) fn desired_logged(
        &mut self,
        now: Time,
        machine: usize,
        version: DesiredVersion,
        section: &str,
        content: Option<&JsonText>,
    ) {
        let wanted = &mut self.machines[machine].wanted;
        let grows = version > wanted.logged;
        wanted.logged = version;
        match content {
            Some(content) => drop(
                wanted
                    .sections
                    .insert(section.to_owned(), content.0.get().to_owned()),
            ),
            None => drop(wanted.sections.remove(section)),
        }
        self.look(Some(machine), now, Check::DesiredArrives, grows, || {
            format!(
                "desired version {version} of machine {machine} is in the log, and no newer one than before"
            )
        });
    }

    /// The server says this to a machine.
    pub(in super::super) fn desired_said(&mut self, now: Time, machine: usize, desired: &Desired) {
        let logged = self.machines[machine].wanted.logged;
        let holds = desired.version <= logged.0;
        self.look(Some(machine), now, Check::DesiredArrives, holds, || {
            format!(
                "machine {machine} is told desired version {}, the log has {logged}",
                desired.version
            )
        });
    }

    /// A machine's disk holds this.
    pub(in super::super) fn desired_kept(&mut self, now: Time, machine: usize, held: &HeldDesired) {
        let wanted = &mut self.machines[machine].wanted;
        let (before, logged) = (wanted.kept.version, wanted.logged);
        wanted.kept = held.clone();
        let holds = held.version > before && held.version <= logged;
        self.look(Some(machine), now, Check::DesiredArrives, holds, || {
            let version = held.version;
            format!("machine {machine} keeps desired version {version} after {before}, the log has {logged}")
        });
    }

    /// A machine's disk is lost, and what was desired with it.
    pub(in super::super) fn desired_lost(&mut self, machine: usize) {
        self.machines[machine].wanted.kept = HeldDesired::default();
    }

    /// The nodes of a machine are told that it should become this.
    pub(in super::super) fn desired_applied(&mut self, now: Time, machine: usize, held: &HeldDesired) {
        let holds = *held == self.machines[machine].wanted.kept;
        self.look(Some(machine), now, Check::DesiredArrives, holds, || {
            format!(
                "machine {machine} becomes desired version {}, which is not on its disk",
                held.version
            )
        });
    }

    /// What this machine must hold in the end, and does not.
    pub(in super::super) fn desired_unheard(&self, machine: usize) -> Option<String> {
        let wanted = &self.machines[machine].wanted;
        let held: BTreeMap<&str, &str> = wanted
            .kept
            .document
            .0
            .iter()
            .map(|(name, section)| (name.as_str(), section.content.0.get()))
            .collect();
        let desired: BTreeMap<&str, &str> = wanted
            .sections
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        let same = wanted.kept.version == wanted.logged && held == desired;
        (!same).then(|| {
            format!(
                "desired version {} is in the log: {desired:?}; it holds version {}: {held:?}",
                wanted.logged, wanted.kept.version
            )
        })
    }
}
