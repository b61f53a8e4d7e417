//! People, sessions, tokens, rules, and who did what.

use muster_model::{MachineId, Timestamp};
use muster_protocol::api::access::{
    AccessChecked, AccessPolicies, AccessPolicy, AccessSessions, AccessTokens, AuditChecked, AuditEntry,
    AuditOutcome, AuditPage, CheckAccess, DeviceAsks, DeviceStarted, MakeToken, Me, People, Person,
    PutPassword, PutPerson, PutPolicy, Roles, SetUp, SignIn, SignedIn, TokenMade,
};
use reqwest::Method;
use reqwest::header::{IF_MATCH, IF_NONE_MATCH};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::{Answer, Client, Request};
use crate::error::ClientError;
use crate::page::{Parameters, collect};
use crate::profile::{Etag, Versioned, etag};

/// What a session or token proves itself by. Not shown by `Debug`.
#[derive(Clone, Default)]
pub struct Credential(String);

impl Credential {
    /// As the server told it.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(…)")
    }
}

/// Under which condition a person or a policy is changed.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// Only if there is none of that name.
    New,
    /// Only if it is still this version.
    Of(&'a Etag),
}

/// What of the audit log is wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuditQuery {
    /// Only what this person did.
    pub person: Option<String>,
    /// Only this, or what is below it.
    pub action: Option<String>,
    /// Only what was done to this, by its id.
    pub object: Option<String>,
    /// Only what ended like this.
    pub outcome: Option<AuditOutcome>,
    /// At this moment or later.
    pub from: Option<Timestamp>,
    /// At this moment or earlier.
    pub to: Option<Timestamp>,
    /// Only entries behind this one, the oldest first.
    pub after: Option<u64>,
}

impl Client {
    /// Who asks, and what they may do.
    pub async fn me(&self) -> Result<Me, ClientError> {
        self.get(&["me"], Parameters::default()).await
    }

    /// Signs in; the answer holds a session.
    pub async fn sign_in(&self, body: &SignIn) -> Result<SignedIn, ClientError> {
        self.post(&["session"], body).await
    }

    /// Asks to be signed in by a browser.
    pub async fn start_device(&self) -> Result<DeviceStarted, ClientError> {
        let answer = self.change(Method::POST, &["device"], None, None::<&()>).await?;
        answer.document()
    }

    /// The session, if somebody said yes; a problem `MST-A049` as long as nobody said anything.
    pub async fn device_session(&self, device_code: &str) -> Result<SignedIn, ClientError> {
        let device_code = device_code.to_owned();
        self.post(&["device", "session"], &DeviceAsks { device_code })
            .await
    }

    /// Signs the program in that waits under a code.
    pub async fn approve_device(&self, code: &str) -> Result<(), ClientError> {
        self.change(Method::POST, &["device", code], None, None::<&()>)
            .await
            .map(drop)
    }

    /// Makes the first admin, by the set-up link.
    pub async fn set_up(&self, body: &SetUp) -> Result<SignedIn, ClientError> {
        self.post(&["set-up"], body).await
    }

    /// Ends the session that this client comes with.
    pub async fn sign_out(&self) -> Result<(), ClientError> {
        self.change(Method::DELETE, &["session"], None, None::<&()>)
            .await
            .map(drop)
    }

    /// Everybody.
    pub async fn people(&self) -> Result<People, ClientError> {
        self.get(&["people"], Parameters::default()).await
    }

    /// One person, with their version.
    pub async fn person(&self, name: &str) -> Result<Versioned<Person>, ClientError> {
        self.versioned(&["people", name]).await
    }

    /// Makes a person, or changes one.
    pub async fn put_person(
        &self,
        name: &str,
        change: Change<'_>,
        body: &PutPerson,
    ) -> Result<Person, ClientError> {
        let answer = self
            .change(Method::PUT, &["people", name], Some(change), Some(body))
            .await?;
        answer.document()
    }

    /// Removes a person with all their sessions and tokens.
    pub async fn remove_person(&self, name: &str, version: &Etag, reason: &str) -> Result<(), ClientError> {
        self.remove(&["people", name], version, reason).await
    }

    /// Gives a person another password.
    pub async fn put_password(&self, name: &str, body: &PutPassword) -> Result<(), ClientError> {
        self.change(Method::PUT, &["people", name, "password"], None, Some(body))
            .await
            .map(drop)
    }

    /// Takes the second factor of a person away.
    pub async fn remove_second_factor(&self, name: &str) -> Result<(), ClientError> {
        let path = ["people", name, "second-factor"];
        self.change(Method::DELETE, &path, None, None::<&()>)
            .await
            .map(drop)
    }

    /// Sessions: one's own, or everybody's for who administers.
    pub async fn sessions(&self, person: Option<&str>) -> Result<AccessSessions, ClientError> {
        self.get(
            &["sessions"],
            Parameters::default().with("person", person.as_ref()),
        )
        .await
    }

