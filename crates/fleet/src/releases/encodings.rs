//! Contents in the forms in which they go to machines: each is made once, kept on the disk up to a bound, and made again when it is needed
//! after that.
//!
//! A form lies in `encoded/CONTENT.DICTIONARY.SHA256` (the dictionary is `zstd` where it needs none), named by what is in it: a form that is made
//! anew by another version of zstd has another name, so that nobody goes on in the one where they were in the other. A file of no length says that
//! the content does not become shorter.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use muster_protocol::link::release::DICTIONARY_MAX_BYTES;
use muster_release::Sha256Digest;
use muster_runtime::{Clock, Tasks};
use muster_store::Contents;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use super::coding::{self, Coded, CodingError, Work};
use super::error::ReleasesError;

/// Forms that are made at once: each takes a thread, and up to some 500 MiB for the largest files.
const MADE_AT_ONCE_MAX: usize = 2;
/// Forms that are made, or wait for it; beyond it contents go as they are.
const WANTED_MAX: usize = 4_096;
/// Forms that are kept, whatever they take.
const KEPT_MAX: usize = 200_000;
/// What is shorter goes as it is.
const WORTH_MIN_BYTES: u64 = 128;
/// What is longer goes as it is.
const WORTH_MAX_BYTES: u64 = 1024 * 1024 * 1024;
const WHOLE: &str = "zstd";
const NONE: &str = "none";
const NEW: &str = "new-";

/// Which form of which content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    /// The content.
    pub content: Sha256Digest,
    /// The content that the reader has.
    pub dictionary: Option<Sha256Digest>,
}

/// A form that is on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Which form it is.
    pub form: Form,
    /// How long it is.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
    path: PathBuf,
}

impl Encoded {
    /// Opens it. It may have been removed meanwhile. Blocks shortly.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn open(&self) -> std::io::Result<File> {
        File::open(&self.path)
    }
}

/// What came of making one: nothing where it would not be shorter, or cannot be made now.
type Made = Option<Encoded>;

/// What is on the disk.
pub struct Kept {
    folder: PathBuf,
    max_bytes: u64,
    forms: HashMap<Form, (Option<Coded>, u64)>,
    /// By when they were used last.
    order: BTreeMap<u64, Form>,
    bytes: u64,
    uses: u64,
}

/// All forms. Cheap to clone.
#[derive(Clone)]
pub struct Encodings(Arc<Inner>);

struct Inner {
    kept: Mutex<Kept>,
    making: Mutex<HashMap<Form, watch::Receiver<Option<Made>>>>,
    room: Arc<Semaphore>,
    contents: Contents,
    tasks: Tasks,
    clock: Clock,
    next: AtomicU64,
}

impl Kept {
    /// Looks what is there. What was being made is removed. Blocks.
    ///
    /// # Errors
    ///
    /// The folder cannot be made or read.
    pub fn open(folder: &Path, max_bytes: u64) -> Result<Self, ReleasesError> {
        let failed = |doing| {
            let path = folder.to_owned();
            move |source| ReleasesError::Disk { path, doing, source }
        };
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => made.map_err(failed("made"))?,
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed("read"))? {
            let entry = entry.map_err(failed("read"))?;
            let metadata = entry.metadata().map_err(failed("read"))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            match parse(&name, metadata.len()) {
                Some(form) => found.push((metadata.modified().ok(), form)),
                None => remove(&entry.path()),
            }
        }
        found.sort_by_key(|(used, _)| *used);
        let mut kept = Self {
            folder: folder.to_owned(),
            max_bytes,
            forms: HashMap::new(),
            order: BTreeMap::new(),
            bytes: 0,
            uses: 0,
        };
        for (_, (form, coded)) in found {
            kept.add(form, coded);
        }
        Ok(kept)
    }

    fn path(&self, form: Form, coded: Option<&Coded>) -> PathBuf {
        let with = form
            .dictionary
            .map_or_else(|| WHOLE.to_owned(), |digest| digest.to_string());
        let what = coded.map_or_else(|| NONE.to_owned(), |coded| coded.sha256.to_string());
        self.folder.join(format!("{}.{with}.{what}", form.content))
    }

    fn encoded(&self, form: Form, coded: Option<&Coded>) -> Made {
        let coded = coded?;
        Some(Encoded {
            form,
            bytes: coded.bytes,
            sha256: coded.sha256,
            path: self.path(form, Some(coded)),
        })
    }

    /// What is known of a form, which is used now.
    fn get(&mut self, form: Form) -> Option<Made> {
        let (coded, used) = *self.forms.get(&form)?;
        self.order.remove(&used);
        self.uses += 1;
        self.order.insert(self.uses, form);
        self.forms.insert(form, (coded, self.uses));
        Some(self.encoded(form, coded.as_ref()))
    }

    fn add(&mut self, form: Form, coded: Option<Coded>) {
        self.forget(form);
        self.uses += 1;
        self.forms.insert(form, (coded, self.uses));
        self.order.insert(self.uses, form);
        self.bytes += coded.map_or(0, |coded| coded.bytes);
        while (self.bytes > self.max_bytes || self.forms.len() > KEPT_MAX) && self.forms.len() > 1 {
            let Some((_, oldest)) = self.order.first_key_value() else {
                break;
            };
            let oldest = *oldest;
            if let Some((coded, _)) = self.forms.get(&oldest) {
                remove(&self.path(oldest, coded.as_ref()));
            }
            self.forget(oldest);
        }
        metrics::gauge!("muster_release_encoded_bytes").set(self.bytes as f64);
    }

    fn forget(&mut self, form: Form) {
        if let Some((coded, used)) = self.forms.remove(&form) {
            self.order.remove(&used);
            self.bytes -= coded.map_or(0, |coded| coded.bytes);
        }
    }
}

