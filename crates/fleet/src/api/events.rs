//! `GET /api/v1/events` and `GET /api/v1/machines/{id}/events`: what happened, newest or oldest first.
//!
//! The log has no index besides its order and the links back within a machine's stream. A search goes back through it, or
//! forward, and has a limit per call; a page that ended by the limit has a cursor all the same.

use std::ops::ControlFlow;

use axum::Json;
use axum::extract::State;
use muster_model::{LogPosition, MachineEntry, MachineId, Severity, Timestamp};
use muster_protocol::api::{Event, EventPage, Order, Problem};
use muster_store::{EventLog, EventRef, LogError, StreamName};
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::params::{MachinePath, Params};
use super::{convert, paging};
use crate::access::caller::{Caller, Eyes};
use crate::gateway::GatewayState;
use crate::state::Fleet;

/// Entries of the log that one call looks through.
const SEARCHED_MAX: u64 = 200_000;
/// Entries of one machine that one call looks through: each is a step along the links.
const SEARCHED_OF_MACHINE_MAX: usize = 20_000;
/// Entries that are read at once: a few megabytes, unless machines report large states.
const READ_AT_ONCE: usize = 256;

/// Entries of the log that one call looks through.
pub(super) const fn searched_at_most() -> u64 {
    SEARCHED_MAX
}

/// What is asked for.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventParams {
    /// This severity or worse.
    severity: Option<Severity>,
    /// Events of this kind, or of kinds below it: `thermal` takes in `thermal.high`.
    kind: Option<String>,
    /// Recorded at this moment or later.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Recorded at this moment or earlier.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Events on a page: 1 to 1,000, 100 by default.
    limit: Option<u32>,
    /// Which come first: the newest (`desc`, the default) or the oldest (`asc`).
    order: Option<Order>,
}

/// What is asked for of the whole fleet.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FleetEventParams {
    /// Only of this machine, by id.
    #[param(value_type = Option<String>, format = Uuid)]
    machine: Option<MachineId>,
    /// This severity or worse.
    severity: Option<Severity>,
    /// Events of this kind, or of kinds below it: `thermal` takes in `thermal.high`.
    kind: Option<String>,
    /// Recorded at this moment or later.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Recorded at this moment or earlier.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Events on a page: 1 to 1,000, 100 by default.
    limit: Option<u32>,
    /// Which come first: the newest (`desc`, the default) or the oldest (`asc`).
    order: Option<Order>,
}

impl EventParams {
    fn order(&self) -> Order {
        self.order.unwrap_or_default()
    }
}

/// List events
#[utoipa::path(get, path = "/api/v1/events", operation_id = "list_events", tag = "events", params(FleetEventParams), responses(
    (status = 200, description = "A page of events, in the order that was asked for", body = EventPage),
    (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such machine", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn list(
    State(state): State<GatewayState>,
    caller: Caller,
    Params(params): Params<FleetEventParams>,
) -> Result<Json<EventPage>, ApiError> {
    let FleetEventParams {
        machine,
        severity,
        kind,
        from,
        to,
        cursor,
        limit,
        order,
    } = params;
    let params = EventParams {
        severity,
        kind,
        from,
        to,
        cursor,
        limit,
        order,
    };
    match machine {
        Some(machine) => page_of_machine(&state, &caller, machine, params).await,
        None if params.order() == Order::Asc => page_forward(&state, &caller, None, params).await,
        None => page(&state, &caller, params).await,
    }
}