    /// Ends a session.
    pub async fn end_session(&self, id: &str) -> Result<(), ClientError> {
        self.change(Method::DELETE, &["sessions", id], None, None::<&()>)
            .await
            .map(drop)
    }

    /// Tokens: one's own, or everybody's for who administers.
    pub async fn tokens(&self, person: Option<&str>) -> Result<AccessTokens, ClientError> {
        self.get(&["tokens"], Parameters::default().with("person", person.as_ref()))
            .await
    }

    /// Makes a token. Its secret is told once.
    pub async fn make_token(&self, body: &MakeToken) -> Result<TokenMade, ClientError> {
        self.post(&["tokens"], body).await
    }

    /// Revokes a token.
    pub async fn revoke_token(&self, id: &str) -> Result<(), ClientError> {
        self.change(Method::DELETE, &["tokens", id], None, None::<&()>)
            .await
            .map(drop)
    }

    /// The roles.
    pub async fn roles(&self) -> Result<Roles, ClientError> {
        self.get(&["roles"], Parameters::default()).await
    }

    /// The policies.
    pub async fn policies(&self) -> Result<AccessPolicies, ClientError> {
        self.get(&["policies"], Parameters::default()).await
    }

    /// One policy, with its version.
    pub async fn policy(&self, name: &str) -> Result<Versioned<AccessPolicy>, ClientError> {
        self.versioned(&["policies", name]).await
    }

    /// Makes a policy, or changes one.
    pub async fn put_policy(
        &self,
        name: &str,
        change: Change<'_>,
        body: &PutPolicy,
    ) -> Result<AccessPolicy, ClientError> {
        let answer = self
            .change(Method::PUT, &["policies", name], Some(change), Some(body))
            .await?;
        answer.document()
    }

    /// Removes a policy.
    pub async fn remove_policy(&self, name: &str, version: &Etag, reason: &str) -> Result<(), ClientError> {
        self.remove(&["policies", name], version, reason).await
    }

    /// What whoever asks may do.
    pub async fn access_mine(&self, machine: Option<MachineId>) -> Result<AccessChecked, ClientError> {
        self.get(
            &["access", "mine"],
            Parameters::default().with("machine", machine.as_ref()),
        )
        .await
    }

    /// What somebody could do, without doing it.
    pub async fn check_access(&self, body: &CheckAccess) -> Result<AccessChecked, ClientError> {
        self.post(&["access", "check"], body).await
    }

    /// Entries of the audit log, at most so many: the newest first, or behind one the oldest first.
    pub async fn audit(&self, query: &AuditQuery, limit: usize) -> Result<AuditPage, ClientError> {
        let order = if query.after.is_some() { "asc" } else { "desc" };
        let outcome = query.outcome.map(AuditOutcome::as_str);
        collect(None, limit, async |cursor: Option<String>, limit| {
            let parameters = Parameters::default()
                .with("person", query.person.as_ref())
                .with("action", query.action.as_ref())
                .with("object", query.object.as_ref())
                .with("outcome", outcome.as_ref())
                .with("from", query.from.as_ref())
                .with("to", query.to.as_ref())
                .with("after", query.after.as_ref())
                .with("order", Some(&order))
                .with("limit", Some(&limit))
                .with("cursor", cursor.as_ref());
            self.get(&["audit"], parameters).await
        })
        .await
    }

    /// Whether the audit log is whole.
    pub async fn check_audit(&self) -> Result<AuditChecked, ClientError> {
        self.get(&["audit", "check"], Parameters::default()).await
    }

    async fn versioned<T: DeserializeOwned>(&self, path: &[&str]) -> Result<Versioned<T>, ClientError> {
        let answer = self
            .send(self.prepare(Request::get(path, Parameters::default())))
            .await?;
        Ok(Versioned {
            value: answer.document()?,
            etag: etag(&answer),
        })
    }

    async fn remove(&self, path: &[&str], version: &Etag, reason: &str) -> Result<(), ClientError> {
        let request = self.prepare(Request {
            method: Method::DELETE,
            path,
            query: Parameters::default().with("reason", Some(&reason)),
        });
        self.send(request.header(IF_MATCH, version.0.clone()))
            .await
            .map(drop)
    }

    pub(crate) async fn change<T: Serialize + ?Sized>(
        &self,
        method: Method,
        path: &[&str],
        change: Option<Change<'_>>,
        body: Option<&T>,
    ) -> Result<Answer, ClientError> {
        let mut request = self.prepare(Request {
            method,
            path,
            query: Parameters::default(),
        });
        match change {
            Some(Change::New) => request = request.header(IF_NONE_MATCH, "*"),
            Some(Change::Of(version)) => request = request.header(IF_MATCH, version.0.clone()),
            None => {}
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        self.send(request).await
    }
}

impl crate::page::Paged for AuditPage {
    type Item = AuditEntry;

    fn items(&mut self) -> &mut Vec<AuditEntry> {
        &mut self.items
    }

    fn next_cursor(&mut self) -> &mut Option<String> {
        &mut self.next_cursor
    }
}
