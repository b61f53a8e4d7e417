//! Devices on real files, on pseudo-terminals, and on trees of files as the kernel has them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_model::vocabulary::Contact;

use super::i2c::number;
use super::{Places, Wired};
use crate::wiring::{Register, Wiring};
use crate::{LinuxRoots, MetalError, Protection};

/// A directory with the trees of a kernel.
struct Board {
    directory: tempfile::TempDir,
}

impl Board {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn put(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    /// The first line of a file.
    fn get(&self, path: &str) -> String {
        let text = fs::read_to_string(self.path(path)).unwrap();
        text.lines().next().unwrap_or_default().to_owned()
    }

    /// Opens a description, in which `@` stands for the directory.
    fn open(&self, description: &str) -> Wired {
        let root = self.directory.path().to_str().unwrap();
        let wiring: Wiring = serde_json::from_str(&description.replace('@', root)).unwrap();
        assert_eq!(wiring.check(), [], "the test describes what is accepted");
        let places = Places {
            dev: self.path("dev"),
            roots: LinuxRoots::under(self.directory.path()),
        };
        Wired::open(&wiring, &places)
    }
}

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const CART: &str = r#"{
    "devices": {
        "button": {"type": "attribute", "path": "@/button"},
        "contactor": {"type": "attribute", "path": "@/contactor", "writable": true},
        "contact": {"type": "attribute", "path": "@/contact"},
        "esc": {"type": "pwm", "chip": 0, "channel": 1, "period_us": 20000},
        "wheel": {"type": "attribute", "path": "@/wheel"}
    },
    "sensors": {"speed": {"device": "wheel", "unit": "m/s", "interval_ms": 10, "scale": 0.001, "offset": 0.5}},
    "actuators": {"drive": {"device": "esc", "unit": "m/s", "max": 1, "change_max_per_s": 1, "sensor": "speed",
        "raw_at_zero": 1500, "raw_per_unit": 400}},
    "safety": {"estop": "button", "enable": "contactor", "enable_feedback": "contact"}
}"#;

fn cart() -> Board {
    let board = Board::new();
    for (file, text) in [
        ("button", "1\n"),
        ("contactor", "0\n"),
        ("contact", "0\n"),
        ("wheel", "250\n"),
    ] {
        board.put(file, text);
    }
    for file in ["enable", "duty_cycle", "period"] {
        board.put(&format!("sys/class/pwm/pwmchip0/pwm1/{file}"), "0\n");
    }
    board
}

#[test]
fn a_cart_is_read_and_driven() {
    let board = cart();
    let mut wired = board.open(CART);
    assert!(
        wired.found.iter().all(|found| found.outcome.is_ok()),
        "{:?}",
        wired.found
    );
    let protection = wired.protection.as_mut().unwrap();
    assert_eq!(protection.read(at(0)).estop, Contact::Closed);
    assert_eq!(protection.read(at(0)).tamper, Contact::Unknown, "there is none");
    board.put("button", "0\n");
    assert_eq!(protection.read(at(1)).estop, Contact::Open);

    let pwm = |file: &str| board.get(&format!("sys/class/pwm/pwmchip0/pwm1/{file}"));
    assert_eq!(
        (pwm("period"), pwm("duty_cycle"), pwm("enable")),
        ("20000000".into(), "1500000".into(), "1".into())
    );
    protection.set_enable(true).unwrap();
    assert_eq!(board.get("contactor"), "1");
    protection.set_drive(0, Some(-0.5)).unwrap();
    assert_eq!(pwm("duty_cycle"), "1300000");
    protection.set_drive(0, None).unwrap();
    assert_eq!(pwm("duty_cycle"), "1500000");
    protection.set_drive(0, Some(1.0)).unwrap();

    let speed = &mut wired.gauges[0];
    assert_eq!((speed.name.as_str(), speed.unit.as_str()), ("speed", "m/s"));
    assert!((speed.read(at(0)).unwrap() - 0.75).abs() < 1e-9);

    wired.protection = None;
    assert_eq!(
        (pwm("duty_cycle"), pwm("enable"), board.get("contactor")),
        ("1500000".into(), "0".into(), "0".into())
    );
}

