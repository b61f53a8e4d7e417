//! The live API for dashboards and scripts: `/ws` (WebSocket) and `/api/v1/stream` (server-sent events).
//!
//! A client subscribes to topics; the server answers with a snapshot and then with what changes, at most as often as
//! the throttle allows. Every answer carries the position in the log up to which it is true, so that a client that was
//! cut off resumes where it was.

#[cfg(feature = "schema")]
pub(crate) mod schema;

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_model::{LogPosition, MachineId, Severity, Timestamp, TopicPattern};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::api::Problem;

/// Most topics in one subscription.
pub const TOPICS_MAX: usize = 64;
/// Most subscriptions on one connection.
pub const SUBSCRIPTIONS_MAX: usize = 32;
/// Longest id of a subscription, in bytes.
pub const SUBSCRIPTION_ID_MAX_BYTES: usize = 64;
/// Most machines named in one filter.
pub const FILTER_MACHINES_MAX: usize = 1_000;
/// Updates a second for each subscription where none is asked for, and the most that can be asked for.
pub const RATE_DEFAULT_PER_S: f64 = 10.0;
/// The most that can be asked for.
pub const RATE_MAX_PER_S: f64 = 50.0;

/// What a client says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientMessage {
    /// Tell me of these topics.
    Subscribe(Subscribe),
    /// No longer.
    Unsubscribe {
        /// The subscription's id.
        id: String,
    },
    /// Are you there?
    Ping {
        /// Comes back in the answer.
        #[serde(default)]
        id: Option<String>,
    },
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// The client's name for it. Subscribing again under the same name replaces it.
    pub id: String,
    /// Which topics: `machine.*.state`, `machine.<id>.telemetry`, `machine.*.event.>`, `fleet.summary` …
    pub topics: Vec<TopicPattern>,
    /// Which machines, kinds and labels.
    #[serde(default)]
    pub filters: LiveFilters,
    /// How often, and what of it when that is less than it happens.
    #[serde(default)]
    pub throttle: Throttle,
    /// Events after this position of the log are sent first, so that nothing is missed. Without it: from now on.
    #[serde(default)]
    pub resume_after: Option<LogPosition>,
}

/// Which machines a subscription is about. All that are given must hold; an empty one holds for all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct LiveFilters {
    /// One of these machines.
    pub machines: Vec<MachineId>,
    /// One of these kinds.
    pub kinds: Vec<String>,
    /// All of these labels, with these values.
    pub labels: BTreeMap<String, String>,
    /// Events of these kinds, or of kinds below them (`thermal` takes in `thermal.high`).
    pub event_types: Vec<String>,
    /// Events of this severity or worse.
    pub severity: Option<Severity>,
}

/// How often a subscription is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Throttle {
    /// Updates a second, above 0 and at most 50.
    pub rate_per_s: f64,
    /// What is sent when more happened than that.
    pub strategy: Strategy,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            rate_per_s: RATE_DEFAULT_PER_S,
            strategy: Strategy::Latest,
        }
    }
}

/// What is sent when more happened between two updates than one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The first of each topic, the rest is left out.
    Sample,
    /// Least, mean, greatest and count of each measurement; of what is no measurement, the latest.
    Aggregate,
    /// The latest of each topic. Events are never left out.
    #[default]
    Latest,
}

/// What the server says. Written, not read, by this type: serde's tagging would look into an item's data, so a reader takes
/// the `type` first and then a [`Batch`].
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage {
    /// How things stand, after each `subscribe`: in several pieces if it is long, all but the last with `more`.
    Snapshot(Batch),
    /// What changed since.
    Update(Batch),
    /// The client read too slowly: something was dropped.
    Lagged {
        /// Which subscription.
        id: String,
        /// How many messages were dropped.
        dropped: u64,
        /// Subscribe again with this as `resume_after` to get the events that were missed.
        resume_after: LogPosition,
    },
    /// The request was not understood or not granted. The connection stays open.
    Error {
        /// Which subscription, where it is known.
        id: Option<String>,
        /// Why.
        problem: Problem,
    },
    /// The subscription is over.
    Unsubscribed {
        /// Which one.
        id: String,
    },
    /// Yes, still here.
    Pong {
        /// What the ping gave.
        id: Option<String>,
        /// The server's clock.
        server_time: Timestamp,
    },
}

/// Items of one subscription that are sent together.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Batch {
    /// Which subscription.
    pub id: String,
    /// The entry of the log up to which this is true.
    pub position: LogPosition,
    /// The server's clock.
    pub server_time: Timestamp,
    /// The items, in order.
    pub items: Vec<Item>,
    /// Whether further pieces of this snapshot follow. They are made as they are read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// One thing that a subscription is told.
///
/// | topic | `data` |
/// |---|---|
/// | `machine.<id>.state` | the machine's row, as `GET /api/v1/machines` shows it |
/// | `machine.<id>.heartbeat` | `{last_seen, presence}` |
/// | `machine.<id>.telemetry` | `{samples: [{metric, value, unit, quality, at}]}` |
/// | `machine.<id>.event.<kind>` | the event, as `GET /api/v1/events` shows it |
/// | `machine.<id>.log` | a line, as `GET /api/v1/machines/<id>/logs` shows it |
/// | `fleet.summary` | the summary, as `GET /api/v1/fleet/summary` shows it |
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Item {
    /// The topic.
    pub topic: Arc<str>,
    /// What is published there.
    #[cfg_attr(feature = "schema", schemars(with = "serde_json::Value"))]
    pub data: Arc<RawValue>,
}
