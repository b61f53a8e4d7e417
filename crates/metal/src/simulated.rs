//! Simulated hardware: believable physics from a seed.
//!
//! Time moves only when the caller says so, in ticks of a quarter of a second. The same options and the same total
//! time give the same readings on one platform, however the time was sliced; readings change nothing but the moment
//! that traffic is averaged from. Begin with [`SimulatedMachine::new`] and [`SimulatedMachine::advance`].

mod battery;
mod car;
mod computer;
mod facts;
mod faults;
mod heat;
mod injected;
mod lekiwi;
mod place;
mod random;
mod readings;
mod shared;
mod streets;

#[cfg(test)]
mod tests;

use std::time::Duration;

use muster_model::Timestamp;
use muster_model::simulation::SimulatedFault;
use muster_model::state::{Location, ThermalZone};
use muster_model::vocabulary::Mode;
use serde::{Deserialize, Serialize};

use self::car::Car;
use self::computer::Computer as OnBoard;
use self::faults::Faults;
use self::injected::{Drive, Injected};
use self::lekiwi::Lekiwi;
use self::random::Random;
use crate::MetalError;
use crate::device::rounded;

pub use self::faults::FaultKind;
pub use self::place::{Profile, Site};
pub use self::shared::SharedMachine;

/// What a simulated machine is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimulatedOptions {
    /// Which kind of machine.
    pub profile: Profile,
    /// Where it lives.
    pub site: Site,
    /// Where all chance comes from. Machines with different seeds differ in everything, serial number included.
    pub seed: u64,
    /// Its host name.
    pub hostname: String,
    /// Wall-clock time at the start: sun, season and time of boot follow from it.
    pub started_at: Timestamp,
    /// How long it goes without a fault, on average; `None` for ever.
    pub mean_time_between_faults: Option<Duration>,
}

impl SimulatedOptions {
    /// Two dozen machines at this pace have about one fault a minute.
    pub const MEAN_TIME_BETWEEN_FAULTS: Duration = Duration::from_secs(20 * 60);

    /// A machine with faults at the usual pace.
    pub fn new(
        profile: Profile,
        site: Site,
        seed: u64,
        hostname: impl Into<String>,
        started_at: Timestamp,
    ) -> Self {
        Self {
            profile,
            site,
            seed,
            hostname: hostname.into(),
            started_at,
            mean_time_between_faults: Some(Self::MEAN_TIME_BETWEEN_FAULTS),
        }
    }

    fn mean_between_faults_s(&self) -> Option<f64> {
        self.mean_time_between_faults.map(|mean| mean.as_secs_f64())
    }
}

/// A simulated machine as it stood at one moment, to go on from later. It is plain data: write it as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimulatedSnapshot {
    version: u32,
    options: SimulatedOptions,
    state: State,
}

impl SimulatedSnapshot {
    /// Changes with the physics: a state of another version means nothing here.
    pub const VERSION: u32 = 1;
}

/// The hardware of one simulated machine.
#[derive(Clone, Debug)]
pub struct SimulatedMachine {
    options: SimulatedOptions,
    state: State,
    /// The caller's clock at the last [`Metal::advance_to`]. Not part of a snapshot: another process counts anew.
    last_now: Option<Duration>,
    /// Whether what moves has power. Nor is this: it goes with whoever gives it.
    enabled: bool,
    /// What somebody put in.
    injected: Injected,
}

/// Physics moves in steps of this length.
const TICK_MS: u64 = 250;
const TICK_S: f64 = 0.25;
/// The computer is looked at once a second, the weather once a minute.
const TICKS_PER_SECOND: u64 = 4;
const TICKS_PER_MINUTE: u64 = 240;
const TICK_US: u64 = TICK_MS * 1000;
/// Longer pauses (a laptop that slept) are lived through only for their last part, so that catching up has a limit.
const LONGEST_CATCH_UP_TICKS: u64 = 3600 * TICKS_PER_SECOND;

/// Everything that moves. Its ticks count from the machine's start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    ticks: u64,
    /// Less than a tick, not yet lived.
    left_over_us: u64,
    random: Random,
    outdoor_celsius: f64,
    /// Hour of the day by the sun.
    hour: f64,
    body: Body,
    computer: OnBoard,
    faults: Faults,
    /// Buttons stay as they were left.
    #[serde(default)]
    panel: Panel,
}

/// What a person can press and open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Panel {
    estop_pressed: bool,
    case_open: bool,
}

