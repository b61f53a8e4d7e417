//! Trees as kernels have them, whole and odd: what is found can be described, and what cannot is told.

use std::fs;
use std::path::{Path, PathBuf};

use super::lines::{Chip, Line};
use super::names::Names;
use super::{Probed, Scan, Sort, probe};
use crate::LinuxRoots;
use crate::wired::Places;
use crate::wiring::{Device, SafetyWiring, Wiring};

/// A computer made of files.
struct Tree(tempfile::TempDir);

impl Tree {
    fn of(files: &[(&str, &str)]) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for (path, text) in files {
            tree.put(path, text);
        }
        tree
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn probe(&self) -> Probed {
        let places = Places {
            dev: self.path("dev"),
            roots: LinuxRoots::under(self.0.path()),
        };
        let probed = probe(&places, Scan::default()).unwrap();
        can_be_described(&probed);
        probed
    }
}

/// Whatever was found: all of it together is a description without a mistake.
#[track_caller]
fn can_be_described(probed: &Probed) {
    let owned = |name: &str| name.to_owned();
    let wiring = Wiring {
        devices: probed
            .devices()
            .into_iter()
            .map(|(name, device)| (owned(name), device.clone()))
            .collect(),
        sensors: probed
            .sensors()
            .into_iter()
            .map(|(name, sensor)| (owned(name), sensor.clone()))
            .collect(),
        safety: SafetyWiring::default(),
        ..Wiring::default()
    };
    assert_eq!(wiring.check(), []);
}

fn sort<'a>(probed: &'a Probed, title: &str) -> &'a Sort {
    let sort = probed.sorts.iter().find(|sort| sort.title == title);
    sort.unwrap_or_else(|| panic!("no {title} in {probed:#?}"))
}

#[track_caller]
fn notes(sort: &Sort, says: &str) {
    assert!(
        sort.notes.iter().any(|note| note.contains(says)),
        "{says} in {:#?}",
        sort.notes
    );
}

fn pi() -> Tree {
    let tree = Tree::of(&[
        ("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0"),
        ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
        ("sys/class/thermal/thermal_zone0/temp", "48312\n"),
        ("sys/class/thermal/thermal_zone1/type", "cpu-thermal\n"),
        ("sys/class/thermal/cooling_device0/type", "gpio-fan\n"),
        ("sys/class/hwmon/hwmon0/name", "cpu_thermal\n"),
        ("sys/class/hwmon/hwmon0/temp1_input", "48312\n"),
        ("sys/class/hwmon/hwmon1/name", "pwmfan\n"),
        ("sys/class/hwmon/hwmon1/fan1_input", "3200\n"),
        ("sys/class/hwmon/hwmon1/pwm1", "128\n"),
        ("sys/class/hwmon/hwmon2/name", "rpi_volt\n"),
        ("sys/class/hwmon/hwmon2/in0_input", "5081\n"),
        ("sys/class/hwmon/hwmon2/in0_label", "supply # 1\n"),
        ("sys/class/pwm/pwmchip0/npwm", "2\n"),
        ("sys/class/pwm/pwmchip0/export", ""),
        ("sys/class/pwm/pwmchip0/pwm1/enable", "1\n"),
        (
            "sys/class/watchdog/watchdog0/identity",
            "Broadcom BCM2835 Watchdog timer\n",
        ),
        ("sys/class/watchdog/watchdog0/timeout", "15\n"),
        ("sys/class/watchdog/watchdog0/nowayout", "1\n"),
        ("dev/watchdog0", ""),
        ("sys/bus/i2c/devices/i2c-1/name", "bcm2835 (i2c@7e804000)\n"),
        ("sys/bus/i2c/devices/1-0068/name", "ds3231\n"),
        ("dev/i2c-1", ""),
        ("sys/bus/gpio/devices/gpiochip0/dev", "254:0\n"),
        ("dev/gpiochip0", "no chip"),
        ("sys/bus/iio/devices/iio:device0/name", "bmp280\n"),
        ("sys/bus/iio/devices/iio:device0/in_temp_input", "21480\n"),
        ("sys/bus/iio/devices/iio:device1/name", "ads1015\n"),
        ("sys/bus/iio/devices/iio:device1/in_voltage0_raw", "812\n"),
        ("sys/bus/iio/devices/iio:device1/in_voltage_scale", "2\n"),
        ("sys/bus/iio/devices/iio:device1/in_voltage_offset", "-12\n"),
        ("sys/bus/iio/devices/iio:device1/in_accel_x_raw", "5\n"),
        ("sys/bus/usb/devices/usb1/idVendor", "1d6b\n"),
        ("sys/bus/usb/devices/usb1/idProduct", "0002\n"),
        ("sys/bus/usb/devices/usb1/bDeviceClass", "09\n"),
        ("sys/bus/usb/devices/1-1.2/idVendor", "0403\n"),
        ("sys/bus/usb/devices/1-1.2/idProduct", "6001\n"),
        ("sys/bus/usb/devices/1-1.2/product", "FT232R USB UART\n"),
        ("sys/bus/usb/devices/1-1.2/manufacturer", "FTDI\n"),
        ("sys/bus/usb/devices/1-1.2/serial", "00123\n"),
        ("sys/class/tty/tty0/dev", "4:0\n"),
        ("sys/class/tty/ttyUSB0/device/x", ""),
        ("sys/class/tty/ttyAMA0/device/x", ""),
        ("sys/class/tty/ttyS0/device/x", ""),
        ("sys/class/tty/ttyS0/type", "0\n"),
        ("sys/class/tty/ttyAMA1/device/x", ""),
        ("sys/class/tty/console/active", "tty1 ttyAMA0\n"),
        ("dev/ttyUSB0", ""),
        ("dev/ttyAMA0", ""),
        ("dev/ttyAMA1", ""),
        ("dev/ttyS0", ""),
    ]);
    let by_id = tree.path("dev/serial/by-id");
    fs::create_dir_all(&by_id).unwrap();
    let name = "usb-FTDI_FT232R_USB_UART_00123-if00-port0";
    std::os::unix::fs::symlink("../../ttyUSB0", by_id.join(name)).unwrap();
    tree
}

