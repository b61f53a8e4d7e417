//! How somebody proves who they are, and gets a session for it.

use std::net::IpAddr;

use muster_model::access::{Grant, PersonName};
use muster_store::{DocumentVersion, Precondition};

use super::attempts::{CodeTry, Try};
use super::directory::DirectoryError;
use super::records::{PersonRecord, SessionRecord};
use super::secret::{NoEntropy, Secret, SecretKind, hex, random};
use super::{Access, SESSION_LIFETIME_MS, password, second_factor};

/// Longest name of a browser that is kept, in characters.
const AGENT_MAX_CHARS: usize = 200;
/// How long a second factor that was offered waits for its code.
const OFFER_LIFETIME_MS: i64 = 10 * 60_000;

/// Why somebody is not signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Name, password or code are wrong; which of them is not said.
    #[error("the name or the password is wrong")]
    Wrong,
    /// A code is asked for besides.
    #[error("a code of the authenticator is needed, or one of the recovery codes")]
    CodeNeeded,
    /// The code is wrong, or was used already.
    #[error("the code is wrong, or was used already: wait for the next one")]
    CodeWrong,
    /// Too many failures.
    #[error("too many tries failed: wait {wait_s} s")]
    Wait {
        /// How long.
        wait_s: u64,
    },
    /// The directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The operating system gave no randomness.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    /// The server ends.
    #[error("the server is being stopped")]
    Stopping,
}

impl SignInError {
    fn wait(wait_ms: u64) -> Self {
        Self::Wait {
            wait_s: wait_ms.div_ceil(1_000),
        }
    }
}

/// A session that was begun.
#[derive(Debug)]
pub struct Begun {
    /// Whose.
    pub name: PersonName,
    /// Its secret.
    pub secret: Secret,
    /// When it ends at the latest.
    pub expires_at: muster_model::Timestamp,
}

impl Access {
    /// Signs somebody in by name, password and code.
    ///
    /// # Errors
    ///
    /// Why not.
    pub async fn sign_in(
        &self,
        name: &str,
        password: String,
        code: Option<&str>,
        from: IpAddr,
        agent: &str,
    ) -> Result<Begun, SignInError> {
        let tried = self.begin_try(name, from)?;
        let parsed: Option<PersonName> = name.parse().ok();
        let kept = parsed.as_ref().and_then(|name| self.directory.person(name));
        let hash = kept.as_ref().and_then(|kept| kept.value.password.clone());
        let right = self.verify(password, hash).await?;
        let (Some(name), Some(kept), true) = (parsed, kept, right) else {
            return Err(SignInError::Wrong);
        };
        if kept.value.disabled {
            return Err(SignInError::Wrong);
        }
        if let Some(factor) = &kept.value.second_factor {
            let Some(code) = code.filter(|code| !code.trim().is_empty()) else {
                // Somebody who knows the password and has not been asked for more has not failed; nor have they succeeded.
                self.attempts.lock().take_back(tried);
                return Err(SignInError::CodeNeeded);
            };
            // Recovery codes are too long to be guessed: whoever knows the password keeps nobody out who has one.
            let of_codes = second_factor::can_be_guessed(code)
                .then(|| self.begin_code(&name))
                .transpose()?;
            let Some(spent) = second_factor::spend(factor, code, &name, self.now()) else {
                return Err(SignInError::CodeWrong);
            };
            let record = PersonRecord {
                second_factor: Some(spent),
                ..kept.value.clone()
            };
            // Of two who come with the same code one meets a conflict.
            let version = Precondition::Version(DocumentVersion(kept.version));
            match self
                .directory
                .put_person(&name, version, record, self.now())
                .await
            {
                Ok(_) => {}
                Err(DirectoryError::Conflict { .. }) => return Err(SignInError::CodeWrong),
                Err(error) => return Err(error.into()),
            }
            if let Some(of_codes) = of_codes {
                self.attempts.lock().code_succeeded(&of_codes);
            }
        }
        self.attempts.lock().succeeded(tried);
        self.begin(name, kept.value.era, from, agent, None).await
    }

