//! How a machine gets a certificate, and a new one: what crosses the socket between a machine and its server beside the link.
//!
//! Begin with [`Token`], which a person carries to the machine; the machine sends it with its CSR to [`PATH`] and gets [`Issued`].
//! Later it asks [`CERTIFICATE_ROUTE`] whether to renew. Source: docs/decisions/0028.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use muster_model::{MachineId, Timestamp};
use serde::{Deserialize, Serialize};

/// Where a machine sends its token, on the port of people.
pub const PATH: &str = "/enrol";
/// Where a machine asks about its certificate and sends a new CSR, on the port of machines.
pub const CERTIFICATE_ROUTE: &str = "/machine/{id}/certificate";
/// What tokens begin with, so that one is recognised where it should not be.
pub const TOKEN_PREFIX: &str = "mste_";
/// Longest CSR, in bytes. One for P-256 takes some 400.
pub const CSR_MAX_BYTES: usize = 8 * 1024;
/// How a machine's id stands in its certificate, as a URI among the alternative names. Source: RFC 9562, 4.
pub const MACHINE_URI_PREFIX: &str = "urn:uuid:";

/// The path for one machine.
pub fn certificate_path(machine: MachineId) -> String {
    format!("/machine/{machine}/certificate")
}

/// SHA-256 of something; of a certificate in DER, as a rule. Written in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// What lets one machine enrol: a secret, and what the server is recognised by before anything is trusted.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// 256 random bits. The server keeps their SHA-256.
    pub secret: [u8; 32],
    /// Of the certificate that the server's own must be, or be issued by.
    pub server: Fingerprint,
}

/// Why a text is no token, or no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it looks like {TOKEN_PREFIX}…, then 64 hexadecimal digits, a dot and 64 more")]
pub struct NoToken;

fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn unhex(text: &str) -> Result<[u8; 32], NoToken> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(NoToken);
    }
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).map_err(|_| NoToken)?;
    }
    Ok(bytes)
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = NoToken;

    fn from_str(text: &str) -> Result<Self, NoToken> {
        unhex(text).map(Self)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(TOKEN_PREFIX)?;
        hex(f, &self.secret)?;
        write!(f, ".{}", self.server)
    }
}

/// The secret is not shown: what is debugged is logged.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TOKEN_PREFIX}….{}", self.server)
    }
}

impl FromStr for Token {
    type Err = NoToken;

    fn from_str(text: &str) -> Result<Self, NoToken> {
        let text = text.trim().strip_prefix(TOKEN_PREFIX).ok_or(NoToken)?;
        let (secret, server) = text.split_once('.').ok_or(NoToken)?;
        Ok(Self {
            secret: unhex(secret)?,
            server: server.parse()?,
        })
    }
}

/// What a machine sends to enrol.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrol {
    /// The token, as text.
    pub token: String,
    /// A certificate signing request in PEM. Only its public key counts: ECDSA on P-256.
    pub csr: String,
}

/// What a machine sends for a new certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renew {
    /// A certificate signing request in PEM, with a new key.
    pub csr: String,
}

/// A certificate, with what a machine needs to use it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Issued {
    /// Which machine it is from now on.
    pub machine_id: MachineId,
    /// The certificate, in PEM.
    pub certificate: String,
    /// The authorities that the server proves itself by on the port of machines, in PEM.
    pub authorities: String,
    /// When it was issued, by the server's clock.
    pub issued_at: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
    /// The port of machines, on the same host.
    pub machines_port: u16,
    /// Whether a person must still accept the machine.
    pub pending: bool,
    /// The kind that people gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The name that people gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The labels that people gave it, to be shown.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// How a machine's certificate stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// When the one ends that the machine asked with.
    pub not_after: Timestamp,
    /// Whether to renew it now.
    pub renew: bool,
    /// After how many seconds to ask again.
    pub ask_again_s: u32,
    /// The server's clock.
    pub server_time: Timestamp,
}

#[cfg(test)]
mod tests;
