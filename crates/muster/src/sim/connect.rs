//! `muster sim connect`: simulated machines in real time, over real sockets.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use muster_machine::ServerUrl;
use muster_runtime::{Clock, Shutdown};
use muster_sim::fleet::{FleetOptions, LINK_LOST_AFTER, check_record, run as run_fleet};

use crate::logging::LogOptions;
use crate::rundown::{EXIT_CONFIGURATION, EXIT_DATA, block_on, fail};

/// Which machines, and where they connect.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The same seed is the same fleet: ids, names, batteries and places go on where they stopped.\n\
    SIGTERM or Ctrl-C ends it in order; a second signal ends it at once."
)]
pub(crate) struct ConnectOptions {
    /// How many machines
    #[arg(long, value_name = "N", default_value_t = 24)]
    machines: usize,
    /// Where the server is [default: ws://127.0.0.1:7700]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Where the machines keep what must survive; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "muster-data/sim")]
    data: PathBuf,
    /// Where all chance comes from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The machines start within so many seconds, not all at once
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    start_within: f64,
    /// A machine that records what it does, once for each; the others do not
    #[arg(long, value_name = "NAME")]
    record: Vec<String>,
    /// What moves comes to rest without a link for so many seconds
    #[arg(long, value_name = "S", default_value_t = LINK_LOST_AFTER.as_secs(), value_parser = clap::value_parser!(u64).range(1..=86_400))]
    link_lost_after: u64,
    #[command(flatten)]
    log: LogOptions,
}

/// Most machines in one process.
const MACHINES_MAX: usize = 100_000;

/// `muster sim connect`.
pub(super) fn run(options: ConnectOptions) -> ExitCode {
    if let Err(code) = options.log.start("warn,muster_sim=info") {
        return code;
    }
    let server: ServerUrl = match options.server.as_deref().unwrap_or("ws://127.0.0.1:7700").parse() {
        Ok(server) => server,
        Err(error) => {
            return fail(
                "MST-X002",
                &muster_machine::options::ServerUrlError::clone(&error),
                EXIT_CONFIGURATION,
            );
        }
    };
    if !(1..=MACHINES_MAX).contains(&options.machines) {
        eprintln!(
            "error[MST-X002]: --machines is {}: 1 to {MACHINES_MAX} is accepted",
            options.machines
        );
        return ExitCode::from(EXIT_CONFIGURATION);
    }
    if !(options.start_within.is_finite() && (0.0..=3_600.0).contains(&options.start_within)) {
        eprintln!(
            "error[MST-X002]: --start-within is {}: 0 to 3600 is accepted",
            options.start_within
        );
        return ExitCode::from(EXIT_CONFIGURATION);
    }
    if let Err(error) = check_record(options.seed, options.machines, &options.record) {
        return fail(error.code(), &error, EXIT_CONFIGURATION);
    }
    let fleet = FleetOptions {
        machines: options.machines,
        seed: options.seed,
        server,
        data: options.data,
        start_within: Duration::from_secs_f64(options.start_within),
        record: options.record,
        link_lost_after: Duration::from_secs(options.link_lost_after),
    };
    eprintln!(
        "Running {} simulated machines (seed {}) against {}",
        fleet.machines, fleet.seed, fleet.server
    );
    block_on(async move {
        let shutdown = Shutdown::new();
        let listening = shutdown.clone();
        tokio::select! {
            result = run_fleet(fleet, Clock::start(), shutdown) => match result {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(error.code(), &error, EXIT_DATA),
            },
            code = crate::rundown::signals(listening) => code,
        }
    })
}
