//! What must hold after a power cut.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::Left;
use super::record::Promise;
use super::script::{PRODUCT, Release, fetch};
use crate::blobs::{Blobs, Listed};
use crate::files::{Disk, DiskError, Files, Found, Room};
use crate::slots::{STARTS_MAX, Slot, Slots, Start, State, Step};

/// What lies outside of the slots.
pub(super) const KEPT: &[u8] = b"nobody's business";

/// Turns of whoever repeats an update: after that it does not end.
const TURNS_MAX: usize = 12;

/// The real disk without waiting for it: what is asked here is what happens after a cut, and there is no second one.
#[derive(Debug)]
struct NotSynced(Disk);

impl Files for NotSynced {
    fn create(&self, path: &Path) -> Result<File, DiskError> {
        self.0.create(path)
    }
    fn write(&self, path: &Path, file: &mut File, bytes: &[u8]) -> Result<(), DiskError> {
        self.0.write(path, file, bytes)
    }
    fn set_mode(&self, path: &Path, file: &File, executable: bool) -> Result<(), DiskError> {
        self.0.set_mode(path, file, executable)
    }
    fn sync_file(&self, _: &Path, _: &File) -> Result<(), DiskError> {
        Ok(())
    }
    fn sync_directory(&self, _: &Path) -> Result<(), DiskError> {
        Ok(())
    }
    fn make_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.0.make_directory(path)
    }
    fn link(&self, to: &str, path: &Path) -> Result<(), DiskError> {
        self.0.link(to, path)
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.0.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        self.0.remove_file(path)
    }
    fn remove_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.0.remove_directory(path)
    }
    fn find(&self, path: &Path) -> Result<Option<Found>, DiskError> {
        self.0.find(path)
    }
    fn list(&self, path: &Path) -> Result<Vec<OsString>, DiskError> {
        self.0.list(path)
    }
    fn open(&self, path: &Path) -> Result<File, DiskError> {
        self.0.open(path)
    }
    fn read_link(&self, path: &Path) -> Result<PathBuf, DiskError> {
        self.0.read_link(path)
    }
    fn room(&self, path: &Path) -> Result<Room, DiskError> {
        self.0.room(path)
    }
}

/// Knows what was in use and what was to come.
#[derive(Debug)]
pub(super) struct Judge {
    /// Nothing at the first installation.
    pub(super) old: Option<Release>,
    pub(super) new: Release,
}

/// How far an update is, so that it can be said that it did not go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    Begun,
    Installed,
    Started(u32),
    Ended,
}

impl Judge {
    /// Opens what a power cut left, and says what is wrong with it.
    pub(super) fn look(&self, root: &Path, left: &Left) -> Result<(), String> {
        let files: Arc<dyn Files> = Arc::new(NotSynced(Disk::open(root).map_err(|error| error.to_string())?));
        let slots = Slots::open(Arc::clone(&files), Path::new("slots"), PRODUCT)
            .map_err(|error| format!("the slots do not open: {error}"))?;
        self.sound(&slots)?;
        self.kept_promises(&slots, &files, &left.promised)?;
        drop(slots);
        self.repeat(&files)?;
        let outside = std::fs::read(root.join("outside/keep")).map_err(|error| error.to_string())?;
        let beside = std::fs::read_dir(root.join("outside")).map_err(|error| error.to_string())?;
        if outside != KEPT || beside.count() != 1 {
            return Err("something outside of the slots was touched".to_owned());
        }
        Ok(())
    }

    /// `current` leads to a whole version of the two, and what is said to be whole is.
    fn sound(&self, slots: &Slots) -> Result<(), String> {
        for slot in [Slot::A, Slot::B] {
            if slots.state().held(slot).is_some() {
                slots
                    .verify(slot)
                    .map_err(|error| format!("slot {slot} is said to be whole: {error}"))?;
            }
        }
        let Some(slot) = slots.current() else {
            return match &self.old {
                Some(_) => Err("current leads nowhere".to_owned()),
                None => Ok(()),
            };
        };
        slots
            .verify(slot)
            .map_err(|error| format!("current leads to what is not whole: {error}"))?;
        let running = slots.running().map(|held| held.manifest);
        if running != Some(self.new.digest()) && running != self.old.as_ref().map(Release::digest) {
            return Err(format!("current leads to {running:?}, which is neither"));
        }
        Ok(())
    }

    fn is_new(&self, slots: &Slots) -> bool {
        slots
            .running()
            .is_some_and(|held| held.manifest == self.new.digest())
    }

