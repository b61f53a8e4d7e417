//! Whether the other end is the server: by its authorities once the machine has enrolled, before that by what the token says.
//!
//! A machine may boot in 1970, and must find its server all the same. It is never earlier than when its own certificate was issued; where
//! its clock says so, it is known to be wrong, and a certificate that seems not to have begun is looked at as if it had just begun.

use std::sync::Arc;
use std::time::Duration;

use muster_model::Timestamp;
use muster_protocol::enrol::Fingerprint;
use muster_runtime::Clock;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};

use super::provider;

/// The machine's clock.
#[derive(Debug)]
pub(super) struct Time(pub(super) Clock);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix(Timestamp::from_millis(self.0.wall_ms())))
    }
}

fn unix(at: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(at.as_millis()).unwrap_or(0)))
}

/// The server that issued this machine's certificate.
#[derive(Debug)]
pub(super) struct KnownServer {
    chain: Arc<WebPkiServerVerifier>,
    /// It is not earlier than this.
    floor: UnixTime,
}

impl KnownServer {
    /// By these authorities; it is not earlier than `floor`.
    pub(super) fn new(authorities: &[CertificateDer<'static>], floor: Timestamp) -> Result<Self, Error> {
        Ok(Self {
            chain: by(authorities)?,
            floor: unix(floor),
        })
    }
}

fn by(authorities: &[CertificateDer<'static>]) -> Result<Arc<WebPkiServerVerifier>, Error> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone())?;
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| Error::General(error.to_string()))
}

/// When a certificate begins that was refused because it has not.
fn begins(error: &Error) -> Option<UnixTime> {
    match error {
        Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => {
            Some(*not_before)
        }
        _ => None,
    }
}

/// Why a certificate that has ended may be good all the same.
#[derive(thiserror::Error)]
#[error(
    "the server's certificate ended at {ended}, and this machine's clock shows {shows}: if the clock is ahead, set it; else the \
     server has not renewed its certificate (MST-M067)"
)]
struct Ended {
    ended: Timestamp,
    shows: Timestamp,
}

/// As it is told: rustls shows people what others say by `Debug`.
impl std::fmt::Debug for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// Says what the clock shows where a certificate is refused because it has ended: rustls says it in seconds since 1970.
fn with_clock(error: Error) -> Error {
    let at = |time: UnixTime| {
        Timestamp::from_millis(i64::try_from(time.as_secs().saturating_mul(1_000)).unwrap_or(i64::MAX))
    };
    match error {
        Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after }) => {
            let ended = Ended {
                ended: at(not_after),
                shows: at(time),
            };
            CertificateError::Other(OtherError(Arc::new(ended))).into()
        }
        error => error,
    }
}

impl ServerCertVerifier for KnownServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let look = |now| {
            self.chain
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        let known_wrong = now.as_secs() < self.floor.as_secs();
        let looked = look(if known_wrong { self.floor } else { now });
        match &looked {
            Err(error) if known_wrong => begins(error).map_or(looked, look),
            _ => looked.map_err(with_clock),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// The server that a token is for, which the machine knows nothing else of: its chain has the certificate that the token names.
#[derive(Debug)]
pub(super) struct NamedServer {
    /// That certificate.
    pub(super) named: Fingerprint,
}

impl ServerCertVerifier for NamedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let is_named = |certificate: &&CertificateDer<'_>| Sha256::digest(certificate)[..] == self.named.0;
        if is_named(&end_entity) {
            // It is this very certificate: whoever made the token saw it.
            return Ok(ServerCertVerified::assertion());
        }
        let Some(authority) = intermediates.iter().find(is_named) else {
            return Err(CertificateError::UnknownIssuer.into());
        };
        let chain = by(&[authority.clone().into_owned()])?;
        let look = |now| chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let looked = look(now);
        match &looked {
            // Nothing is known of the time yet: a machine may enrol in its first boot, in 1970.
            Err(error) => begins(error).map_or(looked, look),
            Ok(_) => looked,
        }
        .map_err(with_clock)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3 is spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, &known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
