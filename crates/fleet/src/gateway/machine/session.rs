//! The life of one connection: `hello` within its time, then whatever comes first, frame after frame.
//!
//! Ten thousand of these are there at once, nearly all of them waiting. So what a waiting one holds is small: whatever
//! happens rarely is boxed while it happens.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use muster_brain::shard::ConnectionId;
use muster_protocol::link::{Decoder, Envelope, MachineMessage, Minor, TokenBucket, compression};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};

use super::ending::{End, Refusal, finish, refused};
use crate::gateway::GatewayState;
use crate::gateway::figures::{Figures, Received};
use crate::gateway::line::{Line, Said};
use crate::gateway::wire::{Incoming, Wire, WireError};
use crate::identity::connected::{Peer, why};
use crate::identity::noted;
use crate::state::ShardMessage;

/// A machine that takes nothing for so long is let go.
pub(super) const WRITE_WITHIN: Duration = Duration::from_secs(15);
/// Messages of one machine that are taken before others on the same thread get their turn.
const TURN_MAX_MESSAGES: u32 = 8;
/// Pings without an answer after which the other end is gone.
const UNHEARD_MAX: u8 = 2;

/// Speaks with a machine until its connection ends.
pub(super) async fn run<S>(wire: &mut Wire<S>, state: &GatewayState, peer: Option<Box<Peer>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let _counted = state.machines.enter();
    let (end, overtaken) = match Box::pin(greet(wire, state, peer)).await {
        Ok(mut session) => {
            let end = session.speak(wire).await;
            Box::pin(session.leave(end)).await
        }
        Err(end) => (end, None),
    };
    Box::pin(part(wire, state, end, overtaken)).await;
}

/// Ends the connection. Who was overtaken by a newer connection of the same machine, and is alive all the same, is another holder
/// of its key: a machine has one connection, and lets go of it before it makes another.
async fn part<S>(wire: &mut Wire<S>, state: &GatewayState, end: End, overtaken: Option<Box<Peer>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let answered = finish(wire, end).await;
    if let (true, Some(peer), Some(identity)) = (answered, overtaken, &state.identity) {
        noted::cloned(state, identity, peer.machine).await;
    }
}

struct Session<'a> {
    state: &'a GatewayState,
    /// What the machine speaks. The rest of its decoder is the same for all, and held by none.
    minor: Minor,
    shard: &'a mpsc::Sender<ShardMessage>,
    connection: ConnectionId,
    line: Line,
    bucket: TokenBucket,
    /// Whether binary frames were agreed.
    agreed: bool,
    /// How many pings nothing was heard after.
    unheard: u8,
    /// What is to be done after what is being done.
    after: Option<Box<Next>>,
}

/// What one turn of a connection brings. What is done once for all of it is not done for each message.
struct Turn {
    decoder: Decoder,
    now_ms: u64,
    left: u32,
    first: Option<Envelope<MachineMessage>>,
    more: Vec<Envelope<MachineMessage>>,
    heard: bool,
    received: Received,
}

impl Turn {
    fn begin(decoder: Decoder, now_ms: u64) -> Self {
        Self {
            decoder,
            now_ms,
            left: TURN_MAX_MESSAGES,
            first: None,
            more: Vec::new(),
            heard: false,
            received: Received::default(),
        }
    }

    fn add(&mut self, frame: Envelope<MachineMessage>) {
        if self.first.is_none() {
            self.first = Some(frame);
            return;
        }
        if self.more.is_empty() {
            self.more.reserve_exact(TURN_MAX_MESSAGES as usize - 1);
        }
        self.more.push(frame);
    }

    /// What the shard is told of it.
    fn message(self, connection: ConnectionId) -> Option<ShardMessage> {
        match self.first {
            Some(frame) => Some(ShardMessage::Frames {
                connection,
                frame,
                more: self.more,
            }),
            None => self.heard.then_some(ShardMessage::Heard(connection)),
        }
    }
}

/// What a session has to do besides passing on what it hears.
enum Next {
    /// The shard has too much to do: this waits for it.
    Wait(Box<ShardMessage>),
    Say(Box<Said>),
    Ping,
    Refuse(Box<Refusal>),
    Flooded,
    End(Box<End>),
}

