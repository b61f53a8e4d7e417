//! What a mirror may say.

use muster_model::Timestamp;
use serde_json::Value;
use tough::schema::{Root, Snapshot, Targets, Timestamp as Stamp};

use super::kit::{Answer, DAY_MS, Machine, Mirror, Publisher};
use crate::digest::Sha256Digest;
use crate::tuf::online::SIGNED_AT;
use crate::tuf::{PrivateKey, moment};

/// With the keys of the server: puts a list of releases where machines find it.
pub(super) fn publish_targets(publisher: &Publisher, mirror: &Mirror, version: u64, bytes: &[u8]) {
    mirror.set(&format!("{version}.targets.json"), Answer::Bytes(bytes.to_vec()));
    republish(
        mirror,
        &publisher.key("server/snapshot.pem"),
        &publisher.key("server/timestamp.pem"),
        |snapshot| {
            snapshot.version = snapshot.version.checked_add(1).unwrap();
            let meta = snapshot.meta.get_mut("targets.json").unwrap();
            meta.version = version.try_into().unwrap();
            meta.length = Some(bytes.len() as u64);
            meta.hashes.as_mut().unwrap().sha256 = Sha256Digest::of(bytes).as_bytes().to_vec().into();
        },
    );
}

/// Changes the newest snapshot, and has a timestamp follow that names it.
fn republish(
    mirror: &Mirror,
    snapshot: &PrivateKey,
    timestamp: &PrivateKey,
    change: impl FnOnce(&mut Snapshot),
) {
    let named = |mirror: &Mirror| {
        let stamp = crate::tuf::decode::<Stamp>(&mirror.bytes("timestamp.json")).unwrap();
        format!("{}.snapshot.json", stamp.signed.meta["snapshot.json"].version)
    };
    let old = named(mirror);
    let mut version = 0;
    mirror.forge::<Snapshot>(&old, snapshot, |it| {
        change(it);
        version = it.version.get();
    });
    let bytes = mirror.bytes(&old);
    mirror.set(&format!("{version}.snapshot.json"), Answer::Bytes(bytes.clone()));
    mirror.forge::<Stamp>("timestamp.json", timestamp, |stamp| {
        stamp.version = stamp.version.checked_add(1).unwrap();
        let meta = stamp.meta.get_mut("snapshot.json").unwrap();
        meta.version = version.try_into().unwrap();
        meta.length = Some(bytes.len() as u64);
        meta.hashes.as_mut().unwrap().sha256 = Sha256Digest::of(&bytes).as_bytes().to_vec().into();
    });
}

/// A thief of the server's keys who wants nothing to come after them.
pub(super) fn fast_forward(publisher: &Publisher, mirror: &Mirror) {
    let (snapshot, timestamp) = (
        publisher.key("server/snapshot.pem"),
        publisher.key("server/timestamp.pem"),
    );
    let far: Timestamp = "2126-01-01T00:00:00Z".parse().unwrap();
    republish(mirror, &snapshot, &timestamp, |it| {
        it.version = 2_000_000.try_into().unwrap();
        it.expires = moment(far);
    });
    mirror.forge::<Stamp>("timestamp.json", &timestamp, |stamp| {
        stamp.version = 1_000_000.try_into().unwrap();
        stamp.expires = moment(far);
        let at = publisher.now.plus_millis(300 * DAY_MS);
        // As far ahead as root and list allow, or the thief would stop there.
        let at = at.min(publisher.now.plus_millis(100 * DAY_MS));
        stamp
            ._extra
            .insert(SIGNED_AT.to_owned(), Value::from(moment(at).to_string()));
    });
}

#[tokio::test]
async fn row_20_an_older_timestamp_snapshot_list_or_root_is_refused() {
    let publisher = Publisher::new();
    publisher.release("1.4.0", 12);
    let old = publisher.mirror();
    publisher.release("1.5.0", 13);
    let new = publisher.mirror();
    let machine = Machine::new(&publisher);
    assert_eq!(machine.update(&new).await.unwrap().targets, 2);

    // All of it as it was.
    let (code, words) = machine.refused(&old).await;
    assert_eq!(code, "MST-U020", "{words}");
    // A new timestamp of the server's keys, on another machine, over the old snapshot.
    let timestamp = publisher.key("server/timestamp.pem");
    let snapshot = publisher.key("server/snapshot.pem");
    let deceived = Machine::new(&publisher);
    deceived.update(&new).await.unwrap();
    let mirror = publisher.mirror();
    mirror.forge::<Stamp>("timestamp.json", &timestamp, |stamp| {
        stamp.version = 9.try_into().unwrap();
        let was: tough::schema::Signed<Stamp> = crate::tuf::decode(&old.bytes("timestamp.json")).unwrap();
        stamp.meta = was.signed.meta;
    });
    let (code, words) = deceived.refused(&mirror).await;
    assert_eq!(code, "MST-U020", "{words}");
    assert!(words.contains("Snapshot version 1"), "{words}");
    // A new snapshot over the old list.
    let mirror = publisher.mirror();
    republish(&mirror, &snapshot, &timestamp, |it| {
        let was: tough::schema::Signed<Snapshot> = crate::tuf::decode(&old.bytes("1.snapshot.json")).unwrap();
        it.version = 9.try_into().unwrap();
        it.meta = was.signed.meta;
    });
    let (code, words) = deceived.refused(&mirror).await;
    assert_eq!(code, "MST-U020", "{words}");
    assert!(words.contains("targets"), "{words}");
    // Who was told only old things goes on with the good ones as before.
    publisher.release("1.6.0", 14);
    assert_eq!(machine.update(&publisher.mirror()).await.unwrap().targets, 3);

    // An older root under a newer name, and one that does not say what number it is.
    let mirror = publisher.mirror();
    mirror.set("2.root.json", Answer::Bytes(publisher.first_root()));
    let (code, words) = machine.refused(&mirror).await;
    assert_eq!(code, "MST-U020", "{words}");
    // Root keys alone do not make a root: it takes enough of them.
    let mirror = publisher.mirror();
    mirror.set("2.root.json", Answer::Bytes(publisher.first_root()));
    mirror.forge::<Root>("2.root.json", &publisher.key("keys/root-1.pem"), |root| {
        root.version = 2.try_into().unwrap();
    });
    let (code, words) = machine.refused(&mirror).await;
    assert_eq!(code, "MST-U019", "{words}");
}

