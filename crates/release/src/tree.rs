//! From what lies in a directory to a list of entries. The same tree gives the same list, whenever and wherever it is read: owner, times,
//! extended attributes and the order of the directory are not looked at, and of a file's mode only whether its owner may execute it.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::digest::{Hasher, Sha256Digest};
use crate::files::PIECE_BYTES;
use crate::manifest::{ENTRIES_MAX, Entry, FileContent, LinkTarget, PATH_MAX_NAMES, What};

const SET_USER: u32 = 0o4000;
const SET_GROUP: u32 = 0o2000;
const OWNER_EXECUTES: u32 = 0o100;

/// What was found in a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// In the order of the bytes of their paths.
    pub entries: Vec<Entry>,
    /// Where each content can be read.
    pub sources: BTreeMap<Sha256Digest, Source>,
}

/// Where content comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// A file.
    pub path: PathBuf,
    /// Its bytes.
    pub length: u64,
}

/// What cannot be carried in a release, or not be read.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// It is there and cannot be carried.
    #[error("{} is {what}: a release has files, directories and links", path.display())]
    NotCarried {
        /// Which.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// It would be a part of a release with other rights than it has here.
    #[error("{} has the set-user or set-group bit: remove it (chmod ug-s); a release gives nobody rights", path.display())]
    SetUser {
        /// Which.
        path: PathBuf,
    },
    /// Its name is no text.
    #[error("the name of {path:?} is not UTF-8")]
    Name {
        /// Which.
        path: PathBuf,
    },
    /// There is too much of it.
    #[error("there are more than {ENTRIES_MAX} files, directories and links in {}", path.display())]
    TooMany {
        /// In what.
        path: PathBuf,
    },
    /// It is too deep.
    #[error("{} lies more than {PATH_MAX_NAMES} directories deep", path.display())]
    TooDeep {
        /// Which.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl TreeError {
    /// The stable code, with a page under `docs/errors/`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "MST-U004",
            Self::NotCarried { .. }
            | Self::SetUser { .. }
            | Self::Name { .. }
            | Self::TooMany { .. }
            | Self::TooDeep { .. } => "MST-U003",
        }
    }
}

/// Reads a directory, or one file as a tree of one. Where links lead is for [`crate::Manifest::check`] to say.
///
/// # Errors
///
/// [`TreeError`] with the first thing that cannot be carried, in the order of the paths.
pub fn read(path: &Path) -> Result<Tree, TreeError> {
    let failed = |source| TreeError::Read {
        path: path.to_owned(),
        source,
    };
    let mut tree = Tree::default();
    // Who names a link means what it leads to; from there on links are links.
    let found = std::fs::metadata(path).map_err(failed)?;
    if found.is_dir() {
        directory(path, path, "", 0, &mut tree)?;
    } else {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| TreeError::Name {
            path: path.to_owned(),
        })?;
        entry(path, path, name.to_owned(), &found, 0, &mut tree)?;
    }
    tree.entries.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(tree)
}

fn directory(root: &Path, path: &Path, within: &str, depth: usize, tree: &mut Tree) -> Result<(), TreeError> {
    if depth > PATH_MAX_NAMES {
        return Err(TreeError::TooDeep {
            path: path.to_owned(),
        });
    }
    let failed = |source| TreeError::Read {
        path: path.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for found in std::fs::read_dir(path).map_err(failed)? {
        paths.push(found.map_err(failed)?.path());
        if tree.entries.len() + paths.len() > ENTRIES_MAX {
            return Err(TreeError::TooMany {
                path: root.to_owned(),
            });
        }
    }
    paths.sort();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| TreeError::Name { path: path.clone() })?;
        let within = if within.is_empty() {
            name.to_owned()
        } else {
            format!("{within}/{name}")
        };
        let found = std::fs::symlink_metadata(&path).map_err(|source| TreeError::Read {
            path: path.clone(),
            source,
        })?;
        entry(root, &path, within, &found, depth, tree)?;
    }
    Ok(())
}

fn entry(
    root: &Path,
    path: &Path,
    within: String,
    found: &Metadata,
    depth: usize,
    tree: &mut Tree,
) -> Result<(), TreeError> {
    let kind = found.file_type();
    let not_carried = |what| TreeError::NotCarried {
        path: path.to_owned(),
        what,
    };
    if kind.is_dir() {
        tree.entries.push(Entry {
            path: within.clone(),
            what: What::Directory,
        });
        return directory(root, path, &within, depth + 1, tree);
    }
    let what = if kind.is_symlink() {
        let to = std::fs::read_link(path).map_err(|source| TreeError::Read {
            path: path.to_owned(),
            source,
        })?;
        let to = to.into_os_string().into_string();
        What::Link(LinkTarget {
            to: to.map_err(|_| TreeError::Name {
                path: path.to_owned(),
            })?,
        })
    } else if kind.is_file() {
        if found.mode() & (SET_USER | SET_GROUP) != 0 {
            return Err(TreeError::SetUser {
                path: path.to_owned(),
            });
        }
        let (sha256, length) = digest(path)?;
        tree.sources.entry(sha256).or_insert_with(|| Source {
            path: path.to_owned(),
            length,
        });
        What::File(FileContent {
            executable: found.mode() & OWNER_EXECUTES != 0,
            length,
            sha256,
        })
    } else if kind.is_fifo() {
        return Err(not_carried("a pipe"));
    } else if kind.is_socket() {
        return Err(not_carried("a socket"));
    } else {
        return Err(not_carried("a device"));
    };
    tree.entries.push(Entry { path: within, what });
    Ok(())
}

fn digest(path: &Path) -> Result<(Sha256Digest, u64), TreeError> {
    let failed = |source| TreeError::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = Hasher::default();
    let mut piece = vec![0; PIECE_BYTES];
    let mut length = 0;
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok((hasher.finish(), length)),
            Ok(read) => {
                hasher.update(&piece[..read]);
                length += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}
