//! Many simulated machines in one process, to see what each costs.
//!
//! `cargo run --release -p muster-machine --example many_machines -- ws://127.0.0.1:7700 1000 30`

use std::time::Duration;

use muster_machine::store::StoreOptions;
use muster_machine::{Machine, MetalSource, Options, ServerUrl, SharedParts, Store};
use muster_metal::{Profile, SimulatedMachine, SimulatedOptions, Site};
use muster_model::{MachineId, Timestamp};
use muster_runtime::{Clock, Shutdown, Tasks};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let server: ServerUrl = arguments
        .next()
        .as_deref()
        .unwrap_or("ws://127.0.0.1:7700")
        .parse()?;
    let count: u32 = arguments.next().as_deref().unwrap_or("1000").parse()?;
    let seconds: u64 = arguments.next().as_deref().unwrap_or("30").parse()?;
    let directory = tempfile::tempdir()?;
    let shared = SharedParts {
        store: Store::open(directory.path(), StoreOptions::default())?,
        tasks: Tasks::new(Shutdown::new()),
        clock: Clock::start(),
    };
    let before = resident_kib();
    let mut machines = Vec::new();
    for number in 0..count {
        let name = format!("probe-{number}");
        let at = Timestamp::from_millis(shared.clock.wall_ms());
        let simulated = SimulatedOptions::new(Profile::Lekiwi, Site::Munich, number.into(), name.clone(), at);
        let metal = MetalSource::single(Box::new(SimulatedMachine::new(simulated)));
        let mut options = Options::new(server.clone(), name, "lekiwi");
        options.machine_id = Some(MachineId::from_uuid(uuid::Uuid::from_u128(
            u128::from(number) + 1,
        )));
        options.start_jitter = Duration::from_secs(5);
        machines.push(Machine::start(&shared, options, metal).await?);
    }
    println!("{count} machines started at {} ms", shared.clock.mono_ms());
    for second in 1..=seconds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if second.is_multiple_of(10) {
            let each = f64::from(resident_kib() - before) / f64::from(count);
            println!(
                "{second:>4} s: {each:.1} KiB each, {} CPU ticks in all",
                cpu_ticks()
            );
        }
    }
    let asked_ms = shared.clock.mono_ms();
    shared.tasks.shutdown().request("done");
    for machine in &mut machines {
        machine.ended().await?;
    }
    println!("ended in {} ms", shared.clock.mono_ms() - asked_ms);
    Ok(())
}

fn resident_kib() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<_> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let tick = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
    tick(11).unwrap_or(0) + tick(12).unwrap_or(0)
}
