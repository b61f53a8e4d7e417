//! `muster release` as people type it: made, shown, checked, refused. No server runs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// A directory `app` with a program, data and a link.
    fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let app = place.path("app");
        fs::create_dir_all(app.join("bin")).unwrap();
        fs::write(app.join("bin/app"), "#!/bin/sh\necho 1\n").unwrap();
        fs::set_permissions(app.join("bin/app"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(app.join("data"), "shared").unwrap();
        symlink("bin/app", app.join("run")).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn muster(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_muster"))
            .args(words)
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    fn create(&self, version: &str, counter: &str, more: &[&str]) -> Output {
        let mut words = vec![
            "release",
            "create",
            "app",
            "--product",
            "car-app",
            "--version",
            version,
        ];
        words.extend(["--counter", counter, "--into", "releases"]);
        words.extend(more);
        self.muster(&words)
    }
}

fn said(output: &Output) -> (Option<i32>, String) {
    let words = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code(), String::from_utf8_lossy(&words).into_owned())
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {:?}", said(output)))
}

const ALL: &[&str] = &[
    "--for",
    "kind=car",
    "--for",
    "arch=aarch64",
    "--executable",
    "bin/app",
    "--require",
    "battery_percent>=40",
    "--require",
    "mode in parked,docked",
    "--pre",
    "bin/app --prepare",
    "--health",
    "port=8080",
    "--health",
    "process",
];

#[test]
fn a_release_is_made_shown_and_checked() {
    let place = Place::new();
    let (code, words) = said(&place.create("1.4.0", "12", ALL));
    assert_eq!(code, Some(0), "{words}");
    assert!(
        words.contains("entries     4\n") && words.contains("size        23 bytes\n"),
        "{words}"
    );
    assert!(words.contains("new here    2 blobs, 23 bytes\n"), "{words}");

    // The next one shares what did not change.
    fs::write(place.path("app/bin/app"), "#!/bin/sh\necho 2 and more\n").unwrap();
    let made = document(&place.create("1.5.0", "13", &["--executable", "bin/app", "--output", "json"]));
    assert_eq!(
        (&made["new_blobs"], &made["new_bytes"]),
        (&1.into(), &26.into()),
        "{made}"
    );
    assert_eq!(
        made["beside"],
        serde_json::json!([{"version": "1.4.0", "lacking_bytes": 26}])
    );

    let (code, words) = said(&place.muster(&["release", "show", "releases", "car-app"]));
    assert_eq!(code, Some(0), "{words}");
    let rows: Vec<Vec<&str>> = words
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows[0][..5],
        ["VERSION", "COUNTER", "PAYLOAD", "ENTRIES", "BYTES"]
    );
    assert_eq!(rows[1][..5], ["1.4.0", "12", "executable", "4", "23"]);
    assert_eq!(rows[2][..5], ["1.5.0", "13", "executable", "4", "32"]);

    // The whole of one, to the letter: also the digest is the same on every computer.
    let (_, words) = said(&place.muster(&["release", "show", "releases", "car-app", "1.4.0"]));
    insta::assert_snapshot!(words);
    let whole = document(&place.muster(&["release", "show", "releases", "car-app", "1.4.0", "-o", "json"]));
    assert_eq!(
        whole["manifest"]["entries"][1]["what"]["file"]["executable"],
        true
    );
    assert_eq!(whole["manifest"]["health"]["checks"][0]["port"], 8080);

    let (code, words) = said(&place.muster(&["release", "check", "releases"]));
    assert_eq!(code, Some(0));
    assert_eq!(
        words,
        "releases    2\nblobs       3 (49 bytes, 0 of no release)\nresult      sound\n"
    );
}

