//! The safety node with a simulated machine below it: buttons, power, latches, and the way back.

mod faults;

use std::time::Duration;

use muster_machine::bus::Inbox;
use muster_machine::local::{self, Door};
use muster_machine::message::Payload;
use muster_machine::nodes::safety::Press;
use muster_machine::options::SafetyOptions;
use muster_machine::store::StoreOptions;
use muster_machine::{Machine, MetalSource, SharedParts, Store};
use muster_metal::simulated::SharedMachine;
use muster_metal::{Profile, SimulatedMachine, SimulatedOptions, Site};
use muster_model::Timestamp;
use muster_model::state::Operation;
use muster_model::vocabulary::Safety;
use muster_protocol::link::EventReport;
use muster_reflex::fence::Fence;
use muster_reflex::safety::Condition;
use muster_reflex::safety::config::{Action, Clears, Rule, Start};
use muster_runtime::{Clock, Shutdown, Tasks};

use crate::machines::{end, options};

/// Nobody listens there: none of this needs a server.
const NO_SERVER: &str = "ws://127.0.0.1:9";

struct Bench {
    hardware: SharedMachine,
    machine: Machine,
    shared: SharedParts,
    operations: Inbox,
    events: Inbox,
}

fn car() -> SharedMachine {
    let started_at = Timestamp::from_millis(1_700_000_000_000);
    let mut options = SimulatedOptions::new(Profile::Car, Site::Munich, 7, "probe", started_at);
    options.mean_time_between_faults = None;
    SharedMachine::new(SimulatedMachine::new(options))
}

fn by_itself() -> SafetyOptions {
    SafetyOptions {
        start: Start::Automatic,
        after_power_cut: Start::Automatic,
        late_after: Duration::from_secs(60),
        ..SafetyOptions::default()
    }
}

