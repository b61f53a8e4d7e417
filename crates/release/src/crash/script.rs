//! The update that is cut, and what its releases hold.

use std::path::Path;
use std::sync::Arc;

use semver::Version;

use super::record::{Lie, Operation, Promise, Recorder};
use crate::blobs::Blobs;
use crate::digest::Sha256Digest;
use crate::files::Files;
use crate::manifest::{
    Entry, FORMAT, FileContent, Fits, Hooks, LinkTarget, Manifest, Payload, Started, What,
};
use crate::slots::{Planted, SlotError, Slots, Start};

pub(super) const PRODUCT: &str = "app";

/// A release with its content.
#[derive(Clone, Debug)]
pub(super) struct Release {
    pub(super) manifest: Manifest,
    pub(super) contents: Vec<Vec<u8>>,
}

impl Release {
    pub(super) fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(&self.manifest.encode().unwrap())
    }
}

fn release(counter: u64, files: &[(&str, &str)]) -> Release {
    let mut entries: Vec<Entry> = ["bin", "share", "share/deep"]
        .into_iter()
        .map(|path| Entry {
            path: path.to_owned(),
            what: What::Directory,
        })
        .collect();
    entries.push(Entry {
        path: "share/app".to_owned(),
        what: What::Link(LinkTarget {
            to: "../bin/app".to_owned(),
        }),
    });
    for (path, content) in files {
        entries.push(Entry {
            path: (*path).to_owned(),
            what: What::File(FileContent {
                executable: path.starts_with("bin/"),
                length: content.len() as u64,
                sha256: Sha256Digest::of(content.as_bytes()),
            }),
        });
    }
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    let manifest = Manifest {
        counter,
        entries,
        fits: Fits::default(),
        format: FORMAT,
        health: None,
        hooks: Hooks::default(),
        payload: Payload::Executable(Started {
            entry: "bin/app".to_owned(),
        }),
        preconditions: Vec::new(),
        product: PRODUCT.to_owned(),
        version: Version::new(1, counter, 0),
    };
    Release {
        manifest,
        contents: files
            .iter()
            .map(|(_, content)| content.as_bytes().to_vec())
            .collect(),
    }
}

/// What was in use before that.
pub(super) fn ancient() -> Release {
    release(
        2,
        &[
            ("bin/app", "the ancient program"),
            ("share/ancient", "in the ancient"),
        ],
    )
}

/// What is in use before.
pub(super) fn old() -> Release {
    release(
        3,
        &[
            ("bin/app", "the old program"),
            ("share/deep/same", "in both"),
            ("share/gone", "in the old"),
        ],
    )
}

/// What is to be in use after: it has something of the old one, something else and something more.
pub(super) fn new() -> Release {
    release(
        4,
        &[
            ("bin/app", "the new program, which is longer"),
            ("share/deep/same", "in both"),
            ("share/more", ""),
        ],
    )
}

/// How an update goes on after `current` has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Confirmed after the second start.
    Confirmed,
    /// Found unhealthy after the first start.
    Unhealthy,
    /// Never confirmed: the fourth start is of the old version.
    CrashLoop,
    /// Confirmed, and then the one before was asked for.
    Returned,
}

/// What is put into an update, to see that it is found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bugs {
    pub(super) lie: Option<Lie>,
    pub(super) planted: Option<Planted>,
    /// The program is started, and then that is counted.
    pub(super) starts_first: bool,
}

/// Puts the content of a release into the store.
pub(super) fn fetch(blobs: &Blobs, release: &Release, mut kept: impl FnMut(Sha256Digest, u64)) {
    for content in &release.contents {
        let (digest, length) = (Sha256Digest::of(content), content.len() as u64);
        blobs.put(digest, length, &mut content.as_slice()).unwrap();
        kept(digest, length);
    }
}

/// Carries out an update in a directory, and says what was done to the disk. It ends early where the product refuses to go on.
pub(super) fn run(
    root: &Path,
    is_first: bool,
    outcome: Outcome,
    bugs: Bugs,
) -> (Vec<Operation>, Result<(), SlotError>) {
    let recorder = Arc::new(Recorder::new(root, None));
    let files: Arc<dyn Files> = Arc::clone(&recorder) as Arc<dyn Files>;
    let blobs = Blobs::open(Arc::clone(&files), Path::new("blobs")).unwrap();
    let mut slots = Slots::open(Arc::clone(&files), Path::new("slots"), PRODUCT).unwrap();
    // Something that is nobody's business.
    files.make_directory(Path::new("outside")).unwrap();
    let mut file = files.create(Path::new("outside/keep")).unwrap();
    files
        .write(Path::new("outside/keep"), &mut file, super::judge::KEPT)
        .unwrap();
    files.set_mode(Path::new("outside/keep"), &file, false).unwrap();
    if !is_first {
        // The one before lies whole in the slot that will be filled.
        for release in [ancient(), old()] {
            fetch(&blobs, &release, |_, _| {});
            slots.install(&release.manifest, &blobs).unwrap();
            slots.activate().unwrap();
            slots.count_start().unwrap();
            slots.confirm().unwrap();
        }
    }
    recorder.promise(Promise::Begun);
    let mut done = recorder.take();

    // From here on with bugs.
    drop((slots, blobs, files));
    let recorder = Arc::new(Recorder::new(root, bugs.lie));
    let ended = update(&recorder, outcome, bugs);
    done.extend(recorder.take());
    (done, ended)
}

fn update(recorder: &Arc<Recorder>, outcome: Outcome, bugs: Bugs) -> Result<(), SlotError> {
    let files: Arc<dyn Files> = Arc::clone(recorder) as Arc<dyn Files>;
    let blobs = Blobs::open(Arc::clone(&files), Path::new("blobs"))?;
    let mut slots = Slots::open(Arc::clone(&files), Path::new("slots"), PRODUCT)?;
    slots.planted = bugs.planted;
    let new = new();
    fetch(&blobs, &new, |digest, length| {
        recorder.promise(Promise::Kept(digest, length));
    });
    slots.install(&new.manifest, &blobs)?;
    recorder.promise(Promise::Installed);
    slots.activate()?;
    recorder.promise(Promise::Activated);
    let starts = match outcome {
        Outcome::Confirmed | Outcome::Returned => 2,
        Outcome::Unhealthy => 1,
        Outcome::CrashLoop => 3,
    };
    for number in 1..=starts {
        if bugs.starts_first {
            recorder.promise(Promise::Started(number));
        }
        let start = slots.count_start()?;
        assert!(matches!(start, Start::OnProbation(_, counted) if counted == number));
        recorder.promise(Promise::Started(number));
    }
    match outcome {
        Outcome::Confirmed => {
            slots.confirm()?;
            recorder.promise(Promise::Confirmed);
        }
        Outcome::Returned => {
            slots.confirm()?;
            recorder.promise(Promise::Confirmed);
            slots.count_start()?;
            recorder.promise(Promise::Returning);
            slots.return_to_other("the rollout went back")?;
            recorder.promise(Promise::RolledBack);
        }
        Outcome::Unhealthy => {
            slots.roll_back("its port does not answer")?;
            recorder.promise(Promise::RolledBack);
        }
        Outcome::CrashLoop => {
            let start = slots.count_start()?;
            assert!(matches!(start, Start::RolledBack(_) | Start::Nothing));
            recorder.promise(Promise::RolledBack);
        }
    }
    Ok(())
}