#[test]
fn a_board_is_described_with_what_it_has() {
    let tree = pi();
    let probed = tree.probe();
    assert_eq!(probed.model.as_deref(), Some("Raspberry Pi 4 Model B Rev 1.4"));
    let names: Vec<_> = probed.devices().into_keys().collect();
    assert_eq!(
        names,
        [
            "ads1015-accel-x",
            "ads1015-voltage0",
            "bmp280-temp",
            "cpu-thermal",
            "ftdi-ft232r-usb-uart",
            "ftdi-ft232r-usb-uart-001",
            "pwm0-0",
            "pwm0-1",
            "pwmfan-fan1",
            "rpi-volt-supply-1",
            "ttyama1",
            "watchdog0",
        ]
    );
    let sensors = probed.sensors();
    let voltage = sensors["ads1015-voltage0"];
    assert_eq!((voltage.unit.as_str(), voltage.scale), ("V", 0.002));
    // (812 - 12) × 2 mV.
    assert!((812.0 * voltage.scale + voltage.offset - 1.6).abs() < 1e-9);
    assert_eq!(sensors["ads1015-accel-x"].unit, "raw");
    assert_eq!(
        (sensors["bmp280-temp"].scale, sensors["cpu-thermal"].scale),
        (0.001, 1.0)
    );
    assert!(!sensors.contains_key("pwm0-0") && !sensors.contains_key("watchdog0"));
    assert_eq!(
        *probed.devices()["ftdi-ft232r-usb-uart"],
        Device::Usb {
            vendor: 0x0403,
            product: 0x6001,
            serial: Some("00123".to_owned()),
        }
    );
}

#[test]
fn what_cannot_be_described_is_told() {
    let probed = pi().probe();
    notes(sort(&probed, "temperatures"), "one more zone of type cpu-thermal");
    notes(
        sort(&probed, "GPIO chips"),
        "gpiochip0: its lines cannot be looked at",
    );
    notes(sort(&probed, "I2C buses"), "bus 1: bcm2835 (i2c@7e804000)");
    notes(sort(&probed, "I2C buses"), "0x68: ds3231, no driver has it");
    notes(sort(&probed, "I2C buses"), "--scan-i2c");
    notes(
        sort(&probed, "serial ports"),
        "ttyAMA0: the kernel's console is there",
    );
    let about = |title: &str, name: &str| {
        let found = sort(&probed, title)
            .found
            .iter()
            .find(|found| found.name == name)
            .unwrap();
        found.about.clone().unwrap_or_default()
    };
    assert_eq!(
        about("fans", "pwmfan-fan1"),
        "it can be driven: 0 to 255; 3200 a minute now"
    );
    assert_eq!(
        about("PWM channels", "pwm0-1"),
        "20 ms is what servos expect; somebody has it already"
    );
    assert_eq!(
        about("watchdogs", "watchdog0"),
        "Broadcom BCM2835 Watchdog timer; once it is opened it cannot be stopped"
    );
    assert_eq!(
        about("serial ports", "ftdi-ft232r-usb-uart-001"),
        "ttyUSB0; 115200 is a guess"
    );
}

