//! What the simulated log holds about one machine: the newest entries, and the fold of those before them.
//!
//! The older ones are folded away so that weeks of virtual time fit into memory. Nothing needs them: a server that starts
//! folds from a snapshot at least as new, and the judge has seen them when they became durable.

use std::sync::Arc;

use muster_brain::shard::Placed;
use muster_model::{MachineEntry, MachineId, MachineView};

/// A fact that is durable.
#[derive(Clone, Debug)]
pub(super) struct Logged {
    pub placed: Placed,
    pub entry: Arc<MachineEntry>,
}

/// Newest entries that are always kept.
const KEPT: usize = 256;

#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    /// The fold of what is no longer kept one by one.
    base: Option<MachineView>,
    folded: u64,
    tail: Vec<Logged>,
}

impl Stream {
    /// How many entries there are, kept one by one or not.
    pub(super) fn len(&self) -> u64 {
        self.folded + self.tail.len() as u64
    }

    /// How many entries are no longer kept one by one.
    pub(super) fn folded(&self) -> u64 {
        self.folded
    }

    /// The newest entries.
    pub(super) fn tail(&self) -> &[Logged] {
        &self.tail
    }

    /// Entries behind this version, up to that one. None where they are no longer kept.
    pub(super) fn between(&self, from: u64, to: u64) -> Option<&[Logged]> {
        let start = usize::try_from(from.checked_sub(self.folded)?).ok()?;
        let end = usize::try_from(to.checked_sub(self.folded)?).ok()?;
        self.tail.get(start..end)
    }

    pub(super) fn push(&mut self, id: MachineId, logged: Logged) {
        self.tail.push(logged);
        if self.tail.len() >= 2 * KEPT
            && let Some(mut view) = self.beginning(id)
        {
            for logged in self.tail.drain(..KEPT) {
                fold(&mut view, &logged);
            }
            self.folded += KEPT as u64;
            self.base = Some(view);
        }
    }

    /// The view that everything kept one by one is folded into.
    pub(super) fn beginning(&self, id: MachineId) -> Option<MachineView> {
        match &self.base {
            Some(base) => Some(base.clone()),
            None => Some(MachineView::new(id, self.tail.first()?.placed.recorded_at)),
        }
    }

    /// The view that a new server folds from the log, sometimes from a snapshot and the tail. Without the last entries
    /// where so many are to be left out.
    pub(super) fn view(&self, id: MachineId, snapshot_at: usize, left_out: usize) -> Option<MachineView> {
        let mut view = self.beginning(id)?;
        let end = self.tail.len().saturating_sub(left_out);
        for (index, logged) in self.tail[..end].iter().enumerate() {
            if index == snapshot_at
                && let Ok(bytes) = view.to_snapshot()
                && let Ok(restored) = MachineView::from_snapshot(id, &bytes)
            {
                view = restored;
            }
            fold(&mut view, logged);
        }
        Some(view)
    }
}

/// Folds one fact into a view.
pub(super) fn fold(view: &mut MachineView, logged: &Logged) {
    let placed = &logged.placed;
    view.apply(placed.position, placed.version, placed.recorded_at, &logged.entry);
}
