//! Where machines bring files that people asked for: in pieces, each answered when it is on the disk.
//!
//! What may come is decided by the log: the file that a command `record.upload` named, from the machine that it was given to. The
//! form is described in [`muster_protocol::link::upload`].

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{Extensions, HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Limited};
use muster_model::recording::Name;
use muster_model::{GivenCommand, MachineId};
use muster_protocol::link::upload::{
    COMPLETE, CONTENT_TYPE, DIGEST, LENGTH, OFFSET, PIECE_MAX_BYTES, WITHIN_MS,
};
use muster_store::Part;
use std::time::Duration;
use uuid::Uuid;

use super::GatewayState;
use super::certificate::must_be;
use crate::api::error::ApiError;
use crate::api::params::machine_id;
use crate::api::recordings::{About, asked_for, on_disk};

/// How long one piece may take.
const PIECE_WITHIN: Duration = Duration::from_secs(60);

/// Machine and command.
type UploadPath = Result<Path<(String, String)>, PathRejection>;

fn named(path: UploadPath) -> Result<(String, String), ApiError> {
    let found = path.map(|Path(named)| named);
    found.map_err(|_| ApiError::not_asked_for("what was asked for has a name in letters and digits"))
}

/// How many bytes are here.
pub async fn offset(
    State(state): State<GatewayState>,
    path: UploadPath,
    extensions: Extensions,
) -> Result<Response, ApiError> {
    let (machine, command) = named(path)?;
    must_be(&state, &extensions, machine_id(&machine)?)?;
    let wish = Wish::of(&state, &machine, &command)?;
    let there = on_disk(&state, move |recordings| {
        let part = recordings.part(wish.part)?;
        let whole = recordings.list(wish.part.machine)?.into_iter();
        let known = whole
            .map(|stored| stored.about)
            .chain(recordings.removed(wish.part.machine)?);
        let mut known = known.filter_map(|about| serde_json::from_slice::<About>(&about).ok());
        Ok((part, known.any(|about| about.command_id == wish.given.command_id)))
    });
    Ok(match there.await? {
        // The answer to its last piece was lost.
        (None, true) => ([(COMPLETE, "?1")], answer(0)).into_response(),
        (part, _) => answer(part.map_or(0, |part| part.offset)),
    })
}

