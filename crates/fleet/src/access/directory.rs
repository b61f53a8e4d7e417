//! People, sessions, tokens and policies: on the disk as documents, and all of it in memory.
//!
//! A change is on the disk before it is in memory, and in memory before whoever asked for it is answered. Changes come one after
//! the other; reading never waits for one.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use muster_model::Timestamp;
use muster_model::access::{Permission, PersonName};
use muster_protocol::api::access::PolicyEffect;
use muster_store::{Document, DocumentError, DocumentVersion, Documents, Precondition};
use parking_lot::RwLock;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, watch};

use super::caller::{Act, Person, decide};
use super::policy::{Compiled, PolicyError};
use super::proposals::Proposals;
use super::records::{PersonRecord, PolicyRecord, Session, SessionRecord, Token, TokenRecord};
use super::secret::{Hash, hex, unhex};
use super::{SESSION_IDLE_MS, SESSIONS_OF_ONE_MAX};

const PEOPLE: &str = "person";
const SESSIONS: &str = "session";
const TOKENS: &str = "token";
const POLICIES: &str = "policy";
/// Documents that are read at once.
const PAGE: usize = 1_000;

/// Why the directory cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Somebody else changed it in between, or it is there already, or not any more.
    #[error("it was changed in the meantime: there is {}", match actual { Some(version) => format!("version {version}"), None => "none".to_owned() })]
    Conflict {
        /// The version that is there.
        actual: Option<u64>,
    },
    /// Without this one nobody could change anything any more.
    #[error("this is the last admin over everything that can sign in: make another first")]
    LastAdmin,
    /// With one less nobody could say yes to what this one proposes.
    #[error(
        "to administer takes a second person by a policy: fewer than two who can sign in could do it then, and nobody could ever \
         change that back"
    )]
    SecondAdmin,
    /// The store.
    #[error(transparent)]
    Store(DocumentError),
    /// A document that this version does not understand.
    #[error("the document {kind}/{key} cannot be understood")]
    Document {
        /// Its kind.
        kind: &'static str,
        /// Which.
        key: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A policy that is kept cannot be compiled.
    #[error("the policy {name} cannot be compiled")]
    Policy {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: PolicyError,
    },
    /// The server is being stopped.
    #[error("the server is being stopped")]
    Stopping,
}

impl From<DocumentError> for DirectoryError {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Conflict { actual, .. } => Self::Conflict {
                actual: actual.map(|version| version.0),
            },
            other => Self::Store(other),
        }
    }
}

/// Something with the version of its document.
#[derive(Debug)]
pub struct Kept<T> {
    /// The thing.
    pub value: T,
    /// How often it was written.
    pub version: u64,
    /// When it was written last.
    pub updated_at: Timestamp,
}

#[derive(Default)]
struct State {
    people: BTreeMap<PersonName, Arc<Kept<PersonRecord>>>,
    sessions: HashMap<Hash, Arc<Session>>,
    tokens: HashMap<Hash, Arc<Token>>,
    policies: BTreeMap<String, Arc<Kept<PolicyRecord>>>,
    compiled: Arc<[Compiled]>,
    /// The provider at which people can sign in.
    issuer: Option<String>,
}

impl State {
    fn has_admin_without(&self, left_out: Option<&PersonName>) -> bool {
        self.people
            .iter()
            .any(|(name, person)| Some(name) != left_out && self.is_admin(&person.value))
    }

    /// Whether somebody could change everything: who comes from a provider that is not asked any more, cannot sign in.
    fn is_admin(&self, person: &PersonRecord) -> bool {
        let vouched = person.provider.as_ref();
        let is_vouched = vouched.is_some_and(|vouched| Some(&vouched.issuer) == self.issuer.as_ref());
        let may = |grant: &muster_model::access::Grant| grant.allows_everywhere(Permission::Administer);
        !person.disabled && (person.password.is_some() || is_vouched) && person.grants.iter().any(may)
    }

