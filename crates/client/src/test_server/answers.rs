//! What the API answers to a request.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use muster_model::{Filter, MachineId, Presence, Timestamp};
use muster_protocol::api::{
    CommandTold, DisplayName, EventPage, GiveCommand, GivenCommand, Labels, LogLine, LogPage, Machine,
    MachineCommands, MachinePage, MachineSummary, Problem, Stop, StopRequest, StopTold, StopsIssued,
    Telemetry, Timeline,
};

use super::Received;
use super::fixture::{Fleet, problem};

type Query = BTreeMap<String, String>;

pub(super) fn answer(fleet: &mut Fleet, received: &Received, uri: &Uri) -> Response {
    let query = read_query(uri);
    let path = uri.path().strip_prefix("/api/v1/").unwrap_or("");
    let segments: Vec<&str> = path.split('/').collect();
    match (received.method.as_str(), segments.as_slice()) {
        ("GET", ["machines"]) => {
            step_stops(fleet);
            machines(fleet, &query)
        }
        ("POST", ["stop"]) => stop(fleet, received),
        ("GET", ["fleet", "summary"]) => {
            let mut summary = fleet.summary();
            if let Some(at) = at(&query) {
                summary.at = at;
                summary.past = true;
            }
            Json(summary).into_response()
        }
        ("GET", ["fleet", "timeline"]) => Json(Timeline {
            buckets: Vec::new(),
            bucket_ms: 60_000,
            searched_to: fleet.now,
        })
        .into_response(),
        ("GET", ["events"]) => {
            let wanted = query.get("machine").and_then(|id| id.parse().ok());
            events(fleet, &query, wanted)
        }
        (_, ["machines", id, rest @ ..]) => match find(fleet, id) {
            Some(index) => one_machine(fleet, index, received, rest, &query),
            None => refuse(&problem(404, "MST-A004", &format!("there is no machine {id}"))),
        },
        _ => refuse(&problem(404, "MST-A004", "there is no such resource")),
    }
}

pub(super) fn refuse(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = [(CONTENT_TYPE, "application/problem+json")];
    (status, kind, serde_json::to_vec(problem).unwrap_or_default()).into_response()
}

fn one_machine(
    fleet: &mut Fleet,
    index: usize,
    received: &Received,
    rest: &[&str],
    query: &Query,
) -> Response {
    let id = fleet.machines[index].summary.id;
    match (received.method.as_str(), rest) {
        ("GET", []) => {
            let mut machine = fleet.machines[index].clone();
            if let Some(at) = at(query) {
                machine.at = at;
                machine.past = true;
            }
            Json(machine).into_response()
        }
        ("GET", ["events"]) => events(fleet, query, Some(id)),
        ("GET", ["logs"]) => {
            let of = |line: &LogLine| query.get("target").is_none_or(|target| line.target == *target);
            let logs: Vec<_> = fleet.logs.iter().filter(|line| of(line)).cloned().collect();
            let (items, next_cursor) = page(&logs, query);
            Json(LogPage { items, next_cursor }).into_response()
        }
        ("GET", ["telemetry"]) => Json(Telemetry {
            machine_id: id,
            from: fleet.now.plus_millis(-600_000),
            to: fleet.now,
            series: fleet.series.clone(),
        })
        .into_response(),
        ("GET", ["desired"]) => super::desired::answer(fleet, id, received, None, None),
        ("GET", ["desired", section, "history"]) => super::desired::history(fleet, id, section),
        ("PUT" | "DELETE", ["desired", section]) => {
            super::desired::answer(fleet, id, received, Some(section), query.get("reason"))
        }
        ("GET", ["commands"]) => commands(fleet, index),
        ("POST", ["commands"]) => give(fleet, index, received),
        (_, ["labels" | "display-name"]) => profile(fleet, index, received, rest[0]),
        _ => refuse(&problem(404, "MST-A004", "there is no such resource")),
    }
}

/// Labels or display name: read, replaced or taken away, under a precondition.
fn profile(fleet: &mut Fleet, index: usize, received: &Received, part: &str) -> Response {
    if received.method != "GET" {
        if fleet.conflicts > 0 {
            // Somebody else was faster.
            fleet.conflicts -= 1;
            fleet.machines[index].profile_version += 1;
        }
        let version = tag(&fleet.machines[index]);
        if received.if_match.as_ref().is_some_and(|given| *given != version) {
            return refuse(&problem(
                412,
                "MST-A005",
                "the machine was changed in the meantime",
            ));
        }
        let changed = change(&mut fleet.machines[index], received, part);
        if let Err(problem) = changed {
            return refuse(&problem);
        }
    }
    let machine = &fleet.machines[index];
    let headers = [(ETAG, tag(machine))];
    if part == "labels" {
        let labels = machine.summary.labels.clone();
        (headers, Json(Labels { labels })).into_response()
    } else {
        let display_name = machine.display_name.clone();
        (headers, Json(DisplayName { display_name })).into_response()
    }
}