    fn progress(&self, slots: &Slots) -> Result<Progress, String> {
        let state: &State = slots.state();
        match &state.step {
            Step::Installing(_) => Ok(Progress::Begun),
            Step::Installed(_) => Ok(Progress::Installed),
            Step::Probation(_) if !self.is_new(slots) => {
                Err("what is on probation is not what is in use".to_owned())
            }
            Step::Probation(probation) => Ok(Progress::Started(probation.starts)),
            Step::RollingBack(_) => Err("a change back was left half-way".to_owned()),
            Step::Idle => match &state.last {
                Some(ended) if ended.release.manifest == self.new.digest() => Ok(Progress::Ended),
                _ if self.is_new(slots) => {
                    Err("the new version is in use and was never confirmed".to_owned())
                }
                _ => Ok(Progress::Begun),
            },
        }
    }

    /// What somebody was told before the cut is so.
    fn kept_promises(
        &self,
        slots: &Slots,
        files: &Arc<dyn Files>,
        promised: &[Promise],
    ) -> Result<(), String> {
        let blobs = Blobs::open(Arc::clone(files), Path::new("blobs")).map_err(|error| error.to_string())?;
        for listed in blobs.list().map_err(|error| error.to_string())? {
            if let Listed::Blob { digest, length } = listed {
                blobs.verify(digest, length).map_err(|error| error.to_string())?;
            }
        }
        let progress = self.progress(slots)?;
        let starts = promised
            .iter()
            .filter(|one| matches!(one, Promise::Started(_)))
            .count() as u32;
        if let Progress::Started(counted) = progress
            && counted > starts + 1
        {
            return Err(format!("{counted} starts are counted, and there were {starts}"));
        }
        for promise in promised {
            let at_least = match promise {
                Promise::Begun => Progress::Begun,
                Promise::Kept(digest, length) => {
                    blobs
                        .verify(*digest, *length)
                        .map_err(|error| format!("a blob that was kept: {error}"))?;
                    Progress::Begun
                }
                Promise::Installed => Progress::Installed,
                Promise::Activated => Progress::Started(0),
                Promise::Started(number) => Progress::Started(*number),
                Promise::Confirmed | Promise::Returning | Promise::RolledBack => Progress::Ended,
            };
            if progress < at_least {
                return Err(format!("{promise:?} was promised, and it is at {progress:?}"));
            }
        }
        let is_kept = match promised.last() {
            Some(Promise::Confirmed) => self.is_new(slots),
            Some(Promise::RolledBack) => !self.is_new(slots),
            _ => true,
        };
        if !is_kept {
            return Err(format!(
                "{:?} was promised, and something else is in use",
                promised.last()
            ));
        }
        Ok(())
    }

    /// Whoever was cut off begins again, and it ends well.
    fn repeat(&self, files: &Arc<dyn Files>) -> Result<(), String> {
        let said = |error: &dyn std::error::Error| format!("repeating it: {error}");
        let blobs = Blobs::open(Arc::clone(files), Path::new("blobs")).map_err(|error| said(&error))?;
        fetch(&blobs, &self.new, |_, _| {});
        let mut starts = 0;
        for _ in 0..TURNS_MAX {
            // Each time as after a start.
            let mut slots =
                Slots::open(Arc::clone(files), Path::new("slots"), PRODUCT).map_err(|error| said(&error))?;
            self.sound(&slots)?;
            match slots.state().step.clone() {
                Step::Idle if self.is_new(&slots) => return Ok(()),
                Step::Idle | Step::Installing(_) => {
                    slots
                        .install(&self.new.manifest, &blobs)
                        .map_err(|error| said(&error))?;
                }
                Step::Installed(_) => {
                    // Which release it is somebody else knows: installing it again is nothing.
                    slots
                        .install(&self.new.manifest, &blobs)
                        .map_err(|error| said(&error))?;
                    slots.activate().map_err(|error| said(&error))?;
                }
                Step::Probation(_) => {
                    if let Start::OnProbation(_, counted) =
                        slots.count_start().map_err(|error| said(&error))?
                    {
                        if counted > STARTS_MAX || counted <= starts {
                            return Err(format!("start {counted} comes after start {starts}"));
                        }
                        starts = counted;
                        slots.confirm().map_err(|error| said(&error))?;
                    }
                }
                Step::RollingBack(_) => return Err("a change back was left half-way".to_owned()),
            }
        }
        Err("repeating it does not end".to_owned())
    }
}
