//! A server on ports of its own, and clients of another make: JSON by hand over plain WebSockets and HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use muster_fleet::access::{Access, AccessMode};
use muster_fleet::{Options, Server, ServerError};
use muster_runtime::{Clock, Shutdown};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Longest that anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Waits for something that must come.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("not in time: {what}"),
    }
}

/// Asks again and again until it holds.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    soon(what, async {
        loop {
            if let Some(value) = ask().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

/// A server that runs.
pub struct Site {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub fleet: muster_fleet::state::Fleet,
    pub access: Arc<Access>,
    pub rollouts: muster_fleet::rollout::Rollouts,
    pub releases: muster_fleet::releases::Releases,
    pub shutdown: Shutdown,
    pub run: JoinHandle<Result<(), ServerError>>,
    http: reqwest::Client,
}

pub fn options(data: &std::path::Path) -> Options {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut options = Options::new(data.to_owned());
    (options.listen, options.admin_listen, options.shards) = (any, Some(any), 2);
    options.access = AccessMode::TrustLoopback;
    options
}

impl Site {
    pub async fn start(data: &std::path::Path) -> Self {
        Self::start_with(options(data)).await
    }

    pub async fn start_with(options: Options) -> Self {
        let shutdown = Shutdown::new();
        let server = Server::start(options, Clock::start(), shutdown.clone())
            .await
            .unwrap();
        let (address, admin) = (server.address(), server.admin_address().unwrap());
        let (fleet, access) = (server.fleet().clone(), server.access().clone());
        let (rollouts, releases) = (server.rollouts().clone(), server.releases().clone());
        #[expect(clippy::disallowed_methods, reason = "a test's own task, which is waited for")]
        // tidy: allow(tasks): a test's own task, which is waited for
        let run = tokio::spawn(server.run_to_checkpoint());
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        Self {
            address,
            admin,
            fleet,
            access,
            rollouts,
            releases,
            shutdown,
            run,
            http,
        }
    }

    /// Ends the server in order.
    pub async fn stop(self) -> Result<(), ServerError> {
        self.shutdown.request("the test says so");
        let Self {
            run,
            fleet,
            access,
            http,
            rollouts,
            ..
        } = self;
        drop((fleet, access, http, rollouts));
        soon("the server ends", run).await.unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method.parse().unwrap(), self.url(path))
    }

    /// Status and document of a GET.
    pub async fn ask(&self, path: &str) -> (u16, Value) {
        answer(self.request("GET", path)).await
    }

    /// The document of a GET that must succeed.
    pub async fn get(&self, path: &str) -> Value {
        let (status, document) = self.ask(path).await;
        assert_eq!(status, 200, "{path}: {document}");
        document
    }

    pub async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.admin);
        self.http.get(url).send().await.unwrap().text().await.unwrap()
    }

    /// Every item of a paged list.
    pub async fn all(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let glue = if path.contains('?') { '&' } else { '?' };
            let path = match &cursor {
                Some(cursor) => format!("{path}{glue}cursor={cursor}"),
                None => path.to_owned(),
            };
            let page = self.get(&path).await;
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return items,
            }
        }
    }

    /// Waits until readers see everything that the log holds.
    pub async fn settle(&self) {
        let mut last = (self.fleet.position(), String::new());
        until("the server settles", || {
            let before = last.clone();
            let now = (self.fleet.position(), format!("{:?}", self.shown()));
            last = now.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(120)).await;
                (before == now).then_some(())
            }
        })
        .await;
    }

    fn shown(&self) -> Vec<(muster_model::MachineId, muster_model::LogPosition)> {
        let mut shown: Vec<_> = self
            .fleet
            .views()
            .iter()
            .map(|view| (view.id, view.position))
            .collect();
        shown.sort();
        shown
    }
}

