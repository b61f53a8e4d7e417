//! What a simulated machine answers: the same traits as real hardware.

use std::time::Duration;

use muster_model::simulation::SimulatedFault;
use muster_model::state::{Location, Network, Power, Problem, Resources, Thermal};
use muster_model::vocabulary::{Mode, Severity};

use super::{Body, FaultKind, SimulatedMachine, TICK_MS, facts, uptime_at_start_ms, zone};
use crate::MetalError;
use crate::device::{
    Activity, Board, Computer, Facts, Metal, Positioning, Supply, Thermometers, Traffic, problem, worst_first,
};

/// What is left of the voltage when the supply collapses.
const BROWN_OUT_VOLTS: f64 = 0.55;

impl Metal for SimulatedMachine {
    fn advance_to(&mut self, now: Duration) {
        let last = *self.last_now.get_or_insert(now);
        if now > last {
            self.advance(now - last);
            self.last_now = Some(now);
        }
        self.injected.expire(now);
    }
}

impl Board for SimulatedMachine {
    fn facts(&mut self) -> Result<Facts, MetalError> {
        Ok(facts::facts(&self.options))
    }

    fn network(&mut self) -> Result<Network, MetalError> {
        Ok(facts::network(&self.options))
    }

    fn uptime(&mut self) -> Result<Duration, MetalError> {
        let before = u64::try_from(uptime_at_start_ms(self.options.seed)).unwrap_or(0);
        Ok(Duration::from_millis(
            before.saturating_add(self.state.ticks.saturating_mul(TICK_MS)),
        ))
    }
}

impl Computer for SimulatedMachine {
    fn resources(&mut self) -> Result<Resources, MetalError> {
        Ok(self.state.computer.resources(self.options.profile))
    }

    fn traffic(&mut self) -> Result<Option<Traffic>, MetalError> {
        let lived_s = self.lived_s();
        Ok(self.state.computer.traffic(lived_s))
    }
}

impl Supply for SimulatedMachine {
    fn power(&mut self) -> Result<Option<Power>, MetalError> {
        self.heard(FaultKind::PowerSensorSilent, "power")?;
        let power = match &self.state.body {
            Body::Car(car) => Some(car.power()),
            Body::Lekiwi(lekiwi) => Some(lekiwi.power()),
            Body::Pi => None,
        };
        if !self.injected.has(SimulatedFault::BrownOut) {
            return Ok(power);
        }
        Ok(power.map(|power| Power {
            volts: power
                .volts
                .map(|volts| crate::device::rounded(volts * BROWN_OUT_VOLTS, 100.0)),
            ..power
        }))
    }
}

impl Thermometers for SimulatedMachine {
    fn thermal(&mut self) -> Result<Option<Thermal>, MetalError> {
        self.heard(FaultKind::ThermalSensorSilent, "thermal")?;
        let mut zones = vec![zone("cpu-thermal", self.state.computer.celsius())];
        zones.extend(match &self.state.body {
            Body::Car(car) => car.zones(),
            Body::Lekiwi(lekiwi) => lekiwi.zones(),
            Body::Pi => Vec::new(),
        });
        let highest = zones.iter().map(|zone| zone.celsius).reduce(f64::max);
        Ok(highest.map(|highest_celsius| Thermal {
            highest_celsius,
            zones,
        }))
    }
}

impl Positioning for SimulatedMachine {
    fn location(&mut self) -> Result<Option<Location>, MetalError> {
        self.heard(FaultKind::LocationSensorSilent, "location")?;
        Ok(match &self.state.body {
            Body::Car(car) => Some(car.location(self.options.site)),
            Body::Lekiwi(lekiwi) => Some(lekiwi.location(self.options.site)),
            Body::Pi => None,
        })
    }
}

impl Activity for SimulatedMachine {
    fn mode(&mut self) -> Result<Mode, MetalError> {
        let held = |mode: Mode| match mode {
            // On its way, but it has no power.
            Mode::Driving | Mode::Working if !self.injected.powered(self.enabled) => Mode::Idle,
            mode => mode,
        };
        Ok(match &self.state.body {
            Body::Car(car) => held(car.mode()),
            Body::Lekiwi(lekiwi) => held(lekiwi.mode()),
            Body::Pi if self.state.computer.resources(self.options.profile).cpu_percent >= 50.0 => {
                Mode::Working
            }
            Body::Pi => Mode::Idle,
        })
    }

    fn conditions(&mut self) -> Result<Vec<Problem>, MetalError> {
        let fault = self.fault();
        let mut problems = match &self.state.body {
            Body::Car(car) => car.problems(fault),
            Body::Lekiwi(lekiwi) => lekiwi.problems(fault),
            Body::Pi => Vec::new(),
        };
        problems.extend(self.state.computer.problems(self.options.profile, fault));
        let silent = match fault {
            Some(FaultKind::PowerSensorSilent) => Some("power"),
            Some(FaultKind::ThermalSensorSilent) => Some("thermal"),
            Some(FaultKind::LocationSensorSilent) => Some("location"),
            Some(
                FaultKind::MotorOverheating
                | FaultKind::WeakCell
                | FaultKind::MotorStall
                | FaultKind::FanFailure
                | FaultKind::DiskFilling,
            )
            | None => None,
        };
        if self.injected.has(SimulatedFault::BrownOut) {
            let message = "The supply collapsed: the voltage is far too low".to_owned();
            problems.push(problem("power.low", Severity::Critical, message));
        }
        if let Some(sensor) = silent {
            let message = format!("The {sensor} sensor gives no reading");
            problems.push(problem("sensor.silent", Severity::Warning, message));
        }
        Ok(worst_first(problems))
    }
}
