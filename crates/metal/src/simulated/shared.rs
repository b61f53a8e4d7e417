//! A simulated machine that several hold: its runtime reads it, its safety loop switches it, a person presses its buttons.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use muster_model::Mode;
use muster_model::simulation::SimulatedFault;
use muster_model::state::{Location, Network, Power, Problem, Resources, Thermal};
use muster_model::vocabulary::Contact;

use crate::wiring::ACTUATORS_MAX;

use super::{Body, Profile, SimulatedMachine, SimulatedSnapshot, TICK_MS};
use crate::{
    Activity, Board, Computer, Equipment, Facts, Faults, Metal, MetalError, Positioning, Protection, Signals,
    Supply, Thermometers, Traffic,
};

/// The hardware of one simulated machine. Clones are the same hardware.
#[derive(Clone, Debug)]
pub struct SharedMachine(Arc<Mutex<SimulatedMachine>>);

impl SharedMachine {
    /// This machine, to be shared.
    pub fn new(machine: SimulatedMachine) -> Self {
        Self(Arc::new(Mutex::new(machine)))
    }

    /// The machine as it stands.
    pub fn snapshot(&self) -> SimulatedSnapshot {
        self.get().snapshot()
    }

    /// Presses the emergency stop button, or pulls it out again.
    pub fn press_estop(&self, pressed: bool) {
        self.get().state.panel.estop_pressed = pressed;
    }

    /// Opens or shuts the case.
    pub fn open_case(&self, open: bool) {
        self.get().state.panel.case_open = open;
    }

    /// Whether what moves has power.
    pub fn is_enabled(&self) -> bool {
        self.get().enabled
    }

    /// Whether its cable to the server is pulled.
    pub fn is_cut(&self) -> bool {
        self.get().injected.has(SimulatedFault::LinkLost)
    }

    /// How fast it moves.
    pub fn speed_m_per_s(&self) -> f64 {
        self.get().speed_m_per_s()
    }

    /// Physics holds no half-done work that a panic elsewhere could leave behind.
    pub(super) fn get(&self) -> MutexGuard<'_, SimulatedMachine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimulatedMachine {
    pub(super) fn speed_m_per_s(&self) -> f64 {
        match &self.state.body {
            Body::Car(car) => car.speed_m_per_s(),
            Body::Lekiwi(lekiwi) => lekiwi.speed_m_per_s(),
            Body::Pi => 0.0,
        }
    }

    /// What the speedometer shows; nothing while it is silent.
    fn measured_m_per_s(&self) -> Option<f64> {
        if self.injected.has(SimulatedFault::SpeedSilent) {
            None
        } else if self.injected.has(SimulatedFault::SpeedFrozen) {
            Some(self.injected.frozen_m_per_s)
        } else {
            Some(self.speed_m_per_s())
        }
    }
}

/// The safety part of a simulated machine: buttons, a speedometer, and the contactor of its drive.
struct Contactor(SharedMachine);

impl Protection for Contactor {
    fn equipment(&self) -> Equipment {
        let speed_max_m_per_s = match self.0.get().options.profile {
            Profile::Car => Some(20.0),
            Profile::Lekiwi => Some(0.6),
            Profile::Pi => None,
        };
        Equipment {
            estop_circuit: true,
            tamper_circuit: true,
            speed_max_m_per_s,
            // Its physics does not move much more often, and thousands may share a processor.
            period: Duration::from_millis(2 * TICK_MS),
            // They are driven by their own controllers.
            actuators: [None; ACTUATORS_MAX],
        }
    }

    fn read(&mut self, now: Duration) -> Signals {
        let mut machine = self.0.get();
        machine.advance_to(now);
        let contact = |opened: bool| if opened { Contact::Open } else { Contact::Closed };
        Signals {
            estop: contact(
                machine.state.panel.estop_pressed || machine.injected.has(SimulatedFault::EstopPressed),
            ),
            tamper: contact(machine.state.panel.case_open || machine.injected.has(SimulatedFault::CaseOpen)),
            speed_m_per_s: machine.measured_m_per_s(),
        }
    }

    fn set_enable(&mut self, on: bool) -> Result<(), MetalError> {
        let mut machine = self.0.get();
        machine.enabled = on;
        // Its own contact says whether it follows.
        if machine.injected.powered(on) == on {
            Ok(())
        } else {
            let device = "the contactor of the drive".to_owned();
            Err(MetalError::NotFollowed { device })
        }
    }
}

impl Drop for Contactor {
    fn drop(&mut self) {
        self.0.get().enabled = false;
    }
}

impl Board for SharedMachine {
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

impl Computer for SharedMachine {
    fn resources(&mut self) -> Result<Resources, MetalError> {
        self.get().resources()
    }
    fn traffic(&mut self) -> Result<Option<Traffic>, MetalError> {
        self.get().traffic()
    }
}

impl Supply for SharedMachine {
    fn power(&mut self) -> Result<Option<Power>, MetalError> {
        self.get().power()
    }
}

impl Thermometers for SharedMachine {
    fn thermal(&mut self) -> Result<Option<Thermal>, MetalError> {
        self.get().thermal()
    }
}

impl Positioning for SharedMachine {
    fn location(&mut self) -> Result<Option<Location>, MetalError> {
        self.get().location()
    }
}

impl Activity for SharedMachine {
    fn mode(&mut self) -> Result<Mode, MetalError> {
        self.get().mode()
    }
    fn conditions(&mut self) -> Result<Vec<Problem>, MetalError> {
        self.get().conditions()
    }
}

impl Metal for SharedMachine {
    fn advance_to(&mut self, now: Duration) {
        self.get().advance_to(now);
    }

    fn faults(&self) -> Option<Arc<dyn Faults>> {
        Some(Arc::new(self.clone()))
    }

    fn protection(&mut self) -> Option<Box<dyn Protection>> {
        let moves = self.get().options.profile != Profile::Pi;
        moves.then(|| {
            // From now on it has power only when it is given.
            self.get().enabled = false;
            Box::new(Contactor(self.clone())) as Box<dyn Protection>
        })
    }
}