    /// Whether somebody could administer everything by these policies, if need be with a second person.
    fn could(&self, name: &PersonName, record: &PersonRecord, policies: &[Compiled], now: Timestamp) -> bool {
        let act = Act {
            action: "policies.remove",
            changes: true,
        };
        let mut person = Person::new(name.clone(), record.grants.clone(), 0);
        person.second_factor = record.second_factor.is_some();
        self.is_admin(record)
            && decide(&person, None, policies, Permission::Administer, None, act, now).could()
    }

    /// How many could, if one of them is somebody else, or none any more.
    fn able(
        &self,
        changed: Option<(&PersonName, Option<&PersonRecord>)>,
        policies: &[Compiled],
        now: Timestamp,
    ) -> usize {
        let could = |(name, kept): (&PersonName, &Arc<Kept<PersonRecord>>)| {
            let record = match changed {
                Some((who, instead)) if who == name => instead,
                _ => Some(&kept.value),
            };
            record.is_some_and(|record| self.could(name, record, policies, now))
        };
        self.people.iter().filter(|one| could(*one)).count()
    }

    /// Whether too few are left who could ever change anything back, when somebody is somebody else or gone: where a policy asks for a
    /// second person, one is too few.
    fn must_stay(
        &self,
        name: &PersonName,
        instead: Option<&PersonRecord>,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        let was = self
            .people
            .get(name)
            .is_some_and(|kept| self.is_admin(&kept.value));
        let stays = instead.is_some_and(|record| self.is_admin(record));
        if was && !stays && !self.has_admin_without(Some(name)) {
            return Err(DirectoryError::LastAdmin);
        }
        let before = self.able(None, &self.compiled, now);
        let after = self.able(Some((name, instead)), &self.compiled, now);
        if after < before && after < 2 && takes_two(&self.compiled) {
            return Err(DirectoryError::SecondAdmin);
        }
        Ok(())
    }
}

/// Whether to administer takes a second person by these policies.
fn takes_two(policies: &[Compiled]) -> bool {
    policies
        .iter()
        .any(|policy| policy.effect == PolicyEffect::SecondPerson && policy.is_about(Permission::Administer))
}

/// People, sessions, tokens and policies.
pub struct Directory {
    documents: Arc<dyn Documents>,
    proposals: Proposals,
    state: RwLock<State>,
    changing: Mutex<()>,
    changed: watch::Sender<u64>,
}

impl Directory {
    /// Reads all of it. Blocks.
    ///
    /// # Errors
    ///
    /// The store cannot be read, or holds what this version does not understand. Nothing is left out: a policy that were,
    /// would allow what it forbids.
    pub fn open(documents: Arc<dyn Documents>) -> Result<Self, DirectoryError> {
        let mut state = State::default();
        for (document, value) in read::<PersonRecord>(&*documents, PEOPLE)? {
            // Written by us, checked before.
            if let Ok(name) = document.key.parse() {
                state.people.insert(name, Arc::new(kept(&document, value)));
            }
        }
        for (document, record) in read::<SessionRecord>(&*documents, SESSIONS)? {
            if let Some(hash) = unhex(&document.key) {
                state.sessions.insert(hash, Arc::new(Session::of(hash, record)));
            }
        }
        for (document, record) in read::<TokenRecord>(&*documents, TOKENS)? {
            if let Some(hash) = unhex(&document.key) {
                state.tokens.insert(hash, Arc::new(Token::of(hash, record)));
            }
        }
        for (document, record) in read::<PolicyRecord>(&*documents, POLICIES)? {
            let key = document.key.clone();
            state.policies.insert(key, Arc::new(kept(&document, record)));
        }
        state.compiled = compile(&state.policies)?;
        Ok(Self {
            proposals: Proposals::open(documents.clone())?,
            documents,
            state: RwLock::new(state),
            changing: Mutex::default(),
            changed: watch::Sender::new(0),
        })
    }

    /// At which provider people can sign in besides.
    pub fn believe(&self, issuer: Option<&str>) {
        self.state.write().issuer = issuer.map(ToOwned::to_owned);
    }

