//! Who asks, and whether they may.
//!
//! Begin with [`guard`], through which every request goes: it finds out who it is ([`Access::who`]), looks up in [`declared`] what the
//! route needs, has the [`caller::Caller`] decide, and writes down in [`audit`] what was done. [`directory`] keeps people, sessions,
//! tokens and policies; [`signing_in`] is how somebody proves who they are, [`provider`] how another does it for them, and [`attempts`] how
//! guessing is made slow. What a policy lets wait for a second person is made a proposal by [`proposing`], and kept in [`proposals`].
//!
//! What a role holds and a scope reaches is known in `muster_model::access`.

pub mod attempts;
pub mod audit;
pub mod caller;
pub mod declared;
pub mod device;
pub mod directory;
pub mod guard;
pub mod password;
pub mod policy;
pub mod proposals;
pub mod proposing;
pub mod provider;
pub mod records;
pub mod second_factor;
pub mod secret;
pub mod signing_in;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use muster_model::access::{Grant, Permission, PersonName};
use muster_model::{MachineView, Timestamp};
use muster_protocol::link::TokenBucket;
use muster_runtime::{Clock, Shutdown};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use attempts::Attempts;
use audit::Audit;
use caller::{Act, By, Caller, Person};
use device::Devices;
use directory::{Directory, DirectoryError};
use provider::Provider;
use secret::{Secret, SecretKind};

/// How long a session lasts at most.
pub const SESSION_LIFETIME_MS: i64 = 12 * 3_600_000;
/// How long a session lasts without use.
pub const SESSION_IDLE_MS: i64 = 3_600_000;
/// Most sessions of one person: the one that was used longest ago goes.
pub const SESSIONS_OF_ONE_MAX: usize = 50;
/// Most tokens of one person.
pub const TOKENS_OF_ONE_MAX: usize = 100;
/// Most people.
pub const PEOPLE_MAX: usize = 10_000;
/// Most policies.
pub const POLICIES_MAX: usize = 64;
/// Passwords that are hashed at once: each takes 19 MiB.
const HASHED_AT_ONCE: usize = 2;
/// How long the set-up link is valid.
const SET_UP_LIFETIME_MS: i64 = 3_600_000;
/// Entries a second, for long, that those who are not signed in may have written down about what they tried in vain.
const STRANGERS_PER_S: u32 = 5;
/// Such entries at once.
const STRANGERS_BURST: u32 = 200;
/// How often what is over is removed, and what was used is noted.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// Who is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessMode {
    /// Whoever proves who they are.
    SignIn,
    /// Everybody on this computer, as an admin. Only on loopback addresses.
    TrustLoopback,
}

impl AccessMode {
    /// As it is written in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::TrustLoopback => "trust-loopback",
        }
    }
}

/// Knows people and decides for them.
pub struct Access {
    mode: AccessMode,
    clock: Clock,
    /// Whether connections of people are encrypted: cookies are marked so.
    encrypted: bool,
    directory: Directory,
    audit: Audit,
    attempts: Mutex<Attempts>,
    hashing: Semaphore,
    set_up: Mutex<Option<(secret::Hash, Timestamp)>>,
    /// Second factors that were offered, until a code of them comes.
    offers: Mutex<BTreeMap<PersonName, (String, Timestamp)>>,
    /// Programs that wait for a person to say yes.
    devices: Mutex<Devices>,
    /// What those who are not signed in may have written down: they must not fill the disk.
    strangers: Mutex<TokenBucket>,
    local: Person,
    provider: Option<Provider>,
}

impl Access {
    /// Puts the parts together.
    pub fn new(mode: AccessMode, encrypted: bool, clock: Clock, directory: Directory, audit: Audit) -> Self {
        Self {
            mode,
            clock,
            encrypted,
            directory,
            audit,
            attempts: Mutex::default(),
            hashing: Semaphore::new(HASHED_AT_ONCE),
            set_up: Mutex::new(None),
            offers: Mutex::default(),
            devices: Mutex::default(),
            strangers: Mutex::new(TokenBucket::new(
                STRANGERS_PER_S,
                STRANGERS_BURST,
                clock.mono_ms(),
            )),
            local: Person::new(PersonName::local(), vec![Grant::admin()], 0),
            provider: None,
        }
    }

    /// With a provider at which people sign in besides.
    pub fn with_provider(mut self, provider: Option<Provider>) -> Self {
        self.provider = provider.filter(|_| self.mode == AccessMode::SignIn);
        self.directory
            .believe(self.provider.as_ref().map(Provider::issuer));
        self
    }

