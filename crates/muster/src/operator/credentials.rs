//! What this program proves itself by: a file, a variable, or the session that `muster login` left behind.
//!
//! Never an argument: those are seen by everybody on the computer and kept in the shell's history.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use muster_client::Credential;
use muster_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::OperatorError;

/// Holds a token or session.
const VARIABLE: &str = "MUSTER_TOKEN";
/// Names a file that does.
const FILE_VARIABLE: &str = "MUSTER_TOKEN_FILE";
/// Longest secret, in bytes.
const SECRET_MAX_BYTES: u64 = 4_096;

/// A session as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Who.
    pub(super) name: String,
    /// The session.
    secret: String,
    /// When it ends at the latest.
    pub(super) expires_at: Timestamp,
}

/// The sessions of this person, by server.
#[derive(Debug, Default, Serialize, Deserialize)]
struct File {
    servers: BTreeMap<String, Kept>,
}

/// What to come with at a server, if there is anything.
///
/// # Errors
///
/// A file that is named cannot be read, or can be read by others.
pub(super) fn for_server(server: &str) -> Result<Option<Credential>, OperatorError> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(path) = set(FILE_VARIABLE) {
        let path = PathBuf::from(path);
        let text = read_private(&path)?.ok_or_else(|| OperatorError::Usage {
            what: format!("{}, which {FILE_VARIABLE} names, is not there", path.display()),
            hint: "write a token of `muster token make` into it, readable by you alone".to_owned(),
        })?;
        return Ok(Some(Credential::new(text.trim())));
    }
    if let Some(secret) = set(VARIABLE) {
        return Ok(secret.to_str().map(|secret| Credential::new(secret.trim())));
    }
    let kept = load()?.servers.remove(&key(server));
    Ok(kept.map(|kept| Credential::new(kept.secret)))
}

/// Keeps a session.
///
/// # Errors
///
/// The file cannot be written.
pub(super) fn keep(
    server: &str,
    name: &str,
    secret: &str,
    expires_at: Timestamp,
) -> Result<PathBuf, OperatorError> {
    let mut file = load()?;
    let kept = Kept {
        name: name.to_owned(),
        secret: secret.to_owned(),
        expires_at,
    };
    file.servers.insert(key(server), kept);
    store(&file)
}

/// Forgets the session at a server; says whether there was one.
///
/// # Errors
///
/// The file cannot be read or written.
pub(super) fn forget(server: &str) -> Result<bool, OperatorError> {
    let mut file = load()?;
    let there = file.servers.remove(&key(server)).is_some();
    if there {
        store(&file)?;
    }
    Ok(there)
}

/// One server however its address ends.
fn key(server: &str) -> String {
    server.trim().trim_end_matches('/').to_lowercase()
}

fn path() -> Result<PathBuf, OperatorError> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
    let folder = folder.ok_or_else(|| OperatorError::Usage {
        what: "it is not known where your sessions are kept".to_owned(),
        hint: format!("set HOME or XDG_CONFIG_HOME, or come with {VARIABLE}"),
    })?;
    Ok(folder.join("muster").join("sessions.json"))
}

fn load() -> Result<File, OperatorError> {
    // Without a home nothing was kept.
    let Ok(path) = path() else {
        return Ok(File::default());
    };
    let Some(text) = read_private(&path)? else {
        return Ok(File::default());
    };
    serde_json::from_str(&text).map_err(|error| OperatorError::Usage {
        what: format!("{} cannot be understood: {error}", path.display()),
        hint: "remove it, and sign in again with `muster login`".to_owned(),
    })
}

fn store(file: &File) -> Result<PathBuf, OperatorError> {
    let path = path()?;
    let failed = |error: std::io::Error| OperatorError::Usage {
        what: format!("{} cannot be written: {error}", path.display()),
        hint: "see to the folder, or come with MUSTER_TOKEN".to_owned(),
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let text = serde_json::to_string_pretty(file).map_err(|error| failed(error.into()))?;
    // Beside it first: two who sign in at once leave one of both files, and not a piece of each.
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    let mut opened = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .map_err(failed)?;
    opened
        .write_all(text.as_bytes())
        .and_then(|()| opened.sync_all())
        .map_err(failed)?;
    std::fs::rename(&beside, &path).map_err(failed)?;
    Ok(path)
}

/// A file that nobody else may read; none if it is not there.
fn read_private(path: &Path) -> Result<Option<String>, OperatorError> {
    let refuse = |what: String, hint: &str| OperatorError::Usage {
        what,
        hint: hint.to_owned(),
    };
    let about = match std::fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(refuse(
                format!("{} cannot be read: {error}", path.display()),
                "see to its rights",
            ));
        }
    };
    if about.permissions().mode() & 0o077 != 0 {
        let what = format!("{} can be read by others", path.display());
        return Err(refuse(
            what,
            "it holds what you prove yourself by: chmod 600 it, and sign in anew",
        ));
    }
    if about.len() > SECRET_MAX_BYTES * 64 {
        return Err(refuse(
            format!("{} is too long", path.display()),
            "it holds a token, and nothing else",
        ));
    }
    let text = std::fs::read_to_string(path);
    text.map(Some).map_err(|error| {
        refuse(
            format!("{} cannot be read: {error}", path.display()),
            "see to its rights",
        )
    })
}