#[test]
fn the_same_directory_gives_the_same_release_whenever_it_is_made() {
    let (one, other) = (Place::new(), Place::new());
    let made =
        |place: &Place| document(&place.create("1.4.0", "12", &["--output", "json"]))["manifest"].clone();
    assert_eq!(made(&one), made(&other));
    // Once more is nothing.
    let again = document(&one.create("1.4.0", "12", &["--output", "json"]));
    assert_eq!(
        (&again["is_new"], &again["new_blobs"]),
        (&false.into(), &0.into())
    );
}

#[test]
fn what_is_damaged_is_named_and_the_exit_code_is_1() {
    let place = Place::new();
    place.create("1.4.0", "12", &[]);
    let listed = document(&place.muster(&["release", "show", "releases", "car-app", "1.4.0", "-o", "json"]));
    let entries = listed["manifest"]["entries"].as_array().unwrap();
    let data = entries.iter().find(|entry| entry["path"] == "data").unwrap();
    let digest = data["what"]["file"]["sha256"].as_str().unwrap();
    fs::write(
        place.path("releases/blobs").join(&digest[..2]).join(digest),
        "shareD",
    )
    .unwrap();
    let (code, words) = said(&place.muster(&["release", "check", "releases"]));
    assert_eq!(code, Some(1), "{words}");
    assert!(
        words.contains("result      DAMAGED (2)\n") && words.contains(digest),
        "{words}"
    );
    assert!(
        words.contains("car-app 1.4.0: \"data\" needs the blob"),
        "{words}"
    );
    // Made again it is mended.
    assert_eq!(said(&place.create("1.4.0", "12", &[])).0, Some(0));
    assert_eq!(said(&place.muster(&["release", "check", "releases"])).0, Some(0));
}

#[test]
fn what_cannot_be_a_release_is_refused_with_the_reason() {
    let place = Place::new();
    let refused = |words: &[&str], code: i32, said_words: &[&str]| {
        let (exit, told) = said(&place.create("1.4.0", "12", words));
        assert_eq!(exit, Some(code), "{told}");
        for word in said_words {
            assert!(told.contains(word), "{told:?} does not say {word:?}");
        }
        assert!(!place.path("releases").exists(), "{words:?} left something");
    };
    refused(&["--require", "battery_percent>=lots"], 64, &["READING>=NUMBER"]);
    refused(&["--for", "site=munich"], 64, &["kind=WORD or arch=WORD"]);
    refused(
        &["--executable", "data"],
        64,
        &["MST-U002", "\"data\" is not executable"],
    );
    refused(
        &["--executable", "nothing"],
        64,
        &["MST-U002", "not in the release"],
    );
    symlink("../../outside", place.path("app/out")).unwrap();
    refused(&[], 64, &["MST-U002", "entries[3] \"out\"", "out of the release"]);
    fs::remove_file(place.path("app/out")).unwrap();
    fs::set_permissions(place.path("app/data"), fs::Permissions::from_mode(0o4644)).unwrap();
    refused(&[], 1, &["MST-U003", "app/data", "set-user"]);
    fs::set_permissions(place.path("app/data"), fs::Permissions::from_mode(0o644)).unwrap();

    assert_eq!(said(&place.create("1.4.0", "12", &[])).0, Some(0));
    let (code, told) = said(&place.create("1.5.0", "12", &[]));
    assert_eq!(code, Some(1));
    assert!(
        told.contains("error[MST-U014]") && told.contains("the next free one is 13"),
        "{told}"
    );
    let (code, told) = said(&place.muster(&["release", "show", "releases", "van-app"]));
    assert_eq!(code, Some(1));
    assert!(
        told.contains("error[MST-U015]") && told.contains("car-app"),
        "{told}"
    );
    let nowhere = place.muster(&["release", "check", "nowhere"]);
    assert_eq!(said(&nowhere).0, Some(73), "{:?}", said(&nowhere));
}

