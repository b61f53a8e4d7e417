//! Row 20: what a mirror, a thief of keys, a disk and a clock may do. Each is refused by its code, or does no harm.

mod clocks;
mod disk;
pub(crate) mod kit;
mod network;

use tough::schema::Targets;

use self::kit::{DAY_MS, Machine, Publisher, add};
use crate::tuf::repository::{Wanted, countersign};
use crate::tuf::{Change, Keys, Role};

#[tokio::test]
async fn a_release_that_people_signed_is_vouched_for() {
    let publisher = Publisher::new();
    let bytes = publisher.release("1.4.0", 12);
    let machine = Machine::new(&publisher);
    let mirror = publisher.mirror();
    let trusted = machine.update(&mirror).await.unwrap();
    assert_eq!(
        (trusted.root, trusted.timestamp, trusted.snapshot, trusted.targets),
        (1, 1, 1, 1)
    );
    assert_eq!(trusted.until, publisher.now.plus_millis(DAY_MS));
    assert_eq!(trusted.names(), ["car-app/1.4.0.json"]);
    let vouched = trusted.manifest("car-app", "1.4.0").unwrap();
    assert_eq!((vouched.counter, vouched.length), (12, bytes.len() as u64));
    assert_eq!(vouched.verify(&bytes).unwrap().counter, 12);
    // Under that name it is published.
    let published = publisher.path("releases/targets").join(vouched.path());
    assert_eq!(std::fs::read(published).unwrap(), bytes);
    let unknown = trusted.manifest("car-app", "1.5.0").unwrap_err();
    assert_eq!(unknown.code(), "MST-U026");
    // A name is no way around.
    assert_eq!(
        trusted.manifest("van/../car-app", "1.4.0").unwrap_err().code(),
        "MST-U026"
    );
}

#[tokio::test]
async fn what_is_there_is_not_fetched_again() {
    let publisher = Publisher::new();
    publisher.release("1.4.0", 12);
    let machine = Machine::new(&publisher);
    let mirror = publisher.mirror();
    machine.update(&mirror).await.unwrap();
    assert_eq!(
        mirror.asked(),
        [
            "2.root.json",
            "timestamp.json",
            "1.snapshot.json",
            "1.targets.json"
        ]
    );
    let kept = machine.kept();
    machine.update(&mirror).await.unwrap();
    assert_eq!(mirror.asked(), ["2.root.json", "timestamp.json"]);
    assert_eq!(machine.kept(), kept);
    let names: Vec<&String> = kept.keys().collect();
    assert_eq!(
        names,
        [
            "root.json",
            "seen.json",
            "snapshot.json",
            "targets.json",
            "timestamp.json"
        ]
    );
    // As they came, to the byte.
    assert_eq!(kept["snapshot.json"], mirror.bytes("1.snapshot.json"));
}

#[tokio::test]
async fn row_20_a_list_that_too_few_signed_is_refused() {
    let publisher = Publisher::with_thresholds(2, 2);
    publisher.release("1.4.0", 12);
    let (machine, mirror) = (Machine::new(&publisher), publisher.mirror());
    machine.update(&mirror).await.unwrap();
    // One person is not enough.
    publisher.create("1.5.0", 13);
    std::fs::create_dir(publisher.path("alone")).unwrap();
    for file in ["1.root.json", "targets-1.pem"] {
        std::fs::copy(
            publisher.path("keys").join(file),
            publisher.path("alone").join(file),
        )
        .unwrap();
    }
    let alone = Keys::open(&publisher.path("alone")).unwrap();
    let progress = crate::tuf::Repository::of(&publisher.folder())
        .sign(&alone, &add("1.5.0"), publisher.now, 180)
        .unwrap();
    assert_eq!(
        (progress.is_complete(), progress.standings[0].lacking()),
        (false, 1)
    );
    // The server publishes what was, and the machine does not know the new one.
    assert!(!publisher.refresh().is_new);
    let trusted = machine.update(&publisher.mirror()).await.unwrap();
    assert_eq!(trusted.names(), ["car-app/1.4.0.json"]);
    // A server that publishes it all the same is not believed.
    let pending = publisher.path("releases/metadata/2.targets.pending.json");
    let bytes = std::fs::read(&pending).unwrap();
    network::publish_targets(&publisher, &mirror, 2, &bytes);
    let (code, words) = Machine::new(&publisher).refused(&mirror).await;
    assert_eq!(code, "MST-U019", "{words}");
    assert!(words.contains('2') && words.contains('1'), "{words}");
    // The second person makes it good.
    let done = countersign(&pending, &publisher.keys(), false).unwrap();
    assert!(done.is_complete() && !pending.exists(), "{done:?}");
    publisher.refresh();
    let trusted = machine.update(&publisher.mirror()).await.unwrap();
    assert_eq!(trusted.manifest("car-app", "1.5.0").unwrap().counter, 13);
}

