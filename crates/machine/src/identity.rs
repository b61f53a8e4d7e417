//! Who this machine is to its server: a key that never leaves it, and a certificate for it.
//!
//! Begin with [`Identity`]: what the data directory holds. [`keys`] makes and keeps keys, [`verify`] looks at the server, [`enrol`] gets the
//! first certificate, [`ask`] is how one request is made. When to renew is decided by the server: `nodes::identity` asks it.
//! See docs/decisions/0028.

pub mod ask;
pub mod enrol;
pub mod keys;
pub mod verify;

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use muster_model::{MachineId, Timestamp};
use muster_protocol::enrol::Issued;
use muster_runtime::Clock;
use parking_lot::RwLock;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::options::ServerUrl;
use keys::{FileKeys, Keys};
use verify::{KnownServer, Time};

/// The folder in the data directory.
pub const FOLDER: &str = "identity";
/// What is known, but for the key.
const FILE: &str = "identity.json";
/// Rights of others.
const OTHERS: u32 = 0o077;

/// Why an identity cannot be used or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A secret is none.
    #[error("{} can be read by others (mode {mode:03o}): the key in it is not secret any more. Take the rights away (chmod go= ) if nobody looked, else enrol again", path.display())]
    OthersCanRead {
        /// What.
        path: PathBuf,
        /// Its rights.
        mode: u32,
    },
    /// A file cannot be read or written.
    #[error("{} cannot be {doing}", path.display())]
    Files {
        /// Which.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} is damaged: {why}. Have a token made for this machine (muster enroll renew) and enrol again", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A key or a request for a certificate cannot be made.
    #[error("a key cannot be made: {0}")]
    Key(String),
    /// Certificate, key and authorities do not go together.
    #[error("the certificate cannot be used")]
    Tls(#[source] rustls::Error),
    /// The server's address begins with wss, and the machine has no certificate.
    #[error(
        "{server} wants a certificate, and this machine has none: get a token (muster enroll new), then muster-machine enroll TOKEN --server https://HOST:7700"
    )]
    NotEnrolled {
        /// Where the server is.
        server: ServerUrl,
    },
    /// It is enrolled already.
    #[error("this machine is enrolled already, as {machine}: with --again it takes on what the token says")]
    AlreadyEnrolled {
        /// As which.
        machine: MachineId,
    },
    /// The token or the server's address is none.
    #[error("{0}")]
    Usage(String),
    /// The server was not reached, or is not the one that the token is for.
    #[error("the server at {server} cannot be asked: {why}")]
    Unreachable {
        /// Where.
        server: String,
        /// Why.
        why: String,
    },
    /// The server refused.
    #[error("the server refused: {detail} ({code})")]
    Refused {
        /// Its code.
        code: String,
        /// Why.
        detail: String,
    },
}

impl IdentityError {
    /// The stable code; `docs/errors/` has a page for each.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OthersCanRead { .. } => "MST-M061",
            Self::Files { .. } | Self::Damaged { .. } | Self::Key(_) | Self::Tls(_) => "MST-M062",
            Self::NotEnrolled { .. } => "MST-M063",
            Self::AlreadyEnrolled { .. } | Self::Usage(_) => "MST-M064",
            Self::Unreachable { .. } => "MST-M065",
            Self::Refused { .. } => "MST-M066",
        }
    }

    /// What the process ends with. Source: sysexits.h.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::OthersCanRead { .. }
            | Self::NotEnrolled { .. }
            | Self::AlreadyEnrolled { .. }
            | Self::Usage(_) => 64,
            Self::Files { .. } | Self::Damaged { .. } => 73,
            Self::Key(_) | Self::Tls(_) => 70,
            Self::Unreachable { .. } => 69,
            Self::Refused { .. } => 77,
        }
    }
}

/// What is kept of an identity, but for the key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Which machine this is.
    pub machine_id: MachineId,
    /// Where the server takes machines in.
    pub server: String,
    /// The name of the key.
    pub key: String,
    /// The certificate, in PEM.
    pub certificate: String,
    /// Whom the server proves itself by, in PEM.
    pub authorities: String,
    /// When it was issued, by the server's clock: it is not earlier than this.
    pub issued_at: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
    /// The kind that people gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// Who this machine is. Cheap to clone; all clones change together.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    keys: Box<dyn Keys>,
    clock: Clock,
    now: RwLock<Now>,
    changes: watch::Sender<u64>,
}

#[derive(Clone)]
struct Now {
    document: Arc<Document>,
    config: Arc<ClientConfig>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.document().machine_id)
    }
}

/// The cryptography of this process.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER
        .get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .clone()
}

