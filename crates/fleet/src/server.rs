//! The server as a whole: open, rebuild, listen, run, drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use muster_brain::shard::{Places, Shard};
use muster_model::{LogPosition, MachineView, Timestamp};
use muster_runtime::{Clock, OnEnd, Shutdown, Tasks};
use muster_store::{
    Contents, ContentsOptions, DataDirectory, Documents, EventLog, LocalBus, LogError, LogOptions, OpenError,
    Recordings, RecordingsOptions, SqliteDocuments, SqliteLog, Telemetry, TelemetryOptions,
};
use tokio::sync::{mpsc, oneshot};

use crate::access::Access;
use crate::access::audit::Audit;
use crate::access::directory::{Directory, DirectoryError};
use crate::access::provider::Provider;
use crate::gateway::accept::Threshold;
use crate::gateway::counter::Counter;
use crate::gateway::figures::Figures;
use crate::gateway::listener::{Listener, TcpListeners};
use crate::gateway::threads::MachineThreads;
use crate::gateway::{Gateway, GatewayState, accept};
use crate::identity::{Identity, IdentityError, upkeep};
use crate::live::sequencer::Sequencer;
use crate::options::{Options, OptionsError};
use crate::releases::{self, Releases, ReleasesError};
use crate::rollout::{KeepError, Rollouts, keep};
use crate::series::Series;
use crate::state::checkpoint::Checkpoints;
use crate::state::keeping;
use crate::state::recovery::{Fold, FoldError};
use crate::state::shard::{ShardParts, ShardTask};
use crate::state::shown::Shown;
use crate::state::table::Table;
use crate::state::{BUS_BEHIND_MAX, Fleet, SHARD_INBOX_MAX, ShardHandle, ShardMessage, now, shard_index};
use crate::{admin, api, identity, live, rollout};

/// How long a stop may take in all before what is left is cut off.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// What recordings and releases leave free on the disk for the log.
const RESERVE_BYTES: u64 = 1_000_000_000;
/// How long machines wait before they come back after the server said bye, besides their own jitter.
const COME_BACK_AFTER_MS: u32 = 1_000;

