//! Who may come: enrolments and identities, on disk as documents and in memory by what they are looked up by.
//!
//! The register is the truth, not the certificate: a certificate that it does not have is worth nothing. Begin with [`Record`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use muster_model::{MachineId, Timestamp};
use muster_protocol::api::{EnrolmentPolicy, EnrolmentState};
use muster_protocol::enrol::Fingerprint;
use muster_store::{DocumentError, Documents, Precondition};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::revoked::Withdrawn;

/// Kinds of documents.
const IDENTITY: &str = "identity";
const ENROLMENT: &str = "enrolment";
/// Documents that are read at once.
const PAGE: usize = 1_000;
/// Certificates that are kept of one machine.
pub const CERTIFICATES_KEPT: usize = 4;
/// Certificates of one machine that the list of revoked ones names besides those that are kept.
pub const WITHDRAWN_KEPT: usize = 256;
/// Enrolments that are kept at once, used ones too.
pub const ENROLMENTS_MAX: usize = 20_000;
/// Enrolments that are over are kept so long, for whoever asks what became of them.
pub const ENROLMENTS_KEPT_MS: i64 = 30 * 86_400_000;

/// How the fleet stands to a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It waits to be accepted.
    Pending,
    /// It is part of the fleet.
    Accepted,
    /// It was shut out.
    Revoked {
        /// Why.
        reason: String,
    },
}

/// A certificate of a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// SHA-256 of it.
    pub fingerprint: Fingerprint,
    /// Its serial number.
    pub serial: String,
    /// The generation of its authority.
    pub authority: u32,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
    /// When it was used for the first time.
    pub first_used_at: Option<Timestamp>,
    /// When a newer one was used for the first time.
    pub superseded_at: Option<Timestamp>,
    /// When the machine was shut out while it had this one.
    #[serde(default)]
    pub revoked_at: Option<Timestamp>,
}

/// What is known of a machine's identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The machine.
    pub machine: MachineId,
    /// What people said it is.
    pub profile: Profile,
    /// How the fleet stands to it.
    pub standing: Standing,
    /// Since when.
    pub standing_since: Timestamp,
    /// When it enrolled first.
    pub enrolled_at: Timestamp,
    /// The oldest first.
    pub certificates: Vec<Certificate>,
    /// What is known no more and has not ended, the oldest first.
    #[serde(default)]
    pub withdrawn: Vec<Withdrawn>,
    /// Whether its profile was put into the fleet's log.
    pub joined: bool,
    /// Whether it is told to renew the next time it asks.
    pub renew_asked: bool,
    /// When another holder of its key was seen.
    pub cloned_at: Option<Timestamp>,
}

/// What people say of a machine before it comes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Its kind.
    pub kind: Option<String>,
    /// What it is shown as.
    pub name: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// What lets one machine enrol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Enrolment {
    /// Names it.
    pub id: Uuid,
    /// SHA-256 of its secret.
    pub secret: Fingerprint,
    /// The machine that alone may use it, where it is to come back.
    pub machine: Option<MachineId>,
    /// What the machine will be.
    pub profile: Profile,
    /// What becomes of it.
    pub policy: EnrolmentPolicy,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Who used it.
    pub used: Option<Used>,
}

/// How an enrolment was used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Used {
    /// When.
    pub at: Timestamp,
    /// By which machine.
    pub machine: MachineId,
    /// SHA-256 of its public key: the same key may ask again.
    pub key: Fingerprint,
}

impl Certificate {
    /// What the list of revoked certificates says of it, if it is good no more. `out`: since when the machine is shut out.
    pub fn withdrawn(&self, out: Option<Timestamp>) -> Option<Withdrawn> {
        let revoked = self.revoked_at.or(out);
        Some(Withdrawn {
            serial: self.serial.clone(),
            authority: self.authority,
            not_after: self.not_after,
            at: revoked.or(self.superseded_at)?,
            revoked: revoked.is_some(),
            used: self.first_used_at.is_some(),
        })
    }
}

impl Record {
    /// The certificate of this fingerprint.
    pub fn certificate(&self, fingerprint: Fingerprint) -> Option<&Certificate> {
        self.certificates
            .iter()
            .find(|certificate| certificate.fingerprint == fingerprint)
    }

