//! One machine: its bus, its nodes, their supervisor.
//!
//! [`run`] is a real machine, with a thread for each node and a data directory of its own. [`Machine::start`] is one of
//! many simulated ones, which share a runtime and a store. Both run the same nodes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use muster_metal::Protection;
use muster_metal::wired::{Places, Wired};
use muster_metal::wiring::Wiring;
use muster_model::service::Services;
use muster_model::state::Identity;
use muster_model::{BootId, MachineId};
use muster_reflex::calibration::{Limits, Range};
use muster_reflex::safety::Condition;
use muster_runtime::clock::{entropy, new_uuid};
use muster_runtime::{Clock, Shutdown, Tasks};
use tokio::sync::watch;

use crate::bus::Bus;
use crate::dial::{Dial, Outgoing, Tcp};
use crate::error::MachineError;
use crate::local::{self, Door};
use crate::metals::MetalSource;
use crate::nodes::calibration::Calibrator;
use crate::nodes::devices::Board;
use crate::nodes::resources::calibrated::BATTERY_VOLTS;
use crate::nodes::safety::{LoopClock, Panel};
use crate::nodes::workloads::{self, Desk};
use crate::nodes::{
    calibration, desired, devices, faults, foxglove, health, identity as identity_node, logs, recorder,
    resources, safety, state, telemetry, updates, uplink, uploads, watch as services_watch,
};
use crate::options::{Options, SafetyOptions};
use crate::releases::{self, Releases};
use crate::store::{Store, StoreError, StoreOptions};
use crate::supervisor::{self, NodeSpec, Placement, Supervisor};
use crate::systemd;

/// How long the store may take to end.
const STORE_CLOSE: Duration = Duration::from_secs(1);

/// Runs one real machine until asked to end, and then ends it in order within five seconds.
///
/// Needs a tokio runtime with a timer; the nodes bring runtimes of their own.
pub async fn run(
    data: &Path,
    options: Options,
    metal: MetalSource,
    clock: Clock,
    shutdown: Shutdown,
) -> Result<(), MachineError> {
    let store = Store::open(data, StoreOptions::default())?;
    let result = run_on(data, &store, options, metal, clock, shutdown).await;
    // Whatever was acknowledged is on disk already; this only tidies up.
    let _ = tokio::time::timeout(STORE_CLOSE, store.close()).await;
    result
}

async fn run_on(
    data: &Path,
    store: &Store,
    options: Options,
    metal: MetalSource,
    clock: Clock,
    shutdown: Shutdown,
) -> Result<(), MachineError> {
    let mut prepared = Prepared::new(store, &options, &metal, clock).await?;
    let board = prepared.connect(&options);
    // Whoever keeps a workload may stand in another directory.
    let folder = data.join(workloads::FOLDER);
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    let desk = Desk::new(folder.clone());
    let releases = Releases::open(&data.join(releases::FOLDER))?;
    let (services, shown) = watch::channel(Services::default());
    let watched = !options.watch.services.is_empty();
    let door = Door {
        name: options.name.clone(),
        panel: prepared.panel.clone(),
        calibrator: prepared.calibrator.clone(),
        faults: prepared.faults.clone(),
        board,
        desk: Some(desk.clone()),
        recorder: prepared.recorder.as_ref().map(|recorder| recorder.desk.clone()),
        services: watched.then_some(shown),
    };
    let shown = prepared.panel.shown();
    prepared.watch = watched.then(|| {
        services_watch::spec(Arc::new(services_watch::Setup {
            watch: options.watch.clone(),
            places: options.watch_places.clone(),
            shown: services,
        }))
    });
    prepared.workloads = Some(workloads::spec(Arc::new(workloads::Setup {
        directory: folder,
        program: options.workloads.keeper.clone(),
        machine: options.workloads.machine.clone(),
        desk,
        systemd: options.workloads.systemd,
        releases: releases.clone(),
    })));
    prepared.releases = Some(releases);
    tracing::info!(machine_id = %prepared.machine_id, name = %options.name, server = %options.server, "the machine starts");
    prepared.local = Some(local::spec(data.join(local::SOCKET), vec![door]));
    let dial = options.identity.clone().map_or(Outgoing::Plain, Outgoing::Secure);
    prepared.identity = options.identity.clone().map(|identity| {
        identity_node::spec(Arc::new(identity_node::Setup {
            identity,
            server: options.server.clone(),
            connect_timeout: options.connect_timeout,
        }))
    });
    let (supervisor, _bus) = prepared.supervisor(store, &options, metal, clock, Placement::Threads, dial)?;
    let supervised = supervise(supervisor, store, shutdown);
    let result = tokio::select! {
        result = supervised => result,
        never = systemd::tell(shown) => match never {},
    };
    systemd::ending();
    tracing::info!("the machine has ended");
    result
}

