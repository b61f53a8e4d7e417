use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use super::*;

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The same tree, made in one order or the other, with this time and these modes.
fn make(root: &Path, backwards: bool, program: u32, data: u32) {
    let mut files = vec![
        ("bin/app", "program"),
        ("data/b", "same"),
        ("data/a", "same"),
        ("z", ""),
    ];
    if backwards {
        files.reverse();
    }
    for (path, content) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        mode(&path, if path.ends_with("bin/app") { program } else { data });
    }
    fs::create_dir(root.join("empty")).unwrap();
    symlink("../bin/app", root.join("data/link")).unwrap();
}

#[test]
fn the_same_tree_gives_the_same_list_whoever_made_it_and_when() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make(one.path(), false, 0o755, 0o644);
    make(other.path(), true, 0o700, 0o660);
    let old = File::options().write(true).open(other.path().join("z")).unwrap();
    old.set_modified(std::time::UNIX_EPOCH).unwrap();
    let (one, other) = (read(one.path()).unwrap(), read(other.path()).unwrap());
    assert_eq!(one.entries, other.entries);
    let paths: Vec<&str> = one.entries.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "bin",
            "bin/app",
            "data",
            "data/a",
            "data/b",
            "data/link",
            "empty",
            "z"
        ]
    );
    // What is there twice has one source.
    assert_eq!(one.sources.len(), 3);
    assert!(matches!(
        one.entries[1].what,
        What::File(FileContent { executable: true, .. })
    ));
    assert!(matches!(
        one.entries[3].what,
        What::File(FileContent {
            executable: false,
            ..
        })
    ));
}

#[test]
fn one_program_is_a_tree_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app");
    fs::write(&path, "program").unwrap();
    mode(&path, 0o755);
    let tree = read(&path).unwrap();
    assert_eq!(tree.entries.len(), 1);
    assert_eq!(tree.entries[0].path, "app");
}

#[track_caller]
fn refused(root: &Path, words: &[&str]) {
    let error = read(root).unwrap_err();
    assert_eq!(error.code(), "MST-U003", "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "{error} does not say {word}");
    }
}

#[test]
fn what_cannot_be_carried_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir(root.join("d")).unwrap();
    let pipe = root.join("d/pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    refused(root, &["d/pipe", "a pipe"]);
    fs::remove_file(&pipe).unwrap();

    let socket = root.join("d/socket");
    let listener = UnixListener::bind(&socket).unwrap();
    refused(root, &["d/socket", "a socket"]);
    drop(listener);
    fs::remove_file(&socket).unwrap();

    let program = root.join("d/program");
    fs::write(&program, "x").unwrap();
    for bits in [0o4755, 0o2755, 0o6644] {
        mode(&program, bits);
        refused(root, &["d/program", "set-user", "chmod"]);
    }
    mode(&program, 0o755);

    let name = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"not \xff text");
    fs::write(root.join("d").join(name), "x").unwrap();
    refused(root, &["not UTF-8"]);
    fs::remove_file(root.join("d").join(name)).unwrap();
    read(root).unwrap();

    refused(Path::new("/dev/null"), &["/dev/null", "a device"]);
    assert_eq!(read(&root.join("nothing")).unwrap_err().code(), "MST-U004");
}

#[test]
fn a_tree_without_an_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let deep = vec!["d"; PATH_MAX_NAMES + 1].join("/");
    fs::create_dir_all(folder.path().join(deep)).unwrap();
    refused(folder.path(), &["directories deep"]);
}
