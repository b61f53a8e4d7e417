//! The machine's bus live, for Foxglove's app and whatever else speaks its WebSocket protocol.
//!
//! Each topic is a channel with the schema that it has in recordings. Nothing is heard of the bus while nobody is connected, and
//! nothing is written that nobody subscribed to. Who watches can change nothing: what a client says beyond `subscribe` and
//! `unsubscribe` is ignored. Source: the Foxglove WebSocket protocol v1, `foxglove/ws-protocol`, `docs/spec.md`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{HeaderValue, StatusCode};
use muster_model::{Topic, TopicPattern};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Message as Frame};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use crate::bus::Bus;
use crate::message::Message;
use crate::recording::form;
use crate::supervisor::{NodeContext, NodeError, NodeSpec, Wake};

/// What the protocol calls itself: in the app of today, and in that of before. What we say is the same in both.
const SUBPROTOCOLS: [&str; 2] = ["foxglove.sdk.v1", "foxglove.websocket.v1"];
/// Clients at the same time.
const CLIENTS_MAX: usize = 4;
/// Messages that may wait for a client; beyond them the oldest are lost.
const WAITING_MAX: usize = 512;
/// Longest thing that a client may say.
const HEARD_MAX_BYTES: usize = 64 * 1024;
/// Subscriptions of one client.
const SUBSCRIPTIONS_MAX: usize = 1_024;
/// How long a client may take to say what it speaks, and to take what it is sent.
const PATIENCE: Duration = Duration::from_secs(10);
/// The beginning of a message of a channel. Source: spec.md, Message Data.
const MESSAGE_DATA: u8 = 1;

/// The node; it listens at this address.
pub fn spec(listen: SocketAddr, name: String) -> NodeSpec {
    let name: Arc<str> = name.into();
    NodeSpec {
        needs_io: true,
        ..NodeSpec::new("foxglove", &[], move |context| run(context, listen, name.clone()))
    }
}

async fn run(mut context: NodeContext, listen: SocketAddr, name: Arc<str>) -> Result<(), NodeError> {
    let refused = |error: std::io::Error| NodeError(format!("{listen} cannot be listened at: {error}"));
    let listener = TcpListener::bind(listen).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    tracing::info!(%address, "Foxglove's app finds the machine's bus here");
    let bus = context.bus().clone();
    let serving = accept(&listener, &bus, &name);
    tokio::pin!(serving);
    loop {
        tokio::select! {
            () = &mut serving => {}
            wake = context.next(None) => if matches!(wake, Wake::Stop) {
                return Ok(());
            },
        }
    }
}

/// Serves whoever connects, for ever.
pub async fn accept(listener: &TcpListener, bus: &Bus, name: &Arc<str>) {
    let room = Arc::new(Semaphore::new(CLIENTS_MAX));
    let mut clients = JoinSet::new();
    loop {
        while clients.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            // Too many open files, most likely: others close theirs.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(permit) = room.clone().try_acquire_owned() else {
            continue;
        };
        let (bus, name) = (bus.clone(), name.clone());
        clients.spawn(async move {
            let _permit = permit;
            if let Err(error) = serve(stream, &bus, &name).await {
                tracing::debug!(%error, "a client of the live view is gone");
            }
        });
    }
}

