//! A fleet with certificates: every machine with a key and a certificate of its own, issued by the fleet's own authority, and
//! the data directory of a server that knows all of them.
//!
//! What enrols them is what enrols machines by the API, called in this process, so that ten thousand commits are one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use muster_fleet::access::records::{PersonRecord, SessionRecord};
use muster_fleet::access::secret::{Secret, SecretKind, hex};
use muster_fleet::identity::authority::Authorities;
use muster_fleet::identity::register::Profile;
use muster_fleet::identity::tls::provider;
use muster_fleet::identity::{Identity, Options, Wanted};
use muster_model::access::{Grant, Role};
use muster_model::{MachineId, Timestamp};
use muster_protocol::api::EnrolmentPolicy;
use muster_runtime::Clock;
use muster_store::{
    DataDirectory, Document, DocumentError, DocumentVersion, Documents, Precondition, SqliteDocuments,
};
use parking_lot::Mutex;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::error::{BenchError, Result};

/// The folder that a server keeps in its directory.
const DATA: &str = "data";
/// Who asks for stops.
const ADMIN: &str = "bench";
/// How long the admin is signed in.
const SIGNED_IN_MS: i64 = 86_400_000;
/// How long a broker's certificate lives.
const BROKER_LIFETIME_S: u64 = 86_400;

/// A fleet with certificates.
pub(super) struct Enrolled {
    /// A server's directory that is copied for each server.
    template: PathBuf,
    machines: Vec<(MachineId, Arc<ClientConfig>)>,
    /// How a person connects: without a certificate.
    person: Arc<ClientConfig>,
    /// The secret of an admin's session.
    admin: String,
}