/// Takes a piece.
pub async fn append(
    State(state): State<GatewayState>,
    path: UploadPath,
    headers: HeaderMap,
    extensions: Extensions,
    body: Body,
) -> Result<Response, ApiError> {
    let (machine, command) = named(path)?;
    must_be(&state, &extensions, machine_id(&machine)?)?;
    let wish = Wish::of(&state, &machine, &command)?;
    if headers
        .get(header::CONTENT_TYPE)
        .is_none_or(|kind| kind != CONTENT_TYPE)
    {
        let detail = format!("send Content-Type: {CONTENT_TYPE}");
        return Err(ApiError::unreadable_body(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            detail,
        ));
    }
    let (offset, length) = (number(&headers, OFFSET)?, number(&headers, LENGTH)?);
    let digest = headers.get(DIGEST).map(digest).transpose()?;
    let reading = Limited::new(body, PIECE_MAX_BYTES).collect();
    let piece = match tokio::time::timeout(PIECE_WITHIN, reading).await {
        Ok(Ok(piece)) => piece.to_bytes(),
        Ok(Err(error)) => {
            let detail = format!("at most {PIECE_MAX_BYTES} bytes are taken at once: {error}");
            return Err(ApiError::unreadable_body(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        Err(_) => {
            let detail = format!("it did not come within {} s", PIECE_WITHIN.as_secs());
            return Err(ApiError::unreadable_body(StatusCode::REQUEST_TIMEOUT, detail));
        }
    };
    if piece.is_empty() && length > 0 && digest.is_none() {
        let detail = "an empty piece is only accepted with the digest, when all the rest is here";
        return Err(ApiError::does_not_fit(StatusCode::BAD_REQUEST, detail));
    }
    let last = offset + piece.len() as u64 == length;
    if last != digest.is_some() {
        let detail = format!("{DIGEST} comes with the last piece, and with no other");
        return Err(ApiError::does_not_fit(StatusCode::BAD_REQUEST, detail));
    }
    metrics::counter!("muster_recording_bytes_received_total").increment(piece.len() as u64);
    let about = wish.about(&state, digest)?;
    let received = on_disk(&state, move |recordings| {
        let end = recordings.append(wish.part, offset, length, &piece)?;
        if let Some(digest) = digest {
            recordings.finish(wish.part, &wish.name, digest, &about)?;
            tracing::info!(machine = %wish.part.machine, file = %wish.name.file(), "a recording is here");
        }
        Ok(end)
    });
    Ok(answer(received.await?))
}

/// What a command asked for.
struct Wish {
    part: Part,
    name: Name,
    given: GivenCommand,
}

impl Wish {
    /// Who brings what to where, if somebody asked for it.
    fn of(state: &GatewayState, machine: &str, command: &str) -> Result<Self, ApiError> {
        let machine: MachineId = machine_id(machine)?;
        let view = state
            .fleet
            .view(machine)
            .ok_or_else(|| ApiError::no_such_machine(machine))?;
        let given = view.commands.iter().find(|given| given.command_id == command);
        let wanted = given.and_then(|given| {
            let name = Name::of(&asked_for(given)?)?;
            let id = Uuid::try_parse(&given.command_id).ok()?;
            Some((given, name, id))
        });
        let Some((given, name, id)) = wanted else {
            let detail = "no command of the last ones for this machine asked for it";
            return Err(ApiError::not_asked_for(detail));
        };
        if state.fleet.now().wall > given.issued.plus_millis(WITHIN_MS) {
            return Err(ApiError::not_asked_for("it was asked for too long ago"));
        }
        Ok(Self {
            part: Part { machine, command: id },
            name,
            given: given.clone(),
        })
    }

    /// What is kept with it.
    fn about(&self, state: &GatewayState, digest: Option<[u8; 32]>) -> Result<Vec<u8>, ApiError> {
        let hex = digest.unwrap_or_default().map(|byte| format!("{byte:02x}"));
        let about = About {
            sha256: hex.concat(),
            received_at: state.fleet.now().wall,
            command_id: self.given.command_id.clone(),
            issuer: self.given.issuer.clone(),
            reason: self.given.reason.clone(),
        };
        serde_json::to_vec(&about).map_err(|error| ApiError::not_persisted(&error.to_string()))
    }
}

fn answer(offset: u64) -> Response {
    (StatusCode::NO_CONTENT, [(OFFSET, offset.to_string())]).into_response()
}

fn number(headers: &HeaderMap, name: &'static str) -> Result<u64, ApiError> {
    let text = headers.get(name).and_then(|value| value.to_str().ok());
    text.and_then(|text| text.parse().ok())
        .filter(|number| *number <= i64::MAX as u64)
        .ok_or_else(|| {
            let detail = format!("{name}: a number of bytes is needed");
            ApiError::does_not_fit(StatusCode::BAD_REQUEST, detail)
        })
}

/// `sha-256=:` base64 `:`. Source: RFC 9530, 2; RFC 9651, 3.3.5.
fn digest(value: &axum::http::HeaderValue) -> Result<[u8; 32], ApiError> {
    let bytes = value.to_str().ok().and_then(|text| {
        let text = text.strip_prefix("sha-256=:")?.strip_suffix(':')?;
        STANDARD.decode(text).ok()?.try_into().ok()
    });
    bytes.ok_or_else(|| {
        let detail = format!("{DIGEST}: sha-256=:BASE64: is accepted");
        ApiError::does_not_fit(StatusCode::BAD_REQUEST, detail)
    })
}