    /// Changes whenever somebody may have to be asked again who they are.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn has_changed(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Whether anybody can change people.
    pub fn has_admin(&self) -> bool {
        self.state.read().has_admin_without(None)
    }

    /// What waits for a second person.
    pub fn proposals(&self) -> &Proposals {
        &self.proposals
    }

    /// Everybody, by name.
    pub fn people(&self) -> Vec<(PersonName, Arc<Kept<PersonRecord>>)> {
        let state = self.state.read();
        let all = state.people.iter();
        all.map(|(name, kept)| (name.clone(), kept.clone())).collect()
    }

    /// One of them.
    pub fn person(&self, name: &PersonName) -> Option<Arc<Kept<PersonRecord>>> {
        self.state.read().people.get(name).cloned()
    }

    /// One of them, as far as they may do anything.
    pub fn active(&self, name: &PersonName) -> Option<Person> {
        let kept = self.person(name)?;
        if kept.value.disabled {
            return None;
        }
        let mut person = Person::new(name.clone(), kept.value.grants.clone(), kept.version);
        person.display_name.clone_from(&kept.value.display_name);
        person.second_factor = kept.value.second_factor.is_some();
        Some(person)
    }

    /// Whom a provider vouches for by this word.
    pub fn vouched(&self, issuer: &str, subject: &str) -> Option<(PersonName, Arc<Kept<PersonRecord>>)> {
        let state = self.state.read();
        let found = state.people.iter().find(|(_, kept)| {
            let vouched = kept.value.provider.as_ref();
            vouched.is_some_and(|vouched| vouched.issuer == issuer && vouched.subject == subject)
        });
        found.map(|(name, kept)| (name.clone(), kept.clone()))
    }

    /// Makes a person or changes one.
    ///
    /// # Errors
    ///
    /// [`DirectoryError::Conflict`], [`DirectoryError::LastAdmin`], the store.
    pub async fn put_person(
        &self,
        name: &PersonName,
        precondition: Precondition,
        record: PersonRecord,
        now: Timestamp,
    ) -> Result<u64, DirectoryError> {
        let _changing = self.changing.lock().await;
        self.state.read().must_stay(name, Some(&record), now)?;
        self.keep_person(name, precondition, record, now).await
    }

    /// As [`put_person`](Self::put_person), for what a provider says of somebody. Also of the last admin: who is none any more there,
    /// is none here. Where that leaves nobody, the next start makes a set-up link.
    ///
    /// # Errors
    ///
    /// [`DirectoryError::Conflict`], the store.
    pub async fn put_vouched(
        &self,
        name: &PersonName,
        precondition: Precondition,
        record: PersonRecord,
        now: Timestamp,
    ) -> Result<u64, DirectoryError> {
        let _changing = self.changing.lock().await;
        self.keep_person(name, precondition, record, now).await
    }

    async fn keep_person(
        &self,
        name: &PersonName,
        precondition: Precondition,
        record: PersonRecord,
        now: Timestamp,
    ) -> Result<u64, DirectoryError> {
        let version = self
            .write(PEOPLE, name.as_str(), precondition, now, &record)
            .await?;
        let kept = Kept {
            value: record,
            version,
            updated_at: now,
        };
        self.state.write().people.insert(name.clone(), Arc::new(kept));
        self.has_changed();
        Ok(version)
    }

    /// Removes a person with their sessions and tokens.
    ///
    /// # Errors
    ///
    /// As [`put_person`](Self::put_person).
    pub async fn remove_person(
        &self,
        name: &PersonName,
        precondition: Precondition,
        now: Timestamp,
    ) -> Result<bool, DirectoryError> {
        let _changing = self.changing.lock().await;
        self.state.read().must_stay(name, None, now)?;
        let there = self
            .delete(PEOPLE, name.as_str().to_owned(), precondition)
            .await?;
        let (sessions, tokens) = {
            let mut state = self.state.write();
            state.people.remove(name);
            let sessions: Vec<Hash> = owned(state.sessions.values(), |one| {
                (&one.person == name).then_some(one.hash)
            });
            let tokens: Vec<Hash> = owned(state.tokens.values(), |one| {
                (&one.owner == name).then_some(one.hash)
            });
            (sessions, tokens)
        };
        // They are worth nothing without the person, whatever becomes of what follows.
        self.has_changed();
        for hash in sessions {
            self.forget_session(&hash).await?;
        }
        for hash in tokens {
            self.forget_token(&hash).await?;
        }
        Ok(there)
    }