/// What a machine said.
enum Heard {
    Frame(Envelope<MachineMessage>),
    /// A ping or a pong.
    Sign,
    Refused(Box<Refusal>),
    End(Box<End>),
}

/// The first frame must come soon, and be a `hello`.
async fn greet<'a, S>(
    wire: &mut Wire<S>,
    state: &'a GatewayState,
    peer: Option<Box<Peer>>,
) -> Result<Session<'a>, End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limits = state.options.shard.limits;
    let mut decoder = Decoder {
        limits,
        ..Decoder::default()
    };
    let first = first_frame(wire, state, &decoder).await?;
    if let MachineMessage::Hello(hello) = &first.message {
        decoder.minor = Minor(hello.minor);
    }
    let machine = first.machine_id;
    let session = Session {
        state,
        minor: decoder.minor,
        shard: &state.fleet.shard_of(machine).inbox,
        connection: state.fleet.new_connection(),
        line: Line::default(),
        bucket: TokenBucket::new(
            limits.messages_per_s,
            limits.messages_burst,
            state.fleet.mono_ms(),
        ),
        agreed: false,
        unheard: 0,
        after: None,
    };
    if let (Some(peer), Some(identity)) = (peer, &state.identity) {
        if peer.machine != machine {
            metrics::counter!("muster_violations_total", "kind" => "identity").increment(1);
            let reason = format!("the certificate is that of machine {}", peer.machine);
            return Err(End::told(1008, reason));
        }
        identity
            .connected()
            .open(session.connection, *peer, session.line.clone());
        // Whoever was shut out before this line is found here, and whoever is after it, by the look at those that stand.
        if why(identity.register(), &peer, identity.now()).is_some() {
            identity.connected().gone(session.connection);
            return Err(End::told(1008, "the certificate is not in force any more"));
        }
        noted::arrived(state, identity, machine);
    }
    tracing::debug!(%machine, connection = session.connection.0, "a machine connected");
    let open = ShardMessage::Open {
        connection: session.connection,
        line: session.line.clone(),
    };
    session.tell(open).await?;
    let frame = ShardMessage::Frames {
        connection: session.connection,
        frame: first,
        more: Vec::new(),
    };
    session.tell(frame).await?;
    Ok(session)
}

async fn first_frame<S>(
    wire: &mut Wire<S>,
    state: &GatewayState,
    decoder: &Decoder,
) -> Result<Envelope<MachineMessage>, End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let within = Duration::from_millis(state.options.hello_within_ms);
    let deadline = tokio::time::sleep(within);
    tokio::pin!(deadline);
    loop {
        // Counted at once: what is held while it waits, ten thousand hold at the same time.
        let hear = |incoming: Incoming<'_>| {
            let mut received = Received::default();
            let heard = hear(&mut received, decoder, false, incoming);
            received.count(&state.figures);
            heard
        };
        let heard = tokio::select! {
            heard = wire.next(hear) => heard,
            () = &mut deadline => {
                metrics::counter!("muster_hello_timeouts_total").increment(1);
                return Err(End::told(1008, format!("no hello within {} ms", within.as_millis())));
            }
            () = state.shutdown.requested() => return Err(stopping()),
        };
        match heard {
            Ok(Heard::Frame(frame)) => return Ok(frame),
            Ok(Heard::Sign) => {}
            Ok(Heard::Refused(refusal)) => return Err(refused(wire, state, &refusal).await),
            Ok(Heard::End(end)) => return Err(*end),
            Err(error) => return Err(End::by_error(&error)),
        }
    }
}

