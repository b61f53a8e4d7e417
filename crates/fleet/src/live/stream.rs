//! The live API as server-sent events, at `/api/v1/stream`: for clients that cannot hold a WebSocket.
//!
//! As over a WebSocket, what is published is taken in whether the client reads or not: a task of its own does that, and makes
//! a text only when there is room for it.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use muster_brain::live::PIECE_MAX_BYTES;
use muster_model::{LogPosition, MachineId, Severity};
use muster_protocol::live::{LiveFilters, RATE_DEFAULT_PER_S, ServerMessage, Strategy, Subscribe, Throttle};
use muster_store::{Bus, Subscription};
use serde::Deserialize;
use tokio::sync::{mpsc, watch};

use super::session::Session;
use crate::access::caller::Caller;
use crate::api::error::ApiError;
use crate::api::params::Params;
use crate::gateway::GatewayState;
use crate::gateway::counter::Counted;
use crate::state::Publications;

/// A comment is sent after so long without anything else, so that both ends notice when the other is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What is asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StreamParams {
    /// Topics, separated by commas: `machine.*.state,machine.*.event.>`.
    topics: String,
    /// Only these machines, by id, separated by commas.
    machines: Option<String>,
    /// Only machines of these kinds, separated by commas.
    kinds: Option<String>,
    /// Only events of this severity or worse.
    severity: Option<Severity>,
    /// Updates a second: above 0, at most 50.
    rate: Option<f64>,
    /// What is sent when more happens than that: `latest`, `sample` or `aggregate`.
    #[param(value_type = Option<String>)]
    strategy: Option<Strategy>,
    /// Events after this position of the log are sent first.
    #[param(value_type = Option<u64>)]
    resume_after: Option<LogPosition>,
}

/// Follow what happens, as server-sent events
///
/// Events are named `snapshot`, `update`, `lagged` and `error`; their data is as the live WebSocket sends it. The id of each
/// is a position of the log: a client that comes back with it as `Last-Event-ID` misses no event.
#[utoipa::path(get, path = "/api/v1/stream", tag = "live", params(StreamParams), responses(
    (status = 200, description = "What happens, until the client leaves", content_type = "text/event-stream", body = String),
    (status = 400, description = "The request is not understood", body = muster_protocol::api::Problem, content_type = "application/problem+json"),
))]
pub async fn stream(
    State(state): State<GatewayState>,
    caller: Caller,
    headers: HeaderMap,
    Params(params): Params<StreamParams>,
) -> Result<Response, ApiError> {
    let last_event_id = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok()?.parse().ok())
        .map(LogPosition);
    let subscribe = subscribe(params, last_event_id)?;
    let bus = state.fleet.bus().subscribe();
    let mut session = Session::new(state.fleet.clone(), caller.eyes());
    session.subscribe(subscribe);
    let mut first = String::from("retry: 2000\n\n");
    match session.next().await {
        Some(ServerMessage::Error { problem, .. }) => return Err(ApiError::from_problem(problem)),
        Some(answer) => write(&mut first, &answer),
        None => {}
    }
    let (texts, mut body) = mpsc::channel(1);
    // There is room for the first.
    let _ = texts.try_send(first);
    let follow = Follow {
        _counted: state.live_clients.enter(),
        session,
        bus,
        lost: 0,
        state: state.clone(),
        changes: state.access.changes(),
        caller,
    };
    state.tasks.spawn_small(follow.run(texts));
    let texts = stream::poll_fn(move |context| body.poll_recv(context));
    let body = Body::from_stream(texts.map(|text| Ok::<_, Infallible>(Bytes::from(text))));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, body).into_response())
}

