//! Signing in at a provider that speaks OpenID Connect.
//!
//! Begin with [`Provider::begin`], which sends a browser there, and [`Provider::finish`], to which it comes back with a code. What is
//! known of the provider is in [`known`], whether its word is believed in [`id_token`], and who that is here, and what they get, in
//! [`person`]. Nothing of it is needed for the server to start.

mod http;
mod id_token;
mod known;
mod pending;
mod person;
pub mod settings;

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use muster_runtime::Clock;
use parking_lot::Mutex;
use reqwest::Url;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::secret::{NoEntropy, random};
use super::signing_in::SignInError;
use http::Http;
use id_token::{Expected, Wrong};
use known::{Known, Knows, shortened};
use pending::{PENDING_FOR_MS, Pending, Waiting};
use settings::Settings;

/// Where the provider sends people back to.
pub const CALLBACK: &str = "/api/v1/session/callback";
/// How long a sign-in waits for the way back, in seconds.
pub const WAITS_FOR_S: u64 = PENDING_FOR_MS / 1_000;
/// Longest path to go to afterwards, in bytes.
const NEXT_MAX_BYTES: usize = 2_000;
/// Longest code or state that is looked at, in bytes.
const ANSWER_MAX_BYTES: usize = 4_096;
/// Most groups of a person that are looked at.
const GROUPS_MAX: usize = 10_000;

/// Why somebody is not signed in by a provider.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It does not answer, or not as it should at the moment.
    #[error("the provider cannot be asked: {0}")]
    Away(String),
    /// What it answers is not accepted.
    #[error("{0}")]
    Answer(String),
    /// It does not let them in, or they changed their mind.
    #[error("the provider did not sign them in: {0}")]
    Refused(String),
    /// Nobody here began this sign-in, or not in this browser, or too long ago; or it was finished already.
    #[error("this sign-in was not begun in this browser, or it is over")]
    NotBegun,
    /// None of their groups gets anything.
    #[error("none of the groups of {name} gets anything here (oidc.grants)")]
    NoGrants {
        /// Who.
        name: String,
    },
    /// Somebody else has the name.
    #[error(
        "the name {name} belongs to somebody who does not come from this provider, or by another account of it"
    )]
    NameTaken {
        /// Which.
        name: String,
    },
    /// They may not sign in.
    #[error("{name} is disabled here")]
    Disabled {
        /// Who.
        name: String,
    },
    /// There are too many people.
    #[error("there are too many people")]
    TooMany,
    /// Ours.
    #[error(transparent)]
    Here(#[from] SignInError),
}

impl From<NoEntropy> for ProviderError {
    fn from(error: NoEntropy) -> Self {
        Self::Here(error.into())
    }
}

impl ProviderError {
    /// In one word, for the page on which people sign in.
    pub const fn problem(&self) -> &'static str {
        match self {
            Self::Away(_) => "provider-away",
            Self::Answer(_) => "provider-answer",
            Self::Refused(_) => "provider-refused",
            Self::NotBegun => "not-begun",
            Self::NoGrants { .. } => "no-grants",
            Self::NameTaken { .. } => "name-taken",
            Self::Disabled { .. } => "disabled",
            Self::TooMany | Self::Here(_) => "server",
        }
    }

    /// Whom it is about, where that is known.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::NoGrants { name } | Self::NameTaken { name } | Self::Disabled { name } => Some(name),
            _ => None,
        }
    }

    /// The stable code, with a page in `docs/errors/`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Away(_) => "MST-A071",
            Self::Answer(_) => "MST-A072",
            Self::Refused(_) => "MST-A073",
            Self::NotBegun => "MST-A074",
            Self::NoGrants { .. } => "MST-A075",
            Self::NameTaken { .. } => "MST-A076",
            Self::Disabled { .. } => "MST-A077",
            Self::TooMany | Self::Here(_) => "MST-A008",
        }
    }
}

/// Where to send a browser, and by what to recognise it when it comes back.
#[derive(Debug)]
pub struct Sent {
    /// The address at the provider.
    pub address: String,
    /// A word for the browser to keep.
    pub browser: String,
}

/// What a browser comes back with.
#[derive(Clone, Debug, Default)]
pub struct Returned {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

impl Returned {
    /// Of a query string. A parameter that is there twice is as none (RFC 6749, 3.1).
    pub fn of(pairs: Vec<(String, String)>) -> Self {
        let one = |name: &str| {
            let mut values = pairs
                .iter()
                .filter(|(key, _)| key == name)
                .map(|(_, value)| value);
            let first = values.next().filter(|value| value.len() <= ANSWER_MAX_BYTES);
            if values.next().is_some() {
                None
            } else {
                first.cloned()
            }
        };
        Self {
            code: one("code"),
            state: one("state"),
            iss: one("iss"),
            error: one("error"),
        }
    }
}

/// Somebody for whom the provider vouches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What the provider calls them, for ever.
    pub subject: String,
    /// What they may be called here, the best first.
    pub names: Vec<String>,
    /// The name to be shown.
    pub display_name: String,
    /// Their groups.
    pub groups: Vec<String>,
}

