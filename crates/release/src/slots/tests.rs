use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::digest::Sha256Digest;
use crate::files::Disk;
use crate::manifest::{Entry, FORMAT, FileContent, Fits, Hooks, ImageReference, LinkTarget, What};

struct Machine {
    folder: tempfile::TempDir,
    files: Arc<dyn Files>,
    blobs: Blobs,
}

fn machine() -> Machine {
    let folder = tempfile::tempdir().unwrap();
    let files: Arc<dyn Files> = Arc::new(Disk::open(folder.path()).unwrap());
    let blobs = Blobs::open(Arc::clone(&files), Path::new("blobs")).unwrap();
    Machine { folder, files, blobs }
}

impl Machine {
    fn slots(&self) -> Slots {
        self.try_slots().unwrap()
    }

    fn try_slots(&self) -> Result<Slots, SlotError> {
        Slots::open(Arc::clone(&self.files), Path::new("slots"), "app")
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("slots/app").join(path)
    }

    /// A release whose content is in the store.
    fn release(&self, counter: u64, content: &str) -> Manifest {
        let digest = Sha256Digest::of(content.as_bytes());
        let length = content.len() as u64;
        self.blobs.put(digest, length, &mut content.as_bytes()).unwrap();
        let entry = |path: &str, what| Entry {
            path: path.to_owned(),
            what,
        };
        let file = |executable| {
            What::File(FileContent {
                executable,
                length,
                sha256: digest,
            })
        };
        Manifest {
            counter,
            entries: vec![
                entry("bin", What::Directory),
                entry("bin/app", file(true)),
                entry("data", file(false)),
                entry(
                    "link",
                    What::Link(LinkTarget {
                        to: "bin/app".to_owned(),
                    }),
                ),
            ],
            fits: Fits::default(),
            format: FORMAT,
            health: None,
            hooks: Hooks::default(),
            payload: Payload::Tree,
            preconditions: Vec::new(),
            product: "app".to_owned(),
            version: semver::Version::new(1, counter, 0),
        }
    }

    /// Slots in which this release is confirmed.
    fn confirmed(&self, counter: u64) -> Slots {
        let mut slots = self.slots();
        slots.install(&self.release(counter, "old"), &self.blobs).unwrap();
        slots.activate().unwrap();
        slots.count_start().unwrap();
        slots.confirm().unwrap();
        slots
    }

    fn in_use(&self) -> String {
        fs::read_to_string(self.path("current/bin/app")).unwrap()
    }
}