#[test]
fn a_contactor_that_does_not_follow_is_noticed() {
    let board = cart();
    let mut wired = board.open(CART);
    let protection = wired.protection.as_mut().unwrap();
    let mut turn = |millis: u64, on: bool| {
        protection.read(at(millis));
        protection.set_enable(on)
    };
    turn(0, true).unwrap();
    turn(200, true).unwrap();
    let stuck = turn(300, true).unwrap_err();
    assert!(
        matches!(&stuck, MetalError::NotFollowed { device } if device == "contactor"),
        "{stuck}"
    );
    board.put("contact", "1\n");
    turn(310, true).unwrap();
    turn(320, false).unwrap();
    // Welded: it was told to open and stays closed.
    turn(600, false).unwrap_err();
    board.put("contact", "0\n");
    turn(610, false).unwrap();
}

#[test]
fn what_is_not_there_is_said_and_gives_nothing() {
    let board = cart();
    fs::remove_file(board.path("button")).unwrap();
    fs::remove_file(board.path("contactor")).unwrap();
    fs::remove_file(board.path("wheel")).unwrap();
    let mut wired = board.open(CART);
    let missing: Vec<&str> = wired
        .found
        .iter()
        .filter(|found| matches!(&found.outcome, Err(why) if why.starts_with("not present")))
        .map(|found| found.name.as_str())
        .collect();
    assert_eq!(missing, ["button", "contactor", "wheel"]);
    let protection = wired.protection.as_mut().unwrap();
    assert_eq!(protection.read(at(0)).estop, Contact::Unknown);
    protection.set_enable(false).unwrap();
    assert!(matches!(
        protection.set_enable(true),
        Err(MetalError::Absent { .. })
    ));
    let speed = &mut wired.gauges[0];
    assert!(matches!(speed.read(at(0)), Err(MetalError::Absent { .. })));
    // It is plugged in, and found at the next look.
    board.put("wheel", "1000\n");
    assert!(speed.read(at(100)).is_err(), "it is not looked for all the time");
    assert!((speed.read(at(3_000)).unwrap() - 1.5).abs() < 1e-9);
    board.put("wheel", "fast\n");
    assert!(
        matches!(speed.read(at(3_010)), Err(MetalError::Device { .. })),
        "a word is no reading"
    );
}

/// A terminal that looks like a serial port, and its other end.
fn port() -> (fs::File, PathBuf) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap();
    (controller.into(), PathBuf::from(name.into_string().unwrap()))
}

#[test]
fn a_serial_motor_is_told_by_lines_and_tells_by_lines() {
    let board = Board::new();
    board.put("contactor", "0\n");
    let (mut far_end, port) = port();
    let description = r#"{
        "devices": {"motor": {"type": "serial", "port": "PORT", "baud": 115200},
            "contactor": {"type": "attribute", "path": "@/contactor", "writable": true}},
        "sensors": {"turns": {"device": "motor", "unit": "rad/s", "interval_ms": 20, "prefix": "V "}},
        "actuators": {"wheel": {"device": "motor", "unit": "rad/s", "max": 10, "change_max_per_s": 10, "sensor": "turns",
            "line": "SET {value} rad"}},
        "safety": {"enable": "contactor"}
    }"#;
    let mut wired = board.open(&description.replace("PORT", port.to_str().unwrap()));
    assert!(
        wired.found.iter().all(|found| found.outcome.is_ok()),
        "{:?}",
        wired.found
    );
    let protection = wired.protection.as_mut().unwrap();
    let mut lines = BufReader::new(far_end.try_clone().unwrap());
    let mut heard = || {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        line
    };
    protection.read(at(0));
    protection.set_drive(0, Some(2.5)).unwrap();
    assert_eq!(heard(), "SET 2.500 rad\n");
    protection.set_drive(0, Some(2.5)).unwrap();
    protection.read(at(150));
    protection.set_drive(0, Some(2.5)).unwrap();
    assert_eq!(heard(), "SET 2.500 rad\n", "said again, but not each time");
    protection.set_drive(0, None).unwrap();
    assert_eq!(heard(), "SET 0.000 rad\n");

    let gauge = &mut wired.gauges[0];
    assert!(gauge.read(at(0)).is_err(), "nothing was said yet");
    far_end.write_all(b"hello\nV 1.25\nV 2.75\nV ").unwrap();
    let mut read = None;
    for _ in 0..1_000 {
        read = gauge.read(at(10)).ok().filter(|value| *value == 2.75);
        if read.is_some() {
            break;
        }
    }
    assert_eq!(read, Some(2.75), "the newest whole line counts");
    assert!(gauge.read(at(200)).is_err(), "what is old is no reading");
    far_end.write_all(b"-3\n").unwrap();
    let mut read = None;
    for _ in 0..1_000 {
        read = gauge.read(at(210)).ok();
        if read.is_some() {
            break;
        }
    }
    assert_eq!(read, Some(-3.0));
    // The cable is pulled.
    drop((lines, far_end));
    assert!(gauge.read(at(220)).is_err());
    assert!(gauge.read(at(230)).unwrap_err().to_string().contains("motor"));
}

