//! Acts that wait for a second person: the whole request, kept until somebody else approves it.
//!
//! Begin with [`ProposalRecord::after`], which is all that can become of one. What a waiting act will send is in memory ([`Proposals::begin`]
//! gives it out, once); on the disk, and for people, secrets in it are dots. Why it is so: `docs/decisions/0030-a-second-person.md`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use muster_model::access::{Grant, Permission, PersonName};
use muster_model::{MachineId, Timestamp};
use muster_protocol::api::ProposalState;
use muster_store::{Document, Documents, Precondition};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::directory::{DirectoryError, delete, kept, read, write};
use super::secret::{NoEntropy, hex, random};

/// How long one waits.
pub const LIFETIME_MS: i64 = 24 * 3_600_000;
/// How long one is kept that is decided.
const KEPT_MS: i64 = 30 * 24 * 3_600_000;
/// Most that are kept.
pub const KEPT_MAX: usize = 1_000;
/// Most that wait.
pub const WAITING_MAX: usize = 256;
/// Most of one person that wait.
pub const WAITING_OF_ONE_MAX: usize = 32;
/// Longest body that waits, in bytes.
pub const BODY_MAX_BYTES: usize = 256 << 10;
/// How much of a body is kept when it is decided, in bytes.
const DECIDED_BODY_MAX_BYTES: usize = 8 << 10;
/// Longest answer that is kept for whoever proposed it, in bytes.
const ANSWER_MAX_BYTES: usize = 64 << 10;
/// How long such an answer is kept.
const ANSWER_KEPT_MS: i64 = 3_600_000;
/// Fields of bodies that hold secrets, by what the act is called: what the API takes and never shows. Nothing else is hidden, wherever a
/// word like these stands: who says yes to what they do not see, has not looked at it.
pub const SECRETS: &[(&str, &[&str])] = &[
    ("people.change", &["password"]),
    ("people.password", &["current", "password"]),
];
/// What stands in place of a secret.
const DOTS: &str = "••••••";

const KIND: &str = "proposal";

/// A proposal as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProposalRecord {
    /// Who proposed it.
    pub person: PersonName,
    /// By what.
    pub by: String,
    /// Which session or token.
    pub by_id: String,
    /// What the token was narrowed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub narrowed: Option<Vec<Grant>>,
    /// The era of the person in which it was proposed: a new password ends what waits.
    #[serde(default)]
    pub era: u64,
    /// From where.
    pub from: IpAddr,
    /// What it is called in the audit log.
    pub action: String,
    /// The request.
    pub request: KeptRequest,
    /// Whether the body holds a secret, which the disk does not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_secret: bool,
    /// What is needed.
    pub permission: Permission,
    /// For which machine, with its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<(MachineId, String)>,
    /// The policy that asks for a second person.
    pub policy: String,
    /// What it is for.
    pub policy_description: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when it waits.
    pub expires_at: Timestamp,
    /// How far it is.
    pub state: ProposalState,
    /// Who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<PersonName>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub decision_reason: String,
    /// What was answered to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it could not be done, or ended.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// A request that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRequest {
    /// Its method.
    pub method: String,
    /// Its path, with the query.
    pub path: String,
    /// The version that it was made against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_match: Option<String>,
    /// `*`, where it must make something new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_none_match: Option<String>,
    /// Its body: in memory as it came, on the disk and for people with dots for secrets.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
}

/// What can be done about a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Somebody says yes, for a reason.
    Approve(PersonName, String),
    /// Somebody says no, for a reason.
    Refuse(PersonName, String),
    /// Whoever proposed it takes it back.
    Withdraw,
    /// It waited too long, or cannot be done any more, for a reason.
    Expire(String),
    /// It was carried out, with this status; and why it failed, if it did.
    Finish(u16, String),
}

/// It is not in the state for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is {} already", .0.as_str())]
pub struct NotSo(pub ProposalState);

impl ProposalRecord {
    /// How far it is, seen at a time.
    pub fn state_at(&self, now: Timestamp) -> ProposalState {
        if self.state == ProposalState::Waiting && now >= self.expires_at {
            return ProposalState::Expired;
        }
        self.state
    }