/// Why a client is let go.
#[derive(Debug, thiserror::Error)]
enum ClientError {
    #[error("{0}")]
    Socket(#[from] tokio_tungstenite::tungstenite::Error),
    #[error("it takes too long")]
    TooSlow,
}

#[derive(Serialize)]
#[serde(tag = "op", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Says<'a> {
    ServerInfo {
        name: &'a str,
        capabilities: [&'a str; 0],
        metadata: BTreeMap<&'a str, &'a str>,
    },
    Advertise {
        channels: Vec<Channel<'a>>,
    },
    Status {
        level: u8,
        message: &'a str,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Channel<'a> {
    id: u32,
    topic: &'a str,
    encoding: &'a str,
    schema_name: &'a str,
    schema: String,
    schema_encoding: &'a str,
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Hears {
    Subscribe {
        subscriptions: Vec<Subscription>,
    },
    Unsubscribe {
        subscription_ids: Vec<u32>,
    },
    #[serde(other)]
    Other,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subscription {
    id: u32,
    channel_id: u32,
}

/// One client.
struct Client {
    socket: WebSocketStream<TcpStream>,
    channels: BTreeMap<Topic, Known>,
    subscriptions: Vec<Subscription>,
    buffer: Vec<u8>,
}

/// A topic that the client knows.
struct Known {
    id: u32,
    /// What was said last, where that says how something is: who subscribes wants to know it at once.
    latest: Option<Arc<Message>>,
}

async fn serve(stream: TcpStream, bus: &Bus, name: &str) -> Result<(), ClientError> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(HEARD_MAX_BYTES))
        .max_frame_size(Some(HEARD_MAX_BYTES));
    let accepting = accept_hdr_async_with_config(stream, agree, Some(config));
    let socket = tokio::time::timeout(PATIENCE, accepting)
        .await
        .map_err(|_| ClientError::TooSlow)??;
    let mut client = Client {
        socket,
        channels: BTreeMap::new(),
        subscriptions: Vec::new(),
        buffer: Vec::new(),
    };
    let metadata = BTreeMap::from([("muster-machine", crate::VERSION)]);
    let info = Says::ServerInfo {
        name,
        capabilities: [],
        metadata,
    };
    client.say(&info).await?;
    let everything: TopicPattern = ">".parse().expect("the pattern of everything is well-formed");
    let mut inbox = bus.subscribe([everything], WAITING_MAX);
    // What is known already is told together.
    let mut known = Vec::new();
    while let Some(delivery) = inbox.try_next() {
        known.push(delivery.message);
    }
    client.advertise(&known).await?;
    loop {
        tokio::select! {
            heard = client.socket.next() => match heard {
                Some(Ok(Frame::Text(text))) => client.hear(text.as_str()).await?,
                Some(Ok(Frame::Close(_))) | None => return Ok(()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
            },
            delivery = inbox.next() => {
                if delivery.lost > 0 {
                    client.say(&Says::Status { level: 1, message: "Messages were lost: more is said than this client takes" }).await?;
                }
                if !client.channels.contains_key(&delivery.message.topic) {
                    client.advertise(std::slice::from_ref(&delivery.message)).await?;
                }
                client.pass_on(&delivery.message).await?;
            }
        }
    }
}

/// Agrees on a protocol, or says which there are.
#[expect(clippy::result_large_err, reason = "the signature of the handshake")]
fn agree(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
    let offered: Vec<&str> = offered
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let Some(agreed) = SUBPROTOCOLS.into_iter().find(|ours| offered.contains(ours)) else {
        let text = format!(
            "one of these protocols is spoken here: {}",
            SUBPROTOCOLS.join(", ")
        );
        let mut refusal = ErrorResponse::new(Some(text));
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        return Err(refusal);
    };
    let agreed = HeaderValue::from_static(agreed);
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, agreed);
    Ok(response)
}

impl Client {
    async fn say(&mut self, says: &Says<'_>) -> Result<(), ClientError> {
        // These are plain structs: they can always be written.
        let text = serde_json::to_string(says).unwrap_or_default();
        self.send(Frame::text(text)).await
    }

    async fn send(&mut self, frame: Frame) -> Result<(), ClientError> {
        let sent = tokio::time::timeout(PATIENCE, self.socket.send(frame)).await;
        Ok(sent.map_err(|_| ClientError::TooSlow)??)
    }

    /// Tells of topics that are new to it.
    async fn advertise(&mut self, messages: &[Arc<Message>]) -> Result<(), ClientError> {
        let mut channels = Vec::new();
        for message in messages {
            let next = u32::try_from(self.channels.len())
                .unwrap_or(u32::MAX)
                .saturating_add(1);
            let known = self.channels.entry(message.topic.clone());
            let is_new = matches!(known, std::collections::btree_map::Entry::Vacant(_));
            let known = known.or_insert(Known {
                id: next,
                latest: None,
            });
            if message.payload.is_retained() {
                known.latest = Some(message.clone());
            }
            let schema_name = form::schema_name(&message.payload);
            if is_new {
                channels.push(Channel {
                    id: known.id,
                    topic: message.topic.as_str(),
                    encoding: "json",
                    schema_name,
                    schema: form::schema(schema_name).unwrap_or_default(),
                    schema_encoding: "jsonschema",
                });
            }
        }
        self.say(&Says::Advertise { channels }).await
    }

    async fn hear(&mut self, text: &str) -> Result<(), ClientError> {
        match serde_json::from_str(text) {
            Ok(Hears::Subscribe { subscriptions }) => {
                for subscription in subscriptions {
                    self.subscribe(subscription).await?;
                }
                Ok(())
            }
            Ok(Hears::Unsubscribe { subscription_ids }) => {
                self.subscriptions
                    .retain(|held| !subscription_ids.contains(&held.id));
                Ok(())
            }
            Ok(Hears::Other) => {
                let message = "This machine is only watched here: it takes nothing but subscriptions";
                self.say(&Says::Status { level: 1, message }).await
            }
            Err(_) => {
                let message = "That is no message of the protocol";
                self.say(&Says::Status { level: 2, message }).await
            }
        }
    }

    async fn subscribe(&mut self, wanted: Subscription) -> Result<(), ClientError> {
        let known = self.channels.values().find(|known| known.id == wanted.channel_id);
        let held = |held: &Subscription| held.id == wanted.id || held.channel_id == wanted.channel_id;
        if known.is_none()
            || self.subscriptions.iter().any(held)
            || self.subscriptions.len() >= SUBSCRIPTIONS_MAX
        {
            let message = "There is no such channel, or there is a subscription like that already";
            return self.say(&Says::Status { level: 1, message }).await;
        }
        let latest = known.and_then(|known| known.latest.clone());
        self.subscriptions.push(wanted);
        match latest {
            Some(latest) => self.pass_on(&latest).await,
            None => Ok(()),
        }
    }

    async fn pass_on(&mut self, message: &Arc<Message>) -> Result<(), ClientError> {
        let Some(known) = self.channels.get_mut(&message.topic) else {
            return Ok(());
        };
        if message.payload.is_retained() {
            known.latest = Some(message.clone());
        }
        let id = known.id;
        let Some(subscription) = self.subscriptions.iter().find(|held| held.channel_id == id) else {
            return Ok(());
        };
        let at = u64::try_from(message.at.as_millis())
            .unwrap_or(0)
            .saturating_mul(1_000_000);
        self.buffer.clear();
        self.buffer.push(MESSAGE_DATA);
        self.buffer.extend_from_slice(&subscription.id.to_le_bytes());
        self.buffer.extend_from_slice(&at.to_le_bytes());
        if form::write(&message.payload, &mut self.buffer).is_err() {
            return Ok(());
        }
        let frame = Frame::Binary(Bytes::copy_from_slice(&self.buffer));
        self.send(frame).await
    }
}