#[test]
fn a_first_release_and_the_next_go_into_one_slot_each() {
    let machine = machine();
    assert_eq!(machine.slots().count_start().unwrap(), Start::Nothing);
    let mut slots = machine.confirmed(1);
    assert_eq!(
        (machine.in_use().as_str(), slots.current()),
        ("old", Some(Slot::A))
    );
    assert_eq!(
        slots.install(&machine.release(2, "new"), &machine.blobs).unwrap(),
        Slot::B
    );
    assert_eq!(machine.in_use(), "old");
    slots.activate().unwrap();
    assert_eq!(machine.in_use(), "new");
    assert_eq!(slots.count_start().unwrap(), Start::OnProbation(Slot::B, 1));
    slots.confirm().unwrap();
    assert_eq!(slots.count_start().unwrap(), Start::Confirmed(Slot::B));
    let state = machine.slots().state().clone();
    assert_eq!((state.floor, &state.step), (2, &Step::Idle));
    assert_eq!(state.last.unwrap().rolled_back, None);
    let modes = |path: &str| fs::metadata(machine.path(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(
        (modes("b/bin"), modes("b/bin/app"), modes("b/data")),
        (0o755, 0o755, 0o644)
    );
}

#[test]
fn three_starts_without_a_confirmation_and_the_old_version_is_back() {
    let machine = machine();
    machine.confirmed(1);
    let mut slots = machine.slots();
    slots
        .install(&machine.release(2, "crashes"), &machine.blobs)
        .unwrap();
    slots.activate().unwrap();
    for number in 1..=STARTS_MAX {
        // Each start is of another process, after another power cut.
        assert_eq!(
            machine.slots().count_start().unwrap(),
            Start::OnProbation(Slot::B, number)
        );
        assert_eq!(machine.in_use(), "crashes");
    }
    let mut slots = machine.slots();
    assert_eq!(slots.count_start().unwrap(), Start::RolledBack(Slot::A));
    assert_eq!(machine.in_use(), "old");
    let why = slots.state().last.clone().unwrap().rolled_back.unwrap();
    assert_eq!(why, "it was started 3 times and never confirmed");
    assert_eq!(slots.count_start().unwrap(), Start::Confirmed(Slot::A));
    // It can be tried again, and what comes after it, too.
    slots
        .install(&machine.release(2, "crashes"), &machine.blobs)
        .unwrap();
    slots
        .install(&machine.release(3, "mended"), &machine.blobs)
        .unwrap();
}

#[test]
fn a_first_release_that_fails_leaves_nothing_to_start() {
    let machine = machine();
    let mut slots = machine.slots();
    slots
        .install(&machine.release(1, "crashes"), &machine.blobs)
        .unwrap();
    slots.activate().unwrap();
    slots.roll_back("unhealthy").unwrap();
    assert_eq!(slots.count_start().unwrap(), Start::Nothing);
    assert_eq!(machine.slots().current(), None);
    assert!(!machine.path("current").exists());
}

#[test]
fn what_is_lower_or_somebody_elses_is_refused_and_nothing_changes() {
    let machine = machine();
    let mut slots = machine.confirmed(5);
    let code = |error: SlotError| error.code();
    let mut refused = |manifest: &Manifest| slots.install(manifest, &machine.blobs).unwrap_err();
    assert!(matches!(
        refused(&machine.release(4, "low")),
        SlotError::Lower { counter: 4, floor: 5 }
    ));
    assert!(matches!(
        refused(&machine.release(5, "other")),
        SlotError::SameCounter { .. }
    ));
    assert_eq!(code(refused(&machine.release(5, "old"))), "MST-U012");
    let other = Manifest {
        product: "other".to_owned(),
        ..machine.release(6, "new")
    };
    assert!(matches!(refused(&other), SlotError::OtherProduct { .. }));
    let image = Manifest {
        entries: Vec::new(),
        payload: Payload::Image(ImageReference {
            reference: format!("app@sha256:{}", Sha256Digest::of(b"")),
        }),
        ..machine.release(6, "new")
    };
    assert!(matches!(refused(&image), SlotError::NoFiles));
    let mut out = machine.release(6, "new");
    out.entries[3].what = What::Link(LinkTarget {
        to: "../../x".to_owned(),
    });
    assert_eq!(code(refused(&out)), "MST-U002");
    assert!(!machine.path("b").exists());
    assert_eq!(slots.state().step, Step::Idle);
}

#[test]
fn blobs_that_are_missing_or_damaged_are_noticed_before_anything_changes() {
    let machine = machine();
    let mut slots = machine.confirmed(1);
    let new = machine.release(2, "new");
    let (digest, _) = new.contents().pop_first().unwrap();
    let blob = machine
        .folder
        .path()
        .join("blobs")
        .join(&digest.to_string()[..2])
        .join(digest.to_string());
    for damage in [Some("neW"), None] {
        match damage {
            Some(content) => fs::write(&blob, content).unwrap(),
            None => fs::remove_file(&blob).unwrap(),
        }
        let error = slots.install(&new, &machine.blobs).unwrap_err();
        assert!(matches!(error.code(), "MST-U005" | "MST-U006"), "{error}");
        assert!(!machine.path("b").exists());
    }
}

#[test]
fn without_room_nothing_changes_and_it_is_said_what_is_lacking() {
    let machine = machine();
    let mut slots = machine.confirmed(1);
    slots.files = Arc::new(Full(Arc::clone(&machine.files)));
    let error = slots
        .install(&machine.release(2, "new"), &machine.blobs)
        .unwrap_err();
    assert_eq!(error.code(), "MST-U008", "{error}");
    assert!(!machine.path("b").exists());
}

#[test]
fn probation_is_the_only_time_for_a_verdict() {
    let machine = machine();
    let mut slots = machine.confirmed(1);
    let not_now = |result: Result<(), SlotError>| assert!(matches!(result, Err(SlotError::NotNow { .. })));
    not_now(slots.activate().map(drop));
    not_now(slots.confirm());
    not_now(slots.roll_back("why"));
    slots.install(&machine.release(2, "new"), &machine.blobs).unwrap();
    not_now(slots.confirm());
    slots.activate().unwrap();
    // Not before it was started.
    not_now(slots.confirm());
    not_now(
        slots
            .install(&machine.release(3, "newer"), &machine.blobs)
            .map(drop),
    );
    slots.roll_back(&"w".repeat(WHY_MAX_CHARS * 2)).unwrap();
    assert_eq!(
        slots.state().last.clone().unwrap().rolled_back.unwrap().len(),
        WHY_MAX_CHARS
    );
    assert_eq!(machine.in_use(), "old");
}

#[test]
fn nobody_goes_back_to_a_version_that_is_damaged() {
    let machine = machine();
    let mut slots = machine.confirmed(1);
    slots.install(&machine.release(2, "new"), &machine.blobs).unwrap();
    slots.activate().unwrap();
    fs::write(machine.path("a/data"), "eld").unwrap();
    let error = slots.roll_back("unhealthy").unwrap_err();
    assert!(matches!(error, SlotError::NotWhole { .. }), "{error}");
    assert_eq!(machine.in_use(), "new");
}

#[test]
fn whatever_is_changed_in_a_slot_is_found() {
    let machine = machine();
    let slots = machine.confirmed(1);
    let found = |words: &str| {
        let error = slots.verify(Slot::A).unwrap_err();
        assert!(error.to_string().contains(words), "{error} does not say {words}");
    };
    slots.verify(Slot::A).unwrap();
    let data = machine.path("a/data");
    fs::write(&data, "odl").unwrap();
    found("a/data is not as the manifest says: its SHA-256");
    fs::write(&data, "old!").unwrap();
    found("a/data");
    fs::remove_file(&data).unwrap();
    found("it is not there");
    symlink("bin/app", &data).unwrap();
    found("it is Link");
    fs::remove_file(&data).unwrap();
    fs::write(&data, "old").unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o4755)).unwrap();
    found("a/data");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o644)).unwrap();
    slots.verify(Slot::A).unwrap();
    fs::write(machine.path("a/bin/more"), "").unwrap();
    found("a/bin/more is not as the manifest says: it is not in the manifest");
    fs::remove_file(machine.path("a/bin/more")).unwrap();
    fs::remove_file(machine.path("a/link")).unwrap();
    symlink("bin", machine.path("a/link")).unwrap();
    found("it leads somewhere else");
}

