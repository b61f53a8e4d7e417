//! What a disk may do.

use super::super::TrustError;
use super::kit::{Machine, Publisher, read_all};

const FILES: [&str; 5] = [
    "root.json",
    "seen.json",
    "snapshot.json",
    "targets.json",
    "timestamp.json",
];

/// Ways in which a file is not what it was.
fn damages(bytes: &[u8]) -> Vec<(&'static str, Option<Vec<u8>>)> {
    let mut flipped = bytes.to_vec();
    let at = flipped.len() / 2;
    flipped[at] ^= 1;
    vec![
        ("gone", None),
        ("empty", Some(Vec::new())),
        ("half", Some(bytes[..bytes.len() / 2].to_vec())),
        ("one byte short", Some(bytes[..bytes.len() - 1].to_vec())),
        ("zeros", Some(vec![0; bytes.len()])),
        ("a flipped bit", Some(flipped)),
        ("endless", Some(vec![b' '; 3 * 1024 * 1024])),
    ]
}

#[tokio::test]
async fn row_20_a_damaged_file_is_found_fetched_again_and_no_way_back() {
    let publisher = Publisher::new();
    publisher.release("1.4.0", 12);
    let old = publisher.mirror();
    publisher.replace_server_keys();
    let middle = publisher.mirror();
    publisher.release("1.5.0", 13);
    let new = publisher.mirror();
    let whole = Machine::new(&publisher);
    whole.update(&new).await.unwrap();
    let sound = whole.kept();
    for name in FILES {
        for (how, content) in damages(&sound[name]) {
            let what = format!("{name}, {how}");
            let machine = Machine::new(&publisher);
            for (name, bytes) in &sound {
                std::fs::write(machine.path(name), bytes).unwrap();
            }
            match &content {
                Some(bytes) => std::fs::write(machine.path(name), bytes).unwrap(),
                None => std::fs::remove_file(machine.path(name)).unwrap(),
            }
            let told = machine.open().damaged().to_vec();
            // A list that is gone is only fetched again; a flipped bit may be one that means nothing, in white space of a number.
            let is_told = told.iter().any(|line| line.contains(name));
            assert!(
                is_told || how == "gone" && name != "seen.json" || how == "a flipped bit",
                "{what}: {told:?}"
            );
            // What is older is refused as before: the versions before the last, and those of keys that were replaced.
            for mirror in [&old, &middle] {
                let (code, words) = machine.refused(mirror).await;
                assert!(["MST-U019", "MST-U020"].contains(&code), "{what}: {code} {words}");
            }
            let trusted = machine
                .update(&new)
                .await
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!((trusted.root, trusted.targets), (2, 2), "{what}");
            assert_eq!(machine.open().damaged(), [""; 0], "{what}");
            assert_eq!(machine.kept()["targets.json"], sound["targets.json"], "{what}");
        }
    }
}

#[tokio::test]
async fn row_20_a_cut_between_two_files_harms_nothing() {
    let publisher = Publisher::new();
    publisher.release("1.4.0", 12);
    let machine = Machine::new(&publisher);
    machine.update(&publisher.mirror()).await.unwrap();
    let before = machine.kept();
    publisher.replace_server_keys();
    publisher.release("1.5.0", 13);
    let new = publisher.mirror();
    machine.update(&new).await.unwrap();
    let after = machine.kept();
    // Documents come first and in order, `seen.json` comes last; any other mixture is looked at as well.
    for which in 0..1_u32 << FILES.len() {
        let machine = Machine::new(&publisher);
        for (at, name) in FILES.into_iter().enumerate() {
            let from = if which & (1 << at) == 0 { &before } else { &after };
            std::fs::write(machine.path(name), &from[name]).unwrap();
        }
        let trusted = machine
            .update(&new)
            .await
            .unwrap_or_else(|error| panic!("{which:05b}: {error}"));
        assert_eq!((trusted.root, trusted.targets), (2, 2), "{which:05b}");
        assert_eq!(machine.kept(), after, "{which:05b}");
    }
    // What is half written lies beside, and is written anew.
    std::fs::write(machine.path("timestamp.json.new"), "{").unwrap();
    std::fs::create_dir(machine.path("work")).unwrap();
    std::fs::write(machine.path("work/timestamp.json"), "{").unwrap();
    publisher.release("1.6.0", 14);
    machine.update(&publisher.mirror()).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_told_and_believed_is_what_was() {
    let publisher = Publisher::new();
    publisher.release("1.4.0", 12);
    let machine = Machine::new(&publisher);
    machine.update(&publisher.mirror()).await.unwrap();
    let before = machine.kept();
    publisher.release("1.5.0", 13);
    // Where a file is to be written there is a directory that is not empty: no disk has ever been fuller.
    std::fs::create_dir_all(machine.path("timestamp.json.new/in-the-way")).unwrap();
    let error = machine.update(&publisher.mirror()).await.unwrap_err();
    assert!(matches!(error, TrustError::Disk(_)), "{error}");
    std::fs::remove_dir_all(machine.path("timestamp.json.new")).unwrap();
    std::fs::remove_dir_all(machine.path("work")).unwrap();
    assert_eq!(read_all(machine.place.path()), before);
    assert_eq!(machine.update(&publisher.mirror()).await.unwrap().targets, 2);
}

#[tokio::test]
async fn another_root_begins_anew() {
    let (one, other) = (Publisher::new(), Publisher::new());
    one.release("1.4.0", 12);
    one.release("1.5.0", 13);
    other.release("0.1.0", 1);
    let mut machine = Machine::new(&one);
    machine.update(&one.mirror()).await.unwrap();
    // Of another repository nothing is believed, until the machine is given its root.
    assert_eq!(machine.refused(&other.mirror()).await.0, "MST-U019");
    machine.root = other.first_root();
    let trusted = machine.update(&other.mirror()).await.unwrap();
    assert_eq!(trusted.names(), ["car-app/0.1.0.json"]);
    // A newer root of the same people is no beginning.
    other.replace_server_keys();
    machine.update(&other.mirror()).await.unwrap();
    let before = machine.kept();
    machine.root = std::fs::read(other.path("keys/2.root.json")).unwrap();
    machine.update(&other.mirror()).await.unwrap();
    assert_eq!(machine.kept()["timestamp.json"], before["timestamp.json"]);
    // What is no root is refused, and what was stays.
    let error = super::super::Trust::open(machine.place.path(), b"{}").unwrap_err();
    assert_eq!(error.code(), "MST-U018");
}