/// The machine around the computer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Body {
    Car(Car),
    Lekiwi(Lekiwi),
    /// A rack: it does nothing but hold the computer.
    Pi,
}

/// What a body feels of the world in one tick.
struct Around {
    site: Site,
    outdoor_celsius: f64,
    indoor_celsius: f64,
    fault: Option<FaultKind>,
    /// Whether what moves has power.
    enabled: bool,
    /// How the drive behaves.
    drive: Drive,
    /// Whether the computer is heated from outside.
    heated: bool,
    /// Whether the supply collapsed.
    brown_out: bool,
}

impl SimulatedMachine {
    /// A machine at the beginning of its life.
    pub fn new(options: SimulatedOptions) -> Self {
        let mut random = Random::new(options.seed, 1);
        let outdoor_celsius = options.site.outdoor_celsius(options.started_at);
        let body = match options.profile {
            Profile::Car => Body::Car(Car::new(options.site, outdoor_celsius, &mut random)),
            Profile::Lekiwi => Body::Lekiwi(Lekiwi::new(&mut random)),
            Profile::Pi => Body::Pi,
        };
        let state = State {
            ticks: 0,
            left_over_us: 0,
            outdoor_celsius,
            hour: options.site.solar_hour(options.started_at),
            body,
            computer: OnBoard::new(options.profile, 21.0, &mut random),
            faults: Faults::new(options.mean_between_faults_s(), &mut random),
            random,
            panel: Panel::default(),
        };
        Self {
            options,
            state,
            last_now: None,
            enabled: true,
            injected: Injected::default(),
        }
    }

    /// Goes on from a snapshot. The time that passed meanwhile did not pass for the machine.
    pub fn restore(snapshot: SimulatedSnapshot) -> Result<Self, MetalError> {
        if snapshot.version != SimulatedSnapshot::VERSION {
            return Err(MetalError::SnapshotVersion {
                expected: SimulatedSnapshot::VERSION,
                found: snapshot.version,
            });
        }
        snapshot.state.check(&snapshot.options)?;
        Ok(Self {
            options: snapshot.options,
            state: snapshot.state,
            last_now: None,
            enabled: true,
            injected: Injected::default(),
        })
    }

    /// The machine as it stands.
    pub fn snapshot(&self) -> SimulatedSnapshot {
        SimulatedSnapshot {
            version: SimulatedSnapshot::VERSION,
            options: self.options.clone(),
            state: self.state.clone(),
        }
    }

    /// What the machine is.
    pub fn options(&self) -> &SimulatedOptions {
        &self.options
    }

    /// The fault that stands, if one does.
    pub fn fault(&self) -> Option<FaultKind> {
        self.state.faults.standing()
    }

    /// Makes something go wrong now, for as long as it usually lasts; false if it cannot happen to this machine.
    pub fn provoke(&mut self, kind: FaultKind) -> bool {
        let possible = FaultKind::of(self.options.profile).contains(&kind);
        if possible {
            self.state.faults.begin(kind, &mut self.state.random);
        }
        possible
    }

    /// Lets time pass.
    pub fn advance(&mut self, elapsed: Duration) {
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX / 2);
        let micros = self.state.left_over_us.saturating_add(micros);
        self.state.left_over_us = micros % TICK_US;
        let ticks = micros / TICK_US;
        let slept = ticks.saturating_sub(LONGEST_CATCH_UP_TICKS);
        self.state.ticks = self.state.ticks.saturating_add(slept);
        for _ in slept..ticks {
            self.state.tick(&self.options, self.enabled, &self.injected);
        }
    }

    fn lived_s(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits of ticks are ages")]
        let ticks = self.state.ticks as f64;
        ticks * TICK_S
    }

    /// The error of a sensor that a fault has silenced.
    fn heard(&self, silenced_by: FaultKind, sensor: &'static str) -> Result<(), MetalError> {
        if self.fault() == Some(silenced_by) {
            return Err(MetalError::Silent { sensor });
        }
        Ok(())
    }
}

