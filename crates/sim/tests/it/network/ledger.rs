//! What truly happened at the machines, noted by the test itself and not by what is tested: every mark that a machine
//! was made to tell, and what its link said of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use muster_machine::message::LinkReport;
use muster_model::MachineId;
use muster_reflex::link::LinkState;

/// The kind of the events that the test has machines tell.
pub(super) const MARK: &str = "test.mark";

/// Clones are the same ledger.
#[derive(Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<Pages>>);

#[derive(Default)]
pub(super) struct Pages {
    pub(super) machines: BTreeMap<MachineId, Page>,
    /// Nobody makes marks any more.
    pub(super) closed: bool,
}

/// What is known of one machine.
#[derive(Default)]
pub(super) struct Page {
    /// Marks are numbered from one; so many were made.
    pub(super) made: u64,
    /// Marks that were not on the disk when their machine crashed: nobody promised anything.
    pub(super) excused: BTreeSet<u64>,
    /// Marks that were on the disk when their machine crashed.
    pub(super) owed: BTreeSet<u64>,
    /// What the link said last, and when, in virtual time.
    pub(super) link: Option<(LinkState, u64)>,
    /// Why, for a person.
    pub(super) link_reason: String,
}

impl Ledger {
    pub(super) fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap()
    }

    /// The number of the next mark; none once nobody makes any.
    pub(super) fn mark(&self, machine: MachineId) -> Option<u64> {
        let mut pages = self.pages();
        if pages.closed {
            return None;
        }
        let page = pages.machines.entry(machine).or_default();
        page.made += 1;
        Some(page.made)
    }

    pub(super) fn said(&self, machine: MachineId, report: &LinkReport, at_ms: u64) {
        let mut pages = self.pages();
        let page = pages.machines.entry(machine).or_default();
        page.link = Some((report.state, at_ms));
        page.link_reason.clone_from(&report.reason);
    }

    pub(super) fn link(&self, machine: MachineId) -> Option<(LinkState, u64)> {
        self.pages().machines.get(&machine)?.link
    }

    /// From here on nobody makes marks.
    pub(super) fn close(&self) {
        self.pages().closed = true;
    }
}

/// What a mark says.
pub(super) fn text(number: u64) -> String {
    format!("mark {number}")
}

/// Which mark says this.
pub(super) fn number(kind: &str, message: &str) -> Option<u64> {
    let number = (kind == MARK).then(|| message.strip_prefix("mark "))??;
    number.parse().ok()
}
