//! What machines recorded and brought here: files, in a folder for each machine.
//!
//! A file comes in pieces ([`Recordings::append`]) and has no name before all of it is there and its digest is right
//! ([`Recordings::finish`]). Nothing here is ever removed to make room: these are evidence, and people remove them. Everything blocks; what
//! returns is on the disk.
//!
//! `recordings/<machine>/part-<command>-<length>` is being brought, `<file>` is complete, `about-<file>` says what of it the fleet wants to know.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use muster_model::recording::Name;
use muster_model::{MachineId, Timestamp};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::directory::DataDirectory;
use crate::error::OpenError;

const FOLDER: &str = "recordings";
const PART: &str = "part-";
const ABOUT: &str = "about-";
/// What nobody goes on with for so long is removed.
const PART_KEPT_FOR: Duration = Duration::from_secs(3 * 24 * 3_600);
/// Files whose trouble is remembered.
const TROUBLE_MAX: usize = 1_000;
/// What is read at once while a digest is made.
const READ_BYTES: usize = 256 * 1024;

/// Bounds for recordings.
#[derive(Clone, Copy, Debug)]
pub struct RecordingsOptions {
    /// Most bytes of all recordings.
    pub bytes_max: u64,
    /// What stays free on the disk for everything else.
    pub reserve_bytes: u64,
}

/// A file that is being brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// By which machine.
    pub machine: MachineId,
    /// For which command.
    pub command: Uuid,
}

/// How far one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartState {
    /// Which.
    pub part: Part,
    /// Bytes that are here.
    pub offset: u64,
    /// Bytes that it will have.
    pub length: u64,
}

/// A recording that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecording {
    /// Its file.
    pub file: String,
    /// How long it is.
    pub bytes: u64,
    /// What was said about it when it was finished.
    pub about: Vec<u8>,
}

/// Why a recording cannot be taken, or is not there.
#[derive(Debug, thiserror::Error)]
pub enum RecordingsError {
    /// There is another number of bytes here than was thought.
    #[error("{have} bytes are here, so a piece for byte {given} does not fit")]
    Offset {
        /// Bytes that are here.
        have: u64,
        /// What was given.
        given: u64,
    },
    /// Its length was another before, or less than there is.
    #[error("it has {known} bytes, and not {given}")]
    Length {
        /// What was said first.
        known: u64,
        /// What was said now.
        given: u64,
    },
    /// All room for recordings is taken.
    #[error(
        "recordings take {used} of the {max} bytes that they may, and this one needs {needed}: remove some, or allow more"
    )]
    Full {
        /// Bytes of all recordings.
        used: u64,
        /// What is allowed.
        max: u64,
        /// What this one takes.
        needed: u64,
    },
    /// The disk has no room for it besides what stays free.
    #[error(
        "the disk has {free} bytes left, and this recording needs {needed} besides what stays free for everything else"
    )]
    DiskFull {
        /// What is left.
        free: u64,
        /// What this one takes.
        needed: u64,
    },
    /// Another piece of the same file is being written.
    #[error("another piece of it is being written")]
    Busy,
    /// What came is not what was sent.
    #[error("it came with other content than it was sent with; what came was thrown away")]
    Digest,
    /// There is none of this name.
    #[error("there is no such recording here")]
    Unknown,
    /// The disk.
    #[error("{what}")]
    Io {
        /// What could not be done.
        what: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// All recordings that the fleet has.
#[derive(Debug)]
pub struct Recordings {
    root: PathBuf,
    options: RecordingsOptions,
    inner: Mutex<Inner>,
    // The directory stays ours as long as somebody may write into it.
    _directory: DataDirectory,
}

#[derive(Debug, Default)]
struct Inner {
    /// Bytes of all complete ones, and the whole length of those that are being brought.
    used: u64,
    /// Those of which a piece is being written.
    busy: HashSet<Part>,
    /// Why the last piece of some was not taken.
    trouble: HashMap<Part, String>,
}

/// Lets go of a part again.
struct Held<'a>(&'a Recordings, Part);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.inner.lock().busy.remove(&self.1);
    }
}

