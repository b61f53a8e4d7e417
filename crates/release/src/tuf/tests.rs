//! People, their keys, and the server.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tough::schema::{Snapshot, Targets, Timestamp as Stamp};

use super::online::{Lifetimes, refresh};
use super::repository::{Wanted, countersign, rotate};
use super::root::Roots;
use super::*;
use crate::trust::tests::kit::{DAY_MS, Publisher, add};

#[test]
fn a_key_is_for_its_owner_only() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("alice.pem");
    let made = PrivateKey::make(&path).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(PrivateKey::read(&path).unwrap().public(), made.public());
    // Never over another one.
    assert_eq!(PrivateKey::make(&path).unwrap_err().code(), "MST-U036");
    let public = place.path().join("alice.pub");
    made.public().write(&public).unwrap();
    assert_eq!(PublicKey::read(&public).unwrap().id(), made.public().id());

    let refused = |content: Option<&str>, mode: u32, word: &str| {
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = PrivateKey::read(&path).unwrap_err();
        assert!(
            error.code() == "MST-U030" && error.to_string().contains(word),
            "{error}"
        );
    };
    refused(None, 0o640, "others may read");
    refused(Some("no key"), 0o600, "no PEM");
    refused(
        Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        0o600,
        "CERTIFICATE",
    );
    refused(
        Some("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        0o600,
        "another kind",
    );
}

#[test]
fn a_ceremony_that_cannot_be_makes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let good = Ceremony {
        root_keys: 3,
        root_threshold: 2,
        targets_keys: 1,
        targets_threshold: 1,
        online: None,
        days: 365,
    };
    let now = crate::trust::tests::kit::start();
    let bad: [fn(&mut Ceremony); 6] = [
        |it| it.root_keys = 0,
        |it| it.root_threshold = 4,
        |it| it.targets_threshold = 0,
        |it| it.targets_keys = KEYS_MAX + 1,
        |it| it.days = 0,
        |it| it.days = DAYS_MAX + 1,
    ];
    for spoil in bad {
        let mut ceremony = good.clone();
        spoil(&mut ceremony);
        let directory = place.path().join("keys");
        assert_eq!(ceremony.hold(&directory, now).unwrap_err().code(), "MST-U032");
        assert!(!directory.exists());
    }
    let root = good.hold(place.path(), now).unwrap();
    assert_eq!((root.signatures.len(), root.signed.version.get()), (3, 1));
    assert_eq!(good.hold(place.path(), now).unwrap_err().code(), "MST-U032");
}

/// A computer of somebody: the roots, and some of the keys.
fn computer(publisher: &Publisher, name: &str, keys: &[&str]) -> Keys {
    let path = publisher.path(name);
    std::fs::create_dir(&path).unwrap();
    for file in keys.iter().chain(&["1.root.json"]) {
        std::fs::copy(publisher.path("keys").join(file), path.join(file)).unwrap();
    }
    Keys::open(&path).unwrap()
}

#[test]
fn a_root_is_changed_by_people_on_different_computers() {
    let publisher = Publisher::new();
    let one = computer(&publisher, "one", &["root-1.pem"]);
    let two = computer(&publisher, "two", &["root-2.pem"]);
    let new = PrivateKey::make(&publisher.path("new/root-4.pem")).unwrap();
    let change = Change {
        add: vec![(Role::Root, new.public())],
        remove: vec![(
            Role::Root,
            publisher.key("keys/root-3.pem").public().id()[..8].to_owned(),
        )],
        thresholds: vec![(Role::Root, 3)],
        days: 365,
    };
    let progress = rotate(&one, &change, publisher.now).unwrap();
    assert!(!progress.is_complete());
    // By the old root one is missing, by the new one two.
    let lacking: Vec<u64> = progress.standings.iter().map(Standing::lacking).collect();
    assert_eq!(lacking, [1, 2]);
    assert!(progress.standings[0].to_string().contains("1 missing, of"));
    assert_eq!(progress.changes.len(), 3, "{:?}", progress.changes);
    assert_eq!(
        rotate(&one, &change, publisher.now).unwrap_err().code(),
        "MST-U033"
    );
    // The file travels.
    let file = publisher.path("two/2.root.pending.json");
    std::fs::rename(&progress.path, &file).unwrap();
    let looked = countersign(&file, &two, true).unwrap();
    assert_eq!(
        (looked.standings.clone(), looked.changes.clone()),
        (progress.standings, progress.changes)
    );
    let progress = countersign(&file, &two, false).unwrap();
    let lacking: Vec<u64> = progress.standings.iter().map(Standing::lacking).collect();
    assert_eq!(lacking, [0, 1]);
    std::fs::copy(
        publisher.path("keys/1.root.json"),
        publisher.path("new/1.root.json"),
    )
    .unwrap();
    let file = publisher.path("new/2.root.pending.json");
    std::fs::rename(&progress.path, &file).unwrap();
    let four = Keys::open(&publisher.path("new")).unwrap();
    let progress = countersign(&file, &four, false).unwrap();
    assert!(
        progress.is_complete() && progress.path.ends_with("2.root.json"),
        "{progress:?}"
    );
    assert!(!file.exists());
    assert_eq!(Roots::open(four.path()).unwrap().latest().version.get(), 2);
    // Who has nothing to say is told.
    let three = computer(&publisher, "three", &["targets-1.pem"]);
    assert_eq!(
        rotate(&three, &change, publisher.now).unwrap_err().code(),
        "MST-U031"
    );
}

