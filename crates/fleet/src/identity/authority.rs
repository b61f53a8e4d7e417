//! The fleet's own certificate authorities: keys on disk, certificates from requests.
//!
//! Begin with [`Authorities::open`]. Each generation is a pair of files, `ca-<n>.pem` and `ca-<n>.key`; the newest issues, all are
//! trusted, and the oldest signs the server's own certificate, because every machine knows it.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_model::{MachineId, Timestamp};
use muster_protocol::enrol::{CSR_MAX_BYTES, Fingerprint, MACHINE_URI_PREFIX};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertificateSigningRequestParams,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, RevocationReason, RevokedCertParams, SanType, SerialNumber,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::IdentityError;
use super::revoked::Withdrawn;

/// How long an authority lives: ten years.
const AUTHORITY_LIFETIME_S: u64 = 3_652 * 86_400;
/// Certificates begin so long before they are issued, because clocks differ.
const BACKDATED_MS: i64 = 3_600_000;
/// Rights of others on what is secret.
const OTHERS: u32 = 0o077;
/// A P-256 public key, uncompressed: 4, x, y. Source: SEC 1, 2.3.3.
const P256_PUBLIC_KEY_BYTES: usize = 65;

/// All authorities that are trusted. Never none.
pub struct Authorities {
    folder: PathBuf,
    /// By generation, the oldest first.
    all: Vec<Authority>,
}

/// One authority.
pub struct Authority {
    /// Its number: 1 is the first.
    pub generation: u32,
    /// Its certificate.
    pub certificate: CertificateDer<'static>,
    /// SHA-256 of that.
    pub fingerprint: Fingerprint,
    /// Since when it is.
    pub not_before: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate that was issued.
pub struct Leaf {
    /// It.
    pub certificate: CertificateDer<'static>,
    /// The same as text.
    pub pem: String,
    /// SHA-256 of it.
    pub fingerprint: Fingerprint,
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// When it ends.
    pub not_after: Timestamp,
}

/// The public key of a request, whose sender proved to have the private one.
pub struct Requested {
    public_key: rcgen::PublicKey,
    /// SHA-256 of the key.
    pub key: Fingerprint,
}

/// SHA-256 of some bytes.
pub fn fingerprint(bytes: &[u8]) -> Fingerprint {
    Fingerprint(Sha256::digest(bytes).into())
}

impl Requested {
    /// Reads a CSR in PEM. Its signature must be good; whatever it asks for is ignored.
    pub fn read(csr: &str) -> Result<Self, IdentityError> {
        let refused = |why: String| IdentityError::Csr(why);
        if csr.len() > CSR_MAX_BYTES {
            return Err(refused(format!("it is longer than {CSR_MAX_BYTES} bytes")));
        }
        let CertificateSigningRequestParams { public_key, .. } =
            CertificateSigningRequestParams::from_pem(csr).map_err(|error| refused(error.to_string()))?;
        let raw = rcgen::PublicKeyData::der_bytes(&public_key);
        let is_p256 = *public_key.algorithm() == PKCS_ECDSA_P256_SHA256
            && raw.len() == P256_PUBLIC_KEY_BYTES
            && raw.first() == Some(&4);
        if !is_p256 {
            return Err(refused("only ECDSA keys on P-256 are accepted".to_owned()));
        }
        let key = fingerprint(raw);
        Ok(Self { public_key, key })
    }
}

impl Authorities {
    /// Opens the folder, or makes the first authority. Blocks.
    pub fn open(folder: &Path, now: Timestamp) -> Result<Self, IdentityError> {
        let failed = |source| IdentityError::Files {
            path: folder.to_owned(),
            source,
        };
        if !folder.is_dir() {
            DirBuilder::new().mode(0o700).create(folder).map_err(failed)?;
        }
        refuse_others(folder)?;
        let mut generations = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let generation = name.to_str().and_then(|name| {
                name.strip_prefix("ca-")?
                    .strip_suffix(".key")?
                    .parse::<u32>()
                    .ok()
            });
            generations.extend(generation);
        }
        generations.sort_unstable();
        let mut authorities = Self {
            folder: folder.to_owned(),
            all: Vec::new(),
        };
        for generation in generations {
            let authority = authorities.load(generation)?;
            authorities.all.push(authority);
        }
        if authorities.all.is_empty() {
            authorities.add(now)?;
        }
        authorities.write_bundle()?;
        Ok(authorities)
    }

