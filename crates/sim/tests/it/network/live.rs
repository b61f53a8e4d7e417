//! A host that follows the live API over a WebSocket, and goes on where it was when it was cut off.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use muster_model::{LogPosition, MachineId};
use muster_protocol::api::Event;
use muster_protocol::live::{Batch, ClientMessage, LiveFilters, Subscribe, Throttle};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use turmoil::net::TcpStream;

use super::judge::{Check, Reading, Violation, violation};
use super::ledger::{self, MARK};
use super::server;

pub(super) const HOST: &str = "follower";
/// How many connections it has.
pub(super) const CONNECTIONS: usize = 1;
/// It tries again after so long.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// A handshake takes no longer.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// What was followed. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Follower(Arc<Mutex<Followed>>);

#[derive(Default)]
struct Followed {
    marks: BTreeMap<MachineId, Vec<u64>>,
    /// Up to which entry of the log all that was asked for has come.
    up_to: LogPosition,
    /// The last event that came.
    last: LogPosition,
    trouble: Vec<String>,
}

/// What a message was.
#[derive(PartialEq, Eq)]
enum Took {
    Batch,
    Lagged,
}

/// Follows for ever.
pub(super) async fn run(follower: Follower) -> turmoil::Result {
    loop {
        // The end of a connection is what this goes on after.
        let _ = follow(&follower).await;
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

async fn follow(follower: &Follower) -> turmoil::Result {
    let stream = TcpStream::connect((server::HOST, server::PORT)).await?;
    let url = format!("ws://127.0.0.1:{}/ws", server::PORT);
    let (mut socket, _) = tokio::time::timeout(HANDSHAKE_WITHIN, client_async(url, stream)).await??;
    let subscribe = ClientMessage::Subscribe(Subscribe {
        id: "marks".to_owned(),
        topics: vec!["machine.*.event.>".parse()?],
        filters: LiveFilters {
            event_types: vec![MARK.to_owned()],
            ..LiveFilters::default()
        },
        throttle: Throttle::default(),
        resume_after: Some(follower.0.lock().unwrap().up_to),
    });
    socket
        .send(Message::text(serde_json::to_string(&subscribe)?))
        .await?;
    while let Some(frame) = socket.next().await {
        if let Message::Text(text) = frame?
            && follower.0.lock().unwrap().take(&text) == Took::Lagged
        {
            return Ok(());
        }
    }
    Ok(())
}

impl Followed {
    fn take(&mut self, text: &str) -> Took {
        let frame: serde_json::Value = serde_json::from_str(text).unwrap();
        if frame["type"] == "lagged" {
            // More came at once than may wait for one client: it is told from where on to ask again.
            self.up_to = serde_json::from_value(frame["resume_after"].clone()).unwrap();
            return Took::Lagged;
        }
        if frame["type"] != "snapshot" && frame["type"] != "update" {
            self.trouble.push(text.to_owned());
            return Took::Batch;
        }
        let batch: Batch = serde_json::from_str(text).unwrap();
        for item in &batch.items {
            let event: Event = serde_json::from_str(item.data.get()).unwrap();
            if event.position <= self.last {
                let what = format!("{} came after {}", event.position, self.last);
                self.trouble.push(what);
            }
            self.last = event.position;
            let mark = ledger::number(&event.kind, &event.message).unwrap();
            self.marks.entry(event.machine_id).or_default().push(mark);
        }
        if !batch.more {
            self.up_to = batch.position;
        } else if let Some(last) = batch.items.last() {
            // More of this answer is to come: what came is all there is up to its last event.
            let event: Event = serde_json::from_str(last.data.get()).unwrap();
            self.up_to = event.position;
        }
        Took::Batch
    }
}

/// Compares what was followed with the log.
pub(super) fn judge(follower: &Follower, reading: &Reading) -> Vec<Violation> {
    let followed = follower.0.lock().unwrap();
    let mut found: Vec<_> = followed
        .trouble
        .iter()
        .map(|what| violation(Check::LiveAgrees, what))
        .collect();
    for (id, read) in &reading.machines {
        let marks = followed.marks.get(id).map_or(&[][..], Vec::as_slice);
        if marks != read.marks {
            let what = format!("{id}: followed {marks:?}, the log has {:?}", read.marks);
            found.push(violation(Check::LiveAgrees, what));
        }
    }
    found
}
