//! What people asked for, on disk: `uploads/<command>.json` with a link to the file, `uploads/<command>.mcap`.
//!
//! The link is there before the wish, so a recording that was asked for is not lost when room is made.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use muster_model::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::recording::RecordingError;
use crate::recording::folder;

const FOLDER: &str = "uploads";
/// Most that may wait.
const WISHES_MAX: usize = 32;

/// A recording that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wish {
    /// The command that asked.
    pub(super) command: String,
    /// The recording's name.
    pub(super) file: String,
    /// When the machine took it on.
    pub(super) asked: Timestamp,
}

/// All of them, the oldest first.
#[derive(Debug)]
pub(super) struct Wishes {
    recordings: PathBuf,
    folder: PathBuf,
    all: Vec<Wish>,
}

impl Wishes {
    /// Those that were not done with before a restart.
    pub(super) fn open(recordings: &Path) -> Result<Self, RecordingError> {
        let folder = recordings.join(FOLDER);
        let mut all = Vec::new();
        for path in files(&folder).map_err(failed("what was asked for cannot be listed"))? {
            let read = fs::read(&path).ok();
            let wish = read.and_then(|text| serde_json::from_slice::<Wish>(&text).ok());
            match wish {
                Some(wish) if Uuid::try_parse(&wish.command).is_ok() => all.push(wish),
                // Only half of it was written: nobody was promised anything.
                Some(_) | None if path.extension().is_some_and(|end| end == "json") => {
                    let _ = fs::remove_file(&path);
                }
                Some(_) | None => {}
            }
        }
        all.sort_by(|a, b| (a.asked, &a.command).cmp(&(b.asked, &b.command)));
        let wishes = Self {
            recordings: recordings.to_owned(),
            folder,
            all,
        };
        wishes.drop_strays();
        Ok(wishes)
    }

    pub(super) fn first(&self) -> Option<&Wish> {
        self.all.first()
    }

    /// Where the content of one is.
    pub(super) fn content(&self, wish: &Wish) -> PathBuf {
        self.path(&wish.command, "mcap")
    }

    /// Takes one on. The same command again changes nothing.
    pub(super) fn add(&mut self, wish: Wish) -> Result<(), RecordingError> {
        let refused = |why: String| Err(RecordingError::Refused(why));
        if Uuid::try_parse(&wish.command).is_err() {
            return refused("the command has no proper id".to_owned());
        }
        if self.all.iter().any(|known| known.command == wish.command) {
            return Ok(());
        }
        if self.all.len() >= WISHES_MAX {
            return refused(format!("{WISHES_MAX} recordings wait already to be brought"));
        }
        let source = folder::path_of(&self.recordings, &wish.file)?;
        let written = failed("it cannot be noted that it was asked for");
        let content = self.content(&wish);
        let noted = self.path(&wish.command, "json");
        make(&self.folder)
            .and_then(|()| link(&source, &content))
            .and_then(|()| {
                let part = noted.with_extension("part");
                fs::write(&part, serde_json::to_vec(&wish)?)?;
                fs::File::open(&part)?.sync_all()?;
                fs::rename(&part, &noted)?;
                fs::File::open(&self.folder)?.sync_all()
            })
            .map_err(written)?;
        self.all.push(wish);
        Ok(())
    }

    /// The oldest is done with.
    pub(super) fn done(&mut self) {
        if self.all.is_empty() {
            return;
        }
        let wish = self.all.remove(0);
        for end in ["json", "mcap"] {
            // What cannot be removed is looked at again after the next start.
            if let Err(error) = fs::remove_file(self.path(&wish.command, end))
                && error.kind() != ErrorKind::NotFound
            {
                tracing::warn!(%error, file = %wish.file, "a recording that was brought cannot be tidied up");
            }
        }
    }

    fn path(&self, command: &str, end: &str) -> PathBuf {
        self.folder.join(format!("{command}.{end}"))
    }

    /// Removes links without a wish: the power went between the two.
    fn drop_strays(&self) {
        for path in files(&self.folder).unwrap_or_default() {
            let known = |wish: &Wish| path.file_stem().is_some_and(|stem| stem == wish.command.as_str());
            if !self.all.iter().any(known) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn failed(what: &str) -> impl FnOnce(io::Error) -> RecordingError {
    RecordingError::io(what.to_owned())
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn make(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The same content under another name; where the file system has no links, a copy.
fn link(source: &Path, target: &Path) -> io::Result<()> {
    match fs::hard_link(source, target) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(error),
        Err(_) => fs::copy(source, target).map(drop),
        Ok(()) => Ok(()),
    }
}
