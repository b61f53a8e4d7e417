//! Who a machine is: certificates that the server issues, and the register of who may come by them.
//!
//! Begin with [`Identity`]. [`authority`] signs, [`register`] knows, [`revoked`] tells others of it, [`tls`] makes connections of it, [`connected`] knows which of them stand,
//! [`upkeep`] renews, retires and cuts. What people may do about it is not decided here, nor what a machine says after its
//! handshake. See docs/decisions/0028.

pub mod authority;
pub mod connected;
pub mod guesses;
pub mod noted;
pub mod reach;
pub mod register;
pub mod renewals;
pub mod revoked;
pub mod tls;
pub mod upkeep;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster_model::{MachineId, Timestamp};
use muster_protocol::api::{ENROLMENT_LIFETIME_DEFAULT_S, EnrolmentPolicy};
use muster_protocol::enrol::{CertificateStatus, Fingerprint, Issued, Token};
use muster_runtime::Clock;
use muster_store::{DocumentError, Documents};
use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use authority::{Authorities, Requested, fingerprint};
use connected::{Connected, Peer};
use guesses::Guesses;
use register::{Certificate, ENROLMENTS_MAX, Enrolment, Profile, Record, Register, Standing, Used};
use renewals::Renewals;
use revoked::{List, Lists};
use tls::{Door, OwnCertificate, Proof, two_thirds};

/// The folder in the data directory.
const FOLDER: &str = "identity";
/// How long a certificate of a machine lives where nothing else is set: 90 days.
pub const CERTIFICATE_LIFETIME_DEFAULT_S: u32 = 90 * 86_400;
/// How long the server's own lives.
pub const SERVER_LIFETIME_DEFAULT_S: u32 = 90 * 86_400;
/// Machines ask at least so often whether to renew, where nothing else is set.
pub const ASK_AGAIN_DEFAULT_S: u32 = 3_600;

/// How identities are set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where machines connect.
    pub machines_listen: SocketAddr,
    /// Names and addresses that the server's certificate is for.
    pub names: Vec<String>,
    /// People's own certificate for their port.
    pub own: Option<OwnCertificate>,
    /// How long certificates of machines live.
    pub certificate_lifetime_s: u32,
    /// Machines ask at least so often whether to renew.
    pub ask_again_s: u32,
    /// How long the server's own certificate lives; it is made anew at two thirds of it.
    pub server_lifetime_s: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            machines_listen: SocketAddr::from(([127, 0, 0, 1], 7702)),
            names: ["localhost", "127.0.0.1", "::1"].map(String::from).to_vec(),
            own: None,
            certificate_lifetime_s: CERTIFICATE_LIFETIME_DEFAULT_S,
            ask_again_s: ASK_AGAIN_DEFAULT_S,
            server_lifetime_s: SERVER_LIFETIME_DEFAULT_S,
        }
    }
}

