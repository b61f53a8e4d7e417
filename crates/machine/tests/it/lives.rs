//! An uplink that is started again, and a store that fails, under a machine at work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use muster_machine::dial::Tcp;
use muster_machine::message::event;
use muster_machine::nodes::{resources, state, uplink};
use muster_machine::options::Options;
use muster_machine::store::StoreOptions;
use muster_machine::supervisor::{self, NodeSpec, Placement, RestartPolicy, Supervisor};
use muster_machine::{Bus, Store};
use muster_model::state::Identity;
use muster_model::{BootId, MachineId, RecordNumber, Severity, Timestamp};
use muster_protocol::link::{EventReport, MachineMessage};
use muster_reflex::link::StoredRecord;
use muster_runtime::{Clock, Shutdown};

use crate::machines::{World, metal, options};
use crate::server::{Manner, Server};

/// The uplink as it is, but that its first life ends with a panic when the test says so.
fn fragile(setup: uplink::Setup, panic: Arc<tokio::sync::Notify>) -> NodeSpec {
    let spec = uplink::spec(Arc::new(setup));
    let first = AtomicBool::new(true);
    let (start, listens_to) = (spec.start, spec.listens_to);
    NodeSpec {
        needs_io: true,
        ..NodeSpec::new("uplink", listens_to, move |context| {
            let (life, panic) = (start(context), panic.clone());
            let may_panic = first.swap(false, Ordering::SeqCst);
            async move {
                tokio::select! {
                    biased;
                    () = panic.notified(), if may_panic => panic!("planted"),
                    end = life => end,
                }
            }
        })
    }
}

fn setup(options: &Options, store: &Store) -> uplink::Setup {
    uplink::Setup {
        dial: Arc::new(Tcp),
        server: options.server.clone(),
        connect_timeout: options.connect_timeout,
        link: options.link.clone(),
        machine_id: MachineId::from_uuid(uuid::Uuid::from_u128(42)),
        boot_id: BootId::from_uuid(uuid::Uuid::from_u128(1)),
        store: store.clone(),
        delay_ms: 0,
        told_start: AtomicBool::new(false),
        renewals: None,
    }
}

fn told(server: &Server, message: &str) -> bool {
    let heard = server.heard();
    heard
        .iter()
        .any(|envelope| matches!(&envelope.message, MachineMessage::Event(event) if event.message == message))
}

#[tokio::test]
async fn an_uplink_that_panics_goes_on_where_it_was_and_loses_nothing() {
    let (directory, server) = (tempfile::tempdir().unwrap(), Server::start(Manner::Polite).await);
    let store = Store::open(directory.path(), StoreOptions::default()).unwrap();
    let (options, clock, shutdown) = (options(&server.url()), Clock::start(), Shutdown::new());
    let panic = Arc::new(tokio::sync::Notify::new());
    let identity = Identity {
        name: "probe".into(),
        kind: "pi".into(),
        region: None,
    };
    let readings = resources::Options {
        calibrations: muster_machine::nodes::calibration::Calibrator::default().in_force(),
        interval_ms: 50,
        delay_ms: 0,
        identity,
    };
    let nodes = vec![
        fragile(setup(&options, &store), panic.clone()),
        state::spec(options.state.clone()),
        resources::spec(readings, metal()),
    ];
    let bus = Bus::new(clock);
    let supervised = supervisor::Options {
        placement: Placement::Threads,
        policy: RestartPolicy {
            backoff_base_ms: 100,
            ..RestartPolicy::default()
        },
    };
    let supervisor = Supervisor::new(supervised, bus.clone(), clock, nodes);
    let running = supervisor.run(shutdown.clone());
    let test = async {
        bus.publish(event("test.one", Severity::Info, "before"));
        server
            .until("the first event", |server| told(server, "before"))
            .await;
        panic.notify_one();
        let mut nodes = bus.subscribe(["node.uplink.status".parse().unwrap()], 100);
        let restarting =
            async { while !format!("{:?}", nodes.next().await.message.payload).contains("Restarting") {} };
        tokio::time::timeout(Duration::from_secs(5), restarting)
            .await
            .unwrap();
        // Nobody reads the inbox now; it keeps this for the next life.
        bus.publish(event("test.two", Severity::Info, "meanwhile"));
        server
            .until("the second event", |server| told(server, "meanwhile"))
            .await;
        server
            .until("that it was started again", |server| {
                let heard = server.heard();
                heard.iter().any(
                    |e| matches!(&e.message, MachineMessage::Event(event) if event.kind == "node.restarted"),
                )
            })
            .await;
        shutdown.request("done");
    };
    let (ended, ()) = tokio::join!(running, test);
    ended.unwrap();
    let mut records: Vec<_> = server
        .heard()
        .into_iter()
        .filter_map(|e| Some((e.record?, e.message)))
        .collect();
    records.sort_by_key(|(record, _)| *record);
    records.dedup();
    let numbers: Vec<_> = records.iter().map(|(record, _)| record.0).collect();
    assert_eq!(
        numbers,
        (1..=numbers.len() as u64).collect::<Vec<_>>(),
        "no number was used twice or left out"
    );
    let starts = records.iter().filter(
        |(_, message)| matches!(message, MachineMessage::Event(event) if event.kind == "runtime.started"),
    );
    assert_eq!(
        starts.count(),
        1,
        "a node that starts again is no start of the runtime"
    );
}

#[tokio::test]
async fn a_machine_whose_store_fails_ends_and_says_why() {
    let (directory, server) = (tempfile::tempdir().unwrap(), Server::start(Manner::Polite).await);
    let mut world = World::start(directory.path(), options(&server.url())).await;
    server
        .until("a session", |server| !server.heard().is_empty())
        .await;
    // Another machine of the same store writes one number twice, which no store takes.
    let id = MachineId::from_uuid(uuid::Uuid::from_u128(99));
    let (other, _progress, _) = world.shared.store.machine(id).await.unwrap();
    let report = EventReport {
        kind: "test.twice".into(),
        severity: Severity::Info,
        message: String::new(),
        data: None,
        correlation_id: None,
        causation_id: None,
    };
    let stored = StoredRecord {
        record: RecordNumber(1),
        at: Timestamp::EPOCH,
        message: MachineMessage::Event(Box::new(report)),
    };
    for _ in 0..2 {
        other.try_send(other.persist(&stored, None).unwrap()).ok();
    }
    let ended = tokio::time::timeout(Duration::from_secs(10), world.machine.ended()).await;
    let error = ended.expect("it ends").unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("MST-M005", 74));
}
