//! The live stream, as the test writes it.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt};
use muster_protocol::live::Batch;

use super::{Shared, lock};

/// What a stream does next.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends these bytes.
    Send(String),
    /// Breaks off.
    Cut,
}

/// One event as it goes over the wire.
pub fn frame(event: &str, batch: &Batch) -> String {
    let data = serde_json::to_string(batch).unwrap_or_default();
    format!("event: {event}\nid: {}\ndata: {data}\n\n", batch.position)
}

pub(super) fn open(shared: &Shared) -> Response {
    let steps = shared.steps.subscribe();
    let greeting = lock(&shared.fleet).greeting.clone();
    shared.streams.send_modify(|opened| *opened += 1);
    let first = stream::iter([Ok::<_, Infallible>(Bytes::from(format!(": hello\n\n{greeting}")))]);
    let rest = stream::unfold(steps, |mut steps| async move {
        match steps.recv().await {
            Ok(Step::Send(text)) => Some((Ok(Bytes::from(text)), steps)),
            Ok(Step::Cut) | Err(_) => None,
        }
    });
    let body = Body::from_stream(first.chain(rest));
    ([(CONTENT_TYPE, "text/event-stream")], body).into_response()
}
