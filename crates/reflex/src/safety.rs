//! What may move, and why not.
//!
//! [`Safety::step`] is called at a fixed rate by a thread that does nothing else. It takes one [`Sample`] of everything that
//! matters and gives back a [`Verdict`]: what the outputs shall be now. There is no allocation, no waiting and no clock in
//! it. The reasons are in `docs/decisions/0016-the-safety-region.md`.
//!
//! Begin with [`Sample`] and [`Verdict`] in `interface`; [`Causes`] are why a machine stands; [`config`] what it is told of
//! itself; `gate` lets commands through.

mod causes;
pub mod config;
pub mod decisions;
mod gate;
mod interface;
mod motion;
mod rules;

#[cfg(test)]
mod tests;

use muster_model::vocabulary::{Authority, Contact, Safety as Region};
use serde::{Deserialize, Serialize};

pub use causes::{Cause, Causes};
pub use config::Config;
pub use gate::{Command, Refused, Stamp};
pub use interface::{
    ACTUATORS_MAX, Asks, Claims, Condition, Drive, Keeping, Kept, Measured, Outputs, RemoteAsks, Sample,
    Told, Verdict,
};

use config::{Action, Start};
use gate::Gate;
use motion::Watch;
use rules::Rules;

/// What decides whether a machine may move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Safety {
    config: Config,
    causes: Causes,
    rules: Rules,
    gate: Gate,
    motion: Watch,
    /// When the last step was.
    stepped_us: Option<u64>,
    /// What was pressed before, to see what is pressed anew.
    asked: Option<(Asks, RemoteAsks)>,
    /// Since when outputs are being brought to rest.
    stopping_since_us: Option<u64>,
    /// What shall be on disk, and the number of that wish.
    keep: Keeping,
    /// A reset that waits for the disk.
    clearing: Option<u64>,
    /// Whether everything was read well at least once.
    tested: bool,
}

impl Safety {
    /// Of a machine that starts and finds this on its disk; nothing, where it never ran.
    pub fn new(config: Config, found: Option<Kept>) -> Self {
        let found = found.unwrap_or_default();
        let mut causes = found.causes.kept_on_disk();
        if config.start == Start::Explicit {
            causes.insert(Cause::Started);
        }
        if found.in_service && config.after_power_cut == Start::Explicit {
            causes.insert(Cause::EndedUnknown);
        }
        let keep = Keeping {
            number: 0,
            number_of_service: 0,
            kept: Kept {
                in_service: found.in_service,
                causes: causes.kept_on_disk(),
            },
        };
        Self {
            rules: Rules::new(&config),
            gate: Gate::default(),
            motion: Watch::default(),
            config,
            causes,
            stepped_us: None,
            asked: None,
            stopping_since_us: None,
            keep,
            clearing: None,
            tested: false,
        }
    }

    /// Of one that takes over: what was pressed since this was counted is heard in the first step. Without it only what is
    /// pressed after the first step is.
    #[must_use]
    pub fn with_heard(mut self, asks: Asks) -> Self {
        self.asked = Some((asks, RemoteAsks::default()));
        self
    }

    /// Decides. `now_us` never goes back, and counts on while the machine sleeps.
    pub fn step(&mut self, now_us: u64, sample: &Sample) -> Verdict {
        let passed_us = self.passed_us(now_us);
        self.settle_reset(sample);
        self.find_causes(now_us, sample);
        self.hear_people(sample, passed_us > self.config.late_us);
        let action = self.rules.action().max(self.causes.action(&self.config));
        let region = self.region();
        let outputs = self.outputs(now_us, passed_us, action, region, sample);
        self.note_for_disk(sample);
        Verdict {
            region,
            causes: self.causes,
            standing: self.rules.standing(),
            action,
            outputs,
            still: self.motion.still(),
            holder: sample.claims.holder(now_us),
            decided: self.gate.decided(),
            keep: self.keep,
        }
    }

    /// Where the machine stands now.
    pub fn region(&self) -> Region {
        match () {
            () if self.causes.any_estop() => Region::EstopLatched,
            () if self.causes.any_fault() => Region::FaultLatched,
            () if !self.tested => Region::Init,
            () if self.causes.any_hold() => Region::ProtectiveStop,
            () if self.rules.action() >= Action::Limit => Region::Limited,
            () => Region::Operational,
        }
    }

    /// How long ago the last step was. Who comes much too late does not know what happened meanwhile.
    fn passed_us(&mut self, now_us: u64) -> u64 {
        let Some(last) = self.stepped_us.replace(now_us) else {
            return 0;
        };
        let passed_us = now_us.saturating_sub(last);
        if passed_us > self.config.late_us {
            self.causes.insert(Cause::Late);
        }
        passed_us
    }

    /// The disk holds that the latches are cleared: now they are.
    fn settle_reset(&mut self, sample: &Sample) {
        if self.clearing.is_some_and(|number| sample.kept >= number) {
            self.clearing = None;
            self.causes.clear_latches();
            self.rules.clear_latches();
            self.causes.insert(Cause::NotResumed);
        }
    }