    /// Those that are trusted, the oldest first.
    pub fn all(&self) -> &[Authority] {
        &self.all
    }

    /// The one that issues.
    pub fn newest(&self) -> &Authority {
        self.all.last().expect("there is always an authority")
    }

    /// The one that every machine knows.
    pub fn oldest(&self) -> &Authority {
        self.all.first().expect("there is always an authority")
    }

    /// All of them as text.
    pub fn bundle(&self) -> String {
        self.all.iter().map(|authority| authority.pem.as_str()).collect()
    }

    /// Makes a further authority, which issues from now on. Blocks.
    pub fn add(&mut self, now: Timestamp) -> Result<&Authority, IdentityError> {
        let generation = self.all.last().map_or(1, |newest| newest.generation + 1);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(IdentityError::Crypto)?;
        let mut params = CertificateParams::default();
        let public = fingerprint(rcgen::PublicKeyData::der_bytes(&key)).to_string();
        // Two authorities of the same name would be taken for each other while a chain is built.
        let name = format!("Muster authority {generation} ({})", &public[..8]);
        params.distinguished_name = named(&name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        date(&mut params, now, after(now, AUTHORITY_LIFETIME_S));
        params.serial_number = Some(serial()?);
        let certificate = params.self_signed(&key).map_err(IdentityError::Crypto)?;
        let (pem, secret) = (certificate.pem(), key.serialize_pem());
        // The key last: a generation is there when its key is.
        write(&self.path(generation, "pem"), &pem)?;
        write(&self.path(generation, "key"), &secret)?;
        let authority = self.load(generation)?;
        self.all.push(authority);
        self.write_bundle()?;
        Ok(self.newest())
    }

    /// Takes an authority out of force, and its key off the disk. The last one stays. Blocks.
    pub fn retire(&mut self, generation: u32) -> Result<(), IdentityError> {
        if self.newest().generation == generation {
            return Ok(());
        }
        let key = self.path(generation, "key");
        std::fs::remove_file(&key).map_err(|source| IdentityError::Files { path: key, source })?;
        self.all.retain(|authority| authority.generation != generation);
        self.write_bundle()
    }

    fn path(&self, generation: u32, kind: &str) -> PathBuf {
        self.folder.join(format!("ca-{generation}.{kind}"))
    }

    fn load(&self, generation: u32) -> Result<Authority, IdentityError> {
        let (certificate, key) = (self.path(generation, "pem"), self.path(generation, "key"));
        refuse_others(&key)?;
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|source| IdentityError::Files {
                path: path.to_owned(),
                source,
            })
        };
        let damaged = || IdentityError::Damaged {
            path: certificate.clone(),
        };
        let (pem, secret) = (read(&certificate)?, read(&key)?);
        let key = KeyPair::from_pem(&secret).map_err(|_| IdentityError::Damaged { path: key.clone() })?;
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| damaged())?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| damaged())?;
        if parsed.public_key().subject_public_key.data != rcgen::PublicKeyData::der_bytes(&key) {
            // A key of another certificate would issue what nobody trusts.
            return Err(damaged());
        }
        let seconds = |time: x509_parser::time::ASN1Time| Timestamp::from_millis(time.timestamp() * 1_000);
        let (not_before, not_after) = (
            seconds(parsed.validity().not_before),
            seconds(parsed.validity().not_after),
        );
        Ok(Authority {
            generation,
            fingerprint: fingerprint(&der),
            not_before,
            not_after,
            issuer: Issuer::from_ca_cert_der(&der, key).map_err(IdentityError::Crypto)?,
            certificate: der,
            pem,
        })
    }

    /// `ca.pem`: what programs and people are given to trust.
    fn write_bundle(&self) -> Result<(), IdentityError> {
        write(&self.folder.join("ca.pem"), &self.bundle())
    }
}

impl Authority {
    /// Since when it issues.
    pub fn issues_since(&self) -> Timestamp {
        self.not_before.plus_millis(BACKDATED_MS)
    }

    /// A certificate for a machine: for the key of the request, with the names that we choose.
    pub fn machine(
        &self,
        machine: MachineId,
        requested: &Requested,
        now: Timestamp,
        lifetime_s: u32,
    ) -> Result<Leaf, IdentityError> {
        let mut params = leaf(&machine.to_string(), ExtendedKeyUsagePurpose::ClientAuth);
        let uri = format!("{MACHINE_URI_PREFIX}{machine}");
        params.subject_alt_names = vec![SanType::URI(uri.try_into().map_err(IdentityError::Crypto)?)];
        self.sign(params, &requested.public_key, now, u64::from(lifetime_s))
    }

