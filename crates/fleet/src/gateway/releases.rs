//! Where machines fetch releases: manifests and contents by their SHA-256, in the shortest form that they can read, and what vouches for
//! manifests. The form is described in [`muster_protocol::link::release`].

use std::ops::Range;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use muster_protocol::link::release::{AVAILABLE_DICTIONARY, BLOBS, DCZ, MANIFESTS, METADATA, ZSTD};
use muster_release::Sha256Digest;
use muster_store::{ContentError, pieces_of_file};

use super::GatewayState;
use super::certificate::must_be;
use crate::api::error::ApiError;
use crate::api::params::machine_id;
use crate::releases::encodings::Form;
use crate::releases::metadata::Name;
use crate::releases::serving::{Part, Readable, Sent};
use crate::state::Stopping;

/// What is named by its digest is the same for ever.
const FOR_EVER: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("private, no-cache");
const KIND: HeaderValue = HeaderValue::from_static("application/octet-stream");
const VARY: HeaderValue = HeaderValue::from_static("accept-encoding, available-dictionary");

/// Machine, kind and name.
type ReleasePath = Result<Path<(String, String, String)>, PathRejection>;

/// Hands one thing out.
pub async fn get(
    State(state): State<GatewayState>,
    path: ReleasePath,
    headers: HeaderMap,
    extensions: Extensions,
) -> Result<Response, ApiError> {
    let Path((machine, kind, name)) = path.map_err(|_| ApiError::no_such_content("what is no text"))?;
    let machine = machine_id(&machine)?;
    must_be(&state, &extensions, machine)?;
    if state.fleet.view(machine).is_none() {
        return Err(ApiError::no_such_machine(machine));
    }
    match kind.as_str() {
        METADATA => metadata(&state, &name, &headers).await,
        MANIFESTS | BLOBS => content(&state, &kind, &name, &headers).await,
        _ => Err(ApiError::no_such_content(&format!(
            "the kind {kind:?}: {MANIFESTS}, {BLOBS} and {METADATA} are here"
        ))),
    }
}

async fn metadata(state: &GatewayState, name: &str, headers: &HeaderMap) -> Result<Response, ApiError> {
    let named = Name::parse(name)?;
    let releases = state.releases.clone();
    let read = tokio::task::spawn_blocking(move || releases.metadata().get(named)).await;
    let bytes = read.map_err(|_| Stopping)??;
    let bytes = bytes.ok_or_else(|| ApiError::no_such_content(name))?;
    let tag = format!("\"{}\"", Sha256Digest::of(&bytes));
    let known = text(headers, header::IF_NONE_MATCH);
    let is_known = known.is_some_and(|known| known.split(',').any(|known| known.trim() == tag));
    let common = [
        (header::ETAG, value(&tag)),
        (header::CACHE_CONTROL, ASK_AGAIN),
        (header::CONTENT_TYPE, KIND),
    ];
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    count("metadata", bytes.len() as u64);
    Ok((common, bytes).into_response())
}

async fn content(
    state: &GatewayState,
    kind: &str,
    name: &str,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let none = || ApiError::no_such_content(name);
    let digest: Sha256Digest = name.parse().map_err(|_| none())?;
    let releases = &state.releases;
    if kind == MANIFESTS && releases.of_manifest(digest).is_none() {
        return Err(none());
    }
    let length = releases.length(digest).await?.ok_or_else(none)?;
    let tag = text(headers, header::IF_RANGE);
    let mut readable = readable(headers);
    loop {
        let sent = releases.best(digest, length, readable, tag).await;
        match answer(state, digest, length, &sent, headers).await {
            Ok(response) => return Ok(response),
            // The form was removed to make room before it was opened: it goes as it is.
            Err(Gone::Form(form)) => {
                releases.encodings().forget(form);
                readable = Readable::default();
            }
            Err(Gone::Content(error)) => return Err(error.into()),
        }
    }
}

/// What was there a moment ago, and cannot be opened.
enum Gone {
    Form(Form),
    Content(ContentError),
}