impl Identity {
    /// The identity in this data directory; none where the machine has not enrolled. Looks at the rights of what is secret.
    pub fn open(data: &Path, clock: Clock) -> Result<Option<Self>, IdentityError> {
        let folder = data.join(FOLDER);
        let path = folder.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            // That the data directory is none is for the store to say.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(source) => {
                return Err(IdentityError::Files {
                    path,
                    doing: "read",
                    source,
                });
            }
        };
        refuse_others(&folder)?;
        let document = serde_json::from_str(&text).map_err(|error| IdentityError::Damaged {
            path,
            why: error.to_string(),
        })?;
        let keys = Box::new(FileKeys::new(&folder));
        Self::of(folder, keys, document, clock).map(Some)
    }

    /// Takes on a new identity, whatever there was before: what the server issued for a key of this folder.
    pub fn take_on(
        data: &Path,
        server: &ServerUrl,
        key: &str,
        issued: &Issued,
        clock: Clock,
    ) -> Result<Self, IdentityError> {
        let folder = data.join(FOLDER);
        let document = document(server.to_string(), key, issued);
        let keys = Box::new(FileKeys::new(&folder));
        let identity = Self::of(folder, keys, document, clock)?;
        identity.keep()?;
        Ok(identity)
    }

    fn of(
        folder: PathBuf,
        keys: Box<dyn Keys>,
        document: Document,
        clock: Clock,
    ) -> Result<Self, IdentityError> {
        let config = config(&folder, keys.as_ref(), &document, clock)?;
        let now = Now {
            document: Arc::new(document),
            config: Arc::new(config),
        };
        Ok(Self(Arc::new(Inner {
            folder,
            keys,
            clock,
            now: RwLock::new(now),
            changes: watch::Sender::new(0),
        })))
    }

    /// What is known.
    pub fn document(&self) -> Arc<Document> {
        self.0.now.read().document.clone()
    }

    /// How connections to the server are encrypted from now on.
    pub fn config(&self) -> Arc<ClientConfig> {
        self.0.now.read().config.clone()
    }

    /// Changes with each new certificate.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Makes a key, and a request for a certificate for it.
    pub fn request(&self) -> Result<(String, String), IdentityError> {
        self.0.keys.make()
    }

    /// From now on with this certificate, which the server issued for this key.
    pub fn renewed(&self, key: &str, issued: &Issued) -> Result<(), IdentityError> {
        let before = self.document();
        if issued.machine_id != before.machine_id {
            let why = format!("the server issued a certificate for {}", issued.machine_id);
            return Err(IdentityError::Key(why));
        }
        let document = Document {
            kind: before.kind.clone(),
            ..document(before.server.clone(), key, issued)
        };
        let inner = &self.0;
        let config = config(&inner.folder, inner.keys.as_ref(), &document, inner.clock)?;
        write(&inner.folder, &document)?;
        *inner.now.write() = Now {
            document: Arc::new(document),
            config: Arc::new(config),
        };
        inner.changes.send_modify(|count| *count += 1);
        inner.keys.keep_only(key);
        Ok(())
    }

    /// Forgets all keys but the one that is used.
    pub fn tidy(&self) {
        self.0.keys.keep_only(&self.document().key);
    }

    fn keep(&self) -> Result<(), IdentityError> {
        let document = self.document();
        write(&self.0.folder, &document)?;
        self.0.keys.keep_only(&document.key);
        Ok(())
    }
}

fn document(server: String, key: &str, issued: &Issued) -> Document {
    Document {
        machine_id: issued.machine_id,
        server,
        key: key.to_owned(),
        certificate: issued.certificate.clone(),
        authorities: issued.authorities.clone(),
        issued_at: issued.issued_at,
        not_after: issued.not_after,
        kind: issued.kind.clone(),
    }
}

fn config(
    folder: &Path,
    keys: &dyn Keys,
    document: &Document,
    clock: Clock,
) -> Result<ClientConfig, IdentityError> {
    let damaged = |why: String| IdentityError::Damaged {
        path: folder.join(FILE),
        why,
    };
    let read = |pem: &str| -> Result<Vec<CertificateDer<'static>>, IdentityError> {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        read.map_err(|error| damaged(error.to_string()))
    };
    let chain = read(&document.certificate)?;
    let server = KnownServer::new(&read(&document.authorities)?, document.issued_at)
        .map_err(|error| damaged(error.to_string()))?;
    let certified = CertifiedKey::new(chain, keys.signer(&document.key)?);
    certified.keys_match().map_err(IdentityError::Tls)?;
    let mut config = ClientConfig::builder_with_details(provider(), Arc::new(Time(clock)))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(IdentityError::Tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(server))
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    // The server resumes nothing: what it would take to remember is saved.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Writes what is known: whole or not at all, durable when this returns.
fn write(folder: &Path, document: &Document) -> Result<(), IdentityError> {
    // Plain data: it can always be written.
    let text = serde_json::to_string_pretty(document).unwrap_or_default();
    write_secret(folder, FILE, text.as_bytes())
}

/// Makes the folder, for its owner alone, and refuses one that others can read.
fn make_folder(folder: &Path) -> Result<(), IdentityError> {
    if !folder.is_dir() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| IdentityError::Files {
            path: folder.to_owned(),
            doing: "created",
            source,
        })?;
    }
    refuse_others(folder)
}

/// Writes a file for its owner alone.
fn write_secret(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), IdentityError> {
    let path = folder.join(name);
    let attempt = || -> std::io::Result<()> {
        let fresh = folder.join(format!("{name}.new"));
        // One that a crash left behind may have other rights.
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&fresh, &path)?;
        File::open(folder)?.sync_all()
    };
    attempt().map_err(|source| IdentityError::Files {
        path: path.clone(),
        doing: "written",
        source,
    })
}

/// What others can read is not secret any more.
fn refuse_others(path: &Path) -> Result<(), IdentityError> {
    let about = std::fs::metadata(path).map_err(|source| IdentityError::Files {
        path: path.to_owned(),
        doing: "read",
        source,
    })?;
    let mode = about.mode() & 0o777;
    if mode & OTHERS != 0 {
        return Err(IdentityError::OthersCanRead {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}