#[tokio::test]
async fn row_20_what_is_frozen_ends() {
    let publisher = Publisher::new();
    publisher.release("1.4.0", 12);
    let frozen = publisher.mirror();
    let mut machine = Machine::new(&publisher);
    machine.update(&frozen).await.unwrap();
    machine.now.clock = publisher.now.plus_millis(DAY_MS - 1);
    machine.update(&frozen).await.unwrap();
    machine.now.clock = publisher.now.plus_millis(DAY_MS);
    let (code, words) = machine.refused(&frozen).await;
    assert_eq!(code, "MST-U021");
    assert!(
        words.contains("timestamp.json was good until 2026-11-23"),
        "{words}"
    );
    // Each other document has its end, too, also for who has the server's keys.
    let ends = [("snapshot.json", 8), ("targets.json", 181), ("root.json", 366)];
    for (name, days) in ends {
        let far = moment(publisher.now.plus_millis(1_000 * DAY_MS));
        let mirror = publisher.mirror();
        let (snapshot, timestamp) = (
            publisher.key("server/snapshot.pem"),
            publisher.key("server/timestamp.pem"),
        );
        if name != "snapshot.json" {
            republish(&mirror, &snapshot, &timestamp, |it| it.expires = far);
        }
        mirror.forge::<Stamp>("timestamp.json", &timestamp, |stamp| stamp.expires = far);
        let mut machine = Machine::new(&publisher);
        machine.now.clock = publisher.now.plus_millis(days * DAY_MS);
        let (code, words) = machine.refused(&mirror).await;
        assert_eq!(code, "MST-U021", "{name}: {words}");
        assert!(words.starts_with(name), "{words}");
    }
}

#[tokio::test]
async fn row_20_parts_of_different_versions_are_refused() {
    let publisher = Publisher::new();
    publisher.release("1.4.0", 12);
    let old = publisher.mirror();
    publisher.release("1.5.0", 13);
    // The old list under the name of the new one, and the same with the snapshot.
    let refused = [
        ("2.targets.json", "1.targets.json"),
        ("2.snapshot.json", "1.snapshot.json"),
    ];
    for (name, other) in refused {
        let mirror = publisher.mirror();
        mirror.set(name, Answer::Bytes(old.bytes(other)));
        let (code, words) = Machine::new(&publisher).refused(&mirror).await;
        assert_eq!(code, "MST-U022", "{name}: {words}");
        // One of the same length, too: then its hash says so.
        let mut bytes = publisher.mirror().bytes(name);
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        mirror.set(name, Answer::Bytes(bytes));
        let (code, words) = Machine::new(&publisher).refused(&mirror).await;
        assert_eq!(code, "MST-U022", "{name}: {words}");
        // And one that is cut.
        let mut bytes = publisher.mirror().bytes(name);
        bytes.pop();
        mirror.set(name, Answer::Bytes(bytes));
        let (code, words) = Machine::new(&publisher).refused(&mirror).await;
        assert_eq!(code, "MST-U022", "{name}: {words}");
        assert!(words.contains("bytes"), "{words}");
    }
    // A snapshot that was signed for another list than the one of its version.
    let mirror = publisher.mirror();
    republish(
        &mirror,
        &publisher.key("server/snapshot.pem"),
        &publisher.key("server/timestamp.pem"),
        |it| {
            let meta = it.meta.get_mut("targets.json").unwrap();
            meta.version = 3.try_into().unwrap();
        },
    );
    mirror.set("3.targets.json", Answer::Bytes(mirror.bytes("2.targets.json")));
    let (code, words) = Machine::new(&publisher).refused(&mirror).await;
    assert_eq!(code, "MST-U022", "{words}");
}