    /// The provider at which people sign in besides.
    pub fn provider(&self) -> Option<&Provider> {
        self.provider.as_ref()
    }

    /// Who is let in.
    pub fn mode(&self) -> AccessMode {
        self.mode
    }

    /// Whether somebody may deploy to a machine, by what is granted to them and what policies say now: for what goes on when they have
    /// left.
    pub fn may_deploy(&self, name: &str, machine: &MachineView) -> bool {
        let person = match self.mode {
            AccessMode::TrustLoopback => Some(self.local.clone()),
            AccessMode::SignIn => name
                .parse()
                .ok()
                .and_then(|name: PersonName| self.directory.active(&name)),
        };
        let act = Act {
            action: "rollouts.join",
            changes: true,
        };
        person.is_some_and(|person| {
            let nowhere = IpAddr::from([127, 0, 0, 1]);
            let by = Caller::new(person, By::Posture, None, nowhere, self.directory.policies());
            by.decide_act(Permission::Deploy, Some(machine), act, self.now())
                .allowed
        })
    }

    /// Whether connections of people are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// People, sessions, tokens, policies.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Programs that wait for a person to say yes.
    pub(crate) fn devices(&self) -> parking_lot::MutexGuard<'_, Devices> {
        self.devices.lock()
    }

    /// Who did what.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Whether something that somebody unknown tried in vain is still written down.
    pub(crate) fn hears_strangers(&self) -> bool {
        let heard = self.strangers.lock().take(self.clock.mono_ms());
        if !heard {
            metrics::counter!("muster_audit_strangers_not_written_total").increment(1);
        }
        heard
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.wall_ms())
    }

    /// Whether somebody has to make the first person.
    pub fn needs_set_up(&self) -> bool {
        self.mode == AccessMode::SignIn && !self.directory.has_admin()
    }

    /// A link for making the first person, if there is none yet. A newer one takes the place of an older one.
    ///
    /// # Errors
    ///
    /// The operating system gave no randomness.
    pub fn set_up_secret(&self) -> Result<Option<Secret>, secret::NoEntropy> {
        if !self.needs_set_up() {
            return Ok(None);
        }
        let secret = Secret::new(SecretKind::SetUp)?;
        let until = self.now().plus_millis(SET_UP_LIFETIME_MS);
        *self.set_up.lock() = Some((secret.hash(), until));
        Ok(Some(secret))
    }

    /// Whether this is the set-up link, which is used up by that.
    pub(crate) fn take_set_up(&self, given: &str) -> bool {
        let mut waiting = self.set_up.lock();
        let fits = waiting.is_some_and(|(hash, until)| {
            secret::hash_of(given, SecretKind::SetUp) == Some(hash) && self.now() <= until
        });
        if fits && self.needs_set_up() {
            *waiting = None;
            return true;
        }
        false
    }

    /// Who asks, by what a request carries.
    ///
    /// # Errors
    ///
    /// It carries something that is not valid, or not any more.
    pub fn who(&self, headers: &HeaderMap, from: IpAddr) -> Result<Caller, NotValid> {
        let policies = self.directory.policies();
        if let Some(text) = bearer(headers)? {
            return self.by_secret(text, from, policies);
        }
        if let Some(text) = cookie(headers, self.cookie_name())
            && let Ok(caller) = self.by_secret(text, from, policies.clone())
        {
            return Ok(caller);
        }
        // A cookie that is over is as none: it is sent along by the browser, not by whoever signs in anew.
        Ok(match self.mode {
            AccessMode::TrustLoopback => Caller::new(self.local.clone(), By::Posture, None, from, policies),
            AccessMode::SignIn => Caller::nobody(from),
        })
    }

    fn by_secret(
        &self,
        text: &str,
        from: IpAddr,
        policies: Arc<[policy::Compiled]>,
    ) -> Result<Caller, NotValid> {
        let now = self.now();
        if let Some(hash) = secret::hash_of(text, SecretKind::Session) {
            let session = self.directory.session(&hash, now).ok_or(NotValid)?;
            let person = self.directory.active(&session.person).ok_or(NotValid)?;
            session.used.note(now);
            let by = By::Session {
                hash,
                id: session.id.clone(),
                expires_at: session.expires_at,
            };
            return Ok(Caller::new(person, by, None, from, policies));
        }
        let hash = secret::hash_of(text, SecretKind::Token).ok_or(NotValid)?;
        let token = self.directory.token(&hash, now).ok_or(NotValid)?;
        let owner = self.directory.active(&token.owner).ok_or(NotValid)?;
        token.used.note(now);
        token.note_from(from);
        let by = By::Token {
            hash,
            id: token.id.clone(),
            expires_at: token.expires_at,
        };
        Ok(Caller::new(owner, by, token.grants.clone(), from, policies))
    }

    /// Whether what somebody came with is still valid and means the same: asked for connections that stand for long.
    pub fn still(&self, caller: &Caller) -> bool {
        let now = self.now();
        let person = caller.person();
        match caller.by() {
            // A proposal is carried out at once, or not.
            By::Nobody | By::Proposal { .. } => false,
            By::Posture => true,
            By::Session { hash, .. } => {
                let session = self.directory.session(hash, now);
                let same = self.directory.active(&person.name);
                session.is_some_and(|session| {
                    session.used.note(now);
                    true
                }) && same.is_some_and(|same| same.version == person.version)
            }
            By::Token { hash, .. } => {
                let same = self.directory.active(&person.name);
                self.directory.token(hash, now).is_some()
                    && same.is_some_and(|same| same.version == person.version)
            }
        }
    }

    /// Changes whenever somebody may have to be asked again who they are.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.directory.changes()
    }

    /// The name of the cookie. Over TLS it is one that no other host and no plain connection can set.
    pub fn cookie_name(&self) -> &'static str {
        if self.encrypted {
            "__Host-muster"
        } else {
            "muster_session"
        }
    }

    /// The cookie that holds a session, or that ends it.
    pub fn cookie(&self, secret: Option<&Secret>) -> String {
        let name = self.cookie_name();
        let secure = if self.encrypted { "; Secure" } else { "" };
        let (value, age_s) = match secret {
            Some(secret) => (secret.reveal(), SESSION_LIFETIME_MS / 1_000),
            None => ("", 0),
        };
        format!("{name}={value}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Strict{secure}")
    }

    /// The cookie by which a browser is recognised that comes back from the provider, or that ends it. Not strict: the provider's
    /// page sends the browser here.
    pub fn provider_cookie(&self, word: Option<&str>) -> String {
        let name = self.provider_cookie_name();
        let secure = if self.encrypted { "; Secure" } else { "" };
        let (value, age_s) = match word {
            Some(word) => (word, provider::WAITS_FOR_S),
            None => ("", 0),
        };
        format!("{name}={value}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Lax{secure}")
    }

    fn provider_cookie_name(&self) -> &'static str {
        if self.encrypted {
            "__Host-muster-provider"
        } else {
            "muster_provider"
        }
    }

    /// By what a browser is recognised that comes back from the provider.
    pub fn provider_word<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        cookie(headers, self.provider_cookie_name())
    }

    /// Removes what is over and notes what was used, until the server ends.
    pub async fn tidy(self: Arc<Self>, shutdown: Shutdown) -> Result<(), DirectoryError> {
        loop {
            let ends = tokio::select! {
                () = tokio::time::sleep(TIDY_EVERY) => false,
                () = shutdown.requested() => true,
            };
            if let Err(error) = self.directory.tidy(self.now()).await {
                tracing::warn!(error = %muster_runtime::errors::chain(&error), "sessions and tokens could not be noted");
            }
            self.attempts.lock().forget(self.clock.mono_ms());
            let (audit, now) = (self.audit.clone(), self.now());
            if let Ok(Err(error)) = tokio::task::spawn_blocking(move || audit.anchor(now)).await {
                tracing::warn!(error = %muster_runtime::errors::chain(&error), "how far the audit log goes could not be noted");
            }
            if ends {
                return Ok(());
            }
        }
    }
}

/// A session or token that is not valid, or not any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session or token is not valid, or not any more")]
pub struct NotValid;

/// Where a connection came from. A part of each request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

impl Peer {
    /// Where a request came from; this computer where that is not known, as in tests without a socket.
    pub fn of(extensions: &axum::http::Extensions) -> IpAddr {
        let peer: Option<&Self> = extensions.get();
        peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.0)
    }
}

/// What stands behind `Authorization: Bearer`.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, NotValid> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| NotValid)?;
    let (scheme, secret) = text.split_once(' ').ok_or(NotValid)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(NotValid);
    }
    Ok(Some(secret.trim()))
}

/// What a cookie of this name holds.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).into_iter();
    let pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'));
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests;
