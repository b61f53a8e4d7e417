//! File trees as kernels write them, and as they should not be.

use std::fs;
use std::time::Duration;

use muster_metal::{LinuxMachine, LinuxRoots, Metal, MetalError, health_level};
use muster_model::state::{Power, ThermalZone};
use muster_model::vocabulary::{Health, Severity};
use tempfile::TempDir;

/// A system that has only what every Linux has.
const BARE: &[(&str, &str)] = &[
    (
        "proc/stat",
        "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 50 0 50 400\ncpu1 50 0 50 400\nbtime 1767225600\n",
    ),
    (
        "proc/meminfo",
        "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 750 kB\n",
    ),
    ("proc/loadavg", "0.25 0.10 0.05 1/100 4242\n"),
    ("proc/uptime", "3600.25 7000.00\n"),
    ("proc/self/mountinfo", "22 27 0:21 / /proc rw - proc proc rw\n"),
    ("proc/net/dev", "Inter-|\n face |\n"),
    ("proc/sys/kernel/osrelease", "6.12.0\n"),
    ("proc/sys/kernel/hostname", "board\n"),
    (
        "proc/sys/kernel/random/boot_id",
        "cad1a997-dc01-4177-b51a-01f9c81785ef\n",
    ),
];

struct Tree(TempDir);

impl Tree {
    fn new(files: &[(&str, &str)]) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        tree.write(BARE);
        tree.write(files);
        tree
    }

    fn write(&self, files: &[(&str, &str)]) {
        for (path, content) in files {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }

    fn machine(&self) -> Box<dyn Metal> {
        Box::new(LinuxMachine::new(LinuxRoots::under(self.0.path())))
    }
}

#[test]
fn a_bare_system_reads_without_errors() {
    let tree = Tree::new(&[]);
    let mut metal = tree.machine();
    let facts = metal.facts().unwrap();
    assert_eq!(
        (facts.hardware.vendor, facts.hardware.model, facts.hardware.serial),
        (None, None, None)
    );
    assert_eq!(facts.hardware.processors, 2);
    assert_eq!(facts.platform.os, "Linux 6.12.0");
    assert_eq!(facts.platform.booted_at.to_string(), "2026-01-01T00:00:00.000Z");
    assert_eq!(facts.machine_id_hint, None);
    assert_eq!(metal.uptime().unwrap(), Duration::from_millis(3_600_250));
    let resources = metal.resources().unwrap();
    assert_eq!(
        (resources.cpu_percent, resources.load_1m, resources.memory_percent),
        (20.0, 0.25, 25.0)
    );
    assert_eq!(resources.disks, []);
    assert_eq!(metal.network().unwrap().interfaces, []);
    assert_eq!((metal.power().unwrap(), metal.thermal().unwrap()), (None, None));
    assert_eq!(metal.conditions().unwrap(), []);
}

#[test]
fn a_pc_and_its_placeholders() {
    let tree = Tree::new(&[
        ("sys/class/dmi/id/sys_vendor", "Dell Inc.\n"),
        ("sys/class/dmi/id/product_name", "PowerEdge R6515\n"),
        ("sys/class/dmi/id/product_serial", "To Be Filled By O.E.M.\n"),
        ("sys/class/dmi/id/product_version", "   \n"),
        ("sys/class/dmi/id/board_version", "0000\n"),
        ("sys/devices/system/cpu/online", "0-5,8\n"),
        (
            "proc/cpuinfo",
            "processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\n",
        ),
        (
            "etc/os-release",
            "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
        ),
        ("etc/machine-id", "3d1219c7c4c5404aaa1f6d2a48adfda4\n"),
    ]);
    let facts = tree.machine().facts().unwrap();
    let hardware = facts.hardware;
    assert_eq!(
        (hardware.vendor.as_deref(), hardware.model.as_deref()),
        (Some("Dell Inc."), Some("PowerEdge R6515"))
    );
    assert_eq!((hardware.serial, hardware.revision), (None, None));
    assert_eq!(
        (hardware.processors, hardware.processor.as_deref()),
        (7, Some("Some CPU @ 2.00GHz"))
    );
    assert_eq!(facts.platform.os, "Debian GNU/Linux 12 (bookworm)");
    assert_eq!(
        facts.machine_id_hint.unwrap().to_string(),
        "3d1219c7-c4c5-404a-aa1f-6d2a48adfda4"
    );
}

