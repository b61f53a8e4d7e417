//! The simulated fleet: many machines in one process, each with the whole runtime above simulated hardware.
//!
//! Who they are follows from the seed alone, and what they lived through is kept, so that a fleet that is started again
//! is the same fleet. Begin with [`run`].

mod cable;
mod cast;
mod failsafe;
mod kept;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_machine::local::{self, Door};
use muster_machine::store::{StoreError, StoreOptions};
use muster_machine::{Machine, MachineError, MetalSource, Options, ServerUrl, SharedParts, Store, recording};
use muster_metal::simulated::{SharedMachine, SimulatedMachine, SimulatedOptions};
use muster_model::Timestamp;
use muster_runtime::{Clock, Shutdown, Tasks};

pub use cable::Cable;
pub use cast::Role;
pub use failsafe::LINK_LOST_AFTER;

/// How long the machines have to end in order.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// Most machines of a fleet that record.
pub const RECORDED_MAX: usize = 8;
/// Where they do: a directory of each, by its host name, in this one of the fleet's data directory.
pub const RECORDINGS: &str = "recordings";
/// Most bytes of one machine's recordings: several of them share a disk.
const RECORDED_BYTES_MAX: u64 = 64 << 20;

/// Which fleet.
#[derive(Clone, Debug)]
pub struct FleetOptions {
    /// How many machines.
    pub machines: usize,
    /// Where all chance comes from.
    pub seed: u64,
    /// Where the server is.
    pub server: ServerUrl,
    /// Where the machines keep what they have yet to tell, and what they lived through.
    pub data: PathBuf,
    /// The machines start within this time, not all at once.
    pub start_within: Duration,
    /// Those of them that record what is said on their buses: at most [`RECORDED_MAX`].
    pub record: Vec<String>,
    /// Without a link for so long, what moves comes to rest: [`LINK_LOST_AFTER`], or to see it sooner.
    pub link_lost_after: Duration,
}

/// Why a fleet did not run.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// Who shall record is not in the fleet.
    #[error("no machine of this fleet is called {0:?}, so it cannot record")]
    NotThere(String),
    /// Too many shall record.
    #[error("{0} machines shall record: at most {RECORDED_MAX} of a simulated fleet do")]
    TooManyRecord(usize),
    /// Its store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// One of its machines.
    #[error("machine {name} does not start")]
    Machine {
        /// Which one.
        name: String,
        /// Why.
        #[source]
        source: Box<MachineError>,
    },
    /// What it lived through.
    #[error("{} cannot be {doing}", path.display())]
    Kept {
        /// Which file.
        path: PathBuf,
        /// What was being done to it.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl FleetError {
    /// The stable code, with a page in `docs/errors/`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Machine { source, .. } => source.code(),
            Self::Kept { .. } => "MST-X001",
            Self::NotThere(_) | Self::TooManyRecord(_) => "MST-X002",
        }
    }
}

/// Whoever is on this computer stands beside all of them.
fn reachable(data: &Path, doors: Vec<Door>, tasks: &Tasks) {
    let socket = data.join(local::SOCKET);
    let listener = match local::bind(&socket) {
        Ok(listener) => listener,
        Err(error) => {
            let socket = socket.display();
            tracing::warn!(%error, %socket, "the simulated machines cannot be reached on this computer");
            return;
        }
    };
    let (ended, doors) = (tasks.shutdown().clone(), doors.into());
    tasks.spawn_small(async move {
        tokio::select! {
            () = local::accept(&listener, &doors) => {}
            () = ended.requested() => {}
        }
        // Nobody finds a socket that nobody hears.
        let _ = std::fs::remove_file(&socket);
    });
}

/// Looks whether those that shall record are in the fleet, and are not too many: each has a thread and files of its own.
pub fn check_record(seed: u64, machines: usize, record: &[String]) -> Result<(), FleetError> {
    if record.len() > RECORDED_MAX {
        return Err(FleetError::TooManyRecord(record.len()));
    }
    let cast = cast::cast(seed, machines);
    let is_there = |name: &&String| cast.iter().any(|role| role.name == **name);
    match record.iter().find(|name| !is_there(name)) {
        Some(name) => Err(FleetError::NotThere(name.clone())),
        None => Ok(()),
    }
}

