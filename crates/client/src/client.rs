//! The client itself: address, time limits, and how one request is made and its answer read.

use std::time::Duration;

use muster_protocol::api::{Problem, SPEAKS_HTTPS};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;

use crate::error::ClientError;
use crate::page::Parameters;
use crate::trust;

/// Longest answer that is read, in bytes. The live stream has a limit of its own.
const ANSWER_MAX_BYTES: usize = 64 * 1024 * 1024;
/// How much of an odd answer is quoted, in characters.
const QUOTE_MAX_CHARS: usize = 120;

/// How the client behaves. The defaults suit a person at a terminal.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Longest time until a connection stands.
    pub connect_timeout: Duration,
    /// Longest time for a whole request, connection included.
    pub request_timeout: Duration,
    /// Longest silence on the live stream before the connection counts as lost. Servers send a sign of life every
    /// 15 seconds or less.
    pub idle_timeout: Duration,
    /// How long to wait before the live stream is connected again.
    pub backoff: crate::Backoff,
    /// What the program calls itself.
    pub user_agent: String,
    /// What it proves itself by, where the server asks.
    pub credential: Option<crate::Credential>,
    /// Certificates in PEM, of which one must have issued the server's own; none: those that the system trusts.
    pub authorities: Option<String>,
    /// Whether the credential may go to another computer in plain HTTP, where everybody on the way can read it.
    pub plain_credential: bool,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(45),
            backoff: crate::Backoff::default(),
            user_agent: concat!("muster-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            credential: None,
            authorities: None,
            plain_credential: false,
        }
    }
}

/// A client of one server. Cheap to clone: connections are shared.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    options: ClientOptions,
}

/// What is asked of the server: method, path below `/api/v1`, query.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a [&'a str],
    pub(crate) query: Parameters,
}

impl<'a> Request<'a> {
    pub(crate) fn get(path: &'a [&'a str], query: Parameters) -> Self {
        Self {
            method: Method::GET,
            path,
            query,
        }
    }
}

impl Client {
    /// A client of the server at this address: `https://fleet.example:7700`, `http://127.0.0.1:7700`, `fleet.local:7700`, or with a path in front of
    /// the API where a proxy adds one. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`ClientError::BadAddress`], [`ClientError::BadAuthorities`], [`ClientError::PlainCredential`], [`ClientError::SetUp`].
    pub fn new(address: &str, options: ClientOptions) -> Result<Self, ClientError> {
        let base = parse_address(address)?;
        let is_plain = base.scheme() == "http" && !is_loopback(&base);
        if is_plain && options.credential.is_some() && !options.plain_credential {
            return Err(ClientError::PlainCredential {
                address: base.as_str().trim_end_matches('/').to_owned(),
            });
        }
        let mut http = reqwest::Client::builder()
            .user_agent(&options.user_agent)
            .connect_timeout(options.connect_timeout)
            .redirect(reqwest::redirect::Policy::none());
        http = match &options.authorities {
            Some(pem) => http.tls_backend_preconfigured(trust::only(pem)?),
            // The system's certificates are many, and are not read where nothing is encrypted.
            None if base.scheme() == "http" => http.tls_backend_preconfigured(trust::nobody()?),
            None => http,
        };
        if is_loopback(&base) {
            // A proxy that the environment names is not meant for this very computer.
            http = http.no_proxy();
        }
        Ok(Self {
            http: http.build().map_err(ClientError::SetUp)?,
            base,
            options,
        })
    }

