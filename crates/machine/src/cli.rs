//! The command line of a machine, for `muster-machine` and for the executable that holds everything.

mod beside;
mod calibration;
mod config;
mod devices;
mod enroll;
mod faults;
mod measure;
mod panel;
mod probe;
mod recordings;
mod replay;
mod services;
mod workloads;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use muster_metal::{LinuxMachine, LinuxRoots};
use muster_runtime::errors::chain;
use muster_runtime::{Clock, Shutdown};

use crate::config::Config;
use crate::error::MachineError;
use crate::identity::{Identity, IdentityError};
use crate::logging::{self, LogTap};
use crate::machine::run;
use crate::metals::MetalSource;
use crate::nodes::safety::Press;

/// The runtime of one machine: it reads the hardware, keeps what must not be lost, and tells the fleet's server.
#[derive(Debug, Parser)]
#[command(name = "muster-machine", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run this machine until it is told to end (SIGTERM or Ctrl-C).
    ///
    /// A server that is away is no error: the machine goes on, keeps what must reach the server, and tries again.
    #[command(after_help = EXIT_CODES)]
    Run(Flags),
    /// Make this computer a machine of a fleet, with a token that `muster enroll new` gave.
    Enroll(enroll::Flags),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// List the hardware of this computer, as YAML to be pasted into the machine file.
    ///
    /// Nothing is opened but GPIO chips, to ask for their lines, and nothing is set.
    Probe(probe::Flags),
    /// Say how a machine beside you stands: what may move, and why not.
    Safety(panel::Flags),
    /// Emergency stop: takes the power of what moves at once, and latches.
    ///
    /// This is a command, not an emergency stop device: it needs a runtime that works. Press the button where there is one.
    Estop(panel::Flags),
    /// Bring what moves to rest; it waits to be resumed.
    Stop(panel::Flags),
    /// Clear what is latched, once its cause is gone. The machine stands until it is resumed.
    Reset(panel::Flags),
    /// Let the machine move again.
    Resume(panel::Flags),
    /// What the devices of a machine beside you are calibrated to: show it, check, apply, go back.
    #[command(subcommand)]
    Calibration(calibration::CalibrationCommand),
    /// Show what is connected to a machine beside you, and what it reads.
    Devices(devices::Flags),
    /// Move something of a machine beside you, for as long as this runs.
    ///
    /// It claims the machine for local use, tells the safety gate what is wanted again and again, and lets go at the end or with Ctrl-C.
    Drive(devices::DriveFlags),
    /// Measure what this machine can promise.
    #[command(subcommand)]
    Measure(measure::What),
    /// Put a fault into a simulated machine, show which stand, take them out.
    Fault(faults::Flags),
    /// What the machine recorded: list it, look into it, keep it.
    Recordings(recordings::Flags),
    /// Run a recording into the same nodes again, and say what they decide otherwise.
    Replay(replay::Flags),
    /// What a machine beside you watches.
    Services(services::Flags),
    /// What a machine beside you runs for people.
    #[command(subcommand)]
    Workloads(workloads::Command),
}

const EXIT_CODES: &str = "Exit codes: 0 ended in order, 64 configuration not accepted, 70 a node failed for good, \
                          71 refused by the operating system, 73 data directory not usable, 74 data not writable.\n\
                          Each setting can also be given as MUSTER__SECTION__KEY or in the file; flags come first.";

/// What can be set on the command line; the rest stands in the file.
#[derive(Debug, Default, Args)]
struct Flags {
    /// The configuration, a YAML file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The server's address [default: where the machine enrolled, else ws://127.0.0.1:7700]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Where the machine keeps its identity and what it has yet to tell [default: /var/lib/muster-machine]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// What people call the machine [default: its host name]
    #[arg(long)]
    name: Option<String>,
    /// The kind of machine: pi, car … [default: as it enrolled, else host]
    #[arg(long)]
    kind: Option<String>,
    /// Where the machine belongs: munich, berlin …
    #[arg(long)]
    region: Option<String>,
    /// Read the hardware from proc, sys and etc under this directory
    #[arg(long, value_name = "DIR")]
    sysfs_root: Option<String>,
    /// Which lines are logged: error, warn, info, debug, or a filter [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// How log lines look: text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl Flags {
    fn load(self) -> Result<Config, MachineError> {
        let flags = [
            ("server", self.server),
            ("data", self.data),
            ("name", self.name),
            ("kind", self.kind),
            ("region", self.region),
            ("metal.sysfs_root", self.sysfs_root),
            ("log.level", self.log_level),
            ("log.format", self.log_format),
        ];
        let flags = flags.into_iter().filter_map(|(key, value)| Some((key, value?)));
        // What is not text sets nothing here.
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Ok(Config::load(self.config.as_deref(), environment, flags)?)
    }
}

