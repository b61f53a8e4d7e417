//! One WebSocket to the server at a time.
//!
//! It is asked to connect, write and close, and tells by [`Socket::event`] what came of it. All frames of a write go out
//! together. It knows nothing of messages.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Sink, Stream};
use http::HeaderValue;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use muster_protocol::link::{Limits, SUBPROTOCOL};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Sleep;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::dial::Dial;
use crate::options::ServerUrl;

/// Nothing is wrong. Source: RFC 6455, 7.4.1.
pub(super) const NORMAL: u16 = 1000;
/// A kind of data that cannot be accepted. Source: RFC 6455, 7.4.1.
pub(super) const UNSUPPORTED: u16 = 1003;
/// What is read at once: small, because every machine of a simulated fleet has one.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// A write that is gathered does not go out before it is complete.
const WRITE_BUFFER_BYTES: usize = 64 * 1024;
/// More than this is never gathered.
const WRITE_BUFFER_MAX_BYTES: usize = 1024 * 1024;
/// How long the server may take to answer a close.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// Longest reason in a close frame. Source: RFC 6455, 5.5.
const CLOSE_REASON_MAX_BYTES: usize = 123;

/// What happened on the socket.
#[derive(Debug)]
pub(super) enum SocketEvent {
    /// The connection that was asked for stands.
    Opened,
    /// The connection ended, or could not be made; why, for a person.
    Closed(String),
    /// A text frame came.
    Text(Utf8Bytes),
    /// A binary frame came.
    Binary(Bytes),
    /// Something came that is no message, such as a ping.
    Heard,
    /// The last write is out.
    Written,
}

type Connecting<S> = Pin<Box<dyn Future<Output = Result<Box<Stand<S>>, String>> + Send>>;

/// One WebSocket to the server at a time.
pub(super) struct Socket<D: Dial> {
    dial: Arc<D>,
    server: ServerUrl,
    connect_timeout: Duration,
    state: State<D::Stream>,
}

enum State<S> {
    Idle,
    Connecting(Connecting<S>),
    Open(Box<Stand<S>>),
    /// To be told as closed, for this reason.
    Ended(String),
}

/// A connection that stands.
struct Stand<S> {
    stream: WebSocketStream<S>,
    outgoing: VecDeque<Message>,
    /// Whether the end of a write is to be told.
    writing: bool,
    closing: Option<Closing>,
}

struct Closing {
    reason: String,
    deadline: Pin<Box<Sleep>>,
}

impl<D: Dial> Socket<D> {
    pub(super) fn new(dial: Arc<D>, server: ServerUrl, connect_timeout: Duration) -> Self {
        Self {
            dial,
            server,
            connect_timeout,
            state: State::Idle,
        }
    }

    pub(super) fn connect(&mut self) {
        let (dial, server, within) = (self.dial.clone(), self.server.clone(), self.connect_timeout);
        self.state = State::Connecting(Box::pin(async move {
            let connecting = connect(dial.as_ref(), &server);
            match tokio::time::timeout(within, connecting).await {
                Ok(result) => result,
                Err(_) => Err(format!("no connection within {} s", within.as_secs_f32())),
            }
        }));
    }

    /// Puts a text frame behind those that wait; nothing is written before [`event`](Self::event) is asked.
    pub(super) fn write_text(&mut self, text: String) {
        self.write(Message::text(text));
    }

    /// Puts a binary frame behind those that wait.
    pub(super) fn write_binary(&mut self, bytes: Vec<u8>) {
        self.write(Message::binary(bytes));
    }

    fn write(&mut self, frame: Message) {
        if let State::Open(stand) = &mut self.state
            && stand.closing.is_none()
        {
            stand.outgoing.push_back(frame);
            stand.writing = true;
        }
    }

