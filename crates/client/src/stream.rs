//! What happens, as it happens: server-sent events from `/api/v1/stream`, connected again whenever they break off.
//!
//! Begin with [`Client::stream`] and [`LiveStream::next`].

use std::pin::Pin;

use muster_model::{LogPosition, MachineId, Severity, TopicPattern};
use muster_protocol::api::Problem;
use muster_protocol::live::{Batch, Strategy};
use reqwest::Response;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde::Deserialize;
use tokio::time::{Duration, Instant};

use crate::backoff::chance;
use crate::client::{Client, Request};
use crate::error::ClientError;
use crate::page::Parameters;
use crate::sse::{EVENT_MAX_BYTES, SseDecoder, SseEvent};

/// What is wanted of the live stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subscription {
    /// Which topics: `machine.*.state`, `machine.*.event.>`, `fleet.summary` … At least one.
    pub topics: Vec<TopicPattern>,
    /// Only these machines; all if empty.
    pub machines: Vec<MachineId>,
    /// Only machines of these kinds; all if empty.
    pub kinds: Vec<String>,
    /// Events of this severity or worse.
    pub severity: Option<Severity>,
    /// Updates a second at most.
    pub rate_per_s: Option<f64>,
    /// What is sent when more happens than that.
    pub strategy: Option<Strategy>,
    /// Begin with the events after this position of the log; from now on if none.
    pub resume_after: Option<LogPosition>,
}

/// What the live stream tells.
#[derive(Debug)]
pub enum LiveEvent {
    /// The connection stands.
    Connected {
        /// The position after which the server was asked to go on; none on a first connection without one.
        resumed_after: Option<LogPosition>,
    },
    /// How things stand: the first word after each connection.
    Snapshot(Batch),
    /// What changed since.
    Update(Batch),
    /// Something was dropped: this program read too slowly, or was away for longer than the server looks back.
    Lagged {
        /// How many messages were dropped.
        dropped: u64,
        /// Whether the stream connects again to get the events among them. Otherwise they are to be had from
        /// `GET events` only.
        is_asked_again: bool,
    },
    /// The server cannot serve a part of the subscription; the connection stays.
    Problem(Box<Problem>),
    /// The connection broke, or could not be made. It is tried again.
    Disconnected {
        /// Why.
        reason: ClientError,
        /// When it is tried again.
        retry_in: Duration,
    },
}

/// The live stream of one subscription.
pub struct LiveStream {
    client: Client,
    subscription: Subscription,
    link: Link,
    /// Failed connections since something was last heard.
    failures: u32,
    position: Option<LogPosition>,
}

enum Link {
    Waiting(Instant),
    Connecting(Pin<Box<dyn Future<Output = Result<Response, ClientError>> + Send>>),
    Open(Box<OpenLink>),
    Over,
}

struct OpenLink {
    response: Response,
    decoder: SseDecoder,
    last_heard: Instant,
    /// Whether a snapshot or an update came on this connection.
    has_begun: bool,
}

impl Client {
    /// The live stream of a subscription. Nothing is sent until [`LiveStream::next`] is called.
    pub fn stream(&self, subscription: Subscription) -> LiveStream {
        LiveStream {
            client: self.clone(),
            position: subscription.resume_after,
            subscription,
            link: Link::Waiting(Instant::now()),
            failures: 0,
        }
    }
}

impl LiveStream {
    /// What comes next. Waits as long as it takes; `None` after an error, which ends the stream.
    ///
    /// Can be dropped and called again without losing anything, as in `tokio::select!`.
    ///
    /// # Errors
    ///
    /// Only what trying again does not mend: the server refuses the subscription ([`ClientError::Problem`]), or is no
    /// Muster server ([`ClientError::UnexpectedAnswer`]).
    pub async fn next(&mut self) -> Option<Result<LiveEvent, ClientError>> {
        loop {
            match &mut self.link {
                Link::Waiting(until) => {
                    tokio::time::sleep_until(*until).await;
                    self.link = Link::Connecting(Box::pin(connect(
                        self.client.clone(),
                        self.subscription.clone(),
                        self.position,
                    )));
                }
                Link::Connecting(connecting) => match connecting.await {
                    Ok(response) => {
                        self.link = Link::Open(Box::new(OpenLink {
                            response,
                            decoder: SseDecoder::new(EVENT_MAX_BYTES),
                            last_heard: Instant::now(),
                            has_begun: false,
                        }));
                        let resumed_after = self.position;
                        return Some(Ok(LiveEvent::Connected { resumed_after }));
                    }
                    Err(error) if error.is_transient() => return Some(Ok(self.disconnected(error))),
                    Err(error) => {
                        self.link = Link::Over;
                        return Some(Err(error));
                    }
                },
                Link::Open(open) => {
                    if let Some(event) = open.decoder.pop() {
                        match self.take(event) {
                            Ok(Some(event)) => return Some(Ok(event)),
                            Ok(None) => continue,
                            Err(error) => return Some(Ok(self.disconnected(error))),
                        }
                    }
                    if let Err(detail) = open.read(self.client.options().idle_timeout).await {
                        let address = self.client.address().to_owned();
                        let reason = ClientError::Interrupted { address, detail };
                        return Some(Ok(self.disconnected(reason)));
                    }
                }
                Link::Over => return None,
            }
        }
    }

    /// The position up to which everything was heard: where a later stream can go on.
    pub fn position(&self) -> Option<LogPosition> {
        self.position
    }