/// Row 21: what somebody planted in a slot leads nowhere, when it is removed, filled and compared.
#[test]
fn row_21_a_link_that_was_planted_in_a_slot_leads_nowhere() {
    let machine = machine();
    let mut slots = machine.confirmed(1);
    let outside = machine.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("app"), "nobody's business").unwrap();
    fs::create_dir(machine.path("b")).unwrap();
    symlink("../../../outside", machine.path("b/bin")).unwrap();
    symlink("../../../outside/app", machine.path("b/data")).unwrap();
    symlink("../../outside", machine.path("b.json.new")).unwrap();
    slots.install(&machine.release(2, "new"), &machine.blobs).unwrap();
    slots.verify(Slot::B).unwrap();
    let untouched = |slots: &Slots| {
        assert_eq!(
            fs::read_to_string(outside.join("app")).unwrap(),
            "nobody's business"
        );
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
        assert_eq!(slots.current(), Some(Slot::A));
    };
    untouched(&slots);
    // The whole slot is a link.
    fs::remove_dir_all(machine.path("b")).unwrap();
    symlink("../../outside", machine.path("b")).unwrap();
    slots
        .install(&machine.release(3, "newer"), &machine.blobs)
        .unwrap();
    assert!(machine.path("b").symlink_metadata().unwrap().is_dir());
    untouched(&slots);
}

#[test]
fn what_no_power_cut_leaves_is_said_and_not_guessed() {
    let machine = machine();
    machine.confirmed(1);
    let state = fs::read(machine.path("state")).unwrap();
    let damaged = |code: &str, words: &str| {
        let error = machine.try_slots().unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(words), "{error} does not say {words}");
    };
    fs::write(machine.path("state"), &state[..state.len() / 2]).unwrap();
    damaged("MST-U011", "state cannot be used");
    // Without a state what is in use counts, if it is whole.
    fs::remove_file(machine.path("state")).unwrap();
    let slots = machine.slots();
    assert_eq!((slots.state().floor, slots.current()), (1, Some(Slot::A)));
    fs::write(machine.path("a/data"), "odl").unwrap();
    damaged("MST-U010", "a/data");
    fs::remove_file(machine.path("current")).unwrap();
    symlink("/etc", machine.path("current")).unwrap();
    damaged("MST-U011", "which is no slot");
}