    /// Closes the connection in order, if there is one; its end is told as an event.
    pub(super) fn close(&mut self, code: u16, reason: &str) {
        match &mut self.state {
            State::Open(stand) if stand.closing.is_none() => {
                let mut text = reason.to_owned();
                text.truncate(text.floor_char_boundary(CLOSE_REASON_MAX_BYTES));
                stand.outgoing.push_back(Message::Close(Some(CloseFrame {
                    code: CloseCode::from(code),
                    reason: text.into(),
                })));
                stand.closing = Some(Closing {
                    reason: reason.to_owned(),
                    deadline: Box::pin(tokio::time::sleep(CLOSE_WITHIN)),
                });
            }
            State::Connecting(_) => self.state = State::Ended(reason.to_owned()),
            State::Open(_) | State::Idle | State::Ended(_) => {}
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// The next thing that happens. May be given up and asked again without losing anything.
    pub(super) async fn event(&mut self) -> SocketEvent {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<SocketEvent> {
        let event = match &mut self.state {
            State::Idle => return Poll::Pending,
            State::Ended(reason) => SocketEvent::Closed(std::mem::take(reason)),
            State::Connecting(connecting) => match connecting.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(stand)) => {
                    self.state = State::Open(stand);
                    return Poll::Ready(SocketEvent::Opened);
                }
                Poll::Ready(Err(reason)) => SocketEvent::Closed(reason),
            },
            State::Open(stand) => match stand.poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(event) => event,
            },
        };
        if matches!(event, SocketEvent::Closed(_)) {
            self.state = State::Idle;
        }
        Poll::Ready(event)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stand<S> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<SocketEvent> {
        match self.poll_write(cx) {
            Poll::Ready(Ok(true)) => return Poll::Ready(SocketEvent::Written),
            Poll::Ready(Ok(false)) | Poll::Pending => {}
            Poll::Ready(Err(error)) => return Poll::Ready(self.closed(said_by(&error))),
        }
        loop {
            return match Pin::new(&mut self.stream).poll_next(cx) {
                Poll::Pending => self.poll_close_deadline(cx),
                Poll::Ready(None) => Poll::Ready(self.closed("the connection ended".to_owned())),
                Poll::Ready(Some(Err(error))) => Poll::Ready(self.closed(said_by(&error))),
                Poll::Ready(Some(Ok(Message::Text(text)))) => Poll::Ready(SocketEvent::Text(text)),
                Poll::Ready(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => Poll::Ready(SocketEvent::Heard),
                Poll::Ready(Some(Ok(Message::Close(frame)))) => Poll::Ready(self.closed_by_server(frame)),
                Poll::Ready(Some(Ok(Message::Binary(bytes)))) => Poll::Ready(SocketEvent::Binary(bytes)),
                Poll::Ready(Some(Ok(Message::Frame(_)))) => continue,
            };
        }
    }

    /// Writes what waits. True when a write is out, false when there was none.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        if self.outgoing.is_empty() && !self.writing {
            return Poll::Ready(Ok(false));
        }
        while !self.outgoing.is_empty() {
            std::task::ready!(Pin::new(&mut self.stream).poll_ready(cx))?;
            if let Some(frame) = self.outgoing.pop_front() {
                Pin::new(&mut self.stream).start_send(frame)?;
            }
        }
        std::task::ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        Poll::Ready(Ok(std::mem::take(&mut self.writing)))
    }

    fn poll_close_deadline(&mut self, cx: &mut Context<'_>) -> Poll<SocketEvent> {
        let Some(closing) = &mut self.closing else {
            return Poll::Pending;
        };
        std::task::ready!(closing.deadline.as_mut().poll(cx));
        let reason = std::mem::take(&mut closing.reason);
        Poll::Ready(SocketEvent::Closed(reason))
    }

    /// The end, for the reason that it was given up for, if it was.
    fn closed(&mut self, reason: String) -> SocketEvent {
        SocketEvent::Closed(self.closing.take().map_or(reason, |closing| closing.reason))
    }

    fn closed_by_server(&mut self, frame: Option<CloseFrame>) -> SocketEvent {
        let reason = match frame {
            Some(frame) if frame.reason.is_empty() => {
                format!("the server closed the connection with {}", u16::from(frame.code))
            }
            Some(frame) => format!(
                "the server closed the connection with {}: {}",
                u16::from(frame.code),
                frame.reason
            ),
            None => "the server closed the connection".to_owned(),
        };
        self.closed(reason)
    }
}

async fn connect<D: Dial>(dial: &D, server: &ServerUrl) -> Result<Box<Stand<D::Stream>>, String> {
    let failed =
        |error: std::io::Error| format!("no connection to {}:{}: {error}", server.host(), server.port());
    let stream = dial.dial(server.host(), server.port()).await.map_err(failed)?;
    let mut request = server
        .uri()
        .into_client_request()
        .map_err(|error| said_by(&error))?;
    let headers = request.headers_mut();
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    let limits = Limits::default();
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_MAX_BYTES)
        .max_message_size(Some(limits.state_frame_max_bytes))
        .max_frame_size(Some(limits.state_frame_max_bytes));
    let (stream, _) = client_async_with_config(request, stream, Some(config))
        .await
        .map_err(|error| said_by(&error))?;
    Ok(Box::new(Stand {
        stream,
        outgoing: VecDeque::new(),
        writing: false,
        closing: None,
    }))
}

fn said_by(error: &Error) -> String {
    match error {
        Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            let body = String::from_utf8_lossy(&body[..body.len().min(256)]);
            format!("the server answered {} {body}", response.status())
                .trim_end()
                .to_owned()
        }
        error => muster_runtime::errors::chain(error),
    }
}