    fn find_causes(&mut self, now_us: u64, sample: &Sample) {
        let mut found = Causes::default();
        found.set(
            Cause::Estop,
            self.config.estop_circuit && sample.estop != Contact::Closed,
        );
        found.set(
            Cause::Tamper,
            self.config.tamper_circuit && sample.tamper != Contact::Closed,
        );
        found.set(Cause::OutputFailed, sample.outputs_failed);
        self.motion
            .look(now_us, &self.config, sample, self.gate.is_enabled(), &mut found);
        self.rules.look(now_us, &self.config, sample, &mut found);
        if !found.latches().is_empty() {
            // Also what is latched already may come again while it is about to be cleared.
            self.clearing = None;
        }
        self.causes.find(found);
        self.tested |= !(sample.outputs_failed || self.motion.is_unknown(&self.config));
    }

    fn hear_people(&mut self, sample: &Sample, is_late: bool) {
        // Presses of before the start are not heard.
        let (asks, remote) = (sample.asks, sample.remote);
        let Some((asks_before, remote_before)) = self.asked.replace((asks, remote)) else {
            return;
        };
        // First what is safe; then a resume; a reset last, so that one pressed together with a resume is not resumed.
        if asks.estop != asks_before.estop {
            self.causes.insert(Cause::EstopAsked);
            self.clearing = None;
        }
        if asks.stop != asks_before.stop || remote.stop != remote_before.stop {
            self.causes.insert(Cause::Asked);
        }
        // Who pressed resume before a step that came too late did not know that it would.
        if is_late {
            return;
        }
        let nothing_asked = asks.estop == asks_before.estop
            && asks.stop == asks_before.stop
            && remote.stop == remote_before.stop;
        if !nothing_asked {
            return;
        }
        if asks.resume != asks_before.resume && self.may_resume() {
            self.causes.clear_by_resume();
            self.rules.acknowledge();
        }
        if asks.reset != asks_before.reset && self.clearing.is_none() && self.may_reset(sample) {
            self.clearing = Some(self.keep.number + 1);
            self.keep.number += 1;
            self.keep.kept.causes = self
                .causes
                .without_latches()
                .with(Cause::NotResumed)
                .kept_on_disk();
        }
    }

    /// Who resumes a machine must see it move, or nothing: a resume is not kept for later.
    fn may_resume(&self) -> bool {
        self.tested && self.causes.only_resume_is_missing() && !self.rules.holds_unacknowledged()
    }

    /// A latch can be cleared when nothing is there any more that set it.
    fn may_reset(&self, sample: &Sample) -> bool {
        let circuit = |watched: bool, contact: Contact| !watched || contact == Contact::Closed;
        !self.causes.latches().is_empty()
            && circuit(self.config.estop_circuit, sample.estop)
            && circuit(self.config.tamper_circuit, sample.tamper)
            && !sample.outputs_failed
            && !self.motion.moves()
            && !self.rules.holds_latched()
    }

    fn outputs(
        &mut self,
        now_us: u64,
        passed_us: u64,
        action: Action,
        region: Region,
        sample: &Sample,
    ) -> Outputs {
        // What is not on disk is not begun: a power cut must find out that the machine was in service.
        let in_service = self.keep.kept.in_service && sample.kept >= self.keep.number_of_service;
        let may_move =
            matches!(region, Region::Operational | Region::Limited) && in_service && !sample.ending;
        if may_move && action < Action::Hold {
            self.stopping_since_us = None;
            let factor = if action >= Action::Limit {
                self.config.limited_to
            } else {
                1.0
            };
            return self.gate.pass(now_us, passed_us, &self.config, factor, sample);
        }
        self.gate.shut(now_us, sample);
        // What moves without an actuator behind the gate cannot be brought to rest but by taking its power.
        let nothing_to_steer = !self.config.actuators().any(|(_, actuator)| actuator.measured);
        if !self.gate.is_enabled() || action == Action::PowerOff || nothing_to_steer {
            return self.gate.power_off();
        }
        let since = *self.stopping_since_us.get_or_insert(now_us);
        let at_rest = self.gate.is_at_rest() && self.motion.still() != Some(false);
        let over = now_us.saturating_sub(since) >= self.config.stop_within_us;
        // Who holds keeps its power; everything else loses it when it has come to rest, or should have.
        if action != Action::Hold && (at_rest || over) {
            return self.gate.power_off();
        }
        self.gate.bring_to_rest(passed_us, &self.config)
    }

    /// What the disk should hold, if that is not what it was asked for last.
    fn note_for_disk(&mut self, sample: &Sample) {
        if self.clearing.is_some() {
            return;
        }
        let wanted = Kept {
            causes: self.causes.kept_on_disk(),
            in_service: match self.region() {
                _ if sample.ending => self.keep.kept.in_service && self.gate.is_enabled(),
                Region::Operational | Region::Limited => true,
                Region::Init | Region::ProtectiveStop | Region::EstopLatched | Region::FaultLatched => {
                    self.keep.kept.in_service
                }
            },
        };
        if wanted != self.keep.kept {
            let number = self.keep.number + 1;
            let number_of_service = if wanted.in_service && !self.keep.kept.in_service {
                number
            } else {
                self.keep.number_of_service
            };
            self.keep = Keeping {
                number,
                number_of_service,
                kept: wanted,
            };
        }
    }
}

/// Who may move the machine, of those who claim it.
impl Claims {
    /// The highest claim that has not run out.
    pub fn holder(&self, now_us: u64) -> Authority {
        [
            (self.service_until_us, Authority::Service),
            (self.local_until_us, Authority::LocalManual),
            (self.teleop_until_us, Authority::Teleop),
            (self.mission_until_us, Authority::Mission),
        ]
        .into_iter()
        .find(|(until_us, _)| *until_us > now_us)
        .map_or(Authority::None, |(_, authority)| authority)
    }
}