/// Does what the command line says; the first argument is the program's name. The one place that ends the process.
pub fn main_with_args(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    if crate::keeper::is_meant(&args) {
        return crate::keeper::main(&args);
    }
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; if even they cannot be written, nobody is there to be told.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    let result = match cli.command {
        Command::Run(flags) => run_command(flags).map(|()| ExitCode::SUCCESS),
        Command::Enroll(flags) => enroll::run(flags),
        Command::Config(command) => config::run(command),
        Command::Probe(flags) => probe::run(&flags).map(|()| ExitCode::SUCCESS),
        Command::Safety(flags) => return panel::run(None, &flags),
        Command::Estop(flags) => return panel::run(Some(Press::Estop), &flags),
        Command::Stop(flags) => return panel::run(Some(Press::Stop), &flags),
        Command::Reset(flags) => return panel::run(Some(Press::Reset), &flags),
        Command::Resume(flags) => return panel::run(Some(Press::Resume), &flags),
        Command::Calibration(command) => return calibration::run(command),
        Command::Devices(flags) => return devices::show(&flags),
        Command::Drive(flags) => return devices::drive(&flags),
        Command::Measure(what) => return measure::run(what),
        Command::Recordings(flags) => return recordings::run(&flags),
        Command::Replay(flags) => return replay::run(&flags),
        Command::Services(flags) => return services::run(&flags),
        Command::Workloads(command) => return workloads::run(&command),
        Command::Fault(flags) => return faults::run(&flags),
    };
    match result {
        Ok(code) => code,
        Err(error) => beside::complain(
            error.exit_code(),
            &format!("{} [{}]", chain(&error), error.code()),
        ),
    }
}

fn run_command(flags: Flags) -> Result<(), MachineError> {
    let config = flags.load()?;
    let clock = Clock::start();
    let settings = &config.settings;
    let tap = settings.log_forward.map(|least| LogTap::new(clock, least));
    logging::init(&settings.log_level, settings.log_format, tap.clone()).map_err(MachineError::Logging)?;
    warn_of_strange(&config);
    let identity = Identity::open(&settings.data, clock)?;
    let mut options = config.settings.options(&hostname(), identity);
    if options.server.is_secure() && options.identity.is_none() {
        let server = options.server;
        return Err(IdentityError::NotEnrolled { server }.into());
    }
    options.log_tap = tap;
    let roots = settings
        .sysfs_root
        .clone()
        .map_or_else(LinuxRoots::default, LinuxRoots::under);
    let metal = MetalSource::fresh(move || Box::new(LinuxMachine::new(roots.clone())));
    let refused = |what| move |source| MachineError::System { what, source };
    // Nodes have threads of their own; this one looks after them and hears the signals.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(refused("a runtime"))?;
    let shutdown = Shutdown::new();
    runtime.block_on(async {
        let signals = shutdown.clone().on_signals();
        let machine = run(&settings.data, options, metal, clock, shutdown.clone());
        tokio::pin!(signals, machine);
        tokio::select! {
            result = &mut machine => result,
            // It ends only by an error: with a second signal it ends the process.
            heard = &mut signals => {
                heard.map_err(refused("signals"))?;
                machine.await
            }
        }
    })
}

fn warn_of_strange(config: &Config) {
    if !config.strange_variables.is_empty() {
        let names = config.strange_variables.join(", ");
        tracing::debug!(%names, "these variables set nothing here");
    }
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
