//! An electric car that drives errands through its city, parks, and charges at a depot.

use muster_model::state::{Location, Problem};
use muster_model::vocabulary::{Mode, Severity};
use serde::{Deserialize, Serialize};

use super::battery::{Battery, Pack};
use super::heat::{Heat, HeatPath};
use super::place::Site;
use super::random::Random;
use super::streets::{Crossing, Reached, Way};
use super::{Around, Drive, FaultKind, location, zone};
use crate::device::problem;

const PACK: Pack = Pack {
    cells: 96.0,
    watt_hours: 40_000.0,
    ohms: 0.08,
    charger_watts: 50_000.0,
};
const CHARGE_BELOW: f64 = 0.25;
const CHARGE_UNTIL: f64 = 0.92;
/// So empty that it is charged where it stands.
const RESCUE_BELOW: f64 = 0.02;
const DEPOT: Crossing = Crossing { east: 3, north: -2 };

const KILOGRAMS: f64 = 1_650.0;
const ROLLING: f64 = 0.011;
/// Half of air density × drag coefficient × frontal area.
const DRAG_KG_PER_M: f64 = 0.5 * 1.2 * 0.66;
const DRIVE_EFFICIENCY: f64 = 0.88;
const REGENERATION: f64 = 0.6;
const ACCELERATION_M_PER_S2: f64 = 1.5;
const BRAKING_M_PER_S2: f64 = 2.0;
const HARDEST_BRAKING_M_PER_S2: f64 = 4.0;
/// How a drive that does not do what it is told speeds up, and how fast it gets.
const RUNAWAY_M_PER_S2: f64 = 6.0;
const TOO_FAST_M_PER_S: f64 = 26.0;
const FASTEST_M_PER_S: f64 = 45.0;
const DRIVING_ELECTRONICS_WATTS: f64 = 350.0;
const STANDING_ELECTRONICS_WATTS: f64 = 45.0;

