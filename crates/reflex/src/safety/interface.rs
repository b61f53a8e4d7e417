//! What goes into a step and what comes out: plain data of a fixed size.

use muster_model::vocabulary::{Authority, Contact, Safety as Region};
use serde::{Deserialize, Serialize};

use super::causes::Causes;
use super::config::Action;
use super::gate::{Command, Refused};

/// Most actuators of one machine.
pub const ACTUATORS_MAX: usize = 8;

/// Everything that matters, as it is in this moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The circuit of the emergency stop.
    pub estop: Contact,
    /// The contact at the case.
    pub tamper: Contact,
    /// The outputs could not be set in the last step.
    pub outputs_failed: bool,
    /// How fast each actuator moves; the first, where there is none behind the gate, how fast the machine does.
    pub motion: [Option<Measured>; ACTUATORS_MAX],
    /// What others say of conditions that rules ask for, by [`Condition`].
    pub conditions: [Told; Condition::COUNT],
    /// What was pressed at the machine.
    pub asks: Asks,
    /// What was asked for from afar.
    pub remote: RemoteAsks,
    /// Who claims to move the machine.
    pub claims: Claims,
    /// The newest command of each actuator.
    pub commands: [Option<Command>; ACTUATORS_MAX],
    /// The highest [`Keeping::number`] that is on disk.
    pub kept: u64,
    /// The machine is being ended in order.
    pub ending: bool,
}

impl Default for Sample {
    /// Nothing is known, which is not well.
    fn default() -> Self {
        Self {
            estop: Contact::Unknown,
            tamper: Contact::Unknown,
            outputs_failed: false,
            motion: [None; ACTUATORS_MAX],
            conditions: [Told::default(); Condition::COUNT],
            asks: Asks::default(),
            remote: RemoteAsks::default(),
            claims: Claims::default(),
            commands: [None; ACTUATORS_MAX],
            kept: 0,
            ending: false,
        }
    }
}

/// A measurement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Its value.
    #[serde(with = "crate::exact")]
    pub value: f64,
    /// When it was measured.
    pub at_us: u64,
}

/// What rules may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// There is no link to the server.
    LinkLost,
    /// The operator who holds the lease is not heard of.
    TeleopLost,
    /// A node that the machine needs is not well.
    NodeLost,
    /// The battery is low.
    BatteryLow,
    /// Something is too hot.
    TooHot,
    /// The machine is outside of where it may be.
    OutsideFence,
    /// Where the machine is, is not known.
    PositionLost,
}

impl Condition {
    /// Every condition.
    pub const ALL: &'static [Self] = &[
        Self::LinkLost,
        Self::TeleopLost,
        Self::NodeLost,
        Self::BatteryLow,
        Self::TooHot,
        Self::OutsideFence,
        Self::PositionLost,
    ];
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Its word, in the configuration and in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LinkLost => "link_lost",
            Self::TeleopLost => "teleop_lost",
            Self::NodeLost => "node_lost",
            Self::BatteryLow => "battery_low",
            Self::TooHot => "too_hot",
            Self::OutsideFence => "outside_fence",
            Self::PositionLost => "position_lost",
        }
    }
}

/// What somebody says of a condition. It is believed until it must have been said anew; from then on the condition holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Whether it holds.
    pub holds: bool,
    /// Until when this is believed.
    pub until_us: u64,
}

impl Told {
    /// Whether the condition holds, as far as anybody knows.
    pub const fn holds_at(self, now_us: u64) -> bool {
        self.holds || now_us > self.until_us
    }
}

/// Presses at the machine, each counted since the runtime began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Asks {
    /// Emergency stop.
    pub estop: u32,
    /// Stop.
    pub stop: u32,
    /// Reset: latches may be cleared.
    pub reset: u32,
    /// Resume: the machine may move again.
    pub resume: u32,
}

/// What can be asked for from afar. There is no way to ask for more motion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RemoteAsks {
    /// Stop.
    pub stop: u32,
}

/// Until when who claims to move the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// A person who services the machine.
    pub service_until_us: u64,
    /// A person at the machine.
    pub local_until_us: u64,
    /// A remote operator.
    pub teleop_until_us: u64,
    /// The mission.
    pub mission_until_us: u64,
}

/// What is decided.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Where the machine stands.
    pub region: Region,
    /// Why it does not move freely.
    pub causes: Causes,
    /// The rows of the failsafe table that stand, by their places.
    pub standing: u16,
    /// What is done for it.
    pub action: Action,
    /// What the outputs shall be.
    pub outputs: Outputs,
    /// Whether it is measured to be at rest; nothing where that is not known.
    pub still: Option<bool>,
    /// Who may move it.
    pub holder: Authority,
    /// What became of the command of each actuator.
    pub decided: [Option<Result<(), Refused>>; ACTUATORS_MAX],
    /// What shall be on disk.
    pub keep: Keeping,
}

/// What the outputs shall be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// Power for what moves.
    pub enable: bool,
    /// What each actuator does.
    pub drives: [Drive; ACTUATORS_MAX],
}

/// What one actuator does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drive {
    /// Nothing.
    #[default]
    Off,
    /// This, in its unit.
    To(f64),
}

/// What outlives the machine's power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Causes that a start does not end.
    pub causes: Causes,
    /// Whether outputs were released and not taken back in order.
    pub in_service: bool,
}

/// What shall be on disk, with a number that grows whenever it changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keeping {
    /// The number of this wish.
    pub number: u64,
    /// The wish by which the machine came to be in service.
    pub number_of_service: u64,
    /// What is wished.
    pub kept: Kept,
}
