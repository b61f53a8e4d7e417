//! A server in a few lines: says welcome, takes everything, acknowledges, and misbehaves when told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use muster_model::{MachineId, RecordNumber, SequenceNumber, SessionNumber, StateVersion, Timestamp};
use muster_protocol::link::compression::{self, DICTIONARY_ID};
use muster_protocol::link::{
    Ack, Decoder, Envelope, Limits, MachineMessage, SUBPROTOCOL, ServerMessage, Welcome, encode,
};
use muster_runtime::{Clock, Shutdown, Tasks};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// How the server treats whoever connects.
#[derive(Clone, Debug, PartialEq)]
pub enum Manner {
    /// Welcome, and an acknowledgement for every record.
    Polite,
    /// Welcome, and no acknowledgement.
    Forgetful,
    /// Accepts the connection and never says a word, not even in the handshake.
    Mute,
    /// Speaks WebSocket, and never says welcome.
    Unwelcoming,
    /// Says these frames instead of a welcome.
    Babbling(Vec<Message>),
    /// Chooses the dictionary, compresses whatever gets shorter, and is polite.
    Terse,
}

#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    shutdown: Shutdown,
}

pub struct Shared {
    clock: Clock,
    manner: Mutex<Manner>,
    heard: Mutex<Vec<Envelope<MachineMessage>>>,
    connections: Mutex<u64>,
    highest: Mutex<u64>,
    /// How many binary and text frames machines sent.
    frames: Mutex<(u64, u64)>,
    news: Notify,
    outgoing: Mutex<Option<mpsc::Sender<Out>>>,
    /// Close codes and pongs that machines sent.
    closes: Mutex<Vec<Option<u16>>>,
    pongs: Mutex<u64>,
}

/// What a test wants to be sent.
pub enum Out {
    Message(ServerMessage),
    Raw(Message),
    Cut,
}

impl Server {
    pub async fn start(manner: Manner) -> Self {
        Self::start_at(manner, "127.0.0.1:0".parse().unwrap()).await
    }

