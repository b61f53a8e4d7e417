//! Who did what.

use std::fmt::Write;
use std::ops::ControlFlow;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use muster_model::{LogPosition, Timestamp};
use muster_protocol::api::access::{AuditChecked, AuditEntry, AuditObject, AuditOutcome, AuditPage};
use muster_protocol::api::{Order, Problem};
use muster_store::EventLog;
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::paging;
use super::params::Params;
use crate::access::audit::{AuditError, Entry};
use crate::gateway::GatewayState;

/// Entries that one export holds: the newest of those that are asked for.
const EXPORT_MAX: usize = 100_000;

/// What is asked for.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditParams {
    /// Only what this person did.
    person: Option<String>,
    /// Only this, or what is below it: `machines` takes in `machines.stop`.
    action: Option<String>,
    /// Only what was done to this machine, person, token …, by its id.
    object: Option<String>,
    /// Only what ended like this: `done`, `refused`, `failed` or `proposed`.
    #[param(value_type = Option<String>)]
    outcome: Option<AuditOutcome>,
    /// At this moment or later.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// At this moment or earlier.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Only entries behind this one: to follow.
    after: Option<u64>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Entries on a page: 1 to 1,000, 100 by default.
    limit: Option<u32>,
    /// Which come first: the newest (`desc`, the default) or the oldest (`asc`).
    order: Option<Order>,
}

/// What is exported.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportParams {
    /// `jsonl` (the default) or `csv`.
    #[param(value_type = Option<String>)]
    format: Option<Format>,
    /// At this moment or later.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// At this moment or earlier.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
}

/// How it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A JSON document a line.
    #[default]
    Jsonl,
    /// A table.
    Csv,
}

/// Where a page ended.
#[derive(Serialize, Deserialize)]
struct Cursor {
    next: LogPosition,
    order: Order,
}

/// What is wanted.
struct Wanted {
    person: Option<String>,
    action: Option<String>,
    object: Option<String>,
    outcome: Option<AuditOutcome>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    after: Option<u64>,
}