#[test]
fn a_board_with_a_device_tree() {
    let tree = Tree::new(&[
        ("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0"),
        ("proc/device-tree/serial-number", "10000000abcdef01\0"),
        (
            "proc/device-tree/compatible",
            "raspberrypi,4-model-b\0brcm,bcm2711\0",
        ),
        (
            "proc/cpuinfo",
            "processor\t: 0\nHardware\t: BCM2835\nRevision\t: c03114\n",
        ),
    ]);
    let hardware = tree.machine().facts().unwrap().hardware;
    assert_eq!(hardware.vendor.as_deref(), Some("raspberrypi"));
    assert_eq!(hardware.model.as_deref(), Some("Raspberry Pi 4 Model B Rev 1.4"));
    assert_eq!(hardware.serial.as_deref(), Some("10000000abcdef01"));
    assert_eq!(hardware.revision.as_deref(), Some("c03114"));
    assert_eq!(hardware.processor.as_deref(), Some("BCM2835"));
}

fn zone(name: &str, celsius: f64) -> ThermalZone {
    ThermalZone {
        name: name.into(),
        celsius,
    }
}

#[test]
fn thermal_zones_of_every_kind() {
    let tree = Tree::new(&[
        ("sys/class/thermal/thermal_zone0/type", "acpitz\n"),
        ("sys/class/thermal/thermal_zone0/temp", "27800\n"),
        ("sys/class/thermal/thermal_zone1/type", "acpitz\n"),
        ("sys/class/thermal/thermal_zone1/temp", "-5250\n"),
        ("sys/class/thermal/thermal_zone2/type", "switched-off\n"),
        ("sys/class/thermal/thermal_zone2/temp", "-274000\n"),
        ("sys/class/thermal/thermal_zone3/type", "empty\n"),
        ("sys/class/thermal/thermal_zone3/temp", ""),
        ("sys/class/thermal/thermal_zone4/type", "words\n"),
        ("sys/class/thermal/thermal_zone4/temp", "hot\n"),
        ("sys/class/thermal/thermal_zone5/temp", "41234\n"),
        ("sys/class/thermal/thermal_zone10/type", "x86_pkg_temp\n"),
        ("sys/class/thermal/thermal_zone10/temp", "96000\n"),
        ("sys/class/thermal/thermal_zone10/trip_point_0_type", "passive\n"),
        ("sys/class/thermal/thermal_zone10/trip_point_0_temp", "80000\n"),
        ("sys/class/thermal/thermal_zone10/trip_point_1_type", "critical\n"),
        ("sys/class/thermal/thermal_zone10/trip_point_1_temp", "100000\n"),
        ("sys/class/thermal/cooling_device0/type", "Fan\n"),
        ("sys/class/hwmon/hwmon0/name", "coretemp\n"),
        ("sys/class/hwmon/hwmon0/temp1_input", "99000\n"),
    ]);
    let mut machine = tree.machine();
    let thermal = machine.thermal().unwrap().unwrap();
    let expected = [
        zone("acpitz", 27.8),
        zone("acpitz 2", -5.3),
        zone("thermal_zone5", 41.2),
        zone("x86_pkg_temp", 96.0),
    ];
    assert_eq!(thermal.zones, expected);
    assert_eq!(thermal.highest_celsius, 96.0);
    let conditions = machine.conditions().unwrap();
    assert_eq!(
        (conditions[0].kind.as_str(), conditions[0].severity),
        ("thermal.high", Severity::Warning)
    );
    assert_eq!(health_level(&conditions), Health::Degraded);
    tree.write(&[("sys/class/thermal/thermal_zone10/temp", "101000\n")]);
    assert_eq!(health_level(&machine.conditions().unwrap()), Health::Failed);
}

#[test]
fn hardware_monitors_where_there_are_no_zones() {
    let tree = Tree::new(&[
        ("sys/class/hwmon/hwmon0", "a file where a directory should be"),
        ("sys/class/hwmon/hwmon1/name", "coretemp\n"),
        ("sys/class/hwmon/hwmon1/temp1_input", "48000\n"),
        ("sys/class/hwmon/hwmon1/temp1_label", "Package id 0\n"),
        ("sys/class/hwmon/hwmon1/temp2_input", "47000\n"),
        ("sys/class/hwmon/hwmon1/in0_input", "12000\n"),
        ("sys/class/hwmon/hwmon2/name", "rpi_volt\n"),
        ("sys/class/hwmon/hwmon2/in0_lcrit_alarm", "1\n"),
    ]);
    let mut machine = tree.machine();
    let zones = machine.thermal().unwrap().unwrap().zones;
    assert_eq!(
        zones,
        [zone("coretemp Package id 0", 48.0), zone("coretemp", 47.0)]
    );
    assert_eq!(machine.conditions().unwrap()[0].kind, "supply.undervoltage");
}

