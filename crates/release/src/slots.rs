//! Two slots, and the change from one to the other.
//!
//! ```text
//! PRODUCT/a/  b/                a whole release each
//! PRODUCT/a.json  b.json        its manifest
//! PRODUCT/current               a link to one of them, changed by rename
//! PRODUCT/state                 what is being done, replaced by rename
//! ```
//!
//! [`Slots::install`] fills the slot that is not in use, [`Slots::activate`] changes over to it on probation, every start is counted by
//! [`Slots::count_start`] before it happens, [`Slots::confirm`] ends the probation, [`Slots::roll_back`] goes back. Each of them is durable
//! when it comes back, and each can be cut at any instant: [`Slots::open`] finds out from what is there how things stand, and then the same
//! can be done again. Nothing here decides *when* to do any of it, and nothing is started here.
//!
//! The order of what is written is the whole point, and the tests in `crash` take it apart: what is named is durable before what
//! names it, the state that says "worth nothing" before what is destroyed, the state that says "on probation" before `current` moves.

mod fill;
mod state;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use state::{Ended, Held, Probation, RollingBack, Slot, State, Step, WHY_MAX_CHARS};

use crate::blobs::{BlobError, Blobs};
use crate::digest::Sha256Digest;
use crate::files::{DiskError, Files, Found, Room, beside, make_all, read_small, replace};
use crate::manifest::{MANIFEST_MAX_BYTES, Manifest, ManifestError, Payload};

/// So often a version on probation is started; if none of these starts ends in a confirmation, the next one is of the version before.
pub const STARTS_MAX: u32 = 3;
/// So much of the disk stays free besides what a release takes.
pub const RESERVE_BYTES: u64 = 16 * 1024 * 1024;

const CURRENT: &str = "current";
const STATE: &str = "state";

/// The slots of one product on one machine.
#[derive(Debug)]
pub struct Slots {
    files: Arc<dyn Files>,
    place: PathBuf,
    product: String,
    state: State,
    current: Option<Slot>,
    /// The disk failed in the middle: what is on it may be older or newer than what is known here.
    is_unsure: bool,
    #[cfg(test)]
    pub(crate) planted: Option<Planted>,
}

/// Bugs that the tests put in, to see that they are found. Built without tests there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planted {
    /// The slot is filled while the state still says what lay in it.
    SlotIsNotGivenUp,
    /// What was written is believed.
    NotVerifiedAgain,
    /// A start is only kept in memory.
    CountedAfterTheStart,
    /// `current` is removed and then made.
    CurrentIsRemovedFirst,
}

/// What cannot be done with slots, and why.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// The manifest is not accepted.
    #[error("the manifest is not accepted")]
    Manifest(#[from] ManifestError),
    /// It is a release of something else.
    #[error("it is a release of {found}, and these are the slots of {product}")]
    OtherProduct {
        /// Of what.
        found: String,
        /// What lies here.
        product: String,
    },
    /// What the payload is cannot lie in a slot.
    #[error("an image of a container is not installed into slots")]
    NoFiles,
    /// A blob is missing or damaged.
    #[error("the content of the release is not whole")]
    Blob(#[from] BlobError),
    /// The file system is too full.
    #[error(
        "{needed_bytes} bytes are needed and {free_bytes} are free, those that the slot has now included"
    )]
    NoRoom {
        /// What the release takes, with the reserve.
        needed_bytes: u64,
        /// What there is.
        free_bytes: u64,
    },
    /// A later one was confirmed here.
    #[error("its counter is {counter}, and {floor} was confirmed here: the counter of a release only grows")]
    Lower {
        /// Of the release.
        counter: u64,
        /// The highest that was confirmed.
        floor: u64,
    },
    /// Another release has the same counter.
    #[error(
        "its counter is {counter}, as that of version {version} which is in use, and it is another release"
    )]
    SameCounter {
        /// Of both.
        counter: u64,
        /// The version in use.
        version: String,
    },
    /// It is not the time for that.
    #[error("{what}: {why}")]
    NotNow {
        /// What was asked for.
        what: &'static str,
        /// Why it cannot be done.
        why: String,
    },
    /// What lies in a slot is not what its manifest says.
    #[error("{} is not as the manifest says: {what}", path.display())]
    NotWhole {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// What is kept about the slots cannot be used.
    #[error("{} cannot be used: {what}", path.display())]
    Damaged {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl SlotError {
    /// The stable code, with a page under `docs/errors/`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Manifest(error) => error.code(),
            Self::Blob(error) => error.code(),
            Self::NoRoom { .. } => "MST-U008",
            Self::Lower { .. } | Self::SameCounter { .. } => "MST-U009",
            Self::NotWhole { .. } => "MST-U010",
            Self::Damaged { .. } => "MST-U011",
            Self::NotNow { .. } | Self::OtherProduct { .. } | Self::NoFiles => "MST-U012",
            Self::Disk(_) => "MST-U013",
        }
    }
}

