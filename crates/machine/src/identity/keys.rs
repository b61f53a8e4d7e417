//! Where the machine's key is. Others than files (a TPM, a token behind PKCS#11) take the place of [`FileKeys`]; whoever uses a key gets
//! something that signs, never the key.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::SigningKey;

use super::{IdentityError, make_folder, refuse_others, write_secret};

/// Makes keys, and signs with them.
pub trait Keys: Send + Sync {
    /// Makes a key. Gives back the name that it is known by here, and a request for a certificate in PEM.
    fn make(&self) -> Result<(String, String), IdentityError>;

    /// What signs with the key of this name.
    fn signer(&self, name: &str) -> Result<Arc<dyn SigningKey>, IdentityError>;

    /// Forgets all keys but this one. What cannot be forgotten now is so the next time.
    fn keep_only(&self, name: &str);
}

/// Keys in files of their own, which only their owner reads.
#[derive(Clone, Debug)]
pub struct FileKeys {
    folder: PathBuf,
}

/// What names of files begin and end with.
const BEGIN: &str = "key-";
const END: &str = ".pem";

impl FileKeys {
    /// In this folder.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }
}

impl Keys for FileKeys {
    fn make(&self) -> Result<(String, String), IdentityError> {
        let broken = |error: rcgen::Error| IdentityError::Key(error.to_string());
        make_folder(&self.folder)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(broken)?;
        let mut params = CertificateParams::default();
        // The server chooses all names: none are asked for.
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key).map_err(broken)?;
        let request = request.pem().map_err(broken)?;
        let random =
            muster_runtime::clock::entropy().map_err(|error| IdentityError::Key(error.to_string()))?;
        let name = format!("{BEGIN}{random:016x}{END}");
        write_secret(&self.folder, &name, key.serialize_pem().as_bytes())?;
        Ok((name, request))
    }

    fn signer(&self, name: &str) -> Result<Arc<dyn SigningKey>, IdentityError> {
        let path = self.folder.join(name);
        refuse_others(&path)?;
        let damaged = |why: String| IdentityError::Damaged {
            path: path.clone(),
            why,
        };
        let key = PrivateKeyDer::from_pem_file(&path).map_err(|error| damaged(error.to_string()))?;
        any_ecdsa_type(&key).map_err(|error| damaged(error.to_string()))
    }

    fn keep_only(&self, name: &str) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return;
        };
        for entry in entries.flatten() {
            let file = entry.file_name();
            let is_key = file
                .to_str()
                .is_some_and(|file| file.starts_with(BEGIN) && file != name);
            if is_key && let Err(error) = std::fs::remove_file(entry.path()) {
                tracing::warn!(%error, "a key that is not used any more cannot be removed");
            }
        }
    }
}
