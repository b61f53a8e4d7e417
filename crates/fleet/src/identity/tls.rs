//! How connections are encrypted: one configuration for people, one for machines, each replaced as a whole.
//!
//! TLS 1.3 only. On the port of machines a certificate is asked for in every handshake: nothing is resumed, because a
//! resumed session skips the look at it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use muster_model::Timestamp;
use muster_protocol::enrol::Fingerprint;
use muster_runtime::Clock;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, CipherSuite, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    ServerConfig, SignatureScheme, SupportedCipherSuite,
};

use super::IdentityError;
use super::authority::{Authorities, Leaf, fingerprint};
use super::register::{Register, Standing};

/// The one protocol that is spoken above it.
const HTTP: &[u8] = b"http/1.1";

/// The cryptography of this process.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER
        .get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .clone()
}

/// The same for machines: with the suite first whose hash processors have instructions for. SHA-384, which comes first otherwise,
/// is a twentieth of what a handshake takes.
fn provider_for_machines() -> Arc<CryptoProvider> {
    let mut provider = (*provider()).clone();
    let is_first = |suite: &SupportedCipherSuite| suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256;
    provider.cipher_suites.sort_by_key(|suite| !is_first(suite));
    Arc::new(provider)
}

/// How a port is encrypted just now. Connections that stand keep what they began with.
#[derive(Clone)]
pub struct Door(Arc<ArcSwap<ServerConfig>>);

impl Door {
    /// With this.
    pub fn new(config: ServerConfig) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(config)))
    }

    /// What the next connection gets.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.0.load_full()
    }

    /// From now on with this.
    pub fn replace(&self, config: ServerConfig) {
        self.0.store(Arc::new(config));
    }
}

/// A certificate of people's own for their port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnCertificate {
    /// The chain in PEM, the server's own first.
    pub certificate: PathBuf,
    /// The key in PEM.
    pub key: PathBuf,
}

/// A certificate with its key.
pub struct Proof {
    /// The server's own first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Of the first.
    pub key: PrivateKeyDer<'static>,
}

impl Proof {
    /// What the authority issued, with the authority itself: whoever enrols compares that with the token.
    pub fn issued(leaf: &Leaf, key: PrivateKeyDer<'static>, authority: &CertificateDer<'static>) -> Self {
        Self {
            chain: vec![leaf.certificate.clone(), authority.clone()],
            key,
        }
    }

    /// Reads people's own. Blocks.
    pub fn read(own: &OwnCertificate) -> Result<Self, IdentityError> {
        let unusable = |path: &Path, why: String| IdentityError::OwnCertificate {
            path: path.to_owned(),
            why,
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&own.certificate)
            .map_err(|error| unusable(&own.certificate, error.to_string()))?
            .collect();
        let chain = chain.map_err(|error| unusable(&own.certificate, error.to_string()))?;
        if chain.is_empty() {
            return Err(unusable(
                &own.certificate,
                "there is no certificate in it".to_owned(),
            ));
        }
        let key =
            PrivateKeyDer::from_pem_file(&own.key).map_err(|error| unusable(&own.key, error.to_string()))?;
        Ok(Self { chain, key })
    }

    /// What tokens name: the last of the chain.
    pub fn anchor(&self) -> Fingerprint {
        self.chain
            .last()
            .map_or(Fingerprint([0; 32]), |last| fingerprint(last))
    }
}

/// The configuration for people: no certificates of theirs.
pub fn people(proof: Proof, clock: Clock) -> Result<ServerConfig, IdentityError> {
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(Time(clock)))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(IdentityError::Tls)?
        .with_no_client_auth()
        .with_single_cert(proof.chain, proof.key)
        .map_err(IdentityError::Tls)?;
    config.alpn_protocols = vec![HTTP.to_vec()];
    Ok(config)
}

/// The configuration for machines: a certificate that an authority issued and the register has.
pub fn machines(
    proof: Proof,
    authorities: &Authorities,
    register: Arc<Register>,
    clock: Clock,
) -> Result<ServerConfig, IdentityError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities.all() {
        roots
            .add(authority.certificate.clone())
            .map_err(IdentityError::Tls)?;
    }
    let chain = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| IdentityError::Tls(Error::General(error.to_string())))?;
    let verifier = MachineVerifier { chain, register };
    let mut config = ServerConfig::builder_with_details(provider_for_machines(), Arc::new(Time(clock)))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(IdentityError::Tls)?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(proof.chain, proof.key)
        .map_err(IdentityError::Tls)?;
    config.alpn_protocols = vec![HTTP.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.ignore_client_order = true;
    Ok(config)
}

/// Chain, time and use as everywhere, and then the register.
struct MachineVerifier {
    chain: Arc<dyn ClientCertVerifier>,
    register: Arc<Register>,
}

impl fmt::Debug for MachineVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MachineVerifier")
    }
}

impl ClientCertVerifier for MachineVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let refused = |why: &'static str, error: Error| {
            metrics::counter!("muster_handshakes_refused_total", "why" => why).increment(1);
            error
        };
        let verified = self
            .chain
            .verify_client_cert(end_entity, intermediates, now)
            .map_err(|error| refused("chain", error))?;
        let certificate = fingerprint(end_entity);
        let Some(record) = self.register.holder(certificate) else {
            return Err(refused("unknown", CertificateError::UnknownIssuer.into()));
        };
        if matches!(record.standing, Standing::Revoked { .. }) {
            return Err(refused("revoked", CertificateError::Revoked.into()));
        }
        match record.certificate(certificate) {
            Some(found) if found.superseded_at.is_none() => Ok(verified),
            _ => Err(refused("superseded", CertificateError::Revoked.into())),
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

/// The server's clock, as certificates are judged by it.
#[derive(Debug)]
struct Time(Clock);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let since = Duration::from_millis(u64::try_from(self.0.wall_ms()).ok()?);
        Some(UnixTime::since_unix_epoch(since))
    }
}

/// What is wrong with people's own certificate, where that is why TLS cannot be set up.
pub fn of_own(error: IdentityError, own: Option<&OwnCertificate>) -> IdentityError {
    match (error, own) {
        (IdentityError::Tls(Error::InconsistentKeys(_)), Some(own)) => IdentityError::OwnCertificate {
            path: own.key.clone(),
            why: format!("it is not the key of {}", own.certificate.display()),
        },
        (IdentityError::Tls(error), Some(own)) => IdentityError::OwnCertificate {
            path: own.certificate.clone(),
            why: error.to_string(),
        },
        (error, _) => error,
    }
}

/// When files were written last; nothing where that cannot be said.
pub fn written(own: &OwnCertificate) -> Option<(std::time::SystemTime, std::time::SystemTime)> {
    let at = |path: &Path| std::fs::metadata(path).and_then(|about| about.modified()).ok();
    Some((at(&own.certificate)?, at(&own.key)?))
}

/// At two thirds between two moments.
pub fn two_thirds(from: Timestamp, to: Timestamp) -> Timestamp {
    from.plus_millis(to.millis_since(from).max(0) / 3 * 2)
}
