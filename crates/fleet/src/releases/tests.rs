use super::metadata::{Metadata, MetadataError, Name};
use super::serving::Part;

#[test]
fn a_range_is_understood_or_asks_for_all() {
    let cases = [
        (None, Part::Whole),
        (Some("bytes=0-"), Part::Range(0..10)),
        (Some("bytes=3-"), Part::Range(3..10)),
        (Some("bytes=3-4"), Part::Range(3..5)),
        (Some("bytes=3-3"), Part::Range(3..4)),
        (Some("bytes=3-99"), Part::Range(3..10)),
        (Some("bytes=9-"), Part::Range(9..10)),
        (Some("bytes=-4"), Part::Range(6..10)),
        (Some("bytes=-99"), Part::Range(0..10)),
        (Some("bytes=10-"), Part::Beyond),
        (Some("bytes=-0"), Part::Beyond),
        (Some("bytes=99999999999999999999999-"), Part::Beyond),
        (Some("bytes=4-3"), Part::Whole),
        (Some("bytes=-"), Part::Whole),
        (Some("bytes=1-2,4-5"), Part::Whole),
        (Some("bytes=+1-2"), Part::Whole),
        (Some("lines=1-2"), Part::Whole),
        (Some(""), Part::Whole),
    ];
    for (range, expected) in cases {
        assert_eq!(Part::of(range, 10), expected, "{range:?}");
    }
    assert_eq!(Part::of(Some("bytes=0-"), 0), Part::Beyond);
}

#[test]
fn metadata_has_the_names_of_the_update_framework_and_no_others() {
    for name in [
        "timestamp.json",
        "1.root.json",
        "12.targets.json",
        "999999999.snapshot.json",
    ] {
        assert_eq!(Name::parse(name).unwrap().to_string(), name);
    }
    for name in [
        "",
        "root.json",
        "1.timestamp.json",
        "0.root.json",
        "01.root.json",
        "-1.root.json",
        "1000000000.root.json",
        "1.root.json.new",
        "1.other.json",
        "../1.root.json",
        "1.root",
        ".root.json",
    ] {
        assert!(Name::parse(name).is_err(), "{name}");
    }
}

#[test]
fn what_people_signed_is_given_out_once_and_what_the_server_signs_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let metadata = Metadata::open(&folder.path().join("trust")).unwrap();
    let name = |text: &str| Name::parse(text).unwrap();
    let document = |role: &str, version: u64, more: &str| {
        format!(r#"{{"signatures":[],"signed":{{"_type":"{role}","version":{version},"more":"{more}"}}}}"#)
    };
    let put = |file: &str, text: &str| metadata.put(name(file), text.as_bytes());
    assert_eq!(metadata.get(name("1.root.json")).unwrap(), None);
    let root = document("root", 1, "a");
    assert!(put("1.root.json", &root).unwrap());
    assert!(!put("1.root.json", &root).unwrap());
    let taken = put("1.root.json", &document("root", 1, "b"));
    assert!(matches!(taken, Err(MetadataError::Taken { .. })), "{taken:?}");
    assert_eq!(
        metadata.get(name("1.root.json")).unwrap().as_deref(),
        Some(root.as_bytes())
    );
    assert!(put("timestamp.json", &document("timestamp", 4, "a")).unwrap());
    assert!(put("timestamp.json", &document("timestamp", 5, "a")).unwrap());
    for (file, text, says) in [
        ("2.root.json", document("targets", 2, ""), "its _type is"),
        ("2.root.json", document("root", 3, ""), "its version is 3"),
        ("2.root.json", "{}".to_owned(), "no document"),
        (
            "2.root.json",
            document("root", 2, &"x".repeat(70_000)),
            "up to 65536",
        ),
    ] {
        let refused = put(file, &text).unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
        assert_eq!(metadata.get(name(file)).unwrap(), None);
    }
    // Also after a start.
    drop(metadata);
    let metadata = Metadata::open(&folder.path().join("trust")).unwrap();
    assert!(metadata.get(name("timestamp.json")).unwrap().is_some());
}