impl Wanted {
    fn wants(&self, entry: &Entry) -> bool {
        let record = &entry.record;
        let below = |wanted: &String| {
            let rest = record.action.strip_prefix(wanted.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.person.as_ref().is_none_or(|person| record.person == *person)
            && self.action.as_ref().is_none_or(below)
            && self
                .object
                .as_ref()
                .is_none_or(|id| record.objects.iter().any(|object| object.id == *id))
            && self.outcome.is_none_or(|outcome| record.outcome == outcome)
            && self.to.is_none_or(|to| entry.at <= to)
            && self.from.is_none_or(|from| entry.at >= from)
            && self.after.is_none_or(|after| entry.position.0 > after)
    }

    /// Nothing behind this one, in this order, can be wanted any more.
    fn is_beyond(&self, entry: &Entry, order: Order) -> bool {
        match order {
            Order::Asc => self.to.is_some_and(|to| entry.at > to),
            Order::Desc => {
                self.from.is_some_and(|from| entry.at < from)
                    || self.after.is_some_and(|after| entry.position.0 <= after)
            }
        }
    }
}

/// Read the audit log
#[utoipa::path(get, path = "/api/v1/audit", operation_id = "read_audit", tag = "access", params(AuditParams), responses(
    (status = 200, description = "A page of it", body = AuditPage),
    (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn list(
    State(state): State<GatewayState>,
    Params(params): Params<AuditParams>,
) -> Result<Json<AuditPage>, ApiError> {
    let limit = paging::limit(params.limit)?;
    let order = params.order.unwrap_or_default();
    let cursor = params.cursor.as_deref().map(paging::read::<Cursor>).transpose()?;
    if cursor.as_ref().is_some_and(|cursor| cursor.order != order) {
        let detail = "it belongs to another order: start again without it";
        return Err(ApiError::bad_parameter("cursor", detail));
    }
    let audit = state.access.audit().clone();
    let head = audit.head();
    let begin = match (&cursor, order) {
        (Some(cursor), _) => cursor.next,
        (None, Order::Desc) => head,
        (None, Order::Asc) => LogPosition(params.after.unwrap_or(0)).next(),
    };
    let wanted = Wanted {
        person: params.person,
        action: params.action,
        object: params.object,
        outcome: params.outcome,
        from: params.from,
        to: params.to,
        after: params.after,
    };
    let found = state.fleet.searches().run(move || {
        let mut items = Vec::new();
        let mut begin = begin;
        if cursor.is_none() {
            begin = match (order, wanted.from, wanted.to) {
                (Order::Asc, Some(from), _) => {
                    begin.max(audit.log().position_at(from.plus_millis(-1))?.next())
                }
                (Order::Desc, _, Some(to)) => begin.min(audit.log().position_at(to)?),
                (Order::Asc, None, _) | (Order::Desc, _, None) => begin,
            };
        }
        let mut beyond = false;
        let next = audit.search(begin, order == Order::Asc, &mut |entry| {
            if wanted.is_beyond(&entry, order) {
                beyond = true;
                return ControlFlow::Break(());
            }
            if items.len() >= limit {
                return ControlFlow::Break(());
            }
            if wanted.wants(&entry) {
                items.push(shown(entry));
            }
            ControlFlow::Continue(())
        })?;
        Ok::<_, muster_store::LogError>((items, next.filter(|_| !beyond)))
    });
    let (items, next) = found.await?.map_err(|error| ApiError::log(&error))?;
    Ok(Json(AuditPage {
        items,
        next_cursor: next.map(|next| paging::write(&Cursor { next, order })),
        head: head.0,
    }))
}

/// Check that nothing is missing from the audit log
#[utoipa::path(get, path = "/api/v1/audit/check", operation_id = "check_audit", tag = "access", responses(
    (status = 200, description = "What was found", body = AuditChecked),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn check(State(state): State<GatewayState>) -> Result<Json<AuditChecked>, ApiError> {
    let audit = state.access.audit().clone();
    let checked = state.fleet.searches().run(move || audit.check()).await?;
    let checked = checked.map_err(|error| match error {
        AuditError::Log(error) => ApiError::log(&error),
        other => ApiError::not_persisted(&muster_runtime::errors::chain(&other)),
    })?;
    Ok(Json(AuditChecked {
        sound: checked.findings.is_empty(),
        entries: checked.entries,
        head_hash: checked.head_hash,
        findings: checked.findings,
    }))
}

/// Export the audit log
#[utoipa::path(get, path = "/api/v1/audit/export", operation_id = "export_audit", tag = "access", params(ExportParams), responses(
    (status = 200, description = "A JSON document a line, or a table; the oldest first, at most the 100,000 newest",
        content((String = "application/x-ndjson"), (String = "text/csv"))),
    (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn export(
    State(state): State<GatewayState>,
    Params(params): Params<ExportParams>,
) -> Result<Response, ApiError> {
    let audit = state.access.audit().clone();
    let format = params.format.unwrap_or_default();
    let text = state.fleet.searches().run(move || {
        let last = match params.to {
            Some(to) => audit.log().position_at(to)?,
            None => audit.head(),
        };
        let first = match params.from {
            Some(from) => audit.log().position_at(from.plus_millis(-1))?.next(),
            None => LogPosition::ZERO.next(),
        };
        let first = first.max(LogPosition(last.0.saturating_sub(EXPORT_MAX as u64 - 1)));
        let mut text = String::new();
        if format == Format::Csv {
            text.push_str("position,at,person,by,action,objects,reason,from,outcome,status,rule,detail,second_person\r\n");
        }
        let mut next = Some(first).filter(|first| *first <= last && last > LogPosition::ZERO);
        while let Some(from) = next {
            next = audit.search(from, true, &mut |entry| {
                if entry.position > last {
                    return ControlFlow::Break(());
                }
                write_entry(&mut text, format, shown(entry));
                ControlFlow::Continue(())
            })?;
            next = next.filter(|next| *next <= last);
        }
        Ok::<_, muster_store::LogError>(text)
    });
    let text = text.await?.map_err(|error| ApiError::log(&error))?;
    let (kind, name) = match format {
        Format::Jsonl => ("application/x-ndjson", "attachment; filename=\"audit.jsonl\""),
        Format::Csv => ("text/csv", "attachment; filename=\"audit.csv\""),
    };
    Ok((
        [(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)],
        text,
    )
        .into_response())
}

fn write_entry(text: &mut String, format: Format, entry: AuditEntry) {
    match format {
        Format::Jsonl => {
            // Words and numbers: they can always be written.
            text.push_str(&serde_json::to_string(&entry).unwrap_or_default());
            text.push('\n');
        }
        Format::Csv => {
            let objects: Vec<String> = entry
                .objects
                .iter()
                .map(|object| format!("{} {} {}", object.kind, object.id, object.name))
                .collect();
            let cells = [
                &entry.person,
                &entry.by,
                &entry.action,
                &objects.join("; "),
                &entry.reason,
                &entry.from,
                entry.outcome.as_str(),
                &entry.status.to_string(),
                &entry.rule,
                &entry.detail,
                &entry.second_person,
            ];
            let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
            // Writing into a String does not fail.
            let _ = write!(text, "{},{},{}\r\n", entry.position, entry.at, cells.join(","));
        }
    }
}

/// A cell of a table. What a spreadsheet would take for a formula is made a text.
///
/// Source: RFC 4180; OWASP, CSV Injection.
fn quoted(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let apostrophe = if formula { "'" } else { "" };
    format!("\"{apostrophe}{}\"", cell.replace('"', "\"\""))
}

fn shown(entry: Entry) -> AuditEntry {
    let record = entry.record;
    let objects = record.objects.into_iter().map(|object| AuditObject {
        kind: object.kind,
        id: object.id,
        name: object.name,
    });
    AuditEntry {
        position: entry.position.0,
        at: entry.at,
        person: record.person,
        by: record.by,
        by_id: record.by_id,
        second_person: record.second_person,
        action: record.action,
        objects: objects.collect(),
        objects_in_all: record.objects_in_all,
        reason: record.reason,
        from: record.from,
        outcome: record.outcome,
        status: record.status,
        rule: record.rule,
        detail: record.detail,
    }
}
