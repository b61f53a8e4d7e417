//! The documents of the REST API, as servers and clients read them.

use muster_protocol::api::{
    DisplayName, EventPage, FleetSummary, Labels, LogPage, Machine, MachinePage, Problem, Telemetry, Timeline,
};

use super::json::comes_back;

/// A body, as any of the documents.
pub fn api_document(data: &[u8]) -> bool {
    [
        comes_back::<Labels>(data),
        comes_back::<DisplayName>(data),
        comes_back::<Problem>(data),
        comes_back::<MachinePage>(data),
        comes_back::<Machine>(data),
        comes_back::<EventPage>(data),
        comes_back::<FleetSummary>(data),
        comes_back::<Timeline>(data),
        comes_back::<Telemetry>(data),
        comes_back::<LogPage>(data),
    ]
    .contains(&true)
}