    /// A session that is valid.
    pub fn session(&self, hash: &Hash, now: Timestamp) -> Option<Arc<Session>> {
        let state = self.state.read();
        let session = state.sessions.get(hash)?;
        let era = state.people.get(&session.person).map(|kept| kept.value.era);
        let idle = now.millis_since(session.used.at()) > SESSION_IDLE_MS;
        let valid = now < session.expires_at && !idle && era == Some(session.era);
        valid.then(|| session.clone())
    }

    /// All sessions that are valid, the newest first.
    pub fn sessions(&self, now: Timestamp) -> Vec<Arc<Session>> {
        let hashes: Vec<Hash> = self.state.read().sessions.keys().copied().collect();
        let mut sessions: Vec<Arc<Session>> =
            hashes.iter().filter_map(|hash| self.session(hash, now)).collect();
        sessions.sort_by_key(|session| std::cmp::Reverse((session.record.created_at, session.id.clone())));
        sessions
    }

    /// Begins a session. Of too many of one person the one that was used longest ago ends.
    ///
    /// # Errors
    ///
    /// The store.
    pub async fn begin_session(&self, hash: Hash, record: SessionRecord) -> Result<(), DirectoryError> {
        let oldest = {
            let state = self.state.read();
            let mine = state.sessions.values().filter(|one| one.person == record.person);
            let mut mine: Vec<_> = mine.map(|one| (one.used.at(), one.hash)).collect();
            mine.sort_unstable();
            (mine.len() >= SESSIONS_OF_ONE_MAX).then(|| mine[0].1)
        };
        if let Some(oldest) = oldest {
            self.end_session(&oldest).await?;
        }
        let _changing = self.changing.lock().await;
        let now = record.created_at;
        self.write(SESSIONS, &hex(&hash), Precondition::Absent, now, &record)
            .await?;
        self.state
            .write()
            .sessions
            .insert(hash, Arc::new(Session::of(hash, record)));
        Ok(())
    }

    /// Ends a session.
    ///
    /// # Errors
    ///
    /// The store; it is over in memory all the same.
    pub async fn end_session(&self, hash: &Hash) -> Result<bool, DirectoryError> {
        let there = self.forget_session(hash).await;
        self.has_changed();
        there
    }

    async fn forget_session(&self, hash: &Hash) -> Result<bool, DirectoryError> {
        let there = self.state.write().sessions.remove(hash).is_some();
        self.delete(SESSIONS, hex(hash), Precondition::Any).await?;
        Ok(there)
    }

    /// A token that is valid.
    pub fn token(&self, hash: &Hash, now: Timestamp) -> Option<Arc<Token>> {
        let state = self.state.read();
        state
            .tokens
            .get(hash)
            .filter(|token| now < token.expires_at)
            .cloned()
    }

    /// All tokens, the newest first; those that are over stay until they are removed.
    pub fn tokens(&self) -> Vec<Arc<Token>> {
        let mut tokens: Vec<Arc<Token>> = self.state.read().tokens.values().cloned().collect();
        tokens.sort_by_key(|token| std::cmp::Reverse((token.record.created_at, token.id.clone())));
        tokens
    }

    /// Keeps a new token.
    ///
    /// # Errors
    ///
    /// The store.
    pub async fn add_token(&self, hash: Hash, record: TokenRecord) -> Result<(), DirectoryError> {
        let _changing = self.changing.lock().await;
        let now = record.created_at;
        self.write(TOKENS, &hex(&hash), Precondition::Absent, now, &record)
            .await?;
        self.state
            .write()
            .tokens
            .insert(hash, Arc::new(Token::of(hash, record)));
        Ok(())
    }

