//! Each mistake is found, and said where it is.

use super::{Actuator, Device, Direction, Register, Sensor, Wiring};

fn gpio(line: u32, direction: Direction) -> Device {
    Device::Gpio {
        chip: "gpiochip0".to_owned(),
        line,
        direction,
        active_low: false,
        bias: super::Bias::AsIs,
        debounce_us: 0,
    }
}

/// A cart as it should be described.
fn cart() -> Wiring {
    let mut wiring = Wiring::default();
    for (name, device) in [
        ("estop-line", gpio(17, Direction::Input)),
        ("contactor", gpio(27, Direction::Output)),
        (
            "esc",
            Device::Pwm {
                chip: 0,
                channel: 1,
                period_us: 20_000,
            },
        ),
        (
            "encoder",
            Device::I2c {
                bus: 1,
                address: 0x36,
            },
        ),
        (
            "dog",
            Device::Watchdog {
                path: "/dev/watchdog0".into(),
                timeout_s: 15,
            },
        ),
    ] {
        wiring.devices.insert(name.to_owned(), device);
    }
    let speed = Sensor {
        device: "encoder".to_owned(),
        unit: "m/s".to_owned(),
        interval_ms: 10,
        scale: 0.001,
        offset: 0.0,
        register: Some(Register {
            address: 0x0e,
            bytes: 2,
            signed: true,
            little_endian: false,
        }),
        prefix: None,
    };
    wiring.sensors.insert("speed".to_owned(), speed);
    let drive = Actuator {
        device: "esc".to_owned(),
        unit: "m/s".to_owned(),
        max: 1.2,
        change_max_per_s: 1.0,
        sensor: Some("speed".to_owned()),
        unmeasured: false,
        raw_at_zero: 1_500.0,
        raw_per_unit: 400.0,
        line: None,
    };
    wiring.actuators.insert("drive".to_owned(), drive);
    wiring.safety.estop = Some("estop-line".to_owned());
    wiring.safety.enable = Some("contactor".to_owned());
    wiring.safety.watchdog = Some("dog".to_owned());
    wiring
}

#[track_caller]
fn wrong(change: impl FnOnce(&mut Wiring), at: &str, says: &str) {
    let mut wiring = cart();
    change(&mut wiring);
    let found = wiring.check();
    let mistake = found.iter().find(|mistake| mistake.path.join(".") == at);
    let mistake = mistake.unwrap_or_else(|| panic!("nothing at {at}, but {found:?}"));
    assert!(
        mistake.what.contains(says),
        "{:?} should say {says}",
        mistake.what
    );
}

fn drive(wiring: &mut Wiring) -> &mut Actuator {
    wiring.actuators.get_mut("drive").unwrap()
}

fn speed(wiring: &mut Wiring) -> &mut Sensor {
    wiring.sensors.get_mut("speed").unwrap()
}

#[test]
fn a_cart_as_it_should_be_has_no_mistake() {
    assert_eq!(cart().check(), []);
}

#[test]
fn names_that_lead_nowhere_are_said_with_those_there_are() {
    wrong(
        |wiring| drive(wiring).device = "ecs".to_owned(),
        "actuators.drive.device",
        "there is no device \"ecs\": described are contactor, dog, encoder, esc, estop-line",
    );
    wrong(
        |wiring| drive(wiring).sensor = Some("sped".to_owned()),
        "actuators.drive.sensor",
        "described are speed",
    );
    wrong(
        |wiring| wiring.safety.estop = Some("button".to_owned()),
        "safety.estop",
        "there is no device",
    );
}

#[test]
fn what_moves_is_measured_and_can_be_switched_off() {
    wrong(
        |wiring| drive(wiring).sensor = None,
        "actuators.drive",
        "what moves is measured",
    );
    wrong(
        |wiring| wiring.safety.enable = None,
        "actuators.drive",
        "needs a contactor",
    );
    wrong(
        |wiring| speed(wiring).unit = "rpm".to_owned(),
        "actuators.drive.sensor",
        "they must be the same",
    );
    wrong(
        |wiring| drive(wiring).max = 0.0,
        "actuators.drive.max",
        "above zero",
    );
    wrong(
        |wiring| drive(wiring).max = f64::NAN,
        "actuators.drive.max",
        "above zero",
    );
}

#[test]
fn a_device_does_only_what_it_can() {
    wrong(
        |wiring| drive(wiring).device = "estop-line".to_owned(),
        "actuators.drive.device",
        "gpio input, which moves nothing",
    );
    wrong(
        |wiring| speed(wiring).device = "esc".to_owned(),
        "sensors.speed.device",
        "measures nothing",
    );
    wrong(
        |wiring| wiring.safety.estop = Some("contactor".to_owned()),
        "safety.estop",
        "not an input",
    );
    wrong(
        |wiring| wiring.safety.enable = Some("estop-line".to_owned()),
        "safety.enable",
        "not an output",
    );
    wrong(
        |wiring| wiring.safety.watchdog = Some("esc".to_owned()),
        "safety.watchdog",
        "not a watchdog",
    );
    wrong(
        |wiring| drive(wiring).raw_per_unit = 2_000.0,
        "actuators.drive.raw_per_unit",
        "-900 to 3900",
    );
    wrong(
        |wiring| speed(wiring).register = None,
        "sensors.speed",
        "at a register",
    );
}

#[test]
fn one_thing_has_one_name_and_one_master() {
    wrong(
        |wiring| {
            wiring
                .devices
                .insert("lamp".to_owned(), gpio(27, Direction::Output));
        },
        "devices.lamp",
        "line 27 of gpiochip0 is \"contactor\" already",
    );
    wrong(
        |wiring| {
            let second = drive(wiring).clone();
            wiring.actuators.insert("other".to_owned(), second);
        },
        "actuators.other.device",
        "set by actuators.drive already",
    );
    wrong(
        |wiring| drive(wiring).device = "contactor".to_owned(),
        "actuators.drive.device",
        "set by safety.enable already",
    );
}

#[test]
fn a_file_says_the_same_as_the_types() {
    let wiring = cart();
    let text = serde_json::to_string(&wiring).unwrap();
    assert_eq!(serde_json::from_str::<Wiring>(&text).unwrap(), wiring);
    let unknown = serde_json::from_str::<Wiring>(r#"{"devices":{"a":{"type":"gpio","chip":"c","lin":1}}}"#);
    assert!(unknown.unwrap_err().to_string().contains("unknown field `lin`"));
}
