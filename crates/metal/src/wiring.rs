//! What is connected to a machine, and what it is for: the part of the machine file that describes hardware.
//!
//! Begin with [`Wiring`]. [`Wiring::check`] says what cannot be meant; `linux::wired::open` opens what is described.
//! Nothing here looks at a device. Source of the design: `docs/decisions/0018-the-machine-file.md`.

mod check;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Most devices of one machine.
pub const DEVICES_MAX: usize = 64;
/// Most sensors of one machine.
pub const SENSORS_MAX: usize = 64;
/// Most actuators of one machine; as many as the gate has places.
pub const ACTUATORS_MAX: usize = 8;

/// Everything that is connected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wiring {
    /// What is connected, by name.
    pub devices: BTreeMap<String, Device>,
    /// What moves, by name.
    pub actuators: BTreeMap<String, Actuator>,
    /// What is measured, by name.
    pub sensors: BTreeMap<String, Sensor>,
    /// What is there for safety.
    pub safety: SafetyWiring,
}

/// How something is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Device {
    /// A line of a GPIO chip, through the character device.
    Gpio {
        /// The chip: its name (`gpiochip0`), its label (`pinctrl-bcm2711`) or its path.
        chip: String,
        /// The line's offset on the chip.
        line: u32,
        /// Input or output.
        direction: Direction,
        /// Whether a low level means active.
        #[serde(default)]
        active_low: bool,
        /// What pulls an input that nothing drives.
        #[serde(default)]
        bias: Bias,
        /// An input must stay as it is for so long before it counts.
        #[serde(default)]
        debounce_us: u32,
    },
    /// A file of the kernel that holds one value: an LED, a regulator, a sensor of the industrial I/O subsystem.
    Attribute {
        /// Which file.
        path: PathBuf,
        /// Whether it may be written.
        #[serde(default)]
        writable: bool,
    },
    /// A channel of a PWM chip.
    Pwm {
        /// The chip's number.
        chip: u32,
        /// The channel on it.
        channel: u32,
        /// The length of a period.
        period_us: u32,
    },
    /// A device on an I2C bus.
    I2c {
        /// The bus's number: `/dev/i2c-N`.
        bus: u32,
        /// The device's address on it: 8 to 119.
        address: u16,
    },
    /// A serial port that speaks lines of text.
    Serial {
        /// The port: `/dev/ttyUSB0`, or better its name under `/dev/serial/by-id`.
        port: PathBuf,
        /// Bits per second.
        baud: u32,
    },
    /// A USB device, by what it says of itself. It is watched, not spoken to.
    Usb {
        /// The vendor's number.
        vendor: u16,
        /// The product's number.
        product: u16,
        /// The serial number, where several of a kind may be there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        serial: Option<String>,
    },
    /// A temperature that the kernel knows.
    ThermalZone {
        /// The zone's type: `cpu-thermal`.
        zone: String,
    },
    /// A fan of a hardware monitor.
    Fan {
        /// The monitor's name: `pwmfan`.
        monitor: String,
        /// Which of its fans, from 1.
        #[serde(default = "first")]
        fan: u32,
    },
    /// A battery or mains supply that the kernel knows.
    PowerSupply {
        /// Its name: `BAT0`.
        supply: String,
    },
    /// A hardware watchdog: it resets the computer unless it hears of it.
    Watchdog {
        /// Its path: `/dev/watchdog0`.
        path: PathBuf,
        /// How long it waits, in seconds.
        timeout_s: u32,
    },
    /// A motor on a desk that does not exist: it follows its command like a real one would.
    SimulatedMotor {
        /// How fast it turns at most, whatever is asked of it, in the unit of its actuator.
        speed_max: f64,
        /// How long it takes to come two thirds of the way to a new speed.
        time_constant_ms: u32,
    },
    /// A button or contact that does not exist; it is pressed beside the machine (`muster-machine devices press`).
    SimulatedContact {},
    /// A contactor that does not exist.
    SimulatedRelay {},
}

const fn first() -> u32 {
    1
}

/// Which way a line goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// It is read.
    Input,
    /// It is set.
    Output,
}

/// What pulls an input that nothing drives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bias {
    /// As the board has it.
    #[default]
    AsIs,
    /// Up.
    PullUp,
    /// Down.
    PullDown,
    /// Nothing.
    Disabled,
}

/// Something that moves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actuator {
    /// The device that moves it.
    pub device: String,
    /// The unit of its commands: `m/s`, `rad/s`, `percent`.
    pub unit: String,
    /// The greatest command, either way. A calibration cannot pass it either.
    pub max: f64,
    /// How much a command may change in a second.
    pub change_max_per_s: f64,
    /// The sensor that measures how fast it really moves, in the same unit. Without it the motion is not known; only what
    /// cannot hurt anybody, and says so with `unmeasured: true`, may go without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensor: Option<String>,
    /// It moves nothing that could hurt: a lamp, a fan.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unmeasured: bool,
    /// The raw value at rest: PWM in µs of pulse, attributes as the integer that is written.
    #[serde(default)]
    pub raw_at_zero: f64,
    /// How much the raw value changes per unit.
    #[serde(default = "one")]
    pub raw_per_unit: f64,
    /// Serial ports: the line that carries a command, with `{value}` where the number goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
}