/// Notes the stop with every machine that is meant.
fn stop(fleet: &mut Fleet, received: &Received) -> Response {
    let request: StopRequest = match serde_json::from_str(&received.body) {
        Ok(request) => request,
        Err(error) => return refuse(&problem(422, "MST-A003", &error.to_string())),
    };
    let mut issued = StopsIssued {
        issuer: "local".to_owned(),
        reason: request.reason,
        stops: Vec::new(),
        refused: Vec::new(),
    };
    let lifetime_ms = 1_000 * i64::try_from(request.expires_in_s.unwrap_or(600)).unwrap_or(i64::MAX);
    let named = request.machines.unwrap_or_default();
    for machine in &mut fleet.machines {
        let row = &mut machine.summary;
        let is_meant = request.filter.as_ref().map_or_else(
            || request.all == Some(true) || named.contains(&row.id),
            |filter| passes(row, filter),
        );
        if !is_meant {
            continue;
        }
        let stop = Stop {
            command_id: format!("stop-of-{}", row.name),
            issuer: issued.issuer.clone(),
            reason: issued.reason.clone(),
            issued_at: fleet.now,
            expires_at: fleet.now.plus_millis(lifetime_ms),
            answer: None,
            answer_reason: None,
            answered_at: None,
            standing_at: None,
            at_rest_at: None,
            released_at: None,
            at_rest: None,
        };
        issued.stops.push(StopTold {
            machine_id: row.id,
            machine_name: row.name.clone(),
            command_id: stop.command_id.clone(),
            issued_at: stop.issued_at,
            expires_at: stop.expires_at,
            told: row.presence != Presence::Lost,
        });
        row.last_stop = Some(stop);
    }
    if issued.stops.is_empty() {
        return refuse(&problem(422, "MST-A019", "no machine passes the filter"));
    }
    (StatusCode::ACCEPTED, Json(issued)).into_response()
}

/// The commands of a machine, once the next thing has happened to the newest.
fn commands(fleet: &mut Fleet, index: usize) -> Response {
    let machine = &fleet.machines[index];
    let (machine_id, accepts) = (machine.summary.id, machine.accepts.clone());
    let mut given = fleet.commands.iter_mut().filter(|(id, _)| *id == machine_id);
    if let Some((_, newest)) = given.next()
        && let Some(step) = fleet.command_steps.pop_front()
    {
        step(newest);
    }
    let items = fleet.commands.iter().filter(|(id, _)| *id == machine_id);
    Json(MachineCommands {
        machine_id,
        accepts,
        items: items.map(|(_, command)| command.clone()).collect(),
    })
    .into_response()
}

/// Notes a command, if the machine does that.
fn give(fleet: &mut Fleet, index: usize, received: &Received) -> Response {
    let body: GiveCommand = match serde_json::from_str(&received.body) {
        Ok(body) => body,
        Err(error) => return refuse(&problem(422, "MST-A003", &error.to_string())),
    };
    let machine = &fleet.machines[index];
    if !machine.accepts.contains(&body.kind) {
        let detail = format!("it does not carry out {}", body.kind);
        return refuse(&problem(409, "MST-A030", &detail));
    }
    let lifetime_ms = 1_000 * i64::try_from(body.expires_in_s.unwrap_or(30)).unwrap_or(i64::MAX);
    let command = GivenCommand {
        command_id: format!("command-{}", fleet.commands.len() + 1),
        kind: body.kind,
        arguments: body.arguments,
        issuer: "local".to_owned(),
        reason: body.reason,
        issued_at: fleet.now,
        expires_at: fleet.now.plus_millis(lifetime_ms),
        answer: None,
        answer_reason: None,
        answered_at: None,
    };
    let told = CommandTold {
        machine_id: machine.summary.id,
        machine_name: machine.summary.name.clone(),
        told: machine.summary.presence != Presence::Lost,
        command: command.clone(),
    };
    fleet.commands.insert(0, (told.machine_id, command));
    (StatusCode::ACCEPTED, Json(told)).into_response()
}

