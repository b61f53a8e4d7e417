//! A provider that says what the test wants, over plain HTTP on loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use muster_runtime::Clock;
use parking_lot::Mutex;
use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// By what tokens are signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// As it should be.
    Own,
    /// By nothing at all.
    None,
    /// By the secret that both sides know.
    Hmac,
    /// By the public key as if it were a secret.
    HmacOfPublic,
    /// By a key that the provider does not publish.
    Foreign,
}

pub struct Scripted {
    pub issuer: String,
    script: Arc<Mutex<Script>>,
    server: tokio::task::JoinHandle<()>,
}

struct Script {
    issuer: String,
    key: KeyPair,
    key_id: String,
    foreign: KeyPair,
    sign: Key,
    claims: Map<String, Value>,
    metadata: String,
    tokens: String,
    userinfo: Value,
    asked: BTreeMap<String, String>,
    /// Codes with the nonce and the challenge that they are bound to.
    codes: BTreeMap<String, (String, String)>,
    spent: BTreeSet<String>,
    keys_fetched: u32,
    exchanged: u32,
}

type Shared = Arc<Mutex<Script>>;

impl Scripted {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let claims = json!({
            "sub": "248289761001", "preferred_username": "Ada", "name": "Ada Lovelace", "groups": ["munich-ops"],
        });
        let script = Arc::new(Mutex::new(Script {
            issuer: issuer.clone(),
            key: KeyPair::generate().unwrap(),
            key_id: "1".to_owned(),
            foreign: KeyPair::generate().unwrap(),
            sign: Key::Own,
            claims: claims.as_object().unwrap().clone(),
            metadata: String::new(),
            tokens: String::new(),
            userinfo: Value::Null,
            asked: BTreeMap::new(),
            codes: BTreeMap::new(),
            spent: BTreeSet::new(),
            keys_fetched: 0,
            exchanged: 0,
        }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .with_state(script.clone());
        #[expect(clippy::disallowed_methods, reason = "a test's own task, ended with it")]
        // tidy: allow(tasks): a test's own task, ended with it
        let server = tokio::spawn(async move {
            use hyper_util::rt::{TokioExecutor, TokioIo};
            use hyper_util::server::conn::auto::Builder;
            use hyper_util::service::TowerToHyperService;
            while let Ok((stream, _)) = listener.accept().await {
                let service = TowerToHyperService::new(router.clone());
                #[expect(
                    clippy::disallowed_methods,
                    reason = "a test's own task, ended with its connection"
                )]
                // tidy: allow(tasks): a test's own task, ended with its connection
                tokio::spawn(async move {
                    let io = TokioIo::new(stream);
                    let _ = Builder::new(TokioExecutor::new())
                        .serve_connection(io, service)
                        .await;
                });
            }
        });
        Self {
            issuer,
            script,
            server,
        }
    }

    /// Has tokens say something else; null: nothing.
    pub fn claim(&self, name: &str, value: Value) -> Option<Value> {
        self.script.lock().claims.insert(name.to_owned(), value)
    }

    pub fn restore(&self, name: &str, before: Option<Value>) {
        let claims = &mut self.script.lock().claims;
        match before {
            Some(value) => claims.insert(name.to_owned(), value),
            None => claims.remove(name),
        };
    }

    pub fn sign_with(&self, key: Key) {
        self.script.lock().sign = key;
    }

    /// Another key under another name, and no word of the old one.
    pub fn rotate(&self) {
        let mut script = self.script.lock();
        script.key = KeyPair::generate().unwrap();
        (script.key_id, script.sign) = ("2".to_owned(), Key::Own);
    }

    pub fn metadata(&self, answer: &str) {
        self.script.lock().metadata = answer.to_owned();
    }

    pub fn tokens(&self, answer: &str) {
        self.script.lock().tokens = answer.to_owned();
    }

    pub fn userinfo(&self, said: Value) {
        self.script.lock().userinfo = said;
    }

    pub fn spend_codes(&self) {
        let mut script = self.script.lock();
        script.spent = script.codes.keys().cloned().collect();
    }

    pub fn keys_fetched(&self) -> u32 {
        self.script.lock().keys_fetched
    }

    pub fn exchanged(&self) -> u32 {
        self.script.lock().exchanged
    }

    /// What the browser brought last.
    pub fn asked(&self) -> Value {
        json!(self.script.lock().asked)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub fn now_s() -> u64 {
    (Clock::start().wall_ms() / 1_000) as u64
}

/// Answers that no provider should give.
fn strange(how: &str) -> Option<Response> {
    Some(match how {
        "away" => (StatusCode::BAD_GATEWAY, "away").into_response(),
        "huge" => format!("{{\"issuer\":\"{}\"}}", "x".repeat(2 << 20)).into_response(),
        "nonsense" => "<html>".into_response(),
        "redirect" => (StatusCode::FOUND, [(header::LOCATION, "/elsewhere")]).into_response(),
        _ => return None,
    })
}

async fn metadata(State(script): State<Shared>) -> Response {
    let script = script.lock();
    if let Some(response) = strange(&script.metadata) {
        return response;
    }
    let issuer = &script.issuer;
    let mut said = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/keys"),
        "end_session_endpoint": format!("{issuer}/end"),
        "authorization_response_iss_parameter_supported": true,
    });
    match script.metadata.as_str() {
        "foreign" => said["issuer"] = json!("https://evil.example"),
        // Secrets are sent there: not in plain over a network.
        "plain" => said["token_endpoint"] = json!("http://192.0.2.1/token"),
        _ => {}
    }
    Json(said).into_response()
}

