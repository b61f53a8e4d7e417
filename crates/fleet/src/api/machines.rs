//! `GET /api/v1/machines` and `GET /api/v1/machines/{id}`, now and in the past.

use std::cmp::Ordering;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use muster_model::filter::{Field, FieldValue};
use muster_model::{Filter, LogPosition, MachineId, MachineView, Timestamp};
use muster_protocol::api::{Machine, MachinePage, Problem};
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::params::{MachinePath, Params};
use super::{convert, paging};
use crate::access::caller::{Caller, Eyes};
use crate::gateway::GatewayState;

/// Characters of a text that count when machines are sorted; a name that people give is shorter.
const SORT_KEY_MAX_CHARS: usize = 100;

/// What is asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// Which machines: terms like `kind=car|pi`, `battery<20`, `label.line=3`, `name~frida`, or a bare word. All must hold.
    filter: Option<String>,
    /// By which field, with `-` before it for the other way round: `name`, `-battery`, `status` … Default: `name`.
    sort: Option<String>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Machines on a page: 1 to 1,000, 100 by default.
    limit: Option<u32>,
    /// The moment to look at; absent: now.
    #[param(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
}

/// The moment to look at.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AtParams {
    /// The moment to look at; absent: now.
    #[param(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
}

/// The fleet at one moment.
pub struct Snapshot {
    /// Every machine.
    pub views: Vec<Arc<MachineView>>,
    /// The moment.
    pub at: Timestamp,
    /// Whether it is gone.
    pub past: bool,
    /// The entry of the log up to which this is true.
    pub position: LogPosition,
}

/// The fleet now, or at a moment that is gone.
///
/// Only of what may be seen: of the past, what may be seen now.
pub async fn snapshot(
    state: &GatewayState,
    eyes: &Eyes,
    at: Option<Timestamp>,
) -> Result<Snapshot, ApiError> {
    let mut snapshot = whole(state, at).await?;
    if !eyes.see_all() {
        let seen = |view: &Arc<MachineView>| state.fleet.view(view.id).is_some_and(|now| eyes.see(&now));
        snapshot.views.retain(seen);
    }
    Ok(snapshot)
}

async fn whole(state: &GatewayState, at: Option<Timestamp>) -> Result<Snapshot, ApiError> {
    let now = state.fleet.now().wall;
    match at {
        Some(at) if at > now => Err(ApiError::bad_parameter(
            "at",
            format!("{at} is in the future: it is {now} on the server"),
        )),
        Some(at) => {
            let fleet = state.fleet.clone();
            let moment = state.fleet.searches().run(move || fleet.past().at(at)).await??;
            Ok(Snapshot {
                views: moment.machines.to_vec(),
                at,
                past: true,
                position: moment.position,
            })
        }
        None => {
            let position = state.fleet.shown();
            Ok(Snapshot {
                views: state.fleet.views(),
                at: now,
                past: false,
                position,
            })
        }
    }
}

/// Where a page ended: the sorted field's value, and the id, which is unique.
#[derive(Serialize, Deserialize)]
struct Cursor {
    sort: String,
    key: Key,
    id: MachineId,
}

#[derive(Serialize, Deserialize)]
enum Key {
    Text(String),
    Number(f64),
    Absent,
}

/// What a machine is sorted by. Only the beginning of a text counts: it goes into the cursor, which must stay short whatever
/// a machine calls itself.
fn sort_key(field: &Field, view: &MachineView) -> FieldValue {
    match field.rank(view) {
        FieldValue::Text(mut text) => {
            if let Some((end, _)) = text.char_indices().nth(SORT_KEY_MAX_CHARS) {
                text.truncate(end);
            }
            FieldValue::Text(text)
        }
        value @ (FieldValue::Number(_) | FieldValue::Absent) => value,
    }
}