fn subscribe(params: StreamParams, last_event_id: Option<LogPosition>) -> Result<Subscribe, ApiError> {
    let list = |text: &str| {
        text.split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let topics: Vec<String> = list(&params.topics);
    let topics = topics.into_iter().map(|topic| topic.parse());
    let topics = topics.collect::<Result<_, _>>().map_err(|error| {
        ApiError::bad_parameter("topics", muster_model::topic::TopicError::to_string(&error))
    })?;
    let machines: Vec<String> = params.machines.as_deref().map(list).unwrap_or_default();
    let machines = machines.iter().map(|id| id.parse::<MachineId>());
    let machines = machines
        .collect::<Result<_, _>>()
        .map_err(|error| ApiError::bad_parameter("machines", format!("ids are UUIDs: {error}")))?;
    Ok(Subscribe {
        id: "stream".to_owned(),
        topics,
        filters: LiveFilters {
            machines,
            kinds: params.kinds.as_deref().map(list).unwrap_or_default(),
            severity: params.severity,
            ..LiveFilters::default()
        },
        throttle: Throttle {
            rate_per_s: params.rate.unwrap_or(RATE_DEFAULT_PER_S),
            strategy: params.strategy.unwrap_or_default(),
        },
        resume_after: last_event_id.or(params.resume_after),
    })
}

struct Follow {
    _counted: Counted,
    session: Session,
    bus: Subscription<Publications>,
    lost: u64,
    state: GatewayState,
    caller: Caller,
    changes: watch::Receiver<u64>,
}

impl Follow {
    /// Tells the client until it leaves or the server ends.
    async fn run(mut self, texts: mpsc::Sender<String>) {
        loop {
            let room = tokio::select! {
                room = texts.reserve() => room,
                published = self.bus.next() => match published {
                    Some(published) => {
                        self.session.offer(&published);
                        continue;
                    }
                    None => return,
                },
                () = self.state.shutdown.requested() => return,
            };
            if !self.state.access.still(&self.caller) {
                return;
            }
            let (Ok(room), Some(text)) = (room, self.next(&texts).await) else {
                return;
            };
            room.send(text);
        }
    }

    /// The next text to be sent; none when the client left or the server ends.
    async fn next(&mut self, texts: &mpsc::Sender<String>) -> Option<String> {
        let mut text = String::new();
        let keep_alive = tokio::time::sleep(KEEP_ALIVE);
        tokio::pin!(keep_alive);
        loop {
            let dropped = self.bus.dropped();
            if dropped > self.lost {
                self.session.missed_some(dropped - self.lost);
                self.lost = dropped;
            }
            // Made when it can be written, and not before.
            while text.len() < PIECE_MAX_BYTES
                && let Some(message) = self.session.next().await
            {
                write(&mut text, &message);
            }
            if !text.is_empty() {
                return Some(text);
            }
            let now_ms = self.state.fleet.now().mono_ms;
            let due = self.session.due_at_ms();
            let wait = Duration::from_millis(due.map_or(0, |due| due.saturating_sub(now_ms)));
            tokio::select! {
                published = self.bus.next() => self.session.offer(&published?),
                () = tokio::time::sleep(wait), if due.is_some() => {}
                () = &mut keep_alive => {
                    if !self.state.access.still(&self.caller) {
                        return None;
                    }
                    text.push_str(":\n\n");
                }
                _ = self.changes.changed() => {
                    if !self.state.access.still(&self.caller) {
                        return None;
                    }
                }
                () = texts.closed() => return None,
                () = self.state.shutdown.requested() => return None,
            }
        }
    }
}

fn write(text: &mut String, message: &ServerMessage) {
    use std::fmt::Write;
    let (name, position) = match message {
        ServerMessage::Snapshot(batch) => ("snapshot", Some(batch.position)),
        ServerMessage::Update(batch) => ("update", Some(batch.position)),
        ServerMessage::Lagged { .. } => ("lagged", None),
        ServerMessage::Error { .. } => ("error", None),
        ServerMessage::Unsubscribed { .. } | ServerMessage::Pong { .. } => return,
    };
    let Ok(data) = serde_json::to_string(message) else {
        return;
    };
    if let Some(position) = position {
        // Writing into a String does not fail.
        let _ = writeln!(text, "id: {position}");
    }
    let _ = write!(text, "event: {name}\ndata: {data}\n\n");
}