async fn keys(State(script): State<Shared>) -> Json<Value> {
    let mut script = script.lock();
    script.keys_fetched += 1;
    let point = script.key.der_bytes();
    let (x, y) = point[1..].split_at(32);
    let key = json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": script.key_id,
        "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
    });
    // Of a kind of tomorrow: no reason to believe none of them.
    let strange = json!({ "kty": "LATTICE", "kid": "3", "alg": "ML-DSA-65", "pub": "AAAA" });
    Json(json!({ "keys": [strange, key] }))
}

async fn authorize(State(script): State<Shared>, Query(asked): Query<BTreeMap<String, String>>) -> Response {
    let mut script = script.lock();
    let code = format!("code+{}", script.codes.len());
    script.codes.insert(
        code.clone(),
        (asked["nonce"].clone(), asked["code_challenge"].clone()),
    );
    let mut back = reqwest::Url::parse(&asked["redirect_uri"]).unwrap();
    let pairs = [
        ("code", code.as_str()),
        ("state", &asked["state"]),
        ("iss", &script.issuer),
    ];
    back.query_pairs_mut().extend_pairs(pairs);
    script.asked = asked;
    (StatusCode::SEE_OTHER, [(header::LOCATION, back.to_string())]).into_response()
}

async fn token(State(script): State<Shared>, headers: HeaderMap, body: String) -> Response {
    let mut script = script.lock();
    script.exchanged += 1;
    if let Some(response) = strange(&script.tokens) {
        return response;
    }
    // RFC 6749, 2.3.1: encoded as in a form, then as basic authentication is.
    let expected = format!("Basic {}", STANDARD.encode("muster:a+secret%3A+of+ours"));
    assert_eq!(headers[header::AUTHORIZATION], expected);
    let url = reqwest::Url::parse(&format!("http://form/?{body}")).unwrap();
    let form: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    assert_eq!(form["grant_type"], "authorization_code");
    assert_eq!(form["redirect_uri"], script.asked["redirect_uri"]);
    let code = &form["code"];
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes()));
    let bound = script
        .codes
        .get(code)
        .cloned()
        .filter(|(_, bound)| *bound == challenge);
    let (Some((nonce, _)), true) = (bound, script.spent.insert(code.clone())) else {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" }))).into_response();
    };
    let access_token = "an access token";
    let digest = Sha256::digest(access_token);
    let mut claims = json!({
        "iss": script.issuer, "aud": "muster", "nonce": nonce, "iat": now_s(), "exp": now_s() + 300,
        "at_hash": URL_SAFE_NO_PAD.encode(&digest[..16]),
    });
    for (name, value) in &script.claims {
        claims[name] = value.clone();
    }
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    let id_token = script.sign(&claims);
    let said = json!({ "access_token": access_token, "token_type": "Bearer", "id_token": id_token });
    Json(said).into_response()
}

async fn userinfo(State(script): State<Shared>, headers: HeaderMap) -> Json<Value> {
    assert_eq!(headers[header::AUTHORIZATION], "Bearer an access token");
    Json(script.lock().userinfo.clone())
}

impl Script {
    fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.key_id.clone());
        let hmac = |header: &mut Header, secret: &[u8]| {
            header.alg = Algorithm::HS256;
            EncodingKey::from_secret(secret)
        };
        let key = match self.sign {
            Key::Own => EncodingKey::from_ec_der(self.key.serialized_der()),
            Key::Hmac => hmac(&mut header, b"a secret: of ours"),
            Key::HmacOfPublic => hmac(&mut header, self.key.der_bytes()),
            Key::Foreign => {
                header.kid = Some("unknown".to_owned());
                EncodingKey::from_ec_der(self.foreign.serialized_der())
            }
            Key::None => {
                let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
                return format!("{}.{}.", part(&json!({ "alg": "none" })), part(claims));
            }
        };
        jsonwebtoken::encode(&header, claims, &key).unwrap()
    }
}
