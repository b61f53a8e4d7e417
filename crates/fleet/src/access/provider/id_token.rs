//! Whether an ID token is genuine, for us, of this sign-in, and of now (OpenID Connect Core, 3.1.3.7).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// How much clocks may differ, in seconds.
pub(super) const LEEWAY_S: f64 = 60.0;
/// Longest word for a person, in characters (OpenID Connect Core, 2).
const SUBJECT_MAX_CHARS: usize = 255;
/// How tokens may be signed: by keys that only the provider has. None that anybody has who knows a shared secret, and not by nothing.
const ALGORITHMS: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// What a token must say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub nonce: &'a str,
    pub access_token: Option<&'a str>,
    pub now_s: f64,
}

/// Why a token is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    /// Perhaps the provider has new keys.
    #[error("the ID token is signed by a key that the provider does not have")]
    UnknownKey,
    /// Whatever else.
    #[error("the ID token is not accepted: {0}")]
    Because(String),
}

fn because(why: impl Into<String>) -> Wrong {
    Wrong::Because(why.into())
}

/// What a token says of a person, if it is accepted.
pub(super) fn verify(token: &str, keys: &[Jwk], expected: Expected<'_>) -> Result<Map<String, Value>, Wrong> {
    let header = jsonwebtoken::decode_header(token).map_err(|error| because(error.to_string()))?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(because(format!("it is signed by {:?}", header.alg)));
    }
    if header.crit.is_some() {
        return Err(because("it asks for what is not understood (crit)"));
    }
    let mut validation = Validation::new(header.alg);
    // What it says is checked below, with the server's clock and all of the rules.
    (validation.validate_exp, validation.validate_aud) = (false, false);
    validation.required_spec_claims.clear();
    let named = |key: &&Jwk| header.kid.is_none() || key.common.key_id == header.kid;
    let fits = |key: &&Jwk| {
        let alg = key.common.key_algorithm;
        alg.is_none_or(|alg| alg.to_string() == format!("{:?}", header.alg))
    };
    let mut failure = None;
    for key in keys.iter().filter(named).filter(fits) {
        let Ok(key) = DecodingKey::from_jwk(key) else {
            continue;
        };
        match jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation) {
            Ok(decoded) => {
                check(&decoded.claims, expected)?;
                check_access_token(&decoded.claims, header.alg, expected.access_token)?;
                return Ok(decoded.claims);
            }
            Err(error) => failure = Some(error.to_string()),
        }
    }
    match (failure, &header.kid) {
        // It says by which key, and that key did not sign it.
        (Some(why), Some(_)) => Err(because(why)),
        _ => Err(Wrong::UnknownKey),
    }
}

fn check(claims: &Map<String, Value>, expected: Expected<'_>) -> Result<(), Wrong> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let number = |name: &str| claims.get(name).and_then(Value::as_f64);
    if text("iss") != Some(expected.issuer) {
        return Err(because("another issuer (iss)"));
    }
    let audience: Vec<&Value> = match claims.get("aud") {
        Some(Value::Array(all)) => all.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    };
    if !audience
        .iter()
        .any(|one| one.as_str() == Some(expected.client_id))
    {
        return Err(because("it is for somebody else (aud)"));
    }
    match claims.get("azp") {
        None if audience.len() > 1 => {
            return Err(because("it is for several, and does not say for whom (azp)"));
        }
        Some(azp) if azp.as_str() != Some(expected.client_id) => {
            return Err(because("it is for somebody else (azp)"));
        }
        _ => {}
    }
    if text("nonce") != Some(expected.nonce) {
        return Err(because("it is of another sign-in (nonce)"));
    }
    let Some(exp) = number("exp") else {
        return Err(because("it does not say until when it is valid (exp)"));
    };
    if expected.now_s >= exp + LEEWAY_S {
        return Err(because("it is over (exp)"));
    }
    let ahead = |name| number(name).is_some_and(|at| at > expected.now_s + LEEWAY_S);
    if ahead("iat") || ahead("nbf") {
        return Err(because("it is of a time to come (iat, nbf): is the clock right?"));
    }
    let subject = text("sub").unwrap_or_default();
    if subject.is_empty() || subject.chars().count() > SUBJECT_MAX_CHARS {
        return Err(because("it does not say whom it is about (sub)"));
    }
    Ok(())
}

/// Where the token says which access token belongs to it, it must be the one that came along.
fn check_access_token(
    claims: &Map<String, Value>,
    algorithm: Algorithm,
    access_token: Option<&str>,
) -> Result<(), Wrong> {
    let Some(said) = claims.get("at_hash") else {
        return Ok(());
    };
    let bytes = access_token.unwrap_or_default().as_bytes();
    let digest = match algorithm {
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => Sha384::digest(bytes).to_vec(),
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::EdDSA => Sha512::digest(bytes).to_vec(),
        _ => Sha256::digest(bytes).to_vec(),
    };
    let half = URL_SAFE_NO_PAD.encode(&digest[..digest.len() / 2]);
    if access_token.is_some() && said.as_str() == Some(&half) {
        Ok(())
    } else {
        Err(because("another access token came along (at_hash)"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const EXPECTED: Expected<'_> = Expected {
        issuer: "https://id.example",
        client_id: "muster",
        nonce: "n",
        access_token: None,
        now_s: 1_000.0,
    };

    fn verdict(change: Value) -> Result<(), Wrong> {
        let mut claims = json!({
            "iss": "https://id.example", "aud": "muster", "nonce": "n", "exp": 1_300, "iat": 1_000, "sub": "1",
        });
        for (key, value) in change.as_object().unwrap() {
            claims[key] = value.clone();
        }
        check(claims.as_object().unwrap(), EXPECTED)
    }

    #[test]
    fn only_what_is_for_us_of_this_sign_in_and_of_now() {
        for good in [
            json!({}),
            json!({ "aud": ["muster"] }),
            json!({ "aud": ["other", "muster"], "azp": "muster" }),
            json!({ "exp": 941 }),
            json!({ "iat": 1_060, "nbf": 1_060 }),
        ] {
            assert_eq!(verdict(good.clone()), Ok(()), "{good}");
        }
        for bad in [
            json!({ "iss": "https://id.example/" }),
            json!({ "iss": ["https://id.example"] }),
            json!({ "aud": "other" }),
            json!({ "aud": ["other", "muster"] }),
            json!({ "aud": [] }),
            json!({ "aud": null }),
            json!({ "azp": "other" }),
            json!({ "azp": null }),
            json!({ "nonce": "m" }),
            json!({ "nonce": null }),
            json!({ "exp": 940 }),
            json!({ "exp": "1300" }),
            json!({ "iat": 1_061 }),
            json!({ "nbf": 1_061 }),
            json!({ "sub": "" }),
            json!({ "sub": 1 }),
            json!({ "sub": "x".repeat(256) }),
        ] {
            assert!(verdict(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_access_token_is_the_one_that_is_meant() {
        // OpenID Connect Core, A.3.
        let claims = json!({ "at_hash": "77QmUPtjPfzWtF2AnpK9RQ" });
        let claims = claims.as_object().unwrap();
        let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        assert_eq!(check_access_token(claims, Algorithm::RS256, Some(token)), Ok(()));
        assert!(check_access_token(claims, Algorithm::RS256, Some("another")).is_err());
        assert!(check_access_token(claims, Algorithm::RS256, None).is_err());
        assert!(check_access_token(claims, Algorithm::ES384, Some(token)).is_err());
    }
}