/// The next thing happens to the stops of machines that are present.
fn step_stops(fleet: &mut Fleet) {
    let stopped = |machine: &Machine| machine.summary.last_stop.is_some();
    if !fleet.machines.iter().any(stopped) {
        return;
    }
    let Some(step) = fleet.stop_steps.pop_front() else {
        return;
    };
    for machine in &mut fleet.machines {
        let row = &mut machine.summary;
        if let Some(stop) = row.last_stop.as_mut().filter(|_| row.presence != Presence::Lost) {
            step(stop);
        }
    }
}

fn change(machine: &mut Machine, received: &Received, part: &str) -> Result<(), Box<Problem>> {
    let bad = |error: serde_json::Error| Box::new(problem(400, "MST-A001", &error.to_string()));
    let is_put = received.method == "PUT";
    if part == "labels" {
        machine.summary.labels = if is_put {
            let sent: Labels = serde_json::from_str(&received.body).map_err(bad)?;
            sent.labels
        } else {
            BTreeMap::new()
        };
    } else {
        machine.display_name = if is_put {
            let sent: DisplayName = serde_json::from_str(&received.body).map_err(bad)?;
            sent.display_name
        } else {
            None
        };
        if let Some(name) = &machine.display_name {
            machine.summary.name.clone_from(name);
        }
    }
    machine.profile_version += 1;
    Ok(())
}

fn tag(machine: &Machine) -> String {
    format!("\"{}\"", machine.profile_version)
}

fn machines(fleet: &Fleet, query: &Query) -> Response {
    let filter = query.get("filter").map_or("", String::as_str);
    if let Err(error) = filter.parse::<Filter>() {
        return refuse(&problem(400, "MST-A001", &error.to_string()));
    }
    let all: Vec<MachineSummary> = fleet
        .machines
        .iter()
        .map(|machine| machine.summary.clone())
        .filter(|row| passes(row, filter))
        .collect();
    let (items, next_cursor) = page(&all, query);
    Json(MachinePage {
        items,
        next_cursor,
        total: all.len() as u64,
        at: at(query).unwrap_or(fleet.now),
        past: at(query).is_some(),
        position: fleet.position,
    })
    .into_response()
}

/// The few filters that tests use: `name~`, `id~`, `id=`, `kind=`.
fn passes(row: &MachineSummary, filter: &str) -> bool {
    filter.split_whitespace().all(|term| {
        let term = term.to_lowercase();
        if let Some(part) = term.strip_prefix("name~") {
            row.name.to_lowercase().contains(part)
        } else if let Some(part) = term.strip_prefix("id~") {
            row.id.to_string().contains(part)
        } else if let Some(ids) = term.strip_prefix("id=") {
            ids.split('|').any(|id| row.id.to_string() == id)
        } else if let Some(kind) = term.strip_prefix("kind=") {
            row.kind == kind
        } else {
            true
        }
    })
}

fn events(fleet: &Fleet, query: &Query, machine: Option<MachineId>) -> Response {
    let mut all: Vec<_> = fleet
        .events
        .iter()
        .filter(|event| machine.is_none_or(|id| event.machine_id == id))
        .cloned()
        .collect();
    if query.get("order").is_some_and(|order| order == "asc") {
        all.reverse();
    }
    let (items, next_cursor) = page(&all, query);
    Json(EventPage {
        items,
        next_cursor,
        searched_to: fleet.now,
        position: fleet.summary().position,
    })
    .into_response()
}

fn page<T: Clone>(all: &[T], query: &Query) -> (Vec<T>, Option<String>) {
    let number = |name: &str, default: usize| {
        query
            .get(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let from = number("cursor", 0).min(all.len());
    // Small pages, so that tests see several.
    let to = (from + number("limit", 100).min(10)).min(all.len());
    let next = (to < all.len()).then(|| to.to_string());
    (all[from..to].to_vec(), next)
}

fn at(query: &Query) -> Option<Timestamp> {
    query.get("at").and_then(|text| text.parse().ok())
}

fn find(fleet: &Fleet, id: &str) -> Option<usize> {
    let id: MachineId = id.parse().ok()?;
    fleet.machines.iter().position(|machine| machine.summary.id == id)
}

fn read_query(uri: &Uri) -> Query {
    let url = reqwest::Url::parse(&format!("http://test{uri}"));
    url.map(|url| url.query_pairs().into_owned().collect())
        .unwrap_or_default()
}
