//! The one way to an actuator.

use muster_model::vocabulary::Authority;
use serde::{Deserialize, Serialize};

use super::config::{Actuator, Config};
use super::interface::{ACTUATORS_MAX, Drive, Outputs, Sample};

/// A command for an actuator.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// What it shall do, in its unit.
    #[serde(with = "crate::exact")]
    pub value: f64,
    /// In whose name, and until when.
    pub stamp: Stamp,
}

/// Without a good one nothing passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// In whose name.
    pub authority: Authority,
    /// Grows with each command in this name.
    pub sequence: u64,
    /// After this the command is over.
    pub deadline_us: u64,
}

/// Why a command does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// The machine stands.
    Standing,
    /// Somebody else moves the machine.
    NotTheHolder,
    /// It, or a later one, was there before.
    Replayed,
    /// Its time is over.
    Expired,
    /// It wants to hold for longer than any command may.
    TooFarAhead,
    /// It is not a number.
    NotANumber,
}

impl Refused {
    /// Its word, in events and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standing => "standing",
            Self::NotTheHolder => "not_the_holder",
            Self::Replayed => "replayed",
            Self::Expired => "expired",
            Self::TooFarAhead => "too_far_ahead",
            Self::NotANumber => "not_a_number",
        }
    }
}

/// What passed, and what the outputs are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Gate {
    enabled: bool,
    /// Who moved the machine last: sequences are counted for as long as it is the same.
    holder: Option<Authority>,
    /// The highest sequence that was seen of each actuator, good or not.
    seen: [u64; ACTUATORS_MAX],
    held: [Option<Command>; ACTUATORS_MAX],
    values: [f64; ACTUATORS_MAX],
    decided: [Option<Result<(), Refused>>; ACTUATORS_MAX],
}

impl Gate {
    pub(super) fn is_enabled(&self) -> bool {
        self.enabled
    }

    pub(super) fn decided(&self) -> [Option<Result<(), Refused>>; ACTUATORS_MAX] {
        self.decided
    }

    /// Whether nothing is being asked of any actuator.
    pub(super) fn is_at_rest(&self) -> bool {
        self.values.iter().all(|value| value.to_bits() << 1 == 0)
    }

    /// The machine may move: what may pass, passes.
    pub(super) fn pass(
        &mut self,
        now_us: u64,
        passed_us: u64,
        config: &Config,
        factor: f64,
        sample: &Sample,
    ) -> Outputs {
        let holder = sample.claims.holder(now_us);
        if self.holder != Some(holder) {
            // What the one before asked for is over; what it asked for again later is no replay.
            self.holder = Some(holder);
            self.seen = [0; ACTUATORS_MAX];
            self.held = [None; ACTUATORS_MAX];
        }
        self.enabled = true;
        let mut outputs = Outputs {
            enable: true,
            drives: [Drive::Off; ACTUATORS_MAX],
        };
        for (place, actuator) in config.actuators() {
            self.decided[place] = self.take(place, now_us, config, holder, sample);
            let held = self.held[place].filter(|held| held.stamp.deadline_us > now_us);
            self.held[place] = held;
            let wanted = held.map_or(0.0, |held| held.value);
            let value = towards(self.values[place], wanted, passed_us, &actuator, factor);
            self.values[place] = value;
            // At rest and asked for nothing: off, and not held at zero.
            if held.is_some() || value != 0.0 {
                outputs.drives[place] = Drive::To(value);
            }
        }
        outputs
    }

    fn take(
        &mut self,
        place: usize,
        now_us: u64,
        config: &Config,
        holder: Authority,
        sample: &Sample,
    ) -> Option<Result<(), Refused>> {
        let command = sample.commands[place]?;
        if self.held[place] == Some(command) {
            return self.decided[place];
        }
        let judged = judge(&command, now_us, config, holder, self.seen[place]);
        if command.stamp.authority == holder {
            self.seen[place] = self.seen[place].max(command.stamp.sequence);
        }
        if judged.is_ok() {
            self.held[place] = Some(command);
        }
        Some(judged)
    }

    /// The machine stands: nothing passes, and what passed before is over for good.
    pub(super) fn shut(&mut self, now_us: u64, sample: &Sample) {
        let holder = sample.claims.holder(now_us);
        if self.holder != Some(holder) {
            self.holder = Some(holder);
            self.seen = [0; ACTUATORS_MAX];
        }
        self.held = [None; ACTUATORS_MAX];
        for (place, command) in sample.commands.iter().enumerate() {
            self.decided[place] = command.map(|command| {
                if command.stamp.authority == holder {
                    self.seen[place] = self.seen[place].max(command.stamp.sequence);
                }
                Err(Refused::Standing)
            });
        }
    }

    /// One step on the way to rest, under power.
    pub(super) fn bring_to_rest(&mut self, passed_us: u64, config: &Config) -> Outputs {
        let mut outputs = Outputs {
            enable: true,
            drives: [Drive::Off; ACTUATORS_MAX],
        };
        for (place, actuator) in config.actuators() {
            let value = towards(self.values[place], 0.0, passed_us, &actuator, 1.0);
            self.values[place] = value;
            outputs.drives[place] = Drive::To(value);
        }
        outputs
    }

    /// Nothing has power.
    pub(super) fn power_off(&mut self) -> Outputs {
        self.enabled = false;
        self.values = [0.0; ACTUATORS_MAX];
        Outputs::default()
    }
}

fn judge(
    command: &Command,
    now_us: u64,
    config: &Config,
    holder: Authority,
    seen: u64,
) -> Result<(), Refused> {
    let Stamp {
        authority,
        sequence,
        deadline_us,
    } = command.stamp;
    if authority != holder || holder == Authority::None {
        return Err(Refused::NotTheHolder);
    }
    if sequence <= seen {
        return Err(Refused::Replayed);
    }
    if deadline_us <= now_us {
        return Err(Refused::Expired);
    }
    if deadline_us - now_us > config.horizon_us {
        return Err(Refused::TooFarAhead);
    }
    if !command.value.is_finite() {
        return Err(Refused::NotANumber);
    }
    Ok(())
}

/// As near to what is wanted as limits and time allow. Towards rest it may always change as fast as the actuator can.
fn towards(value: f64, wanted: f64, passed_us: u64, actuator: &Actuator, factor: f64) -> f64 {
    let most = actuator.max * factor;
    let wanted = wanted.clamp(-most, most);
    #[expect(clippy::cast_precision_loss, reason = "a step takes milliseconds")]
    let change = actuator.change_max_per_s * (passed_us as f64 / 1e6);
    let next = value + (wanted - value).clamp(-change, change);
    // What a tightened limit leaves is not exceeded while the value comes down to it by more than it may change.
    next.clamp(-actuator.max, actuator.max)
}

#[cfg(test)]
impl Gate {
    /// For a planted bug.
    pub(super) fn forget_seen(&mut self) {
        self.seen = [0; ACTUATORS_MAX];
    }

    /// For a planted bug.
    pub(super) fn hold_for_ever(&mut self) {
        for held in self.held.iter_mut().flatten() {
            held.stamp.deadline_us = u64::MAX;
        }
    }
}