#[test]
fn a_processor_that_slowed_down_is_seen_once() {
    let count = "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count";
    let tree = Tree::new(&[(count, "7\n")]);
    let mut machine = tree.machine();
    assert_eq!(
        machine.conditions().unwrap(),
        [],
        "counts from before the first reading say nothing of now"
    );
    tree.write(&[(count, "9\n")]);
    assert_eq!(machine.conditions().unwrap()[0].kind, "thermal.throttled");
    assert_eq!(machine.conditions().unwrap(), []);
}

fn power(files: &[(&str, &str)]) -> Option<Power> {
    let files: Vec<(String, &str)> = files
        .iter()
        .map(|(path, content)| (format!("sys/class/power_supply/{path}"), *content))
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, content)| (path.as_str(), *content))
        .collect();
    Tree::new(&files).machine().power().unwrap()
}

#[test]
fn a_laptop_that_discharges() {
    let found = power(&[
        ("AC/type", "Mains\n"),
        ("AC/online", "0\n"),
        ("BAT0/type", "Battery\n"),
        ("BAT0/present", "1\n"),
        ("BAT0/status", "Discharging\n"),
        ("BAT0/capacity", "81\n"),
        ("BAT0/voltage_now", "11660000\n"),
        ("BAT0/power_now", "5002000\n"),
        ("mouse/type", "Battery\n"),
        ("mouse/scope", "Device\n"),
        ("mouse/capacity", "3\n"),
        ("bay/type", "Battery\n"),
        ("bay/present", "0\n"),
    ]);
    let expected = Power {
        battery_percent: Some(81.0),
        charging: false,
        external_supply: false,
        volts: Some(11.66),
        amperes: Some(0.429),
    };
    assert_eq!(found, Some(expected));
}

#[test]
fn current_has_our_sign_whatever_the_driver_says() {
    let amperes = |status: &str, current: &str| {
        power(&[
            ("B/type", "Battery\n"),
            ("B/status", status),
            ("B/current_now", current),
        ])
        .unwrap()
        .amperes
    };
    assert_eq!(amperes("Discharging\n", "-1500000\n"), Some(1.5));
    assert_eq!(amperes("Discharging\n", "1500000\n"), Some(1.5));
    assert_eq!(amperes("Charging\n", "1500000\n"), Some(-1.5));
    assert_eq!(amperes("Full\n", "0\n"), Some(0.0));
    assert_eq!(amperes("Full\n", "\n"), None);
}

#[test]
fn two_batteries_count_by_what_they_hold() {
    let found = power(&[
        ("BAT0/type", "Battery\n"),
        ("BAT0/capacity", "100\n"),
        ("BAT0/energy_now", "10000000\n"),
        ("BAT0/energy_full", "10000000\n"),
        ("BAT0/voltage_now", "12000000\n"),
        ("BAT1/type", "Battery\n"),
        ("BAT1/status", "Charging\n"),
        ("BAT1/capacity", "50\n"),
        ("BAT1/energy_now", "15000000\n"),
        ("BAT1/energy_full", "30000000\n"),
    ])
    .unwrap();
    assert_eq!(
        (found.battery_percent, found.charging, found.external_supply),
        (Some(62.5), true, true)
    );
    assert_eq!(
        (found.volts, found.amperes),
        (None, None),
        "of two packs there is no one voltage"
    );
}

#[test]
fn supplies_of_odd_kinds() {
    let usb = power(&[("usb/type", "USB\n"), ("usb/online", "2\n")]).unwrap();
    assert_eq!((usb.external_supply, usb.battery_percent), (true, None));
    let full = power(&[
        ("B/type", "Battery\n"),
        ("B/status", "Full\n"),
        ("B/capacity", "101\n"),
    ])
    .unwrap();
    assert_eq!((full.external_supply, full.battery_percent), (true, Some(100.0)));
    assert_eq!(power(&[("x/type", "\n"), ("x/online", "1\n")]), None);
}

#[test]
fn a_battery_that_runs_out() {
    let kind = |capacity: &str, status: &str| {
        let tree = Tree::new(&[
            ("sys/class/power_supply/B/type", "Battery\n"),
            ("sys/class/power_supply/B/status", status),
            ("sys/class/power_supply/B/capacity", capacity),
        ]);
        let found = tree.machine().conditions().unwrap();
        found
            .first()
            .map(|problem| (problem.kind.clone(), problem.severity))
    };
    assert_eq!(kind("50\n", "Discharging\n"), None);
    assert_eq!(
        kind("9\n", "Discharging\n"),
        Some(("power.low".into(), Severity::Warning))
    );
    assert_eq!(
        kind("3\n", "Discharging\n"),
        Some(("power.low".into(), Severity::Critical))
    );
    assert_eq!(kind("3\n", "Charging\n"), None);
}