    /// Revokes a token.
    ///
    /// # Errors
    ///
    /// The store; it is worth nothing any more all the same, until the server is started again.
    pub async fn revoke_token(&self, hash: &Hash) -> Result<bool, DirectoryError> {
        let there = self.forget_token(hash).await;
        self.has_changed();
        there
    }

    async fn forget_token(&self, hash: &Hash) -> Result<bool, DirectoryError> {
        let there = self.state.write().tokens.remove(hash).is_some();
        self.delete(TOKENS, hex(hash), Precondition::Any).await?;
        Ok(there)
    }

    /// All policies, ready to be evaluated.
    pub fn policies(&self) -> Arc<[Compiled]> {
        self.state.read().compiled.clone()
    }

    /// All policies as they are kept, by name.
    pub fn policy_records(&self) -> Vec<(String, Arc<Kept<PolicyRecord>>)> {
        let state = self.state.read();
        let all = state.policies.iter();
        all.map(|(name, kept)| (name.clone(), kept.clone())).collect()
    }

    /// Makes a policy or changes one. It was compiled before.
    ///
    /// # Errors
    ///
    /// [`DirectoryError::Conflict`], [`DirectoryError::SecondAdmin`], the store.
    pub async fn put_policy(
        &self,
        name: &str,
        precondition: Precondition,
        record: PolicyRecord,
        now: Timestamp,
    ) -> Result<u64, DirectoryError> {
        let _changing = self.changing.lock().await;
        {
            let state = self.state.read();
            let record = Kept {
                value: record.clone(),
                version: 0,
                updated_at: now,
            };
            let mut then = state.policies.clone();
            then.insert(name.to_owned(), Arc::new(record));
            let then = compile(&then)?;
            if takes_two(&then) && state.able(None, &then, now) < 2 {
                return Err(DirectoryError::SecondAdmin);
            }
        }
        let version = self.write(POLICIES, name, precondition, now, &record).await?;
        let kept = Kept {
            value: record,
            version,
            updated_at: now,
        };
        self.replace_policies(|policies| {
            policies.insert(name.to_owned(), Arc::new(kept));
        })?;
        Ok(version)
    }

    /// Removes a policy.
    ///
    /// # Errors
    ///
    /// As [`put_policy`](Self::put_policy).
    pub async fn remove_policy(
        &self,
        name: &str,
        precondition: Precondition,
    ) -> Result<bool, DirectoryError> {
        let _changing = self.changing.lock().await;
        let there = self.delete(POLICIES, name.to_owned(), precondition).await?;
        self.replace_policies(|policies| {
            policies.remove(name);
        })?;
        Ok(there)
    }

    fn replace_policies(
        &self,
        change: impl FnOnce(&mut BTreeMap<String, Arc<Kept<PolicyRecord>>>),
    ) -> Result<(), DirectoryError> {
        let mut state = self.state.write();
        change(&mut state.policies);
        state.compiled = compile(&state.policies)?;
        drop(state);
        self.has_changed();
        Ok(())
    }

    /// Removes what is over, and notes when the rest was used.
    ///
    /// # Errors
    ///
    /// The store.
    pub async fn tidy(&self, now: Timestamp) -> Result<(), DirectoryError> {
        let (sessions, tokens): (Vec<Arc<Session>>, Vec<Arc<Token>>) = {
            let state = self.state.read();
            (
                state.sessions.values().cloned().collect(),
                state.tokens.values().cloned().collect(),
            )
        };
        for session in sessions {
            if self.session(&session.hash, now).is_none() {
                self.end_session(&session.hash).await?;
            } else if session.used.is_news() {
                let (record, at) = (session.to_record(), session.used.at());
                // One that ended meanwhile must not come back.
                let known = self.still_there(SESSIONS, &session.hash).await?;
                self.write(SESSIONS, &hex(&session.hash), known, now, &record)
                    .await?;
                session.used.was_kept(at);
            }
        }
        self.proposals.tidy(now).await?;
        for token in tokens {
            if token.used.is_news() {
                let (record, at) = (token.to_record(), token.used.at());
                let known = self.still_there(TOKENS, &token.hash).await?;
                self.write(TOKENS, &hex(&token.hash), known, now, &record).await?;
                token.used.was_kept(at);
            }
        }
        Ok(())
    }

