use muster_mutate::Target;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

fn file(content: &str, executable: bool) -> What {
    What::File(FileContent {
        executable,
        length: content.len() as u64,
        sha256: Sha256Digest::of(content.as_bytes()),
    })
}

fn link(to: &str) -> What {
    What::Link(LinkTarget { to: to.to_owned() })
}

fn entry(path: &str, what: What) -> Entry {
    Entry {
        path: path.to_owned(),
        what,
    }
}

fn manifest(entries: Vec<Entry>) -> Manifest {
    Manifest {
        counter: 12,
        entries,
        fits: Fits::default(),
        format: FORMAT,
        health: None,
        hooks: Hooks::default(),
        payload: Payload::Tree,
        preconditions: Vec::new(),
        product: "car-app".to_owned(),
        version: Version::new(1, 4, 0),
    }
}

fn sound() -> Manifest {
    Manifest {
        fits: Fits {
            architectures: vec![Architecture::Aarch64, Architecture::X86_64],
            kinds: vec!["car".to_owned()],
        },
        health: Some(Health {
            checks: vec![HealthCheck::Process, HealthCheck::Port(8080)],
            hold_s: 10,
            within_s: 60,
        }),
        hooks: Hooks {
            after: Vec::new(),
            before: vec![Hook {
                command: vec!["bin/app".to_owned(), "--prepare".to_owned()],
                within_s: 30,
            }],
        },
        payload: Payload::Executable(Started {
            entry: "bin/app".to_owned(),
        }),
        preconditions: vec![
            Precondition {
                reading: "battery_percent".to_owned(),
                test: Test::AtLeast(40),
            },
            Precondition {
                reading: "mode".to_owned(),
                test: Test::In(vec!["parked".to_owned(), "docked".to_owned()]),
            },
        ],
        ..manifest(vec![
            entry("bin", What::Directory),
            entry("bin/app", file("program", true)),
            entry("bin/latest", link("app")),
            entry("etc", link("bin/../bin")),
        ])
    }
}

/// What is said of a manifest that is refused.
#[track_caller]
fn refused(manifest: &Manifest, words: &[&str]) {
    let error = manifest.check().expect_err("it is refused");
    let said = error.to_string();
    assert!(
        matches!(error, ManifestError::Refused { .. }) && said.contains("; accepted: "),
        "{said}"
    );
    for word in words {
        assert!(said.contains(word), "{said:?} does not say {word:?}");
    }
    // What is refused is written by nobody.
    assert!(manifest.encode().is_err());
    assert!(Manifest::decode(&manifest.to_bytes()).is_err());
}

#[test]
fn a_manifest_is_written_in_one_way_and_comes_back() {
    let manifest = sound();
    let bytes = manifest.encode().expect("accepted");
    assert_eq!(Manifest::decode(&bytes).expect("read"), manifest);
    // Fixed for ever: signatures stand on it.
    assert_eq!(
        String::from_utf8_lossy(&bytes),
        concat!(
            r#"{"counter":12,"entries":[{"path":"bin","what":"directory"},{"path":"bin/app","what":{"file":{"executable":true,"length":7,"#,
            r#""sha256":"1310ca2c8932dbd118668bd97442558a3e1f546b5e15c69699dfbd6024f548d8"}}},{"path":"bin/latest","what":{"link":{"to":"app"}}},"#,
            r#"{"path":"etc","what":{"link":{"to":"bin/../bin"}}}],"fits":{"architectures":["aarch64","x86_64"],"kinds":["car"]},"format":1,"#,
            r#""health":{"checks":["process",{"port":8080}],"hold_s":10,"within_s":60},"#,
            r#""hooks":{"before":[{"command":["bin/app","--prepare"],"within_s":30}]},"payload":{"executable":{"entry":"bin/app"}},"#,
            r#""preconditions":[{"reading":"battery_percent","test":{"at_least":40}},{"reading":"mode","test":{"in":["parked","docked"]}}],"#,
            r#""product":"car-app","version":"1.4.0"}"#
        )
    );
}

#[test]
fn what_is_written_otherwise_is_not_read() {
    let bytes = sound().encode().expect("accepted");
    let text = String::from_utf8(bytes).expect("text");
    for other in [
        text.replacen("{\"counter", "{ \"counter", 1),
        text.replacen("\"format\":1,", "", 1) + " ",
        text.replacen("\"format\":1,", "\"format\":1,\"hooks\":{},", 1),
        text.replacen("\"counter\":12", "\"counter\":12.0", 1),
        text.replacen("car-app", "\\u0063ar-app", 1),
        text.replacen("\"executable\":true,", "\"executable\":true,\"mode\":2541,", 1),
        text.replacen("\"product\"", "\"product\":\"car-app\",\"product\"", 1),
        text.clone() + "\n",
    ] {
        let error = Manifest::decode(other.as_bytes()).expect_err("not the one way");
        assert_eq!(error.code(), "MST-U001", "{error}");
    }
    assert!(Manifest::decode(text.as_bytes()).is_ok());
}

