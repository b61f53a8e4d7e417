//! What is printed is a file that is accepted, and says what was found.

use std::fs;
use std::path::Path;

use muster_metal::LinuxRoots;
use muster_metal::probe::{Probed, Scan, probe};
use muster_metal::wired::Places;

use super::{json, yaml};
use crate::config::Config;

fn found(files: &[(&str, &str)]) -> Probed {
    let directory = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let places = Places {
        dev: directory.path().join("dev"),
        roots: LinuxRoots::under(directory.path()),
    };
    probe(&places, Scan::default()).unwrap()
}

const TREES: &[&[(&str, &str)]] = &[
    &[],
    &[
        ("sys/class/dmi/id/sys_vendor", "Maker\nof things\n"),
        ("sys/class/thermal/thermal_zone0/type", "x86_pkg_temp\n"),
        ("sys/class/thermal/thermal_zone0/temp", "41000\n"),
        ("sys/class/power_supply/BAT0/type", "Battery\n"),
        ("sys/class/power_supply/BAT0/capacity", "88\n"),
        ("sys/class/power_supply/BAT0/model_name", "# : \"5\"\t\u{7}\n"),
        ("sys/class/watchdog/watchdog0/timeout", "60\n"),
        ("sys/bus/usb/devices/1-1/idVendor", "046d\n"),
        ("sys/bus/usb/devices/1-1/idProduct", "0825\n"),
        ("sys/bus/usb/devices/1-1/serial", "0012\n"),
        ("sys/bus/usb/devices/1-2/idVendor", "046d\n"),
        ("sys/bus/usb/devices/1-2/idProduct", "0825\n"),
        ("sys/bus/usb/devices/1-2/serial", "12\n"),
        ("sys/bus/usb/devices/1-2/product", "a: [b\n"),
    ],
    &[
        ("sys/class/thermal/thermal_zone0/type", "{}: *a # é\n"),
        ("sys/class/thermal/thermal_zone1/type", "~\n"),
        ("sys/class/thermal/thermal_zone2/type", "12\n"),
        ("sys/class/thermal/thermal_zone3/type", "- true\n"),
        ("sys/class/hwmon/hwmon0/name", "null\n"),
        ("sys/class/hwmon/hwmon0/fan1_input", "0\n"),
        ("sys/class/hwmon/hwmon0/in0_input", "12000\n"),
        ("sys/bus/iio/devices/iio:device0/in_voltage0_raw", "1\n"),
        (
            "sys/bus/iio/devices/iio:device0/in_voltage0_scale",
            "0.598550415\n",
        ),
        ("sys/bus/i2c/devices/i2c-0/name", "DesignWare\n"),
    ],
];

#[test]
fn what_is_printed_is_accepted_and_means_what_was_found() {
    for tree in TREES {
        let probed = found(tree);
        let text = yaml(&probed);
        let read = Config::read(Some((Path::new("probe.yaml"), &text)), [], []);
        let wiring = read
            .unwrap_or_else(|error| panic!("{error}\n{text}"))
            .settings
            .wiring;
        let devices: Vec<_> = wiring
            .devices
            .iter()
            .map(|(name, device)| (name.as_str(), device))
            .collect();
        assert_eq!(
            devices,
            probed.devices().into_iter().collect::<Vec<_>>(),
            "{text}"
        );
        let sensors: Vec<_> = wiring
            .sensors
            .iter()
            .map(|(name, sensor)| (name.as_str(), sensor))
            .collect();
        assert_eq!(
            sensors,
            probed.sensors().into_iter().collect::<Vec<_>>(),
            "{text}"
        );
    }
}

#[test]
fn what_is_found_can_be_taken_away_item_by_item() {
    let probed = found(TREES[1]);
    let text = yaml(&probed);
    assert!(text.starts_with("# Found on Maker of things\n"), "{text}");
    for line in [
        "  x86-pkg-temp:  # 41.0 °C now",
        "    zone: x86_pkg_temp",
        "    serial: \"12\"",
        "    serial: \"0012\"",
        "    timeout_s: 60",
        "    unit: percent",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line} in\n{text}");
    }
    assert!(!text.contains("scale: 1.0") && !text.contains("null"), "{text}");
}

#[test]
fn programs_get_one_document() {
    let probed = found(TREES[1]);
    let document: serde_json::Value = serde_json::from_str(&json(&probed)).unwrap();
    assert_eq!(document["devices"]["bat0"]["type"], "power_supply");
    assert_eq!(document["sensors"]["bat0"]["unit"], "percent");
    assert_eq!(document["sorts"][0]["title"], "USB devices");
}