impl Recordings {
    /// Looks what is there. Parts that nobody goes on with are removed.
    pub fn open(
        directory: &DataDirectory,
        options: RecordingsOptions,
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        let root = directory.file(FOLDER);
        let refused = |doing| {
            let path = root.clone();
            move |source| OpenError::Io { path, doing, source }
        };
        make(&root).map_err(refused("created"))?;
        let mut used = 0;
        for folder in fs::read_dir(&root).map_err(refused("read"))? {
            let folder = folder.map_err(refused("read"))?.path();
            sweep(&folder, now);
            used += taken(&folder).map_err(refused("read"))?;
        }
        Ok(Self {
            root,
            options,
            inner: Mutex::new(Inner {
                used,
                ..Inner::default()
            }),
            _directory: directory.clone(),
        })
    }

    /// Bytes that all of them take, and those that they may.
    pub fn usage(&self) -> (u64, u64) {
        (self.inner.lock().used, self.options.bytes_max)
    }

    /// How far a file is; nothing of it is here if none of it was ever brought.
    pub fn part(&self, part: Part) -> Result<Option<PartState>, RecordingsError> {
        let parts = self.parts(part.machine)?;
        Ok(parts.into_iter().find(|state| state.part == part))
    }

    /// All that a machine is bringing.
    pub fn parts(&self, machine: MachineId) -> Result<Vec<PartState>, RecordingsError> {
        let files =
            files(&self.folder(machine)).map_err(io("the recordings of a machine cannot be listed"))?;
        let parts = files.into_iter().filter_map(|(file, offset)| {
            let (command, length) = part_of(&file)?;
            Some(PartState {
                part: Part { machine, command },
                offset,
                length,
            })
        });
        Ok(parts.collect())
    }

    /// Why the last piece of a file was not taken, if that is something that people can change.
    pub fn trouble(&self, part: Part) -> Option<String> {
        self.inner.lock().trouble.get(&part).cloned()
    }

    /// Puts a piece behind what is here of a file of `length` bytes; returns how many bytes are here then, on the disk.
    pub fn append(&self, part: Part, offset: u64, length: u64, piece: &[u8]) -> Result<u64, RecordingsError> {
        let appended = self.append_piece(part, offset, length, piece);
        let mut inner = self.inner.lock();
        match &appended {
            Err(
                error @ (RecordingsError::Full { .. }
                | RecordingsError::DiskFull { .. }
                | RecordingsError::Io { .. }),
            ) if inner.trouble.len() < TROUBLE_MAX => {
                inner.trouble.insert(part, error.to_string());
            }
            Err(_) => {}
            Ok(_) => {
                inner.trouble.remove(&part);
            }
        }
        appended
    }

    fn append_piece(
        &self,
        part: Part,
        offset: u64,
        length: u64,
        piece: &[u8],
    ) -> Result<u64, RecordingsError> {
        let _held = self.hold(part)?;
        let state = match self.part(part)? {
            Some(state) => state,
            None => self.begin(part, length)?,
        };
        if state.length != length {
            let known = state.length;
            return Err(RecordingsError::Length { known, given: length });
        }
        if state.offset != offset {
            let have = state.offset;
            return Err(RecordingsError::Offset { have, given: offset });
        }
        let end = offset + piece.len() as u64;
        if end > length {
            return Err(RecordingsError::Length {
                known: length,
                given: end,
            });
        }
        let path = self.part_path(part, length);
        let written = OpenOptions::new().append(true).open(&path).and_then(|mut file| {
            let written = file.write_all(piece).and_then(|()| file.sync_data());
            if written.is_err() {
                // What is here is what was answered, or a piece would come twice.
                file.set_len(offset)?;
            }
            written
        });
        written.map_err(|source| self.refused(source, length))?;
        Ok(end)
    }