async fn answer(
    state: &GatewayState,
    digest: Sha256Digest,
    length: u64,
    sent: &Sent,
    headers: &HeaderMap,
) -> Result<Response, Gone> {
    let (tag, bytes) = (sent.tag(digest), sent.bytes(length));
    // What was begun under another tag begins anew.
    let goes_on = text(headers, header::IF_RANGE).is_none_or(|known| known == tag);
    let range = text(headers, header::RANGE).filter(|_| goes_on);
    let (status, range) = match Part::of(range, bytes) {
        Part::Whole => (StatusCode::OK, 0..bytes),
        Part::Range(range) => (StatusCode::PARTIAL_CONTENT, range),
        Part::Beyond => {
            let range = (header::CONTENT_RANGE, value(&format!("bytes */{bytes}")));
            return Ok(([range], ApiError::no_such_part(bytes)).into_response());
        }
    };
    let body = body(state, digest, sent, range.clone()).await?;
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let said = response.headers_mut();
    said.insert(header::ETAG, value(&tag));
    said.insert(header::CACHE_CONTROL, FOR_EVER);
    said.insert(header::CONTENT_TYPE, KIND);
    said.insert(header::VARY, VARY);
    said.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    said.insert(header::CONTENT_LENGTH, (range.end - range.start).into());
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("bytes {}-{}/{bytes}", range.start, range.end - 1);
        said.insert(header::CONTENT_RANGE, value(&text));
    }
    if let Sent::Encoded(word, _) = sent {
        said.insert(header::CONTENT_ENCODING, HeaderValue::from_static(word));
    }
    Ok(response)
}

async fn body(
    state: &GatewayState,
    digest: Sha256Digest,
    sent: &Sent,
    range: Range<u64>,
) -> Result<Body, Gone> {
    let word = sent.word();
    if range.is_empty() {
        return Ok(Body::empty());
    }
    match sent {
        Sent::Plain => {
            let pieces = state.releases.read(digest, range).await.map_err(Gone::Content)?;
            Ok(Body::from_stream(counted(pieces, word)))
        }
        Sent::Encoded(_, encoded) => {
            let opened = encoded.clone();
            let Ok(Ok(file)) = tokio::task::spawn_blocking(move || opened.open()).await else {
                return Err(Gone::Form(encoded.form));
            };
            let pieces = pieces_of_file(file, range, *digest.as_bytes());
            Ok(Body::from_stream(counted(pieces, word)))
        }
    }
}

fn counted(
    pieces: impl Stream<Item = Result<Bytes, ContentError>> + Send + 'static,
    word: &'static str,
) -> impl Stream<Item = Result<Bytes, ContentError>> + Send + 'static {
    pieces.inspect(move |piece| match piece {
        Ok(piece) => count(word, piece.len() as u64),
        Err(error) => {
            tracing::error!(error = %muster_runtime::errors::chain(error), "a machine does not get the rest of a release");
        }
    })
}

fn count(coding: &'static str, bytes: u64) {
    metrics::counter!("muster_release_bytes_served_total", "coding" => coding).increment(bytes);
}

/// What a machine says it can read.
fn readable(headers: &HeaderMap) -> Readable {
    let accepted: Vec<&str> = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let accepts = |coding: &str| {
        accepted.iter().any(|offer| {
            let mut words = offer.split(';').map(str::trim);
            let named = words.next().is_some_and(|word| word.eq_ignore_ascii_case(coding));
            let refused = |word: &str| {
                let weight = word.strip_prefix("q=").or_else(|| word.strip_prefix("Q="));
                weight.is_some_and(|weight| weight.parse() == Ok(0.0_f32))
            };
            named && !words.any(refused)
        })
    };
    let dictionary = headers
        .get(AVAILABLE_DICTIONARY)
        .and_then(|value| value.to_str().ok());
    let dictionary = dictionary.and_then(|text| {
        let text = text.trim().strip_prefix(':')?.strip_suffix(':')?;
        Sha256Digest::from_bytes(&STANDARD.decode(text).ok()?)
    });
    Readable {
        zstd: accepts(ZSTD),
        dcz: dictionary.filter(|_| accepts(DCZ)),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Digits, letters and signs of our own: they can always stand in a header.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}