    fn disconnected(&mut self, reason: ClientError) -> LiveEvent {
        let retry_in = self.client.options().backoff.delay(self.failures, chance());
        self.failures = self.failures.saturating_add(1);
        self.link = Link::Waiting(Instant::now() + retry_in);
        LiveEvent::Disconnected { reason, retry_in }
    }

    /// Reads one event. One that this version does not know is left out.
    fn take(&mut self, event: SseEvent) -> Result<Option<LiveEvent>, ClientError> {
        match event.name.as_str() {
            "snapshot" => {
                let batch = self.take_batch(&event)?;
                Ok(Some(LiveEvent::Snapshot(batch)))
            }
            "update" => {
                let batch = self.take_batch(&event)?;
                Ok(Some(LiveEvent::Update(batch)))
            }
            "lagged" => {
                let lagged: Lagged = self.read_data(&event)?;
                let dropped = lagged.dropped;
                // Before the snapshot it means that more was missed while away than the server looks through: asking
                // again would bring the same answer.
                let is_asked_again = matches!(&self.link, Link::Open(open) if open.has_begun);
                if is_asked_again {
                    self.position = Some(lagged.resume_after);
                    let pause = self.client.options().backoff.delay(0, chance());
                    self.link = Link::Waiting(Instant::now() + pause);
                }
                Ok(Some(LiveEvent::Lagged {
                    dropped,
                    is_asked_again,
                }))
            }
            "error" => {
                let refused: Refused = self.read_data(&event)?;
                Ok(Some(LiveEvent::Problem(Box::new(refused.problem))))
            }
            _ => Ok(None),
        }
    }

    fn take_batch(&mut self, event: &SseEvent) -> Result<Batch, ClientError> {
        let batch: Batch = self.read_data(event)?;
        self.failures = 0;
        if let Link::Open(open) = &mut self.link {
            open.has_begun = true;
        }
        self.position = self.position.max(Some(batch.position));
        Ok(batch)
    }

    fn read_data<'a, T: Deserialize<'a>>(&self, event: &'a SseEvent) -> Result<T, ClientError> {
        serde_json::from_str(&event.data).map_err(|error| {
            let detail = format!("event {:?} of the live stream: {error}", event.name);
            ClientError::unexpected(self.client.address(), 200, &detail)
        })
    }
}

impl OpenLink {
    /// Reads some more; an error says how the connection ended.
    async fn read(&mut self, idle: Duration) -> Result<(), String> {
        let chunk = tokio::time::timeout_at(self.last_heard + idle, self.response.chunk()).await;
        match chunk {
            Ok(Ok(Some(bytes))) => {
                self.last_heard = Instant::now();
                self.decoder.push(&bytes).map_err(|error| error.to_string())
            }
            Ok(Ok(None)) => Err("the server closed it".to_owned()),
            Ok(Err(_)) => Err("the connection broke".to_owned()),
            Err(_) => Err(format!("nothing was heard for {} s", idle.as_secs_f64())),
        }
    }
}

/// What a `lagged` event says.
#[derive(Deserialize)]
struct Lagged {
    dropped: u64,
    resume_after: LogPosition,
}

/// What an `error` event says.
#[derive(Deserialize)]
struct Refused {
    problem: Problem,
}

async fn connect(
    client: Client,
    subscription: Subscription,
    position: Option<LogPosition>,
) -> Result<Response, ClientError> {
    let strategy = subscription.strategy.map(|strategy| match strategy {
        Strategy::Sample => "sample",
        Strategy::Aggregate => "aggregate",
        Strategy::Latest => "latest",
    });
    let query = Parameters::default()
        .list("topics", &subscription.topics)
        .list("machines", &subscription.machines)
        .list("kinds", &subscription.kinds)
        .with("severity", subscription.severity.as_ref())
        .with("rate", subscription.rate_per_s.as_ref())
        .with("strategy", strategy.as_ref())
        .with("resume_after", position.as_ref());
    let mut request = client
        .prepare(Request::get(&["stream"], query))
        .header(ACCEPT, "text/event-stream");
    if let Some(position) = position {
        request = request.header("last-event-id", position.to_string());
    }
    // The limit is for the head of the answer; the body goes on for as long as both sides like.
    let limit = client.options().request_timeout;
    let response = match tokio::time::timeout(limit, request.send()).await {
        Ok(sent) => sent.map_err(|source| ClientError::from_http(source, client.address(), limit))?,
        Err(_) => {
            let address = client.address().to_owned();
            return Err(ClientError::TimedOut {
                address,
                after: limit,
            });
        }
    };
    let kind = response.headers().get(CONTENT_TYPE);
    let is_stream = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if response.status().is_success() && is_stream {
        return Ok(response);
    }
    if response.status().is_success() {
        // Its body may never end: it is not read.
        return Err(ClientError::UnexpectedAnswer {
            address: response.url().to_string(),
            status: response.status().as_u16(),
            detail: "it is no stream of events".to_owned(),
        });
    }
    let answer = match tokio::time::timeout(limit, client.read(response)).await {
        Ok(answer) => answer?,
        Err(_) => {
            let address = client.address().to_owned();
            return Err(ClientError::TimedOut {
                address,
                after: limit,
            });
        }
    };
    match answer.accepted() {
        Ok(odd) => Err(odd.odd("it is no stream of events".to_owned())),
        Err(error) => Err(error),
    }
}
