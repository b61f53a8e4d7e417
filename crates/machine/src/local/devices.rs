//! What is connected to a machine, for programs beside it: looked at, and driven through the same gate as everything else.
//!
//! `GET /v1/devices` says what is there and what it reads. `POST /v1/claim` takes over (`{"authority": "local_manual", "for_ms": 5000}`),
//! `DELETE /v1/claim` lets go. `POST /v1/actuators/NAME` (`{"value": 0.5, "for_ms": 400}`) moves something while it is claimed. `POST
//! /v1/contacts/NAME/open` and `close` work simulated contacts, and no others.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Method, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use muster_model::devices::Devices;
use muster_model::vocabulary::Authority;
use serde::{Deserialize, Serialize};

use super::{Call, Door, json, refuse};
use crate::nodes::devices::Board;
use crate::nodes::safety::NotDriven;

/// Longest time for which one command may hold.
const DRIVE_MAX_MS: u64 = 500;
/// Longest claim.
const CLAIM_MAX_MS: u64 = 60_000;

/// What is connected, and what it reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connected {
    /// What the machine reports of its devices.
    #[serde(flatten)]
    pub devices: Devices,
    /// The newest reading of each sensor.
    pub readings: BTreeMap<String, Reading>,
    /// Simulated contacts, which can be opened and closed here.
    pub contacts: Vec<String>,
}

/// The newest reading of a sensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Its value; absent where there is none.
    pub value: Option<f64>,
    /// Its unit.
    pub unit: String,
    /// Why there is no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<String>,
}

/// A wish to move the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// In which capacity: `local_manual` or `service`.
    pub authority: Authority,
    /// For how long.
    pub for_ms: u64,
}

/// Who moves the machine now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// In which capacity.
    pub holder: Authority,
}

/// A command for an actuator.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drive {
    /// What it shall do, in its unit.
    pub value: f64,
    /// For how long; then it comes to rest unless it was told again.
    pub for_ms: u64,
    /// In which capacity.
    #[serde(default = "local_manual")]
    pub authority: Authority,
}

const fn local_manual() -> Authority {
    Authority::LocalManual
}

/// What the gate let through.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Let {
    /// The value, within the limits.
    pub value: f64,
}

/// The answer, if the request is one of these.
pub(super) async fn answer(call: &Call<'_>, door: &Door) -> Option<Response<Full<Bytes>>> {
    let mut path = call.path.strip_prefix("/v1/")?.split('/');
    let parts = (path.next()?, path.next(), path.next(), path.next());
    Some(match (call.method, parts) {
        (&Method::GET, ("devices", None, ..)) => match &door.board {
            Some(board) => json(StatusCode::OK, &connected(board)),
            None => nothing_connected(),
        },
        (&Method::POST, ("claim", None, ..)) => claim(call, door).await,
        (&Method::DELETE, ("claim", None, ..)) => hold(door, Authority::None, 0).await,
        (&Method::POST, ("actuators", Some(name), None, _)) => drive(call, door, name).await,
        (&Method::POST, ("contacts", Some(name), Some("open"), None)) => contact(door, name, false),
        (&Method::POST, ("contacts", Some(name), Some("close"), None)) => contact(door, name, true),
        (_, ("devices" | "claim" | "actuators" | "contacts", ..)) => refuse(
            StatusCode::METHOD_NOT_ALLOWED,
            "there are GET /v1/devices, POST and DELETE /v1/claim, POST /v1/actuators/NAME, and POST \
             /v1/contacts/NAME/{open,close}",
        ),
        _ => return None,
    })
}

fn nothing_connected() -> Response<Full<Bytes>> {
    refuse(
        StatusCode::NOT_FOUND,
        "no devices are described for this machine: see `devices` in its file",
    )
}

