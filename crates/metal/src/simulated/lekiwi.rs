//! A small mobile robot with an arm: drives between stations in a hall, picks things, and docks to charge.
//!
//! Places are metres in the hall, from the dock in its corner; the hall stands somewhere in its city.

use muster_model::state::{Location, Power, Problem, ThermalZone};
use muster_model::vocabulary::{Mode, Severity};
use serde::{Deserialize, Serialize};

use super::battery::{Battery, Pack};
use super::heat::{Heat, HeatPath};
use super::place::Site;
use super::random::Random;
use super::{Around, Drive, FaultKind, location, zone};
use crate::device::problem;

/// Three cells: 12 V.
const PACK: Pack = Pack {
    cells: 3.0,
    watt_hours: 60.0,
    ohms: 0.09,
    charger_watts: 45.0,
};
const DOCK_BELOW: f64 = 0.22;
const UNDOCK_FROM: f64 = 0.95;
const RESCUE_BELOW: f64 = 0.02;

const HALL_M: (f64, f64) = (18.0, 10.0);
const DOCK: (f64, f64) = (0.0, 0.0);
const TOP_M_PER_S: f64 = 0.45;
/// How a drive that does not do what it is told speeds up, and how fast it gets.
const RUNAWAY_M_PER_S2: f64 = 1.5;
const TOO_FAST_M_PER_S: f64 = 1.0;
const FASTEST_M_PER_S: f64 = 2.0;
const ACCELERATION_M_PER_S2: f64 = 0.3;
const UNPOWERED_BRAKING_M_PER_S2: f64 = 0.8;
const TURN_RADIANS_PER_S: f64 = 1.0;