    pub async fn start_at(manner: Manner, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            clock: Clock::start(),
            manner: Mutex::new(manner),
            heard: Mutex::default(),
            connections: Mutex::default(),
            highest: Mutex::default(),
            frames: Mutex::default(),
            news: Notify::new(),
            outgoing: Mutex::default(),
            closes: Mutex::default(),
            pongs: Mutex::default(),
        });
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(shutdown.clone());
        let server = Self {
            address,
            shared,
            shutdown: shutdown.clone(),
        };
        let this = server.clone();
        tasks.clone().spawn_small(async move {
            loop {
                let (stream, _) = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap(),
                    () = shutdown.requested() => return,
                };
                let (this, shutdown) = (this.clone(), shutdown.clone());
                tasks.spawn_small(async move {
                    tokio::select! { () = this.serve(stream) => {}, () = shutdown.requested() => {} }
                });
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    pub fn behave(&self, manner: Manner) {
        *self.shared.manner.lock() = manner;
    }

    /// Stops listening and cuts every connection.
    pub fn stop(&self) {
        self.shutdown.request("the test says so");
    }

    pub fn connections(&self) -> u64 {
        *self.shared.connections.lock()
    }

    pub fn closes(&self) -> Vec<Option<u16>> {
        self.shared.closes.lock().clone()
    }

    pub fn pongs(&self) -> u64 {
        *self.shared.pongs.lock()
    }

    /// How many binary and text frames machines sent.
    pub fn frames(&self) -> (u64, u64) {
        *self.shared.frames.lock()
    }

    pub fn heard(&self) -> Vec<Envelope<MachineMessage>> {
        self.shared.heard.lock().clone()
    }

    pub async fn say(&self, message: ServerMessage) {
        self.out(Out::Message(message)).await;
    }

    pub async fn out(&self, out: Out) {
        let sender = self
            .shared
            .outgoing
            .lock()
            .clone()
            .expect("a machine is connected");
        sender.send(out).await.ok();
    }

    /// Waits until something holds; fails after ten seconds.
    pub async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let waiting = async {
            loop {
                let news = self.shared.news.notified();
                if holds(self) {
                    return;
                }
                // Some of what is waited for comes without news.
                let _ = tokio::time::timeout(Duration::from_millis(50), news).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(10), waiting)
            .await
            .is_err()
        {
            let kinds: Vec<_> = self.heard().iter().map(|e| e.message.type_name()).collect();
            panic!(
                "never happened: {what}; heard {kinds:?}, connections {}",
                self.connections()
            );
        }
    }

    async fn serve(&self, stream: TcpStream) {
        *self.shared.connections.lock() += 1;
        self.shared.news.notify_waiters();
        let manner = self.shared.manner.lock().clone();
        if manner == Manner::Mute {
            std::future::pending::<()>().await;
        }
        #[expect(clippy::result_large_err, reason = "the callback's signature")]
        let check = |request: &Request, mut response: Response| {
            assert_eq!(request.uri().path(), "/machine");
            assert_eq!(request.headers()["sec-websocket-protocol"], SUBPROTOCOL);
            let headers = response.headers_mut();
            headers.insert("sec-websocket-protocol", SUBPROTOCOL.parse().unwrap());
            Ok(response)
        };
        let Ok(mut socket) = accept_hdr_async(stream, check).await else {
            return;
        };
        let (sender, mut outgoing) = mpsc::channel(1_024);
        *self.shared.outgoing.lock() = Some(sender);
        let (mut machine, mut said) = (None, 0u64);
        let session = SessionNumber(*self.shared.connections.lock());
        loop {
            let frame = tokio::select! {
                frame = socket.next() => frame,
                out = outgoing.recv() => {
                    match out {
                        Some(Out::Message(message)) => {
                            said += 1;
                            let text = frame_of(machine.unwrap(), session, said, self.now(), message);
                            let _ = socket.send(Message::text(text)).await;
                        }
                        Some(Out::Raw(message)) => drop(socket.send(message).await),
                        Some(Out::Cut) | None => return,
                    }
                    continue;
                }
            };
            let text = match frame {
                Some(Ok(Message::Text(text))) => {
                    self.shared.frames.lock().1 += 1;
                    text.to_string()
                }
                Some(Ok(Message::Binary(bytes))) if manner == Manner::Terse => {
                    self.shared.frames.lock().0 += 1;
                    compression::unpack(&bytes, &Limits::default()).unwrap()
                }
                Some(Ok(Message::Close(frame))) => {
                    self.shared
                        .closes
                        .lock()
                        .push(frame.map(|frame| frame.code.into()));
                    self.shared.news.notify_waiters();
                    continue;
                }
                Some(Ok(Message::Pong(_))) => {
                    *self.shared.pongs.lock() += 1;
                    self.shared.news.notify_waiters();
                    continue;
                }
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return,
            };
            let envelope = Decoder::default()
                .machine(&text)
                .unwrap_or_else(|error| panic!("{error}: {text}"));
            machine = Some(envelope.machine_id);
            self.shared.heard.lock().push(envelope.clone());
            self.shared.news.notify_waiters();
            let mut answers = Vec::new();
            if matches!(envelope.message, MachineMessage::Hello(_)) {
                match &manner {
                    Manner::Babbling(frames) => {
                        for frame in frames.clone() {
                            let _ = socket.send(frame).await;
                        }
                    }
                    Manner::Unwelcoming | Manner::Mute => {}
                    Manner::Polite | Manner::Forgetful => answers.push(self.welcome(session, None)),
                    Manner::Terse => answers.push(self.welcome(session, Some(DICTIONARY_ID))),
                }
            }
            if let Some(RecordNumber(record)) = envelope.record
                && matches!(manner, Manner::Polite | Manner::Terse)
            {
                let mut highest = self.shared.highest.lock();
                *highest = (*highest).max(record);
                let record = RecordNumber(*highest);
                answers.push(ServerMessage::Ack(Ack {
                    record,
                    heartbeat: None,
                }));
            }
            if matches!(envelope.message, MachineMessage::Heartbeat(_)) {
                let (record, heartbeat) =
                    (RecordNumber(*self.shared.highest.lock()), Some(envelope.sequence));
                answers.push(ServerMessage::Ack(Ack { record, heartbeat }));
            }
            for answer in answers {
                said += 1;
                let text = frame_of(envelope.machine_id, session, said, self.now(), answer);
                let packed = (manner == Manner::Terse && said > 1)
                    .then(|| compression::pack(&text))
                    .flatten();
                let frame = packed.map_or_else(|| Message::text(text), Message::binary);
                if socket.send(frame).await.is_err() {
                    return;
                }
            }
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.shared.clock.wall_ms())
    }

    fn welcome(&self, session: SessionNumber, dictionary: Option<u32>) -> ServerMessage {
        ServerMessage::Welcome(Box::new(Welcome {
            session,
            version: 1,
            minor: 0,
            server_time: self.now(),
            heartbeat_interval_ms: 30_000,
            limits: Limits::default(),
            dictionary,
            highest_record: RecordNumber(*self.shared.highest.lock()),
            state_version: StateVersion::ZERO,
            desired_version: 0,
        }))
    }
}

fn frame_of(
    machine_id: MachineId,
    session: SessionNumber,
    sequence: u64,
    timestamp: Timestamp,
    message: ServerMessage,
) -> String {
    encode(&Envelope {
        machine_id,
        session: Some(session),
        sequence: SequenceNumber(sequence),
        record: None,
        timestamp,
        traceparent: None,
        message,
    })
    .unwrap()
}