/// Why identities cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A secret is none.
    #[error("{} can be read by others (mode {mode:03o}): keys in it are not secret any more", path.display())]
    OthersCanRead {
        /// What.
        path: PathBuf,
        /// Its rights.
        mode: u32,
    },
    /// A file cannot be read or written.
    #[error("{} cannot be used", path.display())]
    Files {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file holds something else, or belongs to another.
    #[error("{} holds no certificate with its key", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
    },
    /// People's own certificate.
    #[error("{} cannot be used for TLS: {why}", path.display())]
    OwnCertificate {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A certificate cannot be made, because of a name as a rule.
    #[error("a certificate cannot be made")]
    Crypto(#[source] rcgen::Error),
    /// Certificate and key do not make a configuration.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// The operating system gave no randomness.
    #[error(transparent)]
    Entropy(#[from] muster_runtime::clock::NoEntropy),
    /// The register cannot be read or written.
    #[error(transparent)]
    Documents(#[from] DocumentError),
    /// A request for a certificate is not accepted.
    #[error("{0}")]
    Csr(String),
}

impl IdentityError {
    /// The stable code, with a page in `docs/errors/`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::OthersCanRead { .. } => "MST-F010",
            Self::Files { .. } => "MST-F011",
            Self::Damaged { .. } => "MST-F012",
            Self::OwnCertificate { .. } => "MST-F013",
            Self::Crypto(_) | Self::Tls(_) | Self::Entropy(_) => "MST-F014",
            Self::Documents(error) => error.code(),
            Self::Csr(_) => "MST-A063",
        }
    }
}

/// Why something asked of identities is not done.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Nobody made such a token, or it was withdrawn.
    #[error("the token is not known here: it may have been withdrawn, or be for another server")]
    Token,
    /// It was used by another key.
    #[error("the token was used already: each is for one machine")]
    Used,
    /// It ended.
    #[error("the token ended at {0}")]
    Expired(Timestamp),
    /// There is no such identity.
    #[error("no machine {0} has enrolled")]
    NoIdentity(MachineId),
    /// There is no such enrolment.
    #[error("there is no enrolment {0}")]
    NoEnrolment(Uuid),
    /// It stands otherwise.
    #[error("{0}")]
    Standing(String),
    /// Nobody asked for it, and it was done often enough.
    #[error("nobody asked this machine to renew its certificate now: wait {0} s")]
    TooSoon(u64),
    /// There are too many.
    #[error("there are {ENROLMENTS_MAX} enrolments: withdraw some that nobody will use")]
    Full,
    /// It cannot be done.
    #[error(transparent)]
    Failed(#[from] IdentityError),
}

impl From<DocumentError> for Refused {
    fn from(error: DocumentError) -> Self {
        Self::Failed(error.into())
    }
}

/// What a new enrolment is to be.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What the machine will be.
    pub profile: Profile,
    /// How long the token is good.
    pub expires_in_s: Option<u32>,
    /// What becomes of the machine.
    pub policy: EnrolmentPolicy,
    /// Who asks.
    pub created_by: String,
}

/// Certificates, and who may come by them. Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    options: Options,
    clock: Clock,
    register: Arc<Register>,
    authorities: RwLock<Authorities>,
    connected: Connected,
    guesses: Guesses,
    renewals: Renewals,
    lists: Lists,
    people: Door,
    machines: Door,
    shown: Mutex<Shown>,
    /// One change at a time.
    changing: Mutex<()>,
}

/// What the server proves itself by just now.
struct Shown {
    /// What tokens name.
    anchor: Fingerprint,
    /// From when on its certificate is made anew.
    renew_at: Timestamp,
    /// When people's own files were written that were looked at last, of use or not.
    written: Option<(std::time::SystemTime, std::time::SystemTime)>,
}

/// What the two doors are made of.
struct Doors {
    /// For people, with what tokens name; or why people's own certificate is of no use.
    people: Result<(rustls::ServerConfig, Fingerprint), IdentityError>,
    machines: rustls::ServerConfig,
    renew_at: Timestamp,
    written: Option<(std::time::SystemTime, std::time::SystemTime)>,
}

impl Identity {
    /// Opens the authorities and the register, or makes them. Blocks.
    pub fn open(
        data: &Path,
        documents: Arc<dyn Documents>,
        options: Options,
        clock: Clock,
    ) -> Result<Self, IdentityError> {
        let now = Timestamp::from_millis(clock.wall_ms());
        let authorities = Authorities::open(&data.join(FOLDER), now)?;
        let lists = Lists::open(documents.clone())?;
        let register = Arc::new(Register::open(documents)?);
        let doors = doors(&options, &authorities, &register, clock, now)?;
        let (people, anchor) = doors.people?;
        Ok(Self(Arc::new(Inner {
            options,
            clock,
            register,
            authorities: RwLock::new(authorities),
            connected: Connected::default(),
            guesses: Guesses::default(),
            renewals: Renewals::default(),
            lists,
            people: Door::new(people),
            machines: Door::new(doors.machines),
            shown: Mutex::new(Shown {
                anchor,
                renew_at: doors.renew_at,
                written: doors.written,
            }),
            changing: Mutex::new(()),
        })))
    }

