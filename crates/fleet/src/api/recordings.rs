//! Recordings of machines: which there are, and those that were brought here.
//!
//! One is asked for with the command `record.upload` ([`super::commands`]), and comes by [`crate::gateway::uploads`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use muster_model::recording::Shown;
use muster_model::{GivenCommand, MachineId, MachineView, Timestamp};
use muster_protocol::api::{
    MachineRecording, MachineRecordings, Problem, RecordingTransfer, StoredRecording, TransferState,
};
use muster_protocol::link::{CommandKind, UploadArguments};
use muster_store::{Part, PartState, Recordings, RecordingsError};
use serde::{Deserialize, Serialize};
use tower::ServiceExt;
use tower_http::services::ServeFile;
use uuid::Uuid;

use super::error::ApiError;
use super::params::{MachinePath, machine_id};
use crate::gateway::GatewayState;
use crate::state::Stopping;

/// What is kept with a recording. Its fields are those that the API says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// SHA-256, in hexadecimal.
    pub sha256: String,
    /// When all of it was here.
    pub received_at: Timestamp,
    /// The command that asked for it.
    pub command_id: String,
    /// Who asked for it.
    pub issuer: String,
    /// Why.
    pub reason: String,
}

/// Recordings of one machine
#[utoipa::path(get, path = "/api/v1/machines/{id}/recordings", operation_id = "machine_recordings", tag = "machines",
    params(("id" = String, Path, description = "The machine", format = Uuid)), responses(
    (status = 200, description = "Those that the machine keeps, and those that are here", body = MachineRecordings),
    (status = 400, description = "The id is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such machine", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn list(
    State(state): State<GatewayState>,
    MachinePath(id): MachinePath,
) -> Result<Json<MachineRecordings>, ApiError> {
    let view = state
        .fleet
        .view(id)
        .ok_or_else(|| ApiError::no_such_machine(id))?;
    let (stored, removed, parts) = on_disk(&state, move |recordings| {
        Ok((
            recordings.list(id)?,
            recordings.removed(id)?,
            recordings.parts(id)?,
        ))
    })
    .await?;
    let removed = removed
        .iter()
        .filter_map(|about| serde_json::from_slice(about).ok());
    let on_disk = OnDisk {
        parts,
        removed: removed.map(|about: About| about.command_id).collect(),
        recordings: &state.recordings,
        machine: id,
    };
    let stored = stored.into_iter().filter_map(|stored| {
        let about: About = serde_json::from_slice(&stored.about).ok()?;
        let shown = Shown::of(&stored.file, stored.bytes)?;
        Some((shown, here(stored.bytes, about)))
    });
    let (used_bytes, max_bytes) = state.recordings.usage();
    let said = view.reported.recordings.as_deref();
    Ok(Json(MachineRecordings {
        machine_id: id,
        records: said.is_some(),
        paused: said.and_then(|said| said.paused.clone()),
        rolling_s: said.map_or(0, |said| said.rolling_s),
        rolling_bytes: said.map_or(0, |said| said.rolling_bytes),
        used_bytes,
        max_bytes,
        items: items(&view, stored.collect(), &on_disk, state.fleet.now().wall),
    }))
}

/// Download a recording that is here
///
/// Part of it can be asked for with `Range`.
#[utoipa::path(get, path = "/api/v1/machines/{id}/recordings/{file}", operation_id = "download_recording", tag = "machines",
    params(
        ("id" = String, Path, description = "The machine", format = Uuid),
        ("file" = String, Path, description = "The recording's file, as the list says it"),
    ), responses(
    (status = 200, description = "The MCAP file", content_type = "application/octet-stream", body = Vec<u8>),
    (status = 206, description = "The part that was asked for", content_type = "application/octet-stream", body = Vec<u8>),
    (status = 400, description = "The id is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such recording here", body = Problem, content_type = "application/problem+json"),
    (status = 416, description = "There is no such part"),
))]
pub async fn download(
    State(state): State<GatewayState>,
    RecordingPath(id, file): RecordingPath,
    request: Request,
) -> Result<Response, ApiError> {
    let path = found(&state, id, &file).await?;
    let served = ServeFile::new(path).oneshot(request).await;
    // It has no errors: what cannot be read is answered with a status.
    let mut response = served.map_or_else(|never| match never {}, |served| served.map(HttpBody::new));
    if response.status() == StatusCode::NOT_FOUND {
        return Err(ApiError::no_such_recording(&file));
    }
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    // A name of ours holds nothing that would have to be quoted.
    if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename=\"{file}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

/// Remove a recording from the server
///
/// What the machine has stays there.
#[utoipa::path(delete, path = "/api/v1/machines/{id}/recordings/{file}", operation_id = "remove_recording", tag = "machines",
    params(
        ("id" = String, Path, description = "The machine", format = Uuid),
        ("file" = String, Path, description = "The recording's file, as the list says it"),
    ), responses(
    (status = 204, description = "It is gone"),
    (status = 400, description = "The id is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such recording here", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn remove(
    State(state): State<GatewayState>,
    RecordingPath(id, file): RecordingPath,
) -> Result<StatusCode, ApiError> {
    found(&state, id, &file).await?;
    let removed = file.clone();
    on_disk(&state, move |recordings| recordings.remove(id, &removed)).await?;
    tracing::info!(machine = %id, %file, "a recording was removed");
    Ok(StatusCode::NO_CONTENT)
}

/// The machine and the recording of a path.
pub struct RecordingPath(MachineId, String);

impl<S: Send + Sync> FromRequestParts<S> for RecordingPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let found: Result<Path<(String, String)>, PathRejection> =
            Path::from_request_parts(parts, state).await;
        let Path((id, file)) = found.map_err(|_| ApiError::no_such_recording("of that name"))?;
        Ok(Self(machine_id(&id)?, file))
    }
}

async fn found(state: &GatewayState, id: MachineId, file: &str) -> Result<PathBuf, ApiError> {
    let name = file.to_owned();
    match on_disk(state, move |recordings| recordings.path(id, &name)).await {
        Err(error) if error.is_not_found() => Err(ApiError::no_such_recording(file)),
        found => found,
    }
}

/// Does something with the files, which takes its time.
pub(crate) async fn on_disk<T: Send + 'static>(
    state: &GatewayState,
    work: impl FnOnce(&Recordings) -> Result<T, RecordingsError> + Send + 'static,
) -> Result<T, ApiError> {
    let recordings = state.recordings.clone();
    let done = tokio::task::spawn_blocking(move || work(&recordings)).await;
    Ok(done.map_err(|_| Stopping)??)
}

