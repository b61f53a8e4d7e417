//! How releases come to the server: contents that are missing, then the manifest that names them, then what vouches for it.

use std::time::Duration;

use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::http::StatusCode;
use futures_util::{Stream, StreamExt};
use hyper::body::Body as _;
use muster_protocol::api::{
    Problem, RELEASE_CONTENTS_MAX, ReleaseContent, ReleaseContents, ReleasePublished,
};
use muster_release::Sha256Digest;
use muster_release::manifest::{FILE_MAX_BYTES, MANIFEST_MAX_BYTES};
use muster_store::PutContent;

use super::ReleasePath;
use crate::access::caller::Caller;
use crate::api::error::ApiError;
use crate::api::params::{Body, WordPath, read_at_most};
use crate::gateway::GatewayState;
use crate::releases::metadata::Name;
use crate::state::Stopping;

/// Who brings something and is silent for so long is gone.
const PIECE_WITHIN: Duration = Duration::from_secs(30);
/// How long a manifest may take.
pub(crate) const MANIFEST_WITHIN: Duration = Duration::from_secs(120);
/// How long metadata may take.
const METADATA_WITHIN: Duration = Duration::from_secs(30);

/// Say which contents the server lacks
///
/// Before a release is published.
#[utoipa::path(post, path = "/api/v1/releases/missing", operation_id = "missing_contents", tag = "releases", request_body = ReleaseContents, responses(
    (status = 200, description = "Those that are not here, or are damaged", body = ReleaseContents),
    (status = 400, description = "The body is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 408, description = "The body did not come in time", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The body is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn missing(
    State(state): State<GatewayState>,
    Body(body): Body<ReleaseContents>,
) -> Result<Json<ReleaseContents>, ApiError> {
    if body.contents.len() > RELEASE_CONTENTS_MAX {
        let detail = format!(
            "{}: up to {RELEASE_CONTENTS_MAX} are accepted at once",
            body.contents.len()
        );
        return Err(ApiError::bad_body("contents", detail));
    }
    let mut contents = Vec::new();
    for (index, content) in body.contents.into_iter().enumerate() {
        let digest: Sha256Digest = content.sha256.parse().map_err(|error| {
            let at = format!("contents[{index}].sha256");
            ApiError::bad_body(&at, format!("{error}"))
        })?;
        contents.push((digest, content.bytes));
    }
    let missing = state.releases.missing(contents).await?;
    let contents = missing.into_iter().map(|(digest, bytes)| ReleaseContent {
        sha256: digest.to_string(),
        bytes,
    });
    Ok(Json(ReleaseContents {
        contents: contents.collect(),
    }))
}

/// Bring some content
///
/// The body is the content as it is, with `Content-Length`. It is answered when it is on the disk. What is here already is nothing new.
#[utoipa::path(put, path = "/api/v1/releases/blobs/{sha256}", operation_id = "put_content", tag = "releases",
    params(("sha256" = String, Path, description = "The SHA-256 of the content, in hexadecimal")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses(
    (status = 200, description = "It was here", body = ReleaseContent),
    (status = 201, description = "It is here now", body = ReleaseContent),
    (status = 400, description = "The body broke off", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "What the path names is no text", body = Problem, content_type = "application/problem+json"),
    (status = 411, description = "Content-Length is missing", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The content is too long", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The content is not what it is said to be", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
    (status = 507, description = "There is no room", body = Problem, content_type = "application/problem+json"),
))]
pub async fn content(
    State(state): State<GatewayState>,
    WordPath(sha256): WordPath,
    body: HttpBody,
) -> Result<(StatusCode, Json<ReleaseContent>), ApiError> {
    let refused =
        |detail: String| ApiError::content_refused(StatusCode::UNPROCESSABLE_ENTITY, "path.sha256", detail);
    let digest: Sha256Digest = sha256.parse().map_err(|error| refused(format!("{error}")))?;
    let length = length(&body)?;
    let _place = state.releases.uploading()?;
    let put = state.releases.take(digest, length, pieces(body)).await?;
    let status = match put {
        PutContent::New => StatusCode::CREATED,
        PutContent::There => StatusCode::OK,
    };
    let content = ReleaseContent {
        sha256: digest.to_string(),
        bytes: length,
    };
    Ok((status, Json(content)))
}