    /// How it is set up.
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// Who may come.
    pub fn register(&self) -> &Arc<Register> {
        &self.0.register
    }

    /// Which connections stand.
    pub fn connected(&self) -> &Connected {
        &self.0.connected
    }

    /// Who guesses tokens.
    pub fn guesses(&self) -> &Guesses {
        &self.0.guesses
    }

    /// How the port of people is encrypted.
    pub fn people(&self) -> &Door {
        &self.0.people
    }

    /// How the port of machines is encrypted.
    pub fn machines(&self) -> &Door {
        &self.0.machines
    }

    /// What the server is recognised by before anything is trusted.
    pub fn anchor(&self) -> Fingerprint {
        self.0.shown.lock().anchor
    }

    /// Looks at the authorities.
    pub fn with_authorities<T>(&self, look: impl FnOnce(&Authorities) -> T) -> T {
        look(&self.0.authorities.read())
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.clock.wall_ms())
    }

    /// Who shows this certificate, if the register has it. The handshake has proved the rest.
    pub fn peer(&self, certificate: &[u8]) -> Option<Peer> {
        let certificate = fingerprint(certificate);
        let record = self.0.register.holder(certificate)?;
        let found = record.certificate(certificate)?;
        Some(Peer {
            machine: record.machine,
            certificate,
            not_after: found.not_after,
        })
    }

    /// Whether this certificate is shown for the first time.
    pub fn is_new(&self, peer: &Peer) -> bool {
        let record = self.0.register.holder(peer.certificate);
        record.is_some_and(|record| {
            let found = record.certificate(peer.certificate);
            found.is_some_and(|found| found.first_used_at.is_none())
        })
    }

    /// A certificate was shown in a handshake: those before it are over. Blocks.
    pub fn used(&self, peer: &Peer) -> Result<(), Refused> {
        let now = self.now();
        self.change(peer.machine, |record| {
            record.used(peer.certificate, now);
            Ok(())
        })?;
        Ok(())
    }

    /// Makes an enrolment; its token is said once. `machine`: one that is known already alone may use it. Blocks.
    pub fn invite(
        &self,
        wanted: Wanted,
        machine: Option<MachineId>,
    ) -> Result<(Arc<Enrolment>, Token), Refused> {
        let _one = self.0.changing.lock();
        let now = self.now();
        let mut profile = wanted.profile;
        if let Some(machine) = machine {
            let record = self
                .0
                .register
                .record(machine)
                .ok_or(Refused::NoIdentity(machine))?;
            profile = record.profile.clone();
        }
        let kept = self.0.register.enrolments();
        for over in kept.iter().filter(|enrolment| enrolment.is_over(now)) {
            self.0.register.remove_enrolment(over.id)?;
        }
        if kept.len() >= ENROLMENTS_MAX && self.0.register.enrolments().len() >= ENROLMENTS_MAX {
            return Err(Refused::Full);
        }
        let token = Token {
            secret: random()?,
            server: self.anchor(),
        };
        let lifetime_s = wanted.expires_in_s.unwrap_or(ENROLMENT_LIFETIME_DEFAULT_S);
        let enrolment = Enrolment {
            id: muster_runtime::clock::new_uuid(&self.0.clock).map_err(IdentityError::from)?,
            secret: fingerprint(&token.secret),
            machine,
            profile,
            policy: wanted.policy,
            created_at: now,
            created_by: wanted.created_by,
            expires_at: now.plus_millis(i64::from(lifetime_s) * 1_000),
            used: None,
        };
        Ok((self.0.register.put_enrolment(enrolment)?, token))
    }

    /// Takes an enrolment back: its token is good for nothing any more. Blocks.
    pub fn withdraw(&self, id: Uuid) -> Result<(), Refused> {
        let _one = self.0.changing.lock();
        if self.0.register.remove_enrolment(id)? {
            Ok(())
        } else {
            Err(Refused::NoEnrolment(id))
        }
    }

    /// A machine enrols; says by which enrolment. Blocks.
    pub fn enrol(&self, token: &Token, csr: &str) -> Result<(Arc<Enrolment>, Issued), Refused> {
        let _one = self.0.changing.lock();
        let now = self.now();
        let enrolment = self
            .0
            .register
            .enrolment_of(fingerprint(&token.secret))
            .ok_or(Refused::Token)?;
        let requested = Requested::read(csr)?;
        // The same key may ask again: the answer may have been lost.
        let again = match &enrolment.used {
            Some(used) if used.key != requested.key => return Err(Refused::Used),
            used => used.as_ref(),
        };
        if now >= enrolment.expires_at {
            return Err(Refused::Expired(enrolment.expires_at));
        }
        let machine = match again.map(|used| used.machine).or(enrolment.machine) {
            Some(machine) => machine,
            None => MachineId::from_uuid(
                muster_runtime::clock::new_uuid(&self.0.clock).map_err(IdentityError::from)?,
            ),
        };
        let known = self.0.register.record(machine);
        let is_out = |record: &Record| matches!(record.standing, Standing::Revoked { .. });
        if again.is_some() && known.as_deref().is_some_and(is_out) {
            // It was shut out since: what it used once lets it in no more.
            return Err(Refused::Used);
        }
        if again.is_none() {
            self.0.register.put_enrolment(Enrolment {
                used: Some(Used {
                    at: now,
                    machine,
                    key: requested.key,
                }),
                ..(*enrolment).clone()
            })?;
        }
        let standing = match enrolment.policy {
            EnrolmentPolicy::Accept => Standing::Accepted,
            EnrolmentPolicy::Pending => Standing::Pending,
        };
        let record = match known.as_deref() {
            None => Record {
                machine,
                profile: enrolment.profile.clone(),
                standing,
                standing_since: now,
                enrolled_at: now,
                certificates: Vec::new(),
                withdrawn: Vec::new(),
                joined: false,
                renew_asked: false,
                cloned_at: None,
            },
            Some(known) if again.is_some() => known.clone(),
            Some(known) => {
                let mut record = known.clone();
                if is_out(known) {
                    // What it had when it was shut out stays out.
                    for certificate in &mut record.certificates {
                        certificate.superseded_at.get_or_insert(now);
                        certificate.revoked_at.get_or_insert(known.standing_since);
                    }
                }
                (record.standing, record.standing_since) = (standing, now);
                record
            }
        };
        let issued = self.issue(record, &requested, now)?;
        Ok((enrolment, issued))
    }

    /// A machine renews its certificate, with a new key. Blocks.
    pub fn renew(&self, peer: &Peer, csr: &str) -> Result<Issued, Refused> {
        let _one = self.0.changing.lock();
        let now = self.now();
        let requested = Requested::read(csr)?;
        let record = self.known(peer.machine)?;
        // Between the handshake and now it may have been shut out.
        if connected::why(&self.0.register, peer, now).is_some() {
            return Err(Refused::Standing(
                "the certificate is not in force any more".to_owned(),
            ));
        }
        self.may_renew(peer, &record, now)?;
        self.issue((*record).clone(), &requested, now)
    }

    /// Whether a machine may renew now: always if it was asked to, or it is time for the newest that it has; else a few times, as
    /// an answer may be lost. While it waits to be let in, not before it is time.
    fn may_renew(&self, peer: &Peer, record: &Record, now: Timestamp) -> Result<(), Refused> {
        if record.renew_asked {
            return Ok(());
        }
        let found = record
            .certificate(peer.certificate)
            .ok_or(Refused::NoIdentity(peer.machine))?;
        let due = two_thirds(found.issued_at, found.not_after);
        let newest = self.with_authorities(|authorities| authorities.newest().generation);
        let is_due = now >= due || found.authority != newest;
        let last = record.certificates.last();
        if is_due && last.is_some_and(|last| last.fingerprint == peer.certificate) {
            return Ok(());
        }
        if !is_due && record.standing == Standing::Pending {
            let left_ms = u64::try_from(due.millis_since(now)).unwrap_or_default();
            return Err(Refused::TooSoon(left_ms.div_ceil(1_000).max(1)));
        }
        let counted = self.0.renewals.count(peer.machine, self.0.clock.mono_ms());
        counted.map_err(Refused::TooSoon)
    }

    fn issue(&self, mut record: Record, requested: &Requested, now: Timestamp) -> Result<Issued, Refused> {
        let authorities = self.0.authorities.read();
        let authority = authorities.newest();
        let lifetime_s = self.0.options.certificate_lifetime_s;
        let leaf = authority.machine(record.machine, requested, now, lifetime_s)?;
        record.add(Certificate {
            fingerprint: leaf.fingerprint,
            serial: leaf.serial,
            authority: authority.generation,
            issued_at: now,
            not_after: leaf.not_after,
            first_used_at: None,
            superseded_at: None,
            revoked_at: None,
        });
        record.renew_asked = false;
        let issued = Issued {
            machine_id: record.machine,
            certificate: leaf.pem,
            authorities: authorities.bundle(),
            issued_at: now,
            not_after: leaf.not_after,
            machines_port: self.0.options.machines_listen.port(),
            pending: record.standing == Standing::Pending,
            kind: record.profile.kind.clone(),
            name: record.profile.name.clone(),
            labels: record.profile.labels.clone(),
        };
        self.0.register.put(record)?;
        metrics::counter!("muster_certificates_issued_total").increment(1);
        Ok(issued)
    }

    /// Whether a machine is to renew the certificate that it shows.
    pub fn status(&self, peer: &Peer) -> Result<CertificateStatus, Refused> {
        let now = self.now();
        let record = self.known(peer.machine)?;
        let found = record
            .certificate(peer.certificate)
            .ok_or(Refused::NoIdentity(peer.machine))?;
        let due = two_thirds(found.issued_at, found.not_after);
        let newest = self.with_authorities(|authorities| authorities.newest().generation);
        let left_s = u32::try_from(due.millis_since(now).max(0) / 1_000).unwrap_or(u32::MAX);
        Ok(CertificateStatus {
            not_after: found.not_after,
            renew: now >= due || found.authority != newest || record.renew_asked,
            ask_again_s: (left_s + 1).min(self.0.options.ask_again_s),
            server_time: now,
        })
    }

    /// A person lets a machine in. Blocks.
    pub fn accept(&self, machine: MachineId) -> Result<Arc<Record>, Refused> {
        let now = self.now();
        self.change(machine, |record| match record.standing {
            Standing::Accepted => Ok(()),
            Standing::Pending => {
                (record.standing, record.standing_since) = (Standing::Accepted, now);
                Ok(())
            }
            Standing::Revoked { .. } => Err(Refused::Standing(
                "the machine was shut out: to let it in again, have it enrol with a token of its own"
                    .to_owned(),
            )),
        })
    }

    /// A person shuts a machine out. Its connections are to be cut by whoever calls. Blocks.
    pub fn revoke(&self, machine: MachineId, reason: String) -> Result<Arc<Record>, Refused> {
        let now = self.now();
        self.change(machine, |record| {
            if !matches!(record.standing, Standing::Revoked { .. }) {
                record.revoke(reason, now);
            }
            Ok(())
        })
    }

    /// A person has a machine renew the next time it asks. Blocks.
    pub fn ask_to_renew(&self, machine: MachineId) -> Result<Arc<Record>, Refused> {
        self.change(machine, |record| {
            record.renew_asked = true;
            Ok(())
        })
    }

    /// What people said of a machine was put into the log. Blocks.
    pub fn joined(&self, machine: MachineId) -> Result<Arc<Record>, Refused> {
        self.change(machine, |record| {
            record.joined = true;
            Ok(())
        })
    }

    /// Another holder of its key was seen. Blocks.
    pub fn cloned(&self, machine: MachineId) -> Result<Arc<Record>, Refused> {
        let now = self.now();
        self.change(machine, |record| {
            record.cloned_at = Some(now);
            Ok(())
        })
    }

    /// The lists of certificates that are good no more, one for each authority that is trusted, the oldest first. Blocks.
    pub fn revoked(&self) -> Result<Vec<Arc<List>>, Refused> {
        let now = self.now();
        let authorities = self.0.authorities.read();
        Ok(self.0.lists.current(&self.0.register, &authorities, now)?)
    }

    /// Makes a further authority, which issues from now on. Blocks.
    pub fn rotate(&self) -> Result<(), Refused> {
        let _one = self.0.changing.lock();
        let now = self.now();
        self.0.authorities.write().add(now)?;
        self.open_doors(now)?;
        Ok(())
    }

    fn known(&self, machine: MachineId) -> Result<Arc<Record>, Refused> {
        let record = self.0.register.record(machine);
        record.ok_or(Refused::NoIdentity(machine))
    }

    fn change(
        &self,
        machine: MachineId,
        change: impl FnOnce(&mut Record) -> Result<(), Refused>,
    ) -> Result<Arc<Record>, Refused> {
        let _one = self.0.changing.lock();
        let before = self.known(machine)?;
        let mut record = (*before).clone();
        change(&mut record)?;
        if record == *before {
            return Ok(before);
        }
        Ok(self.0.register.put(record)?)
    }

    /// Makes both configurations anew. Whoever is connected does not notice. Where people's own certificate is of no use, the one before
    /// stays, until its files are written again; machines do not depend on it.
    fn open_doors(&self, now: Timestamp) -> Result<(), IdentityError> {
        let inner = &self.0;
        let doors = doors(
            &inner.options,
            &inner.authorities.read(),
            &inner.register,
            inner.clock,
            now,
        )?;
        inner.machines.replace(doors.machines);
        let mut shown = inner.shown.lock();
        (shown.renew_at, shown.written) = (doors.renew_at, doors.written);
        match doors.people {
            Ok((people, anchor)) => {
                inner.people.replace(people);
                shown.anchor = anchor;
            }
            Err(error) => {
                metrics::counter!("muster_own_certificates_refused_total").increment(1);
                let why = muster_runtime::errors::chain(&error);
                tracing::error!(code = error.code(), error = %why, "the certificate for people's port cannot be used; the one before stays");
            }
        }
        Ok(())
    }
}

