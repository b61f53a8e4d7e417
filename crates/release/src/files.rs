//! Everything that is done to a disk, as one small trait, and how it is really done.
//!
//! [`Disk`] has one directory and does nothing outside of it: paths are relative, and each name on the way is opened as a directory
//! without following links, so whatever somebody planted inside leads nowhere. What a power cut leaves of all this is the subject of the
//! tests in `crash`, which record these operations.
//!
//! Nothing is durable by itself: the content of a file by [`Files::sync_file`], the names in a directory by [`Files::sync_directory`].

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

/// Bytes that are read or written at once.
pub const PIECE_BYTES: usize = 64 * 1024;

const DIRECTORY_MODE: u32 = 0o755;
const PROGRAM_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// An operation on the disk failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}", path.display())]
pub struct DiskError {
    /// What was being done: `read`, `sync`.
    pub doing: &'static str,
    /// To which path.
    pub path: PathBuf,
    /// Why it failed.
    #[source]
    pub source: io::Error,
}

/// What lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A directory, with its mode.
    Directory {
        /// The permissions.
        mode: u32,
    },
    /// A file.
    File {
        /// The permissions.
        mode: u32,
        /// Bytes.
        length: u64,
    },
    /// A symbolic link.
    Link,
    /// A device, a socket or a pipe.
    Other,
}

impl Found {
    /// It is a directory as [`Files::make_directory`] makes them.
    pub fn is_directory_of_ours(self) -> bool {
        self == Self::Directory { mode: DIRECTORY_MODE }
    }

    /// It is a file of this length, with the mode that [`Files::set_mode`] gives.
    pub fn is_file_of_ours(self, executable: bool, length: u64) -> bool {
        let mode = mode_of(executable);
        self == Self::File { mode, length }
    }
}

const fn mode_of(executable: bool) -> u32 {
    if executable { PROGRAM_MODE } else { FILE_MODE }
}

/// How much room a file system has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that this process may still write.
    pub free_bytes: u64,
    /// A file takes a multiple of so many.
    pub block_bytes: u64,
}

/// Operations on one directory and what lies below it. Paths are relative to it.
pub trait Files: fmt::Debug + Send + Sync {
    /// Makes a file that is not there yet; only its owner may read it.
    ///
    /// # Errors
    ///
    /// As all of them: [`DiskError`].
    fn create(&self, path: &Path) -> Result<File, DiskError>;
    /// Writes all of these bytes behind what was written.
    fn write(&self, path: &Path, file: &mut File, bytes: &[u8]) -> Result<(), DiskError>;
    /// Gives a file its mode, whatever the mask of the process.
    fn set_mode(&self, path: &Path, file: &File, executable: bool) -> Result<(), DiskError>;
    /// What was written and its mode survive a power cut when this comes back.
    fn sync_file(&self, path: &Path, file: &File) -> Result<(), DiskError>;
    /// What was made, renamed and removed in this directory survives a power cut when this comes back.
    fn sync_directory(&self, path: &Path) -> Result<(), DiskError>;
    /// Makes a directory that is not there yet.
    fn make_directory(&self, path: &Path) -> Result<(), DiskError>;
    /// Makes a symbolic link.
    fn link(&self, to: &str, path: &Path) -> Result<(), DiskError>;
    /// Renames within one directory; what had the new name is gone in the same instant.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError>;
    /// Removes a file or a link.
    fn remove_file(&self, path: &Path) -> Result<(), DiskError>;
    /// Removes an empty directory.
    fn remove_directory(&self, path: &Path) -> Result<(), DiskError>;
    /// What lies there, without following a link there.
    fn find(&self, path: &Path) -> Result<Option<Found>, DiskError>;
    /// The names in a directory, sorted.
    fn list(&self, path: &Path) -> Result<Vec<OsString>, DiskError>;
    /// Opens a file for reading, such that what is read comes from the disk as far as the system lets one ask for that.
    fn open(&self, path: &Path) -> Result<File, DiskError>;
    /// Where a link leads.
    fn read_link(&self, path: &Path) -> Result<PathBuf, DiskError>;
    /// The room on the file system.
    fn room(&self, path: &Path) -> Result<Room, DiskError>;
}