#[test]
fn what_the_kernel_reads_is_found_by_name() {
    let board = Board::new();
    for (file, text) in [
        ("sys/class/thermal/thermal_zone0/type", "gpu-thermal\n"),
        ("sys/class/thermal/thermal_zone0/temp", "30000\n"),
        ("sys/class/thermal/thermal_zone1/type", "cpu-thermal\n"),
        ("sys/class/thermal/thermal_zone1/temp", "48250\n"),
        ("sys/class/hwmon/hwmon3/name", "pwmfan\n"),
        ("sys/class/hwmon/hwmon3/fan1_input", "3100\n"),
        ("sys/class/hwmon/hwmon3/pwm1", "0\n"),
        ("sys/class/hwmon/hwmon3/pwm1_enable", "2\n"),
        ("sys/class/power_supply/BAT0/capacity", "83\n"),
        ("sys/class/power_supply/BAT0/type", "Battery\n"),
        ("sys/bus/usb/devices/1-1/idVendor", "046d\n"),
        ("sys/bus/usb/devices/1-1/idProduct", "0825\n"),
        ("sys/bus/usb/devices/1-1/product", "Webcam C270\n"),
    ] {
        board.put(file, text);
    }
    let mut wired = board.open(
        r#"{
        "devices": {"cpu": {"type": "thermal_zone", "zone": "cpu-thermal"}, "fan": {"type": "fan", "monitor": "pwmfan"},
            "battery": {"type": "power_supply", "supply": "BAT0"}, "camera": {"type": "usb", "vendor": 1133, "product": 2085},
            "lost": {"type": "usb", "vendor": 1, "product": 2}},
        "sensors": {"a": {"device": "cpu", "unit": "°C"}, "b": {"device": "fan", "unit": "rpm"},
            "c": {"device": "battery", "unit": "%"}, "d": {"device": "camera", "unit": "there"},
            "e": {"device": "lost", "unit": "there"}},
        "actuators": {"cooling": {"device": "fan", "unit": "%", "max": 100, "change_max_per_s": 100, "unmeasured": true,
            "raw_per_unit": 2.55}}
    }"#,
    );
    let read: Vec<f64> = wired
        .gauges
        .iter_mut()
        .map(|gauge| gauge.read(at(0)).unwrap())
        .collect();
    assert_eq!(read, [48.25, 3_100.0, 83.0, 1.0, 0.0]);
    let said = |name: &str| {
        wired
            .found
            .iter()
            .find(|found| found.name == name)
            .unwrap()
            .outcome
            .clone()
    };
    assert_eq!(said("camera").unwrap(), "Webcam C270");
    assert!(said("battery").unwrap().ends_with("(Battery)"));
    assert!(said("lost").unwrap_err().starts_with("not present"));
    let protection = wired.protection.as_mut().unwrap();
    assert_eq!(
        board.get("sys/class/hwmon/hwmon3/pwm1_enable"),
        "1",
        "set by hand"
    );
    protection.set_drive(0, Some(60.0)).unwrap();
    assert_eq!(board.get("sys/class/hwmon/hwmon3/pwm1"), "153");
}

