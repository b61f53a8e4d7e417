//! What is desired of machines: read, changed and removed, under a precondition.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::ETAG;
use axum::response::{IntoResponse, Response};
use muster_model::desired::{DesiredStatus, check_content};
use muster_model::{DesiredVersion, MachineId};
use muster_protocol::api::{Desired, DesiredChange, DesiredHistory, DesiredPast, DesiredSection};

use super::Received;
use super::answers::refuse;
use super::fixture::{Fleet, problem};

pub(super) fn answer(
    fleet: &mut Fleet,
    id: MachineId,
    received: &Received,
    section: Option<&str>,
    reason: Option<&String>,
) -> Response {
    let now = fleet.now;
    let looked = section.is_none();
    let next = looked.then(|| fleet.desired_steps.pop_front()).flatten();
    let desired = fleet.desired.entry(id).or_insert_with(|| Desired {
        machine_id: id,
        version: DesiredVersion::ZERO,
        held_version: DesiredVersion::ZERO,
        converged: true,
        sections: Vec::new(),
    });
    let Some(section) = section else {
        if let Some(step) = next {
            step(desired);
        }
        return shown(desired);
    };
    if fleet.conflicts > 0 {
        // Somebody else was faster, with another section.
        fleet.conflicts -= 1;
        desired.version = desired.version.next();
    }
    let tag = tag(desired);
    match &received.if_match {
        Some(given) if given == "*" || *given == tag => {}
        Some(_) => return refuse(&problem(412, "MST-A005", "it was changed in the meantime")),
        None => return refuse(&problem(428, "MST-A006", "If-Match is needed")),
    }
    let version = desired.version.next();
    desired.sections.retain(|other| other.name != section);
    if received.method == "PUT" {
        let change: DesiredChange = match serde_json::from_str(&received.body) {
            Ok(change) => change,
            Err(error) => return refuse(&problem(422, "MST-A003", &error.to_string())),
        };
        let content = match check_content(&change.content) {
            Ok(content) => content,
            Err(refusal) => return refuse(&problem(422, "MST-A002", &refusal.to_string())),
        };
        desired.sections.push(DesiredSection {
            name: section.to_owned(),
            version,
            content,
            issuer: "local".to_owned(),
            reason: change.reason,
            changed_at: now,
            status: DesiredStatus::Pending,
            status_reason: None,
        });
    } else if reason.is_none() {
        return refuse(&problem(400, "MST-A001", "missing field `reason`"));
    }
    desired.version = version;
    let changed = desired.sections.iter().find(|changed| changed.name == section);
    let past = DesiredPast {
        version,
        content: changed.map(|changed| changed.content.clone()),
        issuer: "local".to_owned(),
        reason: changed.map_or_else(
            || reason.cloned().unwrap_or_default(),
            |changed| changed.reason.clone(),
        ),
        changed_at: now,
    };
    desired.converged = false;
    let shown = shown(desired);
    let all = fleet.desired_past.entry(id).or_default();
    all.push((section.to_owned(), past));
    shown
}

/// What was desired of a section, newest first.
pub(super) fn history(fleet: &Fleet, id: MachineId, section: &str) -> Response {
    let past = fleet.desired_past.get(&id).into_iter().flatten();
    let past = past.filter(|(of, _)| of == section).map(|(_, past)| past.clone());
    let items: Vec<DesiredPast> = past.rev().collect();
    Json(DesiredHistory {
        items,
        complete: true,
    })
    .into_response()
}

fn tag(desired: &Desired) -> String {
    format!("\"{}\"", desired.version)
}

fn shown(desired: &Desired) -> Response {
    (StatusCode::OK, [(ETAG, tag(desired))], Json(desired)).into_response()
}