const MOTOR: HeatPath = HeatPath {
    joules_per_kelvin: 14_000.0,
    watts_per_kelvin: 18.0,
};
const CELLS: HeatPath = HeatPath {
    joules_per_kelvin: 300_000.0,
    watts_per_kelvin: 60.0,
};
const CABIN: HeatPath = HeatPath {
    joules_per_kelvin: 90_000.0,
    watts_per_kelvin: 55.0,
};
/// A brake that drags heats what it is bolted to.
const DRAGGING_BRAKE_WATTS: f64 = 3_600.0;
const MOTOR_HOT_CELSIUS: f64 = 95.0;
const MOTOR_TOO_HOT_CELSIUS: f64 = 115.0;
const MOTOR_COOL_CELSIUS: f64 = 85.0;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Car {
    way: Way,
    speed_m_per_s: f64,
    doing: Doing,
    battery: Battery,
    motor: Heat,
    cells: Heat,
    cabin: Heat,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Doing {
    Driving,
    AtRedLight {
        left_s: f64,
    },
    Parked {
        left_s: f64,
    },
    /// Pulled over until the motor is cool.
    Cooling,
    Charging,
}

impl Car {
    pub(crate) fn new(site: Site, outdoor_celsius: f64, random: &mut Random) -> Self {
        let mut way = Way::standing(site.blocks(), random);
        let doing = if random.chance(0.7) {
            way.set_off(None, site.blocks(), random);
            Doing::Driving
        } else {
            Doing::Parked {
                left_s: random.between(10.0, 300.0),
            }
        };
        Self {
            way,
            speed_m_per_s: 0.0,
            doing,
            battery: Battery::new(PACK, random.between(0.3, 0.95)),
            motor: Heat {
                celsius: outdoor_celsius + random.between(5.0, 30.0),
            },
            cells: Heat {
                celsius: outdoor_celsius + random.between(3.0, 10.0),
            },
            cabin: Heat {
                celsius: random.between(17.0, 22.0),
            },
        }
    }

    pub(crate) fn step(&mut self, around: &Around, random: &mut Random, seconds: f64) {
        let before = self.speed_m_per_s;
        self.drive(around, random, seconds);
        let weak_cell = around.fault == Some(FaultKind::WeakCell);
        let wheels_watts = self.wheels_watts(before, seconds);
        let drive_watts = if wheels_watts > 0.0 {
            wheels_watts / DRIVE_EFFICIENCY
        } else {
            wheels_watts * REGENERATION
        };
        let driving = matches!(self.doing, Doing::Driving | Doing::AtRedLight { .. });
        let climate_watts = if driving {
            ((20.0 - around.outdoor_celsius) * 60.0).abs().min(3_500.0)
        } else {
            0.0
        };
        let watts = if self.charging() {
            -self.battery.charger_watts(PACK)
        } else if driving {
            drive_watts + DRIVING_ELECTRONICS_WATTS + climate_watts
        } else {
            STANDING_ELECTRONICS_WATTS
        };
        let cell_watts = self.battery.step(PACK, watts, weak_cell, seconds);
        let drags = around.fault == Some(FaultKind::MotorOverheating) && self.speed_m_per_s > 0.5;
        let motor_watts =
            wheels_watts.abs() * (1.0 - DRIVE_EFFICIENCY) + if drags { DRAGGING_BRAKE_WATTS } else { 0.0 };
        self.motor
            .step(MOTOR, motor_watts, around.outdoor_celsius, seconds);
        self.cells
            .step(CELLS, cell_watts, around.outdoor_celsius, seconds);
        let cabin_watts = if driving {
            (20.0 - around.outdoor_celsius) * CABIN.watts_per_kelvin
        } else {
            0.0
        };
        self.cabin
            .step(CABIN, cabin_watts, around.outdoor_celsius, seconds);
    }

    fn drive(&mut self, around: &Around, random: &mut Random, seconds: f64) {
        let blocks = around.site.blocks();
        if around.drive != Drive::AsTold && around.enabled && !self.charging() {
            return self.run_away(around, random, seconds);
        }
        match &mut self.doing {
            Doing::Driving => self.roll(around, random, seconds),
            // Without power nothing is set off on; what is charging charges on.
            _ if !around.enabled => {}
            Doing::AtRedLight { left_s } if *left_s > seconds => *left_s -= seconds,
            Doing::Parked { left_s } if *left_s > seconds => *left_s -= seconds,
            Doing::AtRedLight { .. } => self.doing = Doing::Driving,
            Doing::Parked { .. } => {
                let destination = (self.battery.charge < CHARGE_BELOW).then_some(DEPOT);
                self.way.set_off(destination, blocks, random);
                self.doing = Doing::Driving;
            }
            Doing::Cooling if self.motor.celsius < MOTOR_COOL_CELSIUS => self.doing = Doing::Driving,
            Doing::Charging if self.battery.charge >= CHARGE_UNTIL => {
                self.doing = Doing::Parked {
                    left_s: random.between(20.0, 120.0),
                };
            }
            Doing::Cooling | Doing::Charging => {}
        }
    }

    fn roll(&mut self, around: &Around, random: &mut Random, seconds: f64) {
        if self.battery.charge < CHARGE_BELOW {
            self.way.destination = DEPOT;
        }
        if self.way.arrived() {
            return self.arrive(random);
        }
        let at_end = self.way.limit_at_end_m_per_s();
        let in_time = (at_end * at_end + 2.0 * BRAKING_M_PER_S2 * self.way.remaining_m()).sqrt();
        let must_stop = self.motor.celsius >= MOTOR_TOO_HOT_CELSIUS || self.battery.charge < RESCUE_BELOW;
        let wanted = if must_stop || !around.enabled {
            0.0
        } else {
            self.way.limit_m_per_s().min(in_time)
        };
        self.speed_m_per_s = wanted.clamp(
            (self.speed_m_per_s - HARDEST_BRAKING_M_PER_S2 * seconds).max(0.0),
            self.speed_m_per_s + ACCELERATION_M_PER_S2 * seconds,
        );
        if must_stop && self.speed_m_per_s <= 0.0 {
            let empty = self.battery.charge < RESCUE_BELOW;
            self.doing = if empty { Doing::Charging } else { Doing::Cooling };
            return;
        }
        match self
            .way
            .advance(self.speed_m_per_s * seconds, around.site.blocks(), random)
        {
            None => {}
            Some(Reached::RedLight { wait_s }) => {
                self.speed_m_per_s = 0.0;
                self.doing = Doing::AtRedLight { left_s: wait_s };
            }
            Some(Reached::Destination) => {
                self.speed_m_per_s = 0.0;
                self.arrive(random);
            }
        }
    }

    /// The drive does not do what it is told: along the street, past lights and corners.
    fn run_away(&mut self, around: &Around, random: &mut Random, seconds: f64) {
        if self.way.arrived() {
            self.way.set_off(None, around.site.blocks(), random);
        }
        self.doing = Doing::Driving;
        let most = match around.drive {
            Drive::TooFast => TOO_FAST_M_PER_S,
            Drive::Away | Drive::AsTold => FASTEST_M_PER_S,
        };
        self.speed_m_per_s = (self.speed_m_per_s + RUNAWAY_M_PER_S2 * seconds).min(most);
        self.way
            .advance(self.speed_m_per_s * seconds, around.site.blocks(), random);
    }

    fn arrive(&mut self, random: &mut Random) {
        let to_charge = self.way.ahead == DEPOT && self.battery.charge < CHARGE_BELOW;
        self.doing = if to_charge {
            Doing::Charging
        } else if self.way.arrived() {
            Doing::Parked {
                left_s: random.between(60.0, 420.0),
            }
        } else {
            // The destination changed on the way here: go on at once.
            Doing::Parked { left_s: 0.0 }
        };
    }

    /// Power at the wheels; negative when they brake.
    fn wheels_watts(&self, before_m_per_s: f64, seconds: f64) -> f64 {
        let speed = (before_m_per_s + self.speed_m_per_s) / 2.0;
        let inertia = KILOGRAMS * (self.speed_m_per_s - before_m_per_s) / seconds;
        let resistance = if speed > 0.0 {
            ROLLING * KILOGRAMS * 9.81
        } else {
            0.0
        };
        (inertia + resistance + DRAG_KG_PER_M * speed * speed) * speed
    }

    fn charging(&self) -> bool {
        self.doing == Doing::Charging
    }

    pub(crate) fn moving(&self) -> bool {
        self.speed_m_per_s > 1.0
    }

    pub(crate) fn speed_m_per_s(&self) -> f64 {
        self.speed_m_per_s
    }

    pub(crate) fn cabin_celsius(&self) -> f64 {
        self.cabin.celsius
    }

    pub(crate) fn mode(&self) -> Mode {
        match self.doing {
            Doing::Driving | Doing::AtRedLight { .. } => Mode::Driving,
            Doing::Parked { .. } | Doing::Cooling => Mode::Parked,
            Doing::Charging => Mode::Charging,
        }
    }

    pub(crate) fn power(&self) -> muster_model::state::Power {
        self.battery.power(self.charging())
    }

    pub(crate) fn zones(&self) -> Vec<muster_model::state::ThermalZone> {
        vec![
            zone("motor", self.motor.celsius),
            zone("battery-pack", self.cells.celsius),
            zone("cabin", self.cabin.celsius),
        ]
    }

    pub(crate) fn location(&self, site: Site) -> Location {
        let (place, heading) = self.way.pose();
        location(site, place, heading, self.speed_m_per_s)
    }

    pub(crate) fn problems(&self, fault: Option<FaultKind>) -> Vec<Problem> {
        let mut problems = self
            .battery
            .problems(self.charging(), fault == Some(FaultKind::WeakCell));
        let celsius = self.motor.celsius;
        if fault == Some(FaultKind::MotorOverheating) {
            let message = "A brake drags: the drive needs more power than it should".to_owned();
            problems.push(problem("motor.strained", Severity::Warning, message));
        }
        if self.doing == Doing::Cooling || celsius >= MOTOR_TOO_HOT_CELSIUS {
            let message = "The motor is too hot: pulled over until it is cool".to_owned();
            problems.push(problem("thermal.high", Severity::Critical, message));
        } else if celsius >= MOTOR_HOT_CELSIUS {
            let message =
                format!("The motor is above {MOTOR_HOT_CELSIUS} °C; {MOTOR_TOO_HOT_CELSIUS} °C stops it");
            problems.push(problem("thermal.high", Severity::Warning, message));
        }
        problems
    }

    pub(crate) fn is_possible(&self, site: Site) -> bool {
        let numbers = [
            self.speed_m_per_s,
            self.way.along_m,
            self.way.limit_m_per_s(),
            self.way.remaining_m(),
            self.battery.volts,
            self.battery.amperes,
            self.motor.celsius,
            self.cells.celsius,
            self.cabin.celsius,
        ];
        numbers.iter().all(|number| number.is_finite())
            && (0.0..=FASTEST_M_PER_S).contains(&self.speed_m_per_s)
            && (0.0..=1.0).contains(&self.battery.charge)
            && self.way.ahead.within(site.blocks())
            && self.way.destination.within(site.blocks())
    }
}
