//! Requests about the whole fleet: its figures and its events.

use muster_model::{MachineId, Severity, Timestamp};
use muster_protocol::api::{EventPage, FleetSummary, Order, Timeline};

use crate::client::Client;
use crate::error::ClientError;
use crate::page::{Parameters, collect};

/// Which events. The default asks for the newest of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Events of this severity or worse.
    pub severity: Option<Severity>,
    /// Events of this kind, or of kinds below it: `thermal` takes in `thermal.high`.
    pub kind: Option<String>,
    /// Events of this machine.
    pub machine: Option<MachineId>,
    /// Events from this moment on.
    pub from: Option<Timestamp>,
    /// Events before this moment.
    pub to: Option<Timestamp>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// Most events on the page.
    pub limit: Option<u32>,
    /// Which come first: the newest where nothing is said.
    pub order: Option<Order>,
}

/// Which span of time, and how finely. The default leaves it to the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimelineQuery {
    /// Start of the span.
    pub from: Option<Timestamp>,
    /// End of the span.
    pub to: Option<Timestamp>,
    /// Into how many buckets.
    pub buckets: Option<u32>,
}

impl EventQuery {
    pub(crate) fn parameters(&self) -> Parameters {
        Parameters::default()
            .with("severity", self.severity.as_ref())
            .with("kind", self.kind.as_ref())
            .with("machine", self.machine.as_ref())
            .with("from", self.from.as_ref())
            .with("to", self.to.as_ref())
            .with("cursor", self.cursor.as_ref())
            .with("limit", self.limit.as_ref())
            .with("order", self.order.as_ref())
    }

    pub(crate) fn page(&self, cursor: Option<String>, limit: u32) -> Self {
        Self {
            cursor,
            limit: Some(limit),
            ..self.clone()
        }
    }
}

impl Client {
    /// The fleet in figures, now or at a moment of the past.
    pub async fn fleet_summary(&self, at: Option<Timestamp>) -> Result<FleetSummary, ClientError> {
        let parameters = Parameters::default().with("at", at.as_ref());
        self.get(&["fleet", "summary"], parameters).await
    }

    /// How many events happened, over time.
    pub async fn fleet_timeline(&self, query: &TimelineQuery) -> Result<Timeline, ClientError> {
        let parameters = Parameters::default()
            .with("from", query.from.as_ref())
            .with("to", query.to.as_ref())
            .with("buckets", query.buckets.as_ref());
        self.get(&["fleet", "timeline"], parameters).await
    }

    /// One page of the fleet's events, in the order that is asked for.
    pub async fn events(&self, query: &EventQuery) -> Result<EventPage, ClientError> {
        self.get(&["events"], query.parameters()).await
    }

    /// The fleet's newest or oldest events, at most `limit` of them, by following the pages.
    pub async fn events_all(&self, query: &EventQuery, limit: usize) -> Result<EventPage, ClientError> {
        collect(query.cursor.clone(), limit, async |cursor, limit| {
            self.events(&query.page(cursor, limit)).await
        })
        .await
    }
}