pub async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let problem = response
        .headers()
        .get("content-type")
        .is_some_and(|kind| kind == "application/problem+json");
    let document: Value = response.json().await.unwrap_or(Value::Null);
    if status >= 400 {
        assert!(problem, "{status} without a problem: {document}");
        assert_eq!(document["status"], status, "{document}");
        let code = document["code"].as_str().unwrap_or("");
        assert!(code.starts_with("MST-"), "{document}");
        assert!(
            !document["detail"].as_str().unwrap_or("").is_empty(),
            "{document}"
        );
    }
    (status, document)
}

/// The id of the machine with this number. Odd and even ones live in different shards.
pub fn id(number: u32) -> String {
    format!("0192f0c1-7b5e-7c3a-8d2f-{number:012x}")
}

pub fn now() -> muster_model::Timestamp {
    muster_model::Timestamp::from_millis(Clock::start().wall_ms())
}

/// One machine with a connection.
pub struct Machine {
    pub id: String,
    pub socket: Socket,
    pub session: u64,
    pub sequence: u64,
    /// The last record that was given a number.
    pub record: u64,
    pub acked: u64,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    pub bye: Option<Value>,
    pub code: Option<u16>,
}

pub async fn dial(address: SocketAddr) -> Socket {
    let mut request = format!("ws://{address}/machine").into_client_request().unwrap();
    request
        .headers_mut()
        .insert("sec-websocket-protocol", "muster.v1".parse().unwrap());
    let (socket, _) = soon("the handshake", tokio_tungstenite::connect_async(request))
        .await
        .unwrap();
    socket
}

pub fn envelope(
    id: &str,
    kind: &str,
    session: Option<u64>,
    sequence: u64,
    record: Option<u64>,
    payload: Value,
) -> Value {
    let mut envelope = json!({
        "version": 1, "type": kind, "machine_id": id, "sequence": sequence, "timestamp": now(), "payload": payload,
    });
    if let Some(session) = session {
        envelope["session"] = json!(session);
    }
    if let Some(record) = record {
        envelope["record"] = json!(record);
    }
    envelope
}

/// A hello of a machine that gave out `record` as its last number, and holds the records behind `acked`.
pub fn hello_with(id: &str, acked: u64, record: u64) -> Value {
    let mut payload = json!({
        "versions": [1], "agent_version": "by-hand 1", "boot_id": "0192f0c1-0000-7000-8000-000000000001",
        "highest_record": record,
    });
    if acked < record {
        payload["records"] = json!({ "first": acked + 1, "last": record });
    }
    envelope(id, "hello", None, 1, None, payload)
}

pub fn hello(id: &str, record: u64) -> Value {
    hello_with(id, record, record)
}

/// The next message of the server; none once it has closed.
pub async fn hear(socket: &mut Socket) -> Result<Value, Option<u16>> {
    loop {
        match soon("a message of the server", socket.next()).await {
            Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Err(None),
        }
    }
}

/// What is said until the end.
pub async fn end(socket: &mut Socket) -> Ended {
    let mut bye = None;
    soon("the connection ends", async {
        loop {
            match hear(socket).await {
                Ok(message) if message["type"] == "bye" => bye = Some(message["payload"].clone()),
                Ok(_) => {}
                Err(code) => {
                    return Ended {
                        bye: bye.take(),
                        code,
                    };
                }
            }
        }
    })
    .await
}

pub async fn send(socket: &mut Socket, message: &Value) {
    soon(
        "a message is taken",
        socket.send(Message::Text(message.to_string().into())),
    )
    .await
    .unwrap();
}

impl Machine {
    /// A machine in session. `record` is the last one that it ever gave a number; all of them were acknowledged.
    pub async fn connect(address: SocketAddr, id: &str, record: u64) -> Self {
        Self::come_back(address, id, record, record).await
    }

    /// A machine in session that holds the records behind `acked`, up to `record`.
    pub async fn come_back(address: SocketAddr, id: &str, acked: u64, record: u64) -> Self {
        Self::connect_with(address, id, hello_with(id, acked, record)).await
    }

