//! What is reported of a product.

use muster_model::Timestamp;
use muster_model::release::{
    ProductName, ProductReport, RunningRelease, UpdateReport, WHY_MAX, WHY_MAX_CHARS,
};
use muster_model::vocabulary::UpdatePhase;

use super::{Phase, Product};

impl Product {
    pub(super) fn phase_shown(&self) -> UpdatePhase {
        let ended = self.taken.as_ref().and_then(|taken| taken.ended.as_ref());
        match &self.phase {
            Phase::Resting if self.offered.is_some() => UpdatePhase::Offered,
            Phase::Resting => match (ended, &self.taken) {
                (Some(ended), _) => ended.phase,
                // Taken up before a restart: it goes on when the slots are known.
                (None, Some(_)) => UpdatePhase::Offered,
                (None, None) => UpdatePhase::Idle,
            },
            Phase::TakingUp => UpdatePhase::Offered,
            Phase::Fetching { .. } => UpdatePhase::Fetching,
            Phase::Waiting if self.why.is_empty() => UpdatePhase::Verified,
            Phase::Waiting => UpdatePhase::Waiting,
            Phase::Installing | Phase::Running(_) | Phase::Activating | Phase::Starting => {
                UpdatePhase::Installing
            }
            Phase::Probation { .. } | Phase::Confirming { .. } | Phase::GoingBack { .. } => {
                UpdatePhase::Probation
            }
            // Not told before the disk holds it: what was shown stays, if it was about this assignment.
            Phase::Ending { .. } if self.shown.is_end() => UpdatePhase::Offered,
            Phase::Ending { .. } => self.shown,
        }
    }

    pub(in crate::update) fn report(&self, name: &ProductName) -> ProductReport {
        let slots = self.slots.as_ref();
        let running = slots.and_then(|slots| {
            Some(RunningRelease {
                release: slots.running.clone()?,
                confirmed: !slots.on_probation,
                start: slots.starts,
                started_at: slots.started_at,
            })
        });
        ProductReport {
            product: name.to_string(),
            running,
            other: slots.and_then(|slots| slots.other.clone()),
            update: self.update(),
        }
    }

    fn update(&self) -> Option<UpdateReport> {
        let since = self.since.unwrap_or(Timestamp::from_millis(0));
        let mut why: Vec<String> = match &self.offered {
            Some((_, why)) => why.clone(),
            None => self.why.iter().chain(&self.stuck).cloned().collect(),
        };
        why.truncate(WHY_MAX);
        for text in &mut why {
            if let Some((end, _)) = text.char_indices().nth(WHY_MAX_CHARS) {
                text.truncate(end);
            }
        }
        if let Some((offered, _)) = &self.offered {
            return Some(UpdateReport {
                number: offered.number,
                act: offered.act,
                version: offered.version.clone(),
                manifest: offered.manifest.clone(),
                phase: UpdatePhase::Offered,
                why,
                fetched_bytes: 0,
                to_fetch_bytes: 0,
                since,
            });
        }
        let taken = self.taken.as_ref()?;
        if let (Phase::Resting, Some(ended)) = (&self.phase, &taken.ended) {
            why.clone_from(&ended.why);
        }
        Some(UpdateReport {
            number: taken.number,
            act: taken.act,
            version: taken.version.clone(),
            manifest: taken.manifest.clone(),
            phase: self.phase_shown(),
            why,
            fetched_bytes: self.fetched_bytes,
            to_fetch_bytes: self.to_fetch_bytes,
            since: match &taken.ended {
                Some(ended) if self.phase == Phase::Resting => ended.at,
                _ => since,
            },
        })
    }
}
