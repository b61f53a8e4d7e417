//! `muster serve`: the fleet's server.

mod settings;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use muster_fleet::access::AccessMode;
use muster_fleet::{Options, Server, ServerError};
use muster_runtime::config::Config;
use muster_runtime::logging;
use muster_runtime::{Clock, Shutdown};

use crate::rundown::{
    EXIT_CONFIGURATION, EXIT_DATA, EXIT_IO, EXIT_UNAVAILABLE, block_on, fail, raise_open_files, signals,
};
use settings::Settings;

/// How the server is set up. Each flag is a key of the configuration.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The dashboard, the API and enrolment are at https://ADDRESS, machines connect to wss://ADDRESS/machine of their own port.\n\
    SIGTERM or Ctrl-C ends it in order; a second signal ends it at once.\n\n\
    Each setting can also be given as MUSTER__SECTION__KEY or in the file; flags come first. --show-config shows what is\n\
    in force and where it comes from.\n\n\
    Exit codes: 0 ended in order, 64 setting not accepted, 69 port not to be had, 70 a part failed, \
    73 data directory not usable, 74 data not writable"
)]
pub(crate) struct ServeOptions {
    /// The configuration, a YAML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Show the configuration that is in force, and end
    #[arg(long)]
    show_config: bool,
    /// Where everything is kept; made if it is not there [default: muster-data/server]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Let everybody on this computer in, as an admin, and machines without certificates: for trying and testing
    #[arg(long)]
    trust_loopback: bool,
    /// Where people connect: the dashboard, programs, machines that enrol [default: 127.0.0.1:7700]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where machines connect that have certificates [default: 127.0.0.1:7702]
    #[arg(long, value_name = "ADDRESS")]
    machines_listen: Option<String>,
    /// A name or address that the server is reached by; several: --name a --name b [default: those of loopback]
    #[arg(long, value_name = "NAME", help_heading = "TLS")]
    name: Vec<String>,
    /// The certificate that people's browsers are shown, with its chain, in PEM [default: one of the server's own authority]
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    tls_certificate_file: Option<String>,
    /// The key of --tls-certificate-file, in PEM
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    tls_key_file: Option<String>,
    /// Where /healthz, /readyz and /metrics are asked for [default: 127.0.0.1:7701]
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<String>,
    /// Connections that may stand at once [default: 120000]
    #[arg(long, value_name = "N")]
    connections: Option<String>,
    /// Parts that the machines are spread over [default: one per processor]
    #[arg(long, value_name = "N")]
    shards: Option<String>,
    /// How often machines send a heartbeat, in milliseconds [default: 30000]
    #[arg(long, value_name = "MS", help_heading = "Machines")]
    heartbeat_every_ms: Option<String>,
    /// How often a connection is asked whether it is still there, in milliseconds; it ends when nothing was heard for three
    /// times as long [default: 10000]
    #[arg(long, value_name = "MS", help_heading = "Machines")]
    ping_every_ms: Option<String>,
    /// How long a machine may be without a connection before it is shown as lost, in milliseconds [default: 5000]
    #[arg(long, value_name = "MS", help_heading = "Machines")]
    lost_after_ms: Option<String>,
    /// Messages a second that one machine may send for long [default: 200]
    #[arg(long, value_name = "N", help_heading = "Machines")]
    messages_per_second: Option<String>,
    /// Messages that one machine may send at once [default: 1000]
    #[arg(long, value_name = "N", help_heading = "Machines")]
    messages_burst: Option<String>,
    /// Machines that the fleet may have; those it has already stay [default: 100000]
    #[arg(long, value_name = "N", help_heading = "Machines")]
    machines_max: Option<String>,
    /// Sessions a second that one machine may open for long [default: 1]
    #[arg(long, value_name = "N", help_heading = "Machines")]
    sessions_per_second: Option<String>,
    /// Sessions that one machine may open at once [default: 60]
    #[arg(long, value_name = "N", help_heading = "Machines")]
    sessions_burst: Option<String>,
    /// How long a remote stop waits for a machine that is away, in seconds, where whoever asks does not say [default: 600]
    #[arg(long, value_name = "S", help_heading = "Machines")]
    stop_lifetime: Option<String>,
    /// Whether messages of machines are compressed: auto (where the machine offers it) or off [default: auto]
    #[arg(long, value_name = "WHEN", help_heading = "Machines")]
    compression: Option<String>,
    /// Which lines are logged: error, warn, info, debug, trace, or a filter [default: info]
    #[arg(long, value_name = "FILTER", help_heading = "Logging")]
    log_level: Option<String>,
    /// How log lines look: text or json [default: text]
    #[arg(long, value_name = "FORMAT", help_heading = "Logging")]
    log_format: Option<String>,
}

