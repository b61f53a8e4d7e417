//! The fleet as it was at any moment: folded from the log, and kept a while, because whoever looks at one moment looks
//! at the ones beside it next.

use std::sync::Arc;

use muster_model::{LogPosition, MachineId, MachineView, Timestamp};
use muster_store::EventLog;
use parking_lot::Mutex;

use super::recovery::{Fold, FoldError};

/// Moments that are kept.
const KEPT_MAX: usize = 4;

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
}

/// Looks moments up.
pub struct Past {
    log: Arc<dyn EventLog>,
    kept: Mutex<Vec<(Fold, Moment)>>,
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
        if let Some(moment) = self.find(position) {
            return Ok(moment);
        }
        // From the nearest earlier moment, if it is so near that a checkpoint is hardly nearer.
        let near = self
            .nearest_before(position)
            .filter(|fold| position.0 - fold.position.0 < 20_000);
        let fold = match near {
            Some(mut fold) => {
                fold.advance(&*self.log, position)?;
                fold
            }
            None => Fold::at(&*self.log, position)?,
        };
        let machines = Arc::new(fold.views.values().cloned().map(Arc::new).collect());
        let moment = Moment { position, machines };
        let mut kept = self.kept.lock();
        if kept.len() >= KEPT_MAX {
            kept.remove(0);
        }
        kept.push((fold, moment.clone()));
        Ok(moment)
    }

    fn find(&self, position: LogPosition) -> Option<Moment> {
        let mut kept = self.kept.lock();
        let index = kept.iter().position(|(_, moment)| moment.position == position)?;
        // What was asked for last goes last.
        let found = kept.remove(index);
        let moment = found.1.clone();
        kept.push(found);
        Some(moment)
    }

    fn nearest_before(&self, position: LogPosition) -> Option<Fold> {
        let kept = self.kept.lock();
        let before = kept.iter().filter(|(fold, _)| fold.position <= position);
        before
            .max_by_key(|(fold, _)| fold.position)
            .map(|(fold, _)| fold.clone())
    }
}
