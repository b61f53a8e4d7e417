//! What is known of a provider: its endpoints and keys. Fetched when first needed, so that the server starts without it, and kept.

use std::sync::Arc;

use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use muster_runtime::Clock;
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::ProviderError;
use super::http::Http;
use super::settings::endpoint;

/// After how long everything is fetched again.
const KEPT_FOR_MS: u64 = 60 * 60_000;
/// How long nothing is fetched again for a key that is not known: whoever sends such tokens must not make us ask for each.
pub(super) const AGAIN_AFTER_MS: u64 = 10_000;
/// How long a failure is remembered: many who wait must not each wait for the provider.
const FAILED_FOR_MS: u64 = 3_000;
/// Most keys of a provider.
const KEYS_MAX: usize = 100;

/// What a provider says of itself, as it writes it.
#[derive(Debug, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    userinfo_endpoint: Option<String>,
    #[serde(default)]
    end_session_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// What is known.
#[derive(Debug)]
pub(super) struct Known {
    /// Where people sign in.
    pub authorization: Url,
    /// Where a code is exchanged.
    pub token: Url,
    /// Where more is said of a person.
    pub userinfo: Option<Url>,
    /// Where people sign out.
    pub end_session: Option<Url>,
    /// Whether the secret is sent in the form, and not as a header.
    pub secret_in_form: bool,
    /// Whether each answer names the issuer.
    pub names_issuer: bool,
    /// Its keys for signatures.
    pub keys: Vec<Jwk>,
    at_ms: u64,
}

#[derive(Debug, Default)]
struct State {
    known: Option<Arc<Known>>,
    failed: Option<(u64, String)>,
}

/// Knows a provider, and asks it when it must.
#[derive(Debug)]
pub(super) struct Knows {
    issuer: String,
    plain: bool,
    clock: Clock,
    state: Mutex<State>,
}

impl Knows {
    pub(super) fn new(issuer: String, plain: bool, clock: Clock) -> Self {
        Self {
            issuer,
            plain,
            clock,
            state: Mutex::default(),
        }
    }

    /// What is known; fetched, if it is nothing or old. What is old is better than nothing.
    pub(super) async fn get(&self, http: &Http) -> Result<Arc<Known>, ProviderError> {
        let mut state = self.state.lock().await;
        let now_ms = self.clock.mono_ms();
        match &state.known {
            Some(known) if now_ms.saturating_sub(known.at_ms) < KEPT_FOR_MS => return Ok(known.clone()),
            _ => {}
        }
        let old = state.known.clone();
        match (self.fetch(http, &mut state, now_ms).await, old) {
            (Err(error), Some(old)) => {
                tracing::warn!(%error, "the provider does not answer: what was known of it is used");
                Ok(old)
            }
            (fetched, _) => fetched,
        }
    }

    /// What is known after it was asked again, because a key was not among those of `than`. Not too often.
    pub(super) async fn newer(&self, than: &Known, http: &Http) -> Result<Option<Arc<Known>>, ProviderError> {
        let mut state = self.state.lock().await;
        let now_ms = self.clock.mono_ms();
        match &state.known {
            // Somebody else had it fetched meanwhile.
            Some(known) if known.at_ms > than.at_ms => return Ok(Some(known.clone())),
            Some(known) if now_ms.saturating_sub(known.at_ms) < AGAIN_AFTER_MS => return Ok(None),
            _ => {}
        }
        self.fetch(http, &mut state, now_ms).await.map(Some)
    }

    async fn fetch(&self, http: &Http, state: &mut State, now_ms: u64) -> Result<Arc<Known>, ProviderError> {
        if let Some((at_ms, why)) = &state.failed
            && now_ms.saturating_sub(*at_ms) < FAILED_FOR_MS
        {
            return Err(ProviderError::Away(why.clone()));
        }
        match self.ask(http).await {
            Ok(known) => {
                let known = Arc::new(known);
                (state.known, state.failed) = (Some(known.clone()), None);
                Ok(known)
            }
            Err(error) => {
                state.failed = Some((self.clock.mono_ms(), error.to_string()));
                Err(error)
            }
        }
    }

    async fn ask(&self, http: &Http) -> Result<Known, ProviderError> {
        let wrong = |why: String| ProviderError::Answer(format!("what the provider says of itself: {why}"));
        let address = format!(
            "{}/.well-known/openid-configuration",
            self.issuer.trim_end_matches('/')
        );
        let url = endpoint(&address, self.plain).map_err(wrong)?;
        let said: Metadata =
            serde_json::from_value(http.get(url, None).await?).map_err(|error| wrong(error.to_string()))?;
        if said.issuer != self.issuer {
            return Err(wrong(format!("it calls itself {:?}", shortened(&said.issuer))));
        }
        let endpoint = |text: &str| endpoint(text, self.plain).map_err(wrong);
        let maybe = |text: Option<&String>| text.map(|text| endpoint(text)).transpose();
        let keys = http.get(endpoint(&said.jwks_uri)?, None).await?;
        let Some(Value::Array(keys)) = keys.get("keys") else {
            return Err(wrong("there are no keys".to_owned()));
        };
        // Kinds of keys that are not understood are left out: others may do.
        let keys = keys.iter().take(KEYS_MAX);
        let keys = keys.filter_map(|key| serde_json::from_value::<Jwk>(key.clone()).ok());
        let for_signatures =
            |key: &Jwk| matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let methods = said.token_endpoint_auth_methods_supported.as_deref();
        let takes = |methods: &[String], method: &str| methods.iter().any(|one| one == method);
        Ok(Known {
            authorization: endpoint(&said.authorization_endpoint)?,
            token: endpoint(&said.token_endpoint)?,
            userinfo: maybe(said.userinfo_endpoint.as_ref())?,
            end_session: maybe(said.end_session_endpoint.as_ref())?,
            secret_in_form: methods.is_some_and(|methods| {
                !takes(methods, "client_secret_basic") && takes(methods, "client_secret_post")
            }),
            names_issuer: said.authorization_response_iss_parameter_supported,
            keys: keys.filter(for_signatures).collect(),
            at_ms: self.clock.mono_ms(),
        })
    }
}

/// What somebody else wrote, short enough for a line of the log.
pub(super) fn shortened(text: &str) -> String {
    const MOST_CHARS: usize = 100;
    let visible = text.chars().filter(|character| !character.is_control());
    visible.take(MOST_CHARS).collect()
}
