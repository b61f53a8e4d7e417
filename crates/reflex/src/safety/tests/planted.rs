//! Bugs that are put in from outside, by what goes into a step and what lies between two of them. What must hold is shown
//! to notice each.

use super::super::{Config, Kept, RemoteAsks, Safety, Sample, Verdict};
use super::{Asks, Contact};

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Planted {
    /// A latch goes before the disk knows.
    ClearedBeforeDisk,
    /// What comes again while a latch is about to be cleared is not seen.
    ClearedDespiteReturn,
    /// A resume that was pressed while latched counts afterwards.
    ResumeIsKept,
    /// Outputs are released before the disk holds that the machine is in service.
    ReleasedBeforeDisk,
    /// A contact that cannot be read counts as closed.
    UnknownIsClosed,
    /// A stop together with a resume is lost.
    StopIsLost,
    /// A start forgets what was kept.
    ForgottenAtStart,
    /// What passed once is held for ever.
    HeldForEver,
    /// A command that was there before passes again.
    ReplayPasses,
    /// Who does not have the machine moves it.
    AnybodyPasses,
    /// Motion that is not measured lately is taken for rest.
    StaleIsStill,
    /// A loop that was late goes on.
    LateGoesOn,
}

/// The safety region with a bug in it, or none.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) safety: Safety,
    bug: Option<Planted>,
    asked: Option<(Asks, RemoteAsks)>,
    /// Presses that the bug made up or swallowed.
    resumes_made: u32,
    resume_waits: bool,
    stops_lost: u32,
}

impl Subject {
    pub(super) fn new(mut config: Config, found: Option<Kept>, bug: Option<Planted>) -> Self {
        if bug == Some(Planted::LateGoesOn) {
            config.late_us = u64::MAX;
        }
        let found = found.filter(|_| bug != Some(Planted::ForgottenAtStart));
        Self {
            safety: Safety::new(config, found),
            bug,
            asked: None,
            resumes_made: 0,
            resume_waits: false,
            stops_lost: 0,
        }
    }

    /// What the bug remembers, so that states that differ by it count as different.
    pub(super) fn memory(&self) -> (bool, bool) {
        (self.resume_waits, self.bug.is_some())
    }

    pub(super) fn step(&mut self, now_us: u64, sample: &Sample) -> Verdict {
        let mut sample = *sample;
        let (asks, remote) = (sample.asks, sample.remote);
        let before = self.asked.replace((asks, remote));
        let clearing = self.safety.clearing;
        match self.bug {
            Some(Planted::ClearedBeforeDisk) => sample.kept = self.safety.clearing.unwrap_or(sample.kept),
            Some(Planted::ReleasedBeforeDisk) => {
                sample.kept = sample.kept.max(self.safety.keep.number_of_service);
            }
            Some(Planted::UnknownIsClosed) if sample.estop == Contact::Unknown => {
                sample.estop = Contact::Closed;
            }
            Some(Planted::ResumeIsKept) => {
                let latched = !self.safety.causes.latches().is_empty();
                let pressed = before.is_some_and(|(before, _)| before.resume != asks.resume);
                self.resume_waits |= pressed && latched;
                if self.resume_waits && !latched {
                    self.resume_waits = false;
                    self.resumes_made += 1;
                }
            }
            Some(Planted::StopIsLost) => {
                let lost = before.is_some_and(|(asks_before, remote_before)| {
                    asks_before.resume != asks.resume && remote_before.stop != remote.stop
                });
                self.stops_lost += u32::from(lost);
            }
            Some(Planted::ReplayPasses) => {
                self.safety.gate.forget_seen();
            }
            Some(Planted::AnybodyPasses) => {
                let holder = sample.claims.holder(now_us);
                for command in sample.commands.iter_mut().flatten() {
                    command.stamp.authority = holder;
                }
            }
            Some(Planted::HeldForEver) => self.safety.gate.hold_for_ever(),
            Some(Planted::StaleIsStill) => {
                for measured in sample.motion.iter_mut().flatten() {
                    measured.at_us = now_us;
                }
            }
            _ => {}
        }
        sample.asks.resume += self.resumes_made;
        sample.remote.stop -= self.stops_lost.min(sample.remote.stop);
        let verdict = self.safety.step(now_us, &sample);
        if self.bug == Some(Planted::ClearedDespiteReturn)
            && clearing.is_some_and(|number| sample.kept < number)
            && self.safety.clearing.is_none()
        {
            self.safety.clearing = clearing;
        }
        verdict
    }
}