/// What a broker proves itself by, and whom it trusts: files in PEM.
pub(super) struct BrokerFiles {
    pub(super) authority: PathBuf,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Enrolled {
    /// Enrols so many machines with a server that is to be, in `directory`.
    pub(super) fn make(
        directory: PathBuf,
        count: usize,
        progress: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<Self> {
        let data = directory.join(DATA);
        let kept = DataDirectory::open(&data).map_err(failed)?;
        let gathered = Arc::new(Gathered::default());
        let clock = Clock::start();
        let identity = Identity::open(&data, gathered.clone(), Options::default(), clock).map_err(failed)?;
        let authorities = identity.with_authorities(Authorities::bundle);
        let server = Arc::new(SeenServer::new(&authorities)?);
        let mut machines = Vec::with_capacity(count);
        for index in 0..count {
            machines.push(enrol(&identity, &server)?);
            progress(index)?;
        }
        let admin = sign_in(&*gathered, Timestamp::from_millis(clock.wall_ms()))?;
        SqliteDocuments::open(&kept)
            .map_err(failed)?
            .put_all(gathered.take())
            .map_err(failed)?;
        let person = client(&server).with_no_client_auth();
        Ok(Self {
            template: directory,
            machines,
            person: Arc::new(without_memory(person)),
            admin,
        })
    }

    /// The data directory of a server that knows all of them.
    pub(super) fn copy_to(&self, directory: &Path) -> Result<()> {
        copy(&self.template.join(DATA), &directory.join(DATA)).map_err(BenchError::system(
            "the data directory of a server with certificates cannot be copied",
        ))
    }

    pub(super) fn id(&self, index: usize) -> MachineId {
        self.machines[index].0
    }

    /// How a machine connects.
    pub(super) fn machine(&self, index: usize) -> Arc<ClientConfig> {
        self.machines[index].1.clone()
    }

    /// How a person connects.
    pub(super) fn person(&self) -> Arc<ClientConfig> {
        self.person.clone()
    }

    /// The secret of an admin's session.
    pub(super) fn admin(&self) -> &str {
        &self.admin
    }

    /// A certificate for a broker, of the authority that all machines trust.
    pub(super) fn broker(&self, directory: &Path) -> Result<BrokerFiles> {
        let folder = self.template.join(DATA).join("identity");
        let now = Timestamp::from_millis(Clock::start().wall_ms());
        let authorities = Authorities::open(&folder, now).map_err(failed)?;
        let names = Options::default().names;
        let issued = authorities.oldest().server(&names, now, BROKER_LIFETIME_S);
        let (leaf, key) = issued.map_err(failed)?;
        let key = KeyPair::try_from(key.secret_der())
            .map_err(failed)?
            .serialize_pem();
        let write = |name: &str, text: &str| {
            let path = directory.join(name);
            std::fs::write(&path, text)
                .map_err(BenchError::system("a broker's certificate cannot be kept"))?;
            Ok::<_, BenchError>(path)
        };
        Ok(BrokerFiles {
            authority: write("ca.pem", &authorities.bundle())?,
            certificate: write("server.pem", &leaf.pem)?,
            key: write("server.key", &key)?,
        })
    }
}

fn failed(error: impl std::error::Error) -> BenchError {
    BenchError::Load(format!(
        "machines cannot be enrolled: {}",
        muster_runtime::errors::chain(&error)
    ))
}

/// What a machine and its server do once, and what the server notes when the machine comes for the first time.
fn enrol(identity: &Identity, server: &Arc<SeenServer>) -> Result<(MachineId, Arc<ClientConfig>)> {
    let wanted = Wanted {
        profile: Profile::default(),
        expires_in_s: None,
        policy: EnrolmentPolicy::Accept,
        created_by: ADMIN.to_owned(),
    };
    let (enrolment, token) = identity.invite(wanted, None).map_err(failed)?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let request = CertificateParams::default()
        .serialize_request(&key)
        .map_err(failed)?;
    let (_, issued) = identity
        .enrol(&token, &request.pem().map_err(failed)?)
        .map_err(failed)?;
    identity.withdraw(enrolment.id).map_err(failed)?;
    let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).map_err(failed)?;
    let peer = identity
        .peer(&certificate)
        .ok_or_else(|| BenchError::Load("a machine that enrolled is not known".to_owned()))?;
    identity.used(&peer).map_err(failed)?;
    identity.joined(peer.machine).map_err(failed)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = client(server)
        .with_client_auth_cert(vec![certificate], key)
        .map_err(failed)?;
    Ok((issued.machine_id, Arc::new(without_memory(config))))
}

/// An admin who is signed in.
fn sign_in(documents: &dyn Documents, now: Timestamp) -> Result<String> {
    let person = PersonRecord {
        display_name: String::new(),
        grants: vec![Grant {
            role: Role::Admin,
            scope: "*".parse().map_err(failed)?,
        }],
        disabled: false,
        password: None,
        second_factor: None,
        provider: None,
        created_at: now,
        era: 0,
    };
    let secret = Secret::new(SecretKind::Session).map_err(failed)?;
    let session = SessionRecord {
        id: ADMIN.to_owned(),
        person: ADMIN.parse().map_err(failed)?,
        era: 0,
        created_at: now,
        expires_at: now.plus_millis(SIGNED_IN_MS),
        used_at: now,
        from: String::new(),
        agent: String::new(),
        provider_session: None,
    };
    let put = |kind: &str, key: &str, body: serde_json::Result<Vec<u8>>| {
        let body = body.map_err(failed)?;
        documents
            .put(kind, key, Precondition::Any, now, &body)
            .map_err(failed)
    };
    put("person", ADMIN, serde_json::to_vec(&person))?;
    put("session", &hex(&secret.hash()), serde_json::to_vec(&session))?;
    Ok(secret.reveal().to_owned())
}

fn client(server: &Arc<SeenServer>) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap_or_else(|_| unreachable!("the provider has TLS 1.3"))
        .dangerous()
        .with_custom_certificate_verifier(server.clone())
}