/// Something that is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sensor {
    /// The device that measures it.
    pub device: String,
    /// The unit of its readings.
    pub unit: String,
    /// How often it is read, in milliseconds.
    #[serde(default = "a_second")]
    pub interval_ms: u32,
    /// What one raw unit is worth.
    #[serde(default = "one")]
    pub scale: f64,
    /// What is added after that.
    #[serde(default)]
    pub offset: f64,
    /// I2C: where the value stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub register: Option<Register>,
    /// Serial ports: what a line begins with that carries this value; the number follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

const fn one() -> f64 {
    1.0
}

const fn a_second() -> u32 {
    1_000
}

/// A value in the registers of an I2C device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// Its first address.
    pub address: u8,
    /// How many bytes it has: 1 to 4.
    pub bytes: u8,
    /// Whether its first bit is a sign.
    #[serde(default)]
    pub signed: bool,
    /// Whether its lowest byte comes first.
    #[serde(default)]
    pub little_endian: bool,
}

/// What is there for safety.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SafetyWiring {
    /// The circuit of the emergency stop buttons: an input that is active while the circuit is closed, so that a cut wire stops the
    /// machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estop: Option<String>,
    /// The contact at the case: active while it is shut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tamper: Option<String>,
    /// The contactor, or the safe-torque-off input of the drives: an output that is active while what moves has power.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable: Option<String>,
    /// The contactor's own contact, where it has one: active while it is closed. What it says must follow `enable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_feedback: Option<String>,
    /// The sensor that says how fast the machine moves, where its own controller moves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<String>,
    /// How fast it may move, in the unit of that sensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed_max: Option<f64>,
    /// The hardware watchdog that the safety loop feeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<String>,
    /// How often the safety loop looks, in milliseconds. Edges of GPIO inputs wake it at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period_ms: Option<u32>,
}

/// Something in a description that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where: names from the outside to the inside.
    pub path: Vec<String>,
    /// What is wrong there, and what is accepted, for a person.
    pub what: String,
}

impl Mistake {
    /// A mistake at this place.
    pub fn at(path: &[&str], what: impl Into<String>) -> Self {
        Self {
            path: path.iter().map(|&name| name.to_owned()).collect(),
            what: what.into(),
        }
    }
}

impl Device {
    /// Its type, as it is written.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Gpio { .. } => "gpio",
            Self::Attribute { .. } => "attribute",
            Self::Pwm { .. } => "pwm",
            Self::I2c { .. } => "i2c",
            Self::Serial { .. } => "serial",
            Self::Usb { .. } => "usb",
            Self::ThermalZone { .. } => "thermal_zone",
            Self::Fan { .. } => "fan",
            Self::PowerSupply { .. } => "power_supply",
            Self::Watchdog { .. } => "watchdog",
            Self::SimulatedMotor { .. } => "simulated_motor",
            Self::SimulatedContact {} => "simulated_contact",
            Self::SimulatedRelay {} => "simulated_relay",
        }
    }

    /// Whether it can be read as a contact.
    pub const fn is_contact(&self) -> bool {
        match self {
            Self::Gpio { direction, .. } => matches!(direction, Direction::Input),
            Self::Attribute { .. } | Self::SimulatedContact {} => true,
            Self::Pwm { .. }
            | Self::I2c { .. }
            | Self::Serial { .. }
            | Self::Usb { .. }
            | Self::ThermalZone { .. }
            | Self::Fan { .. }
            | Self::PowerSupply { .. }
            | Self::Watchdog { .. }
            | Self::SimulatedMotor { .. }
            | Self::SimulatedRelay {} => false,
        }
    }

    /// Whether it can be switched on and off.
    pub const fn is_switch(&self) -> bool {
        match self {
            Self::Gpio { direction, .. } => matches!(direction, Direction::Output),
            Self::Attribute { writable, .. } => *writable,
            Self::SimulatedRelay {} => true,
            Self::Pwm { .. }
            | Self::I2c { .. }
            | Self::Serial { .. }
            | Self::Usb { .. }
            | Self::ThermalZone { .. }
            | Self::Fan { .. }
            | Self::PowerSupply { .. }
            | Self::Watchdog { .. }
            | Self::SimulatedMotor { .. }
            | Self::SimulatedContact {} => false,
        }
    }

    /// Whether an actuator can be moved by it.
    pub const fn is_drive(&self) -> bool {
        match self {
            Self::Gpio { .. } | Self::Attribute { .. } => self.is_switch(),
            Self::Pwm { .. } | Self::Serial { .. } | Self::Fan { .. } | Self::SimulatedMotor { .. } => true,
            Self::I2c { .. }
            | Self::Usb { .. }
            | Self::ThermalZone { .. }
            | Self::PowerSupply { .. }
            | Self::Watchdog { .. }
            | Self::SimulatedContact {}
            | Self::SimulatedRelay {} => false,
        }
    }

    /// Whether a sensor can read it.
    pub const fn is_readable(&self) -> bool {
        match self {
            Self::Gpio { .. }
            | Self::Attribute { .. }
            | Self::I2c { .. }
            | Self::Serial { .. }
            | Self::Usb { .. }
            | Self::ThermalZone { .. }
            | Self::Fan { .. }
            | Self::PowerSupply { .. }
            | Self::SimulatedMotor { .. }
            | Self::SimulatedContact {}
            | Self::SimulatedRelay {} => true,
            Self::Pwm { .. } | Self::Watchdog { .. } => false,
        }
    }
}
