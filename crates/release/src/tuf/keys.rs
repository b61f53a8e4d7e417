//! Keys as files: private ones only for their owner, public ones to hand around.
//!
//! A private key is Ed25519 in PKCS#8, as PEM, mode 0600, and one that others may read is refused. A public key is the object that TUF
//! has for it, as JSON.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::Ed25519KeyPair;
use serde::{Deserialize, Serialize};
use tough::schema::key::Key;
use tough::schema::{Role as Document, Signature, Signed};
use tough::sign::Sign;

use super::{Role, TufError, hex};
use crate::files::{Disk, DiskError, Files};

/// A file with a key is not longer.
const KEY_MAX_BYTES: u64 = 16 * 1024;
/// Files with keys in one directory.
const FILES_MAX: usize = 64;
const OTHERS: u32 = 0o077;
const PEM: &str = "PRIVATE KEY";

/// The public half of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublicKey(pub(crate) Key);

impl PublicKey {
    /// Its id: 64 hexadecimal digits, the SHA-256 of what it is.
    pub fn id(&self) -> String {
        match self.0.key_id() {
            Ok(id) => hex(&id),
            // Only what cannot be written as JSON has none.
            Err(error) => error.to_string(),
        }
    }

    /// Reads it from a file.
    ///
    /// # Errors
    ///
    /// [`TufError::Key`].
    pub fn read(path: &Path) -> Result<Self, TufError> {
        let bytes = read(path)?;
        serde_json::from_slice(&bytes).map_err(|error| TufError::Key {
            path: path.to_owned(),
            what: format!("it is no public key as `muster release keys` writes them: {error}"),
        })
    }

    /// Writes it into a file that is not there yet.
    ///
    /// # Errors
    ///
    /// [`TufError::Disk`].
    pub fn write(&self, path: &Path) -> Result<(), TufError> {
        write_new(path, &super::encode(self))
    }
}

/// A key with which something can be signed.
pub struct PrivateKey {
    pair: Ed25519KeyPair,
    path: PathBuf,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// Makes a key, in a file that is not there yet and that only its owner may read.
    ///
    /// # Errors
    ///
    /// [`TufError::Disk`] also if the file is there; [`TufError::Key`] if the system has no randomness.
    pub fn make(path: &Path) -> Result<Self, TufError> {
        let failed = |_| TufError::Key {
            path: path.to_owned(),
            what: "no key can be made".to_owned(),
        };
        let pair = Ed25519KeyPair::generate().map_err(failed)?;
        let document = pair.to_pkcs8v1().map_err(failed)?;
        let text = pem::encode_config(
            &pem::Pem::new(PEM, document.as_ref()),
            pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
        );
        write_new(path, text.as_bytes())?;
        Ok(Self {
            pair,
            path: path.to_owned(),
        })
    }

    /// Reads a key.
    ///
    /// # Errors
    ///
    /// [`TufError::Key`] if others may read it, or it is of another kind.
    pub fn read(path: &Path) -> Result<Self, TufError> {
        let wrong = |what: &str| TufError::Key {
            path: path.to_owned(),
            what: what.to_owned(),
        };
        let bytes = read(path)?;
        let found = std::fs::metadata(path).map_err(|source| unreadable(path, source))?;
        if found.mode() & OTHERS != 0 {
            return Err(wrong(
                "others may read or write it; accepted: mode 0600 (chmod 600)",
            ));
        }
        let accepted = "accepted: Ed25519 in PKCS#8, as PEM";
        let text = pem::parse(&bytes).map_err(|_| wrong(&format!("it is no PEM; {accepted}")))?;
        if text.tag() != PEM {
            return Err(wrong(&format!("it is a {:?}; {accepted}", text.tag())));
        }
        let pair = Ed25519KeyPair::from_pkcs8(text.contents())
            .map_err(|_| wrong(&format!("it is a key of another kind; {accepted}")))?;
        Ok(Self {
            pair,
            path: path.to_owned(),
        })
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.pair.tuf_key())
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds its signature to a document, or replaces it.
    pub(crate) fn sign<T: Document>(&self, document: &mut Signed<T>) -> Result<(), TufError> {
        let bytes = document.signed.canonical_form().map_err(|error| TufError::Key {
            path: self.path.clone(),
            what: format!("the document cannot be written in its canonical form: {error}"),
        })?;
        let keyid = self.public().0.key_id().map_err(|error| TufError::Key {
            path: self.path.clone(),
            what: error.to_string(),
        })?;
        let sig = self.pair.sign(&bytes).as_ref().to_vec().into();
        document.signatures.retain(|one| one.keyid != keyid);
        document.signatures.push(Signature { keyid, sig });
        document
            .signatures
            .sort_by(|one, other| one.keyid.cmp(&other.keyid));
        Ok(())
    }
}

