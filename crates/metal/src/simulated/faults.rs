//! What now and then goes wrong, for how long, and how it is chosen.

use serde::{Deserialize, Serialize};

use super::place::Profile;
use super::random::Random;

/// Something that goes wrong in a simulated machine. Its effects follow from the physics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// Friction: a brake drags, a gear runs dry. The motor heats up, and may have to stop.
    MotorOverheating,
    /// A cell of the battery is weak: its voltage sags under load.
    WeakCell,
    /// A wheel is stalled: the robot stands still and draws current.
    MotorStall,
    /// A sensor says nothing: its readings fail for some seconds.
    PowerSensorSilent,
    /// The same for the thermometers.
    ThermalSensorSilent,
    /// The same for the receiver that tells where the machine is.
    LocationSensorSilent,
    /// The fan stands still while a long job runs.
    FanFailure,
    /// A log floods the disk.
    DiskFilling,
}

impl FaultKind {
    /// What can happen to a machine of this kind; what stands twice happens twice as often.
    pub const fn of(profile: Profile) -> &'static [Self] {
        match profile {
            Profile::Car => &[
                Self::MotorOverheating,
                Self::WeakCell,
                Self::LocationSensorSilent,
                Self::PowerSensorSilent,
            ],
            Profile::Lekiwi => &[
                Self::MotorStall,
                Self::MotorOverheating,
                Self::MotorStall,
                Self::WeakCell,
                Self::LocationSensorSilent,
                Self::ThermalSensorSilent,
            ],
            Profile::Pi => &[Self::FanFailure, Self::DiskFilling, Self::ThermalSensorSilent],
        }
    }

    /// Whether it can only begin while the machine moves.
    const fn needs_motion(self) -> bool {
        match self {
            Self::MotorOverheating | Self::MotorStall => true,
            Self::WeakCell
            | Self::PowerSensorSilent
            | Self::ThermalSensorSilent
            | Self::LocationSensorSilent
            | Self::FanFailure
            | Self::DiskFilling => false,
        }
    }

    fn seconds(self, random: &mut Random) -> f64 {
        match self {
            Self::MotorOverheating => random.between(240.0, 480.0),
            Self::WeakCell => random.between(60.0, 240.0),
            Self::MotorStall => random.between(40.0, 80.0),
            Self::PowerSensorSilent | Self::ThermalSensorSilent | Self::LocationSensorSilent => {
                random.between(5.0, 25.0)
            }
            Self::FanFailure => random.between(180.0, 420.0),
            Self::DiskFilling => random.between(200.0, 400.0),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Faults {
    standing: Option<Standing>,
    /// Until the next one; `None` for never.
    next_in_s: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Standing {
    kind: FaultKind,
    left_s: f64,
}

impl Faults {
    pub(crate) fn new(mean_between_s: Option<f64>, random: &mut Random) -> Self {
        Self {
            standing: None,
            next_in_s: mean_between_s.map(|mean| random.waiting(mean)),
        }
    }

    pub(crate) fn standing(&self) -> Option<FaultKind> {
        self.standing.map(|standing| standing.kind)
    }

    pub(crate) fn begin(&mut self, kind: FaultKind, random: &mut Random) {
        let left_s = kind.seconds(random);
        self.standing = Some(Standing { kind, left_s });
    }

    pub(crate) fn step(
        &mut self,
        profile: Profile,
        mean_between_s: Option<f64>,
        moving: bool,
        random: &mut Random,
        seconds: f64,
    ) {
        if let Some(standing) = &mut self.standing {
            standing.left_s -= seconds;
            if standing.left_s <= 0.0 {
                self.standing = None;
            }
            return;
        }
        let (Some(mean), Some(next_in_s)) = (mean_between_s, &mut self.next_in_s) else {
            return;
        };
        *next_in_s -= seconds;
        if *next_in_s <= 0.0 {
            *next_in_s = random.waiting(mean);
            // One that needs motion and finds none does not happen at all: standing machines break less.
            if let Some(kind) = random
                .pick(FaultKind::of(profile))
                .filter(|kind| moving || !kind.needs_motion())
            {
                self.begin(kind, random);
            }
        }
    }

    pub(crate) fn is_possible(&self) -> bool {
        self.standing.is_none_or(|standing| standing.left_s.is_finite())
            && self.next_in_s.is_none_or(f64::is_finite)
    }
}
