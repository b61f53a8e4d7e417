//! A release in a directory: filled from blobs, compared with its manifest, removed.

use std::path::{Path, PathBuf};

use super::SlotError;
use crate::blobs::{BlobError, Blobs};
use crate::files::{DiskError, Files, Found, PIECE_BYTES};
use crate::manifest::{Entry, Manifest, What};

/// Directories of other people's trees are not followed deeper when they are removed.
const DEPTH_MAX: usize = 1_024;

/// Puts all of a release below `root`, which is not there yet. What is in it is durable afterwards; that it is there is not, before its
/// own directory is synced.
pub(super) fn fill(
    files: &dyn Files,
    root: &Path,
    manifest: &Manifest,
    blobs: &Blobs,
) -> Result<(), SlotError> {
    files.make_directory(root)?;
    for entry in &manifest.entries {
        let path = root.join(&entry.path);
        match &entry.what {
            What::Directory => files.make_directory(&path)?,
            What::Link(link) => files.link(&link.to, &path)?,
            What::File(content) => {
                let mut file = files.create(&path)?;
                blobs.read(content.sha256, content.length, |piece| {
                    files.write(&path, &mut file, piece).map_err(BlobError::from)
                })?;
                files.set_mode(&path, &file, content.executable)?;
                files.sync_file(&path, &file)?;
            }
        }
    }
    // What is deeper first: a name is durable after what it names.
    for entry in manifest.entries.iter().rev() {
        if matches!(entry.what, What::Directory) {
            files.sync_directory(&root.join(&entry.path))?;
        }
    }
    files.sync_directory(root)?;
    Ok(())
}

/// Compares everything below `root` with the manifest: what is there, what kind it is, its mode, every byte; and that nothing else is there.
pub(super) fn compare(files: &dyn Files, root: &Path, manifest: &Manifest) -> Result<(), SlotError> {
    let wrong = |path: &Path, what: String| SlotError::NotWhole {
        path: path.to_owned(),
        what,
    };
    let expect_directory = |path: &Path| match files.find(path)? {
        Some(found) if found.is_directory_of_ours() => Ok(()),
        Some(found) => Err(wrong(
            path,
            format!("it should be a directory of mode 755 and is {found:?}"),
        )),
        None => Err(wrong(path, "it is not there".to_owned())),
    };
    expect_directory(root)?;
    let mut there = files.list(root)?.len();
    for entry in &manifest.entries {
        let path = root.join(&entry.path);
        match &entry.what {
            What::Directory => {
                expect_directory(&path)?;
                there += files.list(&path)?.len();
            }
            What::Link(link) => {
                if files.find(&path)? != Some(Found::Link) {
                    return Err(wrong(&path, "it should be a link".to_owned()));
                }
                if files.read_link(&path)? != Path::new(&link.to) {
                    return Err(wrong(&path, "it leads somewhere else".to_owned()));
                }
            }
            What::File(content) => {
                match files.find(&path)? {
                    Some(found) if found.is_file_of_ours(content.executable, content.length) => {}
                    Some(found) => return Err(wrong(&path, format!("it is {found:?}"))),
                    None => return Err(wrong(&path, "it is not there".to_owned())),
                }
                let found = digest(files, &path)?;
                if found != content.sha256 {
                    return Err(wrong(
                        &path,
                        format!("its SHA-256 is {found} and should be {}", content.sha256),
                    ));
                }
            }
        }
    }
    if there == manifest.entries.len() {
        return Ok(());
    }
    // Everything that should be there is, so something else is, too.
    let stray = stray(files, root, manifest)?.unwrap_or_else(|| root.to_owned());
    Err(wrong(&stray, "it is not in the manifest".to_owned()))
}

fn digest(files: &dyn Files, path: &Path) -> Result<crate::Sha256Digest, DiskError> {
    use std::io::Read;
    let mut file = files.open(path)?;
    let mut hasher = crate::digest::Hasher::default();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(read) => hasher.update(&piece[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => {
                return Err(DiskError {
                    doing: "read",
                    path: path.to_owned(),
                    source,
                });
            }
        }
    }
}

/// Something below `root` that the manifest does not name.
fn stray(files: &dyn Files, root: &Path, manifest: &Manifest) -> Result<Option<PathBuf>, DiskError> {
    let named = |path: &Path| {
        let find = |path: &str| {
            manifest
                .entries
                .binary_search_by(|entry: &Entry| entry.path.as_str().cmp(path))
        };
        path.to_str().is_some_and(|path| find(path).is_ok())
    };
    let directories = manifest
        .entries
        .iter()
        .filter(|entry| matches!(entry.what, What::Directory))
        .map(|entry| Path::new(&entry.path));
    for directory in std::iter::once(Path::new("")).chain(directories) {
        for name in files.list(&root.join(directory))? {
            let path = directory.join(name);
            if !named(&path) {
                return Ok(Some(root.join(path)));
            }
        }
    }
    Ok(None)
}

/// Removes whatever lies at a path, without following a link.
pub(super) fn remove(files: &dyn Files, path: &Path) -> Result<(), DiskError> {
    // A directory is met twice: to be emptied, and to be removed.
    let mut waiting = vec![(path.to_owned(), 0, false)];
    while let Some((path, depth, is_empty)) = waiting.pop() {
        match files.find(&path)? {
            None => {}
            Some(Found::Directory { .. }) if is_empty => files.remove_directory(&path)?,
            Some(Found::Directory { .. }) => {
                if depth > DEPTH_MAX {
                    return Err(DiskError {
                        doing: "remove so deep a directory as",
                        path,
                        source: std::io::ErrorKind::InvalidData.into(),
                    });
                }
                let names = files.list(&path)?;
                waiting.push((path.clone(), depth, true));
                waiting.extend(names.into_iter().map(|name| (path.join(name), depth + 1, false)));
            }
            Some(Found::File { .. } | Found::Link | Found::Other) => files.remove_file(&path)?,
        }
    }
    Ok(())
}

/// What a directory takes of the disk, so that it can be counted as free before it is removed.
pub(super) fn taken(files: &dyn Files, path: &Path, block_bytes: u64) -> Result<u64, DiskError> {
    let mut bytes = 0_u64;
    let mut waiting = vec![path.to_owned()];
    while let Some(path) = waiting.pop() {
        match files.find(&path)? {
            Some(Found::Directory { .. }) => {
                waiting.extend(files.list(&path)?.into_iter().map(|name| path.join(name)));
            }
            // A file with holes takes less than its length: then more room is asked for than is needed.
            Some(Found::File { length, .. }) => {
                bytes = bytes.saturating_add(length / block_bytes * block_bytes);
            }
            Some(Found::Link | Found::Other) | None => {}
        }
    }
    Ok(bytes)
}