#[test]
fn nothing_is_built_on_what_nobody_vouches_for() {
    let publisher = Publisher::new();
    publisher.release("1.4.0", 12);
    publisher.create("1.5.0", 13);
    // Somebody who may write into the folder adds a release to the list, and waits for people to sign the next one.
    let path = publisher.path("releases/metadata/1.targets.json");
    let sound = std::fs::read(&path).unwrap();
    let text = String::from_utf8(sound.clone()).unwrap();
    std::fs::write(&path, text.replace("car-app", "bad-app")).unwrap();
    let folder = publisher.folder();
    let sign = |wanted: &Wanted| Repository::of(&folder).sign(&publisher.keys(), wanted, publisher.now, 180);
    assert_eq!(sign(&add("1.5.0")).unwrap_err().code(), "MST-U034");
    assert_eq!(sign(&Wanted::Renew).unwrap_err().code(), "MST-U034");
    let online = OnlineKeys::open(&publisher.path("server")).unwrap();
    let refreshed = |now| {
        refresh(
            &folder,
            &publisher.first_root(),
            &online,
            Lifetimes::default(),
            now,
        )
    };
    assert_eq!(refreshed(publisher.now).unwrap_err().code(), "MST-U034");
    std::fs::write(&path, &sound).unwrap();
    assert!(sign(&add("1.5.0")).unwrap().is_complete());
    assert_eq!(sign(&add("1.7.0")).unwrap_err().code(), "MST-U015");
    // The server notices when what it published is gone.
    assert!(refreshed(publisher.now).unwrap().is_new);
    let newest = publisher.path("releases/metadata/2.targets.json");
    std::fs::rename(&newest, publisher.path("aside")).unwrap();
    assert_eq!(refreshed(publisher.now).unwrap_err().code(), "MST-U035");
}

#[test]
fn a_release_is_withdrawn_and_the_list_renewed() {
    let mut publisher = Publisher::new();
    publisher.release("1.4.0", 12);
    publisher.release("1.5.0", 13);
    let progress = publisher.sign(&Wanted::Withdraw {
        product: "car-app".to_owned(),
        version: "1.4.0".parse().unwrap(),
    });
    assert_eq!(progress.changes.len(), 1);
    assert!(
        progress.changes[0].starts_with("- car-app/1.4.0.json"),
        "{progress:?}"
    );
    publisher.now = publisher.now.plus_millis(100 * DAY_MS);
    let progress = publisher.sign(&Wanted::Renew);
    assert_eq!((progress.version, progress.changes.len()), (4, 0));
    assert_eq!(progress.expires, publisher.now.plus_millis(180 * DAY_MS));
    let folder = publisher.folder();
    let roots = Repository::of(&folder).roots().unwrap().unwrap();
    let vouched = Repository::of(&folder).vouched(roots.latest()).unwrap().unwrap();
    assert_eq!(
        (vouched.targets.targets.len(), vouched.standing.signed.len()),
        (1, 2)
    );
}