/// As machines are set up: nothing is resumed.
fn without_memory(mut config: ClientConfig) -> ClientConfig {
    config.resumption = Resumption::disabled();
    config
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir(to)?;
    std::fs::set_permissions(to, std::fs::metadata(from)?.permissions())?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &to)?,
            false => drop(std::fs::copy(entry.path(), &to)?),
        }
    }
    Ok(())
}

/// The server, whose chain is looked at once: after that its certificate is known by its bytes, so that the generator has more
/// of its core for what it measures. The signature of each handshake is looked at each time.
struct SeenServer {
    chain: Arc<WebPkiServerVerifier>,
    seen: OnceLock<CertificateDer<'static>>,
}

impl SeenServer {
    fn new(authorities: &str) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
            roots.add(authority.map_err(failed)?).map_err(failed)?;
        }
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        Ok(Self {
            chain: chain.map_err(failed)?,
            seen: OnceLock::new(),
        })
    }
}

impl fmt::Debug for SeenServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SeenServer")
    }
}

impl ServerCertVerifier for SeenServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, Error> {
        if self.seen.get().is_some_and(|seen| seen == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        let verified =
            self.chain
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        // Where several servers are measured, the others are looked at each time.
        let _ = self.seen.set(end_entity.clone().into_owned());
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        Err(CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// Documents in memory, by kind and key, until all of them are there.
#[derive(Default)]
struct Gathered(Mutex<BTreeMap<(String, String), Document>>);

impl Gathered {
    fn take(&self) -> Vec<(String, Document)> {
        let gathered = std::mem::take(&mut *self.0.lock());
        gathered
            .into_iter()
            .map(|((kind, _), document)| (kind, document))
            .collect()
    }
}

impl Documents for Gathered {
    fn get(&self, kind: &str, key: &str) -> std::result::Result<Option<Document>, DocumentError> {
        Ok(self.0.lock().get(&(kind.to_owned(), key.to_owned())).cloned())
    }

    fn list(
        &self,
        kind: &str,
        after: Option<&str>,
        limit: usize,
    ) -> std::result::Result<Vec<Document>, DocumentError> {
        let gathered = self.0.lock();
        let of_kind = gathered
            .iter()
            .filter(|((one, key), _)| one == kind && after.is_none_or(|after| key.as_str() > after));
        Ok(of_kind
            .take(limit)
            .map(|(_, document)| document.clone())
            .collect())
    }

    fn put(
        &self,
        kind: &str,
        key: &str,
        precondition: Precondition,
        updated_at: Timestamp,
        body: &[u8],
    ) -> std::result::Result<DocumentVersion, DocumentError> {
        let mut gathered = self.0.lock();
        let place = (kind.to_owned(), key.to_owned());
        let actual = gathered.get(&place).map(|document| document.version);
        check(kind, key, precondition, actual)?;
        let version = DocumentVersion(actual.map_or(1, |version| version.0 + 1));
        let document = Document {
            key: key.to_owned(),
            version,
            updated_at,
            body: body.to_vec(),
        };
        gathered.insert(place, document);
        Ok(version)
    }

    fn delete(
        &self,
        kind: &str,
        key: &str,
        precondition: Precondition,
    ) -> std::result::Result<bool, DocumentError> {
        let mut gathered = self.0.lock();
        let place = (kind.to_owned(), key.to_owned());
        check(
            kind,
            key,
            precondition,
            gathered.get(&place).map(|document| document.version),
        )?;
        Ok(gathered.remove(&place).is_some())
    }
}

fn check(
    kind: &str,
    key: &str,
    precondition: Precondition,
    actual: Option<DocumentVersion>,
) -> std::result::Result<(), DocumentError> {
    let holds = match precondition {
        Precondition::Any => true,
        Precondition::Absent => actual.is_none(),
        Precondition::Version(version) => actual == Some(version),
    };
    if holds {
        return Ok(());
    }
    Err(DocumentError::Conflict {
        kind: kind.to_owned(),
        key: key.to_owned(),
        actual,
    })
}