    async fn still_there(&self, kind: &'static str, hash: &Hash) -> Result<Precondition, DirectoryError> {
        let (documents, key) = (self.documents.clone(), hex(hash));
        let read = tokio::task::spawn_blocking(move || documents.get(kind, &key));
        let there = read.await.map_err(|_| DirectoryError::Stopping)??;
        let version = there.map_or(DocumentVersion(u64::MAX), |document| document.version);
        Ok(Precondition::Version(version))
    }

    async fn write<T: Serialize>(
        &self,
        kind: &'static str,
        key: &str,
        precondition: Precondition,
        now: Timestamp,
        value: &T,
    ) -> Result<u64, DirectoryError> {
        write(&self.documents, kind, key, precondition, now, value).await
    }

    async fn delete(
        &self,
        kind: &'static str,
        key: String,
        precondition: Precondition,
    ) -> Result<bool, DirectoryError> {
        delete(&self.documents, kind, key, precondition).await
    }
}

/// Writes a document; its new version.
pub(super) async fn write<T: Serialize>(
    documents: &Arc<dyn Documents>,
    kind: &'static str,
    key: &str,
    precondition: Precondition,
    now: Timestamp,
    value: &T,
) -> Result<u64, DirectoryError> {
    let body = serde_json::to_vec(value).map_err(|source| DirectoryError::Document {
        kind,
        key: key.to_owned(),
        source,
    })?;
    let (documents, key) = (documents.clone(), key.to_owned());
    let put = move || documents.put(kind, &key, precondition, now, &body);
    let written = tokio::task::spawn_blocking(put).await;
    let version = written.map_err(|_| DirectoryError::Stopping)??;
    Ok(version.0)
}

/// Removes a document; whether it was there.
pub(super) async fn delete(
    documents: &Arc<dyn Documents>,
    kind: &'static str,
    key: String,
    precondition: Precondition,
) -> Result<bool, DirectoryError> {
    let documents = documents.clone();
    let deleted = tokio::task::spawn_blocking(move || documents.delete(kind, &key, precondition)).await;
    Ok(deleted.map_err(|_| DirectoryError::Stopping)??)
}

fn owned<'a, T: 'a>(all: impl Iterator<Item = &'a Arc<T>>, hash: impl Fn(&T) -> Option<Hash>) -> Vec<Hash> {
    all.filter_map(|one| hash(one)).collect()
}

fn compile(policies: &BTreeMap<String, Arc<Kept<PolicyRecord>>>) -> Result<Arc<[Compiled]>, DirectoryError> {
    let compiled = policies.iter().map(|(name, kept)| {
        Compiled::new(name, &kept.value).map_err(|source| DirectoryError::Policy {
            name: name.clone(),
            source,
        })
    });
    compiled.collect::<Result<Vec<_>, _>>().map(Into::into)
}

/// What a document holds.
pub(super) fn kept<T>(document: &Document, value: T) -> Kept<T> {
    Kept {
        value,
        version: document.version.0,
        updated_at: document.updated_at,
    }
}

/// All documents of a kind. Blocks.
pub(super) fn read<T: DeserializeOwned>(
    documents: &dyn Documents,
    kind: &'static str,
) -> Result<Vec<(Document, T)>, DirectoryError> {
    let (mut all, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = documents.list(kind, after.as_deref(), PAGE)?;
        let Some(last) = page.last() else {
            return Ok(all);
        };
        after = Some(last.key.clone());
        for document in page {
            let value =
                serde_json::from_slice(&document.body).map_err(|source| DirectoryError::Document {
                    kind,
                    key: document.key.clone(),
                    source,
                })?;
            all.push((document, value));
        }
    }
}