    /// The certificates by which the machine may come.
    pub fn in_force(&self, now: Timestamp) -> impl Iterator<Item = &Certificate> {
        let out = matches!(self.standing, Standing::Revoked { .. });
        self.certificates.iter().filter(move |certificate| {
            !out && certificate.superseded_at.is_none() && certificate.not_after > now
        })
    }

    /// Adds one, and lets go of others beyond those that are kept: of what is over first, then of what was never used. A machine that
    /// asks again and again and cannot keep what it gets must not lose the one that it comes by.
    pub fn add(&mut self, certificate: Certificate) {
        let now = certificate.issued_at;
        while self.certificates.len() >= CERTIFICATES_KEPT {
            let over = |certificate: &Certificate| certificate.superseded_at.is_some();
            let unused = |certificate: &Certificate| certificate.first_used_at.is_none();
            let place = self.certificates.iter().position(over);
            let place = place.or_else(|| self.certificates.iter().position(unused));
            let mut gone = self.certificates.remove(place.unwrap_or(0));
            gone.superseded_at.get_or_insert(now);
            self.withdrawn.extend(gone.withdrawn(None));
        }
        self.certificates.push(certificate);
        self.withdrawn.retain(|withdrawn| withdrawn.counts(now));
        while self.withdrawn.len() > WITHDRAWN_KEPT {
            // What nobody ever used is missed least, what was revoked most.
            let unused = self.withdrawn.iter().position(|withdrawn| !withdrawn.used);
            let superseded = || self.withdrawn.iter().position(|withdrawn| !withdrawn.revoked);
            self.withdrawn.remove(unused.or_else(superseded).unwrap_or(0));
            metrics::counter!("muster_withdrawn_certificates_forgotten_total").increment(1);
        }
    }

    /// The machine is shut out: so is every certificate that it has.
    pub fn revoke(&mut self, reason: String, now: Timestamp) {
        (self.standing, self.standing_since) = (Standing::Revoked { reason }, now);
        for certificate in &mut self.certificates {
            certificate.revoked_at.get_or_insert(now);
        }
        for withdrawn in &mut self.withdrawn {
            withdrawn.revoked = true;
        }
    }

    /// A certificate is used: it is noted the first time, and those before it are over.
    pub fn used(&mut self, fingerprint: Fingerprint, now: Timestamp) {
        let Some(place) = self
            .certificates
            .iter()
            .position(|certificate| certificate.fingerprint == fingerprint)
        else {
            return;
        };
        self.certificates[place].first_used_at.get_or_insert(now);
        for before in &mut self.certificates[..place] {
            before.superseded_at.get_or_insert(now);
        }
    }
}

impl Enrolment {
    /// What it is called in the audit log: what the machine will be shown as, or its kind.
    pub fn called(&self) -> String {
        let Profile { kind, name, .. } = &self.profile;
        name.clone().or_else(|| kind.clone()).unwrap_or_default()
    }

    /// How it stands.
    pub fn state(&self, now: Timestamp) -> EnrolmentState {
        match &self.used {
            Some(_) => EnrolmentState::Used,
            None if now >= self.expires_at => EnrolmentState::Expired,
            None => EnrolmentState::Open,
        }
    }

    /// Whether nobody asks for it any more.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now.millis_since(self.expires_at) > ENROLMENTS_KEPT_MS
    }
}

/// All of it.
pub struct Register {
    documents: Arc<dyn Documents>,
    maps: RwLock<Maps>,
    changes: AtomicU64,
}

#[derive(Default)]
struct Maps {
    records: BTreeMap<MachineId, Arc<Record>>,
    by_certificate: HashMap<Fingerprint, MachineId>,
    enrolments: BTreeMap<Uuid, Arc<Enrolment>>,
    by_secret: HashMap<Fingerprint, Uuid>,
}

impl Maps {
    fn put(&mut self, record: Arc<Record>) {
        for certificate in &record.certificates {
            self.by_certificate
                .insert(certificate.fingerprint, record.machine);
        }
        if let Some(before) = self.records.insert(record.machine, record.clone()) {
            for certificate in &before.certificates {
                if record.certificate(certificate.fingerprint).is_none() {
                    self.by_certificate.remove(&certificate.fingerprint);
                }
            }
        }
    }
}

