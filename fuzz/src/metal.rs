//! What the kernel tells of a machine, in files that are as kernels and drivers make them.

use std::cell::OnceCell;
use std::fs;

use muster_metal::{LinuxMachine, LinuxRoots, Metal};
use tempfile::TempDir;

/// A system with a bit of everything.
const FILES: &[(&str, &str)] = &[
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
    (
        "proc/net/dev",
        "Inter-|   Receive\n face |bytes\n  eth0: 1000 10 0 0 0 0 0 0 2000 20 0 0 0 0 0 0\n",
    ),
    ("proc/sys/kernel/osrelease", "6.12.0\n"),
    ("proc/sys/kernel/hostname", "board\n"),
    (
        "proc/sys/kernel/random/boot_id",
        "0192f0c1-7b5e-7c3a-9d2f-3f1f6b1c9a10\n",
    ),
    (
        "proc/cpuinfo",
        "processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\nRevision\t: c03114\n",
    ),
    ("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0"),
    (
        "proc/device-tree/compatible",
        "raspberrypi,4-model-b\0brcm,bcm2711\0",
    ),
    (
        "etc/os-release",
        "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
    ),
    ("etc/machine-id", "3d1219c7c4c5404aaa1f6d2a48adfda4\n"),
    ("sys/devices/system/cpu/online", "0-5,8\n"),
    (
        "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count",
        "7\n",
    ),
    ("sys/class/thermal/thermal_zone0/type", "acpitz\n"),
    ("sys/class/thermal/thermal_zone0/temp", "27800\n"),
    ("sys/class/thermal/thermal_zone0/trip_point_0_type", "critical\n"),
    ("sys/class/thermal/thermal_zone0/trip_point_0_temp", "100000\n"),
    ("sys/class/power_supply/AC/type", "Mains\n"),
    ("sys/class/power_supply/AC/online", "0\n"),
    ("sys/class/power_supply/BAT0/type", "Battery\n"),
    ("sys/class/power_supply/BAT0/status", "Discharging\n"),
    ("sys/class/power_supply/BAT0/capacity", "81\n"),
    ("sys/class/power_supply/BAT0/voltage_now", "11660000\n"),
    ("sys/class/power_supply/BAT0/power_now", "5002000\n"),
    ("sys/class/power_supply/BAT0/current_now", "429000\n"),
    ("sys/class/power_supply/BAT0/energy_now", "30000000\n"),
    ("sys/class/power_supply/BAT0/energy_full", "40000000\n"),
    ("sys/class/net/eth0/operstate", "up\n"),
    ("sys/class/net/eth0/address", "02:00:00:00:00:01\n"),
    ("sys/class/net/eth0/speed", "1000\n"),
];

thread_local! {
    static TREE: OnceCell<TempDir> = const { OnceCell::new() };
}

/// The first byte says which file, the others stand in it.
pub fn metal(data: &[u8]) -> bool {
    let (which, content) = data.split_first().unwrap_or((&0, &[]));
    let (path, sound) = FILES[usize::from(*which) % FILES.len()];
    TREE.with(|tree| {
        let tree = tree.get_or_init(|| {
            let tree = tempfile::tempdir().expect("a folder");
            for (path, content) in FILES {
                let path = tree.path().join(path);
                fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
                fs::write(path, content).expect("a file");
            }
            tree
        });
        fs::write(tree.path().join(path), content).expect("a file");
        let mut machine = LinuxMachine::new(LinuxRoots::under(tree.path()));
        let read = look(&mut machine);
        fs::write(tree.path().join(path), sound).expect("a file");
        read
    })
}

/// Everything can be asked, what is answered can be told, and what cannot be read is said in words.
fn look(machine: &mut dyn Metal) -> bool {
    let percent = |value: f64| assert!((0.0..=100.0).contains(&value), "{value} percent");
    let mut failed = Vec::new();
    let mut note = |error: muster_metal::MetalError| failed.push(error.to_string());
    match machine.facts() {
        Ok(facts) => assert!(serde_json::to_string(&facts.hardware).is_ok()),
        Err(error) => note(error),
    }
    match machine.resources() {
        Ok(resources) => {
            percent(resources.cpu_percent);
            percent(resources.memory_percent);
            resources.disks.iter().for_each(|disk| percent(disk.used_percent));
            assert!(resources.load_1m.is_finite());
        }
        Err(error) => note(error),
    }
    match machine.power() {
        Ok(power) => {
            if let Some(power) = &power {
                power.battery_percent.into_iter().for_each(percent);
                let told = serde_json::to_string(power).expect("it can be told");
                assert_eq!(serde_json::from_str(&told).ok(), Some(power.clone()), "{told}");
            }
        }
        Err(error) => note(error),
    }
    match machine.thermal() {
        Ok(thermal) => {
            if let Some(thermal) = &thermal {
                let told = serde_json::to_string(thermal).expect("it can be told");
                assert_eq!(serde_json::from_str(&told).ok(), Some(thermal.clone()), "{told}");
            }
        }
        Err(error) => note(error),
    }
    machine.uptime().map(drop).unwrap_or_else(&mut note);
    machine.network().map(drop).unwrap_or_else(&mut note);
    machine.traffic().map(drop).unwrap_or_else(&mut note);
    machine.conditions().map(drop).unwrap_or_else(&mut note);
    assert!(failed.iter().all(|words| !words.is_empty()));
    failed.is_empty()
}