/// Signs people in at a provider.
#[derive(Debug)]
pub struct Provider {
    settings: Settings,
    /// Under which address people reach this server, without a slash at the end.
    base: String,
    http: Http,
    knows: Knows,
    pending: Mutex<Pending>,
    clock: Clock,
}

impl Provider {
    /// One that is set up like this. People reach this server at `base`, where the settings say nothing else. Asks nobody for anything.
    ///
    /// # Errors
    ///
    /// What in the settings cannot work.
    pub fn new(settings: Settings, base: String, clock: Clock) -> Result<Self, String> {
        settings.check()?;
        let authorities = match &settings.ca_file {
            None => None,
            Some(path) => {
                let read = std::fs::read_to_string(path);
                Some(read.map_err(|error| format!("oidc.ca_file: {}: {error}", path.display()))?)
            }
        };
        let plain = settings.is_plain();
        let http = Http::new(plain, authorities.as_deref())
            .map_err(|why| format!("oidc.ca_file or the system's authorities: {why}"))?;
        let base = settings.public_url.clone().unwrap_or(base);
        Ok(Self {
            knows: Knows::new(settings.issuer.clone(), plain, clock),
            base: base.trim_end_matches('/').to_owned(),
            settings,
            http,
            pending: Mutex::default(),
            clock,
        })
    }

    /// By which name it vouches.
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    fn redirect_uri(&self) -> String {
        format!("{}{CALLBACK}", self.base)
    }

