//! Faults below the executable: a C library whose disk fails and whose wall clock is another.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const SOURCE: &str = include_str!("shim.c");

/// The compiled library, and the files by which it is told what to do.
pub(crate) struct Shim {
    folder: TempDir,
}

/// What the disk does, and on which of the next calls.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DiskFault {
    /// One sync fails with `EIO`.
    SyncFails(u64),
    /// One write is written by half, and the process is gone.
    TornWrite(u64),
}

impl Shim {
    pub(crate) fn new() -> Self {
        let shim = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let source = shim.path("shim.c");
        std::fs::write(&source, SOURCE).unwrap();
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .args([shim.path("shim.so"), source])
            .status()
            .expect("a C compiler is here: cargo needs one, too");
        assert!(compiled.success());
        shim.clock(0);
        shim
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        [
            ("LD_PRELOAD", "shim.so"),
            ("MUSTER_FAULT_DISK", "disk"),
            ("MUSTER_FAULT_CLOCK", "clock"),
        ]
        .map(|(name, file)| (name.to_owned(), text(&self.path(file))))
        .into()
    }

    pub(crate) fn disk(&self, fault: DiskFault) {
        let text = match fault {
            DiskFault::SyncFails(calls) => format!("eio {calls}"),
            DiskFault::TornWrite(calls) => format!("torn {calls}"),
        };
        // In one step, so that nobody reads half of it.
        std::fs::write(self.path("half"), text).unwrap();
        std::fs::rename(self.path("half"), self.path("disk")).unwrap();
    }

    pub(crate) fn disk_is_good(&self) {
        let _ = std::fs::remove_file(self.path("disk"));
    }

    /// By how many seconds the wall clock is off from now on.
    pub(crate) fn clock(&self, seconds: i64) {
        let mut options = std::fs::OpenOptions::new();
        let file = options
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.path("clock"))
            .unwrap();
        file.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }
}