/// Why the server did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The settings.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The store.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log cannot be folded.
    #[error("the fleet cannot be rebuilt from its log")]
    Fold(#[from] FoldError),
    /// People, sessions, tokens or policies.
    #[error("people and what they may cannot be read")]
    Directory(#[from] DirectoryError),
    /// Certificates, or the register of machines.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Releases.
    #[error("releases cannot be opened")]
    Releases(#[from] ReleasesError),
    /// Rollouts.
    #[error("rollouts cannot be found again")]
    Rollouts(#[from] KeepError),
    /// A port.
    #[error("cannot listen on {address}{}", if source.kind() == std::io::ErrorKind::AddrInUse { ": another program does already" } else { "" })]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The log takes nothing any more: nothing can be acknowledged, so the server must not go on.
    #[error(
        "the log takes nothing any more; the server was stopped so that nothing is acknowledged that is not on disk"
    )]
    LogFailed(#[source] LogError),
    /// A part that cannot be done without ended.
    #[error("{0}")]
    PartEnded(String),
    /// Threads.
    #[error("the system gives no threads")]
    Threads(#[source] std::io::Error),
    /// Work outside of async code could not be done.
    #[error("the runtime is being stopped")]
    Runtime,
}

impl ServerError {
    /// The stable code, with a page in `docs/errors/`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Options(error) => error.code(),
            Self::Open(error) => error.code(),
            Self::Fold(FoldError::Log(error)) => error.code(),
            Self::Fold(FoldError::Entry { .. }) => "MST-F003",
            Self::Rollouts(KeepError::Log(error)) => error.code(),
            Self::Rollouts(KeepError::Documents(error)) => error.code(),
            Self::Rollouts(KeepError::Entry { .. } | KeepError::Name(_)) => "MST-F003",
            Self::Directory(_) => "MST-F008",
            Self::Identity(error) => error.code(),
            Self::Releases(_) => "MST-F021",
            Self::Listen { .. } => "MST-F004",
            Self::LogFailed(error) => error.code(),
            Self::PartEnded(_) => "MST-F005",
            Self::Runtime => "MST-F006",
            Self::Threads(_) => "MST-F007",
        }
    }
}

/// A server that listens.
pub struct Server {
    state: GatewayState,
    tasks: Tasks,
    /// Held until everything on them has ended.
    threads: [MachineThreads; 2],
    stop_shards: Shutdown,
    log: SqliteLog,
    checkpoints: oneshot::Receiver<Checkpoints>,
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    machines_address: Option<SocketAddr>,
}

/// The ports of a server.
pub struct Ports<L> {
    /// Where people connect; machines too, where they have no port of their own.
    pub main: L,
    /// Where health and metrics are asked for.
    pub admin: Option<L>,
    /// Where machines connect that have certificates.
    pub machines: Option<L>,
}

impl Server {
    /// Opens the store, rebuilds the fleet and opens the ports. Nothing is served before everything is there.
    pub async fn start(options: Options, clock: Clock, shutdown: Shutdown) -> Result<Self, ServerError> {
        options.check()?;
        // Ports first: a port that is taken is the most likely thing to be wrong, and nothing is changed by it.
        let listener = bind(options.listen)?;
        let admin = match options.admin_listen {
            Some(address) => Some(bind(address)?),
            None => None,
        };
        let machines = match &options.identity {
            Some(identity) => Some(bind(identity.machines_listen)?),
            None => None,
        };
        let ports = Ports {
            main: listener,
            admin,
            machines,
        };
        Self::start_at(ports, options, clock, shutdown).await
    }

    /// As [`start`](Self::start), on ports that are open already, such as those of a simulated network.
    pub async fn start_on<L: Listener>(
        listener: L,
        admin: Option<L>,
        options: Options,
        clock: Clock,
        shutdown: Shutdown,
    ) -> Result<Self, ServerError> {
        let ports = Ports {
            main: listener,
            admin,
            machines: None,
        };
        Self::start_at(ports, options, clock, shutdown).await
    }

    async fn start_at<L: Listener>(
        ports: Ports<L>,
        mut options: Options,
        clock: Clock,
        shutdown: Shutdown,
    ) -> Result<Self, ServerError> {
        options.check()?;
        let Ports {
            main: listener,
            admin,
            machines,
        } = ports;
        let machines_address = match (&machines, &mut options.identity) {
            (Some(machines), Some(identity)) => {
                let address = local(machines, identity.machines_listen)?;
                // What machines are told, where any port would do.
                identity.machines_listen = address;
                Some(address)
            }
            _ => None,
        };
        let recorder = admin::install_recorder();
        let opened = tokio::task::spawn_blocking({
            let (path, log) = (options.data.clone(), options.log.clone());
            let recordings = RecordingsOptions {
                bytes_max: options.recordings_max_bytes,
                reserve_bytes: RESERVE_BYTES,
            };
            let (identity, encoded_max_bytes) = (options.identity.clone(), options.encoded_max_bytes);
            move || open(&path, log, recordings, encoded_max_bytes, identity, clock)
        });
        let Opened {
            log,
            telemetry,
            recordings,
            releases,
            fold,
            directory,
            audit,
            identity,
            documents,
            rollouts: found,
        } = opened.await.map_err(|_| ServerError::Runtime)??;
        let shared: Arc<dyn EventLog> = Arc::new(log.clone());
        let head = fold.position;
        let checkpoint = shared.load_snapshots(head).map_err(FoldError::from)?.checkpoint;

        let options = Arc::new(options);
        let tasks = Tasks::new(shutdown.clone());
        let threads = MachineThreads::start(options.machine_threads).map_err(ServerError::Threads)?;
        let on = |threads: &MachineThreads| match threads.handle() {
            Some(place) => tasks.on(place.clone()),
            None => tasks.clone(),
        };
        let machine_tasks = on(&threads);
        let door = MachineThreads::at_the_door(match &machines {
            Some(_) => options.machine_threads,
            None => 0,
        });
        let door = door.map_err(ServerError::Threads)?;
        let door_tasks = on(&door);
        // Shards end after everything else, when all that was accepted is on disk.
        let stop_shards = Shutdown::new();
        let series = Series::new(telemetry);
        let bus = LocalBus::new(BUS_BEHIND_MAX);
        let sequencer = Sequencer::new(bus.clone(), head);
        let shown = Shown::new(head);
        let figures = Figures::new();
        let mut handles = Vec::new();
        let mut inboxes = Vec::new();
        for _ in 0..options.shards {
            let (sender, inbox) = mpsc::channel(SHARD_INBOX_MAX);
            handles.push(ShardHandle {
                inbox: sender,
                table: Arc::new(Table::default()),
            });
            inboxes.push(inbox);
        }
        let fleet = Fleet::new(
            clock,
            shared.clone(),
            series.clone(),
            handles.clone(),
            bus.clone(),
            shown.clone(),
        );
        let places = Places::new(options.machines_max, fold.views.len() as u64);
        let unsaved: Vec<_> = fold
            .views
            .values()
            .filter(|view| view.position > checkpoint)
            .cloned()
            .collect();
        let mut views = vec![Vec::new(); options.shards];
        for view in fold.views.into_values() {
            let bytes = view.id.as_bytes();
            let tail = bytes[8..]
                .iter()
                .fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
            views[shard_index(tail, options.shards)].push(view);
        }
        for (index, ((inbox, handle), views)) in inboxes.into_iter().zip(handles).zip(views).enumerate() {
            let shard = Shard::new(options.shard.clone(), now(&clock), views).with_places(places.clone());
            let parts = ShardParts {
                clock,
                log: shared.clone(),
                series: series.clone(),
                table: handle.table,
                bus: bus.clone(),
                sequencer: sequencer.clone(),
                shown: shown.clone(),
                figures: figures.clone(),
            };
            let task = ShardTask::new(shard, inbox, parts);
            machine_tasks.spawn(
                format!("shard {index}"),
                OnEnd::ShutDown,
                task.run(stop_shards.clone()),
            );
        }
        let address = local(&listener, options.listen)?;
        let provider = match options.provider.clone() {
            None => None,
            Some(settings) => {
                let scheme = if identity.is_some() { "https" } else { "http" };
                let base = format!("{scheme}://{address}");
                let made = tokio::task::spawn_blocking(move || Provider::new(settings, base, clock)).await;
                let made = made.map_err(|_| ServerError::Runtime)?;
                Some(made.map_err(OptionsError::Provider)?)
            }
        };
        let access = Access::new(options.access, identity.is_some(), clock, directory, audit);
        let access = Arc::new(access.with_provider(provider));

        let releases = Releases::new(releases, tasks.clone(), clock);
        let reach = {
            let access = access.clone();
            Arc::new(move |name: &str, view: &MachineView| access.may_deploy(name, view))
        };
        let (rollouts, orders) = Rollouts::new(
            fleet.clone(),
            documents,
            Arc::new(releases.clone()),
            reach,
            &found,
        );

        let state = Arc::new(Gateway {
            fleet: fleet.clone(),
            options: options.clone(),
            shutdown: shutdown.clone(),
            tasks: tasks.clone(),
            machine_tasks,
            machines: Counter::new("muster_connections"),
            live_clients: Counter::new("muster_live_clients"),
            recordings: Arc::new(recordings),
            releases,
            identity: identity.clone(),
            figures,
            access: access.clone(),
            rollouts: rollouts.clone(),
        });
        tasks.spawn(
            "rollouts",
            OnEnd::ShutDown,
            rollout::run(rollouts, orders, found, shutdown.clone()),
        );
        let admin_address = match &admin {
            Some(admin) => Some(local(admin, options.listen)?),
            None => None,
        };
        tasks.spawn(
            "summary",
            OnEnd::ShutDown,
            live::summary::run(fleet.clone(), shutdown.clone()),
        );
        let (returned, checkpoints) = oneshot::channel();
        let running = Checkpoints::new(fleet, checkpoint, unsaved).run(shutdown.clone());
        tasks.spawn("checkpoints", OnEnd::Continue, async move {
            // Given back for the last one, when machines are gone.
            let _ = returned.send(running.await);
            Ok::<_, std::convert::Infallible>(())
        });
        tasks.spawn(
            "keeping",
            OnEnd::Continue,
            keeping::run(log.clone(), clock, shutdown.clone()),
        );
        tasks.spawn("access", OnEnd::Continue, access.clone().tidy(shutdown.clone()));
        tasks.spawn(
            "keeping of the audit log",
            OnEnd::Continue,
            keeping::run(access.audit().log().clone(), clock, shutdown.clone()),
        );
        watch_log(&tasks, shared, shutdown.clone());
        if let Some(recorder) = recorder.clone() {
            tasks.spawn(
                "metrics",
                OnEnd::Continue,
                admin::upkeep(recorder, shutdown.clone()),
            );
        }
        let router = api::router(state.clone());
        let write_within = Duration::from_millis(options.write_within_ms);
        let threshold = match &identity {
            Some(identity) => Threshold::People(identity.people().clone()),
            None => Threshold::Plain,
        };
        if let (Some(identity), Some(machines)) = (identity, machines) {
            let accepting = accept::run(
                machines,
                Threshold::Machines(identity.clone()),
                api::machines(state.clone()),
                options.connections_max,
                write_within,
                door_tasks.clone(),
                shutdown.clone(),
            );
            door_tasks.spawn("machines gateway", OnEnd::ShutDown, accepting);
            tasks.spawn(
                "identity",
                OnEnd::ShutDown,
                upkeep::run(state.clone(), identity, shutdown.clone()),
            );
        }
        let accepting = accept::run(
            listener,
            threshold,
            router,
            options.connections_max,
            write_within,
            tasks.clone(),
            shutdown.clone(),
        );
        tasks.spawn("gateway", OnEnd::ShutDown, accepting);
        if let Some(admin) = admin {
            let router = admin::router(state.clone(), recorder);
            tasks.spawn(
                "admin",
                OnEnd::ShutDown,
                accept::run(
                    admin,
                    Threshold::Plain,
                    router,
                    64,
                    write_within,
                    tasks.clone(),
                    shutdown,
                ),
            );
        }
        tracing::info!(%address, machines = state.fleet.views().len(), position = %head, "serving");
        Ok(Self {
            state,
            tasks,
            threads: [threads, door],
            stop_shards,
            log,
            checkpoints,
            address,
            admin_address,
            machines_address,
        })
    }

    /// Where machines, dashboards and programs connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where health and metrics are asked for.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Where machines connect, where they have a port of their own.
    pub fn machines_address(&self) -> Option<SocketAddr> {
        self.machines_address
    }

    /// Who machines are, where they have certificates.
    pub fn identity(&self) -> Option<&Identity> {
        self.state.identity.as_ref()
    }

    /// What runs for it: its own parts, and what each connection needs.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Who is let in, and what they may.
    pub fn access(&self) -> &Arc<Access> {
        &self.state.access
    }

    /// What is rolled out.
    pub fn rollouts(&self) -> &Rollouts {
        &self.state.rollouts
    }

    /// Which releases can be rolled out.
    pub fn releases(&self) -> &Releases {
        &self.state.releases
    }

    /// What the fleet knows.
    pub fn fleet(&self) -> &Fleet {
        &self.state.fleet
    }

    /// Runs until the server is asked to end, and ends it in order: machines are told, what was accepted goes to disk, a
    /// last checkpoint is made.
    pub async fn run(self) -> Result<(), ServerError> {
        self.state.shutdown.requested().await;
        let failed = self.log.failure().get();
        let reason = self.state.shutdown.reason().unwrap_or_default().to_owned();
        tracing::info!(%reason, machines = self.state.machines.now(), "stopping");
        let ended = tokio::time::timeout(STOP_WITHIN, self.drain(failed.is_none())).await;
        if ended.is_err() {
            tracing::warn!("not everything ended in time");
        }
        self.stop_shards.request("the server ends");
        let failures = self.tasks.finish(Duration::from_secs(2)).await;
        let (log, series) = (self.log.clone(), self.state.fleet.series().clone());
        let access = self.state.access.clone();
        let closed = tokio::task::spawn_blocking(move || {
            series.close();
            log.close();
            if let Err(error) = access.audit().anchor(access.now()) {
                tracing::warn!(error = %muster_runtime::errors::chain(&error), "how far the audit log goes could not be noted");
            }
            access.audit().log().close();
        });
        closed.await.map_err(|_| ServerError::Runtime)?;
        drop(self.threads);
        // It may also have failed while what was left was written.
        let failed = failed.or_else(|| self.log.failure().get());
        match (failed, failures.into_iter().next()) {
            (Some(error), _) => Err(ServerError::LogFailed(error)),
            (None, Some(failure)) => Err(ServerError::PartEnded(failure)),
            (None, None) => Ok(()),
        }
    }

    async fn drain(&self, log_is_sound: bool) {
        for shard in self.state.fleet.shards() {
            let (reply, drained) = oneshot::channel();
            let message = ShardMessage::Drain {
                retry_after_ms: COME_BACK_AFTER_MS,
                reply,
            };
            if shard.inbox.send(message).await.is_ok() && log_is_sound {
                // A shard that ended has nothing left to drain.
                let _ = drained.await;
            }
        }
        while self.state.machines.now() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Server {
    /// Ends as [`run`](Self::run) does, after a last checkpoint, so that the next start is quick.
    pub async fn run_to_checkpoint(mut self) -> Result<(), ServerError> {
        self.state.shutdown.requested().await;
        let sound = self.log.failure().get().is_none();
        if sound
            && let Ok(Ok(mut checkpoints)) = tokio::time::timeout(STOP_WITHIN, &mut self.checkpoints).await
            && let Err(error) = checkpoints.make().await
        {
            tracing::warn!(error = %muster_runtime::errors::chain(&error), "no last checkpoint");
        }
        self.run().await
    }
}

/// What a server keeps, opened.
struct Opened {
    log: SqliteLog,
    telemetry: Telemetry,
    recordings: Recordings,
    releases: releases::Opened,
    fold: Fold,
    directory: Directory,
    audit: Audit,
    identity: Option<Identity>,
    documents: Arc<dyn Documents>,
    rollouts: Vec<keep::Found>,
}

fn open(
    path: &std::path::Path,
    log: LogOptions,
    recordings: RecordingsOptions,
    encoded_max_bytes: u64,
    identity: Option<identity::Options>,
    clock: Clock,
) -> Result<Opened, ServerError> {
    let directory = DataDirectory::open(path)?;
    if directory.is_open_to_others() {
        tracing::warn!(path = %path.display(), "others than the owner can look into the data directory: chmod 700 keeps them out");
    }
    let log = SqliteLog::open(&directory, log)?;
    let time = Arc::new(move || Timestamp::from_millis(clock.wall_ms()));
    let telemetry = Telemetry::open(&directory, TelemetryOptions::default(), time.clone())?;
    let recordings = Recordings::open(&directory, recordings, time())?;
    let fold = Fold::at(&log, log.head())?;
    let documents: Arc<dyn Documents> = Arc::new(SqliteDocuments::open(&directory)?);
    let reserve_bytes = RESERVE_BYTES;
    let contents = Contents::open(&directory, ContentsOptions { reserve_bytes })?;
    let releases = releases::Opened::read(path, contents, documents.clone(), encoded_max_bytes)?;
    let audit = Audit::open(path, documents.clone())?;
    let identity = match identity {
        Some(options) => Some(Identity::open(path, documents.clone(), options, clock)?),
        None => None,
    };
    let rollouts = keep::find(&*documents, &log)?;
    Ok(Opened {
        rollouts,
        documents: documents.clone(),
        log,
        telemetry,
        recordings,
        releases,
        fold,
        directory: Directory::open(documents)?,
        audit,
        identity,
    })
}

fn bind(address: SocketAddr) -> Result<TcpListeners, ServerError> {
    TcpListeners::bind(address).map_err(|source| ServerError::Listen { address, source })
}

fn local<L: Listener>(listener: &L, asked: SocketAddr) -> Result<SocketAddr, ServerError> {
    listener.local_addr().map_err(|source| ServerError::Listen {
        address: asked,
        source,
    })
}

/// A log that takes nothing any more ends the server.
fn watch_log(tasks: &Tasks, log: Arc<dyn EventLog>, shutdown: Shutdown) {
    tasks.spawn("log watch", OnEnd::Continue, async move {
        let mut failure = log.failure();
        tokio::select! {
            error = failure.failed() => {
                tracing::error!(code = error.code(), error = %muster_runtime::errors::chain(&error), "the log takes nothing any more");
                shutdown.request(error.to_string());
            }
            () = shutdown.requested() => {}
        }
        Ok::<_, std::convert::Infallible>(())
    });
}

/// Where the log ends, for tests that wait for it.
pub fn head(server: &Server) -> LogPosition {
    server.fleet().position()
}