    /// All of a file is here: it gets its name if its digest is right, and is thrown away if not.
    pub fn finish(
        &self,
        part: Part,
        name: &Name,
        digest: [u8; 32],
        about: &[u8],
    ) -> Result<(), RecordingsError> {
        let _held = self.hold(part)?;
        let state = self.part(part)?.ok_or(RecordingsError::Unknown)?;
        if state.offset != state.length {
            return Err(RecordingsError::Offset {
                have: state.offset,
                given: state.length,
            });
        }
        let path = self.part_path(part, state.length);
        if digest_of(&path).map_err(io("what came cannot be read"))? != digest {
            fs::remove_file(&path).map_err(io("what came cannot be thrown away"))?;
            self.inner.lock().used -= state.length;
            return Err(RecordingsError::Digest);
        }
        let folder = self.folder(part.machine);
        let file = name.file();
        let replaced = fs::metadata(folder.join(&file)).map_or(0, |there| there.len());
        write(&folder.join(format!("{ABOUT}{file}")), about)
            .and_then(|()| fs::rename(&path, folder.join(&file)))
            .and_then(|()| sync(&folder))
            .map_err(io("a recording cannot be given its name"))?;
        self.inner.lock().used -= replaced;
        Ok(())
    }

    /// All complete ones of a machine, the oldest first.
    pub fn list(&self, machine: MachineId) -> Result<Vec<StoredRecording>, RecordingsError> {
        let folder = self.folder(machine);
        let listed = io("the recordings of a machine cannot be listed");
        let mut all: Vec<(Name, StoredRecording)> = Vec::new();
        for (file, bytes) in files(&folder).map_err(listed)? {
            if let Some(name) = Name::of(&file) {
                let about = fs::read(folder.join(format!("{ABOUT}{file}"))).unwrap_or_default();
                all.push((name, StoredRecording { file, bytes, about }));
            }
        }
        all.sort_by(|(a, one), (b, other)| (a.from, &one.file).cmp(&(b.from, &other.file)));
        Ok(all.into_iter().map(|(_, stored)| stored).collect())
    }

    /// What was said about those of a machine that were complete and were removed in the last days: whoever brings one of them again need not.
    pub fn removed(&self, machine: MachineId) -> Result<Vec<Vec<u8>>, RecordingsError> {
        let folder = self.folder(machine);
        let files = files(&folder).map_err(io("the recordings of a machine cannot be listed"))?;
        let removed = files.iter().filter_map(|(about, _)| {
            let file = about.strip_prefix(ABOUT)?;
            let gone = !files.iter().any(|(there, _)| there == file);
            gone.then(|| fs::read(folder.join(about)).ok()).flatten()
        });
        Ok(removed.collect())
    }

    /// Where a complete one lies.
    pub fn path(&self, machine: MachineId, file: &str) -> Result<PathBuf, RecordingsError> {
        let name = Name::of(file).ok_or(RecordingsError::Unknown)?;
        let path = self.folder(machine).join(name.file());
        if path.is_file() {
            Ok(path)
        } else {
            Err(RecordingsError::Unknown)
        }
    }

    /// Removes a complete one for good. What was said about it stays for a few days.
    pub fn remove(&self, machine: MachineId, file: &str) -> Result<(), RecordingsError> {
        let path = self.path(machine, file)?;
        let removed = io("a recording cannot be removed");
        let bytes = fs::metadata(&path).map_or(0, |there| there.len());
        fs::remove_file(&path)
            .and_then(|()| sync(&self.folder(machine)))
            .map_err(removed)?;
        let mut inner = self.inner.lock();
        inner.used = inner.used.saturating_sub(bytes);
        Ok(())
    }