    /// What becomes of it.
    ///
    /// # Errors
    ///
    /// It is not waiting any more; or, for [`Step::Finish`], it is not being done.
    pub fn after(&self, step: Step, now: Timestamp) -> Result<Self, NotSo> {
        use ProposalState as State;
        let state = self.state_at(now);
        let expected = match step {
            Step::Finish(..) => State::Doing,
            // Who waits in memory only, is over when that is gone, and who was being done, when the server ended.
            Step::Expire(_) if matches!(self.state, State::Waiting) => state,
            _ => State::Waiting,
        };
        if state != expected {
            return Err(NotSo(state));
        }
        let mut next = self.clone();
        match step {
            Step::Approve(by, reason) => {
                next.state = State::Doing;
                next.decide(Some(by), reason, now);
            }
            Step::Refuse(by, reason) => {
                next.state = State::Refused;
                next.decide(Some(by), reason, now);
            }
            Step::Withdraw => {
                next.state = State::Withdrawn;
                next.decide(None, String::new(), now);
            }
            Step::Expire(detail) => {
                next.state = State::Expired;
                next.detail = detail;
                next.decide(None, String::new(), now);
            }
            Step::Finish(status, detail) => {
                let done = (200..300).contains(&status);
                next.state = if done { State::Done } else { State::Failed };
                next.status = Some(status);
                next.detail = detail;
            }
        }
        if next.state != State::Doing {
            shorten(&mut next.request.body);
        }
        Ok(next)
    }

    fn decide(&mut self, by: Option<PersonName>, reason: String, now: Timestamp) {
        self.decided_by = by;
        self.decided_at = Some(now);
        self.decision_reason = reason;
    }

    /// Whether it is of the same person and asks for the same.
    fn is_same(&self, other: &Self) -> bool {
        self.person == other.person && self.narrowed == other.narrowed && self.request == other.request
    }
}

fn shorten(body: &mut String) {
    if body.len() > DECIDED_BODY_MAX_BYTES {
        let mut end = DECIDED_BODY_MAX_BYTES;
        while !body.is_char_boundary(end) {
            end -= 1;
        }
        body.truncate(end);
        body.push('…');
    }
}

/// A body with dots for its secrets; none if there are none in it.
pub fn without_secrets(action: &str, body: &Value) -> Option<Value> {
    let (_, secrets) = SECRETS.iter().find(|(known, _)| *known == action)?;
    let mut shown = body.clone();
    let fields = shown.as_object_mut()?;
    let mut found = false;
    for secret in *secrets {
        if let Some(value) = fields.get_mut(*secret).filter(|value| !value.is_null()) {
            *value = Value::from(DOTS);
            found = true;
        }
    }
    found.then_some(shown)
}

/// Why a proposal cannot be kept or changed.
#[derive(Debug, thiserror::Error)]
pub enum ProposalError {
    /// It is not in the state for that.
    #[error(transparent)]
    NotSo(#[from] NotSo),
    /// There is none of that name.
    #[error("there is no proposal of that name")]
    Unknown,
    /// Too many wait.
    #[error(
        "too many acts wait for a second person: at most {WAITING_MAX} in all and {WAITING_OF_ONE_MAX} of one person"
    )]
    TooMany,
    /// The operating system gave no randomness.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    /// The store.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

#[derive(Clone)]
struct Known {
    record: Arc<ProposalRecord>,
    version: u64,
    /// The body as it came, while it waits.
    body: Option<Arc<str>>,
    /// What it answered, until when.
    answer: Option<(Arc<str>, Timestamp)>,
    /// Whether the disk does not have it so yet: found so at the start.
    is_news: bool,
}

/// All that wait, and those that are decided.
pub struct Proposals {
    documents: Arc<dyn Documents>,
    known: Mutex<BTreeMap<String, Known>>,
    changing: tokio::sync::Mutex<()>,
}

