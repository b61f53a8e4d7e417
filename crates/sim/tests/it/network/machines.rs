//! A host of machines: real runtimes on simulated metal, which share a store as those of `muster sim connect` do.

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_machine::dial::Dial;
use muster_machine::message::{Payload, event, topics};
use muster_machine::store::{StoreError, StoreOptions};
use muster_machine::{Machine, MetalSource, Options, SharedParts, Store};
use muster_metal::simulated::{Profile, SimulatedMachine, SimulatedOptions, Site};
use muster_model::{MachineId, Severity, Timestamp};
use muster_runtime::{Clock, OnEnd, Shutdown, Tasks};
use turmoil::net::TcpStream;

use super::chance::Chance;
use super::counted::{Count, Counted};
use super::ledger::{self, Ledger};
use super::server;
use super::world::wall_now_ms;

/// Link messages that may wait for whoever notes them.
const LINK_INBOX_MAX: usize = 256;

/// One host and the machines on it.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) data: PathBuf,
    pub(super) machines: Vec<MachineId>,
    pub(super) seed: u64,
    /// A machine makes a mark so often, more or less.
    pub(super) mark_every_ms: u64,
    pub(super) ledger: Ledger,
    /// The hosts by which the server is reached, one connection after the other.
    pub(super) ways: Vec<String>,
    /// Changes that wait for the disk.
    waiting: Arc<Mutex<Option<Arc<AtomicUsize>>>>,
    /// The connections its machines hold.
    pub(super) connections: Count,
    tasks: Arc<Mutex<Option<Tasks>>>,
}

impl Place {
    pub(super) fn new(name: String, data: PathBuf, machines: Vec<MachineId>, seed: u64) -> Self {
        Self {
            name,
            data,
            machines,
            seed,
            mark_every_ms: 1_000,
            ledger: Ledger::default(),
            ways: vec![server::HOST.to_owned()],
            waiting: Arc::default(),
            connections: Count::default(),
            tasks: Arc::default(),
        }
    }

    /// How many tasks run on it.
    pub(super) fn tasks(&self) -> usize {
        self.tasks.lock().unwrap().as_ref().map_or(0, Tasks::count)
    }

    /// Whether everything that was handed to the store is on disk.
    pub(super) fn is_settled(&self) -> bool {
        let waiting = self.waiting.lock().unwrap();
        waiting
            .as_ref()
            .is_none_or(|waiting| waiting.load(Ordering::Acquire) == 0)
    }
}

/// Runs the machines of one host until it crashes.
pub(super) async fn run(place: Place) -> turmoil::Result {
    let clock = Clock::simulated(wall_now_ms());
    let store = open(&place)?;
    *place.waiting.lock().unwrap() = Some(store.waiting());
    let tasks = Tasks::new(Shutdown::new());
    *place.tasks.lock().unwrap() = Some(tasks.clone());
    let shared = SharedParts {
        store,
        tasks: tasks.clone(),
        clock,
    };
    let mut chance = Chance::new(place.seed);
    let mut machines = Vec::new();
    for (index, id) in place.machines.iter().enumerate() {
        let mut metal = SimulatedOptions::new(
            Profile::ALL[index % Profile::ALL.len()],
            Site::ALL[index % Site::ALL.len()],
            chance.next(),
            format!("{}-{index}", place.name),
            Timestamp::from_millis(clock.wall_ms()),
        );
        metal.mean_time_between_faults = Some(Duration::from_secs(300));
        // The server answers to names of this computer's loopback only; where that is, `Network` decides.
        let url = format!("ws://127.0.0.1:{}", server::PORT).parse()?;
        let mut options = Options::new(url, format!("{}-{index}", place.name), "test");
        options.machine_id = Some(*id);
        let metal = MetalSource::single(Box::new(SimulatedMachine::new(metal)));
        let dial = Network {
            ways: place.ways.clone(),
            next: AtomicUsize::new(0),
            connections: place.connections.clone(),
        };
        let machine = Machine::start_through(&shared, options, metal, dial).await?;
        // Of the machine's own chance, so that marks of one machine do not depend on how many there are.
        let every_ms = place.mark_every_ms;
        tasks.spawn(
            "marks",
            OnEnd::Continue,
            make_marks(
                machine.bus().clone(),
                *id,
                place.ledger.clone(),
                Chance::new(chance.next()),
                every_ms,
            ),
        );
        tasks.spawn(
            "link",
            OnEnd::Continue,
            note_link(machine.bus().clone(), *id, place.ledger.clone()),
        );
        machines.push(machine);
    }
    for machine in &mut machines {
        machine.ended().await?;
    }
    Err("the machines ended although nobody asked them to".into())
}

async fn make_marks(
    bus: muster_machine::Bus,
    id: MachineId,
    ledger: Ledger,
    mut chance: Chance,
    every_ms: u64,
) -> Result<(), Infallible> {
    loop {
        let wait_ms = chance.within(every_ms / 2..every_ms * 3 / 2);
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        if let Some(number) = ledger.mark(id) {
            bus.publish(event(ledger::MARK, Severity::Info, ledger::text(number)));
        }
    }
}

async fn note_link(bus: muster_machine::Bus, id: MachineId, ledger: Ledger) -> Result<(), Infallible> {
    let mut inbox = bus.subscribe([topics::LINK.parse().unwrap()], LINK_INBOX_MAX);
    loop {
        if let Payload::Link(report) = &inbox.next().await.message.payload {
            let at = turmoil::sim_elapsed().unwrap();
            ledger.said(id, report, at.as_millis() as u64);
        }
    }
}

/// Opens the store as soon as whoever had it before the crash has let go of it, which happens in real time.
fn open(place: &Place) -> Result<Store, StoreError> {
    let began = std::time::Instant::now();
    loop {
        match Store::open(&place.data, StoreOptions::default()) {
            Err(StoreError::InUse { .. }) if began.elapsed() < Duration::from_secs(10) => {
                std::thread::yield_now();
            }
            opened => return opened,
        }
    }
}

/// The simulated network.
struct Network {
    ways: Vec<String>,
    next: AtomicUsize,
    connections: Count,
}

impl Dial for Network {
    type Stream = Counted;

    async fn dial(&self, _host: &str, port: u16) -> io::Result<Counted> {
        let way = self.next.fetch_add(1, Ordering::Relaxed).min(self.ways.len() - 1);
        let stream = TcpStream::connect((self.ways[way].as_str(), port)).await?;
        Ok(self.connections.count(stream))
    }
}