#[test]
fn a_simulated_motor_follows_while_it_has_power() {
    let board = Board::new();
    let mut wired = board.open(
        r#"{
        "devices": {"motor": {"type": "simulated_motor", "speed_max": 3, "time_constant_ms": 100},
            "relay": {"type": "simulated_relay"}, "button": {"type": "simulated_contact"}},
        "sensors": {"speed": {"device": "motor", "unit": "rad/s", "interval_ms": 10}},
        "actuators": {"turn": {"device": "motor", "unit": "rad/s", "max": 5, "change_max_per_s": 50, "sensor": "speed"}},
        "safety": {"estop": "button", "enable": "relay"}
    }"#,
    );
    let protection: &mut Box<dyn Protection> = wired.protection.as_mut().unwrap();
    let speed = &mut wired.gauges[0];
    protection.set_drive(0, Some(5.0)).unwrap();
    assert_eq!(speed.read(at(0)).unwrap(), 0.0);
    assert_eq!(
        speed.read(at(1_000)).unwrap(),
        0.0,
        "without power it does not turn"
    );
    protection.set_enable(true).unwrap();
    let soon = speed.read(at(1_100)).unwrap();
    assert!((1.8..2.0).contains(&soon), "{soon}: two thirds of the way");
    assert!(speed.read(at(3_000)).unwrap() > 2.99, "no faster than it can");
    assert!(wired.bench.set_contact("button", false));
    assert!(!wired.bench.set_contact("no-button", false));
    assert_eq!(protection.read(at(3_000)).estop, Contact::Open);
    wired.protection = None;
    assert!(!wired.bench.is_powered(), "whoever leaves takes the power");
    assert!(speed.read(at(5_000)).unwrap() < 0.01);
}

#[test]
fn registers_hold_numbers_of_either_order_and_sign() {
    let register = |bytes, signed, little_endian| Register {
        address: 0,
        bytes,
        signed,
        little_endian,
    };
    assert_eq!(number(&[0x12, 0x34], register(2, false, false)), 4_660.0);
    assert_eq!(number(&[0x34, 0x12], register(2, false, true)), 4_660.0);
    assert_eq!(number(&[0xff, 0xfe], register(2, true, false)), -2.0);
    assert_eq!(number(&[0xff; 4], register(4, true, true)), -1.0);
    assert_eq!(number(&[0xff; 4], register(4, false, true)), 4_294_967_295.0);
    assert_eq!(number(&[0x80], register(1, true, false)), -128.0);
}

#[test]
fn a_watchdog_is_fed_as_often_as_it_needs_and_let_go_in_order() {
    let board = Board::new();
    board.put("watchdog0", "");
    board.put("sys/class/watchdog/watchdog0/timeout", "8\n");
    let description = r#"{"devices": {"dog": {"type": "watchdog", "path": "@/watchdog0", "timeout_s": 15}},
        "safety": {"watchdog": "dog"}}"#;
    let fed = |path: &Path| fs::read(path).unwrap();
    let mut wired = board.open(description);
    assert!(
        wired.found[0]
            .outcome
            .as_ref()
            .unwrap()
            .contains("waits 8 s, and not the 15 s")
    );
    let protection = wired.protection.as_mut().unwrap();
    for millis in [0, 500, 1_999, 2_000, 3_000, 4_000] {
        protection.read(at(millis));
        protection.feed_watchdog().unwrap();
    }
    assert_eq!(fed(&board.path("watchdog0")), b"\0\0\0", "at 0, 2 and 4 s");
    protection.end();
    drop(wired);
    assert_eq!(fed(&board.path("watchdog0")), b"\0\0\0V");
}
