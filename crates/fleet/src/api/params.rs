//! Query strings and bodies, refused with their place when they are wrong.

use std::time::Duration;

use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, Json, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use futures_util::StreamExt;
use muster_model::MachineId;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// How long a client may take for the body of a request, as for its head.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// The longest body.
const BODY_MAX_BYTES: usize = 2 << 20;
/// The longest body of whoever need not say who they are: there may be many, and each could stop half-way.
const STRANGERS_BODY_MAX_BYTES: usize = 16 << 10;
/// Of a body that is too long so much is read before its sender is cut off.
const THROWN_AWAY_MAX_BYTES: usize = 64 << 20;

/// The query string.
pub struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => {
                let text = rejection.body_text();
                // "Failed to deserialize query string: limit: invalid digit found in string"
                let detail = text.split_once(": ").map_or(text.as_str(), |(_, detail)| detail);
                match detail.split_once(": ") {
                    Some((name, detail)) if !name.contains(' ') => Err(ApiError::bad_parameter(name, detail)),
                    _ => Err(ApiError::bad_request("MST-A001", detail.to_owned())),
                }
            }
        }
    }
}

/// The id of a machine in the path.
pub struct MachinePath(pub MachineId);

impl<S: Send + Sync> FromRequestParts<S> for MachinePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let found: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        let text = found
            .map(|Path(text)| text)
            .map_err(|_| ApiError::no_such_machine("of that name"))?;
        machine_id(&text).map(Self)
    }
}

/// The id of a machine as it stands in a path.
pub fn machine_id(text: &str) -> Result<MachineId, ApiError> {
    text.parse().map_err(|_| {
        let detail =
            format!("{text:?} is no machine id: ids are UUIDs like 0192f0c1-7b5e-7c3a-9d2f-3f1f6b1c9a10");
        ApiError::bad_request("MST-A001", detail)
    })
}

/// A word in the path that can be any text, such as the id of a token. What is no text names nothing.
pub struct WordPath(pub String);

impl<S: Send + Sync> FromRequestParts<S> for WordPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let found: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        let word = found.map(|Path(word)| Self(word));
        word.map_err(|_| ApiError::no_such("thing", "with a name that is no text"))
    }
}

/// A short JSON body: for routes that need nobody.
pub struct SmallBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for SmallBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        json(request, state, STRANGERS_BODY_MAX_BYTES).await.map(Self)
    }
}

/// A JSON body.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        json(request, state, BODY_MAX_BYTES).await.map(Self)
    }
}

async fn json<S: Send + Sync, T: DeserializeOwned>(
    request: Request,
    state: &S,
    max_bytes: usize,
) -> Result<T, ApiError> {
    let (parts, body) = request.into_parts();
    let request = Request::from_parts(parts, read_at_most(body, max_bytes, BODY_WITHIN).await?.into());
    match Json::<T>::from_request(request, state).await {
        Ok(Json(body)) => Ok(body),
        Err(rejection) => {
            let status = rejection.status();
            let detail = match &rejection {
                JsonRejection::MissingJsonContentType(_) => "send Content-Type: application/json".to_owned(),
                _ => rejection.body_text(),
            };
            Err(ApiError::unreadable_body(status, detail))
        }
    }
}

/// Reads a body to its end, in bounded time.
pub async fn read(body: axum::body::Body) -> Result<Vec<u8>, ApiError> {
    read_at_most(body, BODY_MAX_BYTES, BODY_WITHIN).await
}

/// As [`read`], with other bounds.
pub async fn read_at_most(
    body: axum::body::Body,
    max_bytes: usize,
    within: Duration,
) -> Result<Vec<u8>, ApiError> {
    let Ok(read) = tokio::time::timeout(within, whole(body, max_bytes)).await else {
        let detail = format!("it did not come within {} s", within.as_secs());
        return Err(ApiError::unreadable_body(StatusCode::REQUEST_TIMEOUT, detail));
    };
    read
}

/// Reads a body to its end. One that is too long is read and thrown away: who is still sending when the connection closes
/// would see it broken, and not the answer.
async fn whole(body: axum::body::Body, max_bytes: usize) -> Result<Vec<u8>, ApiError> {
    let mut parts = body.into_data_stream();
    let (mut whole, mut length) = (Vec::new(), 0);
    while let Some(part) = parts.next().await {
        let part = part.map_err(|error| {
            let detail = format!("it broke off: {error}");
            ApiError::unreadable_body(StatusCode::BAD_REQUEST, detail)
        })?;
        length += part.len();
        if length <= max_bytes {
            whole.extend_from_slice(&part);
        } else {
            whole = Vec::new();
        }
        if length > THROWN_AWAY_MAX_BYTES {
            break;
        }
    }
    if length <= max_bytes {
        return Ok(whole);
    }
    let detail = format!("it is longer than {max_bytes} bytes");
    Err(ApiError::unreadable_body(StatusCode::PAYLOAD_TOO_LARGE, detail))
}