#[test]
fn paths_that_lead_elsewhere_are_refused_with_their_place() {
    for (path, said) in [
        ("/etc/passwd", "absolute"),
        ("../up", "\"..\" is no name"),
        ("a/../../up", "\"..\" is no name"),
        ("./a", "\".\" is no name"),
        ("a//b", "empty name"),
        ("a/", "empty name"),
        ("", "empty"),
        ("a\nb", "control character"),
        ("a\u{1b}[2Jb", "control character"),
        ("a\0b", "control character"),
    ] {
        refused(
            &manifest(vec![entry(path, file("x", false))]),
            &["entries[0]", said],
        );
    }
    refused(
        &manifest(vec![entry(&"n".repeat(NAME_MAX_BYTES + 1), What::Directory)]),
        &["a name of 256 bytes", "up to 255"],
    );
    let long = format!("{}/x", vec!["n".repeat(200); 6].join("/"));
    refused(
        &manifest(vec![entry(&long, What::Directory)]),
        &["a path of 1207 bytes"],
    );
    let deep = vec!["n"; PATH_MAX_NAMES + 1].join("/");
    refused(
        &manifest(vec![entry(&deep, What::Directory)]),
        &["a path of 65 names"],
    );
}

#[test]
fn entries_that_quarrel_are_refused() {
    let a = |what| entry("a", what);
    let below = || entry("a/b", file("x", false));
    refused(
        &manifest(vec![a(file("x", false)), a(file("y", false))]),
        &["entries[1] \"a\"", "already"],
    );
    refused(
        &manifest(vec![a(file("x", false)), below()]),
        &["\"a\" is a file"],
    );
    refused(&manifest(vec![a(link("a")), below()]), &["\"a\" is a link"]);
    refused(&manifest(vec![below()]), &["\"a\" is no entry"]);
    refused(
        &manifest(vec![entry("b", What::Directory), a(What::Directory)]),
        &["comes after \"b\""],
    );
    refused(&manifest(Vec::new()), &["nothing in the release"]);
}

#[test]
fn links_stay_inside_also_through_others() {
    let tree = |links: &[(&str, &str)]| {
        let mut entries = vec![
            entry("d", What::Directory),
            entry("d/e", What::Directory),
            entry("d/f", file("x", false)),
        ];
        entries.extend(links.iter().map(|(path, to)| entry(path, link(to))));
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        manifest(entries)
    };
    for (links, said) in [
        (&[("l", "/etc")][..], "out of the release"),
        (&[("l", "..")], "out of the release"),
        (&[("d/l", "../../d")], "out of the release"),
        (&[("l", "d/../../x")], "out of the release"),
        // Each alone stays inside; together they lead out.
        (&[("d/e/up", ".."), ("l", "d/e/up/../../x")], "out of the release"),
        (&[("d/e/top", "../.."), ("l", "d/e/top/..")], "out of the release"),
        (&[("l", "m"), ("m", "l")], "in a circle"),
        (&[("l", "l")], "in a circle"),
        (&[("l", "d/f/x")], "\"d/f\" is a file"),
        (&[("l", "d/nothing")], "is not in the release"),
        (&[("l", "")], "leads to"),
        (&[("l", "d\u{7}")], "leads to"),
    ] {
        refused(&tree(links), &[said]);
    }
    for links in [
        &[("l", "d/e/..")][..],
        &[("d/e/top", "../.."), ("l", "d/e/top/d/f")],
        &[("d/l", "./../d//f")],
        &[("d/e/top", "../..")],
    ] {
        tree(links).check().expect("it stays inside");
    }
}

#[test]
fn links_without_end_are_refused_soon() {
    let mut entries: Vec<Entry> = vec![entry("d", What::Directory)];
    let winding = "d/../".repeat(200) + "d";
    let to = |index: u32| {
        if index == 0 {
            winding.clone()
        } else {
            format!("{winding}/../l{:05}", index % 30)
        }
    };
    entries.extend((0..30_000_u32).map(|index| entry(&format!("l{index:05}"), link(&to(index)))));
    let began = std::time::Instant::now();
    refused(&manifest(entries), &["links"]);
    assert!(began.elapsed() < std::time::Duration::from_secs(20));
}