/// What comes of wanting to start what `current` leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Start it. It is confirmed.
    Confirmed(Slot),
    /// Start it. It is on probation, and this is the start of this number.
    OnProbation(Slot, u32),
    /// It was started often enough: `current` leads to the version before. Start that.
    RolledBack(Slot),
    /// There is nothing to start: nothing was ever confirmed.
    Nothing,
}

impl Slots {
    /// Opens the slots of a product below `place`, makes the directory where it is not there, and finds out from what is there how things
    /// stand. What was cut half-way is worth nothing, but a change back, which goes on.
    ///
    /// # Errors
    ///
    /// [`SlotError::Damaged`] if what is there cannot have come from a power cut.
    pub fn open(files: Arc<dyn Files>, place: &Path, product: &str) -> Result<Self, SlotError> {
        crate::manifest::product(product)?;
        let place = place.join(product);
        make_all(&*files, &place)?;
        // What is found may be somebody's who was ended before it was durable: what is decided now must not outlive what it builds on.
        files.sync_directory(&place)?;
        let mut slots = Self {
            files,
            place,
            product: product.to_owned(),
            state: State::new(),
            current: None,
            is_unsure: false,
            #[cfg(test)]
            planted: None,
        };
        for name in [CURRENT, STATE, "a.json", "b.json"] {
            let left = beside(&slots.place.join(name));
            if slots.files.find(&left)?.is_some() {
                slots.files.remove_file(&left)?;
            }
        }
        slots.current = slots.read_current()?;
        slots.state = match slots.read_state()? {
            Some(state) => state,
            None => slots.found()?,
        };
        slots.recover()?;
        Ok(slots)
    }

