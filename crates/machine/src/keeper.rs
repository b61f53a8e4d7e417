//! Keeps one instance of a workload: what the runtime becomes when it starts itself as `muster-machine workload-init`.
//!
//! Three acts, each a process of its own: [`launch`] takes the lock and makes the pid namespace, [`keep`] stays beside the program, [`enter`]
//! gives up its rights and becomes the program. Beside them `check` becomes a health check inside the same isolation, and [`stop`] is how
//! systemd ends an instance. What they tell each other and the runtime lies in the workload's directory: [`files`]. They know nothing of the
//! bus, the server or other workloads.
//!
//! The runtime may die at any moment without a keeper noticing.

pub mod cgroup;
mod enter;
pub mod files;
mod keep;
mod launch;
pub mod log;
mod mounts;
mod seccomp;
pub(crate) mod stop;
mod users;

pub(crate) use keep::began;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The word by which the runtime starts itself as a keeper.
pub const COMMAND: &str = "workload-init";
/// Ends with this when another keeper has the lock.
pub const BUSY: u8 = 75;
/// Ends with this when it cannot do its work at all.
const UNFIT: u8 = 71;

/// Whether these arguments are for a keeper: they are not for people, and are not in the help.
pub fn is_meant(args: &[OsString]) -> bool {
    args.get(1).is_some_and(|word| word == COMMAND)
}

/// Plays the act that the arguments name.
pub fn main(args: &[OsString]) -> ExitCode {
    let rest: Vec<_> = args.iter().skip(4).cloned().collect();
    let (Some(act), Some(directory)) = (args.get(2).and_then(|act| act.to_str()), args.get(3)) else {
        return complain("this command is the runtime's own: see muster-machine workloads --help");
    };
    let directory = PathBuf::from(directory);
    let played = match act {
        "launch" => launch::launch(&directory, &rest),
        "keep" => keep::keep(&directory, &rest),
        "enter" => enter::enter(&directory, &rest),
        "stop" => stop::stop(&directory, &rest),
        "check" => enter::check(&directory, &rest),
        _ => return complain("there is no such act"),
    };
    match played {
        Ok(code) => code,
        Err(error) => complain(&error.to_string()),
    }
}

/// Waits. For keepers, and for threads that exist for one action: nobody else's thread is blocked.
#[expect(
    clippy::disallowed_methods,
    reason = "the kernel does not tell when what is waited for comes about, and the thread has nothing else to do"
)]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn complain(what: &str) -> ExitCode {
    eprintln!("muster-machine {COMMAND}: {what}");
    ExitCode::from(UNFIT)
}