#[test]
fn sizes_and_counts_end() {
    let long = |length| {
        What::File(FileContent {
            executable: false,
            length,
            sha256: Sha256Digest::of(&length.to_le_bytes()),
        })
    };
    refused(
        &manifest(vec![entry("a", long(FILE_MAX_BYTES + 1))]),
        &["a file of 4294967297 bytes"],
    );
    let most = |count: u64| {
        (0..count)
            .map(|n| entry(&format!("f{n}"), long(FILE_MAX_BYTES - n)))
            .collect()
    };
    manifest(most(4)).check().expect("just fits");
    refused(&manifest(most(5)), &["with it all files have"]);
    let many = |count| {
        (0..count)
            .map(|n| entry(&format!("{n:06}"), What::Directory))
            .collect()
    };
    manifest(many(ENTRIES_MAX)).check().expect("just fits");
    refused(
        &manifest(many(ENTRIES_MAX + 1)),
        &["there are 100001", "up to 100000"],
    );
    let error = Manifest::decode(&vec![b' '; MANIFEST_MAX_BYTES + 1]).expect_err("too long");
    assert!(matches!(error, ManifestError::TooLarge { .. }));
    let same = [("a", 1), ("b", 2)].map(|(path, length)| {
        entry(
            path,
            What::File(FileContent {
                executable: false,
                length,
                sha256: Sha256Digest::of(b"same"),
            }),
        )
    });
    refused(&manifest(same.to_vec()), &["another length"]);
}

#[test]
fn what_a_release_is_and_asks_for_is_looked_at() {
    let check = |change: &dyn Fn(&mut Manifest), words: &[&str]| {
        let mut manifest = sound();
        change(&mut manifest);
        refused(&manifest, words);
    };
    check(&|it| it.format = 2, &["format: 2 is not known"]);
    check(&|it| it.counter = 0, &["counter: 0"]);
    check(&|it| it.counter = COUNTER_MAX + 1, &["counter"]);
    for name in ["", "..", "a/b", "Car", "-a", ".a"] {
        check(&|it| it.product = name.to_owned(), &["product", "a-z"]);
    }
    check(
        &|it| it.version = Version::parse(&format!("1.0.0-{}", "x".repeat(70))).unwrap(),
        &["version"],
    );
    check(
        &|it| it.fits.kinds = vec!["b".into(), "a".into()],
        &["fits.kinds", "sorted"],
    );
    check(&|it| it.fits.kinds = vec!["a b".into()], &["fits.kinds[0]"]);
    check(&|it| it.fits.architectures.reverse(), &["fits.architectures"]);
    check(
        &|it| it.hooks.before[0].command.clear(),
        &["hooks.before[0].command", "no program"],
    );
    check(
        &|it| it.hooks.before[0].within_s = 0,
        &["hooks.before[0].within_s"],
    );
    check(
        &|it| it.hooks.before[0].command[1] = "\n".into(),
        &["control character"],
    );
    check(
        &|it| it.health.as_mut().unwrap().checks.clear(),
        &["health.checks"],
    );
    check(
        &|it| it.health.as_mut().unwrap().checks[1] = HealthCheck::Port(0),
        &["health.checks[1].port"],
    );
    check(
        &|it| it.health.as_mut().unwrap().within_s = 5,
        &["shorter than hold_s"],
    );
    check(
        &|it| it.preconditions[0].reading.clear(),
        &["preconditions[0].reading"],
    );
    check(
        &|it| it.preconditions[1].test = Test::In(Vec::new()),
        &["preconditions[1].test.in", "never hold"],
    );
    let started = |entry: &str| {
        Payload::Executable(Started {
            entry: entry.to_owned(),
        })
    };
    check(
        &|it| it.payload = started("bin/none"),
        &["payload.executable.entry", "not in the release"],
    );
    check(&|it| it.payload = started("bin"), &["is no file"]);
    check(
        &|it| it.entries[1].what = file("program", false),
        &["not executable"],
    );
    let image = |reference: &str| {
        Payload::Image(ImageReference {
            reference: reference.to_owned(),
        })
    };
    check(
        &|it| it.payload = image("registry.example/app:latest"),
        &["no image with a digest"],
    );
    let digest = Sha256Digest::of(b"");
    check(
        &|it| it.payload = image(&format!("app@sha256:{digest}")),
        &["carries files"],
    );
    Manifest {
        payload: image(&format!("registry.example/app@sha256:{digest}")),
        ..manifest(Vec::new())
    }
    .check()
    .expect("an image with its digest");
}