impl Register {
    /// Reads all of it. Blocks.
    pub fn open(documents: Arc<dyn Documents>) -> Result<Self, DocumentError> {
        let mut maps = Maps::default();
        each(documents.as_ref(), IDENTITY, |record: Record| {
            maps.put(Arc::new(record));
        })?;
        each(documents.as_ref(), ENROLMENT, |enrolment: Enrolment| {
            maps.by_secret.insert(enrolment.secret, enrolment.id);
            maps.enrolments.insert(enrolment.id, Arc::new(enrolment));
        })?;
        Ok(Self {
            documents,
            maps: RwLock::new(maps),
            changes: AtomicU64::new(0),
        })
    }

    /// One machine's.
    pub fn record(&self, machine: MachineId) -> Option<Arc<Record>> {
        self.maps.read().records.get(&machine).cloned()
    }

    /// That of the machine whose certificate this is.
    pub fn holder(&self, certificate: Fingerprint) -> Option<Arc<Record>> {
        let maps = self.maps.read();
        let machine = maps.by_certificate.get(&certificate)?;
        maps.records.get(machine).cloned()
    }

    /// Identities, by machine.
    pub fn records(&self) -> Vec<Arc<Record>> {
        self.maps.read().records.values().cloned().collect()
    }

    /// How often identities have changed since the start.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// How many identities there are.
    pub fn len(&self) -> usize {
        self.maps.read().records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many certificates in force each authority issued.
    pub fn by_authority(&self, now: Timestamp) -> BTreeMap<u32, u64> {
        let mut counts = BTreeMap::new();
        for record in self.maps.read().records.values() {
            for certificate in record.in_force(now) {
                *counts.entry(certificate.authority).or_default() += 1;
            }
        }
        counts
    }

    /// The enrolment of this secret.
    pub fn enrolment_of(&self, secret: Fingerprint) -> Option<Arc<Enrolment>> {
        let maps = self.maps.read();
        maps.by_secret
            .get(&secret)
            .and_then(|id| maps.enrolments.get(id))
            .cloned()
    }

    /// One enrolment.
    pub fn enrolment(&self, id: Uuid) -> Option<Arc<Enrolment>> {
        self.maps.read().enrolments.get(&id).cloned()
    }

    /// All enrolments, the newest first.
    pub fn enrolments(&self) -> Vec<Arc<Enrolment>> {
        self.maps.read().enrolments.values().rev().cloned().collect()
    }

    /// Writes an identity; it is in force when this returns. Blocks.
    pub fn put(&self, record: Record) -> Result<Arc<Record>, DocumentError> {
        self.write(
            IDENTITY,
            &record.machine.to_string(),
            record.standing_since,
            &record,
        )?;
        let record = Arc::new(record);
        self.maps.write().put(record.clone());
        self.changes.fetch_add(1, Ordering::Release);
        Ok(record)
    }

    /// Writes an enrolment. Blocks.
    pub fn put_enrolment(&self, enrolment: Enrolment) -> Result<Arc<Enrolment>, DocumentError> {
        self.write(
            ENROLMENT,
            &enrolment.id.to_string(),
            enrolment.created_at,
            &enrolment,
        )?;
        let enrolment = Arc::new(enrolment);
        let mut maps = self.maps.write();
        maps.by_secret.insert(enrolment.secret, enrolment.id);
        maps.enrolments.insert(enrolment.id, enrolment.clone());
        Ok(enrolment)
    }

    /// Removes an enrolment; says whether there was one. Blocks.
    pub fn remove_enrolment(&self, id: Uuid) -> Result<bool, DocumentError> {
        let there = self
            .documents
            .delete(ENROLMENT, &id.to_string(), Precondition::Any)?;
        let mut maps = self.maps.write();
        if let Some(enrolment) = maps.enrolments.remove(&id) {
            maps.by_secret.remove(&enrolment.secret);
        }
        Ok(there)
    }

    fn write(
        &self,
        kind: &str,
        key: &str,
        at: Timestamp,
        document: &impl Serialize,
    ) -> Result<(), DocumentError> {
        // Plain data: it can always be written.
        let body = serde_json::to_vec(document).unwrap_or_default();
        self.documents.put(kind, key, Precondition::Any, at, &body)?;
        Ok(())
    }
}

fn each<T: for<'de> Deserialize<'de>>(
    documents: &dyn Documents,
    kind: &str,
    mut take: impl FnMut(T),
) -> Result<(), DocumentError> {
    let mut after: Option<String> = None;
    loop {
        let page = documents.list(kind, after.as_deref(), PAGE)?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = Some(last.key.clone());
        for document in &page {
            match serde_json::from_slice(&document.body) {
                Ok(read) => take(read),
                Err(error) => {
                    // Whoever it was about does not get in: that is the safe side.
                    tracing::error!(kind, key = %document.key, %error, "a document of the register is not understood");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }

    fn certificate(number: u8) -> Certificate {
        Certificate {
            fingerprint: Fingerprint([number; 32]),
            serial: number.to_string(),
            authority: 1,
            issued_at: at(i64::from(number)),
            not_after: at(1_000),
            first_used_at: None,
            superseded_at: None,
            revoked_at: None,
        }
    }

    fn record() -> Record {
        Record {
            machine: MachineId::from_uuid(Uuid::from_u128(1)),
            profile: Profile::default(),
            standing: Standing::Accepted,
            standing_since: at(0),
            enrolled_at: at(0),
            certificates: Vec::new(),
            withdrawn: Vec::new(),
            joined: true,
            renew_asked: false,
            cloned_at: None,
        }
    }

    fn numbers(record: &Record) -> Vec<u8> {
        let in_force = record.in_force(at(100));
        in_force.map(|certificate| certificate.fingerprint.0[0]).collect()
    }

    #[test]
    fn who_asks_again_and_again_keeps_the_certificate_that_it_comes_by() {
        let mut record = record();
        record.add(certificate(1));
        record.used(Fingerprint([1; 32]), at(1));
        for number in 2..50 {
            record.add(certificate(number));
            assert!(record.certificates.len() <= CERTIFICATES_KEPT);
            assert_eq!(numbers(&record)[0], 1);
        }
        // The last one is there, and takes the place of all before it when it is used.
        assert_eq!(numbers(&record), [1, 47, 48, 49]);
        record.used(Fingerprint([49; 32]), at(60));
        assert_eq!(numbers(&record), [49]);
    }

    #[test]
    fn what_is_known_no_more_is_still_named_as_revoked_until_it_has_ended() {
        let mut record = record();
        record.add(certificate(1));
        record.used(Fingerprint([1; 32]), at(1));
        record.revoke("stolen".to_owned(), at(2));
        // It is let in again by a token, and renews often: what it had when it was shut out is pushed out.
        record.standing = Standing::Accepted;
        for number in 2..=255 {
            record.add(certificate(number));
            record.used(Fingerprint([number; 32]), at(i64::from(number)));
        }
        let of = |serial: &str| {
            record
                .withdrawn
                .iter()
                .find(|withdrawn| withdrawn.serial == serial)
        };
        assert!(of("1").unwrap().revoked && of("1").unwrap().at == at(2));
        assert!(!of("2").unwrap().revoked && of("2").unwrap().at == at(3));
        assert_eq!(record.withdrawn.len() + record.certificates.len(), 255);
        // Many that were never used push out none that was revoked.
        for _ in 0..2 * WITHDRAWN_KEPT {
            record.add(certificate(0));
        }
        assert_eq!(record.withdrawn.len(), WITHDRAWN_KEPT);
        assert!(record.withdrawn.iter().any(|withdrawn| withdrawn.serial == "1"));
        // When all have ended, and a list that does not name them has taken the place of all before, they are forgotten.
        let late = at(1_000).plus_millis(crate::identity::revoked::LIST_LIFETIME_MS);
        record.add(Certificate {
            issued_at: late,
            not_after: late,
            ..certificate(3)
        });
        assert_eq!(record.withdrawn, []);
    }

    #[test]
    fn an_older_one_that_is_used_late_does_not_end_a_newer_one() {
        let mut record = record();
        record.add(certificate(1));
        record.add(certificate(2));
        record.used(Fingerprint([1; 32]), at(3));
        assert_eq!(numbers(&record), [1, 2]);
        record.used(Fingerprint([2; 32]), at(4));
        assert_eq!(numbers(&record), [2]);
    }

    #[test]
    fn who_is_shut_out_or_whose_time_is_over_has_none_in_force() {
        let mut record = record();
        record.add(certificate(1));
        assert_eq!(record.in_force(at(1_000)).count(), 0);
        let reason = "stolen".to_owned();
        record.standing = Standing::Revoked { reason };
        assert_eq!(numbers(&record), [0_u8; 0]);
    }
}
