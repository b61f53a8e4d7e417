//! A machine that records itself, and its recording run into the same nodes again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_machine::message::{Message, Payload};
use muster_machine::nodes::safety::Press;
use muster_machine::options::SafetyOptions;
use muster_machine::recording::folder;
use muster_machine::recording::reader::Reader;
use muster_machine::recording::segment::{Segment, at};
use muster_machine::recording::{About, Options};
use muster_machine::replay::{Asked, Node, Report, replay};
use muster_machine::store::StoreOptions;
use muster_machine::{Machine, MetalSource, SharedParts, Store};
use muster_metal::{Profile, SimulatedMachine, SimulatedOptions, Site};
use muster_model::Timestamp;
use muster_model::recording::name::Kind;
use muster_model::vocabulary::Safety;
use muster_reflex::safety::config::Start;
use muster_runtime::{Clock, Shutdown, Tasks};

use crate::machines::{end, options};
use crate::server::{Manner, Server};

/// Records a simulated car with a server for as long as it takes to drive, be stopped by its button, and drive on.
async fn recorded(directory: &Path) -> PathBuf {
    let server = Server::start(Manner::Polite).await;
    let shared = SharedParts {
        store: Store::open(&directory.join("data"), StoreOptions::default()).unwrap(),
        tasks: Tasks::new(Shutdown::new()),
        clock: Clock::start(),
    };
    let recordings = directory.join("recordings");
    let mut options = options(&server.url());
    options.recording = Some(Options {
        reserve_bytes: 0,
        // Nothing is cut out meanwhile: it is all in one file.
        after: Duration::from_secs(60),
        ..Options::new(&recordings)
    });
    options.telemetry.interval_ms = 200;
    options.state.measured_interval_ms = 1_000;
    options.safety = SafetyOptions {
        start: Start::Automatic,
        after_power_cut: Start::Automatic,
        late_after: Duration::from_secs(60),
        ..SafetyOptions::default()
    };
    let started_at = Timestamp::from_millis(1_700_000_000_000);
    let mut simulated = SimulatedOptions::new(Profile::Car, Site::Munich, 7, "probe", started_at);
    simulated.mean_time_between_faults = None;
    let metal = MetalSource::single(Box::new(SimulatedMachine::new(simulated)));
    let machine = Machine::start(&shared, options, metal).await.unwrap();
    let mut operations = machine
        .bus()
        .subscribe(["section.safety".parse().unwrap()], 1_000);
    let mut until = async |region: Safety| {
        let waiting = async {
            loop {
                let delivery = operations.next().await;
                if let Payload::Sections(_, patch) = &delivery.message.payload
                    && let Some(Some(operation)) = &patch.operation
                    && operation.safety == region
                {
                    return;
                }
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        assert!(waited.is_ok(), "never {}", region.as_str());
    };
    until(Safety::Operational).await;
    let mut states = machine.bus().subscribe(["state".parse().unwrap()], 1_000);
    machine.panel().presses().press(Press::Estop);
    until(Safety::EstopLatched).await;
    machine.panel().presses().press(Press::Reset);
    until(Safety::ProtectiveStop).await;
    machine.panel().presses().press(Press::Resume);
    until(Safety::Operational).await;
    for _ in 0..4 {
        let next = tokio::time::timeout(Duration::from_secs(30), states.next()).await;
        assert!(next.is_ok(), "the state is told");
    }
    end(machine, shared).await;
    server.stop();
    let all = folder::list(&recordings).unwrap();
    let [entry] = &all[..] else { panic!("{all:?}") };
    assert_eq!(entry.name.kind, Kind::Rolling);
    recordings.join(&entry.file)
}

fn replayed(file: &Path, nodes: &[Node]) -> Report {
    let asked = Asked {
        file: file.to_owned(),
        from: None,
        to: None,
        nodes: nodes.to_vec(),
    };
    replay(&asked).unwrap()
}

/// The same recording with one thing in it changed; true where it was.
fn changed(from: &Path, to: &Path, mut change: impl FnMut(&mut Payload) -> bool) {
    let mut reader = Reader::open(from).unwrap();
    let mut segment = Segment::create(to.to_owned(), &About::default()).unwrap();
    let mut done = false;
    for recorded in reader.by_ref() {
        let mut payload = recorded.payload().unwrap().unwrap();
        done = done || change(&mut payload);
        segment
            .write(&Message {
                topic: recorded.channel.topic.parse().unwrap(),
                at: at(recorded.header.log_time),
                mono_ms: recorded.header.publish_time / 1_000_000,
                payload,
            })
            .unwrap();
    }
    segment.finish().unwrap();
    assert!(done, "there was nothing to change");
}

#[tokio::test]
async fn a_recording_is_decided_again_and_whatever_is_changed_in_it_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let file = recorded(directory.path()).await;
    let report = replayed(&file, Node::ALL);
    assert_eq!(report.differences, 0, "{:#?}", report.shown);
    assert!(report.unreadable.is_empty(), "{:?}", report.unreadable);
    assert!(report.steps > 5 && report.times_real_time >= 20.0, "{report:#?}");
    for node in Node::ALL {
        let report = replayed(&file, &[*node]);
        assert!(report.compared(), "{}: nothing is compared", node.as_str());
    }
    let planted = directory.path().join("changed");
    let plant = |nodes: &[Node], change: &mut dyn FnMut(&mut Payload) -> bool| {
        let _ = std::fs::remove_file(&planted);
        changed(&file, &planted, change);
        let report = replayed(&planted, nodes);
        assert!(report.differences > 0, "{nodes:?} does not find it");
        report
    };
    // A threshold that nobody had: what is wrong now is new.
    let report = plant(&[Node::Health], &mut |payload| match payload {
        Payload::Memory(memory) if memory.node == "health" => {
            memory.state["watch"]["thresholds"]["memory_warning_percent"] = 0.1.into();
            true
        }
        _ => false,
    });
    assert_eq!(report.shown[0].what, "section.health");
    // A reading that was another one.
    let mut readings = 0;
    let mut jump = |payload: &mut Payload| {
        let Payload::Sections(_, patch) = payload else {
            return false;
        };
        let Some(Some(resources)) = &mut patch.resources else {
            return false;
        };
        readings += 1;
        let resources = std::sync::Arc::make_mut(resources);
        resources.cpu_percent = 99.9;
        readings > 3
    };
    plant(&[Node::Telemetry], &mut jump);
    plant(&[Node::State], &mut |payload| {
        let Payload::Memory(memory) = payload else {
            return false;
        };
        if memory.node != "state" {
            return false;
        }
        let options = &mut memory.state["aggregator"]["options"];
        options["measured_interval_ms"] = 50.into();
        options["deadbands"]["cpu_points"] = 0.01.into();
        true
    });
    // A press that nobody made.
    let report = plant(&[Node::Safety], &mut |payload| {
        let Payload::Steps(steps) = payload else {
            return false;
        };
        let steps = std::sync::Arc::make_mut(steps);
        let told = steps.steps.iter_mut().filter_map(|step| step.told.as_mut());
        let mut asks = told
            .filter_map(|told| told.asks.as_mut())
            .filter(|asks| asks.estop > 0);
        match asks.next() {
            Some(asks) => {
                asks.estop = 0;
                true
            }
            None => false,
        }
    });
    assert_eq!(report.shown[0].expected["region"], "estop_latched");
}

#[tokio::test]
async fn a_recording_of_another_version_is_replayed_and_that_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let file = recorded(directory.path()).await;
    assert!(!replayed(&file, Node::ALL).other_version);
    let other = directory.path().join("other");
    let mut about = About::default();
    about.machine.insert("version".to_owned(), "0.0.1".to_owned());
    let mut segment = Segment::create(other.clone(), &about).unwrap();
    for recorded in Reader::open(&file).unwrap() {
        segment.copy(&recorded).unwrap();
    }
    segment.finish().unwrap();
    let report = replayed(&other, Node::ALL);
    assert!(report.other_version);
    assert_eq!(
        (report.differences, report.machine["version"].as_str()),
        (0, "0.0.1")
    );
}
