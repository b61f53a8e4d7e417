//! Secrets that the server makes: long enough that nobody guesses them, and kept only as a hash.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// Random bytes of a secret.
const BYTES: usize = 32;

/// What is kept of a secret.
pub type Hash = [u8; 32];

/// What a secret is for: seen from its beginning, so that one found in the wrong place is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// A session of somebody who signed in.
    Session,
    /// A token for programs.
    Token,
    /// The link by which the first person is made.
    SetUp,
    /// A program that waits for a person to say yes.
    Device,
}

impl SecretKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Session => "msts_",
            Self::Token => "mstt_",
            Self::SetUp => "mstu_",
            Self::Device => "mstd_",
        }
    }
}

/// The operating system gave no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no randomness")]
pub struct NoEntropy;

/// A secret, told once. Neither shown by `Debug` nor written to logs.
#[derive(Clone)]
pub struct Secret {
    kind: SecretKind,
    text: String,
}

impl Secret {
    /// A new one.
    ///
    /// # Errors
    ///
    /// The operating system gave no randomness.
    pub fn new(kind: SecretKind) -> Result<Self, NoEntropy> {
        let text = format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(random::<BYTES>()?));
        Ok(Self { kind, text })
    }

    /// What is kept of it.
    pub fn hash(&self) -> Hash {
        hash(self.text.as_bytes())
    }

    /// The secret itself, for whoever it belongs to.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}(…)", self.kind)
    }
}

/// What would be kept of a secret of this kind; none if it cannot be one.
pub fn hash_of(text: &str, kind: SecretKind) -> Option<Hash> {
    let rest = text.strip_prefix(kind.prefix())?;
    // 32 bytes in base64.
    (rest.len() == 43).then(|| hash(text.as_bytes()))
}

/// Random bytes of the operating system.
///
/// # Errors
///
/// It gave none.
pub fn random<const N: usize>() -> Result<[u8; N], NoEntropy> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| NoEntropy)?;
    Ok(bytes)
}

fn hash(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// In hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Back from hexadecimal.
pub fn unhex(text: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).ok()?;
    }
    Some(hash)
}
