//! Data directories that cannot be used say why.

use std::os::unix::fs::PermissionsExt;

use muster_store::{DataDirectory, EventLog, LogOptions, OpenError, SqliteLog, verify};

use crate::kit::{event, open, stream};

#[test]
fn is_created_for_its_owner_alone() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("data");
    let _held = DataDirectory::open(&path).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn what_is_in_it_is_for_its_owner_alone_also_where_others_may_look_into_it() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("data");
    std::fs::create_dir(&path).unwrap();
    let allow = |path: &std::path::Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    allow(&path, 0o755);
    let files = || {
        let entries = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap());
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    // The second time they are there, as an older version made them.
    for _ in 0..2 {
        let held = DataDirectory::open(&path).unwrap();
        assert!(held.is_open_to_others());
        let log = SqliteLog::open(&held, LogOptions::default()).unwrap();
        log.append(vec![event(&stream(1), 0, "x")]).wait().unwrap();
        let found = files();
        assert!(
            found.iter().any(|file| file.to_string_lossy().ends_with("-wal")),
            "{found:?}"
        );
        for file in &found {
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", file.display());
        }
        drop((log, held));
        let mut databases = files();
        databases.retain(|file| !file.ends_with("lock"));
        databases.iter().for_each(|file| allow(file, 0o644));
    }
    allow(&path, 0o700);
    assert!(!DataDirectory::open(&path).unwrap().is_open_to_others());
}

#[test]
fn belongs_to_one_at_a_time() {
    let parent = tempfile::tempdir().unwrap();
    let held = DataDirectory::open(parent.path()).unwrap();
    let log = SqliteLog::open(&held, LogOptions::default()).unwrap();
    drop(held);
    match DataDirectory::open(parent.path()) {
        Err(error @ OpenError::InUse { pid, .. }) => {
            assert_eq!(pid, Some(std::process::id()));
            assert_eq!(error.code(), "MST-S005");
        }
        other => panic!("{other:?}"),
    }
    drop(log);
    DataDirectory::open(parent.path()).unwrap();
}

#[test]
fn what_it_cannot_be() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(
        DataDirectory::open(&file),
        Err(OpenError::NotADirectory { .. })
    ));
    assert!(matches!(
        DataDirectory::open(file.join("below")),
        Err(OpenError::NotADirectory { .. })
    ));
    let orphan = parent.path().join("no/parent");
    assert!(matches!(
        DataDirectory::open(orphan),
        Err(OpenError::MissingParent { .. })
    ));
    let missing = verify(&parent.path().join("nothing"), &mut |_| {});
    assert!(matches!(missing, Err(OpenError::Missing { .. })));
}

#[test]
fn read_only() {
    // Root may write anywhere, but not to a read-only file system.
    let path = std::path::Path::new("/proc/muster");
    let refused = DataDirectory::open(path);
    assert!(refused.is_err());
    let parent = tempfile::tempdir().unwrap();
    std::fs::set_permissions(parent.path(), std::fs::Permissions::from_mode(0o500)).unwrap();
    match DataDirectory::open(parent.path()) {
        Err(error) => assert!(matches!(error, OpenError::NotWritable { .. }), "{error:?}"),
        Ok(_) => println!("skipped: this user may write to a directory without permission"),
    }
}

#[test]
fn newer_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path())
        .append(vec![event(&stream(1), 0, "a")])
        .wait()
        .unwrap();
    let connection = rusqlite::Connection::open(directory.path().join("log.db")).unwrap();
    connection
        .execute("INSERT INTO schema_versions VALUES (3)", [])
        .unwrap();
    drop(connection);
    let held = DataDirectory::open(directory.path()).unwrap();
    match SqliteLog::open(&held, LogOptions::default()) {
        Err(OpenError::Newer { found, known, .. }) => assert_eq!((found, known), (3, 2)),
        other => panic!("{:?}", other.map(|_| ())),
    }
}