const COMPUTER_WATTS: f64 = 6.0;
const DRIVE_WATTS: f64 = 9.0;
const ARM_WATTS: f64 = 14.0;
const STALL_WATTS: f64 = 28.0;
const SERVO: HeatPath = HeatPath {
    joules_per_kelvin: 60.0,
    watts_per_kelvin: 0.22,
};
/// The part of its power that a servo turns into heat.
const SERVO_LOSS: f64 = 0.4;
const SERVO_STALL_LOSS: f64 = 0.55;
/// A servo whose gear is dry works harder for the same work.
const DRY_GEAR_WATTS: f64 = 9.0;
const SERVO_HOT_CELSIUS: f64 = 58.0;
const SERVO_TOO_HOT_CELSIUS: f64 = 70.0;
const SERVO_COOL_CELSIUS: f64 = 50.0;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lekiwi {
    /// Where the hall stands, in metres from the middle of the city.
    hall: (f64, f64),
    place: (f64, f64),
    heading: f64,
    speed_m_per_s: f64,
    doing: Doing,
    stalled: bool,
    /// Rests until its servos are cool.
    cooling: bool,
    battery: Battery,
    servos: Heat,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Doing {
    Idle { left_s: f64 },
    Picking { left_s: f64 },
    Driving { to: (f64, f64) },
    Charging,
}

impl Lekiwi {
    pub(crate) fn new(random: &mut Random) -> Self {
        let place = somewhere(random);
        Self {
            hall: (
                random.between(-2_500.0, 2_500.0),
                random.between(-1_500.0, 1_500.0),
            ),
            place,
            heading: random.between(0.0, std::f64::consts::TAU),
            speed_m_per_s: 0.0,
            doing: Doing::Idle {
                left_s: random.between(1.0, 20.0),
            },
            stalled: false,
            cooling: false,
            battery: Battery::new(PACK, random.between(0.3, 1.0)),
            servos: Heat {
                celsius: random.between(24.0, 38.0),
            },
        }
    }

    pub(crate) fn step(&mut self, around: &Around, random: &mut Random, seconds: f64) {
        self.stalled = around.fault == Some(FaultKind::MotorStall);
        self.cooling = if self.cooling {
            self.servos.celsius > SERVO_COOL_CELSIUS
        } else {
            self.servos.celsius >= SERVO_TOO_HOT_CELSIUS
        };
        if self.stalled || self.cooling {
            self.speed_m_per_s = 0.0;
        } else if !around.enabled {
            self.roll_out(seconds);
        } else if around.drive != Drive::AsTold && self.doing != Doing::Charging {
            self.run_away(around.drive, random, seconds);
        } else {
            self.act(random, seconds);
        }
        let (drawn_watts, servo_watts) = self.watts(around.fault);
        let watts = if self.doing == Doing::Charging {
            -self.battery.charger_watts(PACK)
        } else {
            drawn_watts
        };
        self.battery
            .step(PACK, watts, around.fault == Some(FaultKind::WeakCell), seconds);
        self.servos
            .step(SERVO, servo_watts, around.indoor_celsius, seconds);
    }

    fn act(&mut self, random: &mut Random, seconds: f64) {
        match &mut self.doing {
            Doing::Idle { left_s } | Doing::Picking { left_s } if *left_s > seconds => *left_s -= seconds,
            Doing::Idle { .. } | Doing::Picking { .. } if self.battery.charge < RESCUE_BELOW => {
                // So empty that it is charged where it stands.
                self.doing = Doing::Charging;
            }
            Doing::Idle { .. } | Doing::Picking { .. } => {
                let low = self.battery.charge < DOCK_BELOW;
                self.doing = Doing::Driving {
                    to: if low { DOCK } else { somewhere(random) },
                };
            }
            Doing::Driving { to } => {
                let to = *to;
                if self.roll(to, seconds) {
                    self.doing = if to == DOCK {
                        Doing::Charging
                    } else if random.chance(0.8) {
                        Doing::Picking {
                            left_s: random.between(25.0, 90.0),
                        }
                    } else {
                        Doing::Idle {
                            left_s: random.between(10.0, 60.0),
                        }
                    };
                }
            }
            Doing::Charging if self.battery.charge >= UNDOCK_FROM => {
                self.doing = Doing::Idle {
                    left_s: random.between(5.0, 30.0),
                };
            }
            Doing::Charging => {}
        }
    }

    /// Turns on the spot, then drives straight; true when it is there.
    fn roll(&mut self, to: (f64, f64), seconds: f64) -> bool {
        use std::f64::consts::{PI, TAU};
        let (east, north) = (to.0 - self.place.0, to.1 - self.place.1);
        let remaining_m = east.hypot(north);
        if remaining_m <= 0.0 {
            self.speed_m_per_s = 0.0;
            return true;
        }
        let turn = (east.atan2(north) - self.heading + PI).rem_euclid(TAU) - PI;
        if turn.abs() > 1e-6 && self.speed_m_per_s <= 0.0 {
            let limit = TURN_RADIANS_PER_S * seconds;
            self.heading = (self.heading + turn.clamp(-limit, limit)).rem_euclid(TAU);
            return false;
        }
        let in_time = (2.0 * ACCELERATION_M_PER_S2 * remaining_m).sqrt();
        self.speed_m_per_s = TOP_M_PER_S
            .min(in_time)
            .min(self.speed_m_per_s + ACCELERATION_M_PER_S2 * seconds);
        let metres = self.speed_m_per_s * seconds;
        if metres >= remaining_m {
            self.place = to;
            self.speed_m_per_s = 0.0;
            return true;
        }
        self.place.0 += east / remaining_m * metres;
        self.place.1 += north / remaining_m * metres;
        false
    }

    /// The drive does not do what it is told: straight on, and past where it should stop.
    fn run_away(&mut self, drive: Drive, random: &mut Random, seconds: f64) {
        let most = match drive {
            Drive::TooFast => TOO_FAST_M_PER_S,
            Drive::Away | Drive::AsTold => FASTEST_M_PER_S,
        };
        self.speed_m_per_s = (self.speed_m_per_s + RUNAWAY_M_PER_S2 * seconds).min(most);
        let to = match self.doing {
            Doing::Driving { to }
                if (to.0 - self.place.0).hypot(to.1 - self.place.1) > self.speed_m_per_s =>
            {
                to
            }
            _ => somewhere(random),
        };
        self.doing = Doing::Driving { to };
        let (east, north) = (to.0 - self.place.0, to.1 - self.place.1);
        let remaining_m = east.hypot(north);
        if remaining_m > 0.0 {
            self.heading = east.atan2(north).rem_euclid(std::f64::consts::TAU);
            let metres = (self.speed_m_per_s * seconds).min(remaining_m);
            self.place.0 += east / remaining_m * metres;
            self.place.1 += north / remaining_m * metres;
        }
    }

    /// Without power its wheels brake by themselves.
    fn roll_out(&mut self, seconds: f64) {
        self.speed_m_per_s = (self.speed_m_per_s - UNPOWERED_BRAKING_M_PER_S2 * seconds).max(0.0);
        if let Doing::Driving { to } = self.doing {
            let (east, north) = (to.0 - self.place.0, to.1 - self.place.1);
            let remaining_m = east.hypot(north);
            let metres = (self.speed_m_per_s * seconds).min(remaining_m);
            if metres > 0.0 {
                self.place.0 += east / remaining_m * metres;
                self.place.1 += north / remaining_m * metres;
            }
        }
    }

    /// What it draws, and what of it heats the servos.
    fn watts(&self, fault: Option<FaultKind>) -> (f64, f64) {
        if self.stalled {
            return (COMPUTER_WATTS + STALL_WATTS, STALL_WATTS * SERVO_STALL_LOSS);
        }
        let work_watts = match self.doing {
            Doing::Driving { .. } if !self.cooling => DRIVE_WATTS,
            Doing::Picking { .. } if !self.cooling => ARM_WATTS,
            Doing::Driving { .. } | Doing::Picking { .. } | Doing::Idle { .. } | Doing::Charging => 0.0,
        };
        let dry = fault == Some(FaultKind::MotorOverheating) && work_watts > 0.0;
        let dry_watts = if dry { DRY_GEAR_WATTS } else { 0.0 };
        (
            COMPUTER_WATTS + work_watts + dry_watts,
            work_watts * SERVO_LOSS + dry_watts,
        )
    }

    pub(crate) fn moving(&self) -> bool {
        self.speed_m_per_s > 0.1
    }

    pub(crate) fn speed_m_per_s(&self) -> f64 {
        self.speed_m_per_s
    }

    pub(crate) fn mode(&self) -> Mode {
        match self.doing {
            Doing::Charging => Mode::Charging,
            Doing::Picking { .. } | Doing::Driving { .. } if self.stalled || self.cooling => Mode::Idle,
            Doing::Idle { .. } => Mode::Idle,
            Doing::Picking { .. } => Mode::Working,
            Doing::Driving { .. } => Mode::Driving,
        }
    }

    pub(crate) fn power(&self) -> Power {
        self.battery.power(self.doing == Doing::Charging)
    }

    pub(crate) fn zones(&self) -> Vec<ThermalZone> {
        vec![zone("servos", self.servos.celsius)]
    }

    pub(crate) fn location(&self, site: Site) -> Location {
        let place = (self.hall.0 + self.place.0, self.hall.1 + self.place.1);
        location(site, place, self.heading, self.speed_m_per_s)
    }

    pub(crate) fn problems(&self, fault: Option<FaultKind>) -> Vec<Problem> {
        let charging = self.doing == Doing::Charging;
        let mut problems = self
            .battery
            .problems(charging, fault == Some(FaultKind::WeakCell));
        let celsius = self.servos.celsius;
        if fault == Some(FaultKind::MotorStall) {
            let message = "A wheel is stalled: current, and no motion".to_owned();
            problems.push(problem("motor.stalled", Severity::Error, message));
        }
        if fault == Some(FaultKind::MotorOverheating) {
            let message = "A servo gear runs dry: it needs more power than it should".to_owned();
            problems.push(problem("motor.strained", Severity::Warning, message));
        }
        if self.cooling {
            let message = "The servos are too hot: resting until they are cool".to_owned();
            problems.push(problem("thermal.high", Severity::Critical, message));
        } else if celsius >= SERVO_HOT_CELSIUS {
            let message =
                format!("The servos are above {SERVO_HOT_CELSIUS} °C; {SERVO_TOO_HOT_CELSIUS} °C stops them");
            problems.push(problem("thermal.high", Severity::Warning, message));
        }
        problems
    }

    pub(crate) fn is_possible(&self) -> bool {
        let numbers = [
            self.heading,
            self.battery.volts,
            self.battery.amperes,
            self.servos.celsius,
        ];
        let in_hall =
            |(east, north): (f64, f64)| (0.0..=HALL_M.0).contains(&east) && (0.0..=HALL_M.1).contains(&north);
        let heads_inside = match self.doing {
            Doing::Driving { to } => in_hall(to),
            Doing::Idle { .. } | Doing::Picking { .. } | Doing::Charging => true,
        };
        numbers.iter().all(|number| number.is_finite())
            && self.hall.0.abs() <= 5_000.0
            && self.hall.1.abs() <= 5_000.0
            && in_hall(self.place)
            && heads_inside
            && (0.0..=FASTEST_M_PER_S).contains(&self.speed_m_per_s)
            && (0.0..=1.0).contains(&self.battery.charge)
    }
}

fn somewhere(random: &mut Random) -> (f64, f64) {
    (random.between(1.0, HALL_M.0), random.between(1.0, HALL_M.1))
}