impl Bench {
    async fn start(directory: &std::path::Path, hardware: SharedMachine, safety: SafetyOptions) -> Self {
        let shared = SharedParts {
            store: Store::open(directory, StoreOptions::default()).unwrap(),
            tasks: Tasks::new(Shutdown::new()),
            clock: Clock::start(),
        };
        let mut options = options(NO_SERVER);
        options.safety = safety;
        let metal = MetalSource::single(Box::new(hardware.clone()));
        let machine = Machine::start(&shared, options, metal).await.unwrap();
        let subscribe = |pattern: &str| machine.bus().subscribe([pattern.parse().unwrap()], 1_000);
        Self {
            operations: subscribe("section.safety"),
            events: subscribe("event.safety.>"),
            hardware,
            machine,
            shared,
        }
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&Operation) -> bool) -> Operation {
        let waiting = async {
            loop {
                let delivery = self.operations.next().await;
                if let Payload::Sections(_, patch) = &delivery.message.payload
                    && let Some(Some(operation)) = &patch.operation
                    && holds(operation)
                {
                    return Operation::clone(operation);
                }
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        waited.unwrap_or_else(|_| panic!("never {what}"))
    }

    async fn until_region(&mut self, region: Safety) -> Operation {
        self.until(region.as_str(), |operation| operation.safety == region)
            .await
    }

    async fn until_it_moves(&self) {
        for _ in 0..1_000 {
            if self.hardware.speed_m_per_s() > 1.0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the car never drives");
    }

    async fn next_event(&mut self) -> EventReport {
        let delivery = tokio::time::timeout(Duration::from_secs(10), self.events.next()).await;
        match &delivery.expect("an event").message.payload {
            Payload::Event(event) => EventReport::clone(event),
            other => panic!("{other:?}"),
        }
    }

    async fn stop(self) {
        end(self.machine, self.shared).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emergency_stop_stops_the_car_stays_over_a_restart_and_needs_reset_and_resume() {
    let directory = tempfile::tempdir().unwrap();
    let hardware = car();
    let mut bench = Bench::start(directory.path(), hardware.clone(), by_itself()).await;
    bench.until_region(Safety::Operational).await;
    bench.until_it_moves().await;
    hardware.press_estop(true);
    let stopped = bench.until_region(Safety::EstopLatched).await;
    assert_eq!(stopped.held_by, ["estop"]);
    bench
        .until("at rest", |operation| operation.at_rest == Some(true))
        .await;
    assert!(hardware.speed_m_per_s() < 0.05);
    let event = bench.next_event().await;
    assert_eq!(event.kind, "safety.estop_latched");
    assert!(event.message.contains("pressed"), "{}", event.message);
    hardware.press_estop(false);
    bench.stop().await;

    let mut bench = Bench::start(directory.path(), hardware.clone(), by_itself()).await;
    let found = bench.until("anything", |_| true).await;
    assert_eq!(
        found.safety,
        Safety::EstopLatched,
        "the latch outlives the runtime"
    );
    bench.machine.panel().presses().press(Press::Resume);
    bench.machine.panel().presses().press(Press::Reset);
    let reset = bench.until_region(Safety::ProtectiveStop).await;
    assert_eq!(reset.held_by, ["not_resumed"], "resetting only permits");
    bench.machine.panel().presses().press(Press::Resume);
    bench.until_region(Safety::Operational).await;
    bench.until_it_moves().await;
    bench.stop().await;
    assert!(!hardware.is_enabled(), "an ended runtime leaves no power behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_link_does_what_was_configured() {
    let directory = tempfile::tempdir().unwrap();
    let safety = SafetyOptions {
        rules: vec![SafetyOptions::without_link(
            Duration::from_secs(2),
            Action::ControlledStop,
        )],
        ..by_itself()
    };
    let mut bench = Bench::start(directory.path(), car(), safety).await;
    bench.until_region(Safety::Operational).await;
    let held = bench.until_region(Safety::ProtectiveStop).await;
    assert_eq!(held.held_by, ["link_lost"]);
    bench.stop().await;
}

fn when(when: Condition, action: Action) -> Rule {
    Rule {
        when,
        after_us: 0,
        action,
        clears: Clears::WithCondition,
    }
}

/// A fence around a place, far enough for a car that drives through the streets there.
fn around(north: f64, east: f64) -> Fence {
    let (up, right) = (0.2, 0.3);
    let fence = Fence {
        areas: vec![vec![
            [north - up, east - right],
            [north - up, east + right],
            [north + up, east + right],
            [north + up, east - right],
        ]],
        keep_out: Vec::new(),
        decelerates_m_per_s2: 3.0,
        reaction_ms: 500,
        margin_m: 3.0,
        fresh_ms: 60_000,
    };
    assert_eq!(fence.check(), []);
    fence
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_car_moves_inside_its_fence_and_stands_outside() {
    let directory = tempfile::tempdir().unwrap();
    let rules = vec![
        when(Condition::OutsideFence, Action::ControlledStop),
        when(Condition::PositionLost, Action::ControlledStop),
    ];
    let munich = SafetyOptions {
        fence: Some(around(48.137, 11.575)),
        rules: rules.clone(),
        ..by_itself()
    };
    let mut bench = Bench::start(directory.path(), car(), munich).await;
    bench.until_region(Safety::Operational).await;
    bench.stop().await;

    let directory = tempfile::tempdir().unwrap();
    let oslo = SafetyOptions {
        fence: Some(around(59.913, 10.752)),
        rules,
        ..by_itself()
    };
    let hardware = car();
    let mut bench = Bench::start(directory.path(), hardware.clone(), oslo).await;
    let held = bench
        .until("held by the fence alone", |operation| {
            operation.held_by == ["outside_fence"]
        })
        .await;
    assert_eq!(held.safety, Safety::ProtectiveStop);
    assert!(!hardware.is_enabled());
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_low_battery_limits_and_heat_stops_where_rows_say_so() {
    let directory = tempfile::tempdir().unwrap();
    let safety = SafetyOptions {
        // No battery has so much, and nothing is that cold.
        battery_low_percent: Some(100.1),
        too_hot_celsius: Some(-40.0),
        rules: vec![when(Condition::BatteryLow, Action::Limit)],
        ..by_itself()
    };
    let mut bench = Bench::start(directory.path(), car(), safety.clone()).await;
    bench.until_region(Safety::Limited).await;
    bench.stop().await;

    let directory = tempfile::tempdir().unwrap();
    let safety = SafetyOptions {
        rules: vec![when(Condition::TooHot, Action::PowerOff)],
        ..safety
    };
    let mut bench = Bench::start(directory.path(), car(), safety).await;
    let held = bench.until_region(Safety::ProtectiveStop).await;
    assert_eq!(held.held_by, ["too_hot"]);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_waits_for_a_person_waits() {
    let directory = tempfile::tempdir().unwrap();
    let safety = SafetyOptions {
        start: Start::Explicit,
        ..by_itself()
    };
    let hardware = car();
    let mut bench = Bench::start(directory.path(), hardware.clone(), safety).await;
    let held = bench
        .until("at rest", |operation| operation.at_rest == Some(true))
        .await;
    assert_eq!(
        (held.safety, held.held_by),
        (Safety::ProtectiveStop, vec!["started".to_owned()])
    );
    assert!(!hardware.is_enabled());
    bench.machine.panel().presses().press(Press::Resume);
    bench.until_region(Safety::Operational).await;
    assert_eq!(bench.next_event().await.kind, "safety.protective_stop");
    assert_eq!(bench.next_event().await.kind, "safety.operational");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_case_is_an_emergency_stop() {
    let directory = tempfile::tempdir().unwrap();
    let hardware = car();
    let mut bench = Bench::start(directory.path(), hardware.clone(), by_itself()).await;
    bench.until_region(Safety::Operational).await;
    hardware.open_case(true);
    assert_eq!(bench.until_region(Safety::EstopLatched).await.held_by, ["tamper"]);
    bench.stop().await;
}

/// What `muster-machine` and other programs do, beside a process with several machines.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_machines_share_a_socket_and_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(directory.path(), car(), by_itself()).await;
    bench.until_region(Safety::Operational).await;
    let door = |name: &str| Door {
        recorder: None,
        faults: None,
        board: None,
        calibrator: bench.machine.calibrator().clone(),
        desk: None,
        services: None,
        name: name.to_owned(),
        panel: bench.machine.panel().clone(),
    };
    let doors = vec![door("B-MU 1005"), door("ø & Söhne+%20")].into();
    let listener = local::bind(&directory.path().join(local::SOCKET)).unwrap();
    bench
        .shared
        .tasks
        .spawn_small(async move { local::accept(&listener, &doors).await });
    let ask = |press: Option<&'static str>, machine: Option<&'static str>| {
        local::client::safety(directory.path(), press, machine)
    };
    let refused = ask(None, None).await.unwrap_err().to_string();
    assert!(refused.contains("2 machines are here"), "{refused}");
    let refused = ask(None, Some("C")).await.unwrap_err().to_string();
    assert!(refused.contains("no machine here is called \"C\""), "{refused}");
    let refused = ask(Some("launch"), Some("B-MU 1005"))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("POST /v1/safety/{estop,stop,reset,resume}"),
        "{refused}"
    );
    let there: Vec<_> = local::client::machines(directory.path())
        .await
        .unwrap()
        .into_iter()
        .map(|standing| standing.machine)
        .collect();
    assert_eq!(there, ["B-MU 1005", "ø & Söhne+%20"]);
    for name in ["B-MU 1005", "ø & Söhne+%20"] {
        let standing = ask(None, Some(name)).await.unwrap();
        assert_eq!(standing.machine, name);
    }
    let stopped = ask(Some("stop"), Some("B-MU 1005")).await.unwrap();
    assert_eq!(stopped.operation.unwrap().safety, Safety::ProtectiveStop);
    let resumed = ask(Some("resume"), Some("B-MU 1005")).await.unwrap();
    assert_eq!(resumed.operation.unwrap().safety, Safety::Operational);
    bench.stop().await;
}