    /// The server's own certificate, with a fresh key.
    pub fn server(
        &self,
        names: &[String],
        now: Timestamp,
        lifetime_s: u64,
    ) -> Result<(Leaf, PrivateKeyDer<'static>), IdentityError> {
        let mut params = leaf("muster", ExtendedKeyUsagePurpose::ServerAuth);
        for name in names {
            let name = name.trim_matches(['[', ']']);
            let san = match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.try_into().map_err(IdentityError::Crypto)?),
            };
            params.subject_alt_names.push(san);
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(IdentityError::Crypto)?;
        let leaf = self.sign(params, &key, now, lifetime_s)?;
        Ok((leaf, PrivatePkcs8KeyDer::from(key.serialize_der()).into()))
    }

    /// A list of certificates that are good no more.
    pub fn revoked(
        &self,
        certificates: &[Withdrawn],
        number: u64,
        made_at: Timestamp,
        ends_at: Timestamp,
    ) -> Result<Vec<u8>, IdentityError> {
        let begin = rcgen::date_time_ymd(1970, 1, 1);
        let named = |withdrawn: &Withdrawn| RevokedCertParams {
            serial_number: withdrawn.serial_number(),
            revocation_time: begin + since_1970(withdrawn.at),
            // What a person meant by shutting a machine out is not one of the reasons there are. Source: RFC 5280, 5.3.1.
            reason_code: (!withdrawn.revoked).then_some(RevocationReason::Superseded),
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: begin + since_1970(made_at),
            next_update: begin + since_1970(ends_at),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: certificates.iter().map(named).collect(),
            // As the authority's own certificate was made.
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).map_err(IdentityError::Crypto)?;
        Ok(list.der().to_vec())
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        key: &impl rcgen::PublicKeyData,
        now: Timestamp,
        lifetime_s: u64,
    ) -> Result<Leaf, IdentityError> {
        let number = serial()?;
        // Nothing outlives its authority.
        let not_after = after(now, lifetime_s).min(self.not_after);
        // As the certificate says it: in whole seconds.
        let not_after = Timestamp::from_millis(not_after.as_millis() / 1_000 * 1_000);
        date(&mut params, now, not_after);
        params.serial_number = Some(number.clone());
        let certificate = params
            .signed_by(key, &self.issuer)
            .map_err(IdentityError::Crypto)?;
        Ok(Leaf {
            fingerprint: fingerprint(certificate.der()),
            pem: certificate.pem(),
            certificate: certificate.der().clone(),
            serial: number
                .to_bytes()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            not_after,
        })
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn leaf(name: &str, purpose: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params.use_authority_key_identifier_extension = true;
    params
}

/// In whole seconds, as certificates say it.
fn since_1970(at: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(at.as_millis() / 1_000).unwrap_or(0))
}

/// From a little before `from` until `until`.
fn date(params: &mut CertificateParams, from: Timestamp, until: Timestamp) {
    let begin = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = begin + since_1970(from.plus_millis(-BACKDATED_MS));
    params.not_after = begin + since_1970(until);
}

fn after(from: Timestamp, lifetime_s: u64) -> Timestamp {
    from.plus_millis(i64::try_from(lifetime_s.saturating_mul(1_000)).unwrap_or(i64::MAX))
}

/// 127 random bits: positive, as a serial number must be. Source: RFC 5280, 4.1.2.2.
fn serial() -> Result<SerialNumber, IdentityError> {
    let mut bytes = super::random::<16>()?;
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// Keys that others can read are not secret any more.
fn refuse_others(path: &Path) -> Result<(), IdentityError> {
    let about = std::fs::metadata(path).map_err(|source| IdentityError::Files {
        path: path.to_owned(),
        source,
    })?;
    if about.mode() & OTHERS != 0 {
        return Err(IdentityError::OthersCanRead {
            path: path.to_owned(),
            mode: about.mode() & 0o777,
        });
    }
    Ok(())
}

/// Writes a file for its owner alone, whole or not at all, durable when this returns.
fn write(path: &Path, text: &str) -> Result<(), IdentityError> {
    let attempt = || -> std::io::Result<()> {
        let fresh = path.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    attempt().map_err(|source| IdentityError::Files {
        path: path.to_owned(),
        source,
    })
}
