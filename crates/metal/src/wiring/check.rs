//! What of a description cannot be meant.

use std::collections::BTreeMap;

use super::{
    ACTUATORS_MAX, Actuator, DEVICES_MAX, Device, Direction, Mistake, SENSORS_MAX, SafetyWiring, Sensor,
    Wiring,
};

/// Longest name of a device, an actuator or a sensor.
const NAME_MAX: usize = 32;
/// Longest unit.
const UNIT_MAX: usize = 16;
/// Longest line to a serial port.
const LINE_MAX: usize = 64;

impl Wiring {
    /// Every mistake, in the order of the file's sections.
    pub fn check(&self) -> Vec<Mistake> {
        let mut mistakes = Mistakes::default();
        mistakes.count("devices", self.devices.len(), DEVICES_MAX);
        mistakes.count("actuators", self.actuators.len(), ACTUATORS_MAX);
        mistakes.count("sensors", self.sensors.len(), SENSORS_MAX);
        for (name, device) in &self.devices {
            mistakes.name("devices", name);
            check_device(name, device, &mut mistakes);
        }
        self.check_uses(&mut mistakes);
        for (name, sensor) in &self.sensors {
            mistakes.name("sensors", name);
            self.check_sensor(name, sensor, &mut mistakes);
        }
        for (name, actuator) in &self.actuators {
            mistakes.name("actuators", name);
            self.check_actuator(name, actuator, &mut mistakes);
        }
        self.check_safety(&self.safety, &mut mistakes);
        self.check_speed(&self.safety, &mut mistakes);
        mistakes.0
    }

    /// Two names for one line, and one output with two masters.
    fn check_uses(&self, mistakes: &mut Mistakes) {
        let mut places: BTreeMap<String, &str> = BTreeMap::new();
        for (name, device) in &self.devices {
            let Some(place) = place(device) else { continue };
            if let Some(other) = places.insert(place.clone(), name) {
                let what = format!("{place} is {other:?} already: one thing has one name");
                mistakes.add(&["devices", name], what);
            }
        }
        let mut masters: BTreeMap<&str, String> = BTreeMap::new();
        if let Some(enable) = &self.safety.enable {
            masters.insert(enable, "safety.enable".to_owned());
        }
        for (name, actuator) in &self.actuators {
            // Several motors may hang on one serial bus, each with lines of its own.
            let shared = matches!(self.devices.get(&actuator.device), Some(Device::Serial { .. }));
            let master = format!("actuators.{name}");
            if let Some(other) = masters.insert(&actuator.device, master)
                && !shared
            {
                let what = format!(
                    "{:?} is set by {other} already: an output has one master",
                    actuator.device
                );
                mistakes.add(&["actuators", name, "device"], what);
            }
        }
    }

    fn check_sensor(&self, name: &str, sensor: &Sensor, mistakes: &mut Mistakes) {
        let here = |field: &'static str| ["sensors", name, field];
        mistakes.unit(&here("unit"), &sensor.unit);
        if !(1..=3_600_000).contains(&sensor.interval_ms) {
            mistakes.add(&here("interval_ms"), "1 to 3600000 milliseconds are accepted");
        }
        if !sensor.scale.is_finite() || sensor.scale == 0.0 {
            mistakes.add(&here("scale"), "a number other than zero is accepted");
        }
        if !sensor.offset.is_finite() {
            mistakes.add(&here("offset"), "a number is accepted");
        }
        let Some(device) = self.known(&here("device"), &sensor.device, mistakes) else {
            return;
        };
        if !device.is_readable() {
            let what = format!(
                "{:?} is a {}, which measures nothing",
                sensor.device,
                device.kind()
            );
            mistakes.add(&here("device"), what);
        }
        match (matches!(device, Device::I2c { .. }), sensor.register) {
            (true, None) => mistakes.add(
                &["sensors", name],
                "an I2C device is read at a register: `register: {address: 0, bytes: 2}`",
            ),
            (true, Some(register)) if !(1..=4).contains(&register.bytes) => {
                mistakes.add(&["sensors", name, "register", "bytes"], "1 to 4 are accepted");
            }
            (false, Some(_)) => mistakes.add(&here("register"), "only I2C devices have registers"),
            (true, Some(_)) | (false, None) => {}
        }
        match (matches!(device, Device::Serial { .. }), &sensor.prefix) {
            (true, None) => mistakes.add(
                &["sensors", name],
                "a serial port is read by lines: `prefix` says what the value stands behind",
            ),
            (false, Some(_)) => mistakes.add(&here("prefix"), "only serial ports have lines"),
            (true, Some(_)) | (false, None) => {}
        }
    }

