//! Calibrations, as far as the server can look at them: is a profile in order, and what does it make of values.
//!
//! Profiles come to machines as the desired section `calibration`; see [`super::desired`].

use axum::Json;
use axum::extract::State;
use muster_model::calibration::{DesiredCalibrations, Profile, Refusal};
use muster_protocol::api::{CalibrationCheck, Problem, ProblemField};

use super::error::ApiError;
use super::params::Body;
use crate::gateway::GatewayState;

/// Pairs of a curve.
const CURVE_POINTS: u32 = 129;

/// Look at a calibration profile
#[utoipa::path(post, path = "/api/v1/calibration/check", operation_id = "check_calibration", tag = "machines", request_body = Profile, responses(
    (status = 200, description = "What is to be said of it; nothing changes", body = CalibrationCheck),
    (status = 400, description = "The request is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "It is no profile", body = Problem, content_type = "application/problem+json"),
))]
pub async fn check(
    State(_): State<GatewayState>,
    Body(profile): Body<Profile>,
) -> Result<Json<CalibrationCheck>, ApiError> {
    Ok(Json(match profile.compile(None) {
        Ok(compiled) => {
            let input = profile.input;
            let point = |step: u32| {
                let value =
                    input.min + (input.max - input.min) * f64::from(step) / f64::from(CURVE_POINTS - 1);
                compiled.apply(value).map(|out| [value, out.value])
            };
            CalibrationCheck {
                accepted: true,
                refusals: Vec::new(),
                curve: (0..CURVE_POINTS).map(point).collect(),
            }
        }
        Err(refusals) => CalibrationCheck {
            accepted: false,
            refusals: refusals.into_iter().map(field).collect(),
            curve: None,
        },
    }))
}

/// What is wrong with the desired section, as far as that can be said without the machine.
pub(super) fn wrong_in(content: &serde_json::Value) -> Vec<ProblemField> {
    match serde_json::from_value::<DesiredCalibrations>(content.clone()) {
        Ok(desired) => desired.refusals().into_iter().map(field).collect(),
        Err(error) => vec![field(Refusal {
            at: String::new(),
            what: format!("profiles by device are accepted: {error}"),
        })],
    }
}

fn field(refusal: Refusal) -> ProblemField {
    ProblemField {
        at: refusal.at,
        detail: refusal.what,
    }
}