/// What the simulated machines of one process share.
#[derive(Clone, Debug)]
pub struct SharedParts {
    /// Where they keep things.
    pub store: Store,
    /// Where their nodes run.
    pub tasks: Tasks,
    /// What time it is.
    pub clock: Clock,
}

/// A machine that runs among others.
#[derive(Debug)]
pub struct Machine {
    id: MachineId,
    panel: Panel,
    calibrator: Calibrator,
    faults: Option<Arc<faults::Desk>>,
    recorder: Option<recorder::Desk>,
    bus: Bus,
    shutdown: Shutdown,
    ended: watch::Receiver<Option<Result<(), Arc<MachineError>>>>,
}

impl Machine {
    /// Starts a machine on the runtime that calls. It ends with the tasks' shutdown, or alone.
    pub async fn start(
        shared: &SharedParts,
        options: Options,
        metal: MetalSource,
    ) -> Result<Self, MachineError> {
        Self::start_through(shared, options, metal, Tcp).await
    }

    /// As [`start`](Self::start), reaching its server in another way than by the system's network.
    pub async fn start_through<D: Dial>(
        shared: &SharedParts,
        options: Options,
        metal: MetalSource,
        dial: D,
    ) -> Result<Self, MachineError> {
        let SharedParts { store, tasks, clock } = shared;
        let prepared = Prepared::new(store, &options, &metal, *clock).await?;
        let (id, panel) = (prepared.machine_id, prepared.panel.clone());
        let calibrator = prepared.calibrator.clone();
        let faults = prepared.faults.clone();
        let recorder = prepared.recorder.as_ref().map(|recorder| recorder.desk.clone());
        let placement = Placement::Shared(tasks.clone());
        let (supervisor, bus) = prepared.supervisor(store, &options, metal, *clock, placement, dial)?;
        let shutdown = tasks.shutdown().child();
        let (told, ended) = watch::channel(None);
        let (store, asked) = (store.clone(), shutdown.clone());
        tasks.spawn_small(async move {
            let result = supervise(supervisor, &store, asked).await;
            told.send_replace(Some(result.map_err(Arc::new)));
        });
        Ok(Self {
            id,
            panel,
            calibrator,
            faults,
            recorder,
            bus,
            shutdown,
            ended,
        })
    }

    /// Its id.
    pub fn id(&self) -> MachineId {
        self.id
    }

    /// The machine as people beside it meet it.
    pub fn panel(&self) -> &Panel {
        &self.panel
    }

    /// Its calibrations.
    pub fn calibrator(&self) -> &Calibrator {
        &self.calibrator
    }

    /// Where faults are put into it; nothing where it is real.
    pub fn faults(&self) -> Option<&Arc<faults::Desk>> {
        self.faults.as_ref()
    }

    /// Where its recorder is found; nothing where it does not record.
    pub fn recorder(&self) -> Option<&recorder::Desk> {
        self.recorder.as_ref()
    }

