//! Requests about machines: the table, one machine, and what it told.

use muster_model::{MachineId, Severity, Timestamp};
use muster_protocol::api::{EventPage, LogPage, Machine, MachinePage, Telemetry};

use crate::client::Client;
use crate::error::ClientError;
use crate::fleet::EventQuery;
use crate::page::{Parameters, collect};

/// Which machines, in which order, of which moment. The default asks for the first page of all, now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineQuery {
    /// Only machines that pass: `kind=car battery<20`. See `muster_model::filter`.
    pub filter: Option<String>,
    /// The field to sort by, with `-` in front for the greatest first: `-battery`.
    pub sort: Option<String>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// Most machines on the page.
    pub limit: Option<u32>,
    /// The moment of the past that is asked for; now if none.
    pub at: Option<Timestamp>,
}

/// Which lines of a machine's log. The default asks for the newest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Lines of this severity or worse.
    pub severity: Option<Severity>,
    /// Lines of this part alone: `workload.camera`.
    pub target: Option<String>,
    /// Lines from this moment on.
    pub from: Option<Timestamp>,
    /// Lines before this moment.
    pub to: Option<Timestamp>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// Most lines on the page.
    pub limit: Option<u32>,
}

/// Which span of a machine's telemetry. The default leaves it to the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TelemetryQuery {
    /// Start of the span.
    pub from: Option<Timestamp>,
    /// End of the span.
    pub to: Option<Timestamp>,
}

impl Client {
    /// One page of machines.
    pub async fn machines(&self, query: &MachineQuery) -> Result<MachinePage, ClientError> {
        let parameters = Parameters::default()
            .with("filter", query.filter.as_ref())
            .with("sort", query.sort.as_ref())
            .with("cursor", query.cursor.as_ref())
            .with("limit", query.limit.as_ref())
            .with("at", query.at.as_ref());
        self.get(&["machines"], parameters).await
    }

    /// Every machine that passes, at most `limit` of them and never more than [`ITEMS_MAX`](crate::ITEMS_MAX), by
    /// following the pages; the query's own `limit` is not used. What the page says of moment, position and total is
    /// what the first one said.
    pub async fn machines_all(&self, query: &MachineQuery, limit: usize) -> Result<MachinePage, ClientError> {
        collect(query.cursor.clone(), limit, async |cursor, limit| {
            let query = MachineQuery {
                cursor,
                limit: Some(limit),
                ..query.clone()
            };
            self.machines(&query).await
        })
        .await
    }

    /// The whole of one machine, now or at a moment of the past.
    pub async fn machine(&self, id: MachineId, at: Option<Timestamp>) -> Result<Machine, ClientError> {
        let parameters = Parameters::default().with("at", at.as_ref());
        self.get(&["machines", &id.to_string()], parameters).await
    }

    /// One page of a machine's events, in the order that is asked for. The query's own `machine` is not used.
    pub async fn machine_events(&self, id: MachineId, query: &EventQuery) -> Result<EventPage, ClientError> {
        let query = EventQuery {
            machine: None,
            ..query.clone()
        };
        self.get(&["machines", &id.to_string(), "events"], query.parameters())
            .await
    }

    /// A machine's newest or oldest events, at most `limit` of them, by following the pages.
    pub async fn machine_events_all(
        &self,
        id: MachineId,
        query: &EventQuery,
        limit: usize,
    ) -> Result<EventPage, ClientError> {
        collect(query.cursor.clone(), limit, async |cursor, limit| {
            self.machine_events(id, &query.page(cursor, limit)).await
        })
        .await
    }

    /// One page of a machine's log, newest first.
    pub async fn machine_logs(&self, id: MachineId, query: &LogQuery) -> Result<LogPage, ClientError> {
        let parameters = Parameters::default()
            .with("severity", query.severity.as_ref())
            .with("target", query.target.as_ref())
            .with("from", query.from.as_ref())
            .with("to", query.to.as_ref())
            .with("cursor", query.cursor.as_ref())
            .with("limit", query.limit.as_ref());
        self.get(&["machines", &id.to_string(), "logs"], parameters).await
    }

    /// The newest lines of a machine's log, at most `limit` of them, by following the pages.
    pub async fn machine_logs_all(
        &self,
        id: MachineId,
        query: &LogQuery,
        limit: usize,
    ) -> Result<LogPage, ClientError> {
        collect(query.cursor.clone(), limit, async |cursor, limit| {
            let query = LogQuery {
                cursor,
                limit: Some(limit),
                ..query.clone()
            };
            self.machine_logs(id, &query).await
        })
        .await
    }

    /// A machine's measurements over a span of time.
    pub async fn machine_telemetry(
        &self,
        id: MachineId,
        query: &TelemetryQuery,
    ) -> Result<Telemetry, ClientError> {
        let parameters = Parameters::default()
            .with("from", query.from.as_ref())
            .with("to", query.to.as_ref());
        self.get(&["machines", &id.to_string(), "telemetry"], parameters)
            .await
    }
}
