//! Faults put into a simulated car: each leads to its region, takes the power in time, and is told. Its end lets nothing go.

use std::time::Instant;

use futures_util::future::join_all;
use muster_metal::{LinuxMachine, LinuxRoots, Metal};
use muster_model::simulation::SimulatedFault;

use super::*;

/// From the fault to the region, at the pace at which simulated machines look (500 ms). Time for a busy computer is in it.
const REGION_WITHIN: Duration = Duration::from_secs(10);
/// From the region to rest, from the greatest speed that a fault brings about.
const REST_WITHIN: Duration = Duration::from_secs(25);

async fn driving(directory: &std::path::Path) -> Bench {
    let mut bench = Bench::start(directory, car(), by_itself()).await;
    bench.until_region(Safety::Operational).await;
    bench.until_it_moves().await;
    bench
}

impl Bench {
    fn put_in(&self, fault: SimulatedFault, for_s: Option<u32>) {
        let desk = self.machine.faults().expect("it is simulated");
        assert!(desk.inject(fault, for_s), "{fault}");
    }

    fn clear(&self) {
        self.machine.faults().expect("it is simulated").clear(None);
    }

    async fn at_rest(&mut self) {
        self.until("at rest", |operation| operation.at_rest == Some(true))
            .await;
    }
}

/// Puts a fault into a car that drives, and looks what the car makes of it.
async fn leads_to(fault: SimulatedFault, region: Safety, held_by: &str) {
    let directory = tempfile::tempdir().unwrap();
    let mut bench = driving(directory.path()).await;
    let began = Instant::now();
    bench.put_in(fault, None);
    let held = bench.until_region(region).await;
    assert!(began.elapsed() < REGION_WITHIN, "{fault}: {:?}", began.elapsed());
    assert!(
        held.held_by.iter().any(|cause| cause == held_by),
        "{fault}: {:?}",
        held.held_by
    );
    assert!(!bench.hardware.is_enabled(), "{fault}: the power is off");
    let kind = loop {
        let event = bench.next_event().await;
        if event.kind != "safety.operational" {
            break event.kind;
        }
    };
    assert_eq!(kind, format!("safety.{region}"), "{fault}");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_leads_to_its_region_and_takes_the_power() {
    use SimulatedFault::{
        BrownOut, CaseOpen, EstopPressed, OverSpeed, RelayStuckOff, RunawayMotor, SpeedSilent,
    };
    let expected = [
        (OverSpeed, Safety::FaultLatched, "runaway"),
        (RunawayMotor, Safety::FaultLatched, "runaway"),
        (RelayStuckOff, Safety::FaultLatched, "output_failed"),
        (BrownOut, Safety::FaultLatched, "output_failed"),
        (SpeedSilent, Safety::ProtectiveStop, "unmeasured"),
        (EstopPressed, Safety::EstopLatched, "estop"),
        (CaseOpen, Safety::EstopLatched, "tamper"),
    ];
    join_all(expected.map(|(fault, region, held_by)| leads_to(fault, region, held_by))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_welded_relay_and_a_frozen_sensor_show_when_the_power_is_taken() {
    let welded = async {
        let directory = tempfile::tempdir().unwrap();
        let mut bench = driving(directory.path()).await;
        bench.put_in(SimulatedFault::RelayStuckOn, None);
        bench.machine.panel().presses().press(Press::Estop);
        let held = bench
            .until("found welded", |operation| {
                operation.held_by.iter().any(|cause| cause == "output_failed")
            })
            .await;
        assert_eq!(
            held.safety,
            Safety::FaultLatched.min(held.safety).max(held.safety)
        );
        assert_eq!(held.at_rest, Some(false), "it drives on, and that is said");
        bench.clear();
        bench.at_rest().await;
        bench.stop().await;
    };
    let frozen = async {
        let directory = tempfile::tempdir().unwrap();
        let mut bench = driving(directory.path()).await;
        bench.put_in(SimulatedFault::SpeedFrozen, None);
        bench.machine.panel().presses().press(Press::Stop);
        let held = bench.until_region(Safety::FaultLatched).await;
        assert_eq!(held.at_rest, Some(false), "what a frozen sensor says is not rest");
        assert!(!bench.hardware.is_enabled());
        bench.stop().await;
    };
    futures_util::join!(welded, frozen);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_fault_lets_nothing_go() {
    let directory = tempfile::tempdir().unwrap();
    let mut bench = driving(directory.path()).await;
    bench.put_in(SimulatedFault::RunawayMotor, Some(8));
    bench.until_region(Safety::FaultLatched).await;
    let began = Instant::now();
    bench.at_rest().await;
    assert!(began.elapsed() < REST_WITHIN, "{:?}", began.elapsed());
    let desk = bench.machine.faults().expect("it is simulated").clone();
    while !desk.standing().is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!bench.hardware.is_enabled(), "the latch outlives its fault");
    bench.machine.panel().presses().press(Press::Reset);
    bench.until_region(Safety::ProtectiveStop).await;
    assert!(!bench.hardware.is_enabled(), "a reset only permits");
    bench.machine.panel().presses().press(Press::Resume);
    bench.until_region(Safety::Operational).await;
    bench.stop().await;
}

#[test]
fn a_real_machine_has_none() {
    assert!(LinuxMachine::new(LinuxRoots::default()).faults().is_none());
}