    /// Its bus, to listen to.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Asks it to end.
    pub fn stop(&self) {
        self.shutdown.request("this machine is being stopped");
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> Result<(), Arc<MachineError>> {
        match self.ended.wait_for(Option::is_some).await {
            Ok(result) => result.clone().unwrap_or(Ok(())),
            // Its task was cut off with all others.
            Err(_) => Ok(()),
        }
    }
}

/// What calibrations must respect: what each actuator may be told at most, and what the safety region measures with.
fn limits_of(wiring: &Wiring, safety: &SafetyOptions) -> Limits {
    let actuators = wiring.actuators.iter().map(|(name, actuator)| {
        let limits = Range {
            min: -actuator.max,
            max: actuator.max,
        };
        (name.clone(), limits)
    });
    let measured = wiring
        .actuators
        .values()
        .filter_map(|actuator| actuator.sensor.clone());
    Limits {
        moves: actuators.collect(),
        guarded: measured.chain(wiring.safety.speed.clone()).collect(),
        free: safety
            .rules
            .iter()
            .any(|rule| rule.when == Condition::TooHot)
            .then(|| {
                let described = wiring.actuators.keys().chain(wiring.sensors.keys()).cloned();
                described.chain([BATTERY_VOLTS.to_owned()]).collect()
            }),
    }
}

async fn supervise(supervisor: Supervisor, store: &Store, shutdown: Shutdown) -> Result<(), MachineError> {
    let stop = shutdown.child();
    let supervised = supervisor.run(stop.clone());
    tokio::pin!(supervised);
    tokio::select! {
        result = &mut supervised => result,
        error = store.failed() => {
            stop.request("the store failed");
            // The nodes end as well as they can; why all ends is known already.
            let _ = supervised.await;
            Err(MachineError::Store(StoreError::Stopped(error)))
        }
    }
}

/// What is known before the first node starts.
struct Prepared {
    machine_id: MachineId,
    boot_id: BootId,
    delay_ms: u64,
    protection: Option<Box<dyn Protection>>,
    panel: Panel,
    calibrator: Calibrator,
    /// Where faults are put in, where the hardware is simulated.
    faults: Option<Arc<faults::Desk>>,
    /// What is connected, where something is described.
    board: Option<Arc<Board>>,
    /// What the recorder works with, where there is one.
    recorder: Option<recorder::Setup>,
    /// The node by which people beside the machine reach it; those that share a process share one.
    local: Option<NodeSpec>,
    /// The node that runs programs; simulated machines have none.
    workloads: Option<NodeSpec>,
    /// What is released, where programs run that come so.
    releases: Option<Releases>,
    /// The node that keeps the certificate in force, where there is one.
    identity: Option<NodeSpec>,
    /// The node that watches, where something is to be watched.
    watch: Option<NodeSpec>,
}

impl Prepared {
    async fn new(
        store: &Store,
        options: &Options,
        metal: &MetalSource,
        clock: Clock,
    ) -> Result<Self, MachineError> {
        let machine_id = match options.machine_id {
            Some(id) => id,
            None => store.identity(MachineId::from_uuid(new_uuid(&clock)?)).await?,
        };
        let (facts, protection, faults) = match metal.take() {
            Some(mut metal) => (Some(metal.facts()), metal.protection(), metal.faults()),
            None => (None, None, None),
        };
        let boot_id = match facts {
            Some(Ok(facts)) => facts.platform.boot_id,
            // A machine that cannot tell its boots apart takes every start of the runtime for one.
            Some(Err(_)) | None => BootId::from_uuid(new_uuid(&clock)?),
        };
        let recorder = options.recording.clone().map(|recording| recorder::Setup {
            options: recording,
            about: options.about(machine_id, boot_id),
            desk: recorder::Desk::default(),
        });
        let jitter_ms = u64::try_from(options.start_jitter.as_millis()).unwrap_or(u64::MAX - 1);
        let delay_ms = if jitter_ms == 0 {
            0
        } else {
            entropy()? % (jitter_ms + 1)
        };
        Ok(Self {
            machine_id,
            boot_id,
            delay_ms,
            protection,
            panel: Panel::default(),
            calibrator: Calibrator::new(limits_of(&options.wiring, &options.safety)),
            faults: faults.map(|faults| Arc::new(faults::Desk::new(faults))),
            board: None,
            recorder,
            local: None,
            workloads: None,
            releases: None,
            identity: None,
            watch: None,
        })
    }

    /// Opens what is described of the machine. Its safety part takes the place of what the computer itself has.
    fn connect(&mut self, options: &Options) -> Option<Arc<Board>> {
        if options.wiring == Wiring::default() {
            return None;
        }
        let places = Places::default();
        let wired = Wired::open(&options.wiring, &places);
        for found in &wired.found {
            match &found.outcome {
                Ok(detail) => tracing::info!(device = %found.name, kind = found.kind, %detail, "connected"),
                Err(why) => tracing::error!(device = %found.name, kind = found.kind, %why, "cannot be used"),
            }
        }
        if wired.protection.is_some() {
            self.protection = wired.protection;
        }
        // They are opened again by the node that reads them.
        drop(wired.gauges);
        let board = Arc::new(Board::new(
            options.wiring.clone(),
            places,
            wired.found,
            wired.bench,
        ));
        self.board = Some(board.clone());
        Some(board)
    }

