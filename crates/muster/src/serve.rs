//! `muster serve`: the fleet's server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use muster_fleet::{Options, Server, ServerError};
use muster_runtime::{Clock, Shutdown};

use crate::logging::LogOptions;
use crate::rundown::{EXIT_CONFIGURATION, EXIT_DATA, EXIT_IO, EXIT_UNAVAILABLE, block_on, fail, signals};

/// How the server is set up.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Machines connect to ws://ADDRESS/machine; the dashboard and the API are at http://ADDRESS.\n\
    SIGTERM or Ctrl-C ends it in order; a second signal ends it at once.\n\n\
    Exit codes: 0 ended in order, 64 setting not accepted, 69 port not to be had, 70 a part failed, \
    73 data directory not usable, 74 data not writable"
)]
pub(crate) struct ServeOptions {
    /// Where everything is kept; made if it is not there
    #[arg(long, env = "MUSTER_DATA", value_name = "DIR")]
    data: PathBuf,
    /// Where machines, dashboards and programs connect; loopback only until there are identities
    #[arg(
        long,
        env = "MUSTER_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:7700"
    )]
    listen: SocketAddr,
    /// Where /healthz, /readyz and /metrics are asked for
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7701")]
    admin_listen: SocketAddr,
    /// How often machines send a heartbeat, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 30_000, help_heading = "Machines")]
    heartbeat_every: u32,
    /// How often a connection is asked whether it is still there, in milliseconds; after two without an answer it ends
    #[arg(long, value_name = "MS", default_value_t = 14_000, help_heading = "Machines")]
    ping_every: u64,
    /// How long a machine may be away before it is shown as lost, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 5_000, help_heading = "Machines")]
    lost_after: u64,
    /// Messages a second that one machine may send for long
    #[arg(long, value_name = "N", default_value_t = 200, help_heading = "Machines")]
    messages_per_second: u32,
    /// Messages that one machine may send at once
    #[arg(long, value_name = "N", default_value_t = 1_000, help_heading = "Machines")]
    messages_burst: u32,
    /// Connections that may stand at once
    #[arg(long, value_name = "N", default_value_t = 120_000)]
    connections: usize,
    /// Parts that the machines are spread over; one per processor by default
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
    #[command(flatten)]
    log: LogOptions,
}

impl ServeOptions {
    fn to_options(&self) -> Options {
        let mut options = Options::new(self.data.clone());
        options.listen = self.listen;
        options.admin_listen = Some(self.admin_listen);
        options.connections_max = self.connections;
        options.ping_every_ms = self.ping_every;
        if let Some(shards) = self.shards {
            options.shards = shards;
        }
        options.shard.heartbeat_interval_ms = self.heartbeat_every;
        options.shard.degraded_after_ms = u64::from(self.heartbeat_every) * 3 / 2;
        options.shard.lost_after_ms = u64::from(self.heartbeat_every) * 3;
        options.shard.reconnect_grace_ms = self.lost_after;
        options.shard.limits.messages_per_s = self.messages_per_second;
        options.shard.limits.messages_burst = self.messages_burst;
        options
    }
}

/// Runs the server until it is asked to end.
pub(crate) fn run(options: ServeOptions) -> ExitCode {
    if let Err(code) = options.log.start("info") {
        return code;
    }
    block_on(async move {
        let shutdown = Shutdown::new();
        tokio::select! {
            code = serve(options.to_options(), shutdown.clone()) => code,
            code = signals(shutdown) => code,
        }
    })
}

async fn serve(options: Options, shutdown: Shutdown) -> ExitCode {
    let server = match Server::start(options, Clock::start(), shutdown).await {
        Ok(server) => server,
        Err(error) => return failed(&error),
    };
    eprintln!("Serving at http://{}", server.address());
    if let Some(address) = server.admin_address() {
        eprintln!("Health and metrics at http://{address}/healthz, /readyz and /metrics");
    }
    match server.run_to_checkpoint().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// The exit code for each way a server does not start or ends.
pub(crate) fn failed(error: &ServerError) -> ExitCode {
    let exit = match error {
        ServerError::Options(_) => EXIT_CONFIGURATION,
        ServerError::Open(_) | ServerError::Fold(_) => EXIT_DATA,
        ServerError::Listen { .. } => EXIT_UNAVAILABLE,
        ServerError::LogFailed(_) => EXIT_IO,
        ServerError::PartEnded(_) | ServerError::Runtime => 70,
    };
    fail(error.code(), error, exit)
}
