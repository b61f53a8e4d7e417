//! What lies in a workload's directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use muster_model::workload::report::Grant;
use muster_model::workload::{Workload, WorkloadName};
use muster_reflex::workload::{Exit, Instance, Rest};
use rustix::fs::{FlockOperation, Mode, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Held by the keeper for as long as it lives.
pub const LOCK: &str = "lock";
/// What the keeper is asked, a word a line.
pub const CONTROL: &str = "control";
/// What is to be started; written by the runtime.
const LAUNCH: &str = "launch.json";
/// What was started; written by the keeper.
const STARTED: &str = "started.json";
/// How it ended; written by the keeper.
const ENDED: &str = "ended.json";
/// What came of the instance after which nothing is started by itself; made by the runtime.
const REST: &str = "rest.json";
/// Somebody beside the machine stopped it; made by the runtime.
const HELD: &str = "held";
/// Longest file that is read here.
const FILE_MAX_BYTES: u64 = 4 << 20;

/// What is to be started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    /// Whose.
    pub name: WorkloadName,
    /// Which instance.
    pub instance: Instance,
    /// What tells its definition apart.
    pub version: String,
    /// Its definition.
    pub workload: Workload,
    /// What keeps it: `own`, `systemd`, `podman`.
    pub runner: String,
    /// Its control group's name.
    pub group: String,
    /// The kernel's mark for the boot in which it is started.
    #[serde(default)]
    pub boot: Option<String>,
}

/// What was started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// Which instance.
    pub instance: Instance,
    /// The keeper's number, as the computer counts.
    pub keeper: i32,
    /// When it began, in the kernel's ticks: two processes of one number differ in it.
    pub keeper_began: u64,
    /// The program's number, as the computer counts; none where the kernel does not tell.
    pub program: Option<i32>,
    /// What was granted.
    pub granted: Vec<Grant>,
    /// Its control groups.
    pub groups: Vec<PathBuf>,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// Which instance.
    pub instance: Instance,
    /// The status it ended with.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether it was killed for want of memory.
    pub out_of_memory: bool,
    /// Somebody else than the runtime asked it to end.
    #[serde(default)]
    pub by_others: bool,
    /// It never ran, and why.
    pub refused: Option<Refused>,
}

/// Why something never ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// For a person.
    pub why: String,
    /// Trying again is of no use.
    pub for_good: bool,
    /// What it would have been granted.
    pub granted: Vec<Grant>,
}

impl Ended {
    /// The end as the decision wants to know it.
    pub fn exit(&self) -> Exit {
        Exit {
            code: self.code,
            signal: self.signal,
            out_of_memory: self.out_of_memory,
            by_others: self.by_others,
        }
    }
}

/// The directory of one workload.
#[derive(Clone, Debug)]
pub struct Directory {
    /// Where it is.
    pub path: PathBuf,
}

impl Directory {
    /// The directory at this place.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// What is to be started; none if nothing ever was.
    pub fn launch(&self) -> io::Result<Option<Launch>> {
        read(&self.path.join(LAUNCH))
    }

    /// Says what is to be started.
    pub fn write_launch(&self, launch: &Launch) -> io::Result<()> {
        write(&self.path, LAUNCH, launch)
    }

    /// What was started.
    pub fn started(&self) -> io::Result<Option<Started>> {
        read(&self.path.join(STARTED))
    }

    /// Says what was started.
    pub fn write_started(&self, started: &Started) -> io::Result<()> {
        write(&self.path, STARTED, started)
    }

    /// How it ended.
    pub fn ended(&self) -> io::Result<Option<Ended>> {
        read(&self.path.join(ENDED))
    }

    /// Says how it ended.
    pub fn write_ended(&self, ended: &Ended) -> io::Result<()> {
        write(&self.path, ENDED, ended)
    }

    /// Whether somebody stopped it.
    pub fn is_held(&self) -> bool {
        self.path.join(HELD).exists()
    }

    /// Keeps in mind whether somebody stopped it.
    pub fn hold(&self, held: bool) -> io::Result<()> {
        let path = self.path.join(HELD);
        if held {
            return private(&path).map(drop);
        }
        remove(&path)
    }

    /// What came of an instance after which nothing is started by itself.
    pub fn rest(&self) -> io::Result<Option<Rest>> {
        read(&self.path.join(REST))
    }

    /// Keeps it in mind, or forgets it.
    pub fn write_rest(&self, rest: Option<&Rest>) -> io::Result<()> {
        match rest {
            Some(rest) => write(&self.path, REST, rest),
            None => remove(&self.path.join(REST)),
        }
    }

    /// Takes the lock; none if another has it.
    pub fn lock(&self) -> io::Result<Option<File>> {
        let file = private(&self.path.join(LOCK))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a keeper lives.
    pub fn is_kept(&self) -> io::Result<bool> {
        Ok(self.path.join(LOCK).exists() && self.lock()?.is_none())
    }

    /// Asks the keeper for something: the name of a signal, or `kill`. Nothing happens if there is none.
    pub fn ask(&self, word: &str) -> io::Result<()> {
        let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
        let control = OpenOptions::new()
            .write(true)
            .custom_flags(flags)
            .open(self.path.join(CONTROL));
        match control {
            Ok(mut control) => writeln!(control, "{word}"),
            // Nobody made it, or nobody listens.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    || error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the pipe by which a keeper is asked.
    pub fn make_control(&self) -> io::Result<File> {
        let path = self.path.join(CONTROL);
        match rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RUSR | Mode::WUSR) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
        // Open for writing as well, so that it never ends.
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open(path)
    }
}

/// Takes a file away, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Opens a file that only its owner reads.
fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let text = match fs::metadata(path) {
        Ok(metadata) if metadata.len() > FILE_MAX_BYTES => return Err(io::ErrorKind::FileTooLarge.into()),
        Ok(_) => fs::read(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some(serde_json::from_slice(&text)?))
}

/// Writes the whole file or nothing of it, also when the power goes.
fn write(directory: &Path, name: &str, value: &impl Serialize) -> io::Result<()> {
    let aside = directory.join(format!("{name}.new"));
    let mut file = private(&aside)?;
    file.set_len(0)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.sync_all()?;
    fs::rename(&aside, directory.join(name))?;
    File::open(directory)?.sync_all()
}