    #[cfg(test)]
    fn is_planted(&self, bug: Planted) -> bool {
        self.planted == Some(bug)
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self, reason = "with tests it looks")]
    const fn is_planted(&self, _: Planted) -> bool {
        false
    }

    /// How things stand.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Where `current` leads.
    pub const fn current(&self) -> Option<Slot> {
        self.current
    }

    /// The release to which `current` leads.
    pub fn running(&self) -> Option<&Held> {
        self.current.and_then(|slot| self.state.held(slot))
    }

    /// Where the files of a slot lie, below the directory of [`Files`].
    pub fn path(&self, slot: Slot) -> PathBuf {
        self.place.join(slot.name())
    }

    /// Puts a release into the slot that is not in use. Everything is verified before anything is changed, and verified again, from the
    /// disk, before this comes back. One that is there already is verified and left.
    ///
    /// # Errors
    ///
    /// [`SlotError`]; up to [`SlotError::NoRoom`] nothing was changed.
    pub fn install(&mut self, manifest: &Manifest, blobs: &Blobs) -> Result<Slot, SlotError> {
        self.sure("nothing can be installed")?;
        let bytes = manifest.encode()?;
        if manifest.product != self.product {
            return Err(SlotError::OtherProduct {
                found: manifest.product.clone(),
                product: self.product.clone(),
            });
        }
        if matches!(manifest.payload, Payload::Image(_)) {
            return Err(SlotError::NoFiles);
        }
        let held = Held {
            counter: manifest.counter,
            manifest: Sha256Digest::of(&bytes),
            version: manifest.version.to_string(),
        };
        self.may_install(&held)?;
        let slot = self.current.map_or(Slot::A, Slot::other);
        if self.state.step == Step::Installed(slot)
            && self.state.held(slot) == Some(&held)
            && self.verify(slot).is_ok()
        {
            return Ok(slot);
        }
        for (digest, length) in manifest.contents() {
            blobs.verify(digest, length)?;
        }
        self.check_room(slot, manifest, bytes.len() as u64)?;
        self.put_into(slot, held, manifest, &bytes, blobs)?;
        Ok(slot)
    }

    fn may_install(&self, held: &Held) -> Result<(), SlotError> {
        let not_now = |why: &str| SlotError::NotNow {
            what: "nothing can be installed",
            why: why.to_owned(),
        };
        match &self.state.step {
            Step::Idle | Step::Installing(_) | Step::Installed(_) => {}
            Step::Probation(_) => {
                return Err(not_now("a version is on probation; confirm it or roll it back"));
            }
            Step::RollingBack(_) => return Err(not_now("a version is being rolled back")),
        }
        if let Some(running) = self.running() {
            if running == held {
                return Err(not_now("this release is the one in use"));
            }
            if running.counter == held.counter {
                return Err(SlotError::SameCounter {
                    counter: held.counter,
                    version: running.version.clone(),
                });
            }
        }
        if held.counter < self.state.floor {
            return Err(SlotError::Lower {
                counter: held.counter,
                floor: self.state.floor,
            });
        }
        Ok(())
    }

    fn check_room(&self, slot: Slot, manifest: &Manifest, manifest_bytes: u64) -> Result<(), SlotError> {
        let Room {
            free_bytes,
            block_bytes,
        } = self.files.room(&self.place)?;
        let blocks = |bytes: u64| bytes.div_ceil(block_bytes).saturating_mul(block_bytes);
        let content: u64 = manifest.files().map(|(_, file)| blocks(file.length)).sum();
        // Directories and links take a block at most, mostly less.
        let names = (manifest.entries.len() - manifest.files().count()) as u64;
        let needed_bytes = content + names * block_bytes + blocks(manifest_bytes) + RESERVE_BYTES;
        let freed = fill::taken(&*self.files, &self.path(slot), block_bytes)?;
        let free_bytes = free_bytes.saturating_add(freed);
        if free_bytes < needed_bytes {
            return Err(SlotError::NoRoom {
                needed_bytes,
                free_bytes,
            });
        }
        Ok(())
    }

    fn put_into(
        &mut self,
        slot: Slot,
        held: Held,
        manifest: &Manifest,
        bytes: &[u8],
        blobs: &Blobs,
    ) -> Result<(), SlotError> {
        // Before the first file of it goes: nobody believes in this slot any more.
        let mut state = self.state.clone();
        state.hold(slot, None);
        state.step = Step::Installing(slot);
        if !self.is_planted(Planted::SlotIsNotGivenUp) {
            self.set_state(state)?;
        }
        let root = self.path(slot);
        fill::remove(&*self.files, &root)?;
        fill::fill(&*self.files, &root, manifest, blobs)?;
        self.files.sync_directory(&self.place)?;
        replace(&*self.files, &self.manifest_path(slot), bytes)?;
        if !self.is_planted(Planted::NotVerifiedAgain) {
            fill::compare(&*self.files, &root, manifest)?;
        }
        let mut state = self.state.clone();
        state.hold(slot, Some(held));
        state.step = Step::Installed(slot);
        self.set_state(state)
    }

    /// Has `current` lead to what was installed, on probation.
    ///
    /// # Errors
    ///
    /// [`SlotError::NotNow`] if nothing is installed.
    pub fn activate(&mut self) -> Result<Slot, SlotError> {
        self.sure("nothing can be activated")?;
        let Step::Installed(slot) = self.state.step else {
            return Err(SlotError::NotNow {
                what: "nothing can be activated",
                why: "nothing was installed since the last change".to_owned(),
            });
        };
        let mut state = self.state.clone();
        state.step = Step::Probation(Probation {
            before: self.current,
            slot,
            starts: 0,
        });
        self.set_state(state)?;
        self.set_current(Some(slot))?;
        Ok(slot)
    }

    /// Says what to start, and counts it before it is started: when this comes back, the count survives a power cut. After [`STARTS_MAX`]
    /// starts without a confirmation it changes back and says so.
    ///
    /// # Errors
    ///
    /// [`SlotError`]; then nothing may be started.
    pub fn count_start(&mut self) -> Result<Start, SlotError> {
        self.sure("nothing can be started")?;
        let mut state = self.state.clone();
        state.starts += 1;
        let Step::Probation(mut probation) = self.state.step.clone() else {
            let Some(slot) = self.current else {
                return Ok(Start::Nothing);
            };
            // What proved itself is started also where the disk is full: the count only tells people of it.
            let _ = self.set_state(state);
            return Ok(Start::Confirmed(slot));
        };
        if probation.starts >= STARTS_MAX {
            self.roll_back(&format!("it was started {STARTS_MAX} times and never confirmed"))?;
            return Ok(self.current.map_or(Start::Nothing, Start::RolledBack));
        }
        probation.starts += 1;
        let (slot, starts) = (probation.slot, probation.starts);
        state.step = Step::Probation(probation);
        if self.is_planted(Planted::CountedAfterTheStart) {
            self.state = state;
        } else {
            self.set_state(state)?;
        }
        Ok(Start::OnProbation(slot, starts))
    }

    /// The version on probation has proved itself.
    ///
    /// # Errors
    ///
    /// [`SlotError::NotNow`] if there is none, or it was never started.
    pub fn confirm(&mut self) -> Result<(), SlotError> {
        self.sure("nothing can be confirmed")?;
        let not_now = |why: &str| SlotError::NotNow {
            what: "nothing can be confirmed",
            why: why.to_owned(),
        };
        let Step::Probation(probation) = &self.state.step else {
            return Err(not_now("no version is on probation"));
        };
        if probation.starts == 0 {
            return Err(not_now("it was not started yet"));
        }
        let Some(release) = self.state.held(probation.slot).cloned() else {
            return Err(not_now("its slot is empty"));
        };
        let mut state = self.state.clone();
        state.floor = state.floor.max(release.counter);
        state.last = Some(Ended {
            release,
            rolled_back: None,
        });
        state.step = Step::Idle;
        self.set_state(state)
    }

    /// Has `current` lead to the version before. That is verified first: if it is damaged, what is on probation stays.
    ///
    /// # Errors
    ///
    /// [`SlotError::NotNow`] if no version is on probation; [`SlotError::NotWhole`].
    pub fn roll_back(&mut self, why: &str) -> Result<(), SlotError> {
        self.sure("nothing can be rolled back")?;
        let Step::Probation(probation) = &self.state.step else {
            return Err(SlotError::NotNow {
                what: "nothing can be rolled back",
                why: "no version is on probation".to_owned(),
            });
        };
        let rolling = RollingBack {
            from: probation.slot,
            to: probation.before,
            why: why.chars().take(WHY_MAX_CHARS).collect(),
        };
        if let Some(slot) = rolling.to {
            self.verify(slot)?;
        }
        let mut state = self.state.clone();
        state.step = Step::RollingBack(rolling.clone());
        self.set_state(state)?;
        self.go_back(rolling)
    }

    /// Has `current` lead to the other slot again although the version in use is confirmed: somebody asked for it. What lies there is
    /// verified first.
    ///
    /// # Errors
    ///
    /// [`SlotError::NotNow`] if something is being done, or nothing lies in the other slot; [`SlotError::NotWhole`].
    pub fn return_to_other(&mut self, why: &str) -> Result<(), SlotError> {
        self.sure("nothing can be brought back")?;
        let not_now = |why: &str| SlotError::NotNow {
            what: "nothing can be brought back",
            why: why.to_owned(),
        };
        if self.state.step != Step::Idle {
            return Err(not_now("a change is under way"));
        }
        let Some(from) = self.current else {
            return Err(not_now("nothing is in use"));
        };
        let to = from.other();
        if self.state.held(to).is_none() {
            return Err(not_now("nothing lies in the other slot"));
        }
        self.verify(to)?;
        let rolling = RollingBack {
            from,
            to: Some(to),
            why: why.chars().take(WHY_MAX_CHARS).collect(),
        };
        let mut state = self.state.clone();
        state.step = Step::RollingBack(rolling.clone());
        self.set_state(state)?;
        self.go_back(rolling)
    }

    /// The manifest of what lies in a slot.
    ///
    /// # Errors
    ///
    /// [`SlotError::NotWhole`] if nothing does.
    pub fn manifest(&self, slot: Slot) -> Result<Manifest, SlotError> {
        Ok(self.read_manifest(slot)?.0)
    }

    fn go_back(&mut self, rolling: RollingBack) -> Result<(), SlotError> {
        self.set_current(rolling.to)?;
        let mut state = self.state.clone();
        state.last = state.held(rolling.from).cloned().map(|release| Ended {
            release,
            rolled_back: Some(rolling.why),
        });
        state.step = Step::Idle;
        self.set_state(state)
    }

    /// Compares what lies in a slot with its manifest, and that with what `state` says.
    ///
    /// # Errors
    ///
    /// [`SlotError::NotWhole`] with the first thing that differs.
    pub fn verify(&self, slot: Slot) -> Result<(), SlotError> {
        let path = self.manifest_path(slot);
        let not_whole = |what: &str| SlotError::NotWhole {
            path: path.clone(),
            what: what.to_owned(),
        };
        let Some(held) = self.state.held(slot) else {
            return Err(not_whole("nothing is known to lie there"));
        };
        let (manifest, digest) = self.read_manifest(slot)?;
        if digest != held.manifest {
            return Err(not_whole("it is the manifest of another release"));
        }
        fill::compare(&*self.files, &self.path(slot), &manifest)
    }

    fn read_manifest(&self, slot: Slot) -> Result<(Manifest, Sha256Digest), SlotError> {
        let path = self.manifest_path(slot);
        if self.files.find(&path)?.is_none() {
            return Err(SlotError::NotWhole {
                path,
                what: "it is not there".to_owned(),
            });
        }
        let bytes = read_small(&*self.files, &path, MANIFEST_MAX_BYTES)?;
        Ok((Manifest::decode(&bytes)?, Sha256Digest::of(&bytes)))
    }

    fn manifest_path(&self, slot: Slot) -> PathBuf {
        self.place.join(format!("{slot}.json"))
    }

    fn read_current(&self) -> Result<Option<Slot>, SlotError> {
        let path = self.place.join(CURRENT);
        let damaged = |what: String| SlotError::Damaged {
            path: path.clone(),
            what,
        };
        match self.files.find(&path)? {
            None => return Ok(None),
            Some(Found::Link) => {}
            Some(_) => return Err(damaged("it is no link".to_owned())),
        }
        let to = self.files.read_link(&path)?;
        match [Slot::A, Slot::B]
            .into_iter()
            .find(|slot| to == Path::new(slot.name()))
        {
            Some(slot) => Ok(Some(slot)),
            None => Err(damaged(format!("it leads to {}, which is no slot", to.display()))),
        }
    }

    fn read_state(&self) -> Result<Option<State>, SlotError> {
        let path = self.place.join(STATE);
        if self.files.find(&path)?.is_none() {
            return Ok(None);
        }
        let bytes = read_small(&*self.files, &path, state::STATE_MAX_BYTES)?;
        let damaged = |what: String| SlotError::Damaged {
            path: path.clone(),
            what,
        };
        let state: State = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if state.format != state::FORMAT {
            return Err(damaged(format!("its format is {}", state.format)));
        }
        Ok(Some(state))
    }

    /// Without a state: what `current` leads to counts as confirmed if it is whole. This never follows from a power cut.
    fn found(&self) -> Result<State, SlotError> {
        let mut state = State::new();
        let Some(slot) = self.current else {
            return Ok(state);
        };
        let (manifest, digest) = self.read_manifest(slot)?;
        if manifest.product != self.product {
            return Err(SlotError::OtherProduct {
                found: manifest.product,
                product: self.product.clone(),
            });
        }
        fill::compare(&*self.files, &self.path(slot), &manifest)?;
        state.floor = manifest.counter;
        state.hold(
            slot,
            Some(Held {
                counter: manifest.counter,
                manifest: digest,
                version: manifest.version.to_string(),
            }),
        );
        Ok(state)
    }

    /// What was cut is brought to where it can be done again.
    fn recover(&mut self) -> Result<(), SlotError> {
        let stands = match self.state.step.clone() {
            // The inactive slot is filled from the beginning.
            Step::Idle | Step::Installing(_) => {
                self.current.is_none_or(|slot| self.state.held(slot).is_some())
            }
            Step::Installed(slot) => self.current != Some(slot),
            Step::Probation(probation) if self.current == Some(probation.slot) => true,
            // Cut before `current` moved, so nothing of it was started. It can be activated again.
            Step::Probation(probation) if self.current == probation.before && probation.starts == 0 => {
                self.state.step = Step::Installed(probation.slot);
                true
            }
            Step::Probation(_) => false,
            Step::RollingBack(rolling) => {
                self.go_back(rolling)?;
                true
            }
        };
        if stands {
            return Ok(());
        }
        Err(SlotError::Damaged {
            path: self.place.join(CURRENT),
            what: format!(
                "it leads to {:?}, and the state says {:?}",
                self.current, self.state.step
            ),
        })
    }

    fn set_state(&mut self, state: State) -> Result<(), SlotError> {
        let bytes = serde_json::to_vec(&state).expect("structs of strings and whole numbers can be written");
        self.is_unsure = true;
        replace(&*self.files, &self.place.join(STATE), &bytes)?;
        self.is_unsure = false;
        self.state = state;
        Ok(())
    }

    /// After a sync that failed nobody knows what is on the disk.
    fn sure(&self, what: &'static str) -> Result<(), SlotError> {
        if self.is_unsure {
            return Err(SlotError::NotNow {
                what,
                why: "the disk failed in the middle of a change; open the slots again".to_owned(),
            });
        }
        Ok(())
    }

    fn set_current(&mut self, to: Option<Slot>) -> Result<(), SlotError> {
        let path = self.place.join(CURRENT);
        self.is_unsure = true;
        match to {
            Some(slot) => {
                let new = beside(&path);
                if self.files.find(&new)?.is_some() {
                    self.files.remove_file(&new)?;
                }
                if self.is_planted(Planted::CurrentIsRemovedFirst) && self.current.is_some() {
                    self.files.remove_file(&path)?;
                }
                self.files.link(slot.name(), &new)?;
                self.files.rename(&new, &path)?;
            }
            None if self.files.find(&path)?.is_some() => self.files.remove_file(&path)?,
            None => {}
        }
        self.files.sync_directory(&self.place)?;
        self.is_unsure = false;
        self.current = to;
        Ok(())
    }
}