#[test]
fn interfaces_of_every_kind() {
    let tree = Tree::new(&[
        ("sys/class/net/lo/address", "00:00:00:00:00:00\n"),
        ("sys/class/net/bonding_masters", "\n"),
        ("sys/class/net/eth0/address", "B8:27:EB:00:00:01\n"),
        ("sys/class/net/eth0/operstate", "up\n"),
        ("sys/class/net/eth0/speed", "1000\n"),
        ("sys/class/net/eth0/ifindex", "2\n"),
        ("sys/class/net/tun0/address", "00:00:00:00:00:00\n"),
        ("sys/class/net/tun0/operstate", "unknown\n"),
        ("sys/class/net/tun0/carrier", "1\n"),
        ("sys/class/net/tun0/speed", "-1\n"),
        ("sys/class/net/wlan0/operstate", "down\n"),
        ("sys/class/net/wlan0/speed", "4294967295\n"),
    ]);
    let network = tree.machine().network().unwrap();
    assert_eq!(network.hostname, "board");
    let found: Vec<_> = network
        .interfaces
        .iter()
        .map(|i| (i.name.as_str(), i.mac.as_deref(), i.up, i.speed_mbit_per_s))
        .collect();
    let expected = [
        ("eth0", Some("b8:27:eb:00:00:01"), true, Some(1000)),
        ("tun0", None, true, None),
        ("wlan0", None, false, None),
    ];
    assert_eq!(found, expected);
}

#[test]
fn disks_are_those_that_hold_data_each_once() {
    let tree = Tree::new(&[
        (
            "proc/1/mountinfo",
            "1 0 0:40 / / rw - overlay overlay rw\n\
             2 1 8:1 /etc/hosts /etc/hosts rw - ext4 /dev/sda1 rw\n\
             3 1 8:1 / /data rw - ext4 /dev/sda1 rw\n\
             4 1 8:1 / /data/again rw - ext4 /dev/sda1 rw\n\
             5 1 7:0 / /snap/core/1 ro - squashfs /dev/loop0 ro\n\
             6 1 0:41 / /run rw - tmpfs tmpfs rw\n\
             7 1 0:42 / /share rw - nfs4 server:/share rw\n\
             8 1 0:43 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw\n\
             9 1 8:2 / /gone rw - ext4 /dev/sda2 rw\n\
             10 1 8:3 / /my\\040disk rw - vfat /dev/sda3 rw\n",
        ),
        ("etc/hosts", "127.0.0.1 localhost\n"),
        ("data/again/file", "x"),
        ("snap/core/1/file", "x"),
        ("run/file", "x"),
        ("share/file", "x"),
        ("var/lib/docker/overlay2/x/merged/file", "x"),
        ("my disk/file", "x"),
    ]);
    let disks = tree.machine().resources().unwrap().disks;
    let mounts: Vec<&str> = disks.iter().map(|disk| disk.mount.as_str()).collect();
    assert_eq!(mounts, ["/", "/data", "/my disk"]);
    assert!(
        disks
            .iter()
            .all(|disk| disk.size_bytes >= disk.used_bytes && disk.used_percent <= 100.0)
    );
}

#[test]
fn what_every_linux_has_fails_with_its_path_and_a_code() {
    let tree = Tree::new(&[("proc/stat", "nonsense\n")]);
    let error = tree.machine().resources().unwrap_err();
    assert_eq!(error.code(), "MST-H002");
    assert!(error.to_string().contains("proc/stat"), "{error}");
    fs::remove_file(tree.0.path().join("proc/meminfo")).unwrap();
    let error = tree.machine().resources().unwrap_err();
    assert_eq!(error.code(), "MST-H001");
    assert!(matches!(error, MetalError::Read { path, .. } if path.ends_with("proc/meminfo")));
}

#[test]
fn traffic_is_what_grew_over_the_time_that_passed() {
    let lines = |received: u64, sent: u64| {
        format!("Inter-|\n face |\neth0: {received} 0 0 0 0 0 0 0 {sent} 0 0 0 0 0 0 0\n")
    };
    let tree = Tree::new(&[("proc/net/dev", &lines(1_000, 500))]);
    let mut machine = tree.machine();
    assert_eq!(machine.traffic().unwrap(), None);
    tree.write(&[("proc/net/dev", &lines(5_000, 600))]);
    machine.advance_to(Duration::from_secs(4));
    let traffic = machine.traffic().unwrap().unwrap();
    assert_eq!(
        (traffic.receive_bytes_per_s, traffic.transmit_bytes_per_s),
        (1_000.0, 25.0)
    );
}
