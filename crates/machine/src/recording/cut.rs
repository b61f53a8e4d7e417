//! What a moment that matters leaves behind: a piece cut out of the rolling files.
//!
//! The wish is a file of its own ([`Wish`]) before anything else happens, so that a power cut does not lose it. A [`Cut`] is
//! made in small turns, so that whoever records meanwhile is not held up.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use muster_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::reader::Reader;
use super::segment::{Segment, nanos};
use super::{About, KEPT, RecordingError};
use muster_model::recording::name::{Kind, Name, PART, moment, word};

/// What is behind the name of a wish.
const WISH: &str = ".keep";

/// What is to be kept, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// A word: the kind of an event, a region, what a person said.
    pub why: String,
    /// For a person.
    pub text: String,
    /// What happened, when.
    pub at: Timestamp,
    /// From when …
    pub from: Timestamp,
    /// … to when it is kept.
    pub to: Timestamp,
    /// Whether a person wished it.
    pub pinned: bool,
}

impl Wish {
    fn path(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{}-{}{WISH}", moment(self.at), word(&self.why)))
    }

    /// Has it on the disk.
    pub fn write(&self, directory: &Path) -> Result<(), RecordingError> {
        let path = self.path(directory);
        let refused = || RecordingError::io(format!("{} cannot be written", path.display()));
        let file = fs::File::create(&path).map_err(refused())?;
        serde_json::to_writer(&file, self)?;
        file.sync_all().map_err(refused())
    }

    /// It came true, or cannot.
    pub fn forget(&self, directory: &Path) {
        if let Err(error) = fs::remove_file(self.path(directory)) {
            tracing::warn!(%error, "a wish to keep a recording cannot be removed");
        }
    }

    /// Every wish that waits.
    pub fn all(directory: &Path) -> Vec<Self> {
        let files = fs::read_dir(directory).into_iter().flatten().flatten();
        let wishes = files.filter(|file| file.file_name().to_string_lossy().ends_with(WISH));
        let mut all: Vec<Self> = wishes
            .filter_map(|file| serde_json::from_slice(&fs::read(file.path()).ok()?).ok())
            .collect();
        all.sort_by_key(|wish| wish.at);
        all
    }
}

/// A piece that is being cut out.
pub struct Cut {
    /// What was wished.
    pub wish: Wish,
    sources: VecDeque<PathBuf>,
    reader: Option<Reader>,
    segment: Option<Segment>,
    about: About,
    directory: PathBuf,
}

impl Cut {
    /// Begins one, out of these files in their order.
    pub fn begin(wish: Wish, sources: Vec<PathBuf>, directory: &Path, about: About) -> Self {
        Self {
            wish,
            sources: sources.into(),
            reader: None,
            segment: None,
            about,
            directory: directory.to_owned(),
        }
    }

    /// Goes on for so many messages; gives the file's name when it is done, or nothing in it if there was nothing to keep.
    pub fn turn(&mut self, messages: usize) -> Result<Option<Option<Name>>, RecordingError> {
        let (from, to) = (nanos(self.wish.from), nanos(self.wish.to).saturating_add(999_999));
        for _ in 0..messages {
            let Some(reader) = &mut self.reader else {
                let Some(source) = self.sources.pop_front() else {
                    return self.finish().map(Some);
                };
                self.reader = Some(Reader::open(&source)?);
                continue;
            };
            let Some(message) = reader.next() else {
                self.reader = None;
                continue;
            };
            if !(from..=to).contains(&message.header.log_time) {
                continue;
            }
            if self.segment.is_none() {
                let known = reader.about();
                let about = if known.machine.is_empty() {
                    self.about.clone()
                } else {
                    known.clone()
                };
                self.segment = Some(self.create(&about)?);
            }
            if let Some(segment) = &mut self.segment {
                segment.copy(&message)?;
            }
        }
        Ok(None)
    }

    fn create(&self, about: &About) -> Result<Segment, RecordingError> {
        let file = format!("kept-{}-{}{PART}", moment(self.wish.at), word(&self.wish.why));
        let path = self.directory.join(file);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(RecordingError::io(format!(
                    "{} cannot be made anew",
                    path.display()
                ))(error));
            }
            Ok(()) | Err(_) => {}
        }
        let mut segment = Segment::create(path, about)?;
        let kept = [
            ("why", self.wish.why.clone()),
            ("text", self.wish.text.clone()),
            ("at", self.wish.at.to_string()),
        ];
        let kept: BTreeMap<_, _> = kept
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        segment.describe(KEPT, kept)?;
        Ok(segment)
    }

    fn finish(&mut self) -> Result<Option<Name>, RecordingError> {
        let Some(segment) = self.segment.take() else {
            self.wish.forget(&self.directory);
            return Ok(None);
        };
        let part = segment.path().to_owned();
        let finished = segment.finish()?;
        let (from, to) = finished.span.unwrap_or((self.wish.from, self.wish.to));
        let why = self.wish.why.clone();
        let kind = if self.wish.pinned {
            Kind::Pinned(why)
        } else {
            Kind::Kept(why)
        };
        let name = Name { kind, from, to };
        let path = self.directory.join(name.file());
        fs::rename(&part, &path)
            .map_err(RecordingError::io(format!("{} cannot be named", path.display())))?;
        self.wish.forget(&self.directory);
        Ok(Some(name))
    }
}