    /// Begins to sign somebody in, who wants to see `next` afterwards.
    ///
    /// # Errors
    ///
    /// The provider is away.
    pub async fn begin(&self, next: &str, from: IpAddr) -> Result<Sent, ProviderError> {
        let known = self.knows.get(&self.http).await?;
        let word = || random::<32>().map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        let (state, nonce, verifier, browser) = (word()?, word()?, word()?, word()?);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let mut address = known.authorization.clone();
        address.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &self.settings.client_id),
            ("redirect_uri", &self.redirect_uri()),
            ("scope", &self.settings.scopes),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let now_ms = self.clock.mono_ms();
        let waiting = Waiting {
            browser: pending::hash(&browser),
            nonce,
            verifier,
            next: local_path(next).to_owned(),
            from: super::attempts::place(from),
            until_ms: now_ms + PENDING_FOR_MS,
        };
        self.pending.lock().keep(state, waiting, now_ms);
        Ok(Sent {
            address: address.into(),
            browser,
        })
    }

    /// Who somebody is that comes back, and what they want to see.
    ///
    /// # Errors
    ///
    /// They are not believed.
    pub async fn finish(
        &self,
        returned: Returned,
        browser: Option<&str>,
    ) -> Result<(Identity, String), ProviderError> {
        let state = returned.state.unwrap_or_default();
        let taken = self
            .pending
            .lock()
            .take(&state, browser.unwrap_or_default(), self.clock.mono_ms());
        let waiting = taken.ok_or(ProviderError::NotBegun)?;
        let known = self.knows.get(&self.http).await?;
        // RFC 9207: whose answer it is, so that none of another provider is taken for one of ours.
        match &returned.iss {
            Some(iss) if *iss != self.settings.issuer => {
                let why = format!("the answer is of another provider: {:?}", shortened(iss));
                return Err(ProviderError::Answer(why));
            }
            None if known.names_issuer => {
                let why = "the answer does not say of which provider it is (iss)".to_owned();
                return Err(ProviderError::Answer(why));
            }
            _ => {}
        }
        if let Some(error) = &returned.error {
            return Err(ProviderError::Refused(shortened(error)));
        }
        let Some(code) = &returned.code else {
            return Err(ProviderError::Answer("the answer holds no code".to_owned()));
        };
        let tokens = self.exchange(&known, code, &waiting.verifier).await?;
        let text = |name: &str| tokens.get(name).and_then(Value::as_str);
        let Some(id_token) = text("id_token") else {
            return Err(ProviderError::Answer("the provider gives no ID token".to_owned()));
        };
        let mut claims = self
            .believed(known.clone(), id_token, &waiting.nonce, text("access_token"))
            .await?;
        if let (Some(userinfo), Some(access_token)) = (&known.userinfo, text("access_token"))
            && (claim(&claims, &self.settings.groups_claim).is_none()
                || !claims.contains_key("preferred_username"))
        {
            self.say_more(&mut claims, userinfo, access_token).await?;
        }
        Ok((self.identity(&claims), waiting.next))
    }

    async fn exchange(&self, known: &Known, code: &str, verifier: &str) -> Result<Value, ProviderError> {
        let redirect_uri = self.redirect_uri();
        let id = self.settings.client_id.as_str();
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &redirect_uri),
            ("code_verifier", verifier),
        ];
        let secret = self
            .settings
            .client_secret
            .as_ref()
            .map(settings::ClientSecret::reveal);
        let basic = secret
            .filter(|_| !known.secret_in_form)
            .map(|secret| (id, secret));
        if basic.is_none() {
            form.push(("client_id", id));
            form.extend(secret.map(|secret| ("client_secret", secret)));
        }
        let (status, answer) = self.http.post(known.token.clone(), &form, basic).await?;
        match (status, answer) {
            (200, Some(answer)) => Ok(answer),
            (500.., _) => Err(ProviderError::Away(format!("it answers with {status}"))),
            (_, answer) => {
                let why = answer
                    .as_ref()
                    .and_then(|answer| answer.get("error")?.as_str())
                    .unwrap_or("no reason");
                let why = format!(
                    "the provider does not exchange the code: {status}, {}",
                    shortened(why)
                );
                Err(ProviderError::Answer(why))
            }
        }
    }

    /// What an ID token says, if it is believed. For a key that is not known, the provider is asked whether it has new ones.
    async fn believed(
        &self,
        known: std::sync::Arc<Known>,
        id_token: &str,
        nonce: &str,
        access_token: Option<&str>,
    ) -> Result<Map<String, Value>, ProviderError> {
        let expected = Expected {
            issuer: &self.settings.issuer,
            client_id: &self.settings.client_id,
            nonce,
            access_token,
            now_s: self.clock.wall_ms() as f64 / 1_000.0,
        };
        let mut verdict = id_token::verify(id_token, &known.keys, expected);
        if verdict == Err(Wrong::UnknownKey)
            && let Some(newer) = self.knows.newer(&known, &self.http).await?
        {
            verdict = id_token::verify(id_token, &newer.keys, expected);
        }
        verdict.map_err(|wrong| ProviderError::Answer(wrong.to_string()))
    }

    /// Adds what stands at the provider's endpoint for it, if it is about the same person. What the ID token says counts more.
    async fn say_more(
        &self,
        claims: &mut Map<String, Value>,
        userinfo: &Url,
        access_token: &str,
    ) -> Result<(), ProviderError> {
        let said = self.http.get(userinfo.clone(), Some(access_token)).await?;
        let Value::Object(said) = said else {
            return Err(ProviderError::Answer("userinfo is no object".to_owned()));
        };
        if said.get("sub") != claims.get("sub") {
            return Err(ProviderError::Answer(
                "userinfo is about somebody else (sub)".to_owned(),
            ));
        }
        for (key, value) in said {
            claims.entry(key).or_insert(value);
        }
        Ok(())
    }

    fn identity(&self, claims: &Map<String, Value>) -> Identity {
        let text = |name: &str| {
            claims
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        // An address that nobody looked at may be anybody's.
        let email = if claims.get("email_verified") == Some(&Value::Bool(true)) {
            text("email")
        } else {
            String::new()
        };
        let subject = text("sub");
        let groups = match claim(claims, &self.settings.groups_claim) {
            Some(Value::Array(groups)) => groups
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .take(GROUPS_MAX)
                .collect(),
            Some(Value::String(group)) => vec![group.clone()],
            _ => Vec::new(),
        };
        Identity {
            names: vec![text("preferred_username"), email, subject.clone()],
            subject,
            display_name: text("name"),
            groups,
        }
    }

    /// Where to send a browser that signed out here, so that it is signed out there, too; nowhere, if the provider has no such place
    /// or cannot be asked.
    pub async fn end_session(&self) -> Option<String> {
        let known = self.knows.get(&self.http).await.ok()?;
        let mut address = known.end_session.clone()?;
        address.query_pairs_mut().extend_pairs([
            ("client_id", self.settings.client_id.as_str()),
            ("post_logout_redirect_uri", &format!("{}/sign-in", self.base)),
        ]);
        Some(address.into())
    }
}

/// A claim by its name; by the way to it with dots, where there is none of that name.
fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(found) = claims.get(name) {
        return Some(found);
    }
    let mut parts = name.split('.');
    let first = claims.get(parts.next()?)?;
    parts.try_fold(first, |at, part| at.get(part))
}

/// A path of the dashboard on this server: whatever else somebody wants to be sent to afterwards, they are sent to the beginning.
pub fn local_path(text: &str) -> &str {
    let visible = text
        .bytes()
        .all(|byte| matches!(byte, 0x21..=0x7e) && byte != b'\\');
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let is_page = path.starts_with('/') && !path.contains("//") && !path.starts_with("/api");
    if visible && is_page && text.len() <= NEXT_MAX_BYTES {
        text
    } else {
        "/"
    }
}

#[cfg(test)]
mod tests;
