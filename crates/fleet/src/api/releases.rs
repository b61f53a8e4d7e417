//! Releases that the server has. How they come here is [`publish`]; how machines fetch them, [`crate::gateway::releases`].

pub mod publish;

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use muster_model::MachineId;
use muster_protocol::api::{
    Problem, RELEASE_DELTAS_MAX, RELEASE_MACHINES_MAX, ReleaseDelta, ReleaseDeltas, ReleaseHealth,
    ReleaseHook, ReleasePage, ReleaseRunning,
};
use muster_release::Manifest;
use muster_release::manifest::{Health, HealthCheck, Hook, Payload, Precondition, Test};
use serde::Deserialize;

use super::error::ApiError;
use super::paging;
use super::params::Params;
use crate::access::caller::{Caller, Eyes};
use crate::gateway::{Gateway, GatewayState};
use crate::releases::Release;

/// Which releases.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReleaseParams {
    /// Only those of this product.
    product: Option<String>,
    /// Items on the page: 1 to 1,000, 100 by default.
    limit: Option<u32>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// List releases
#[utoipa::path(get, path = "/api/v1/releases", operation_id = "list_releases", tag = "releases", params(ReleaseParams), responses(
    (status = 200, description = "By product, of one the highest counter first", body = ReleasePage),
    (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
))]
pub async fn list(
    State(state): State<GatewayState>,
    Params(params): Params<ReleaseParams>,
) -> Result<Json<ReleasePage>, ApiError> {
    let limit = paging::limit(params.limit)?;
    let after: Option<(String, u64)> = params.cursor.as_deref().map(paging::read).transpose()?;
    let all = match &params.product {
        Some(product) => state.releases.of_product(product),
        None => state.releases.list(),
    };
    let comes_after = |release: &Arc<Release>| {
        after.as_ref().is_none_or(|(product, counter)| {
            release.product > *product || release.product == *product && release.counter < *counter
        })
    };
    let mut items: Vec<_> = all.into_iter().filter(comes_after).take(limit + 1).collect();
    let goes_on = items.len() > limit;
    items.truncate(limit);
    let last = items.last().filter(|_| goes_on);
    Ok(Json(ReleasePage {
        next_cursor: last.map(|last| paging::write(&(&last.product, last.counter))),
        items: items.iter().map(|release| release.summary()).collect(),
    }))
}

