//! Calibrations, for whoever is beside the machine.
//!
//! `GET /v1/calibration` lists how devices are calibrated, `GET /v1/calibration/DEVICE` has every version of one;
//! `POST /v1/calibration/DEVICE/check`, `apply`, `rollback` and `follow` look at a profile, put it in force, go back, and give up what was decided
//! here for what the server desires.

use http::{Method, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use muster_model::calibration::CalibrationReport;
use muster_reflex::calibration::{Profile, Record, Refusal, Refused};
use serde::{Deserialize, Serialize};

use super::{Call, Door, door, json, refuse, unescaped};
use crate::nodes::calibration::Act;

/// What all of it is under.
pub const PATH: &str = "/v1/calibration";
/// Longest reason, in characters.
const REASON_MAX_CHARS: usize = 500;

/// One device with all that is kept of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Which device.
    pub device: String,
    /// The version in force; 0: none.
    pub in_force: u32,
    /// Every version.
    pub record: Record,
}

/// What somebody wants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wish {
    /// The profile, to check or apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Box<Profile>>,
    /// The version to go back to; without it what was in force before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
    /// Why.
    pub reason: String,
}

/// What came of a wish.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Came {
    /// The version in force now; where nothing was to change, as it is.
    pub in_force: u32,
}

/// Why a profile was not accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusals {
    /// For a person.
    pub detail: String,
    /// Each place that is wrong.
    pub refusals: Vec<Refusal>,
}

pub(super) async fn answer(call: &Call<'_>, query: Option<&str>, doors: &[Door]) -> Response<Full<Bytes>> {
    let door = match door(query, doors) {
        Ok(door) => door,
        Err(detail) => return refuse(StatusCode::NOT_FOUND, &detail),
    };
    let path = call.path;
    let rest = path.trim_start_matches(PATH).trim_start_matches('/');
    let (device, what) = match rest.split_once('/') {
        Some((device, what)) => (unescaped(device), what),
        None => (unescaped(rest), ""),
    };
    match (call.method, device.as_str(), what) {
        (&Method::GET, "", _) => {
            let report: CalibrationReport = door.calibrator.book().report().unwrap_or_default();
            json(StatusCode::OK, &report)
        }
        (&Method::GET, _, "") => match door.calibrator.book().of(&device) {
            Some(record) => {
                let (in_force, record) = (record.in_force(), record.clone());
                json(
                    StatusCode::OK,
                    &Kept {
                        device,
                        in_force,
                        record,
                    },
                )
            }
            None => refuse(
                StatusCode::NOT_FOUND,
                &format!("there is no calibration of a device {device:?}"),
            ),
        },
        (&Method::POST, name, "check" | "apply" | "rollback" | "follow") if !name.is_empty() => {
            match serde_json::from_slice(&call.body) {
                Ok(wish) => carry_out(door, device, what, wish).await,
                Err(error) => refuse(
                    StatusCode::BAD_REQUEST,
                    &format!("the body is not understood: {error}"),
                ),
            }
        }
        _ => refuse(
            StatusCode::NOT_FOUND,
            "there are GET /v1/calibration, GET /v1/calibration/DEVICE and POST /v1/calibration/DEVICE/{check,apply,rollback,follow}",
        ),
    }
}

async fn carry_out(door: &Door, device: String, what: &str, wish: Wish) -> Response<Full<Bytes>> {
    let in_force = || door.calibrator.book().of(&device).map_or(0, Record::in_force);
    if what == "check" {
        let Some(profile) = wish.profile else {
            return refuse(
                StatusCode::BAD_REQUEST,
                "a profile is to be looked at: `profile` is missing",
            );
        };
        return match profile.compile(door.calibrator.limits().moves.get(&device).copied()) {
            Ok(_) => json(StatusCode::OK, &Came { in_force: in_force() }),
            Err(refusals) => refused(&Refused::Profile(refusals)),
        };
    }
    let reason = wish.reason.trim();
    let fits = (1..=REASON_MAX_CHARS).contains(&reason.chars().count());
    if !fits || reason.chars().any(char::is_control) {
        let detail = format!("say why, in 1 to {REASON_MAX_CHARS} characters without control characters");
        return refuse(StatusCode::BAD_REQUEST, &detail);
    }
    let act = match (what, wish.profile) {
        ("apply", Some(profile)) => Act::Apply(profile),
        ("apply", None) => {
            return refuse(
                StatusCode::BAD_REQUEST,
                "a profile is to be applied: `profile` is missing",
            );
        }
        ("rollback", _) => Act::RollBack(wish.to),
        (_, _) => Act::Follow,
    };
    tracing::warn!(machine = %door.name, %device, what, %reason, "a calibration is changed by somebody at the machine");
    match door.calibrator.ask(device.clone(), act, reason.to_owned()).await {
        Ok(in_force) => json(StatusCode::OK, &Came { in_force }),
        Err(error) => refused(&error),
    }
}

fn refused(error: &Refused) -> Response<Full<Bytes>> {
    let detail = error.to_string();
    let refusals = match error {
        Refused::Profile(refusals) => refusals.clone(),
        Refused::Cannot(_) => Vec::new(),
    };
    json(StatusCode::UNPROCESSABLE_ENTITY, &Refusals { detail, refusals })
}