#[test]
fn who_renews_after_keys_were_replaced_is_shown_everything() {
    let publisher = Publisher::new();
    publisher.release("1.4.0", 12);
    for name in ["targets-1", "targets-2"] {
        let old = publisher.key(&format!("keys/{name}.pem")).public();
        let new = PrivateKey::make(&publisher.path(&format!("keys/new-{name}.pem"))).unwrap();
        publisher.rotate(Change {
            add: vec![(Role::Targets, new.public())],
            remove: vec![(Role::Targets, old.id())],
            ..Change::default()
        });
    }
    let progress = publisher.sign(&Wanted::Renew);
    assert_eq!(progress.changes.len(), 1);
    assert!(
        progress.changes[0].starts_with("+ car-app/1.4.0.json"),
        "{progress:?}"
    );
    publisher.refresh();
}

#[test]
fn the_server_signs_when_there_is_something_to_sign() {
    let mut publisher = Publisher::new();
    publisher.release("1.4.0", 12);
    let began = publisher.now;
    let again = publisher.refresh();
    assert!(!again.is_new);
    assert_eq!(again.again_at, began.plus_millis(DAY_MS / 2));
    assert_eq!(again.offline_until, began.plus_millis(180 * DAY_MS));
    // Half a day later: a timestamp. After half a week: a snapshot as well.
    publisher.now = again.again_at.plus_millis(1);
    let next = publisher.refresh();
    assert_eq!((next.is_new, next.snapshot, next.timestamp), (true, 1, 2));
    publisher.now = began.plus_millis(4 * DAY_MS);
    let next = publisher.refresh();
    assert_eq!((next.snapshot, next.timestamp), (2, 3));
    // A clock that was ahead when it signed: signed again, so that machines are not told of a time that is not.
    publisher.now = began.plus_millis(3 * DAY_MS);
    assert_eq!(publisher.refresh().timestamp, 4);
    // Only so many snapshots stay.
    for days in 0..40 {
        publisher.now = began.plus_millis((10 + 4 * days) * DAY_MS);
        publisher.refresh();
    }
    let files = std::fs::read_dir(publisher.path("releases/metadata")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.ends_with(".snapshot.json")).count(), 32);
    // Keys that the root does not name sign nothing.
    let folder = publisher.folder();
    let stranger = OnlineKeys::open_or_make(&publisher.path("stranger")).unwrap();
    publisher.sign_in(&folder, &Wanted::Renew);
    let error = refresh(
        &folder,
        &publisher.first_root(),
        &stranger,
        Lifetimes::default(),
        publisher.now,
    )
    .unwrap_err();
    assert_eq!(error.code(), "MST-U031");
    // A timestamp that is damaged is no beginning: machines know its version.
    let path = publisher.path("releases/metadata/timestamp.json");
    std::fs::write(&path, "{").unwrap();
    let online = OnlineKeys::open(&publisher.path("server")).unwrap();
    let error = refresh(
        &folder,
        &publisher.first_root(),
        &online,
        Lifetimes::default(),
        publisher.now,
    )
    .unwrap_err();
    assert!(
        error.code() == "MST-U035" && error.to_string().contains("replace the server's keys"),
        "{error}"
    );
}

#[test]
fn what_is_written_is_what_others_read() {
    let publisher = Publisher::new();
    publisher.release("1.4.0", 12);
    let read = |name: &str| std::fs::read(publisher.path("releases/metadata").join(name)).unwrap();
    // Fields of the specification, as they stand there.
    let targets: serde_json::Value = serde_json::from_slice(&read("1.targets.json")).unwrap();
    let target = &targets["signed"]["targets"]["car-app/1.4.0.json"];
    assert_eq!(
        target["custom"],
        serde_json::json!({"counter": 12, "product": "car-app", "version": "1.4.0"})
    );
    assert!(target["length"].is_u64() && target["hashes"]["sha256"].is_string());
    let root: serde_json::Value = serde_json::from_slice(&publisher.first_root()).unwrap();
    assert_eq!(root["signed"]["consistent_snapshot"], true);
    let roots = Roots::anchored(&publisher.first_root()).unwrap();
    let snapshot = decode::<Snapshot>(&read("1.snapshot.json")).unwrap();
    let meta = &snapshot.signed.meta["targets.json"];
    assert_eq!(meta.length, Some(read("1.targets.json").len() as u64));
    let stamp = decode::<Stamp>(&read("timestamp.json")).unwrap();
    assert_eq!(stamp.signed._extra["signed_at"], "2026-11-22T12:00:00Z");
    assert!(roots.latest().verify_role(&stamp).is_ok());
    // The same document is the same file.
    let list = decode::<Targets>(&read("1.targets.json")).unwrap();
    assert_eq!(encode(&list), read("1.targets.json"));
    assert!(Roots::open(Path::new("/nowhere")).is_err());
}
