use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::manifest::{FORMAT, Fits, Hooks, Payload};
use crate::tree;

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn releases(&self) -> PathBuf {
        self.folder.path().join("releases")
    }

    fn tree(&self, files: &[(&str, &str)]) -> Tree {
        let root = self.folder.path().join("tree");
        let _ = fs::remove_dir_all(&root);
        fs::create_dir(&root).unwrap();
        for (path, content) in files {
            fs::write(root.join(path), content).unwrap();
            fs::set_permissions(root.join(path), fs::Permissions::from_mode(0o644)).unwrap();
        }
        tree::read(&root).unwrap()
    }

    fn add(&self, version: &str, counter: u64, tree: &Tree) -> Result<Added, FolderError> {
        let manifest = Manifest {
            counter,
            entries: tree.entries.clone(),
            fits: Fits::default(),
            format: FORMAT,
            health: None,
            hooks: Hooks::default(),
            payload: Payload::Tree,
            preconditions: Vec::new(),
            product: "app".to_owned(),
            version: version.parse().unwrap(),
        };
        Folder::create(&self.releases())?.add(&manifest, tree)
    }

    fn check(&self) -> Checked {
        Folder::open(&self.releases()).unwrap().check().unwrap()
    }
}

#[test]
fn what_versions_share_is_kept_once() {
    let place = Place::new();
    let first = place
        .add("1.0.0", 1, &place.tree(&[("a", "same"), ("b", "old")]))
        .unwrap();
    assert_eq!((first.new_blobs, first.new_bytes, first.is_new), (2, 7, true));
    let second = place
        .add(
            "1.1.0",
            2,
            &place.tree(&[("a", "same"), ("b", "new"), ("c", "same")]),
        )
        .unwrap();
    assert_eq!((second.new_blobs, second.new_bytes), (1, 3));
    let again = place
        .add(
            "1.1.0",
            2,
            &place.tree(&[("a", "same"), ("b", "new"), ("c", "same")]),
        )
        .unwrap();
    assert_eq!(
        (again.new_blobs, again.is_new, again.digest),
        (0, false, second.digest)
    );
    let checked = place.check();
    assert_eq!(
        (checked.manifests, checked.blobs, checked.bytes, checked.unused),
        (2, 3, 10, 0)
    );
    assert_eq!(checked.findings, [""; 0]);
    let folder = Folder::open(&place.releases()).unwrap();
    assert_eq!(folder.products().unwrap(), ["app"]);
    let counters: Vec<u64> = folder
        .versions("app")
        .unwrap()
        .iter()
        .map(|one| one.manifest.counter)
        .collect();
    assert_eq!(counters, [1, 2]);
}

#[test]
fn a_version_and_a_counter_are_given_once() {
    let place = Place::new();
    place.add("1.0.0", 7, &place.tree(&[("a", "one")])).unwrap();
    let error = place.add("1.0.0", 8, &place.tree(&[("a", "two")])).unwrap_err();
    assert!(matches!(error, FolderError::VersionTaken { .. }), "{error}");
    let error = place.add("2.0.0", 7, &place.tree(&[("a", "two")])).unwrap_err();
    assert!(error.to_string().contains("the next free one is 8"), "{error}");
    // Nothing of what was refused is kept.
    assert_eq!(place.check().blobs, 1);
}

#[test]
fn one_writer_at_a_time() {
    let place = Place::new();
    let writing = Folder::create(&place.releases()).unwrap();
    assert!(matches!(
        Folder::create(&place.releases()),
        Err(FolderError::InUse)
    ));
    drop(writing);
    Folder::create(&place.releases()).unwrap();
}

#[test]
fn a_file_that_changes_while_it_is_read_is_no_release() {
    let place = Place::new();
    let tree = place.tree(&[("a", "before")]);
    fs::write(place.folder.path().join("tree/a"), "after!").unwrap();
    let error = place.add("1.0.0", 1, &tree).unwrap_err();
    assert_eq!(error.code(), "MST-U006", "{error}");
    let folder = Folder::open(&place.releases()).unwrap();
    assert_eq!(folder.versions("app").unwrap(), []);
}

#[test]
fn every_kind_of_damage_is_found_and_named() {
    let place = Place::new();
    let tree = place.tree(&[("a", "one"), ("b", "two")]);
    let find = |name: &str, words: &[&str], damage: &dyn Fn(&Path)| {
        let _ = fs::remove_dir_all(place.releases());
        place.add("1.0.0", 1, &tree).unwrap();
        damage(&place.releases());
        let findings = place.check().findings.join("\n");
        for word in words {
            assert!(
                findings.contains(word),
                "{name}: {findings:?} does not say {word:?}"
            );
        }
    };
    let one = Sha256Digest::of(b"one");
    let blob = |root: &Path| {
        root.join("blobs")
            .join(&one.to_string()[..2])
            .join(one.to_string())
    };
    let manifest = |root: &Path| root.join("manifests/app/1.0.0.json");
    find(
        "another content",
        &[&one.to_string(), "app 1.0.0: \"a\" needs"],
        &|root| {
            fs::write(blob(root), "eno").unwrap();
        },
    );
    find("no blob", &["app 1.0.0: \"a\" needs the blob"], &|root| {
        fs::remove_file(blob(root)).unwrap();
    });
    find(
        "a cut blob",
        &["needs the blob", "is not what its name says"],
        &|root| {
            fs::write(blob(root), "on").unwrap();
        },
    );
    find("a stranger", &["blobs/hello: this is no blob"], &|root| {
        fs::write(root.join("blobs/hello"), "").unwrap();
    });
    find("a cut manifest", &["manifests/app/1.0.0.json"], &|root| {
        let text = fs::read(manifest(root)).unwrap();
        fs::write(manifest(root), &text[..text.len() - 1]).unwrap();
    });
    find("another name", &["it is the manifest of app 1.0.0"], &|root| {
        fs::rename(manifest(root), root.join("manifests/app/1.0.1.json")).unwrap();
    });
    find("another product", &["it is the manifest of app 1.0.0"], &|root| {
        fs::rename(root.join("manifests/app"), root.join("manifests/other")).unwrap();
    });
    find("a counter twice", &["its counter is that of"], &|root| {
        let text = fs::read_to_string(manifest(root)).unwrap();
        let text = text.replace("1.0.0", "1.0.1");
        fs::write(root.join("manifests/app/1.0.1.json"), text).unwrap();
    });
}
