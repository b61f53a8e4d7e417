//! Runs many seeded worlds: `cargo run --release -p muster-sim --example seeds -- [COUNT] [FIRST]`.
//!
//! With `--planted NAME` each world has that bug in it, and it is counted how often it is found. With one seed only,
//! what did not hold is explained step by step.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use muster_sim::world::{Check, Planted, Report, Scenario, run};

fn main() -> ExitCode {
    let mut numbers = Vec::new();
    let mut planted = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--planted" {
            let name = arguments.next().unwrap_or_default();
            planted = Planted::ALL
                .iter()
                .copied()
                .find(|bug| format!("{bug:?}") == name);
            if planted.is_none() {
                eprintln!("--planted takes one of {:?}", Planted::ALL);
                return ExitCode::from(64);
            }
        } else if let Ok(number) = argument.parse() {
            numbers.push(number);
        } else {
            eprintln!("usage: seeds [COUNT] [FIRST] [--planted NAME]");
            return ExitCode::from(64);
        }
    }
    let count = numbers.first().copied().unwrap_or(1_000);
    let first = numbers.get(1).copied().unwrap_or(0);
    // A panic in a world is a finding, not noise on the screen.
    std::panic::set_hook(Box::new(|_| {}));
    sweep(first, count, planted)
}

fn sweep(first: u64, count: u64, planted: Option<Planted>) -> ExitCode {
    let began = Instant::now();
    let next = AtomicU64::new(first);
    let found: Mutex<BTreeMap<u64, Report>> = Mutex::default();
    let totals: Mutex<[u64; 4]> = Mutex::default();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        break;
                    }
                    let mut scenario = Scenario::of_seed(seed);
                    scenario.planted = planted;
                    let machines = scenario.machines as u64;
                    let report = run(&scenario);
                    if let Ok(mut totals) = totals.lock() {
                        totals[0] += report.counts.events;
                        totals[1] += report.counts.virtual_ms;
                        totals[2] += report.counts.virtual_ms * machines;
                        totals[3] = totals[3].max(report.counts.together_after_ms);
                    }
                    if report.violation.is_some()
                        && let Ok(mut found) = found.lock()
                    {
                        found.insert(seed, report);
                    }
                }
            });
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    let found = found.into_inner().unwrap_or_default();
    let totals = totals.into_inner().unwrap_or_default();
    let mut by_check: BTreeMap<Check, Vec<u64>> = BTreeMap::new();
    for (seed, report) in &found {
        if let Some(violation) = &report.violation {
            by_check.entry(violation.check).or_default().push(*seed);
        }
    }
    if count == 1 {
        for report in found.values() {
            println!("{report}");
        }
    }
    for (check, seeds) in &by_check {
        println!(
            "{check:?}: {} seeds, such as {:?}",
            seeds.len(),
            &seeds[..seeds.len().min(12)]
        );
        if let Some(violation) = seeds.first().and_then(|seed| found[seed].violation.as_ref()) {
            println!("    {}", violation.what.chars().take(400).collect::<String>());
        }
    }
    println!(
        "{count} seeds in {seconds:.1} s ({:.0} a second), {} events, {:.1} h of virtual time, {:.1} machine hours a second, longest way together {} s, {} found something",
        count as f64 / seconds,
        totals[0],
        totals[1] as f64 / 3.6e6,
        totals[2] as f64 / 3.6e6 / seconds,
        totals[3] / 1_000,
        found.len(),
    );
    if found.is_empty() || planted.is_some() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