impl Session<'_> {
    async fn speak<S>(&mut self, wire: &mut Wire<S>) -> End
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let every = Duration::from_millis(self.state.options.ping_every_ms);
        let ping = tokio::time::sleep(every);
        tokio::pin!(ping);
        loop {
            let next = std::future::poll_fn(|cx| self.poll(cx, wire, ping.as_mut())).await;
            if matches!(next, Next::Ping) {
                ping.as_mut().reset(Instant::now() + every);
            }
            if let Err(end) = Box::pin(self.follow(wire, next)).await {
                return end;
            }
        }
    }

    /// Passes on what the machine says, until there is something else to do. What it says goes before what it is told, but
    /// only so much of it at once: a machine that floods must not keep the others on its thread waiting.
    fn poll<S>(&mut self, cx: &mut Context<'_>, wire: &mut Wire<S>, ping: Pin<&mut Sleep>) -> Poll<Next>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if let Some(next) = self.after.take() {
            return Poll::Ready(*next);
        }
        let decoder = Decoder {
            limits: self.state.options.shard.limits,
            minor: self.minor,
        };
        let mut turn = Turn::begin(decoder, self.state.fleet.mono_ms());
        let next = loop {
            match wire.poll_next(cx, |incoming| self.admit(&mut turn, incoming)) {
                Poll::Pending => break None,
                Poll::Ready(Ok(None)) => {
                    turn.left -= 1;
                    if turn.left == 0 {
                        // On with it after the others had their turn.
                        cx.waker().wake_by_ref();
                        break None;
                    }
                }
                Poll::Ready(Ok(Some(next))) => break Some(next),
                Poll::Ready(Err(error)) => break Some(Next::End(Box::new(End::by_error(&error)))),
            }
        };
        turn.received.count(&self.state.figures);
        // What was said before goes before.
        match (self.pass_on(turn), next) {
            (Some(first), next) => {
                self.after = next.map(Box::new);
                return Poll::Ready(first);
            }
            (None, Some(next)) => return Poll::Ready(next),
            (None, None) => {}
        }
        if let Poll::Ready(said) = self.line.poll_take(cx) {
            return Poll::Ready(Next::Say(Box::new(said)));
        }
        ping.poll(cx).map(|()| Next::Ping)
    }

    /// Takes in what came, if so much may come.
    fn admit(&mut self, turn: &mut Turn, incoming: Incoming<'_>) -> Option<Next> {
        self.unheard = 0;
        // Pings and pongs are no messages, but cost as much.
        if !self.bucket.take(turn.now_ms) {
            return Some(Next::Flooded);
        }
        match hear(&mut turn.received, &turn.decoder, self.agreed, incoming) {
            Heard::Frame(frame) => turn.add(frame),
            Heard::Sign => turn.heard = true,
            Heard::Refused(refusal) => return Some(Next::Refuse(refusal)),
            Heard::End(end) => return Some(Next::End(end)),
        }
        None
    }

    /// Hands a turn to the shard; says what is to be done if that cannot be.
    fn pass_on(&self, turn: Turn) -> Option<Next> {
        match self.shard.try_send(turn.message(self.connection)?) {
            Ok(()) => None,
            Err(mpsc::error::TrySendError::Full(message)) => Some(Next::Wait(Box::new(message))),
            Err(mpsc::error::TrySendError::Closed(_)) => Some(Next::End(Box::new(stopping()))),
        }
    }

    async fn follow<S>(&mut self, wire: &mut Wire<S>, next: Next) -> Result<(), End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match next {
            Next::Wait(message) => self.tell(*message).await,
            Next::Say(said) => say(wire, &self.state.figures, &mut self.agreed, *said).await,
            Next::Ping if self.unheard >= UNHEARD_MAX => {
                metrics::counter!("muster_ping_timeouts_total").increment(1);
                Err(End::gone("no answer to pings"))
            }
            Next::Ping => {
                self.unheard += 1;
                write(wire, Wire::put_ping).await
            }
            Next::Refuse(refusal) => {
                self.tell_of(&refusal).await?;
                Err(refused(wire, self.state, &refusal).await)
            }
            Next::Flooded => Err(self.flooded().await?),
            Next::End(end) => Err(*end),
        }
    }

    /// The shard lets its machine wait before it comes again.
    async fn flooded(&self) -> Result<End, End> {
        metrics::counter!("muster_violations_total", "kind" => "flood").increment(1);
        self.tell(ShardMessage::Flooded(self.connection)).await?;
        let limits = &self.state.options.shard.limits;
        let (rate, burst) = (limits.messages_per_s, limits.messages_burst);
        let reason = format!("more than {rate} messages a second after a burst of {burst}");
        Ok(End::told(1008, reason))
    }

    /// A record that is refused will come again: the shard counts how often.
    async fn tell_of(&self, refusal: &Refusal) -> Result<(), End> {
        let Some(refused) = refusal.record.clone() else {
            return Ok(());
        };
        let (connection, reason) = (self.connection, refusal.reason());
        self.tell(ShardMessage::Refused {
            connection,
            refused,
            reason,
        })
        .await
    }

    /// Tells the shard, and waits while it has too much to do.
    async fn tell(&self, message: ShardMessage) -> Result<(), End> {
        self.shard.send(message).await.map_err(|_| stopping())
    }

    /// The shard learns first that a connection is at its end: nothing more is taken in from here.
    async fn leave(self, end: End) -> (End, Option<Box<Peer>>) {
        tracing::debug!(connection = self.connection.0, reason = %end.reason, "a machine's connection ended");
        let closed = ShardMessage::Closed {
            connection: self.connection,
            reason: end.reason.clone(),
        };
        // A shard that is gone needs no telling.
        let _ = self.shard.send(closed).await;
        let identity = self.state.identity.as_ref();
        let gone = identity.and_then(|identity| identity.connected().gone(self.connection));
        let overtaken = gone.filter(|(_, overtaken)| *overtaken);
        (end, overtaken.map(|(peer, _)| Box::new(peer)))
    }
}

