//! All recordings of one machine: what is there, what has to go, and what a power cut left unfinished.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use muster_model::Timestamp;
use muster_model::recording::Shown;

use super::reader::{End, Reader};
use super::segment::Segment;
use super::{About, Options, RecordingError};
use muster_model::recording::name::{Kind, Name, PART};

/// What is behind the name of a file that is being recovered.
const RECOVERING: &str = ".recovering";
/// Most files that people keep; a further one is refused.
pub const PINNED_MAX: usize = 64;

/// A recording that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What its name says.
    pub name: Name,
    /// The name itself.
    pub file: String,
    /// How long it is.
    pub bytes: u64,
}

impl Entry {
    /// As it is shown.
    pub fn shown(&self) -> Shown {
        Shown::named(self.name.clone(), self.bytes)
    }
}

/// A file that nobody had finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// What it is called now; nothing if nothing could be read.
    pub file: Option<String>,
    /// How many messages it holds.
    pub messages: u64,
    /// Why it does not hold more.
    pub why: String,
}

/// What is left when room was made.
#[derive(Clone, Debug)]
pub struct Left {
    /// Complete recordings, the oldest first.
    pub entries: Vec<Entry>,
    /// What is missing to go on, for a person.
    pub short_of: Option<&'static str>,
}

/// Makes the directory, for its owner alone.
pub fn make(directory: &Path) -> Result<(), RecordingError> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(RecordingError::io(format!(
            "{} cannot be made",
            directory.display()
        )))
}

/// Every complete recording, the oldest first.
pub fn list(directory: &Path) -> Result<Vec<Entry>, RecordingError> {
    let mut all = Vec::new();
    for (file, bytes) in files(directory)? {
        if let Some(name) = Name::of(&file) {
            all.push(Entry { name, file, bytes });
        }
    }
    all.sort_by(|a, b| (a.name.from, &a.file).cmp(&(b.name.from, &b.file)));
    Ok(all)
}

fn files(directory: &Path) -> Result<Vec<(String, u64)>, RecordingError> {
    let refused = || RecordingError::io(format!("{} cannot be read", directory.display()));
    let mut all = Vec::new();
    for file in fs::read_dir(directory).map_err(refused())? {
        let file = file.map_err(refused())?;
        // Who was removed in this moment is not there.
        if let Ok(metadata) = file.metadata()
            && metadata.is_file()
        {
            all.push((file.file_name().to_string_lossy().into_owned(), metadata.len()));
        }
    }
    Ok(all)
}