/// Keys in order and nothing else between them: what RFC 8785 makes of it.
fn in_order(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            let fields: Vec<String> = fields
                .into_iter()
                .map(|(key, value)| format!("{}:{}", serde_json::json!(key), in_order(value)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        serde_json::Value::Array(items) => {
            let items: Vec<String> = items.iter().map(in_order).collect();
            format!("[{}]", items.join(","))
        }
        other => other.to_string(),
    }
}

fn trees() -> impl Strategy<Value = Vec<Entry>> {
    let name = prop_oneof!["[a-c]", "[a-z .~é\"\\\\-]{1,12}"];
    let path = vec(name, 1..4).prop_map(|names| names.join("/"));
    let what = prop_oneof![
        Just(What::Directory),
        (any::<bool>(), ".{0,9}").prop_map(|(executable, content)| file(&content, executable)),
        "[a-c./]{1,9}".prop_map(|to| link(&to)),
    ];
    btree_map(path, what, 1..12).prop_map(|found| {
        found
            .into_iter()
            .map(|(path, what)| Entry { path, what })
            .collect()
    })
}

/// Directories where they are missing: most trees are accepted then.
fn with_directories(entries: Vec<Entry>) -> Vec<Entry> {
    let mut found: std::collections::BTreeMap<String, What> = std::collections::BTreeMap::new();
    for Entry { path, what } in entries {
        let parents = path.match_indices('/').map(|(at, _)| path[..at].to_owned());
        parents.for_each(|parent| {
            found.insert(parent, What::Directory);
        });
        found.entry(path).or_insert(what);
    }
    found
        .into_iter()
        .map(|(path, what)| Entry { path, what })
        .collect()
}

proptest! {
    #[test]
    fn what_is_accepted_comes_back_and_is_in_the_form_of_rfc_8785(entries in trees().prop_map(with_directories)) {
        let manifest = manifest(entries);
        match manifest.encode() {
            Ok(bytes) => {
                prop_assert_eq!(&Manifest::decode(&bytes).expect("what was written is read"), &manifest);
                let value: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
                let ordered = in_order(&value).into_bytes();
                prop_assert_eq!(&ordered, &bytes);
            }
            Err(error) => prop_assert_eq!(error.code(), "MST-U002"),
        }
    }

    /// What is accepted is built on a real disk, and every link of it is asked where it really leads.
    #[test]
    fn no_link_of_an_accepted_tree_leads_out_of_it(entries in trees().prop_map(with_directories)) {
        let manifest = manifest(entries);
        if manifest.check().is_ok() {
            let folder = tempfile::tempdir().expect("a folder");
            let root = folder.path().join("root");
            std::fs::create_dir(&root).expect("made");
            for entry in &manifest.entries {
                let path = root.join(&entry.path);
                match &entry.what {
                    What::Directory => std::fs::create_dir(path).expect("made"),
                    What::File(_) => std::fs::write(path, "").expect("written"),
                    What::Link(link) => std::os::unix::fs::symlink(&link.to, path).expect("linked"),
                }
            }
            let root = root.canonicalize().expect("there");
            for entry in &manifest.entries {
                let real = root.join(&entry.path).canonicalize();
                let real = real.unwrap_or_else(|error| panic!("{entry:?} leads nowhere: {error}"));
                prop_assert!(real.starts_with(&root), "{:?} leads to {}", entry, real.display());
            }
        }
    }
}

#[path = "../../../../fuzz/src/manifest.rs"]
#[allow(unreachable_pub, reason = "shared with the fuzz targets")]
mod law;

#[test]
fn fuzz_manifest() {
    Target::new("manifest")
        .json()
        .tokens(&[
            "..",
            "/",
            "\\u0000",
            "directory",
            "\"link\":{\"to\":\"..\"}",
            "4294967297",
            "e9",
            "1.0.0+x",
        ])
        .check(law::manifest);
}

/// The law of the fuzz target finds decoders that take more than they should.
#[test]
fn the_law_finds_a_decoder_that_lets_a_path_lead_out() {
    let target = Target::new("manifest").json().tokens(&["..", "/"]);
    let corpus = target.corpus();
    let lenient = |bytes: &[u8]| match serde_json::from_slice::<Manifest>(bytes) {
        Ok(manifest) => {
            law::holds(&manifest);
            true
        }
        Err(_) => false,
    };
    let silent = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        target.run(&corpus, 8_000, 1, lenient)
    }));
    assert!(silent.is_err(), "a decoder without checks was not found");
}