#[test]
fn after_a_sync_that_failed_nothing_is_believed() {
    let machine = machine();
    let mut slots = machine.confirmed(1);
    slots.install(&machine.release(2, "new"), &machine.blobs).unwrap();
    slots.activate().unwrap();
    let files = std::mem::replace(&mut slots.files, Arc::new(Full(Arc::clone(&machine.files))));
    assert_eq!(slots.count_start().unwrap_err().code(), "MST-U013");
    slots.files = files;
    assert_eq!(slots.count_start().unwrap_err().code(), "MST-U012");
    // Opened again it goes on from what is there.
    assert!(matches!(
        machine.slots().count_start().unwrap(),
        Start::OnProbation(..)
    ));
}

/// A disk that is full, and whose directories cannot be synced.
#[derive(Debug)]
struct Full(Arc<dyn Files>);

impl Files for Full {
    fn create(&self, path: &Path) -> Result<fs::File, DiskError> {
        self.0.create(path)
    }
    fn write(&self, path: &Path, file: &mut fs::File, bytes: &[u8]) -> Result<(), DiskError> {
        self.0.write(path, file, bytes)
    }
    fn set_mode(&self, path: &Path, file: &fs::File, executable: bool) -> Result<(), DiskError> {
        self.0.set_mode(path, file, executable)
    }
    fn sync_file(&self, path: &Path, file: &fs::File) -> Result<(), DiskError> {
        self.0.sync_file(path, file)
    }
    fn sync_directory(&self, path: &Path) -> Result<(), DiskError> {
        Err(DiskError {
            doing: "sync",
            path: path.to_owned(),
            source: std::io::ErrorKind::StorageFull.into(),
        })
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
    fn list(&self, path: &Path) -> Result<Vec<std::ffi::OsString>, DiskError> {
        self.0.list(path)
    }
    fn open(&self, path: &Path) -> Result<fs::File, DiskError> {
        self.0.open(path)
    }
    fn read_link(&self, path: &Path) -> Result<PathBuf, DiskError> {
        self.0.read_link(path)
    }
    fn room(&self, path: &Path) -> Result<Room, DiskError> {
        let block_bytes = self.0.room(path)?.block_bytes;
        Ok(Room {
            free_bytes: RESERVE_BYTES,
            block_bytes,
        })
    }
}

#[test]
fn somebody_may_ask_for_the_version_before() {
    let machine = machine();
    let mut slots = machine.slots();
    let refused = |slots: &mut Slots| slots.return_to_other("asked").unwrap_err().to_string();
    assert!(refused(&mut slots).contains("nothing is in use"));
    for (counter, content) in [(1, "one"), (2, "two")] {
        let manifest = machine.release(counter, content);
        slots.install(&manifest, &machine.blobs).unwrap();
        slots.activate().unwrap();
        assert!(refused(&mut slots).contains("a change is under way"));
        slots.count_start().unwrap();
        slots.confirm().unwrap();
        if counter == 1 {
            assert!(refused(&mut slots).contains("nothing lies in the other slot"));
        }
    }
    slots.return_to_other("the rollout went back").unwrap();
    let mut slots = machine.slots();
    assert_eq!(slots.running().unwrap().counter, 1);
    let last = slots.state().last.clone().unwrap();
    assert_eq!(
        (last.release.counter, last.rolled_back.as_deref()),
        (2, Some("the rollout went back"))
    );
    // What was left may come again, and nothing that is older than it.
    assert_eq!(slots.state().floor, 2);
    slots
        .install(&machine.release(3, "three"), &machine.blobs)
        .unwrap();
}

#[test]
fn every_start_is_counted_whatever_is_started() {
    let machine = machine();
    let mut slots = machine.slots();
    slots.install(&machine.release(1, "one"), &machine.blobs).unwrap();
    slots.activate().unwrap();
    slots.count_start().unwrap();
    slots.confirm().unwrap();
    slots.count_start().unwrap();
    assert_eq!(slots.count_start().unwrap(), Start::Confirmed(Slot::A));
    assert_eq!(machine.slots().state().starts, 3);
}

#[test]
fn a_damaged_version_before_is_not_gone_back_to() {
    let machine = machine();
    let mut slots = machine.slots();
    for (counter, content) in [(1, "one"), (2, "two")] {
        slots
            .install(&machine.release(counter, content), &machine.blobs)
            .unwrap();
        slots.activate().unwrap();
        slots.count_start().unwrap();
        slots.confirm().unwrap();
    }
    fs::write(machine.path("a/data"), "not one").unwrap();
    assert!(matches!(
        slots.return_to_other("asked"),
        Err(SlotError::NotWhole { .. })
    ));
    assert_eq!(machine.slots().running().unwrap().counter, 2);
}