#[test]
fn one_program_is_a_release_and_is_what_is_started() {
    let place = Place::new();
    let words = [
        "release",
        "create",
        "app/bin/app",
        "--product",
        "tool",
        "--version",
        "0.1.0",
        "--counter",
        "1",
    ];
    let output = place.muster(&[&words[..], &["--into", "releases"]].concat());
    assert_eq!(said(&output).0, Some(0), "{:?}", said(&output));
    let shown = document(&place.muster(&["release", "show", "releases", "tool", "0.1.0", "-o", "json"]));
    assert_eq!(shown["manifest"]["payload"]["executable"]["entry"], "app");
    assert!(Path::new(&place.path("releases/manifests/tool/0.1.0.json")).exists());
}

#[test]
fn two_people_sign_a_release_one_after_the_other() {
    let place = Place::new();
    assert_eq!(said(&place.create("1.4.0", "12", ALL)).0, Some(0));
    let good = |words: &[&str]| {
        let output = place.muster(&[&["release"], words, &["--output", "json"]].concat());
        assert_eq!(said(&output).0, Some(0), "{words:?}: {:?}", said(&output));
        document(&output)
    };
    let refused = |words: &[&str], code: i32, word: &str| {
        let (exit, told) = said(&place.muster(&[&["release"], words].concat()));
        assert_eq!(exit, Some(code), "{told}");
        assert!(told.contains(word), "{told}");
    };
    good(&["keys", "online", "server"]);
    refused(
        &["keys", "new", "alice", "--root-threshold", "4"],
        64,
        "error[MST-U032]",
    );
    let new = [
        "keys",
        "new",
        "alice",
        "--targets-threshold",
        "2",
        "--online",
        "server",
    ];
    let root = good(&new);
    assert_eq!(root["roles"][1]["threshold"], 2);
    assert!(
        root["roles"][1]["keys"][0]["private"].is_string()
            && root["roles"][2]["keys"][0]["private"].is_null()
    );
    fs::create_dir(place.path("bob")).unwrap();
    fs::rename(place.path("alice/targets-2.pem"), place.path("bob/targets-2.pem")).unwrap();
    fs::copy(place.path("alice/1.root.json"), place.path("bob/1.root.json")).unwrap();

    let sign = ["sign", "releases", "car-app", "1.4.0", "--keys", "alice"];
    let signed = good(&sign);
    assert_eq!(signed["is_complete"], false);
    assert_eq!(signed["standings"][0]["missing"].as_array().unwrap().len(), 1);
    refused(&sign, 1, "error[MST-U033]");
    let refresh = [
        "refresh",
        "releases",
        "--root",
        "alice/1.root.json",
        "--keys",
        "server",
    ];
    refused(&refresh, 1, "error[MST-U035]");
    let pending = "releases/metadata/1.targets.pending.json";
    let look = good(&["keys", "sign", pending, "--keys", "bob", "--look"]);
    assert_eq!(
        (&look["is_complete"], &look["changes"]),
        (&false.into(), &signed["changes"])
    );
    assert_eq!(
        good(&["keys", "sign", pending, "--keys", "bob"])["is_complete"],
        true
    );
    assert!(!place.path(pending).exists());
    assert_eq!(good(&refresh)["is_new"], true);
    assert_eq!(good(&refresh)["is_new"], false);

    let shown = good(&["show", "releases", "car-app", "1.4.0"]);
    assert_eq!(shown["signed"]["standing"]["signed"].as_array().unwrap().len(), 2);
    assert_eq!(
        good(&["show", "releases", "car-app"])["releases"][0]["is_signed"],
        true
    );
    // A key that others may read is none.
    let key = place.path("alice/targets-1.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    refused(
        &["sign", "releases", "--renew", "--keys", "alice"],
        1,
        "error[MST-U030]",
    );
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let withdrawn = [
        "sign",
        "releases",
        "car-app",
        "1.4.0",
        "--withdraw",
        "--keys",
        "alice",
    ];
    assert_eq!(good(&withdrawn)["changes"].as_array().unwrap().len(), 1);
}
