//! Asks a machine beside which one stands.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::{Refusal, SOCKET, Standing};

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long an answer may be.
const ANSWER_MAX_BYTES: usize = 16 << 20;

/// Why a machine was not reached, or refused.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Nobody listens there.
    #[error("no machine runs with the data directory {}: is it the right one (--data)?", data.display())]
    NotRunning {
        /// Which directory.
        data: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The system let nobody through, or the connection failed.
    #[error("the machine cannot be reached: {0}")]
    Unreachable(String),
    /// It was refused.
    #[error("{0}")]
    Refused(String),
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// How.
    pub method: &'a Method,
    /// `/v1/…`.
    pub path: &'a str,
    /// Which machine, where several are there.
    pub machine: Option<&'a str>,
    /// What goes with it, as JSON.
    pub body: Option<String>,
}

/// Asks, and reads the answer.
pub async fn ask<T: serde::de::DeserializeOwned>(data: &Path, ask: Ask<'_>) -> Result<T, LocalError> {
    match tokio::time::timeout(ANSWER_WITHIN, asked(data, ask)).await {
        Ok(answer) => answer,
        Err(_) => Err(LocalError::Unreachable(format!(
            "no answer within {} s",
            ANSWER_WITHIN.as_secs()
        ))),
    }
}

/// How one machine stands, after it was asked to do something or nothing.
pub async fn safety(data: &Path, press: Option<&str>, machine: Option<&str>) -> Result<Standing, LocalError> {
    let path = press.map_or("/v1/safety".to_owned(), |press| format!("/v1/safety/{press}"));
    let method = if press.is_some() {
        &Method::POST
    } else {
        &Method::GET
    };
    let asked = Ask {
        method,
        path: &path,
        machine,
        body: None,
    };
    ask(data, asked).await
}

/// How all machines stand that are reached there.
pub async fn machines(data: &Path) -> Result<Vec<Standing>, LocalError> {
    let asked = Ask {
        method: &Method::GET,
        path: "/v1/machines",
        machine: None,
        body: None,
    };
    ask(data, asked).await
}

async fn asked<T: serde::de::DeserializeOwned>(data: &Path, ask: Ask<'_>) -> Result<T, LocalError> {
    let unreachable = |error: &dyn std::fmt::Display| LocalError::Unreachable(error.to_string());
    let stream = UnixStream::connect(data.join(SOCKET)).await;
    let stream = stream.map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => LocalError::NotRunning {
            data: data.to_owned(),
            source,
        },
        _ => unreachable(&source),
    })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unreachable(&error))?;
    let query = ask
        .machine
        .map_or(String::new(), |name| format!("?machine={}", escaped(name)));
    let request = Request::builder()
        .method(ask.method)
        .uri(format!("{}{query}", ask.path))
        .header(http::header::HOST, "machine")
        .body(Full::new(Bytes::from(ask.body.unwrap_or_default())))
        .map_err(|error| unreachable(&error))?;
    let answering = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| unreachable(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_MAX_BYTES)
            .collect()
            .await;
        let body = body.map_err(|error| unreachable(&error))?.to_bytes();
        if !status.is_success() {
            let refusal: Result<Refusal, _> = serde_json::from_slice(&body);
            return Err(LocalError::Refused(
                refusal.map_or_else(|_| status.to_string(), |refusal| refusal.detail),
            ));
        }
        serde_json::from_slice(&body).map_err(|error| unreachable(&error))
    };
    tokio::pin!(answering);
    tokio::pin!(connection);
    tokio::select! {
        answer = &mut answering => answer,
        ended = &mut connection => match ended {
            // The connection ends together with its answer.
            Ok(()) => answering.await,
            Err(error) => Err(unreachable(&error)),
        },
    }
}

/// A name as it stands in a path or a query.
pub fn escaped(name: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    name.bytes()
        .map(|byte| {
            if plain(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