fn connected(board: &Board) -> Connected {
    let latest = board.latest();
    let readings = board.wiring().sensors.iter().map(|(name, sensor)| {
        let reading = latest.get(name).map(|latest| latest.reading.clone());
        let (value, silent) = match reading {
            Some(Ok(value)) => (Some(value), None),
            Some(Err(why)) => (None, Some(why)),
            None => (None, Some("not read yet".to_owned())),
        };
        let unit = sensor.unit.clone();
        (name.clone(), Reading { value, unit, silent })
    });
    Connected {
        devices: board.devices(),
        readings: readings.collect(),
        contacts: board.bench().contacts().map(str::to_owned).collect(),
    }
}

async fn claim(call: &Call<'_>, door: &Door) -> Response<Full<Bytes>> {
    let claim: Claim = match call.json() {
        Ok(claim) => claim,
        Err(refused) => return refused,
    };
    if !matches!(claim.authority, Authority::LocalManual | Authority::Service) {
        return refuse(
            StatusCode::UNPROCESSABLE_ENTITY,
            "authority: local_manual and service are accepted beside the machine",
        );
    }
    if !(1..=CLAIM_MAX_MS).contains(&claim.for_ms) {
        return refuse(
            StatusCode::UNPROCESSABLE_ENTITY,
            &format!("for_ms: 1 to {CLAIM_MAX_MS} are accepted; claim again before it ends"),
        );
    }
    hold(door, claim.authority, claim.for_ms).await
}

async fn hold(door: &Door, authority: Authority, for_ms: u64) -> Response<Full<Bytes>> {
    tracing::warn!(machine = %door.name, ?authority, for_ms, "claimed by somebody at the machine");
    match door.panel.claim(authority, Duration::from_millis(for_ms)).await {
        Ok(holder) => json(StatusCode::OK, &Holder { holder }),
        Err(error) => refuse(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

async fn drive(call: &Call<'_>, door: &Door, name: &str) -> Response<Full<Bytes>> {
    let Some(board) = &door.board else {
        return nothing_connected();
    };
    let Some((place, max)) = board
        .place(name)
        .and_then(|place| Some((place, board.wiring().actuators.get(name)?.max)))
    else {
        let known: Vec<&str> = board.wiring().actuators.keys().map(String::as_str).collect();
        let detail = format!("there is no actuator {name:?}; there are: {}", known.join(", "));
        return refuse(StatusCode::NOT_FOUND, &detail);
    };
    let command: Drive = match call.json() {
        Ok(command) => command,
        Err(refused) => return refused,
    };
    if !(1..=DRIVE_MAX_MS).contains(&command.for_ms) {
        return refuse(
            StatusCode::UNPROCESSABLE_ENTITY,
            &format!("for_ms: 1 to {DRIVE_MAX_MS} are accepted; say it again before it ends"),
        );
    }
    let lasts = Duration::from_millis(command.for_ms);
    let driven = door
        .panel
        .drive(place, command.authority, command.value, lasts)
        .await;
    match driven {
        Ok(()) => json(
            StatusCode::OK,
            &Let {
                value: command.value.clamp(-max, max),
            },
        ),
        Err(error @ NotDriven::Refused(_)) => refuse(StatusCode::CONFLICT, &error.to_string()),
        Err(error @ NotDriven::NoSuchActuator) => refuse(StatusCode::NOT_FOUND, &error.to_string()),
        Err(error @ NotDriven::NotHeard) => refuse(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

fn contact(door: &Door, name: &str, closed: bool) -> Response<Full<Bytes>> {
    let Some(board) = &door.board else {
        return nothing_connected();
    };
    tracing::warn!(machine = %door.name, contact = name, closed, "a simulated contact is worked");
    if board.bench().set_contact(name, closed) {
        return json(StatusCode::OK, &connected(board));
    }
    let known: Vec<&str> = board.bench().contacts().collect();
    let detail = format!(
        "there is no simulated contact {name:?}; there are: {}",
        known.join(", ")
    );
    refuse(StatusCode::NOT_FOUND, &detail)
}