impl ServeOptions {
    /// The flags that were given, each with its key.
    fn flags(self) -> Vec<(&'static str, String)> {
        let names = (!self.name.is_empty()).then(|| self.name.join(","));
        let flags = [
            ("data", self.data),
            (
                "access",
                self.trust_loopback
                    .then(|| AccessMode::TrustLoopback.as_str().to_owned()),
            ),
            ("listen", self.listen),
            ("machines_listen", self.machines_listen),
            ("tls.names", names),
            ("tls.certificate_file", self.tls_certificate_file),
            ("tls.key_file", self.tls_key_file),
            ("admin_listen", self.admin_listen),
            ("connections", self.connections),
            ("shards", self.shards),
            ("machines.heartbeat_every_ms", self.heartbeat_every_ms),
            ("machines.ping_every_ms", self.ping_every_ms),
            ("machines.lost_after_ms", self.lost_after_ms),
            ("machines.messages_per_second", self.messages_per_second),
            ("machines.messages_burst", self.messages_burst),
            ("machines_max", self.machines_max),
            ("machines.sessions_per_second", self.sessions_per_second),
            ("machines.sessions_burst", self.sessions_burst),
            ("machines.stop_lifetime_s", self.stop_lifetime),
            ("machines.compression", self.compression),
            ("log.level", self.log_level),
            ("log.format", self.log_format),
        ];
        flags
            .into_iter()
            .filter_map(|(key, value)| value.map(|value| (key, value)))
            .collect()
    }
}

/// Runs the server until it is asked to end.
pub(crate) fn run(options: ServeOptions) -> ExitCode {
    let (file, show) = (options.config.clone(), options.show_config);
    let config = match Config::<Settings>::load(file.as_deref(), std::env::vars(), options.flags()) {
        Ok(config) => config,
        Err(error) => return fail("MST-R002", &error, EXIT_CONFIGURATION),
    };
    if show {
        print!("{}", config.show_origins());
        return ExitCode::SUCCESS;
    }
    if let Err(error) = logging::init(&config.settings.log_level, config.settings.log_format) {
        return fail("MST-R001", &error, EXIT_CONFIGURATION);
    }
    for name in &config.strange_variables {
        tracing::warn!(name, "this variable sets nothing here");
    }
    let options = match config.settings.options() {
        Ok(options) => options,
        Err(error) => return failed(&ServerError::Options(error)),
    };
    raise_open_files(config.settings.options.connections_max);
    block_on(async move {
        let shutdown = Shutdown::new();
        tokio::select! {
            code = serve(options, shutdown.clone()) => code,
            code = signals(shutdown) => code,
        }
    })
}

async fn serve(options: Options, shutdown: Shutdown) -> ExitCode {
    let server = match Server::start(options, Clock::start(), shutdown).await {
        Ok(server) => server,
        Err(error) => return failed(&error),
    };
    match (server.identity(), server.machines_address()) {
        (Some(identity), Some(machines)) => {
            eprintln!("Serving at https://{}", server.address());
            eprintln!("Machines connect to wss://{machines}");
            eprintln!("The server is recognised by SHA-256 {}", identity.anchor());
        }
        _ => eprintln!("Serving at http://{}", server.address()),
    }
    if let Err(code) = say_who_is_let_in(&server) {
        return code;
    }
    if let Some(address) = server.admin_address() {
        eprintln!("Health and metrics at http://{address}/healthz, /readyz and /metrics");
    }
    match server.run_to_checkpoint().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// Says how the first person gets in, where there is none.
fn say_who_is_let_in(server: &Server) -> Result<(), ExitCode> {
    let access = server.access();
    if access.mode() == AccessMode::TrustLoopback {
        eprintln!("Everybody on this computer is let in as an admin, and no machine needs a certificate.");
        return Ok(());
    }
    let secret = access
        .set_up_secret()
        .map_err(|error| fail("MST-F006", &error, 70))?;
    if let Some(secret) = secret {
        eprintln!(
            "There is no admin yet. This link makes the first; it is good for one use, within the hour:\n\n    \
             {}://{}/set-up#{}\n",
            if access.is_encrypted() { "https" } else { "http" },
            server.address(),
            secret.reveal()
        );
    }
    Ok(())
}

/// The exit code for each way a server does not start or ends.
pub(crate) fn failed(error: &ServerError) -> ExitCode {
    let exit = match error {
        ServerError::Options(_) => EXIT_CONFIGURATION,
        ServerError::Releases(_)
        | ServerError::Open(_)
        | ServerError::Fold(_)
        | ServerError::Directory(_)
        | ServerError::Identity(_)
        | ServerError::Rollouts(_) => EXIT_DATA,
        ServerError::Listen { .. } => EXIT_UNAVAILABLE,
        ServerError::LogFailed(_) => EXIT_IO,
        ServerError::PartEnded(_) | ServerError::Runtime => 70,
        ServerError::Threads(_) => EXIT_UNAVAILABLE,
    };
    fail(error.code(), error, exit)
}
