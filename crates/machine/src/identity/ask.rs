//! One request to the server, with a document in each direction.

use std::time::Duration;

use http::{Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};

use super::IdentityError;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// How long an answer may be.
const ANSWER_MAX_BYTES: usize = 256 * 1024;

/// What is asked.
pub(crate) struct Ask<'a> {
    /// Of whom, for errors and as `Host`.
    pub(crate) authority: &'a str,
    /// How.
    pub(crate) method: Method,
    /// Where.
    pub(crate) path: &'a str,
    /// With what, as JSON; none: without.
    pub(crate) body: Option<String>,
}

/// What of a refusal matters here. Source: RFC 9457.
#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: String,
}

/// Asks on a connection that stands, and reads the answer.
pub(crate) async fn ask<T: DeserializeOwned>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ask: Ask<'_>,
) -> Result<T, IdentityError> {
    let server = ask.authority.to_owned();
    match tokio::time::timeout(ANSWER_WITHIN, asked(stream, ask)).await {
        Ok(answer) => answer,
        Err(_) => Err(IdentityError::Unreachable {
            server,
            why: format!("no answer within {} s", ANSWER_WITHIN.as_secs()),
        }),
    }
}

async fn asked<T: DeserializeOwned>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ask: Ask<'_>,
) -> Result<T, IdentityError> {
    let broken = |error: &dyn std::fmt::Display| IdentityError::Unreachable {
        server: ask.authority.to_owned(),
        why: error.to_string(),
    };
    let (mut sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    let request = Request::builder()
        .method(ask.method)
        .uri(ask.path)
        .header(header::HOST, ask.authority)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(ask.body.unwrap_or_default())))
        .map_err(|error| broken(&error))?;
    let answering = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| broken(&muster_runtime::errors::chain(&error)))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_MAX_BYTES).collect();
        let body = body.await.map_err(|error| broken(&error))?.to_bytes();
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| broken(&error));
        }
        Err(match serde_json::from_slice::<Problem>(&body) {
            Ok(Problem { code, detail }) => IdentityError::Refused { code, detail },
            Err(_) => broken(&format!("it answered {status}")),
        })
    };
    tokio::pin!(answering, connection);
    tokio::select! {
        answer = &mut answering => answer,
        // What was answered before the end still counts.
        ended = &mut connection => match ended {
            Ok(()) => answering.await,
            Err(error) => Err(broken(&muster_runtime::errors::chain(&error))),
        },
    }
}