    /// Begins a session for somebody who proved who they are in this era of theirs. It is worth nothing in another: a password may
    /// be changed while the one so far is looked at.
    ///
    /// # Errors
    ///
    /// The store, or no randomness.
    pub async fn begin(
        &self,
        name: PersonName,
        era: u64,
        from: IpAddr,
        agent: &str,
        provider_session: Option<String>,
    ) -> Result<Begun, SignInError> {
        let secret = Secret::new(SecretKind::Session)?;
        let now = self.now();
        let expires_at = now.plus_millis(SESSION_LIFETIME_MS);
        let agent = agent.chars().filter(|character| !character.is_control());
        let record = SessionRecord {
            id: hex(&random::<8>()?),
            person: name.clone(),
            era,
            created_at: now,
            expires_at,
            used_at: now,
            from: from.to_string(),
            agent: agent.take(AGENT_MAX_CHARS).collect(),
            provider_session,
        };
        self.directory.begin_session(secret.hash(), record).await?;
        Ok(Begun {
            name,
            secret,
            expires_at,
        })
    }

    /// Makes the first person, by the set-up link.
    ///
    /// # Errors
    ///
    /// As [`sign_in`](Self::sign_in); [`SignInError::Wrong`] if the link is not valid.
    pub async fn set_up(
        &self,
        token: &str,
        name: PersonName,
        password: String,
        from: IpAddr,
        agent: &str,
    ) -> Result<Begun, SignInError> {
        let tried = self.begin_try("", from)?;
        let hashed = self.hash(password).await?;
        if !self.take_set_up(token) {
            return Err(SignInError::Wrong);
        }
        self.attempts.lock().succeeded(tried);
        let now = self.now();
        // What was begun by whoever was there before, is over.
        let before = self.directory.person(&name);
        let era = before.map_or(0, |kept| kept.value.era + 1);
        let record = PersonRecord {
            display_name: String::new(),
            grants: vec![Grant::admin()],
            disabled: false,
            password: Some(hashed),
            second_factor: None,
            provider: None,
            created_at: now,
            era,
        };
        // Somebody who is there already, but is no admin any more, becomes one again.
        self.directory
            .put_person(&name, Precondition::Any, record, now)
            .await?;
        self.begin(name, era, from, agent, None).await
    }

    /// What is kept of a password. Few at a time.
    ///
    /// # Errors
    ///
    /// The server ends, or there is no randomness.
    pub async fn hash(&self, password: String) -> Result<String, SignInError> {
        let _turn = self.hashing.acquire().await.map_err(|_| SignInError::Stopping)?;
        let hashed = tokio::task::spawn_blocking(move || password::hash(&password)).await;
        hashed
            .map_err(|_| SignInError::Stopping)?
            .ok_or(SignInError::Entropy(NoEntropy))
    }

    /// Whether it is the password. Few at a time, and as long for somebody who does not exist.
    ///
    /// # Errors
    ///
    /// The server ends.
    pub async fn verify(&self, password: String, kept: Option<String>) -> Result<bool, SignInError> {
        let _turn = self.hashing.acquire().await.map_err(|_| SignInError::Stopping)?;
        let verified = tokio::task::spawn_blocking(move || password::is(&password, kept.as_deref())).await;
        verified.map_err(|_| SignInError::Stopping)
    }
}

impl Access {
    /// Whether somebody who is signed in knows their password, counted like signing in.
    ///
    /// # Errors
    ///
    /// They do not.
    pub async fn prove(
        &self,
        name: &str,
        password: String,
        kept: Option<String>,
        from: IpAddr,
    ) -> Result<(), SignInError> {
        let tried = self.begin_try(name, from)?;
        if !self.verify(password, kept).await? {
            return Err(SignInError::Wrong);
        }
        self.attempts.lock().succeeded(tried);
        Ok(())
    }

    fn begin_try(&self, name: &str, from: IpAddr) -> Result<Try, SignInError> {
        let tried = self.attempts.lock().begin(name, from, self.clock.mono_ms());
        tried.map_err(SignInError::wait)
    }

    fn begin_code(&self, name: &PersonName) -> Result<CodeTry, SignInError> {
        let tried = self
            .attempts
            .lock()
            .begin_code(name.as_str(), self.clock.mono_ms());
        tried.map_err(SignInError::wait)
    }

    /// Keeps what was offered until a code of it comes: in memory, one for a person.
    pub fn keep_offer(&self, name: &PersonName, secret: &str) {
        let until = self.now().plus_millis(OFFER_LIFETIME_MS);
        let mut offers = self.offers.lock();
        offers.retain(|_, (_, until)| *until > self.now());
        offers.insert(name.clone(), (secret.to_owned(), until));
    }

    /// What was offered, if it still counts.
    pub fn offered(&self, name: &PersonName) -> Option<String> {
        let offers = self.offers.lock();
        let (secret, until) = offers.get(name)?;
        (self.now() < *until).then(|| secret.clone())
    }

    /// It is in force now.
    pub fn forget_offer(&self, name: &PersonName) {
        self.offers.lock().remove(name);
    }
}