/// Publish a release
///
/// The body is its manifest, byte for byte. All contents that it names must be here. A version is given once, and its counter must be higher than
/// that of every other version of the product. The same manifest again is nothing new.
#[utoipa::path(put, path = "/api/v1/releases/{product}/{version}", operation_id = "publish_release", tag = "releases",
    params(("product" = String, Path, description = "What it is a release of"), ("version" = String, Path, description = "Its version")),
    request_body(content = serde_json::Value, content_type = "application/json"), responses(
    (status = 200, description = "It was here", body = ReleasePublished),
    (status = 201, description = "It is published now", body = ReleasePublished),
    (status = 400, description = "The body broke off", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "What the path names is no text", body = Problem, content_type = "application/problem+json"),
    (status = 408, description = "The body did not come in time", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "Contents are missing, the version is taken, the counter is too low, or it waits for a second person", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The manifest is not accepted", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
    (status = 507, description = "There is no room", body = Problem, content_type = "application/problem+json"),
))]
pub async fn publish(
    State(state): State<GatewayState>,
    caller: Caller,
    path: ReleasePath,
    body: HttpBody,
) -> Result<(StatusCode, Json<ReleasePublished>), ApiError> {
    let _place = state.releases.uploading()?;
    let bytes = read_at_most(body, MANIFEST_MAX_BYTES, MANIFEST_WITHIN).await?;
    let title = format!("{}/{}", path.product, path.version);
    caller.note_object("release", title, Sha256Digest::of(&bytes).to_string());
    let now = state.fleet.now().wall;
    let published = state
        .releases
        .publish((&path.product, &path.version), bytes, caller.name(), now);
    let (release, is_new) = published.await?;
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let release = release.summary();
    Ok((status, Json(ReleasePublished { release, is_new })))
}

/// Publish what vouches for manifests
///
/// A document of The Update Framework by its name, byte for byte. What people signed, root and targets, is given out once; what the server signs
/// takes the place of what was there.
#[utoipa::path(put, path = "/api/v1/releases/metadata/{name}", operation_id = "put_release_metadata", tag = "releases",
    params(("name" = String, Path, description = "`N.root.json`, `N.targets.json`, `N.snapshot.json` or `timestamp.json`")),
    request_body(content = serde_json::Value, content_type = "application/json"), responses(
    (status = 201, description = "It is here now"),
    (status = 204, description = "It was here"),
    (status = 400, description = "The body broke off", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "What the path names is no text", body = Problem, content_type = "application/problem+json"),
    (status = 408, description = "The body did not come in time", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It is here with other content", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "It is no metadata, or other than its name says", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn metadata(
    State(state): State<GatewayState>,
    caller: Caller,
    WordPath(name): WordPath,
    body: HttpBody,
) -> Result<StatusCode, ApiError> {
    let name = Name::parse(&name)?;
    let most = usize::try_from(name.max_bytes()).unwrap_or(usize::MAX);
    let bytes = read_at_most(body, most, METADATA_WITHIN).await?;
    caller.note_object("metadata", name.to_string(), Sha256Digest::of(&bytes).to_string());
    let releases = state.releases.clone();
    let put = tokio::task::spawn_blocking(move || releases.metadata().put(name, &bytes)).await;
    let is_new = put.map_err(|_| Stopping)??;
    Ok(if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::NO_CONTENT
    })
}

/// How long a body will be.
fn length(body: &HttpBody) -> Result<u64, ApiError> {
    let length = body.size_hint().exact().ok_or_else(|| {
        let detail = "say how long it is with Content-Length".to_owned();
        ApiError::content_refused(StatusCode::LENGTH_REQUIRED, "header.content-length", detail)
    })?;
    if length > FILE_MAX_BYTES {
        let detail = format!("{length} bytes: up to {FILE_MAX_BYTES} are accepted");
        return Err(ApiError::content_refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            "header.content-length",
            detail,
        ));
    }
    Ok(length)
}

/// A body, as long as somebody sends it.
fn pieces(body: HttpBody) -> impl Stream<Item = Result<bytes::Bytes, String>> + Send {
    let parts = Box::pin(body.into_data_stream());
    futures_util::stream::unfold(Some(parts), |parts| async {
        let mut parts = parts?;
        match tokio::time::timeout(PIECE_WITHIN, parts.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(part))) => Some((Ok(part), Some(parts))),
            Ok(Some(Err(error))) => Some((Err(error.to_string()), None)),
            Err(_) => {
                let why = format!("nothing came for {} s", PIECE_WITHIN.as_secs());
                Some((Err(why), None))
            }
        }
    })
}