fn here(bytes: u64, about: About) -> StoredRecording {
    StoredRecording {
        bytes,
        sha256: about.sha256,
        received_at: about.received_at,
        command_id: about.command_id,
        issuer: about.issuer,
        reason: about.reason,
    }
}

/// Everything there is of one machine, the newest first.
fn items(
    view: &MachineView,
    stored: Vec<(Shown, StoredRecording)>,
    on_disk: &OnDisk<'_>,
    now: Timestamp,
) -> Vec<MachineRecording> {
    let mut items: BTreeMap<String, MachineRecording> = BTreeMap::new();
    let said = view.reported.recordings.as_deref();
    for kept in said.into_iter().flat_map(|said| &said.kept) {
        if let Some(shown) = Shown::of(&kept.file, kept.bytes) {
            let item = items.entry(shown.file.clone()).or_insert_with(|| unknown(shown));
            item.on_machine = true;
        }
    }
    for (shown, here) in stored {
        let item = items.entry(shown.file.clone()).or_insert_with(|| unknown(shown));
        item.stored = Some(here);
    }
    // The newest command counts.
    for given in view.commands.iter() {
        let Some(file) = asked_for(given) else { continue };
        let part = on_disk.part(given);
        let Some(shown) = Shown::of(&file, part.map_or(0, |part| part.length)) else {
            continue;
        };
        if on_disk.removed.contains(&given.command_id) {
            // It came, and people did away with it: nothing is on its way.
            if let Some(item) = items.get_mut(&file) {
                item.transfer = None;
            }
            continue;
        }
        let item = items.entry(file).or_insert_with(|| unknown(shown));
        item.transfer = Some(transfer(view, given, on_disk, now));
    }
    for item in items.values_mut() {
        item.transfer = item.transfer.take().filter(|_| item.stored.is_none());
    }
    let mut items: Vec<MachineRecording> = items.into_values().collect();
    items.sort_by(|a, b| (b.to, &b.file).cmp(&(a.to, &a.file)));
    items
}

fn unknown(shown: Shown) -> MachineRecording {
    MachineRecording {
        file: shown.file,
        bytes: shown.bytes,
        from: shown.from,
        to: shown.to,
        why: shown.why,
        pinned: shown.pinned,
        on_machine: false,
        stored: None,
        transfer: None,
    }
}

/// The file that a command asks for, if it is one that does.
pub(crate) fn asked_for(given: &GivenCommand) -> Option<String> {
    if CommandKind::of(&given.kind) != Some(CommandKind::RecordUpload) {
        return None;
    }
    let arguments = UploadArguments::read(given.arguments.as_ref()).ok()?;
    Some(arguments.file)
}

/// How far the files of one machine are.
struct OnDisk<'a> {
    parts: Vec<PartState>,
    /// Commands whose files were here and were removed.
    removed: Vec<String>,
    recordings: &'a Recordings,
    machine: MachineId,
}

impl OnDisk<'_> {
    /// How far the one is that a command asked for.
    fn part(&self, given: &GivenCommand) -> Option<PartState> {
        let command = Uuid::try_parse(&given.command_id).ok()?;
        let found = self.parts.iter().find(|state| state.part.command == command);
        found.copied()
    }

    /// Why its last piece was not taken.
    fn trouble(&self, given: &GivenCommand) -> Option<String> {
        self.recordings.trouble(Part {
            machine: self.machine,
            command: Uuid::try_parse(&given.command_id).ok()?,
        })
    }
}

fn transfer(
    view: &MachineView,
    given: &GivenCommand,
    on_disk: &OnDisk<'_>,
    now: Timestamp,
) -> RecordingTransfer {
    let part = on_disk.part(given);
    let said = view.reported.recordings.as_deref();
    let failed = said
        .into_iter()
        .flat_map(|said| &said.failed)
        .find(|failed| failed.command_id == given.command_id);
    let (state, detail) = match (&given.answer, failed) {
        (_, Some(failed)) => (TransferState::Failed, Some(failed.why.clone())),
        (Some(answer), None) if !answer.is_receipt() => {
            let why = answer.reason.clone().unwrap_or_else(|| answer.outcome.clone());
            (TransferState::Failed, Some(why))
        }
        (Some(_), None) if part.is_some() => (TransferState::Coming, on_disk.trouble(given)),
        (Some(_), None) => (TransferState::Accepted, on_disk.trouble(given)),
        (None, None) if now < given.expires => (TransferState::Asked, None),
        (None, None) => {
            let why = "the machine was not heard of in time: ask again";
            (TransferState::Failed, Some(why.to_owned()))
        }
    };
    RecordingTransfer {
        command_id: given.command_id.clone(),
        state,
        offset: part.map_or(0, |part| part.offset),
        length: part.map(|part| part.length),
        issuer: given.issuer.clone(),
        asked_at: given.issued,
        detail,
    }
}
