//! What systemd runs to end the unit of a keeper: somebody stopped it, or the computer is shut down.
//!
//! Its own signal would end the keeper first: nobody would read what the program prints last, or know how it ended.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use muster_reflex::workload::Instance;

use super::files::Directory;

/// Between two looks whether it ended.
const LOOK: Duration = Duration::from_millis(50);
/// How long the rest may take after the program was killed.
pub(crate) const AFTER_KILL_S: u32 = 5;

/// What a keeper is asked, so that only this instance ends.
pub(super) fn word(instance: Instance) -> String {
    format!("others {instance}")
}

/// Asks an instance to end, as its definition says, and waits until it did; kills it when its time is over. The argument is its number.
pub(super) fn stop(directory: &Path, rest: &[OsString]) -> io::Result<ExitCode> {
    let files = Directory::new(directory);
    let instance = rest
        .first()
        .and_then(|word| word.to_str())
        .and_then(|word| word.parse().ok());
    let launch = files.launch()?.filter(|launch| Some(launch.instance) == instance);
    let Some(launch) = launch else {
        return Ok(ExitCode::SUCCESS);
    };
    files.ask(&word(launch.instance))?;
    let begun = Instant::now();
    let most_s = u64::from(launch.workload.stop.timeout_s);
    while files.is_kept()? {
        let past = begun.elapsed();
        if past >= Duration::from_secs(most_s + u64::from(AFTER_KILL_S)) {
            break;
        }
        if past >= Duration::from_secs(most_s) {
            files.ask("kill")?;
        }
        super::pause(LOOK);
    }
    Ok(ExitCode::SUCCESS)
}