#[tokio::test]
async fn row_20_a_key_that_was_taken_away_counts_no_more() {
    let publisher = Publisher::new();
    publisher.release("1.4.0", 12);
    let machine = Machine::new(&publisher);
    machine.update(&publisher.mirror()).await.unwrap();
    let thief = publisher.key("keys/targets-1.pem");
    // What the thief signed before the key is taken away would be believed.
    let forged = |mirror: &kit::Mirror| {
        mirror.forge::<Targets>("1.targets.json", &thief, |targets| {
            targets.version = 2.try_into().unwrap();
        });
        network::publish_targets(&publisher, mirror, 2, &mirror.bytes("1.targets.json"));
    };
    let early = Machine::new(&publisher);
    let mirror = publisher.mirror();
    forged(&mirror);
    assert_eq!(early.update(&mirror).await.unwrap().targets, 2);

    publisher.rotate(Change {
        remove: vec![(Role::Targets, thief.public().id())],
        ..Change::default()
    });
    std::fs::remove_file(publisher.path("keys/targets-1.pem")).unwrap();
    let mirror = publisher.mirror();
    forged(&mirror);
    let refused = Machine::new(&publisher);
    let (code, words) = refused.refused(&mirror).await;
    assert_eq!(code, "MST-U019", "{words}");
    // The new root is kept also then.
    assert_eq!(refused.open().root(), 2);
    // The other key signs again, and all is well.
    publisher.sign(&Wanted::Renew);
    publisher.refresh();
    assert_eq!(machine.update(&publisher.mirror()).await.unwrap().root, 2);
}

#[tokio::test]
async fn row_20_versions_of_a_thief_are_left_behind_with_their_keys() {
    let publisher = Publisher::new();
    publisher.release("1.4.0", 12);
    let machine = Machine::new(&publisher);
    let mirror = publisher.mirror();
    network::fast_forward(&publisher, &mirror);
    let trusted = machine.update(&mirror).await.unwrap();
    assert_eq!((trusted.timestamp, trusted.snapshot), (1_000_000, 2_000_000));
    // What the server signs is older now.
    let (code, words) = machine.refused(&publisher.mirror()).await;
    assert_eq!(code, "MST-U020", "{words}");
    // With other keys it is not, whatever the thief said of the time.
    publisher.replace_server_keys();
    let trusted = machine.update(&publisher.mirror()).await.unwrap();
    assert_eq!((trusted.root, trusted.timestamp, trusted.snapshot), (2, 1, 1));
    // And from there on nothing goes back again, also not to what the thief signed.
    let (code, _) = machine.refused(&mirror).await;
    assert_eq!(code, "MST-U019");
}

#[tokio::test]
async fn row_20_a_manifest_that_says_something_else_is_refused() {
    let publisher = Publisher::new();
    let bytes = publisher.release("1.4.0", 12);
    let trusted = Machine::new(&publisher)
        .update(&publisher.mirror())
        .await
        .unwrap();
    let vouched = trusted.manifest("car-app", "1.4.0").unwrap();
    let refused = |vouched: &super::Vouched, bytes: &[u8], word: &str| {
        let error = vouched.verify(bytes).unwrap_err();
        assert_eq!(error.code(), "MST-U027");
        assert!(error.to_string().contains(word), "{error}");
    };
    // Another file, and another length.
    let mut other = bytes.clone();
    other[20] ^= 1;
    refused(&vouched, &other, "SHA-256");
    refused(&vouched, &bytes[..bytes.len() - 1], "bytes");
    refused(&vouched, &[&bytes[..], b"\n"].concat(), "bytes");
    // Signed as a release of another product, another version, or with another counter.
    let said = |change: &dyn Fn(&mut super::Vouched)| {
        let mut vouched = vouched.clone();
        change(&mut vouched);
        vouched
    };
    refused(&said(&|it| it.product = "van-app".to_owned()), &bytes, "product");
    refused(&said(&|it| it.version = "1.4.1".to_owned()), &bytes, "version");
    refused(&said(&|it| it.counter = 13), &bytes, "counter");
}

#[tokio::test]
async fn row_20_what_is_said_of_a_release_must_fit_its_name() {
    let publisher = Publisher::new();
    publisher.release("1.4.0", 12);
    for (key, value) in [
        ("product", "van-app".into()),
        ("version", "1.4.1".into()),
        ("counter", serde_json::Value::from(-1)),
        ("counter", serde_json::Value::Null),
    ] {
        let mirror = publisher.mirror();
        mirror.forge::<Targets>(
            "1.targets.json",
            &publisher.key("keys/targets-1.pem"),
            |targets| {
                targets.version = 2.try_into().unwrap();
                for target in targets.targets.values_mut() {
                    target.custom.insert(key.to_owned(), value.clone());
                }
            },
        );
        network::publish_targets(&publisher, &mirror, 2, &mirror.bytes("1.targets.json"));
        let trusted = Machine::new(&publisher).update(&mirror).await.unwrap();
        let error = trusted.manifest("car-app", "1.4.0").unwrap_err();
        assert_eq!(error.code(), "MST-U027", "{key}: {error}");
    }
}
