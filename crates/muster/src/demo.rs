//! `muster demo`: Muster at work on one computer.
//!
//! The server runs in this process, and so do the simulated machines; this computer itself is a machine in a process of its
//! own, as it would be on a device. Everything ends together, and goes on where it stopped.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use clap::Args;
use muster_fleet::access::AccessMode;
use muster_fleet::{Options, Server};
use muster_machine::ServerUrl;
use muster_runtime::{Clock, OnEnd, Shutdown, Tasks};
use muster_sim::fleet::{FleetOptions, LINK_LOST_AFTER, RECORDINGS, check_record};
use tokio::process::{Child, Command};

use crate::logging::LogOptions;
use crate::rundown::{EXIT_CONFIGURATION, EXIT_DATA, block_on, fail, raise_open_files, signals};
use crate::serve::failed;

/// How the demo is set up.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Ctrl-C ends all of it in order. Starting it again goes on with the same fleet and its history."
)]
pub(crate) struct DemoOptions {
    /// Where everything is kept; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "muster-data")]
    data: PathBuf,
    /// How many machines are simulated
    #[arg(long, value_name = "N", default_value_t = 24)]
    machines: usize,
    /// Where the dashboard, the API and the machines connect
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7700")]
    listen: SocketAddr,
    /// Where /healthz, /readyz and /metrics are asked for; one port above the other by default
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,
    /// Where all chance comes from: another seed is another fleet
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// A simulated machine that records what it does, once for each; none: no machine
    #[arg(long, value_name = "NAME", default_value = RECORDED)]
    record: Vec<String>,
    /// What moves comes to rest without a link for so many seconds
    #[arg(long, value_name = "S", default_value_t = LINK_LOST_AFTER.as_secs(), value_parser = clap::value_parser!(u64).range(1..=86_400))]
    link_lost_after: u64,
    #[command(flatten)]
    log: LogOptions,
}

/// Who records, unless somebody else is named: the first robot, which is in every fleet.
const RECORDED: &str = "ada";
/// What is said where nobody shall.
const NOBODY: &str = "none";
/// Most simulated machines beside the server in one process.
const MACHINES_MAX: usize = 20_000;
/// How long this computer's machine may take to end.
const STOP_WITHIN: Duration = Duration::from_secs(6);
/// Pause before this computer's machine is started again.
const START_AGAIN_AFTER: Duration = Duration::from_secs(2);

impl DemoOptions {
    /// Who records.
    fn recorded(&self) -> Vec<String> {
        let nobody = self.machines == 0 || self.record == [NOBODY];
        if nobody { Vec::new() } else { self.record.clone() }
    }
}

/// Runs the demo until it is asked to end.
pub(crate) fn run(options: DemoOptions) -> ExitCode {
    if let Err(code) = options.log.start("error,muster_fleet=warn") {
        return code;
    }
    if options.machines > MACHINES_MAX {
        eprintln!(
            "error[MST-X002]: --machines is {}: 0 to {MACHINES_MAX} is accepted",
            options.machines
        );
        return ExitCode::from(EXIT_CONFIGURATION);
    }
    if let Err(error) = check_record(options.seed, options.machines, &options.recorded()) {
        return fail(error.code(), &error, EXIT_CONFIGURATION);
    }
    raise_open_files(options.machines * 2);
    block_on(async move {
        let shutdown = Shutdown::new();
        tokio::select! {
            code = demo(options, shutdown.clone()) => code,
            code = signals(shutdown) => code,
        }
    })
}

async fn demo(options: DemoOptions, shutdown: Shutdown) -> ExitCode {
    // The server ends last: the machines tell it what they still have to tell.
    let (serving, clock) = (Shutdown::new(), Clock::start());
    if let Err(error) = make_private(&options.data) {
        eprintln!(
            "error[MST-S009]: {} cannot be made: {error}",
            options.data.display()
        );
        return ExitCode::from(EXIT_DATA);
    }
    let server = match Server::start(server_options(&options), clock, serving.clone()).await {
        Ok(server) => server,
        Err(error) => return failed(&error),
    };
    let (address, admin, known) = (
        server.address(),
        server.admin_address(),
        server.fleet().views().len(),
    );
    let url: ServerUrl = match format!("ws://{address}").parse() {
        Ok(url) => url,
        Err(error) => {
            return fail(
                "MST-X002",
                &muster_machine::options::ServerUrlError::clone(&error),
                EXIT_CONFIGURATION,
            );
        }
    };
    let tasks = Tasks::new(shutdown.clone());
    let host = this_computer(
        options.data.join("host"),
        format!("ws://{address}"),
        shutdown.clone(),
    );
    tasks.spawn("this computer", OnEnd::Continue, host);
    if options.machines > 0 {
        let fleet = FleetOptions {
            machines: options.machines,
            seed: options.seed,
            server: url,
            data: options.data.join("sim"),
            start_within: Duration::from_millis(1_500),
            record: options.recorded(),
            link_lost_after: Duration::from_secs(options.link_lost_after),
        };
        let simulated = muster_sim::fleet::run(fleet, clock, shutdown.clone());
        tasks.spawn("simulated fleet", OnEnd::ShutDown, async move {
            simulated
                .await
                .map_err(|error| format!("[{}] {}", error.code(), muster_runtime::errors::chain(&error)))
        });
    }
    announce(&options, address, admin, known);
    // A server that ends by itself takes the machines along.
    let ended = server.run_to_checkpoint();
    tokio::pin!(ended);
    let early = tokio::select! {
        ended = &mut ended => Some(ended),
        () = shutdown.requested() => None,
    };
    shutdown.request("the server ended");
    if early.is_none() {
        eprintln!("\nEnding: the machines first, then the server.");
    }
    let failures = tasks.finish(STOP_WITHIN + Duration::from_secs(2)).await;
    serving.request("the demo ends");
    let ended = match early {
        Some(ended) => ended,
        None => ended.await,
    };
    for failure in &failures {
        eprintln!("error: {failure}");
    }
    match ended {
        Err(error) => failed(&error),
        Ok(()) if failures.is_empty() => {
            eprintln!(
                "All is kept in {}. The same command goes on from here.",
                options.data.display()
            );
            ExitCode::SUCCESS
        }
        Ok(()) => ExitCode::FAILURE,
    }
}