    fn hold(&self, part: Part) -> Result<Held<'_>, RecordingsError> {
        if self.inner.lock().busy.insert(part) {
            Ok(Held(self, part))
        } else {
            Err(RecordingsError::Busy)
        }
    }

    /// Takes in the first of a file, if there is room for all of it.
    fn begin(&self, part: Part, length: u64) -> Result<PartState, RecordingsError> {
        let folder = self.folder(part.machine);
        make(&folder).map_err(io("the folder of a machine cannot be made"))?;
        let free = free_bytes(&folder).map_err(io("the disk does not say what is free"))?;
        if free < length.saturating_add(self.options.reserve_bytes) {
            return Err(RecordingsError::DiskFull { free, needed: length });
        }
        {
            let mut inner = self.inner.lock();
            let max = self.options.bytes_max;
            if inner.used.saturating_add(length) > max {
                return Err(RecordingsError::Full {
                    used: inner.used,
                    max,
                    needed: length,
                });
            }
            inner.used += length;
        }
        let created = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(self.part_path(part, length))
            .and_then(|_| sync(&folder));
        if let Err(source) = created {
            self.inner.lock().used -= length;
            return Err(self.refused(source, length));
        }
        Ok(PartState {
            part,
            offset: 0,
            length,
        })
    }

    fn refused(&self, source: std::io::Error, needed: u64) -> RecordingsError {
        if source.kind() == ErrorKind::StorageFull || source.kind() == ErrorKind::QuotaExceeded {
            let free = free_bytes(&self.root).unwrap_or(0);
            return RecordingsError::DiskFull { free, needed };
        }
        RecordingsError::Io {
            what: "a piece of a recording cannot be written".to_owned(),
            source,
        }
    }

    fn folder(&self, machine: MachineId) -> PathBuf {
        self.root.join(machine.to_string())
    }

    fn part_path(&self, part: Part, length: u64) -> PathBuf {
        self.folder(part.machine)
            .join(format!("{PART}{}-{length}", part.command.simple()))
    }
}

fn io(what: &str) -> impl FnOnce(std::io::Error) -> RecordingsError {
    let what = what.to_owned();
    |source| RecordingsError::Io { what, source }
}

fn part_of(file: &str) -> Option<(Uuid, u64)> {
    let (command, length) = file.strip_prefix(PART)?.split_once('-')?;
    Some((Uuid::try_parse(command).ok()?, length.parse().ok()?))
}

/// Makes a folder for its owner alone.
fn make(path: &Path) -> std::io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => path.parent().map_or(Ok(()), sync),
    }
}

fn sync(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Files of a folder with their lengths; none if it is not there.
fn files(folder: &Path) -> std::io::Result<Vec<(String, u64)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut all = Vec::new();
    for entry in entries {
        let entry = entry?;
        // What was removed in this moment is not there.
        if let Ok(metadata) = entry.metadata()
            && metadata.is_file()
        {
            all.push((entry.file_name().to_string_lossy().into_owned(), metadata.len()));
        }
    }
    Ok(all)
}

/// Bytes that the recordings of one folder take, those that are being brought as a whole.
fn taken(folder: &Path) -> std::io::Result<u64> {
    let taken = files(folder)?
        .into_iter()
        .map(|(file, bytes)| match part_of(&file) {
            Some((_, length)) => length,
            None if Name::of(&file).is_some() => bytes,
            None => 0,
        });
    Ok(taken.sum())
}

/// Removes parts that nobody goes on with, and what was said about those that are long gone.
fn sweep(folder: &Path, now: Timestamp) {
    let all = files(folder).unwrap_or_default();
    let is_there = |name: &str| all.iter().any(|(there, _)| there == name);
    for (file, _) in &all {
        let left = part_of(file).is_some() || file.strip_prefix(ABOUT).is_some_and(|name| !is_there(name));
        let path = folder.join(file);
        let touched = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok();
        let touched = touched.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let now = Duration::from_millis(u64::try_from(now.as_millis()).unwrap_or(0));
        let age = touched.and_then(|at| now.checked_sub(at));
        if left && age.is_some_and(|age| age > PART_KEPT_FOR) {
            tracing::info!(%file, "what is left of a recording is removed");
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(%error, %file, "it cannot be removed");
            }
        }
    }
}

fn digest_of(path: &Path) -> std::io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            read => hash.update(&buffer[..read]),
        }
    }
}

fn free_bytes(path: &Path) -> std::io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests;