    fn check_actuator(&self, name: &str, actuator: &Actuator, mistakes: &mut Mistakes) {
        let here = |field: &'static str| ["actuators", name, field];
        mistakes.unit(&here("unit"), &actuator.unit);
        for (field, value) in [
            ("max", actuator.max),
            ("change_max_per_s", actuator.change_max_per_s),
        ] {
            if !is_positive(value) {
                mistakes.add(
                    &here(field),
                    format!("{value} is not accepted: a number above zero"),
                );
            }
        }
        match (&actuator.sensor, actuator.unmeasured) {
            (None, false) => mistakes.add(
                &["actuators", name],
                "what moves is measured: name a `sensor`, or say `unmeasured: true` of what cannot hurt anybody",
            ),
            (Some(_), true) => mistakes.add(&here("unmeasured"), "it has a sensor"),
            (Some(sensor), false) => self.check_measured_by(&here("sensor"), sensor, &actuator.unit, mistakes),
            (None, true) => {}
        }
        if let Some(device) = self.known(&here("device"), &actuator.device, mistakes) {
            check_drive(name, actuator, device, mistakes);
        }
        if self.safety.enable.is_none() && !actuator.unmeasured {
            let what = "what moves needs a contactor (`safety.enable`): what cannot be switched off is not switched on";
            mistakes.add(&["actuators", name], what);
        }
    }

    fn check_safety(&self, safety: &SafetyWiring, mistakes: &mut Mistakes) {
        for (field, device) in [
            ("estop", &safety.estop),
            ("tamper", &safety.tamper),
            ("enable_feedback", &safety.enable_feedback),
        ] {
            let what = "an input that opens and closes";
            self.check_role(field, device.as_deref(), Device::is_contact, what, mistakes);
        }
        let what = "an output that switches";
        self.check_role(
            "enable",
            safety.enable.as_deref(),
            Device::is_switch,
            what,
            mistakes,
        );
        let is_watchdog = |device: &Device| matches!(device, Device::Watchdog { .. });
        let what = "a watchdog";
        self.check_role(
            "watchdog",
            safety.watchdog.as_deref(),
            is_watchdog,
            what,
            mistakes,
        );
        if safety.enable_feedback.is_some() && safety.enable.is_none() {
            mistakes.add(
                &["safety", "enable_feedback"],
                "there is no contactor (`safety.enable`) that it could belong to",
            );
        }
        if safety
            .period_ms
            .is_some_and(|period_ms| !(1..=100).contains(&period_ms))
        {
            mistakes.add(&["safety", "period_ms"], "1 to 100 milliseconds are accepted");
        }
    }

    fn check_role(
        &self,
        field: &str,
        name: Option<&str>,
        fits: impl Fn(&Device) -> bool,
        what: &str,
        mistakes: &mut Mistakes,
    ) {
        let Some(name) = name else { return };
        let path = ["safety", field];
        if let Some(device) = self.known(&path, name, mistakes)
            && !fits(device)
        {
            mistakes.add(&path, format!("{name:?} is a {}, not {what}", device.kind()));
        }
    }