/// List events of one machine
#[utoipa::path(get, path = "/api/v1/machines/{id}/events", tag = "machines",
    params(("id" = String, Path, description = "The machine", format = Uuid), EventParams), responses(
    (status = 200, description = "A page of events, in the order that was asked for", body = EventPage),
    (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such machine", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn of_machine(
    State(state): State<GatewayState>,
    caller: Caller,
    MachinePath(id): MachinePath,
    Params(params): Params<EventParams>,
) -> Result<Json<EventPage>, ApiError> {
    page_of_machine(&state, &caller, id, params).await
}

/// Where a page ended: the entry to go on with.
#[derive(Serialize, Deserialize)]
struct Cursor {
    next: LogPosition,
    #[serde(default)]
    order: Order,
}

/// A search through the log, back or forward.
struct Search {
    fleet: Fleet,
    eyes: Eyes,
    params: EventParams,
    limit: usize,
    found: Vec<Event>,
    searched_to: Timestamp,
    /// Where the log ended when the search began: nothing behind it is looked at.
    head: LogPosition,
}

impl Search {
    fn new(
        state: &GatewayState,
        caller: &Caller,
        params: EventParams,
    ) -> Result<(Self, Option<LogPosition>), ApiError> {
        let limit = paging::limit(params.limit)?;
        if let (Some(from), Some(to)) = (params.from, params.to)
            && from > to
        {
            return Err(ApiError::bad_parameter(
                "from",
                format!("{from} must not be after {to}"),
            ));
        }
        let cursor = params.cursor.as_deref().map(paging::read::<Cursor>).transpose()?;
        if cursor
            .as_ref()
            .is_some_and(|cursor| cursor.order != params.order())
        {
            return Err(ApiError::bad_parameter(
                "cursor",
                "it belongs to another order: start again without it",
            ));
        }
        let searched_to = state.fleet.now().wall;
        let head = state.fleet.log().head();
        let search = Self {
            fleet: state.fleet.clone(),
            eyes: caller.eyes(),
            params,
            limit,
            found: Vec::new(),
            searched_to,
            head,
        };
        Ok((search, cursor.map(|cursor| cursor.next)))
    }

    /// Looks at one entry. False once the page is full, or the entries are beyond what was asked for.
    fn look(&mut self, event: &EventRef<'_>) -> bool {
        let ascending = self.params.order() == Order::Asc;
        let too_old = self.params.from.is_some_and(|from| event.recorded_at < from);
        let too_new = self.params.to.is_some_and(|to| event.recorded_at > to);
        let beyond = if ascending { too_new } else { too_old };
        if self.found.len() >= self.limit || beyond {
            return false;
        }
        if event.position > self.head {
            return true;
        }
        self.searched_to = event.recorded_at;
        if too_old || too_new || is_state(event.body) {
            return true;
        }
        let (Some(machine), Ok(entry)) = (
            event.stream.as_machine(),
            serde_json::from_slice::<MachineEntry>(event.body),
        ) else {
            return true;
        };
        let Some(seen) = entry.as_event(event.recorded_at) else {
            return true;
        };
        let of_kind = |wanted: &str| {
            seen.kind
                .strip_prefix(wanted)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        if self.params.severity.is_none_or(|least| seen.severity >= least)
            && self.params.kind.as_deref().is_none_or(of_kind)
        {
            let view = self.fleet.view(machine);
            let seen_by_them = view
                .as_ref()
                .map_or(self.eyes.see_all(), |view| self.eyes.see(view));
            if !seen_by_them {
                return true;
            }
            let name = view.map(|view| view.name()).unwrap_or_default();
            self.found.push(convert::event(
                event.position,
                machine,
                name,
                event.recorded_at,
                seen,
            ));
        }
        true
    }

    /// Passes over an entry of another machine.
    fn pass(&mut self, event: &EventRef<'_>) {
        self.searched_to = event.recorded_at;
    }

    /// The page. `next` is where to go on; without it, all that was asked for was searched.
    fn finish(self, next: Option<LogPosition>) -> EventPage {
        let order = self.params.order();
        let end = match order {
            Order::Desc => self.params.from,
            // Up to now, as far as this page goes.
            Order::Asc => Some(self.params.to.unwrap_or(self.fleet.now().wall)),
        };
        EventPage {
            items: self.found,
            next_cursor: next.map(|next| paging::write(&Cursor { next, order })),
            searched_to: end.filter(|_| next.is_none()).unwrap_or(self.searched_to),
            position: self.head,
        }
    }
}

/// The oldest first, of all machines or of one. A machine's stream is linked back only, so that also for one machine the
/// log is gone through, from the moment the fleet met it.
async fn page_forward(
    state: &GatewayState,
    caller: &Caller,
    machine: Option<(MachineId, Timestamp)>,
    params: EventParams,
) -> Result<Json<EventPage>, ApiError> {
    let (mut search, cursor) = Search::new(state, caller, params)?;
    let log = state.fleet.log().clone();
    let page = state.fleet.searches().run(move || {
        let stream = machine.map(|(machine, _)| StreamName::machine(machine));
        let begin = match (search.params.from, machine) {
            (Some(from), Some((_, met))) => Some(from.max(met)),
            (from, met) => from.or(met.map(|(_, met)| met)),
        };
        let first = match (cursor, begin) {
            (Some(cursor), _) => cursor,
            // Behind the last entry that is older.
            (None, Some(begin)) => log.position_at(begin.plus_millis(-1))?.next(),
            (None, None) => LogPosition::ZERO.next(),
        };
        let head = search.head;
        let last = LogPosition(head.0.min(first.0.saturating_add(SEARCHED_MAX - 1)));
        let mut next = None;
        if first <= last {
            next = Some(last.next()).filter(|next| *next <= head);
            log.scan(first, last, &mut |event| {
                if stream.as_ref().is_some_and(|stream| stream != event.stream) {
                    search.pass(&event);
                    return ControlFlow::Continue(());
                }
                if search.look(&event) {
                    return ControlFlow::Continue(());
                }
                // Full: go on here. Too new: there is nothing more.
                let full = search.found.len() >= search.limit;
                next = full.then_some(event.position);
                ControlFlow::Break(())
            })?;
        }
        Ok::<_, LogError>(search.finish(next))
    });
    let page = page.await?.map_err(|error| ApiError::log(&error))?;
    Ok(Json(page))
}

async fn page(
    state: &GatewayState,
    caller: &Caller,
    params: EventParams,
) -> Result<Json<EventPage>, ApiError> {
    let (mut search, cursor) = Search::new(state, caller, params)?;
    let log = state.fleet.log().clone();
    let page = state.fleet.searches().run(move || {
        let mut next = start(&*log, search.params.to, cursor, search.head)?;
        let mut left = SEARCHED_MAX;
        while next > LogPosition::ZERO && left > 0 {
            let count = READ_AT_ONCE.min(left as usize);
            let events = log.read_backward(Some(next), count)?;
            left = left.saturating_sub(count as u64);
            for event in &events {
                if !search.look(&event.as_ref()) {
                    // Full: go on here. Too old: there is nothing more.
                    let full = search.found.len() >= search.limit;
                    return Ok(search.finish(full.then_some(event.position)));
                }
            }
            next = events
                .last()
                .map_or(LogPosition::ZERO, |last| LogPosition(last.position.0 - 1));
        }
        Ok::<_, LogError>(search.finish((next > LogPosition::ZERO).then_some(next)))
    });
    let page = page.await?.map_err(|error| ApiError::log(&error))?;
    Ok(Json(page))
}

async fn page_of_machine(
    state: &GatewayState,
    caller: &Caller,
    machine: MachineId,
    params: EventParams,
) -> Result<Json<EventPage>, ApiError> {
    let view = state.fleet.view(machine).filter(|view| caller.sees(view));
    let view = view.ok_or_else(|| ApiError::no_such_machine(machine))?;
    if params.order() == Order::Asc {
        return page_forward(state, caller, Some((machine, view.registered_at)), params).await;
    }
    let (mut search, cursor) = Search::new(state, caller, params)?;
    let log = state.fleet.log().clone();
    let page = state.fleet.searches().run(move || {
        let stream = StreamName::machine(machine);
        let mut next = cursor;
        let mut left = SEARCHED_OF_MACHINE_MAX;
        loop {
            let events = log.read_stream_backward(&stream, next, READ_AT_ONCE.min(left))?;
            left = left.saturating_sub(events.len());
            for event in &events {
                if !search.look(&event.as_ref()) {
                    let full = search.found.len() >= search.limit;
                    return Ok(search.finish(full.then_some(event.position)));
                }
            }
            match events.last().map(|last| last.previous) {
                Some(previous) if previous > LogPosition::ZERO => {
                    if left == 0 {
                        return Ok(search.finish(Some(previous)));
                    }
                    next = Some(previous);
                }
                Some(_) | None => return Ok(search.finish(None)),
            }
        }
    });
    let page: Result<EventPage, LogError> = page.await?;
    page.map(Json).map_err(|error| match error {
        // A cursor of another machine, or of another log.
        LogError::NotInStream { .. } => {
            ApiError::bad_parameter("cursor", "give the next_cursor of the page before, unchanged")
        }
        other => ApiError::log(&other),
    })
}

fn start(
    log: &dyn EventLog,
    to: Option<Timestamp>,
    cursor: Option<LogPosition>,
    head: LogPosition,
) -> Result<LogPosition, LogError> {
    match (cursor, to) {
        (Some(cursor), _) => Ok(cursor.min(head)),
        (None, Some(to)) => log.position_at(to).map(|position| position.min(head)),
        (None, None) => Ok(head),
    }
}

/// Whether an entry is a state report, seen from its first bytes: most entries are, and none of them is an event.
pub(super) fn is_state(body: &[u8]) -> bool {
    body.starts_with(b"{\"state_reported\"")
}
