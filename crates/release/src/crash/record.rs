//! The real disk, and a list of what was done to it. A sync is written down and not waited for: what it means is what the list is for.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use crate::digest::Sha256Digest;
use crate::files::{Disk, DiskError, Files, Found, Room};

/// One operation, or what was promised after those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Create { path: PathBuf },
    Write { path: PathBuf, bytes: Vec<u8> },
    SetMode { path: PathBuf, executable: bool },
    SyncFile { path: PathBuf },
    SyncDirectory { path: PathBuf },
    MakeDirectory { path: PathBuf },
    Link { to: String, path: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
    Remove { path: PathBuf },
    Promised(Promise),
}

/// What somebody was told, and may count on from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// The old version is in use; from here on the power may be cut.
    Begun,
    /// A blob is in the store.
    Kept(Sha256Digest, u64),
    /// The new version is whole in its slot.
    Installed,
    /// `current` leads to the new version.
    Activated,
    /// The new version was started for the time of this number.
    Started(u32),
    /// The new version was confirmed.
    Confirmed,
    /// The old version was asked for, and may be in use again.
    Returning,
    /// The old version is in use again.
    RolledBack,
}

/// What a disk does wrong although it says that it did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lie {
    /// A sync of these files does nothing.
    SyncsNoFile(&'static str),
    /// A sync of directories whose path ends so does nothing.
    SyncsNoDirectory(&'static str),
    /// The first byte that is written below this path is another one.
    ChangesWhatIsWritten(&'static str),
}

/// The real disk, with a list.
#[derive(Debug)]
pub(super) struct Recorder {
    disk: Disk,
    done: Mutex<Vec<Operation>>,
    lie: Mutex<Option<Lie>>,
}

impl Recorder {
    pub(super) fn new(root: &Path, lie: Option<Lie>) -> Self {
        Self {
            disk: Disk::open(root).unwrap(),
            done: Mutex::default(),
            lie: Mutex::new(lie),
        }
    }

    fn list(&self) -> MutexGuard<'_, Vec<Operation>> {
        self.done.lock().unwrap()
    }

    fn done<T>(&self, result: Result<T, DiskError>, operation: Operation) -> Result<T, DiskError> {
        if result.is_ok() {
            self.list().push(operation);
        }
        result
    }

    pub(super) fn promise(&self, promise: Promise) {
        self.list().push(Operation::Promised(promise));
    }

    /// Everything that was done since the last time.
    pub(super) fn take(&self) -> Vec<Operation> {
        std::mem::take(&mut self.list())
    }
}

impl Files for Recorder {
    fn create(&self, path: &Path) -> Result<File, DiskError> {
        let path_ = path.to_owned();
        self.done(self.disk.create(path), Operation::Create { path: path_ })
    }

    fn write(&self, path: &Path, file: &mut File, bytes: &[u8]) -> Result<(), DiskError> {
        let mut bytes = bytes.to_vec();
        let mut lie = self.lie.lock().unwrap();
        if let Some(Lie::ChangesWhatIsWritten(below)) = *lie
            && path.starts_with(below)
        {
            bytes[0] ^= 1;
            *lie = None;
        }
        drop(lie);
        let result = self.disk.write(path, file, &bytes);
        let path = path.to_owned();
        self.done(result, Operation::Write { path, bytes })
    }

    fn set_mode(&self, path: &Path, file: &File, executable: bool) -> Result<(), DiskError> {
        let result = self.disk.set_mode(path, file, executable);
        let path = path.to_owned();
        self.done(result, Operation::SetMode { path, executable })
    }

    fn sync_file(&self, path: &Path, _: &File) -> Result<(), DiskError> {
        if let Some(Lie::SyncsNoFile(part)) = *self.lie.lock().unwrap()
            && path.to_string_lossy().contains(part)
        {
            return Ok(());
        }
        let path_ = path.to_owned();
        self.done(Ok(()), Operation::SyncFile { path: path_ })
    }

    fn sync_directory(&self, path: &Path) -> Result<(), DiskError> {
        if let Some(Lie::SyncsNoDirectory(end)) = *self.lie.lock().unwrap()
            && path.ends_with(end)
        {
            return Ok(());
        }
        let path_ = path.to_owned();
        self.done(Ok(()), Operation::SyncDirectory { path: path_ })
    }

    fn make_directory(&self, path: &Path) -> Result<(), DiskError> {
        let path_ = path.to_owned();
        self.done(
            self.disk.make_directory(path),
            Operation::MakeDirectory { path: path_ },
        )
    }

    fn link(&self, to: &str, path: &Path) -> Result<(), DiskError> {
        let operation = Operation::Link {
            to: to.to_owned(),
            path: path.to_owned(),
        };
        self.done(self.disk.link(to, path), operation)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        assert_eq!(from.parent(), to.parent(), "a rename stays in its directory");
        let operation = Operation::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
        };
        self.done(self.disk.rename(from, to), operation)
    }

    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        let path_ = path.to_owned();
        self.done(self.disk.remove_file(path), Operation::Remove { path: path_ })
    }

    fn remove_directory(&self, path: &Path) -> Result<(), DiskError> {
        let path_ = path.to_owned();
        self.done(
            self.disk.remove_directory(path),
            Operation::Remove { path: path_ },
        )
    }

    fn find(&self, path: &Path) -> Result<Option<Found>, DiskError> {
        self.disk.find(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<OsString>, DiskError> {
        self.disk.list(path)
    }

    fn open(&self, path: &Path) -> Result<File, DiskError> {
        self.disk.open(path)
    }

    fn read_link(&self, path: &Path) -> Result<PathBuf, DiskError> {
        self.disk.read_link(path)
    }

    fn room(&self, path: &Path) -> Result<Room, DiskError> {
        self.disk.room(path)
    }
}
