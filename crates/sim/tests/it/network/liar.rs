//! A planted fault: a server that acknowledges whatever it is told, and keeps nothing.

use futures_util::{SinkExt, StreamExt};
use muster_model::{SequenceNumber, SessionNumber, StateVersion, Timestamp};
use muster_protocol::link::{
    Ack, Decoder, Envelope, Limits, MachineMessage, SUBPROTOCOL, ServerMessage, Welcome, encode,
};
use muster_runtime::{Shutdown, Tasks};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use turmoil::net::{TcpListener, TcpStream};

use super::server;
use super::world::wall_now_ms;

/// Takes machines in until its host crashes.
pub(super) async fn run() -> turmoil::Result {
    let tasks = Tasks::new(Shutdown::new());
    let listener = TcpListener::bind(("0.0.0.0", server::PORT)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tasks.spawn_small(speak(stream));
    }
}

async fn speak(stream: TcpStream) {
    #[expect(clippy::result_large_err, reason = "the callback's signature")]
    let subprotocol = |_: &Request, mut response: Response| {
        let headers = response.headers_mut();
        headers.insert("sec-websocket-protocol", SUBPROTOCOL.parse().unwrap());
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr_async(stream, subprotocol).await else {
        return;
    };
    let mut sequence = 0;
    let mut session = SessionNumber(0);
    while let Some(Ok(frame)) = socket.next().await {
        let Message::Text(text) = frame else {
            continue;
        };
        let Ok(said) = Decoder::default().machine(&text) else {
            continue;
        };
        let answer = match (&said.message, said.record) {
            (MachineMessage::Hello(hello), _) => {
                session = SessionNumber(1_000_000);
                ServerMessage::Welcome(Box::new(Welcome {
                    session,
                    version: 1,
                    minor: 0,
                    server_time: Timestamp::from_millis(wall_now_ms()),
                    heartbeat_interval_ms: 30_000,
                    limits: Limits::default(),
                    dictionary: None,
                    highest_record: hello.highest_record,
                    state_version: StateVersion::ZERO,
                    desired_version: 0,
                }))
            }
            (_, Some(record)) => ServerMessage::Ack(Ack {
                record,
                heartbeat: None,
            }),
            _ => continue,
        };
        sequence += 1;
        let answer = Envelope {
            machine_id: said.machine_id,
            session: Some(session),
            sequence: SequenceNumber(sequence),
            record: None,
            timestamp: Timestamp::from_millis(wall_now_ms()),
            traceparent: None,
            message: answer,
        };
        if socket
            .send(Message::text(encode(&answer).unwrap()))
            .await
            .is_err()
        {
            return;
        }
    }
}