impl Proposals {
    /// Reads all of them. Blocks.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub(super) fn open(documents: Arc<dyn Documents>) -> Result<Self, DirectoryError> {
        let mut known = BTreeMap::new();
        for (document, record) in read::<ProposalRecord>(&*documents, KIND)? {
            known.insert(document.key.clone(), found(&document, record));
        }
        Ok(Self {
            documents,
            known: Mutex::new(known),
            changing: tokio::sync::Mutex::default(),
        })
    }

    /// All of them with their names, the newest first.
    pub fn all(&self) -> Vec<(String, Arc<ProposalRecord>)> {
        let known = self.known.lock();
        let all = known.iter().map(|(id, known)| (id.clone(), known.record.clone()));
        let mut all: Vec<_> = all.collect();
        all.sort_by(|(a_id, a), (b_id, b)| (b.created_at, b_id).cmp(&(a.created_at, a_id)));
        all
    }

    /// One of them.
    pub fn get(&self, id: &str) -> Option<Arc<ProposalRecord>> {
        self.known.lock().get(id).map(|known| known.record.clone())
    }

    /// What it answered, while that is kept.
    pub fn answer(&self, id: &str, now: Timestamp) -> Option<Arc<str>> {
        let known = self.known.lock();
        let (answer, until) = known.get(id)?.answer.clone()?;
        (now < until).then_some(answer)
    }

    /// Keeps one, with the body as it came. Its name, and whether it is new: the same that waits already is not kept twice.
    ///
    /// # Errors
    ///
    /// Too many wait; the store.
    pub async fn add(&self, record: ProposalRecord, body: String) -> Result<(String, bool), ProposalError> {
        let _changing = self.changing.lock().await;
        let now = record.created_at;
        {
            let known = self.known.lock();
            let waiting = || {
                let all = known.iter();
                all.filter(|(_, known)| known.record.state_at(now) == ProposalState::Waiting)
            };
            let same = |known: &Known| known.record.is_same(&record) && known.body.as_deref() == Some(&body);
            if let Some((id, _)) = waiting().find(|(_, known)| same(known)) {
                return Ok((id.clone(), false));
            }
            let mine = waiting().filter(|(_, known)| known.record.person == record.person);
            if waiting().count() >= WAITING_MAX || mine.count() >= WAITING_OF_ONE_MAX {
                return Err(ProposalError::TooMany);
            }
        }
        let id = hex(&random::<6>()?);
        let version = write(&self.documents, KIND, &id, Precondition::Absent, now, &record).await?;
        let known = Known {
            record: Arc::new(record),
            version,
            body: Some(body.into()),
            answer: None,
            is_news: false,
        };
        self.known.lock().insert(id.clone(), known);
        Ok((id, true))
    }

    /// Somebody says yes: it is `doing` on the disk, and this is what is to be sent. Given out once.
    ///
    /// # Errors
    ///
    /// It is not waiting any more; the store.
    pub async fn begin(
        &self,
        id: &str,
        by: PersonName,
        reason: String,
        now: Timestamp,
    ) -> Result<(Arc<ProposalRecord>, Arc<str>), ProposalError> {
        let _changing = self.changing.lock().await;
        let body = self.known.lock().get(id).and_then(|known| known.body.clone());
        let record = self.step(id, Step::Approve(by, reason), now).await?;
        // Who waits has its body: what has lost it was found expired at the start.
        let body = body.ok_or(NotSo(ProposalState::Expired))?;
        Ok((record, body))
    }

    /// It was carried out.
    ///
    /// # Errors
    ///
    /// It was not being done; the store.
    pub async fn finish(
        &self,
        id: &str,
        status: u16,
        detail: String,
        answer: String,
        now: Timestamp,
    ) -> Result<Arc<ProposalRecord>, ProposalError> {
        let _changing = self.changing.lock().await;
        if (1..=ANSWER_MAX_BYTES).contains(&answer.len())
            && let Some(known) = self.known.lock().get_mut(id)
        {
            known.answer = Some((answer.into(), now.plus_millis(ANSWER_KEPT_MS)));
        }
        self.step(id, Step::Finish(status, detail), now).await
    }

    /// Somebody says no, or takes it back.
    ///
    /// # Errors
    ///
    /// It is not waiting any more; the store.
    pub async fn end(
        &self,
        id: &str,
        step: Step,
        now: Timestamp,
    ) -> Result<Arc<ProposalRecord>, ProposalError> {
        let _changing = self.changing.lock().await;
        self.step(id, step, now).await
    }

    async fn step(&self, id: &str, step: Step, now: Timestamp) -> Result<Arc<ProposalRecord>, ProposalError> {
        let known = self.known.lock().get(id).cloned().ok_or(ProposalError::Unknown)?;
        let next = known.record.after(step, now)?;
        self.keep(id, next, known.version, now).await
    }

    async fn keep(
        &self,
        id: &str,
        next: ProposalRecord,
        version: u64,
        now: Timestamp,
    ) -> Result<Arc<ProposalRecord>, ProposalError> {
        let precondition = Precondition::Version(muster_store::DocumentVersion(version));
        let version = write(&self.documents, KIND, id, precondition, now, &next).await?;
        let next = Arc::new(next);
        if let Some(known) = self.known.lock().get_mut(id) {
            known.record = next.clone();
            known.version = version;
            known.body = None;
            known.is_news = false;
        }
        Ok(next)
    }

    /// Writes down what is over, and forgets what is long decided.
    ///
    /// # Errors
    ///
    /// The store.
    pub(super) async fn tidy(&self, now: Timestamp) -> Result<(), DirectoryError> {
        let _changing = self.changing.lock().await;
        let all: Vec<(String, Known)> = {
            let mut known = self.known.lock();
            for known in known.values_mut() {
                known.answer = known.answer.take().filter(|(_, until)| now < *until);
            }
            known
                .iter()
                .map(|(id, known)| (id.clone(), known.clone()))
                .collect()
        };
        for (id, known) in &all {
            let over = known.record.state != known.record.state_at(now);
            let next = if over {
                let detail = "nobody decided in time".to_owned();
                known.record.after(Step::Expire(detail), now).ok()
            } else {
                known.is_news.then(|| (*known.record).clone())
            };
            if let Some(next) = next {
                match self.keep(id, next, known.version, now).await {
                    Ok(_) => {}
                    Err(ProposalError::Directory(error)) => return Err(error),
                    Err(error) => tracing::warn!(%error, id, "a proposal could not be written"),
                }
            }
        }
        let mut decided: Vec<(Timestamp, &String)> = all
            .iter()
            .filter_map(|(id, known)| Some((known.record.decided_at?, id)))
            .collect();
        decided.sort_unstable_by(|a, b| b.cmp(a));
        for (index, (at, id)) in decided.into_iter().enumerate() {
            if index >= KEPT_MAX || now.millis_since(at) > KEPT_MS {
                self.known.lock().remove(id);
                delete(&self.documents, KIND, id.clone(), Precondition::Any).await?;
            }
        }
        Ok(())
    }
}

/// One as the disk has it, with what the end of the server made of it.
fn found(document: &Document, record: ProposalRecord) -> Known {
    let there = kept(document, record);
    let mut record = there.value;
    let was = record.state;
    match record.state {
        ProposalState::Doing => {
            record.state = ProposalState::Failed;
            record.detail =
                "the server ended while it was done: the audit log says how far it came. It is not \
                             tried again by itself"
                    .to_owned();
        }
        ProposalState::Waiting if record.has_secret => {
            record.state = ProposalState::Expired;
            record.detail =
                "it holds a secret, which is not written to the disk, and the server was started \
                             again: propose it again"
                    .to_owned();
            record.decided_at = Some(there.updated_at);
        }
        _ => {}
    }
    let waits = record.state == ProposalState::Waiting;
    Known {
        body: waits.then(|| record.request.body.as_str().into()),
        version: there.version,
        answer: None,
        is_news: record.state != was,
        record: Arc::new(record),
    }
}

#[cfg(test)]
mod tests;
