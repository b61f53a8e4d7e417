//! ROS nodes, asked for through rosbridge: JSON over a WebSocket, the service `/rosapi/nodes`. Source: rosbridge v2.0 protocol, 3.3.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use muster_model::service::ServiceState;
use muster_model::workload::WorkloadName;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::Seen;
use crate::options::ServerUrl;

/// How long rosbridge may take, from the connection to the answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Longest message that is taken.
const MESSAGE_MAX_BYTES: usize = 1 << 20;
/// Messages of others that are passed over before the answer.
const OTHERS_MAX: usize = 64;
/// Names this request.
const ID: &str = "muster-nodes";

#[derive(Deserialize)]
struct Answer {
    op: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    result: bool,
    #[serde(default)]
    values: serde_json::Value,
}

pub(super) async fn look(address: &str, nodes: &[(&WorkloadName, &str)]) -> BTreeMap<WorkloadName, Seen> {
    let asked = tokio::time::timeout(ANSWER_WITHIN, ask(address)).await;
    let there = asked.unwrap_or_else(|_| Err(format!("no answer within {} s", ANSWER_WITHIN.as_secs())));
    let seen = nodes.iter().map(|(name, node)| {
        let seen = match &there {
            Ok(there) if there.contains(*node) => Seen::new(ServiceState::Running, *node),
            Ok(_) => Seen::new(ServiceState::Missing, format!("{node} is not among the nodes")),
            Err(why) => Seen::unknown(format!("rosbridge: {why}")),
        };
        ((*name).clone(), seen)
    });
    seen.collect()
}

async fn ask(address: &str) -> Result<BTreeSet<String>, String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let url: ServerUrl = address.parse().map_err(|error| words(&error))?;
    let stream = TcpStream::connect((url.host(), url.port()))
        .await
        .map_err(|error| words(&error))?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_MAX_BYTES))
        .max_frame_size(Some(MESSAGE_MAX_BYTES));
    let socket = client_async_with_config(address, stream, Some(config)).await;
    let (mut socket, _) = socket.map_err(|error| words(&error))?;
    let request = format!(r#"{{"op":"call_service","id":"{ID}","service":"/rosapi/nodes"}}"#);
    socket
        .send(Message::text(request))
        .await
        .map_err(|error| words(&error))?;
    for _ in 0..OTHERS_MAX {
        let message = match socket.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(words(&error)),
            None => return Err("it closed the connection".to_owned()),
        };
        let Message::Text(text) = message else { continue };
        let answer: Answer = serde_json::from_str(&text).map_err(|error| words(&error))?;
        if answer.op != "service_response" || answer.id != ID {
            continue;
        }
        // It is kept for the next look by nobody: a connection every few seconds is nothing to either end.
        let _ = socket.close(None).await;
        return nodes_in(&answer);
    }
    Err("it speaks of other things only".to_owned())
}

fn nodes_in(answer: &Answer) -> Result<BTreeSet<String>, String> {
    if !answer.result {
        return Err(format!("/rosapi/nodes failed: {}", answer.values));
    }
    let nodes = answer.values.get("nodes").and_then(|nodes| nodes.as_array());
    let nodes = nodes.ok_or("the answer has no nodes")?;
    Ok(nodes
        .iter()
        .filter_map(|node| node.as_str().map(str::to_owned))
        .collect())
}