    /// The nodes in the order they are started: the uplink first, so that it is the last to be stopped, and safety next.
    fn supervisor<D: Dial>(
        self,
        store: &Store,
        options: &Options,
        metal: MetalSource,
        clock: Clock,
        placement: Placement,
        dial: D,
    ) -> Result<(Supervisor, Bus), MachineError> {
        let dial = Arc::new(dial);
        let uploads = self.recorder.as_ref().map(|recorder| {
            uploads::spec(Arc::new(uploads::Setup {
                dial: dial.clone(),
                server: options.server.clone(),
                connect_timeout: options.connect_timeout,
                machine_id: self.machine_id,
                directory: recorder.options.directory.clone(),
                bytes_per_s: recorder.options.upload_bytes_per_s,
                desk: recorder.desk.clone(),
            }))
        });
        let updates = self.releases.map(|releases| {
            updates::spec(Arc::new(updates::Setup {
                dial: dial.clone(),
                server: options.server.clone(),
                connect_timeout: options.connect_timeout,
                machine_id: self.machine_id,
                kind: options.kind.clone(),
                store: store.clone(),
                releases,
                options: options.releases.clone(),
            }))
        });
        let uplink = uplink::Setup {
            dial,
            server: options.server.clone(),
            connect_timeout: options.connect_timeout,
            link: options.link_options(self.faults.is_some()),
            machine_id: self.machine_id,
            boot_id: self.boot_id,
            store: store.clone(),
            delay_ms: self.delay_ms,
            told_start: AtomicBool::new(false),
            renewals: options.identity.as_ref().map(crate::identity::Identity::changes),
        };
        let resources = resources::Options {
            interval_ms: options.telemetry.interval_ms,
            delay_ms: self.delay_ms % options.telemetry.interval_ms.max(1),
            identity: Identity {
                name: options.name.clone(),
                kind: options.kind.clone(),
                region: options.region.clone(),
            },
            calibrations: self.calibrator.in_force(),
        };
        let in_force = self.calibrator.in_force();
        let threaded = matches!(placement, Placement::Threads);
        let time = if threaded {
            LoopClock::Boot
        } else {
            LoopClock::Process(clock)
        };
        let safety = safety::Setup {
            machine_id: self.machine_id,
            store: store.clone(),
            parts: Arc::new(
                safety::Parts::new(options.safety.clone(), self.protection)
                    .with(self.panel, devices::measured_every(&options.wiring)),
            ),
            threaded,
            time,
            actuators: options.wiring.actuators.keys().cloned().collect(),
            calibrations: self.calibrator.in_force(),
            read_every: Duration::from_millis(options.telemetry.interval_ms),
        };
        let desired = desired::Setup {
            machine_id: self.machine_id,
            store: store.clone(),
            runs_workloads: self.workloads.is_some(),
        };
        let calibration = calibration::Setup {
            machine_id: self.machine_id,
            store: store.clone(),
            calibrator: self.calibrator,
        };
        let mut nodes = vec![uplink::spec(Arc::new(uplink))];
        // Before what it records is said, and after the last of it.
        nodes.extend(self.recorder.map(|setup| recorder::spec(Arc::new(setup))));
        nodes.extend([
            safety::spec(Arc::new(safety)),
            state::spec(options.state.clone()),
            desired::spec(Arc::new(desired)),
            calibration::spec(Arc::new(calibration)),
            health::spec(options.thresholds),
            telemetry::spec(options.telemetry),
            resources::spec(resources, metal),
        ]);
        nodes.extend(
            self.board
                .map(|board| devices::spec(board, time, options.telemetry, in_force.clone())),
        );
        nodes.extend(
            options
                .foxglove
                .map(|listen| foxglove::spec(listen, options.name.clone())),
        );
        nodes.extend(uploads);
        nodes.extend(self.faults.map(faults::spec));
        nodes.extend(self.local);
        nodes.extend(self.identity);
        nodes.extend(self.workloads);
        nodes.extend(updates);
        nodes.extend(self.watch);
        nodes.extend(options.log_tap.clone().map(logs::spec));
        let nodes = nodes.into_iter().map(|spec| NodeSpec {
            inbox_max: options.inbox_max,
            ..spec
        });
        let bus = Bus::new(clock);
        let supervised = supervisor::Options {
            placement,
            policy: options.restart,
        };
        let supervisor = Supervisor::new(supervised, bus.clone(), clock, nodes.collect());
        Ok((supervisor, bus))
    }
}