/// Show a release
#[utoipa::path(get, path = "/api/v1/releases/{product}/{version}", operation_id = "show_release", tag = "releases",
    params(("product" = String, Path, description = "What it is a release of"), ("version" = String, Path, description = "Its version")),
    responses(
    (status = 200, description = "What is in it, what it asks for, and who runs it", body = muster_protocol::api::Release),
    (status = 404, description = "There is no such release", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn show(
    State(state): State<GatewayState>,
    caller: Caller,
    path: ReleasePath,
) -> Result<Json<muster_protocol::api::Release>, ApiError> {
    let release = path.find(&state)?;
    let manifest = state.releases.manifest(&release).await?;
    let running = running(&state, &caller.eyes(), &release);
    Ok(Json(whole(&release, manifest, running)))
}

/// The manifest of a release, as it was published
#[utoipa::path(get, path = "/api/v1/releases/{product}/{version}/manifest", operation_id = "release_manifest", tag = "releases",
    params(("product" = String, Path, description = "What it is a release of"), ("version" = String, Path, description = "Its version")),
    responses(
    (status = 200, description = "Its bytes: their SHA-256 stands for the release", content_type = "application/json", body = serde_json::Value),
    (status = 404, description = "There is no such release", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn manifest(State(state): State<GatewayState>, path: ReleasePath) -> Result<Response, ApiError> {
    let release = path.find(&state)?;
    let bytes = state.releases.manifest_bytes(&release).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response())
}

/// What machines have to fetch for a release
///
/// It is found out by making every form in which contents go to machines, so it also makes them ready. What is not known within some seconds is
/// null: ask again.
#[utoipa::path(get, path = "/api/v1/releases/{product}/{version}/deltas", operation_id = "release_deltas", tag = "releases",
    params(("product" = String, Path, description = "What it is a release of"), ("version" = String, Path, description = "Its version")),
    responses(
    (status = 200, description = "From nothing, and from the 20 other versions with the highest counters", body = ReleaseDeltas),
    (status = 404, description = "There is no such release", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn deltas(
    State(state): State<GatewayState>,
    path: ReleasePath,
) -> Result<Json<ReleaseDeltas>, ApiError> {
    let release = path.find(&state)?;
    let manifest = state.releases.manifest(&release).await?;
    let mut others = state.releases.of_product(&release.product);
    others.retain(|other| other.version != release.version);
    others.truncate(RELEASE_DELTAS_MAX);
    let mut from = vec![None];
    from.extend(others.iter().cloned().map(Some));
    let mut known = state.releases.deltas(&release, &from).await?.into_iter();
    let full = known.next().flatten();
    let items = others.iter().zip(known).map(|(other, delta)| ReleaseDelta {
        from: other.version.clone(),
        counter: other.counter,
        bytes: delta.map(|delta| delta.bytes),
        contents: delta.map_or(0, |delta| delta.contents),
        shared: delta.map_or(0, |delta| delta.shared),
    });
    Ok(Json(ReleaseDeltas {
        product: release.product.clone(),
        version: release.version.clone(),
        content_bytes: manifest.contents().values().sum(),
        full_bytes: full.map(|delta| delta.bytes),
        items: items.collect(),
    }))
}

/// The release that a path names.
pub struct ReleasePath {
    product: String,
    version: String,
}

impl ReleasePath {
    fn find(&self, state: &Gateway) -> Result<Arc<Release>, ApiError> {
        let found = state.releases.get(&self.product, &self.version);
        found.ok_or_else(|| ApiError::no_such_release(&self.product, &self.version))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ReleasePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let found: Result<Path<(String, String)>, PathRejection> =
            Path::from_request_parts(parts, state).await;
        let found = found.map(|Path((product, version))| Self { product, version });
        found.map_err(|_| ApiError::no_such_release("with a name", "that is no text"))
    }
}

/// Who runs a release, of those that are seen.
fn running(state: &Gateway, eyes: &Eyes, release: &Release) -> ReleaseRunning {
    let digest = release.manifest_digest();
    let mut running = ReleaseRunning {
        machines: 0,
        confirmed: 0,
        some: Vec::new(),
    };
    let mut machines: Vec<MachineId> = Vec::new();
    for view in state.fleet.views() {
        let report = view.reported.updates.as_deref();
        let product = report.and_then(|report| report.product(&release.product));
        let runs = product.and_then(|product| product.running.as_ref());
        let Some(runs) = runs.filter(|runs| runs.release.manifest == digest) else {
            continue;
        };
        if eyes.see(&view) {
            running.machines += 1;
            running.confirmed += u64::from(runs.confirmed);
            machines.push(view.id);
        }
    }
    machines.sort();
    machines.truncate(RELEASE_MACHINES_MAX);
    running.some = machines;
    running
}

fn whole(release: &Release, manifest: Manifest, running: ReleaseRunning) -> muster_protocol::api::Release {
    let contents = manifest.contents();
    let hooks = |hooks: Vec<Hook>| {
        let hooks = hooks.into_iter().map(|hook| ReleaseHook {
            command: hook.command,
            within_s: hook.within_s,
        });
        hooks.collect()
    };
    muster_protocol::api::Release {
        summary: release.summary(),
        entries: manifest.entries.len() as u64,
        contents: contents.len() as u64,
        content_bytes: contents.values().sum(),
        starts: match manifest.payload {
            Payload::Agent(started) | Payload::Executable(started) => Some(started.entry),
            Payload::Image(image) => Some(image.reference),
            Payload::Tree => None,
        },
        before: hooks(manifest.hooks.before),
        after: hooks(manifest.hooks.after),
        health: manifest.health.map(health),
        preconditions: manifest.preconditions.iter().map(precondition).collect(),
        running,
    }
}

fn health(health: Health) -> ReleaseHealth {
    let checks = health.checks.into_iter().map(|check| match check {
        HealthCheck::Process => "process".to_owned(),
        HealthCheck::Port(port) => format!("port={port}"),
        HealthCheck::Command(command) => format!("command={}", command.command.join(" ")),
    });
    ReleaseHealth {
        checks: checks.collect(),
        hold_s: health.hold_s,
        within_s: health.within_s,
    }
}

/// As `muster release create --require` takes it.
fn precondition(precondition: &Precondition) -> String {
    let reading = &precondition.reading;
    match &precondition.test {
        Test::AtLeast(least) => format!("{reading}>={least}"),
        Test::AtMost(most) => format!("{reading}<={most}"),
        Test::In(words) => format!("{reading} in {}", words.join(",")),
    }
}