impl State {
    fn tick(&mut self, options: &SimulatedOptions, enabled: bool, injected: &Injected) {
        self.ticks = self.ticks.saturating_add(1);
        if self.ticks.is_multiple_of(TICKS_PER_MINUTE) {
            let millis = i64::try_from(self.ticks.saturating_mul(TICK_MS)).unwrap_or(i64::MAX);
            let now = options.started_at.plus_millis(millis);
            self.outdoor_celsius = options.site.outdoor_celsius(now);
            self.hour = options.site.solar_hour(now);
        }
        let around = Around {
            site: options.site,
            outdoor_celsius: self.outdoor_celsius,
            // Halls and racks are heated in winter and follow a warm day a little.
            indoor_celsius: 21.0 + (self.outdoor_celsius - 15.0).max(0.0) * 0.4,
            fault: self.faults.standing(),
            enabled: injected.powered(enabled),
            drive: injected.drive(),
            heated: injected.has(SimulatedFault::BoardOverheated),
            brown_out: injected.has(SimulatedFault::BrownOut),
        };
        let moving = match &mut self.body {
            Body::Car(car) => {
                car.step(&around, &mut self.random, TICK_S);
                car.moving()
            }
            Body::Lekiwi(lekiwi) => {
                lekiwi.step(&around, &mut self.random, TICK_S);
                lekiwi.moving()
            }
            Body::Pi => false,
        };
        if self.ticks.is_multiple_of(TICKS_PER_SECOND) {
            let (asked, around_celsius) = self.asked_of_computer(&around);
            self.computer.step(
                options.profile,
                asked,
                around_celsius,
                &around,
                &mut self.random,
                1.0,
            );
            self.faults.step(
                options.profile,
                options.mean_between_faults_s(),
                moving,
                &mut self.random,
                1.0,
            );
        }
    }

    /// What the machine's work asks of its computer, 0 to 1, and how warm it is around it.
    fn asked_of_computer(&self, around: &Around) -> (f64, f64) {
        match &self.body {
            Body::Car(car) => {
                let asked = if car.mode() == Mode::Driving { 0.42 } else { 0.05 };
                (asked, car.cabin_celsius())
            }
            Body::Lekiwi(lekiwi) => {
                let asked = match lekiwi.mode() {
                    Mode::Working => 0.72,
                    Mode::Driving => 0.45,
                    Mode::Idle | Mode::Parked | Mode::Charging | Mode::Teleoperated | Mode::Service => 0.1,
                };
                (asked, around.indoor_celsius)
            }
            // Busiest in the early afternoon, nearly idle at night; its neighbours in the rack warm the air.
            Body::Pi => {
                let noon = ((self.hour - 14.0) / 24.0 * std::f64::consts::TAU).cos();
                (
                    0.10 + 0.30 * (0.5 + 0.5 * noon).powi(2),
                    around.indoor_celsius + 6.0,
                )
            }
        }
    }

    fn check(&self, options: &SimulatedOptions) -> Result<(), MetalError> {
        let body_fits = match (&self.body, options.profile) {
            (Body::Car(car), Profile::Car) => car.is_possible(options.site),
            (Body::Lekiwi(lekiwi), Profile::Lekiwi) => lekiwi.is_possible(),
            (Body::Pi, Profile::Pi) => true,
            (Body::Car(_) | Body::Lekiwi(_) | Body::Pi, Profile::Car | Profile::Lekiwi | Profile::Pi) => {
                false
            }
        };
        let checks = [
            (body_fits, "the body"),
            (self.computer.is_possible(), "the computer"),
            (self.faults.is_possible(), "the faults"),
            (self.left_over_us < TICK_US, "the clock"),
            (
                self.outdoor_celsius.is_finite() && self.hour.is_finite(),
                "the weather",
            ),
        ];
        match checks.into_iter().find(|(holds, _)| !holds) {
            Some((_, what)) => Err(MetalError::SnapshotDamaged { what }),
            None => Ok(()),
        }
    }
}

/// A simulated machine had been up for an hour to three weeks when its simulation began.
fn uptime_at_start_ms(seed: u64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a time of some weeks")]
    let millis = Random::new(seed, 15).between(3_600_000.0, 1_814_400_000.0) as i64;
    millis
}

fn zone(name: &str, celsius: f64) -> ThermalZone {
    ThermalZone {
        name: name.into(),
        celsius: rounded(celsius, 10.0),
    }
}

/// A place and heading on the street grid of a site, as a receiver reports them: to about a centimetre.
fn location(site: Site, place: (f64, f64), heading_radians: f64, speed_m_per_s: f64) -> Location {
    let (latitude, longitude) = site.degrees_at(place);
    let heading = (heading_radians + site.turned()).to_degrees().rem_euclid(360.0);
    Location {
        latitude_degrees: rounded(latitude, 1e7),
        longitude_degrees: rounded(longitude, 1e7),
        heading_degrees: rounded(heading, 10.0).rem_euclid(360.0),
        speed_m_per_s: rounded(speed_m_per_s, 100.0),
    }
}