/// List machines
#[utoipa::path(get, path = "/api/v1/machines", operation_id = "list_machines", tag = "machines", params(ListParams), responses(
    (status = 200, description = "A page of machines", body = MachinePage),
    (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn list(
    State(state): State<GatewayState>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> Result<Json<MachinePage>, ApiError> {
    let text = params.filter.as_deref().unwrap_or("");
    let filter: Filter = text
        .parse()
        .map_err(|error| ApiError::bad_parameter("filter", muster_model::FilterError::to_string(&error)))?;
    let sort = params.sort.as_deref().unwrap_or("name");
    let descending = sort.starts_with('-');
    let field: Field = sort
        .trim_start_matches('-')
        .parse()
        .map_err(|error| ApiError::bad_parameter("sort", muster_model::FilterError::to_string(&error)))?;
    let limit = paging::limit(params.limit)?;
    let after = params.cursor.as_deref().map(paging::read::<Cursor>).transpose()?;
    if after.as_ref().is_some_and(|cursor| cursor.sort != sort) {
        return Err(ApiError::bad_parameter(
            "cursor",
            "it belongs to another order: start again without it",
        ));
    }
    let snapshot = snapshot(&state, &caller.eyes(), params.at).await?;
    let matching = snapshot.views.iter().filter(|view| filter.matches(view));
    let mut keyed: Vec<(FieldValue, &Arc<MachineView>)> =
        matching.map(|view| (sort_key(&field, view), view)).collect();
    let total = keyed.len() as u64;
    let order = |a: &FieldValue, a_id: MachineId, b: &FieldValue, b_id: MachineId| -> Ordering {
        a.order(b, descending).then(a_id.cmp(&b_id))
    };
    if let Some(after) = &after {
        let key = match &after.key {
            Key::Text(text) => FieldValue::Text(text.clone()),
            Key::Number(number) => FieldValue::Number(*number),
            Key::Absent => FieldValue::Absent,
        };
        keyed.retain(|(value, view)| order(value, view.id, &key, after.id) == Ordering::Greater);
    }
    let more = keyed.len() > limit;
    let by_order = |a: &(FieldValue, &Arc<MachineView>), b: &(FieldValue, &Arc<MachineView>)| {
        order(&a.0, a.1.id, &b.0, b.1.id)
    };
    if more {
        // Only the page needs to be in order.
        keyed.select_nth_unstable_by(limit - 1, by_order);
        keyed.truncate(limit);
    }
    keyed.sort_unstable_by(by_order);
    let next_cursor = keyed.last().filter(|_| more).map(|(value, view)| {
        let key = match value {
            FieldValue::Text(text) => Key::Text(text.clone()),
            FieldValue::Number(number) => Key::Number(*number),
            FieldValue::Absent => Key::Absent,
        };
        paging::write(&Cursor {
            sort: sort.to_owned(),
            key,
            id: view.id,
        })
    });
    Ok(Json(MachinePage {
        items: keyed.iter().map(|(_, view)| convert::summary(view)).collect(),
        next_cursor,
        total,
        at: snapshot.at,
        past: snapshot.past,
        position: snapshot.position,
    }))
}

/// Show one machine
#[utoipa::path(get, path = "/api/v1/machines/{id}", tag = "machines",
    params(("id" = String, Path, description = "The machine", format = Uuid), AtParams), responses(
    (status = 200, description = "The machine", body = Machine),
    (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such machine", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn show(
    State(state): State<GatewayState>,
    caller: Caller,
    MachinePath(id): MachinePath,
    Params(params): Params<AtParams>,
) -> Result<Json<Machine>, ApiError> {
    let Some(at) = params.at else {
        let position = state.fleet.shown();
        let view = state
            .fleet
            .view(id)
            .ok_or_else(|| ApiError::no_such_machine(id))?;
        return Ok(Json(convert::machine(
            &view,
            state.fleet.now().wall,
            false,
            position,
        )));
    };
    let moment = snapshot(&state, &caller.eyes(), Some(at)).await?;
    let view = moment.views.iter().find(|view| view.id == id);
    let view = view.ok_or_else(|| ApiError::no_such_machine_then(id, at))?;
    Ok(Json(convert::machine(view, at, true, moment.position)))
}