fn stopping() -> End {
    End::told(1001, "the server is being stopped")
}

/// What it is that came.
fn hear(received: &mut Received, decoder: &Decoder, agreed: bool, incoming: Incoming<'_>) -> Heard {
    match incoming {
        Incoming::Text(text) => hear_text(received, decoder, text, text.len()),
        Incoming::Sign => Heard::Sign,
        Incoming::Binary(frame) if agreed => match compression::unpack(frame, &decoder.limits) {
            Ok(text) => hear_text(received, decoder, &text, frame.len()),
            Err(error) => {
                metrics::counter!("muster_violations_total", "kind" => error.label()).increment(1);
                Heard::End(Box::new(End::told(error.close_code(), error.to_string())))
            }
        },
        Incoming::Binary(_) => {
            metrics::counter!("muster_violations_total", "kind" => "binary").increment(1);
            let reason = "binary frames need a dictionary, and none was agreed";
            Heard::End(Box::new(End::told(1003, reason)))
        }
        Incoming::Close(close) => Heard::End(Box::new(End::by_the_machine(close))),
    }
}

fn hear_text(received: &mut Received, decoder: &Decoder, text: &str, on_the_wire: usize) -> Heard {
    match decoder.machine(text) {
        Ok(frame) => {
            received.add(&frame.message, on_the_wire, text.len());
            Heard::Frame(frame)
        }
        Err(error) => Heard::Refused(Box::new(Refusal::new(text, error))),
    }
}

/// Says what was said together, and how the connection ends if it does.
async fn say<S>(wire: &mut Wire<S>, figures: &Figures, agreed: &mut bool, said: Said) -> Result<(), End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let text_first = match said.agreed_from {
        _ if *agreed => 0,
        Some(from) => from,
        None => said.frames.len(),
    };
    *agreed |= said.agreed_from.is_some();
    write(wire, |wire| {
        said.frames.iter().enumerate().try_for_each(|(place, text)| {
            match (place >= text_first).then(|| compression::pack(text)).flatten() {
                Some(frame) => {
                    figures.written(frame.len(), text.len());
                    wire.put_binary(&frame)
                }
                None => {
                    figures.written(text.len(), text.len());
                    wire.put_text(text)
                }
            }
        })
    })
    .await?;
    match said.close {
        Some((code, reason)) => Err(End::told(code, reason)),
        None => Ok(()),
    }
}

/// Writes what is put in line, within its time.
async fn write<S>(
    wire: &mut Wire<S>,
    put: impl FnOnce(&mut Wire<S>) -> Result<(), WireError>,
) -> Result<(), End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let write = async {
        put(wire)?;
        wire.flush().await
    };
    match tokio::time::timeout(WRITE_WITHIN, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(End::gone(format!("could not be written to: {error}"))),
        Err(_) => Err(End::gone("takes nothing any more")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    /// What a silent connection holds is multiplied by all there are.
    #[test]
    fn a_waiting_session_is_small() {
        fn size<A, F>(_: impl FnOnce(A) -> F) -> usize {
            size_of::<F>()
        }
        type Arguments = (
            &'static mut Wire<TcpStream>,
            &'static GatewayState,
            Option<Box<Peer>>,
        );
        let bytes = size(|(wire, state, peer): Arguments| run(wire, state, peer));
        assert!(bytes <= 464, "{bytes} bytes");
    }
}
