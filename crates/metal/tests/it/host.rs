//! The readings of the machine these tests run on, against `free`, `df`, `nproc` and `uname`.

use std::process::Command;
use std::time::Duration;

use muster_metal::{LinuxMachine, Metal};
use muster_model::state::Disk;

/// What a program says; `None` where it is not installed.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn machine() -> Box<dyn Metal> {
    Box::new(LinuxMachine::default())
}

#[test]
fn memory_is_what_free_says() {
    let Some(text) = said("free", &["-b"]) else { return };
    let fields: Vec<f64> = text
        .lines()
        .find_map(|line| line.strip_prefix("Mem:"))
        .unwrap()
        .split_whitespace()
        .map(|field| field.parse().unwrap())
        .collect();
    let (total, available) = (fields[0], fields[5]);
    let resources = machine().resources().unwrap();
    let used = total - available;
    // Other tests run at the same time: a twentieth of all memory is room for them.
    assert!(
        (resources.memory_used_bytes as f64 - used).abs() < total / 20.0,
        "{resources:?} and {text}"
    );
    assert!((resources.memory_percent - used / total * 100.0).abs() < 5.0);
    assert_eq!(machine().facts().unwrap().hardware.memory_bytes as f64, total);
}

#[test]
fn disks_are_what_df_says() {
    let Some(text) = said("df", &["-B1", "--output=target,size,used,pcent"]) else {
        return;
    };
    let rows: Vec<(String, u64, u64, f64)> = text
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields: Vec<&str> = line.split_whitespace().collect();
            let percent = fields.pop()?.strip_suffix('%')?.parse().ok()?;
            let used = fields.pop()?.parse().ok()?;
            let size = fields.pop()?.parse().ok()?;
            Some((fields.join(" "), size, used, percent))
        })
        .collect();
    let disks = machine().resources().unwrap().disks;
    for Disk {
        mount,
        size_bytes,
        used_bytes,
        used_percent,
    } in disks
    {
        let Some((_, size, used, percent)) = rows.iter().find(|row| row.0 == mount) else {
            panic!("{mount} is not in {text}");
        };
        assert_eq!(size_bytes, *size, "{mount}");
        assert!(
            used_bytes.abs_diff(*used) < size / 50,
            "{mount}: {used_bytes} and {used}"
        );
        assert!(
            (used_percent - percent).abs() <= 2.0,
            "{mount}: {used_percent} and {percent}"
        );
    }
}

#[test]
fn facts_are_those_of_this_system() {
    let facts = machine().facts().unwrap();
    if let Some(kernel) = said("uname", &["-r"]) {
        assert_eq!(facts.platform.kernel, kernel.trim());
    }
    if let Some(architecture) = said("uname", &["-m"]) {
        assert_eq!(facts.hardware.architecture, architecture.trim());
    }
    if let Some(processors) = said("nproc", &["--all"]) {
        assert!(facts.hardware.processors <= processors.trim().parse().unwrap());
    }
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(facts.platform.boot_id.to_string(), boot_id.trim());
    assert_eq!(facts, machine().facts().unwrap(), "facts do not change");
}

#[test]
fn network_is_what_ip_says() {
    let network = machine().network().unwrap();
    assert!(network.interfaces.iter().all(|interface| interface.name != "lo"));
    if let Some(hostname) = said("uname", &["-n"]) {
        assert_eq!(network.hostname, hostname.trim());
    }
    let Some(text) = said("ip", &["-o", "addr", "show"]) else {
        return;
    };
    for interface in &network.interfaces {
        for address in &interface.addresses {
            let held = text.lines().any(|line| {
                line.contains(&format!(" {} ", interface.name)) && line.contains(&format!(" {address}/"))
            });
            assert!(held, "{address} of {} is not in {text}", interface.name);
        }
    }
}

#[test]
fn processor_use_and_traffic_are_measured_between_readings() {
    let mut machine = machine();
    machine.advance_to(Duration::from_secs(10));
    let since_boot = machine.resources().unwrap().cpu_percent;
    assert!((0.0..=100.0).contains(&since_boot));
    assert_eq!(machine.traffic().unwrap(), None, "nothing to compare with yet");
    assert_eq!(machine.traffic().unwrap(), None, "no time has passed");
    // Burn until the kernel has counted it: by its own clock, so that a busy host only makes this longer.
    let begun = machine.uptime().unwrap();
    while machine.uptime().unwrap() < begun + Duration::from_millis(300) {
        std::hint::black_box((0..10_000_u64).sum::<u64>());
    }
    // One processor was busy all the while; half of that is room for what the kernel counts late.
    let processors = machine.facts().unwrap().hardware.processors;
    assert!(machine.resources().unwrap().cpu_percent > 50.0 / f64::from(processors));
    machine.advance_to(Duration::from_secs(11));
    let traffic = machine.traffic().unwrap().unwrap();
    assert!(traffic.receive_bytes_per_s >= 0.0 && traffic.transmit_bytes_per_s >= 0.0);
}

#[test]
fn what_may_be_absent_is_no_error() {
    let mut machine = machine();
    machine.power().unwrap();
    machine.thermal().unwrap();
    machine.conditions().unwrap();
    assert_eq!(machine.location().unwrap(), None);
}