    /// A machine in session that begins with this hello.
    pub async fn connect_with(address: SocketAddr, id: &str, hello: Value) -> Self {
        let mut socket = dial(address).await;
        send(&mut socket, &hello).await;
        let record = hello["payload"]["highest_record"].as_u64().unwrap_or(0);
        let welcome = hear(&mut socket).await.unwrap();
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        let session = welcome["payload"]["session"].as_u64().unwrap();
        let held = welcome["payload"]["highest_record"].as_u64().unwrap();
        Self {
            id: id.to_owned(),
            socket,
            session,
            sequence: 1,
            record: record.max(held),
            acked: held,
        }
    }

    pub fn message(&mut self, kind: &str, durable: bool, payload: Value) -> Value {
        self.sequence += 1;
        let record = durable.then(|| {
            self.record += 1;
            self.record
        });
        envelope(&self.id, kind, Some(self.session), self.sequence, record, payload)
    }

    pub async fn say(&mut self, kind: &str, payload: Value) {
        let durable = matches!(kind, "event" | "state" | "response");
        let message = self.message(kind, durable, payload);
        send(&mut self.socket, &message).await;
    }

    pub async fn event(&mut self, kind: &str, severity: &str, text: &str) {
        self.say(
            "event",
            json!({ "kind": kind, "severity": severity, "message": text }),
        )
        .await;
    }

    /// Says something durable and waits until it is acknowledged.
    pub async fn surely(&mut self, kind: &str, payload: Value) {
        self.say(kind, payload).await;
        self.acknowledged().await;
    }

    /// Waits until everything is acknowledged.
    pub async fn acknowledged(&mut self) {
        while self.acked < self.record {
            let message = hear(&mut self.socket).await.unwrap();
            if message["type"] == "ack" {
                self.acked = self.acked.max(message["payload"]["record"].as_u64().unwrap());
            } else {
                panic!("{message}");
            }
        }
    }

    pub async fn heartbeat(&mut self) {
        let payload = json!({ "uptime_s": 1, "link": { "connects": 1, "outbox": 0, "dropped": 0 }, "safety": "operational", "authority": "none" });
        self.say("heartbeat", payload).await;
    }
}

/// A full state.
pub fn state(name: &str, kind: &str, region: Option<&str>, battery: Option<f64>) -> Value {
    let mut identity = json!({ "name": name, "kind": kind });
    if let Some(region) = region {
        identity["region"] = json!(region);
    }
    let mut full = json!({ "identity": identity });
    if let Some(battery) = battery {
        full["power"] = json!({ "battery_percent": battery, "charging": false, "external_supply": false });
    }
    json!({ "full": full })
}

/// A client of the live API.
pub struct Live(pub Socket);

impl Live {
    pub async fn connect(address: SocketAddr) -> Self {
        let (socket, _) = soon(
            "the handshake",
            tokio_tungstenite::connect_async(format!("ws://{address}/ws")),
        )
        .await
        .unwrap();
        Self(socket)
    }

    /// In somebody's name.
    pub async fn connect_as(address: SocketAddr, token: &str) -> Self {
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        let value = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
        let (socket, _) = soon("the handshake", tokio_tungstenite::connect_async(request))
            .await
            .unwrap();
        Self(socket)
    }

    pub async fn say(&mut self, message: Value) {
        send(&mut self.0, &message).await;
    }

    pub async fn subscribe(&mut self, id: &str, topics: &[&str], more: Value) {
        let mut message = json!({ "type": "subscribe", "id": id, "topics": topics });
        for (key, value) in more.as_object().into_iter().flatten() {
            message[key] = value.clone();
        }
        self.say(message).await;
    }

    pub async fn next(&mut self) -> Value {
        hear(&mut self.0).await.unwrap()
    }

    /// The next message of this type; others are skipped.
    pub async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await;
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// Events of updates and of what was resumed, until there are so many.
    pub async fn events(&mut self, count: usize) -> Vec<Value> {
        let mut events = Vec::new();
        while events.len() < count {
            let message = self.next().await;
            for item in message["items"].as_array().into_iter().flatten() {
                if item["topic"].as_str().unwrap().contains(".event.") {
                    events.push(item["data"].clone());
                }
            }
        }
        events
    }
}