#[tokio::test]
async fn row_20_a_list_that_nobody_of_them_signed_is_refused() {
    let publisher = Publisher::new();
    publisher.release("1.4.0", 12);
    // The server itself may not: it holds other keys.
    for thief in ["server/snapshot.pem", "server/timestamp.pem", "keys/root-1.pem"] {
        let mirror = publisher.mirror();
        mirror.forge::<Targets>("1.targets.json", &publisher.key(thief), |targets| {
            targets.version = 2.try_into().unwrap();
            for target in targets.targets.values_mut() {
                target.hashes.sha256 = vec![7; 32].into();
            }
        });
        publish_targets(&publisher, &mirror, 2, &mirror.bytes("1.targets.json"));
        let (code, words) = Machine::new(&publisher).refused(&mirror).await;
        assert_eq!(code, "MST-U019", "{thief}: {words}");
    }
    // Nor can anybody else be the server.
    for (name, key) in [
        ("timestamp.json", "keys/targets-1.pem"),
        ("timestamp.json", "server/snapshot.pem"),
    ] {
        let mirror = publisher.mirror();
        mirror.forge::<Stamp>(name, &publisher.key(key), |stamp| {
            stamp.version = 5.try_into().unwrap();
        });
        let (code, words) = Machine::new(&publisher).refused(&mirror).await;
        assert_eq!(code, "MST-U019", "{words}");
    }
    // And what is no metadata at all is none.
    for name in ["2.root.json", "timestamp.json"] {
        for bytes in [
            &b""[..],
            b"{}",
            b"\xff\xff",
            b"[[[[[[",
            b"{\"signed\":{},\"signatures\":[]}",
        ] {
            let mirror = publisher.mirror();
            mirror.set(name, Answer::Bytes(bytes.to_vec()));
            let (code, words) = Machine::new(&publisher).refused(&mirror).await;
            assert_eq!(code, "MST-U024", "{name} {bytes:?}: {words}");
        }
    }
}

#[tokio::test]
async fn row_20_what_never_ends_is_ended() {
    let publisher = Publisher::new();
    publisher.release("1.4.0", 12);
    for (name, most) in [
        ("2.root.json", "65536"),
        ("timestamp.json", "16384"),
        ("1.snapshot.json", "after"),
        ("1.targets.json", "after"),
    ] {
        let mirror = publisher.mirror();
        mirror.set(name, Answer::Endless);
        let (code, words) = Machine::new(&publisher).refused(&mirror).await;
        assert_eq!(code, "MST-U023", "{name}: {words}");
        assert!(words.starts_with(name) && words.contains(most), "{words}");
    }
    // Also where the server's keys say that it is that long.
    let mirror = publisher.mirror();
    let (snapshot, timestamp) = (
        publisher.key("server/snapshot.pem"),
        publisher.key("server/timestamp.pem"),
    );
    republish(&mirror, &snapshot, &timestamp, |it| {
        it.meta.get_mut("targets.json").unwrap().length = Some(u64::MAX);
    });
    mirror.set("1.targets.json", Answer::Endless);
    let (code, words) = Machine::new(&publisher).refused(&mirror).await;
    assert_eq!(code, "MST-U023", "{words}");
}

#[tokio::test(start_paused = true)]
async fn row_20_what_comes_too_slowly_is_ended() {
    let publisher = Publisher::new();
    publisher.release("1.4.0", 12);
    for name in [
        "2.root.json",
        "timestamp.json",
        "1.snapshot.json",
        "1.targets.json",
    ] {
        for answer in [Answer::Silence, Answer::Drip(100)] {
            let mirror = publisher.mirror();
            mirror.set(name, answer.clone());
            let begun = tokio::time::Instant::now();
            let (code, words) = Machine::new(&publisher).refused(&mirror).await;
            assert_eq!(code, "MST-U025", "{name} {answer:?}: {words}");
            assert!(words.contains("too slowly"), "{words}");
            assert!(
                begun.elapsed().as_secs() <= 32,
                "{name} {answer:?}: {:?}",
                begun.elapsed()
            );
        }
    }
}

#[tokio::test]
async fn row_20_a_root_that_does_not_come_is_not_taken_for_none() {
    let publisher = Publisher::new();
    publisher.release("1.4.0", 12);
    let machine = Machine::new(&publisher);
    machine.update(&publisher.mirror()).await.unwrap();
    // Whoever can disturb a connection would else keep it from machines that a key was taken away.
    publisher.replace_server_keys();
    let mirror = publisher.mirror();
    mirror.set("2.root.json", Answer::Broken);
    let (code, words) = machine.refused(&mirror).await;
    assert_eq!(code, "MST-U025", "{words}");
    assert_eq!(machine.update(&publisher.mirror()).await.unwrap().root, 2);
    // Who hides it is found out when nothing that the old keys signed is good any more.
    let hidden = publisher.mirror();
    hidden.hide("2.root.json");
    let (code, words) = Machine::new(&publisher).refused(&hidden).await;
    assert_eq!(code, "MST-U019", "{words}");
}
