//! Prints what the hardware says: of this host, of file trees elsewhere, or of a simulated machine over time.
//!
//! ```text
//! cargo run -p muster-metal --example readings -- linux [DIRECTORY with proc, sys, etc]
//! cargo run -p muster-metal --example readings -- car|lekiwi|pi [SEED [MINUTES]]
//! cargo run --release -p muster-metal --example readings -- cost
//! ```

use std::time::{Duration, Instant};

use muster_metal::{
    LinuxMachine, LinuxRoots, Metal, MetalError, Profile, SimulatedMachine, SimulatedOptions, Site,
};
use muster_model::Timestamp;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_else(|| "linux".into());
    match what.as_str() {
        "linux" => {
            let roots = arguments
                .next()
                .map_or_else(LinuxRoots::default, LinuxRoots::under);
            let mut machine = LinuxMachine::new(roots);
            print_all(&mut machine);
        }
        "cost" => cost(),
        profile => {
            let seed = arguments.next().map_or(Ok(1), |text| text.parse())?;
            let minutes: u64 = arguments.next().map_or(Ok(30), |text| text.parse())?;
            trace(profile.parse()?, seed, minutes)?;
        }
    }
    Ok(())
}

fn print_all(machine: &mut dyn Metal) {
    println!("{:#?}", machine.facts());
    println!("{:#?}", machine.network());
    println!("{:?}", machine.uptime());
    println!("{:#?}", machine.resources());
    println!("{:#?}", machine.traffic());
    println!("{:#?}", machine.power());
    println!("{:#?}", machine.thermal());
    println!("{:#?}", machine.location());
    println!("{:#?}", machine.conditions());
}

fn machine(profile: Profile, seed: u64) -> SimulatedMachine {
    let started_at = Timestamp::from_millis(1_795_250_000_000);
    SimulatedMachine::new(SimulatedOptions::new(
        profile,
        Site::Munich,
        seed,
        format!("{profile}-{seed}"),
        started_at,
    ))
}

fn trace(profile: Profile, seed: u64, minutes: u64) -> Result<(), MetalError> {
    let machine = &mut machine(profile, seed) as &mut dyn Metal;
    print_all(machine);
    for second in (0..minutes * 60).step_by(10) {
        machine.advance_to(Duration::from_secs(second));
        let power = machine.power().ok().flatten();
        let zones = machine.thermal().ok().flatten().map(|thermal| {
            thermal
                .zones
                .iter()
                .map(|zone| format!("{} {}", zone.name, zone.celsius))
                .collect::<Vec<_>>()
                .join(", ")
        });
        let location = machine.location().ok().flatten();
        println!(
            "{second:>6} s {:<8} {} {} {} cpu {} % disk {} % {:?}",
            machine.mode()?.as_str(),
            power.map_or_else(String::new, |power| format!(
                "{:.1} % {:.2} V {:.2} A",
                power.battery_percent.unwrap_or_default(),
                power.volts.unwrap_or_default(),
                power.amperes.unwrap_or_default()
            )),
            zones.unwrap_or_default(),
            location.map_or_else(String::new, |at| format!(
                "{:.5} {:.5} {:>5.1}° {:.2} m/s",
                at.latitude_degrees, at.longitude_degrees, at.heading_degrees, at.speed_m_per_s
            )),
            machine.resources()?.cpu_percent,
            machine
                .resources()?
                .disks
                .first()
                .map_or(0.0, |disk| disk.used_percent),
            machine
                .conditions()?
                .iter()
                .map(|problem| &problem.message)
                .collect::<Vec<_>>(),
        );
    }
    Ok(())
}

/// What one second of ten thousand machines costs, and one look at this host.
fn cost() {
    let linux = &mut LinuxMachine::default() as &mut dyn Metal;
    let begun = Instant::now();
    for _ in 0..100 {
        let _ = (
            linux.resources(),
            linux.traffic(),
            linux.power(),
            linux.thermal(),
            linux.conditions(),
        );
    }
    println!("linux: all that changes {:?}", begun.elapsed() / 100);
    let begun = Instant::now();
    let _ = (linux.facts(), linux.network());
    println!("linux: facts and network {:?}", begun.elapsed());
    const MACHINES: u64 = 10_000;
    for profile in Profile::ALL {
        let mut machines: Vec<_> = (0..MACHINES).map(|seed| machine(*profile, seed)).collect();
        machines
            .iter_mut()
            .for_each(|machine| machine.advance(Duration::from_secs(60)));
        let begun = Instant::now();
        for _ in 0..10 {
            machines
                .iter_mut()
                .for_each(|machine| machine.advance(Duration::from_secs(1)));
        }
        let advance = begun.elapsed() / 10;
        let begun = Instant::now();
        let mut taken = 0;
        for machine in &mut machines {
            let machine: &mut dyn Metal = machine;
            taken += usize::from(machine.resources().is_ok());
            taken += usize::from(machine.power().is_ok());
            taken += usize::from(machine.thermal().is_ok());
            taken += usize::from(machine.location().is_ok());
            taken += usize::from(machine.conditions().is_ok());
        }
        println!(
            "{profile}: 10,000 machines: 1 s of physics {advance:?}, {taken} readings {:?}, {} bytes each",
            begun.elapsed(),
            size_of::<SimulatedMachine>()
        );
    }
}
