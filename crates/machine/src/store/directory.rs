//! The data directory, and the lock that keeps it to one process.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::StoreError;

/// The file that is locked while a process works in the directory.
const LOCK_FILE: &str = "lock";

/// Makes the directory, for its owner alone, and takes it. It is free again when the file is closed.
pub(super) fn take(directory: &Path) -> Result<File, StoreError> {
    let fail = |doing| {
        move |source| StoreError::Directory {
            path: directory.to_owned(),
            doing,
            source,
        }
    };
    if !directory.is_dir() {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(directory).map_err(fail("created"))?;
        // The directory's own entry must be as durable as what will be acknowledged in it.
        let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))
            .and_then(|parent| parent.sync_all())
            .map_err(fail("made durable"))?;
    }
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(directory.join(LOCK_FILE))
        .map_err(fail("written to"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut text = String::new();
            let pid = file
                .read_to_string(&mut text)
                .ok()
                .and_then(|_| text.trim().parse().ok());
            return Err(StoreError::InUse {
                path: directory.to_owned(),
                pid,
            });
        }
        Err(errno) => return Err(fail("locked")(errno.into())),
    }
    // Only a hint for people: on a full disk the lock must still work.
    let noted = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    if let Err(error) = noted {
        tracing::warn!(%error, "the process id could not be noted in the lock file");
    }
    Ok(file)
}
