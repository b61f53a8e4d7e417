//! A simulated machine's hardware, which its runtime reads and the fleet writes down.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use muster_metal::simulated::{SimulatedMachine, SimulatedSnapshot};
use muster_metal::{
    Activity, Board, Computer, Facts, Metal, MetalError, Positioning, Supply, Thermometers, Traffic,
};
use muster_model::Mode;
use muster_model::state::{Location, Network, Power, Problem, Resources, Thermal};

/// The hardware of one machine. Clones are the same hardware.
#[derive(Clone)]
pub(super) struct SharedMetal(Arc<Mutex<SimulatedMachine>>);

impl SharedMetal {
    pub(super) fn new(machine: SimulatedMachine) -> Self {
        Self(Arc::new(Mutex::new(machine)))
    }

    /// The machine as it stands.
    pub(super) fn snapshot(&self) -> SimulatedSnapshot {
        self.get().snapshot()
    }

    /// Physics holds no half-done work that a panic elsewhere could leave behind.
    fn get(&self) -> MutexGuard<'_, SimulatedMachine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board for SharedMetal {
    fn facts(&mut self) -> Result<Facts, MetalError> {
        self.get().facts()
    }
    fn network(&mut self) -> Result<Network, MetalError> {
        self.get().network()
    }
    fn uptime(&mut self) -> Result<Duration, MetalError> {
        self.get().uptime()
    }
}

impl Computer for SharedMetal {
    fn resources(&mut self) -> Result<Resources, MetalError> {
        self.get().resources()
    }
    fn traffic(&mut self) -> Result<Option<Traffic>, MetalError> {
        self.get().traffic()
    }
}

impl Supply for SharedMetal {
    fn power(&mut self) -> Result<Option<Power>, MetalError> {
        self.get().power()
    }
}

impl Thermometers for SharedMetal {
    fn thermal(&mut self) -> Result<Option<Thermal>, MetalError> {
        self.get().thermal()
    }
}

impl Positioning for SharedMetal {
    fn location(&mut self) -> Result<Option<Location>, MetalError> {
        self.get().location()
    }
}

impl Activity for SharedMetal {
    fn mode(&mut self) -> Result<Mode, MetalError> {
        self.get().mode()
    }
    fn conditions(&mut self) -> Result<Vec<Problem>, MetalError> {
        self.get().conditions()
    }
}

impl Metal for SharedMetal {
    fn advance_to(&mut self, now: Duration) {
        self.get().advance_to(now);
    }
}
