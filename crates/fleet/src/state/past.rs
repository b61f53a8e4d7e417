//! The fleet as it was at any moment: folded from the log, and kept a while, because whoever looks at one moment looks
//! at the ones beside it next.

use std::sync::Arc;

use muster_model::{LogPosition, MachineId, MachineView, Timestamp};
use muster_store::EventLog;
use parking_lot::Mutex;

use super::recovery::{Fold, FoldError};

/// Moments that are kept.
const KEPT_MAX: usize = 4;
/// So many entries are folded as quickly as a checkpoint is loaded, and what follows it up to the moment: checkpoints of
/// old times lie an hour apart.
const NEAR_ENTRIES: u64 = 100_000;

/// The fleet as it was.
#[derive(Clone, Debug)]
pub struct Moment {
    /// After which entry of the log.
    pub position: LogPosition,
    /// Every machine, by id.
    pub machines: Arc<Vec<Arc<MachineView>>>,
}

impl Moment {
    /// One machine.
    pub fn view(&self, machine: MachineId) -> Option<&Arc<MachineView>> {
        let index = self
            .machines
            .binary_search_by_key(&machine, |view| view.id)
            .ok()?;
        self.machines.get(index)
    }

    /// A snapshot also knows when a machine was last heard of, from memory: of what was heard after the moment itself, the
    /// past knows nothing.
    fn without_what_came_after(mut self, time: Timestamp) -> Self {
        if self.machines.iter().any(|view| view.last_seen > time) {
            for view in Arc::make_mut(&mut self.machines) {
                if view.last_seen > time {
                    Arc::make_mut(view).last_seen = time;
                }
            }
        }
        self
    }
}

/// Looks moments up.
pub struct Past {
    log: Arc<dyn EventLog>,
    kept: Mutex<Vec<Moment>>,
}

impl Past {
    pub(super) fn new(log: Arc<dyn EventLog>) -> Self {
        Self {
            log,
            kept: Mutex::default(),
        }
    }

    /// The fleet as the server knew it at a time. Blocks.
    pub fn at(&self, time: Timestamp) -> Result<Moment, FoldError> {
        let position = self.log.position_at(time)?;
        let moment = match self.find(position) {
            Some(moment) => moment,
            None => self.fold(position)?,
        };
        Ok(moment.without_what_came_after(time))
    }

    fn fold(&self, position: LogPosition) -> Result<Moment, FoldError> {
        // From the nearest earlier moment, if it is so near that a checkpoint is hardly nearer.
        let near = self
            .nearest_before(position)
            .filter(|moment| position.0 - moment.position.0 < NEAR_ENTRIES);
        let fold = match near {
            Some(moment) => {
                let mut fold = Fold {
                    position: moment.position,
                    views: moment
                        .machines
                        .iter()
                        .map(|view| (view.id, MachineView::clone(view)))
                        .collect(),
                };
                drop(moment);
                fold.advance(&*self.log, position)?;
                fold
            }
            None => Fold::at(&*self.log, position)?,
        };
        let machines = Arc::new(fold.views.into_values().map(Arc::new).collect());
        let moment = Moment { position, machines };
        let mut kept = self.kept.lock();
        if !kept.iter().any(|known| known.position == position) {
            if kept.len() >= KEPT_MAX {
                kept.remove(0);
            }
            kept.push(moment.clone());
        }
        Ok(moment)
    }

    fn find(&self, position: LogPosition) -> Option<Moment> {
        let mut kept = self.kept.lock();
        let index = kept.iter().position(|moment| moment.position == position)?;
        // What was asked for last goes last.
        let found = kept.remove(index);
        kept.push(found.clone());
        Some(found)
    }

    fn nearest_before(&self, position: LogPosition) -> Option<Moment> {
        let kept = self.kept.lock();
        let before = kept.iter().filter(|moment| moment.position <= position);
        before.max_by_key(|moment| moment.position).cloned()
    }
}
