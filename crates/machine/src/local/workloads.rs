//! The workloads of a machine, and the services that it watches, for whoever is beside it.
//!
//! `GET /v1/workloads` says how all fare, `GET /v1/workloads/NAME` how one does, `GET /v1/workloads/NAME/logs/LINES` what it printed last;
//! `POST /v1/workloads/NAME/start`, `stop` and `restart` ask. `GET /v1/services` says how what is watched fares.

use http::{Method, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use muster_reflex::workload::Ask;

use super::{Call, Door, json, refuse};
use crate::nodes::workloads::{Desk, DeskError};

/// Where this module's paths begin.
const PATH: &str = "/v1/workloads";
/// How what the machine watches fares.
const SERVICES: &str = "/v1/services";
/// Lines where nobody says how many.
const LINES: usize = 50;

const PATHS: &str = "there are GET /v1/workloads, GET /v1/workloads/NAME, GET /v1/workloads/NAME/logs/LINES and POST \
                     /v1/workloads/NAME/{start,stop,restart}";

/// None where the path is not one of these.
pub(super) async fn answer(call: &Call<'_>, door: &Door) -> Option<Response<Full<Bytes>>> {
    if call.path == SERVICES && *call.method == Method::GET {
        return Some(match &door.services {
            Some(services) => json(StatusCode::OK, &*services.borrow()),
            None => refuse(
                StatusCode::NOT_FOUND,
                "this machine watches no services: its file names none",
            ),
        });
    }
    let rest = call.path.strip_prefix(PATH)?;
    if !rest.is_empty() && !rest.starts_with('/') {
        return None;
    }
    let Some(desk) = &door.desk else {
        return Some(refuse(
            StatusCode::NOT_FOUND,
            "this machine runs no workloads: it is simulated",
        ));
    };
    Some(at_the_desk(call.method, rest, desk, &door.name).await)
}

async fn at_the_desk(method: &Method, rest: &str, desk: &Desk, machine: &str) -> Response<Full<Bytes>> {
    let rest: Vec<_> = rest.split('/').skip(1).collect();
    let ask = match (method, rest.as_slice()) {
        (&Method::GET, []) => return json(StatusCode::OK, &desk.shown()),
        (&Method::GET, [name]) => return answered(&desk.one(name)),
        (&Method::GET, [name, "logs"]) => return logs(desk, name, LINES),
        (&Method::GET, [name, "logs", lines]) => {
            return match lines.parse() {
                Ok(lines) => logs(desk, name, lines),
                Err(_) => refuse(StatusCode::BAD_REQUEST, "how many lines is a number"),
            };
        }
        (&Method::POST, [_, "start"]) => Ask::Start,
        (&Method::POST, [_, "stop"]) => Ask::Stop,
        (&Method::POST, [_, "restart"]) => Ask::Restart,
        _ => return refuse(StatusCode::NOT_FOUND, PATHS),
    };
    let name = rest.first().copied().unwrap_or_default();
    tracing::warn!(machine, workload = name, ?ask, "asked by somebody at the machine");
    answered(&desk.ask(name, ask).await)
}

fn logs(desk: &Desk, name: &str, lines: usize) -> Response<Full<Bytes>> {
    answered(&desk.log(name, lines))
}

fn answered<T: serde::Serialize>(answer: &Result<T, DeskError>) -> Response<Full<Bytes>> {
    match answer {
        Ok(answer) => json(StatusCode::OK, answer),
        Err(error) => {
            let status = match error {
                DeskError::Unknown(_) => StatusCode::NOT_FOUND,
                DeskError::Busy => StatusCode::SERVICE_UNAVAILABLE,
                DeskError::Log(_) => StatusCode::INTERNAL_SERVER_ERROR,
            };
            refuse(status, &error.to_string())
        }
    }
}