/// What is free on the disk for us.
pub fn free_bytes(directory: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(directory)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Removes what is too old or too much, the oldest first; `waits_since` is the moment from which on rolling files are still
/// needed. `written` is what the file that is being written has.
pub fn make_room(
    options: &Options,
    now: Timestamp,
    waits_since: Option<Timestamp>,
    written: u64,
) -> Result<Left, RecordingError> {
    let directory = &options.directory;
    let mut all = list(directory)?;
    let oldest = now.plus_millis(-i64::try_from(options.age_max.as_millis()).unwrap_or(i64::MAX));
    let needed = |entry: &Entry| waits_since.is_some_and(|since| entry.name.to >= since);
    let rolls = |entry: &Entry| entry.name.kind == Kind::Rolling;
    let kept = |entry: &Entry| matches!(entry.name.kind, Kind::Kept(_));
    let remove = |all: &mut Vec<Entry>, place: usize| {
        let entry = all.remove(place);
        tracing::debug!(file = %entry.file, "a recording makes room");
        fs::remove_file(directory.join(&entry.file))
            .map_err(RecordingError::io(format!("{} cannot be removed", entry.file)))
    };
    while let Some(place) = all
        .iter()
        .position(|entry| rolls(entry) && !needed(entry) && entry.name.to < oldest)
    {
        remove(&mut all, place)?;
    }
    while all.iter().filter(|entry| kept(entry)).count() > options.kept_max
        && let Some(place) = all.iter().position(kept)
    {
        remove(&mut all, place)?;
    }
    loop {
        let bytes: u64 = all.iter().map(|entry| entry.bytes).sum::<u64>() + written;
        let free = free_bytes(directory).map_err(RecordingError::io("the disk does not say what is free"))?;
        let enough = free >= options.reserve_bytes;
        if bytes <= options.bytes_max && enough {
            return Ok(Left {
                entries: all,
                short_of: None,
            });
        }
        let newest_kept = all.iter().rposition(kept);
        let goes = all
            .iter()
            .position(|entry| rolls(entry) && !needed(entry))
            .or_else(|| {
                all.iter()
                    .position(kept)
                    .filter(|place| Some(*place) != newest_kept)
            });
        match goes {
            Some(place) => remove(&mut all, place)?,
            None => {
                let short_of = if !enough {
                    Some(
                        "the disk is full but for what stays free for the rest of the machine (recording.reserve_mb)",
                    )
                } else if written == 0 {
                    Some(
                        "what is kept fills all that recordings may take (recording.max_mb): remove some of it",
                    )
                } else {
                    // The file that is being written is soon finished, and can go then.
                    None
                };
                return Ok(Left {
                    entries: all,
                    short_of,
                });
            }
        }
    }
}

/// Reads what a power cut left unfinished, and finishes it. What is being cut out is cut anew: the wish for it is there.
pub fn recover(directory: &Path, about: &About) -> Result<Vec<Recovered>, RecordingError> {
    let mut all = Vec::new();
    for (file, _) in files(directory)? {
        let path = directory.join(&file);
        if file.ends_with(RECOVERING) || (file.ends_with(PART) && file.starts_with("kept-")) {
            remove_file(&path)?;
        } else if file.ends_with(PART) {
            all.push(recover_one(directory, &path, about)?);
        }
    }
    Ok(all)
}

fn recover_one(directory: &Path, part: &Path, about: &About) -> Result<Recovered, RecordingError> {
    let mut reader = Reader::open(part)?;
    let working: PathBuf = part.with_extension(&RECOVERING[1..]);
    let mut segment: Option<Segment> = None;
    while let Some(message) = reader.next() {
        let segment = match &mut segment {
            Some(segment) => segment,
            None => {
                let known = reader.about();
                let about = if known.machine.is_empty() { about } else { known };
                segment.insert(Segment::create(working.clone(), about)?)
            }
        };
        segment.copy(&message)?;
    }
    let why = match reader.end() {
        Some(End::Broken(why)) => why.clone(),
        Some(End::Finished) | None => "it was not named".to_owned(),
    };
    let finished = segment.map(Segment::finish).transpose()?;
    let file = match finished.and_then(|finished| finished.span) {
        Some((from, to)) => {
            let name = Name {
                kind: Kind::Rolling,
                from,
                to,
            }
            .file();
            rename(&working, &directory.join(&name))?;
            Some(name)
        }
        None => None,
    };
    remove_file(part)?;
    Ok(Recovered {
        file,
        messages: finished.map_or(0, |finished| finished.messages),
        why,
    })
}

/// The path of a recording that is there; its name may come from anybody.
pub fn path_of(directory: &Path, file: &str) -> Result<PathBuf, RecordingError> {
    let path = directory.join(file);
    if file.contains('/') || Name::of(file).is_none() || !path.is_file() {
        return Err(RecordingError::Unknown(file.to_owned()));
    }
    Ok(path)
}

/// Keeps a recording until a person removes it; gives its new name.
pub fn pin(directory: &Path, file: &str, why: Option<&str>) -> Result<String, RecordingError> {
    let path = path_of(directory, file)?;
    let name = Name::of(file).ok_or_else(|| RecordingError::Unknown(file.to_owned()))?;
    let why = match (why, &name.kind) {
        (_, Kind::Pinned(_)) => return Ok(file.to_owned()),
        (Some(why), _) => why.to_owned(),
        (None, Kind::Kept(why)) => why.clone(),
        (None, Kind::Rolling) => "by_hand".to_owned(),
    };
    let pinned = list(directory)?;
    let pinned = pinned
        .iter()
        .filter(|entry| matches!(entry.name.kind, Kind::Pinned(_)));
    if pinned.count() >= PINNED_MAX {
        let text = format!("{PINNED_MAX} recordings are kept by people already: remove one first");
        return Err(RecordingError::Refused(text));
    }
    let renamed = Name {
        kind: Kind::Pinned(why),
        ..name
    }
    .file();
    rename(&path, &directory.join(&renamed))?;
    Ok(renamed)
}

/// Removes a recording.
pub fn remove(directory: &Path, file: &str) -> Result<(), RecordingError> {
    remove_file(&path_of(directory, file)?)
}

/// Gives a file another name.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), RecordingError> {
    fs::rename(from, to).map_err(RecordingError::io(format!("{} cannot be named", to.display())))?;
    // The name is on the disk when its directory is; a disk that cannot do that loses no more than the name.
    if let Some(Ok(directory)) = to.parent().map(fs::File::open) {
        let _ = directory.sync_all();
    }
    Ok(())
}

fn remove_file(path: &Path) -> Result<(), RecordingError> {
    fs::remove_file(path).map_err(RecordingError::io(format!(
        "{} cannot be removed",
        path.display()
    )))
}