    /// The server's address, as errors name it.
    pub fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    pub(crate) fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// A request that is not yet sent, without a time limit for the whole of it.
    pub(crate) fn prepare(&self, request: Request<'_>) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(request.path);
        }
        let prepared = self
            .http
            .request(request.method, url)
            .query(&request.query.into_pairs())
            .header(ACCEPT, "application/json, application/problem+json");
        match &self.options.credential {
            Some(credential) => prepared.bearer_auth(credential.reveal()),
            None => prepared,
        }
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: Parameters,
    ) -> Result<T, ClientError> {
        let request = self.prepare(Request::get(path, query));
        let answer = self.send(request).await?;
        answer.document()
    }

    /// Sends a request and reads the whole answer; an answer that is an error becomes one.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Answer, ClientError> {
        self.send_within(request, self.options.request_timeout).await
    }

    /// As [`send`](Self::send), within another time.
    pub(crate) async fn send_within(
        &self,
        request: RequestBuilder,
        limit: Duration,
    ) -> Result<Answer, ClientError> {
        let response = request
            .timeout(limit)
            .send()
            .await
            .map_err(|source| ClientError::from_http(source, self.address(), limit))?;
        let answer = self.read(response).await?;
        answer.accepted()
    }

    /// Reads a whole answer, within limits.
    pub(crate) async fn read(&self, mut response: Response) -> Result<Answer, ClientError> {
        let mut answer = Answer {
            address: response.url().to_string(),
            status: response.status(),
            headers: response.headers().clone(),
            body: Vec::new(),
        };
        loop {
            let chunk = response.chunk().await.map_err(|source| {
                ClientError::from_http(source, self.address(), self.options.request_timeout)
            })?;
            let Some(chunk) = chunk else {
                return Ok(answer);
            };
            if answer.body.len() + chunk.len() > ANSWER_MAX_BYTES {
                return Err(answer.odd(format!("it is longer than {ANSWER_MAX_BYTES} bytes")));
            }
            answer.body.extend_from_slice(&chunk);
        }
    }
}

/// A whole answer.
pub(crate) struct Answer {
    address: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    /// This answer if it is a success, else the error that it tells of.
    pub(crate) fn accepted(self) -> Result<Self, ClientError> {
        if self.status.is_success() {
            return Ok(self);
        }
        match serde_json::from_slice::<Problem>(&self.body) {
            Ok(problem) => Err(ClientError::Problem(Box::new(problem))),
            Err(_) if self.body.starts_with(SPEAKS_HTTPS.as_bytes()) => Err(ClientError::SpeaksHttps {
                address: self.address,
            }),
            Err(_) => {
                let quote = self.quote();
                Err(self.odd(format!("status {}{quote}", self.status)))
            }
        }
    }

    /// The document in the body.
    pub(crate) fn document<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body).map_err(|error| self.odd(format!("{error}{}", self.quote())))
    }

    /// The error of an answer that is not Muster's.
    pub(crate) fn odd(&self, detail: String) -> ClientError {
        ClientError::unexpected(&self.address, self.status.as_u16(), &detail)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    /// The beginning of a body, so that a person sees who is talking.
    fn quote(&self) -> String {
        let is_text = self.headers.get(CONTENT_TYPE).is_none_or(|kind| {
            let kind = kind.to_str().unwrap_or("");
            kind.starts_with("text/") || kind.contains("json")
        });
        let text = String::from_utf8_lossy(&self.body);
        let line: String = text
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty())
            .unwrap_or("")
            .chars()
            .filter(|character| !character.is_control())
            .take(QUOTE_MAX_CHARS)
            .collect();
        if is_text && !line.is_empty() {
            format!(", beginning with {line:?}")
        } else {
            String::new()
        }
    }
}

fn parse_address(given: &str) -> Result<Url, ClientError> {
    let bad = |reason: &str| ClientError::BadAddress {
        given: given.to_owned(),
        reason: reason.to_owned(),
    };
    let trimmed = given.trim();
    let full = if trimmed.contains("://") {
        trimmed.to_owned()
    } else {
        format!("http://{trimmed}")
    };
    let url = Url::parse(&full).map_err(|error| bad(&error.to_string()))?;
    match url.scheme() {
        "http" | "https" => {}
        "ws" | "wss" => return Err(bad("that is the machines' door; the API speaks http and https")),
        _ => return Err(bad("the scheme is neither http nor https")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        // They would be shown in errors and kept in the shell's history.
        return Err(ClientError::BadAddress {
            given: "…".to_owned(),
            reason: "it holds a user or a password".to_owned(),
        });
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("it has a query or a fragment"));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or("");
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
