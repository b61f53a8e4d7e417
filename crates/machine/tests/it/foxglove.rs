//! The live view, by a client that speaks the protocol as its specification says.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use muster_machine::bus::Bus;
use muster_machine::message::{Payload, TrafficReading, event, topics};
use muster_machine::nodes::foxglove::accept;
use muster_model::{Mode, Severity};
use muster_runtime::{Clock, Shutdown, Tasks};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct Live {
    bus: Bus,
    url: String,
    tasks: Tasks,
}

impl Live {
    async fn start() -> Self {
        let bus = Bus::new(Clock::start());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let tasks = Tasks::new(Shutdown::new());
        let heard = bus.clone();
        tasks.spawn_small(async move { accept(&listener, &heard, &Arc::from("probe")).await });
        Self { bus, url, tasks }
    }

    async fn connect(&self, protocol: Option<&'static str>) -> Result<(Client, Option<String>), Error> {
        let mut request = self.url.as_str().into_client_request()?;
        if let Some(protocol) = protocol {
            let name = "sec-websocket-protocol";
            request.headers_mut().insert(name, protocol.parse().unwrap());
        }
        let (client, response) = connect_async(request).await?;
        let agreed = response.headers().get("sec-websocket-protocol");
        let agreed = agreed.map(|value| value.to_str().unwrap().to_owned());
        Ok((client, agreed))
    }

    async fn end(self) {
        self.tasks.shutdown().request("done");
        self.tasks.finish(Duration::from_secs(1)).await;
    }
}

async fn frame(client: &mut Client) -> Message {
    let next = tokio::time::timeout(Duration::from_secs(10), client.next()).await;
    next.expect("something is said").unwrap().unwrap()
}

async fn text(client: &mut Client) -> Value {
    match frame(client).await {
        Message::Text(text) => serde_json::from_str(&text).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// A message of a channel: its subscription, its time, and what was said.
async fn data(client: &mut Client) -> (u32, u64, Value) {
    match frame(client).await {
        Message::Binary(bytes) => {
            assert_eq!(bytes[0], 1, "the opcode of Message Data");
            let subscription = u32::from_le_bytes(bytes[1..5].try_into().unwrap());
            let time = u64::from_le_bytes(bytes[5..13].try_into().unwrap());
            (subscription, time, serde_json::from_slice(&bytes[13..]).unwrap())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn topics_are_channels_and_only_what_is_subscribed_to_is_sent() {
    let live = Live::start().await;
    live.bus.publish(Payload::Mode(Mode::Idle));
    assert!(!live.bus.is_heard(topics::STEPS), "nobody watches");
    let (mut client, agreed) = live.connect(Some("foxglove.websocket.v1")).await.unwrap();
    assert_eq!(agreed.as_deref(), Some("foxglove.websocket.v1"));
    let info = text(&mut client).await;
    assert_eq!(
        (&info["op"], &info["name"], &info["capabilities"]),
        (&json!("serverInfo"), &json!("probe"), &json!([]))
    );
    let advertised = text(&mut client).await;
    assert_eq!(advertised["op"], "advertise");
    let channel = &advertised["channels"][0];
    assert_eq!(
        (&channel["topic"], &channel["encoding"]),
        (&json!("mode"), &json!("json"))
    );
    assert_eq!(
        (&channel["schemaName"], &channel["schemaEncoding"]),
        (&json!("muster.Mode"), &json!("jsonschema"))
    );
    let schema: Value = serde_json::from_str(channel["schema"].as_str().unwrap()).unwrap();
    assert_eq!(schema["type"], "object");
    assert!(live.bus.is_heard(topics::STEPS), "somebody watches");
    // What says how something is comes at once.
    let subscribe = json!({"op": "subscribe", "subscriptions": [{"id": 7, "channelId": channel["id"]}]});
    client.send(Message::text(subscribe.to_string())).await.unwrap();
    let (subscription, time, said) = data(&mut client).await;
    assert_eq!((subscription, said), (7, json!({"mode": "idle"})));
    assert!(
        time > 1_600_000_000_000_000_000,
        "nanoseconds of the wall clock: {time}"
    );
    // A new topic is told of, and what nobody subscribed to is not sent.
    live.bus.publish(event("odd.thing", Severity::Info, "Odd"));
    live.bus.publish(Payload::Mode(Mode::Working));
    let advertised = text(&mut client).await;
    assert_eq!(advertised["channels"][0]["topic"], "event.odd.thing");
    assert_eq!(data(&mut client).await.2, json!({"mode": "working"}));
    let unsubscribe = json!({"op": "unsubscribe", "subscriptionIds": [7]});
    client.send(Message::text(unsubscribe.to_string())).await.unwrap();
    // Whoever asks for more is told, and changes nothing.
    let publish = json!({"op": "advertise", "channels": []});
    client.send(Message::text(publish.to_string())).await.unwrap();
    assert_eq!(text(&mut client).await["op"], "status");
    live.bus.publish(Payload::Mode(Mode::Idle));
    live.bus.publish(Payload::Traffic(TrafficReading {
        receive_bytes_per_s: 1.0,
        transmit_bytes_per_s: 2.0,
    }));
    let next = text(&mut client).await;
    assert_eq!(
        next["channels"][0]["topic"], "traffic",
        "nothing of what was unsubscribed"
    );
    drop(client);
    live.end().await;
}

#[tokio::test]
async fn the_app_of_today_is_understood_and_others_are_refused() {
    let live = Live::start().await;
    let (_, agreed) = live
        .connect(Some("foxglove.sdk.v1, foxglove.websocket.v1"))
        .await
        .unwrap();
    assert_eq!(agreed.as_deref(), Some("foxglove.sdk.v1"));
    for odd in [None, Some("mqtt")] {
        let Err(Error::Http(response)) = live.connect(odd).await else {
            panic!("{odd:?} is let in");
        };
        assert_eq!(response.status(), 400);
    }
    live.end().await;
}
