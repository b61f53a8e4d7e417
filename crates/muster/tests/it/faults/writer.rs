//! A machine made of nothing but the protocol: tells of events as fast as the server takes them, and remembers what was
//! acknowledged. It shares no code with the runtime of machines, and its "disk" is the test's memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use muster_model::MachineId;
use muster_model::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::audit::WRITTEN;

/// Records that wait for their acknowledgement at most.
const WINDOW: u64 = 200;
/// So many of a connection go out as fast as they are taken, those after them one by one: a log that is looked at after
/// every kill must not grow without end.
const IN_A_RUSH: u64 = 300;

/// One such machine. Its numbers outlive its connections.
pub(crate) struct Writer {
    pub(crate) id: String,
    shared: Arc<Shared>,
    running: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    told: AtomicU64,
    acknowledged: AtomicU64,
    sessions: Mutex<Vec<u64>>,
}

impl Writer {
    pub(crate) fn new(number: u128) -> Self {
        let id = MachineId::from_uuid(uuid::Uuid::from_u128(0xfa_0000 + number));
        Self {
            id: id.to_string(),
            shared: Arc::default(),
            running: None,
        }
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::SeqCst)
    }

    /// Every session that a welcome named, in order.
    pub(crate) fn sessions(&self) -> Vec<u64> {
        self.shared.sessions.lock().unwrap().clone()
    }

    /// Connects, unless it still is, and writes until the connection ends.
    pub(crate) fn go_on(&mut self, url: &str) {
        if self.running.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        self.wait();
        let (id, shared, url) = (self.id.clone(), self.shared.clone(), format!("{url}/machine"));
        self.running = Some(std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(write(&id, &shared, &url));
        }));
    }

    /// Waits until the connection has ended; what it found wrong fails the test here.
    pub(crate) fn wait(&mut self) {
        if let Some(thread) = self.running.take() {
            thread.join().unwrap();
        }
    }
}

type Socket = WebSocketStream<TcpStream>;

async fn connect(url: &str) -> Option<Socket> {
    let mut request = url.into_client_request().unwrap();
    let protocol = muster_protocol::link::SUBPROTOCOL.parse().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", protocol);
    let address = format!("{}:{}", request.uri().host()?, request.uri().port_u16()?);
    let stream = TcpStream::connect(address).await.ok()?;
    stream.set_nodelay(true).ok()?;
    client_async(request, stream).await.ok().map(|(socket, _)| socket)
}

/// One connection, to its end.
async fn write(id: &str, shared: &Shared, url: &str) {
    let Some(mut socket) = connect(url).await else {
        return;
    };
    let (told, acknowledged) = (
        shared.told.load(Ordering::SeqCst),
        shared.acknowledged.load(Ordering::SeqCst),
    );
    let mut sequence = 0;
    let mut envelope = |kind: &str, session: Option<u64>, record: Option<u64>, payload: Value| {
        sequence += 1;
        let mut frame = json!({
            "version": 1, "type": kind, "machine_id": id, "sequence": sequence,
            "timestamp": Timestamp::from_millis(1_700_000_000_000 + sequence).to_string(), "payload": payload,
        });
        let fields = frame.as_object_mut().unwrap();
        if let Some(session) = session {
            fields.insert("session".into(), session.into());
        }
        if let Some(record) = record {
            fields.insert("record".into(), record.into());
        }
        Message::text(frame.to_string())
    };
    let mut hello = json!({
        "versions": [1], "agent_version": "faults-1", "boot_id": "0191c7a1-0000-7000-8000-000000000001",
        "highest_record": told,
    });
    if told > acknowledged {
        hello["records"] = json!({"first": acknowledged + 1, "last": told});
    }
    if socket.send(envelope("hello", None, None, hello)).await.is_err() {
        return;
    }
    let mut session = None;
    let mut next = acknowledged + 1;
    let mut sent = 0;
    loop {
        // Fills the window, then listens; a full window waits for an acknowledgement alone.
        if let Some(session) = session
            && next <= shared.acknowledged.load(Ordering::SeqCst) + WINDOW
        {
            let event = json!({"kind": WRITTEN, "severity": "info", "message": next.to_string()});
            // It is "on disk" before it is sent, as a machine's records are.
            shared.told.fetch_max(next, Ordering::SeqCst);
            if socket
                .feed(envelope("event", Some(session), Some(next), event))
                .await
                .is_err()
            {
                return;
            }
            next += 1;
            sent += 1;
            if sent < IN_A_RUSH && !next.is_multiple_of(20) {
                continue;
            }
            if socket.flush().await.is_err() {
                return;
            }
            let listen_ms = if sent < IN_A_RUSH { 1 } else { 3 };
            let heard = tokio::time::timeout(Duration::from_millis(listen_ms), socket.next()).await;
            match heard {
                Ok(Some(Ok(message))) => drop(hear(&message, shared, &mut next)),
                Ok(_) => return,
                Err(_) => {}
            }
            continue;
        }
        if socket.flush().await.is_err() {
            return;
        }
        let Some(Ok(message)) = socket.next().await else {
            return;
        };
        if let Some(welcomed) = hear(&message, shared, &mut next) {
            session = Some(welcomed);
        }
    }
}

/// Takes in what the server says; the session, if it was a welcome.
fn hear(message: &Message, shared: &Shared, next: &mut u64) -> Option<u64> {
    let Message::Text(text) = message else { return None };
    let frame: Value = serde_json::from_str(text).unwrap();
    let payload = &frame["payload"];
    match frame["type"].as_str().unwrap() {
        "ack" => {
            if let Some(record) = payload["record"].as_u64() {
                let told = shared.told.load(Ordering::SeqCst);
                assert!(record <= told, "acknowledged {record} of {told}");
                shared.acknowledged.fetch_max(record, Ordering::SeqCst);
            }
            None
        }
        "welcome" => {
            let highest = payload["highest_record"].as_u64().unwrap_or(0);
            let acknowledged = shared.acknowledged.fetch_max(highest, Ordering::SeqCst);
            assert!(
                highest >= acknowledged,
                "welcomed at {highest}, {acknowledged} were acknowledged"
            );
            *next = highest + 1;
            let session = payload["session"].as_u64().unwrap();
            shared.sessions.lock().unwrap().push(session);
            Some(session)
        }
        "resync" => panic!("the server missed something: {text}"),
        _ => None,
    }
}
