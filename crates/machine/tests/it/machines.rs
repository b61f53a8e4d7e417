//! A machine to test with: simulated hardware, a store of its own, quick timers.

use std::path::Path;
use std::time::Duration;

use muster_machine::bus::Inbox;
use muster_machine::message::Payload;
use muster_machine::store::StoreOptions;
use muster_machine::{Machine, MetalSource, Options, SharedParts, Store};
use muster_metal::{Profile, SimulatedMachine, SimulatedOptions, Site};
use muster_model::{MachineId, Timestamp};
use muster_runtime::{Clock, Shutdown, Tasks};

/// One simulated machine at work.
pub(crate) struct World {
    pub(crate) machine: Machine,
    pub(crate) shared: SharedParts,
    pub(crate) link: Inbox,
}

pub(crate) fn options(url: &str) -> Options {
    let mut options = Options::new(url.parse().unwrap(), "probe", "lekiwi");
    options.region = Some("munich".into());
    options.machine_id = Some(MachineId::from_uuid(uuid::Uuid::from_u128(42)));
    options.telemetry.interval_ms = 50;
    options.telemetry.at_latest_ms = 200;
    options.link.backoff_base_ms = 10;
    options.link.backoff_max_ms = 40;
    options.link.gather_ms = 10;
    options.link.gather_low_ms = 20;
    options.state.debounce_ms = 20;
    options
}

pub(crate) fn metal() -> MetalSource {
    let mut options = SimulatedOptions::new(
        Profile::Lekiwi,
        Site::Munich,
        7,
        "probe",
        Timestamp::from_millis(1_700_000_000_000),
    );
    options.mean_time_between_faults = None;
    MetalSource::single(Box::new(SimulatedMachine::new(options)))
}

impl World {
    pub(crate) async fn start(directory: &Path, options: Options) -> Self {
        let shared = SharedParts {
            store: Store::open(directory, StoreOptions::default()).unwrap(),
            tasks: Tasks::new(Shutdown::new()),
            clock: Clock::start(),
        };
        let machine = Machine::start(&shared, options, metal()).await.unwrap();
        let link = machine.bus().subscribe(["link".parse().unwrap()], 1_000);
        Self {
            machine,
            shared,
            link,
        }
    }

    /// Stops the machine in order and lets go of the directory.
    pub(crate) async fn stop(self) {
        end(self.machine, self.shared).await;
    }

    /// Waits until the link changes for a reason that holds this.
    pub(crate) async fn until_reason(&mut self, part: &str) {
        let waiting = async {
            loop {
                let delivery = self.link.next().await;
                if let Payload::Link(link) = &delivery.message.payload
                    && link.reason.contains(part)
                {
                    return;
                }
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), waiting).await;
        waited.unwrap_or_else(|_| panic!("the link never changed because of {part:?}"));
    }
}

/// Ends a machine in order, and lets go of its directory.
pub(crate) async fn end(mut machine: Machine, shared: SharedParts) {
    machine.stop();
    let ended = tokio::time::timeout(Duration::from_secs(5), machine.ended()).await;
    ended.expect("ends within five seconds").unwrap();
    drop(machine);
    shared.tasks.shutdown().request("done");
    shared.tasks.finish(Duration::from_secs(1)).await;
    let SharedParts { store, tasks, .. } = shared;
    drop(tasks);
    store.close().await;
}