fn doors(
    options: &Options,
    authorities: &Authorities,
    register: &Arc<Register>,
    clock: Clock,
    now: Timestamp,
) -> Result<Doors, IdentityError> {
    let oldest = authorities.oldest();
    let issued = || {
        let (leaf, key) = oldest.server(&options.names, now, u64::from(options.server_lifetime_s))?;
        let proof = Proof::issued(&leaf, key, &oldest.certificate);
        Ok::<_, IdentityError>((proof, leaf.not_after))
    };
    let (proof, not_after) = issued()?;
    let machines = tls::machines(proof, authorities, register.clone(), clock)?;
    // Looked at before they are read: what is written in between is read again.
    let written = options.own.as_ref().and_then(tls::written);
    let proof = match &options.own {
        Some(own) => Proof::read(own),
        None => issued().map(|(proof, _)| proof),
    };
    let people = proof.and_then(|proof| {
        let anchor = proof.anchor();
        let people = tls::people(proof, clock);
        let people = people.map_err(|error| tls::of_own(error, options.own.as_ref()))?;
        Ok((people, anchor))
    });
    Ok(Doors {
        people,
        machines,
        renew_at: two_thirds(now, not_after),
        written,
    })
}

/// Random bytes of the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], IdentityError> {
    let mut bytes = [0; N];
    for part in bytes.chunks_mut(8) {
        let random = muster_runtime::clock::entropy()?.to_le_bytes();
        part.copy_from_slice(&random[..part.len()]);
    }
    Ok(bytes)
}
