//! How a command runs and how it ends: the async runtime, the exit codes, the last words.

use std::error::Error;
use std::future::Future;
use std::process::ExitCode;

use muster_runtime::errors::chain;

/// Something was asked for that is not accepted. Source: sysexits, EX_USAGE.
pub(crate) const EXIT_CONFIGURATION: u8 = 64;
/// The data directory cannot be used. Source: sysexits, EX_CANTCREAT.
pub(crate) const EXIT_DATA: u8 = 73;
/// What must be on disk cannot be put there. Source: sysexits, EX_IOERR.
pub(crate) const EXIT_IO: u8 = 74;
/// A port cannot be had. Source: sysexits, EX_UNAVAILABLE.
pub(crate) const EXIT_UNAVAILABLE: u8 = 69;

/// Runs a command on a runtime of its own.
pub(crate) fn block_on(command: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(command);
            // What still blocks then has had its time.
            runtime.shutdown_timeout(std::time::Duration::from_secs(2));
            code
        }
        Err(error) => {
            eprintln!("error: the system gives no threads: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Says why a command ends, with the code whose page explains it.
pub(crate) fn fail(code: &str, error: &dyn Error, exit: u8) -> ExitCode {
    eprintln!("error[{code}]: {}", chain(error));
    ExitCode::from(exit)
}

/// A line that is not accepted: for what runs for long it is its configuration, for the operator's commands their usage.
pub(crate) fn refuse(error: &clap::Error, command: Option<&std::ffi::OsStr>) -> ExitCode {
    // Help and version come this way, too. Nobody may be there to read.
    let _ = error.print();
    match (error.exit_code(), command.and_then(std::ffi::OsStr::to_str)) {
        (0, _) => ExitCode::SUCCESS,
        (_, Some("bench" | "demo" | "release" | "serve" | "sim" | "store")) => {
            ExitCode::from(EXIT_CONFIGURATION)
        }
        _ => ExitCode::from(2),
    }
}

/// Turns signals into a request to end. Comes back only where that is not possible.
pub(crate) async fn signals(shutdown: muster_runtime::Shutdown) -> ExitCode {
    if let Err(error) = shutdown.on_signals().await {
        eprintln!("error: signals cannot be listened to: {error}");
        return ExitCode::FAILURE;
    }
    // The rest ends in its own time.
    std::future::pending().await
}

/// Every connection is an open file: takes as many as the system allows, and says so if that is too few.
pub(crate) fn raise_open_files(connections: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )
    .is_err()
    {
        tracing::warn!("the limit of open files cannot be raised");
    }
    // A few files are the store's and the listeners'.
    let wanted = connections as u64 + 64;
    if let Some(allowed) = getrlimit(Resource::Nofile).current
        && allowed < wanted
    {
        tracing::warn!(
            allowed,
            wanted,
            "fewer connections can stand than are set: raise the limit of open files (ulimit -n)"
        );
    }
}
