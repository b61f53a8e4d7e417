//! Passwords: argon2id, with the parameters that OWASP recommends (19 MiB, two passes).
//!
//! Source: RFC 9106; OWASP Password Storage Cheat Sheet.

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use muster_protocol::api::access::{PASSWORD_MAX_CHARS, PASSWORD_MIN_CHARS};

use super::secret::random;

/// Why a text is no password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too short or too long.
    #[error("a password has {PASSWORD_MIN_CHARS} to {PASSWORD_MAX_CHARS} characters; this one has {given}")]
    Length {
        /// How many it has.
        given: usize,
    },
    /// The first that anybody tries.
    #[error(
        "it is made of the name or of very few characters: take several words that do not belong together"
    )]
    TooEasy,
}

/// Refuses what is guessed first. Nothing is asked about kinds of characters: length is what counts.
///
/// Source: NIST SP 800-63B, 5.1.1.2.
///
/// # Errors
///
/// What is wrong with it.
pub fn check(password: &str, name: &str) -> Result<(), PasswordError> {
    let given = password.chars().count();
    if !(PASSWORD_MIN_CHARS..=PASSWORD_MAX_CHARS).contains(&given) {
        return Err(PasswordError::Length { given });
    }
    let lower = password.to_lowercase();
    let different: std::collections::BTreeSet<char> = lower.chars().collect();
    let without_name = lower.replace(name, "");
    if different.len() < 5 || without_name.chars().count() < PASSWORD_MIN_CHARS / 2 {
        return Err(PasswordError::TooEasy);
    }
    Ok(())
}

/// What is kept of a password. Takes tens of milliseconds and 19 MiB: not for an async task.
pub fn hash(password: &str) -> Option<String> {
    let salt = random::<16>().ok()?;
    let hashed = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    hashed.ok().map(|hash| hash.to_string())
}

/// Whether it is the password. Without anything kept as much time is spent, and the answer is no.
pub fn is(password: &str, kept: Option<&str>) -> bool {
    // Made of a password that nobody can type: it has a length that is never accepted.
    const NOBODY: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$mS3nyWLcGhe3Q1PqtCPa4WsjDDiEw8WBLbIBFp3jgUs";
    let verified = Argon2::default().verify_password(password.as_bytes(), kept.unwrap_or(NOBODY));
    kept.is_some() && verified.is_ok()
}