impl Encodings {
    pub(super) fn new(kept: Kept, contents: Contents, tasks: Tasks, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            kept: Mutex::new(kept),
            making: Mutex::default(),
            room: Arc::new(Semaphore::new(MADE_AT_ONCE_MAX)),
            contents,
            tasks,
            clock,
            next: AtomicU64::new(0),
        }))
    }

    /// What is known of a form now; nothing if it was not made yet.
    pub fn at_hand(&self, form: Form) -> Option<Made> {
        self.0.kept.lock().get(form)
    }

    /// It was gone when somebody wanted to read it.
    pub fn forget(&self, form: Form) {
        self.0.kept.lock().forget(form);
    }

    /// A form of some content, which is made where it is not there; nothing where the content goes as it is. Who does not wait for it leaves it
    /// being made.
    pub async fn of(&self, form: Form, length: u64) -> Made {
        if !(WORTH_MIN_BYTES..=WORTH_MAX_BYTES).contains(&length) {
            return None;
        }
        if let Some(made) = self.at_hand(form) {
            return made;
        }
        let mut making = self.making(form, length)?;
        let made = making.wait_for(Option::is_some).await;
        made.ok().and_then(|made| made.clone().flatten())
    }

    fn making(&self, form: Form, length: u64) -> Option<watch::Receiver<Option<Made>>> {
        let mut making = self.0.making.lock();
        if let Some(told) = making.get(&form) {
            return Some(told.clone());
        }
        if making.len() >= WANTED_MAX {
            metrics::counter!("muster_release_encodings_refused_total").increment(1);
            return None;
        }
        let (tell, told) = watch::channel(None);
        making.insert(form, told.clone());
        let this = self.clone();
        self.0.tasks.spawn_small(async move {
            let made = this.made(form, length).await;
            this.0.making.lock().remove(&form);
            // Nobody may wait any more.
            let _ = tell.send(Some(made));
        });
        Some(told)
    }

    async fn made(&self, form: Form, length: u64) -> Made {
        let _place = self.0.room.acquire().await.ok()?;
        if let Some(made) = self.at_hand(form) {
            return made;
        }
        let dictionary = match form.dictionary {
            None => None,
            Some(digest) => {
                let length = self.0.contents.length(*digest.as_bytes()).await.ok()??;
                if length == 0 || length > DICTIONARY_MAX_BYTES {
                    return None;
                }
                match self.0.contents.whole(*digest.as_bytes(), length).await {
                    Ok(bytes) => Some((digest, bytes)),
                    Err(error) => {
                        tracing::warn!(error = %muster_runtime::errors::chain(&error), "a file that a machine has cannot be used for a patch");
                        return None;
                    }
                }
            }
        };
        let coding = if dictionary.is_some() { "dcz" } else { "zstd" };
        let work = Work {
            contents: self.0.contents.clone(),
            digest: form.content,
            length,
            dictionary,
        };
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let new = self.0.kept.lock().folder.join(format!("{NEW}{number}"));
        let this = self.clone();
        let started = self.0.clock.mono_ms();
        let making = tokio::task::spawn_blocking(move || this.write(form, &work, &new)).await;
        let took = self.0.clock.mono_ms().saturating_sub(started);
        metrics::histogram!("muster_release_encoding_seconds", "coding" => coding)
            .record(took as f64 / 1_000.0);
        match making {
            Ok(Ok(made)) => {
                metrics::counter!("muster_release_encodings_total", "coding" => coding).increment(1);
                made
            }
            Ok(Err(error)) => {
                metrics::counter!("muster_release_encodings_failed_total").increment(1);
                tracing::error!(content = %form.content, error = %muster_runtime::errors::chain(&error), "a content could not be made shorter");
                None
            }
            // The server ends.
            Err(_) => None,
        }
    }

    fn write(&self, form: Form, work: &Work, new: &Path) -> Result<Made, CodingError> {
        let coded = coding::make(work, new);
        let coded = coded.inspect_err(|_| remove(new))?;
        let mut kept = self.0.kept.lock();
        let path = kept.path(form, coded.as_ref());
        if coded.is_none() {
            File::create(new)?;
        }
        fs::rename(new, path)?;
        kept.add(form, coded);
        Ok(kept.encoded(form, coded.as_ref()))
    }
}

/// A form by the name of its file.
fn parse(name: &str, bytes: u64) -> Option<(Form, Option<Coded>)> {
    let mut words = name.split('.');
    let (content, with, what) = (words.next()?, words.next()?, words.next()?);
    let form = Form {
        content: content.parse().ok()?,
        dictionary: match with {
            WHOLE => None,
            digest => Some(digest.parse().ok()?),
        },
    };
    let coded = match what {
        NONE => None,
        digest => Some(Coded {
            bytes,
            sha256: digest.parse().ok()?,
        }),
    };
    words.next().is_none().then_some((form, coded))
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != ErrorKind::NotFound
    {
        tracing::warn!(%error, path = %path.display(), "it cannot be removed");
    }
}
