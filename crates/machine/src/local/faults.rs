//! Faults of a simulated machine, for whoever is beside it: `GET /v1/faults`, `POST /v1/faults/KIND[/SECONDS]`,
//! `DELETE /v1/faults[/KIND]`. A machine that is real has no such path.

use http::{Method, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use muster_model::simulation::{SimulatedFault, Simulation};
use muster_protocol::link::FAULT_MAX_S;

use super::{Door, door, json, refuse};

/// Answers, if the path is one of these.
pub(super) fn answer(
    method: &Method,
    path: &str,
    query: Option<&str>,
    doors: &[Door],
) -> Option<Response<Full<Bytes>>> {
    let rest = path.strip_prefix("/v1/faults")?;
    if !rest.is_empty() && !rest.starts_with('/') {
        return None;
    }
    let words: Vec<&str> = rest.split('/').filter(|word| !word.is_empty()).collect();
    Some(done(method, &words, query, doors).unwrap_or_else(|(status, detail)| refuse(status, &detail)))
}

fn done(
    method: &Method,
    words: &[&str],
    query: Option<&str>,
    doors: &[Door],
) -> Result<Response<Full<Bytes>>, (StatusCode, String)> {
    let door = door(query, doors).map_err(|detail| (StatusCode::NOT_FOUND, detail))?;
    let Some(desk) = &door.faults else {
        let detail = format!(
            "{} is real: only simulated machines have faults put into them",
            door.name
        );
        return Err((StatusCode::NOT_FOUND, detail));
    };
    let fault = |word: &str| {
        let fault: Result<SimulatedFault, _> = word.parse();
        fault.map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
    };
    match (method, words) {
        (&Method::GET, []) => {}
        (&Method::POST, [word, rest @ ..]) if rest.len() <= 1 => {
            let for_s = match rest.first() {
                None => None,
                Some(seconds) => match seconds.parse() {
                    Ok(seconds) if (1..=FAULT_MAX_S).contains(&seconds) => Some(seconds),
                    Ok(_) | Err(_) => {
                        let detail = format!("{seconds:?}: 1 to {FAULT_MAX_S} seconds are accepted");
                        return Err((StatusCode::BAD_REQUEST, detail));
                    }
                },
            };
            let fault = fault(word)?;
            if !desk.inject(fault, for_s) {
                let detail = format!("{fault} cannot happen to {}", door.name);
                return Err((StatusCode::BAD_REQUEST, detail));
            }
        }
        (&Method::DELETE, []) => desk.clear(None),
        (&Method::DELETE, [word]) => desk.clear(Some(fault(word)?)),
        _ => {
            let detail =
                "there are GET /v1/faults, POST /v1/faults/KIND[/SECONDS] and DELETE /v1/faults[/KIND]";
            return Err((StatusCode::NOT_FOUND, detail.to_owned()));
        }
    }
    let simulation = Simulation {
        possible: desk.possible().to_vec(),
        faults: desk.standing(),
    };
    Ok(json(StatusCode::OK, &simulation))
}