    fn check_speed(&self, safety: &SafetyWiring, mistakes: &mut Mistakes) {
        match (&safety.speed, safety.speed_max) {
            (Some(_), None) => mistakes.add(&["safety", "speed"], "`speed_max` says how fast it may be"),
            (None, Some(_)) => mistakes.add(&["safety", "speed_max"], "`speed` names the sensor for it"),
            (Some(sensor), Some(max)) => {
                if !self.sensors.contains_key(sensor) {
                    mistakes.add(
                        &["safety", "speed"],
                        no_such("sensor", sensor, self.sensors.keys()),
                    );
                }
                if !is_positive(max) {
                    let what = format!("{max} is not accepted: a number above zero");
                    mistakes.add(&["safety", "speed_max"], what);
                }
                if self.actuators.values().any(|actuator| !actuator.unmeasured) {
                    let what = "where actuators are measured, each has a sensor and a limit of its own";
                    mistakes.add(&["safety", "speed"], what);
                }
            }
            (None, None) => {}
        }
    }

    fn check_measured_by(&self, path: &[&str], name: &str, unit: &str, mistakes: &mut Mistakes) {
        match self.sensors.get(name) {
            None => mistakes.add(path, no_such("sensor", name, self.sensors.keys())),
            Some(sensor) if sensor.unit != unit => mistakes.add(
                path,
                format!(
                    "{name:?} measures in {:?} and the actuator is told in {unit:?}: they must be the same",
                    sensor.unit
                ),
            ),
            Some(_) => {}
        }
    }

    fn known(&self, path: &[&str], name: &str, mistakes: &mut Mistakes) -> Option<&Device> {
        let device = self.devices.get(name);
        if device.is_none() {
            mistakes.add(path, no_such("device", name, self.devices.keys()));
        }
        device
    }
}

fn check_device(name: &str, device: &Device, mistakes: &mut Mistakes) {
    let mut wrong = |field: &str, what: String| mistakes.add(&["devices", name, field], what);
    match device {
        Device::Gpio {
            direction,
            debounce_us,
            ..
        } => {
            if *direction == Direction::Output && *debounce_us > 0 {
                wrong("debounce_us", "only an input is debounced".to_owned());
            }
            if *debounce_us > 1_000_000 {
                wrong("debounce_us", "0 to 1000000 microseconds are accepted".to_owned());
            }
        }
        Device::I2c { address, .. } if !(8..=119).contains(address) => {
            let what = format!("{address} is no device's address: 8 to 119 (0x08 to 0x77) are accepted");
            wrong("address", what);
        }
        Device::Serial { baud, .. } if !(300..=4_000_000).contains(baud) => {
            wrong(
                "baud",
                format!("{baud} is not accepted: 300 to 4000000 bits per second"),
            );
        }
        Device::Pwm { period_us, .. } if !(1..=1_000_000).contains(period_us) => {
            wrong("period_us", "1 to 1000000 microseconds are accepted".to_owned());
        }
        Device::Watchdog { timeout_s, .. } if !(1..=300).contains(timeout_s) => {
            wrong("timeout_s", "1 to 300 seconds are accepted".to_owned());
        }
        Device::Fan { fan: 0, .. } => wrong("fan", "fans count from 1".to_owned()),
        Device::SimulatedMotor {
            speed_max,
            time_constant_ms,
        } => {
            if !is_positive(*speed_max) {
                wrong("speed_max", "a number above zero is accepted".to_owned());
            }
            if !(1..=60_000).contains(time_constant_ms) {
                wrong(
                    "time_constant_ms",
                    "1 to 60000 milliseconds are accepted".to_owned(),
                );
            }
        }
        Device::Attribute { .. }
        | Device::Pwm { .. }
        | Device::I2c { .. }
        | Device::Serial { .. }
        | Device::Usb { .. }
        | Device::ThermalZone { .. }
        | Device::Fan { .. }
        | Device::PowerSupply { .. }
        | Device::Watchdog { .. }
        | Device::SimulatedContact {}
        | Device::SimulatedRelay {} => {}
    }
}

