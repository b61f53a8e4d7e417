//! The first act: takes the lock, makes the pid namespace, and goes away.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::thread::UnshareFlags;

use super::files::Directory;
use super::{BUSY, COMMAND};

/// The runtime may hold the lock for a moment to see whether a keeper does.
const LOCK_TRIES: u32 = 5;
const LOCK_WAIT: Duration = Duration::from_millis(20);

/// With `stay` it becomes the keeper itself, for whoever watches this process; a namespace needs a child.
pub(super) fn launch(directory: &Path, rest: &[OsString]) -> io::Result<ExitCode> {
    let files = Directory::new(directory);
    let mut lock = files.lock()?;
    for _ in 1..LOCK_TRIES {
        if lock.is_some() {
            break;
        }
        super::pause(LOCK_WAIT);
        lock = files.lock()?;
    }
    let Some(lock) = lock else {
        return Ok(ExitCode::from(BUSY));
    };
    let stay = rest.first().is_some_and(|word| word == "stay");
    let namespace = if stay { None } else { Some(separate()) };
    let mut keeper = Command::new("/proc/self/exe");
    keeper.args([COMMAND, "keep"]).arg(directory);
    match &namespace {
        None => keeper.arg("none"),
        Some(Ok(())) => keeper.arg("made"),
        Some(Err(error)) => keeper.arg(error.to_string()),
    };
    // The lock is the open file, whoever has it open.
    keeper.stdin(Stdio::from(lock));
    if stay {
        return Err(keeper.exec());
    }
    keeper.stdout(Stdio::null()).stderr(Stdio::null());
    keeper.spawn()?;
    Ok(ExitCode::SUCCESS)
}

#[expect(
    deprecated,
    reason = "only FILES makes it unsafe, which is not used; its successor needs unsafe code, which is denied here"
)]
fn separate() -> io::Result<()> {
    rustix::thread::unshare(UnshareFlags::NEWPID).map_err(Into::into)
}