/// A directory of this computer.
#[derive(Debug)]
pub struct Disk {
    root: OwnedFd,
    path: PathBuf,
}

impl Disk {
    /// Opens a directory that is there.
    ///
    /// # Errors
    ///
    /// [`DiskError`] if it is no directory, or may not be read.
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        let root = rustix::fs::open(
            path,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|error| failed("open", path, error))?;
        Ok(Self {
            root,
            path: path.to_owned(),
        })
    }

    /// Makes a directory and those above it where they are not there, and opens it.
    ///
    /// # Errors
    ///
    /// [`DiskError`].
    pub fn create(path: &Path) -> Result<Self, DiskError> {
        std::fs::create_dir_all(path).map_err(|source| DiskError {
            doing: "make the directory",
            path: path.to_owned(),
            source,
        })?;
        Self::open(path)
    }

    /// The directory in which the last name of a path lies, and that name.
    fn parent<'p>(&self, doing: &'static str, path: &'p Path) -> Result<(OwnedFd, &'p OsStr), DiskError> {
        let mut names = Vec::new();
        for part in path.components() {
            match part {
                Component::Normal(name) => names.push(name),
                Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
                    return Err(self.failed(doing, path, rustix::io::Errno::INVAL));
                }
            }
        }
        let last = names.pop().unwrap_or(OsStr::new("."));
        let mut here = self
            .step(self.root.as_fd(), OsStr::new("."))
            .map_err(|error| self.failed(doing, path, error))?;
        for name in names {
            here = self
                .step(here.as_fd(), name)
                .map_err(|error| self.failed(doing, path, error))?;
        }
        Ok((here, last))
    }

    fn step(&self, from: impl AsFd, name: &OsStr) -> Result<OwnedFd, rustix::io::Errno> {
        let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(from, name, how, Mode::empty())
    }

    fn directory(&self, doing: &'static str, path: &Path) -> Result<OwnedFd, DiskError> {
        let (parent, name) = self.parent(doing, path)?;
        self.step(parent, name)
            .map_err(|error| self.failed(doing, path, error))
    }

    fn failed(&self, doing: &'static str, path: &Path, error: rustix::io::Errno) -> DiskError {
        failed(doing, &self.path.join(path), error)
    }
}

fn failed(doing: &'static str, path: &Path, error: rustix::io::Errno) -> DiskError {
    DiskError {
        doing,
        path: path.to_owned(),
        source: error.into(),
    }
}

impl Files for Disk {
    fn create(&self, path: &Path) -> Result<File, DiskError> {
        let (parent, name) = self.parent("make", path)?;
        let how = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(parent, name, how, Mode::from_raw_mode(0o600))
            .map_err(|error| self.failed("make", path, error))?;
        Ok(File::from(file))
    }

    fn write(&self, path: &Path, file: &mut File, bytes: &[u8]) -> Result<(), DiskError> {
        file.write_all(bytes).map_err(|source| DiskError {
            doing: "write",
            path: self.path.join(path),
            source,
        })
    }

    fn set_mode(&self, path: &Path, file: &File, executable: bool) -> Result<(), DiskError> {
        rustix::fs::fchmod(file, Mode::from_raw_mode(mode_of(executable)))
            .map_err(|error| self.failed("set the mode of", path, error))
    }

    fn sync_file(&self, path: &Path, file: &File) -> Result<(), DiskError> {
        rustix::fs::fsync(file).map_err(|error| self.failed("sync", path, error))
    }

    fn sync_directory(&self, path: &Path) -> Result<(), DiskError> {
        let directory = self.directory("sync", path)?;
        rustix::fs::fsync(directory).map_err(|error| self.failed("sync", path, error))
    }

    fn make_directory(&self, path: &Path) -> Result<(), DiskError> {
        let (parent, name) = self.parent("make the directory", path)?;
        let mode = Mode::from_raw_mode(DIRECTORY_MODE);
        rustix::fs::mkdirat(&parent, name, mode)
            .and_then(|()| self.step(&parent, name))
            .and_then(|made| rustix::fs::fchmod(made, mode))
            .map_err(|error| self.failed("make the directory", path, error))
    }