fn server_options(options: &DemoOptions) -> Options {
    let mut server = Options::new(options.data.join("server"));
    server.listen = options.listen;
    // Said when it starts and on every page; refused for addresses that others reach.
    server.access = AccessMode::TrustLoopback;
    let above = |mut address: SocketAddr| {
        // Port 0 is any free port, for both.
        address.set_port(if address.port() == 0 {
            0
        } else {
            address.port().saturating_add(1)
        });
        address
    };
    server.admin_listen = Some(options.admin_listen.unwrap_or_else(|| above(options.listen)));
    server
}

fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

fn announce(options: &DemoOptions, address: SocketAddr, admin: Option<SocketAddr>, known: usize) {
    let admin = admin
        .map(|admin| format!("http://{admin}/metrics"))
        .unwrap_or_default();
    let fleet = match known {
        0 => "a new fleet".to_owned(),
        known => format!("{known} machines known from before, with their history"),
    };
    let server = if address == SocketAddr::from(([127, 0, 0, 1], 7700)) {
        String::new()
    } else {
        format!(" --server http://{address}")
    };
    println!(
        "\nMuster is running.

  Dashboard   http://{address}
  API         http://{address}/docs.html
  Metrics     {admin}
  Data        {data}
  Recordings  {recordings}

  Server      {fleet}
  Machines    this computer, as it really is, in a process of its own
              {machines} simulated: lekiwi robots, cars and Pis in Munich, Berlin and Oslo (seed {seed})

Try, in another terminal:

  muster status{server}
  muster machines --filter kind=car --watch{server}
  muster events --follow{server}
  muster machines --at '1m ago'{server}

(`muster` is this executable; from the sources: cargo run --release -- status)
Ctrl-C ends all of it.",
        data = options.data.display(),
        recordings = recordings(options),
        machines = options.machines,
        seed = options.seed,
    );
}

/// Where recordings are, and of whom.
fn recordings(options: &DemoOptions) -> String {
    let host = options.data.join("host").join(RECORDINGS);
    let host = format!("{} (this computer)", host.display());
    let recorded = options.recorded();
    if recorded.is_empty() {
        return host;
    }
    let simulated = options.data.join("sim").join(RECORDINGS);
    format!("{host}, {} ({})", simulated.display(), recorded.join(", "))
}

/// Keeps this computer's machine running in a process of its own.
async fn this_computer(data: PathBuf, server: String, shutdown: Shutdown) -> Result<(), String> {
    let executable =
        std::env::current_exe().map_err(|error| format!("this executable is not to be found: {error}"))?;
    loop {
        let mut child = start(&executable, &data, &server)
            .map_err(|error| format!("{} cannot be started: {error}", executable.display()))?;
        tokio::select! {
            ended = child.wait() => {
                let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
                tracing::warn!(%how, "this computer's machine ended and is started again");
            }
            () = shutdown.requested() => return stop(child).await,
        }
        tokio::select! {
            () = tokio::time::sleep(START_AGAIN_AFTER) => {}
            () = shutdown.requested() => return Ok(()),
        }
    }
}

fn start(executable: &Path, data: &Path, server: &str) -> std::io::Result<Child> {
    Command::new(executable)
        .args([
            "agent",
            "run",
            "--server",
            server,
            "--log-level",
            "warn",
            "--data",
        ])
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // Ctrl-C in the terminal reaches the whole group: the demo decides the order of the end.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

async fn stop(mut child: Child) -> Result<(), String> {
    if let Some(pid) = child
        .id()
        .and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed()))
    {
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .map_err(|error| error.to_string())?;
    }
    match tokio::time::timeout(STOP_WITHIN, child.wait()).await {
        Ok(_) => Ok(()),
        Err(_) => child.kill().await.map_err(|error| error.to_string()),
    }
}