/// As a real machine records, in less room.
fn recording(directory: PathBuf) -> recording::Options {
    recording::Options {
        bytes_max: RECORDED_BYTES_MAX,
        ..recording::Options::new(directory)
    }
}

/// Runs the fleet until it is asked to end.
pub async fn run(options: FleetOptions, clock: Clock, shutdown: Shutdown) -> Result<(), FleetError> {
    check_record(options.seed, options.machines, &options.record)?;
    let store = Store::open(&options.data, StoreOptions::default())?;
    let tasks = Tasks::new(shutdown.clone());
    let shared = SharedParts {
        store: store.clone(),
        tasks: tasks.clone(),
        clock,
    };
    let mut kept = kept::Kept::load(&options.data)?;
    let now = Timestamp::from_millis(clock.wall_ms());
    let mut metals = Vec::with_capacity(options.machines);
    let mut machines = Vec::with_capacity(options.machines);
    let mut doors = Vec::with_capacity(options.machines);
    for role in cast::cast(options.seed, options.machines) {
        let fresh = || {
            let (profile, site, seed) = (role.profile, role.site, role.seed);
            SimulatedMachine::new(SimulatedOptions::new(
                profile,
                site,
                seed,
                role.hostname.clone(),
                now,
            ))
        };
        let metal = match kept.take(role.id) {
            // A state of another version means nothing any more: the machine begins anew.
            Some(snapshot) => SimulatedMachine::restore(snapshot).unwrap_or_else(|_| fresh()),
            None => fresh(),
        };
        let metal = SharedMachine::new(metal);
        metals.push((role.id, metal.clone()));
        let mut machine = Options::new(options.server.clone(), role.name.clone(), role.profile.as_str());
        machine.region = Some(role.site.as_str().to_owned());
        machine.machine_id = Some(role.id);
        machine.start_jitter = options.start_within;
        machine.safety = failsafe::safety(role.profile, role.site, options.link_lost_after);
        machine.recording = options
            .record
            .contains(&role.name)
            .then(|| recording(options.data.join(RECORDINGS).join(&role.hostname)));
        let cable = Cable(metal.clone());
        let metal = MetalSource::single(Box::new(metal));
        let started = Machine::start_through(&shared, machine, metal, cable).await;
        let started = started.map_err(|source| FleetError::Machine {
            name: role.name.clone(),
            source: Box::new(source),
        })?;
        doors.push(Door {
            recorder: started.recorder().cloned(),
            board: None,
            calibrator: started.calibrator().clone(),
            desk: None,
            services: None,
            faults: started.faults().cloned(),
            name: role.name,
            panel: started.panel().clone(),
        });
        machines.push(started);
    }
    tracing::info!(
        machines = machines.len(),
        seed = options.seed,
        "the simulated fleet runs"
    );
    reachable(&options.data, doors, &tasks);
    // Writing down ten thousand lives takes a while: the more there are, the rarer.
    let every =
        Duration::from_secs(20) + Duration::from_millis(10) * u32::try_from(metals.len()).unwrap_or(u32::MAX);
    let stopping = loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = shutdown.requested() => break true,
            error = store.failed() => {
                tracing::error!(%error, "the simulated fleet cannot keep anything any more");
                shutdown.request("the simulated fleet's store failed");
                break false;
            }
        }
        kept.save(&metals)?;
    };
    let failures = tasks.finish(STOP_WITHIN).await;
    for failure in failures {
        tracing::warn!(%failure, "a part of the simulated fleet failed");
    }
    drop(machines);
    if stopping {
        kept.save(&metals)?;
    }
    // All that was acknowledged is on disk already.
    let _ = tokio::time::timeout(Duration::from_secs(1), store.close()).await;
    Ok(())
}
