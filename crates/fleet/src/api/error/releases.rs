//! What is said of releases that are not taken, or are not here.

use axum::http::StatusCode;
use muster_runtime::errors::chain;
use muster_store::{ContentError, DocumentError};

use super::{ApiError, quoted};
use crate::releases::metadata::MetadataError;
use crate::releases::{PublishError, ReleasesError};
use crate::state::Stopping;

impl ApiError {
    /// There is no such release.
    pub fn no_such_release(product: &str, version: &str) -> Self {
        let detail = format!("there is no release {product} {version} here");
        Self::new(
            StatusCode::NOT_FOUND,
            "MST-A100",
            "There is no such release",
            quoted(&detail),
        )
    }

    /// A machine asks for something that is not here.
    pub fn no_such_content(name: &str) -> Self {
        let title = "There is no such content";
        let detail = format!("{name} is not here");
        Self::new(StatusCode::NOT_FOUND, "MST-A107", title, quoted(&detail))
    }

    /// A machine asks for a part that is not there.
    pub fn no_such_part(bytes: u64) -> Self {
        let detail = format!("it has {bytes} bytes: ask for a part of these");
        let title = "There is no such part";
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "MST-A108", title, detail)
    }

    /// Content is not taken.
    pub fn content_refused(status: StatusCode, at: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let title = "The content is not taken";
        Self::new(status, "MST-A105", title, detail.clone()).at(at, detail)
    }
}

fn unusable(error: &dyn std::error::Error) -> ApiError {
    let detail = chain(error);
    tracing::error!(error = %detail, "releases met an error of the store");
    ApiError::not_persisted(&detail)
}

impl From<ContentError> for ApiError {
    fn from(error: ContentError) -> Self {
        match &error {
            ContentError::Missing { sha256 } => Self::no_such_content(sha256),
            ContentError::Wrong { .. } => {
                Self::content_refused(StatusCode::UNPROCESSABLE_ENTITY, "body", error.to_string())
            }
            ContentError::CutOff { .. } => {
                Self::content_refused(StatusCode::BAD_REQUEST, "body", error.to_string())
            }
            ContentError::NoRoom { .. } => {
                let title = "There is no room for releases";
                Self::new(
                    StatusCode::INSUFFICIENT_STORAGE,
                    "MST-A106",
                    title,
                    error.to_string(),
                )
            }
            ContentError::Store { .. } | ContentError::Listing { .. } => unusable(&error),
        }
    }
}

impl From<ReleasesError> for ApiError {
    fn from(error: ReleasesError) -> Self {
        match error {
            // Of something that the catalogue names: nobody asked for it by its digest.
            ReleasesError::Content(error @ (ContentError::Missing { .. } | ContentError::Wrong { .. })) => {
                unusable(&error)
            }
            ReleasesError::Content(error) => error.into(),
            ReleasesError::Busy => {
                let title = "Too much is being brought at once";
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "MST-A109",
                    title,
                    error.to_string(),
                )
            }
            ReleasesError::Stopping => Stopping.into(),
            ReleasesError::Document(_)
            | ReleasesError::Record { .. }
            | ReleasesError::Manifest { .. }
            | ReleasesError::Disk { .. } => unusable(&error),
        }
    }
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        let conflict =
            |code: &str, title: &str| Self::new(StatusCode::CONFLICT, code, title, error.to_string());
        match &error {
            PublishError::Manifest(_) | PublishError::Product(_) | PublishError::Named { .. } => {
                let detail = quoted(&chain(&error));
                let title = "The manifest is not accepted";
                Self::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "MST-A101",
                    title,
                    detail.clone(),
                )
                .at("body", detail)
            }
            PublishError::Missing { .. } => conflict("MST-A102", "Contents are missing"),
            PublishError::VersionTaken { .. } => conflict("MST-A103", "The version is taken"),
            PublishError::Counter { .. } => conflict("MST-A104", "The counter is too low"),
            PublishError::Full => Self::as_things_stand(error.to_string()),
            PublishError::Document(DocumentError::Conflict { .. }) => {
                Self::as_things_stand(error.to_string())
            }
            PublishError::Document(_) => unusable(&error),
            PublishError::Stopping => Stopping.into(),
            PublishError::Content(_) => match error {
                PublishError::Content(error) => error.into(),
                error => unusable(&error),
            },
        }
    }
}

impl From<MetadataError> for ApiError {
    fn from(error: MetadataError) -> Self {
        let (status, title) = match &error {
            MetadataError::Disk(error) => return unusable(error),
            MetadataError::Taken { .. } => (StatusCode::CONFLICT, "The metadata is here already"),
            MetadataError::Name(_) | MetadataError::TooLong { .. } | MetadataError::Other { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "The metadata is not accepted")
            }
        };
        Self::new(status, "MST-A110", title, quoted(&error.to_string()))
    }
}
