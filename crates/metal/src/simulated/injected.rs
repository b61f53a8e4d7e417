//! Faults that somebody puts into a simulated machine: which stand, and until when. Their effects are in the physics.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_model::simulation::{SimulatedFault, StandingFault};

use super::{Profile, SharedMachine, SimulatedMachine};
use crate::Faults;

/// How the drive behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drive {
    /// As it is told.
    AsTold,
    /// Faster than it may.
    TooFast,
    /// Faster and faster.
    Away,
}

/// The faults that stand. Not part of a snapshot: a fleet that is started again is well.
#[derive(Clone, Debug, Default)]
pub(super) struct Injected {
    standing: BTreeMap<SimulatedFault, Standing>,
    /// The speed that is shown while the sensor is frozen.
    pub(super) frozen_m_per_s: f64,
}

#[derive(Clone, Copy, Debug)]
struct Standing {
    for_s: Option<u32>,
    /// By the caller's clock; absent until that is known.
    until: Option<Duration>,
}

impl Injected {
    pub(super) fn has(&self, fault: SimulatedFault) -> bool {
        self.standing.contains_key(&fault)
    }

    /// Takes out what is over.
    pub(super) fn expire(&mut self, now: Duration) {
        if self.standing.is_empty() {
            return;
        }
        for standing in self.standing.values_mut() {
            let lasts = standing.for_s.map(|seconds| Duration::from_secs(seconds.into()));
            standing.until = standing.until.or(lasts.map(|lasts| now + lasts));
        }
        self.standing
            .retain(|_, standing| standing.until.is_none_or(|until| now < until));
    }

    pub(super) fn drive(&self) -> Drive {
        if self.has(SimulatedFault::RunawayMotor) {
            Drive::Away
        } else if self.has(SimulatedFault::OverSpeed) {
            Drive::TooFast
        } else {
            Drive::AsTold
        }
    }

    /// Whether what moves has power when it was told so.
    pub(super) fn powered(&self, told: bool) -> bool {
        if self.has(SimulatedFault::BrownOut) || self.has(SimulatedFault::RelayStuckOff) {
            return false;
        }
        told || self.has(SimulatedFault::RelayStuckOn)
    }
}

/// What can be put into a machine of this kind.
const fn possible(profile: Profile) -> &'static [SimulatedFault] {
    match profile {
        Profile::Car | Profile::Lekiwi => SimulatedFault::ALL,
        // A rack has no drive, and no safety hardware.
        Profile::Pi => &[SimulatedFault::BoardOverheated, SimulatedFault::LinkLost],
    }
}

impl SimulatedMachine {
    pub(super) fn inject(&mut self, fault: SimulatedFault, for_s: Option<u32>) -> bool {
        let is_possible = possible(self.options.profile).contains(&fault);
        if is_possible {
            if fault == SimulatedFault::SpeedFrozen && !self.injected.has(fault) {
                self.injected.frozen_m_per_s = self.speed_m_per_s();
            }
            let until = None;
            self.injected.standing.insert(fault, Standing { for_s, until });
        }
        is_possible
    }
}

impl Faults for SharedMachine {
    fn possible(&self) -> &'static [SimulatedFault] {
        possible(self.get().options.profile)
    }

    fn inject(&self, fault: SimulatedFault, for_s: Option<u32>) -> bool {
        self.get().inject(fault, for_s)
    }

    fn clear(&self, fault: Option<SimulatedFault>) {
        let standing = &mut self.get().injected.standing;
        match fault {
            Some(fault) => {
                standing.remove(&fault);
            }
            None => standing.clear(),
        }
    }

    fn standing(&self) -> Vec<StandingFault> {
        let machine = self.get();
        let standing = machine
            .injected
            .standing
            .iter()
            .map(|(fault, standing)| StandingFault {
                fault: *fault,
                for_s: standing.for_s,
            });
        standing.collect()
    }
}