#[test]
fn an_empty_computer_has_nothing_and_odd_files_break_nothing() {
    assert_eq!(Tree::of(&[]).probe(), Probed::default());
    let odd = Tree::of(&[
        ("sys/class/thermal/thermal_zone0/type", "x\u{2028}y: # \"z\n"),
        ("sys/class/thermal/thermal_zone1/type", ""),
        ("sys/class/thermal/thermal_zone2/type", "größe\n"),
        ("sys/class/thermal/thermal_zone2/temp", "hot\n"),
        (
            "sys/class/hwmon/hwmon0/name",
            "a name of a length that nobody would give to anything at all\n",
        ),
        ("sys/class/hwmon/hwmon0/temp1_input", "nan\n"),
        ("sys/class/hwmon/hwmon0/temp2_input", ""),
        ("sys/class/hwmon/hwmon1/device/name", "old\n"),
        ("sys/class/hwmon/hwmon1/device/fan1_input", "1\n"),
        ("sys/class/power_supply/ucsi-source-psy-USBC000:001/type", "USB\n"),
        ("sys/class/power_supply/-/type", "\n"),
        ("sys/class/pwm/pwmchipX/npwm", "2\n"),
        ("sys/class/pwm/pwmchip1/npwm", "4000000000\n"),
        ("sys/class/watchdog/watchdog0/timeout", "86400\n"),
        ("sys/class/watchdog/watchdog1/timeout", "soon\n"),
        ("sys/bus/i2c/devices/i2c-x/name", "x\n"),
        ("sys/bus/usb/devices/1-1/idVendor", "zzzz\n"),
        ("sys/bus/usb/devices/1-2/idVendor", "0001\n"),
        ("sys/bus/usb/devices/1-2/idProduct", "0002\n"),
        ("sys/bus/usb/devices/1-3/idVendor", "0001\n"),
        ("sys/bus/usb/devices/1-3/idProduct", "0002\n"),
        ("sys/bus/iio/devices/iio:device0/in_temp_raw", "1\n"),
        ("sys/bus/iio/devices/iio:device0/in_temp_scale", "nan\n"),
        ("sys/class/gpio/gpiochip512/label", "pinctrl-old\n"),
        ("sys/class/gpio/gpiochip512/ngpio", "58\n"),
    ]);
    let probed = odd.probe();
    notes(sort(&probed, "USB devices"), "1-3: one more 0001:0002");
    notes(sort(&probed, "GPIO chips"), "pinctrl-old, 58 lines");
    notes(sort(&probed, "fans"), "a driver of the old kind");
    notes(sort(&probed, "watchdogs"), "dev/watchdog0: ");
}

#[test]
fn a_computer_with_more_than_one_file_takes_is_described_as_far_as_it_goes() {
    let tree = Tree::of(&[]);
    for n in 0..70 {
        tree.put(
            &format!("sys/class/thermal/thermal_zone{n}/type"),
            &format!("zone{n}\n"),
        );
    }
    let probed = tree.probe();
    assert_eq!((probed.devices().len(), probed.sensors().len()), (64, 64));
    notes(sort(&probed, "temperatures"), "more than one file takes: zone69");
}

#[test]
fn names_are_told_apart_and_accepted() {
    let mut names = Names::default();
    let mut free = |wanted: &str| names.free(wanted);
    assert_eq!(free("CPU  Thermal!"), "cpu-thermal");
    assert_eq!(free("cpu/thermal"), "cpu-thermal-2");
    assert_eq!(free(""), "device");
    assert_eq!(free("~"), "device-2");
    let long = "a".repeat(40);
    assert_eq!((free(&long).len(), free(&long).len()), (32, 32));
}

#[test]
fn lines_of_a_chip_are_told_with_who_has_them() {
    let line = |offset, name: &str, consumer: &str, is_output| Line {
        offset,
        name: name.to_owned(),
        consumer: consumer.to_owned(),
        is_output,
        is_free: consumer.is_empty(),
    };
    let chip = Chip {
        name: "gpiochip0".to_owned(),
        label: "pinctrl-bcm2711".to_owned(),
        count: 2,
        lines: vec![line(2, "SDA1", "i2c", true), line(17, "GPIO17", "", false)],
    };
    let mut sort = Sort::new("GPIO chips");
    chip.tell(&mut sort);
    assert_eq!(
        sort.notes,
        [
            "gpiochip0: pinctrl-bcm2711, 2 lines",
            "  line 2: SDA1, output, i2c",
            "  line 17: GPIO17, input, free",
            "  such as: {type: gpio, chip: \"pinctrl-bcm2711\", line: 17, direction: input, bias: pull_down}",
        ]
    );
}

/// The computer that this runs on, whatever it has.
#[test]
fn this_computer_can_be_looked_at() {
    let probed = probe(&Places::default(), Scan::default()).unwrap();
    can_be_described(&probed);
    if Path::new("/sys/class/thermal/thermal_zone0/type").exists() {
        assert!(!sort(&probed, "temperatures").found.is_empty());
    }
}
