//! After a restart: every machine as the log knows it, from the newest checkpoint and what came after it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use muster_model::{LogPosition, MachineEntry, MachineId, MachineView};
use muster_store::{EventLog, LogError};

/// The fleet after one entry of the log.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    /// After which.
    pub position: LogPosition,
    /// Every machine.
    pub views: BTreeMap<MachineId, MachineView>,
}

/// Why the fleet could not be rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The log could not be read.
    #[error("the log could not be read")]
    Log(#[from] LogError),
    /// An entry is none that this version knows.
    #[error("entry {position} of the log cannot be understood by this version")]
    Entry {
        /// Which one.
        position: LogPosition,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

impl Fold {
    /// The fleet after an entry: the newest snapshots before it, and the entries from there on. Blocks.
    pub fn at(log: &dyn EventLog, position: LogPosition) -> Result<Self, FoldError> {
        let kept = log.load_snapshots(position)?;
        let mut fold = Self {
            position: kept.checkpoint,
            views: BTreeMap::new(),
        };
        let mut unreadable = !kept.damaged.is_empty();
        for snapshot in &kept.snapshots {
            let Some(id) = snapshot.stream.as_machine() else {
                continue;
            };
            match MachineView::from_snapshot(id, &snapshot.body) {
                Ok(view) => {
                    fold.views.insert(id, view);
                }
                Err(error) => {
                    tracing::warn!(machine = %id, %error, "a snapshot cannot be read");
                    unreadable = true;
                }
            }
        }
        if unreadable {
            // Snapshots only save time: without a sound one everything is folded from the beginning.
            tracing::warn!("snapshots are damaged: folding the whole log");
            fold = Self::default();
        }
        fold.advance(log, position)?;
        Ok(fold)
    }

    /// Folds in the entries up to a later position. Blocks.
    pub fn advance(&mut self, log: &dyn EventLog, to: LogPosition) -> Result<(), FoldError> {
        if self.position >= to {
            return Ok(());
        }
        let mut bad = None;
        let views = &mut self.views;
        log.scan(self.position.next(), to, &mut |event| {
            let Some(id) = event.stream.as_machine() else {
                return ControlFlow::Continue(());
            };
            let entry: MachineEntry = match serde_json::from_slice(event.body) {
                Ok(entry) => entry,
                Err(source) => {
                    bad = Some(FoldError::Entry {
                        position: event.position,
                        source,
                    });
                    return ControlFlow::Break(());
                }
            };
            let view = views
                .entry(id)
                .or_insert_with(|| MachineView::new(id, event.recorded_at));
            view.apply(event.position, event.version, event.recorded_at, &entry);
            ControlFlow::Continue(())
        })?;
        match bad {
            Some(error) => Err(error),
            None => {
                self.position = to;
                Ok(())
            }
        }
    }
}