/// The directory of a person: their private keys, and the roots they know.
#[derive(Debug)]
pub struct Keys {
    path: PathBuf,
    private: Vec<PrivateKey>,
}

impl Keys {
    /// Reads every `*.pem` in a directory.
    ///
    /// # Errors
    ///
    /// [`TufError::Key`] for one that cannot be used, [`TufError::Disk`].
    pub fn open(path: &Path) -> Result<Self, TufError> {
        let disk = Disk::open(path)?;
        let mut private = Vec::new();
        for name in disk.list(Path::new(""))? {
            if Path::new(&name).extension().is_some_and(|end| end == "pem") {
                if private.len() == FILES_MAX {
                    return Err(TufError::Key {
                        path: path.join(name),
                        what: format!("it is one too many; accepted: {FILES_MAX} keys in one directory"),
                    });
                }
                private.push(PrivateKey::read(&path.join(name))?);
            }
        }
        Ok(Self {
            path: path.to_owned(),
            private,
        })
    }

    /// Where they lie.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All of them, by the names of their files.
    pub fn private(&self) -> &[PrivateKey] {
        &self.private
    }

    /// Signs with every key that is among these ids.
    pub(crate) fn sign<T: Document>(
        &self,
        document: &mut Signed<T>,
        role: Role,
        may_sign: &[String],
    ) -> Result<(), TufError> {
        let mut any = false;
        for key in &self.private {
            if may_sign.contains(&key.public().id()) {
                key.sign(document)?;
                any = true;
            }
        }
        if any {
            return Ok(());
        }
        Err(TufError::NoKey {
            path: self.path.clone(),
            role,
            may_sign: may_sign.to_vec(),
        })
    }
}

fn unreadable(path: &Path, source: io::Error) -> TufError {
    DiskError {
        doing: "read",
        path: path.to_owned(),
        source,
    }
    .into()
}

fn read(path: &Path) -> Result<Vec<u8>, TufError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|source| unreadable(path, source))?;
    file.take(KEY_MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| unreadable(path, source))?;
    if bytes.len() as u64 > KEY_MAX_BYTES {
        return Err(TufError::Key {
            path: path.to_owned(),
            what: format!("it is longer than {KEY_MAX_BYTES} bytes"),
        });
    }
    Ok(bytes)
}

/// Writes a file that only its owner may read, and that must not be there yet.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), TufError> {
    let (directory, name) = split(path)?;
    let disk = Disk::create(directory)?;
    let mut file = disk.create(name)?;
    disk.write(name, &mut file, bytes)?;
    disk.sync_file(name, &file)?;
    disk.sync_directory(Path::new(""))?;
    Ok(())
}

/// The directory in which a file lies, and its name.
pub(crate) fn split(path: &Path) -> Result<(&Path, &Path), TufError> {
    let name = path.file_name().ok_or_else(|| TufError::Key {
        path: path.to_owned(),
        what: "this is no name of a file".to_owned(),
    })?;
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
    Ok((directory.unwrap_or(Path::new(".")), Path::new(name)))
}