    fn link(&self, to: &str, path: &Path) -> Result<(), DiskError> {
        let (parent, name) = self.parent("make the link", path)?;
        rustix::fs::symlinkat(to, parent, name).map_err(|error| self.failed("make the link", path, error))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        let (parent, name) = self.parent("rename", from)?;
        let (beside, new) = self.parent("rename to", to)?;
        rustix::fs::renameat(parent, name, beside, new).map_err(|error| self.failed("rename", from, error))
    }

    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        let (parent, name) = self.parent("remove", path)?;
        rustix::fs::unlinkat(parent, name, AtFlags::empty())
            .map_err(|error| self.failed("remove", path, error))
    }

    fn remove_directory(&self, path: &Path) -> Result<(), DiskError> {
        let (parent, name) = self.parent("remove", path)?;
        rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
            .map_err(|error| self.failed("remove", path, error))
    }

    fn find(&self, path: &Path) -> Result<Option<Found>, DiskError> {
        let (parent, name) = match self.parent("look at", path) {
            Ok(found) => found,
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let stat = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(self.failed("look at", path, error)),
        };
        let mode = stat.st_mode & 0o7777;
        Ok(Some(match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Found::Directory { mode },
            FileType::RegularFile => Found::File {
                mode,
                length: u64::try_from(stat.st_size).unwrap_or(0),
            },
            FileType::Symlink => Found::Link,
            _ => Found::Other,
        }))
    }

    fn list(&self, path: &Path) -> Result<Vec<OsString>, DiskError> {
        let directory = self.directory("list", path)?;
        let failed = |error| self.failed("list", path, error);
        let mut names = Vec::new();
        for entry in Dir::read_from(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn open(&self, path: &Path) -> Result<File, DiskError> {
        let (parent, name) = self.parent("read", path)?;
        // A pipe would wait for a writer.
        let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(parent, name, how, Mode::empty())
            .map_err(|error| self.failed("read", path, error))?;
        // Pages that are clean are dropped, so that what is read next comes from the disk. Not every file system can.
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
        Ok(File::from(file))
    }

    fn read_link(&self, path: &Path) -> Result<PathBuf, DiskError> {
        let (parent, name) = self.parent("read", path)?;
        let to = rustix::fs::readlinkat(parent, name, Vec::new())
            .map_err(|error| self.failed("read", path, error))?;
        Ok(PathBuf::from(OsStr::from_bytes(to.as_bytes())))
    }

    fn room(&self, path: &Path) -> Result<Room, DiskError> {
        let directory = self.directory("measure", path)?;
        let found = rustix::fs::fstatvfs(directory).map_err(|error| self.failed("measure", path, error))?;
        let block_bytes = found.f_frsize.max(1);
        Ok(Room {
            free_bytes: found.f_bavail.saturating_mul(block_bytes),
            block_bytes,
        })
    }
}

/// Makes a directory and those above it where they are not there, each durable before what comes into it.
pub(crate) fn make_all(files: &dyn Files, path: &Path) -> Result<(), DiskError> {
    let mut above = PathBuf::new();
    for name in path.components() {
        let here = above.join(name);
        if files.find(&here)?.is_none() {
            files.make_directory(&here)?;
        }
        // Also one that is there: who made it may have been ended before it was durable.
        files.sync_directory(&above)?;
        above = here;
    }
    Ok(())
}

/// Replaces a small file, such that after a power cut it is the old one or the new one.
pub(crate) fn replace(files: &dyn Files, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let beside = beside(path);
    if files.find(&beside)?.is_some() {
        files.remove_file(&beside)?;
    }
    let mut file = files.create(&beside)?;
    files.write(&beside, &mut file, bytes)?;
    files.set_mode(&beside, &file, false)?;
    files.sync_file(&beside, &file)?;
    files.rename(&beside, path)?;
    files.sync_directory(path.parent().unwrap_or(Path::new("")))
}

/// Where the next content of a file is written: in the same directory, so that it can be renamed.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

/// All of a small file.
pub(crate) fn read_small(files: &dyn Files, path: &Path, most: usize) -> Result<Vec<u8>, DiskError> {
    let mut bytes = Vec::new();
    let failed = |source| DiskError {
        doing: "read",
        path: path.to_owned(),
        source,
    };
    let mut file = files.open(path)?.take(most as u64 + 1);
    file.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > most {
        return Err(failed(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it is longer than {most} bytes"),
        )));
    }
    Ok(bytes)
}