fn check_drive(name: &str, actuator: &Actuator, device: &Device, mistakes: &mut Mistakes) {
    let here = |field: &'static str| ["actuators", name, field];
    if !device.is_drive() {
        let sort = match device {
            Device::Gpio { .. } => "gpio input".to_owned(),
            Device::Attribute { .. } => "attribute that is not writable".to_owned(),
            device => device.kind().to_owned(),
        };
        let what = format!("{:?} is a {sort}, which moves nothing", actuator.device);
        mistakes.add(&here("device"), what);
        return;
    }
    if !(actuator.raw_at_zero.is_finite()
        && actuator.raw_per_unit.is_finite()
        && actuator.raw_per_unit != 0.0)
    {
        mistakes.add(&here("raw_per_unit"), "a number other than zero is accepted");
    }
    if let Device::Pwm { period_us, .. } = device {
        let reach = actuator.max * actuator.raw_per_unit.abs();
        let (least, most) = (actuator.raw_at_zero - reach, actuator.raw_at_zero + reach);
        if !(least >= 0.0 && most <= f64::from(*period_us)) {
            let what = format!(
                "pulses would be {least} to {most} µs long: they lie within a period, 0 to {period_us} µs"
            );
            mistakes.add(&here("raw_per_unit"), what);
        }
    }
    let fits = |line: &str| {
        line.matches("{value}").count() == 1 && line.len() <= LINE_MAX && !line.chars().any(char::is_control)
    };
    match (matches!(device, Device::Serial { .. }), actuator.line.as_deref()) {
        (true, None) => {
            let what = "a serial port is told by lines: `line: \"SPEED {value}\"`";
            mistakes.add(&["actuators", name], what);
        }
        (true, Some(line)) if !fits(line) => {
            let what = format!(
                "at most {LINE_MAX} characters without line ends, {{value}} once among them, are accepted"
            );
            mistakes.add(&here("line"), what);
        }
        (false, Some(_)) => mistakes.add(&here("line"), "only serial ports have lines"),
        (true, Some(_)) | (false, None) => {}
    }
}

#[derive(Default)]
struct Mistakes(Vec<Mistake>);

impl Mistakes {
    fn add(&mut self, path: &[&str], what: impl Into<String>) {
        self.0.push(Mistake::at(path, what));
    }

    fn count(&mut self, section: &str, there: usize, most: usize) {
        if there > most {
            self.add(
                &[section],
                format!("there are {there}: at most {most} are accepted"),
            );
        }
    }

    fn name(&mut self, section: &str, name: &str) {
        let accepted =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        if !((1..=NAME_MAX).contains(&name.len()) && name.bytes().all(accepted)) {
            let what =
                format!("a name is 1 to {NAME_MAX} lower-case letters, digits, dashes, underscores and dots");
            self.add(&[section, name], what);
        }
    }

    fn unit(&mut self, path: &[&str], unit: &str) {
        if unit.is_empty() || unit.chars().count() > UNIT_MAX || unit.chars().any(char::is_control) {
            self.add(path, format!("a unit has 1 to {UNIT_MAX} characters"));
        }
    }
}

fn no_such<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a String>) -> String {
    let known: Vec<&str> = known.map(String::as_str).collect();
    if known.is_empty() {
        format!("there is no {kind} {name:?}: none is described")
    } else {
        format!("there is no {kind} {name:?}: described are {}", known.join(", "))
    }
}

/// What must not have two names.
fn place(device: &Device) -> Option<String> {
    match device {
        Device::Gpio { chip, line, .. } => Some(format!("line {line} of {chip}")),
        Device::Attribute { path, .. } | Device::Watchdog { path, .. } => Some(path.display().to_string()),
        Device::Serial { port, .. } => Some(port.display().to_string()),
        Device::Pwm { chip, channel, .. } => Some(format!("channel {channel} of PWM chip {chip}")),
        Device::I2c { bus, address } => Some(format!("address {address:#04x} on I2C bus {bus}")),
        Device::Usb { .. }
        | Device::ThermalZone { .. }
        | Device::Fan { .. }
        | Device::PowerSupply { .. }
        | Device::SimulatedMotor { .. }
        | Device::SimulatedContact {}
        | Device::SimulatedRelay {} => None,
    }
}

fn is_positive(value: f64) -> bool {
    value.is_finite() && value > 0.0
}
