//! A fleet server out of a script: real HTTP on a port of its own, a few machines, and a live stream that the test
//! writes. It knows the contract of the API and nothing of fleets.

mod answers;
mod desired;
mod fixture;
mod live;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use muster_protocol::api::Problem;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

pub use fixture::{Fleet, event, machine, machine_id, problem, start};
pub use live::{Step, frame};

/// A request that the server got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// `GET` …
    pub method: String,
    /// Path and query, as they came.
    pub target: String,
    /// The headers that tests look at.
    pub if_match: Option<String>,
    /// Where a stream is to go on.
    pub last_event_id: Option<String>,
    /// The program's name.
    pub user_agent: Option<String>,
    /// The body.
    pub body: String,
}

/// The server. Stops when dropped.
pub struct TestServer {
    address: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    fleet: Mutex<Fleet>,
    received: Mutex<Vec<Received>>,
    /// What streams are told; every open stream is told everything.
    steps: broadcast::Sender<Step>,
    /// How many streams were opened so far.
    streams: watch::Sender<usize>,
}

impl TestServer {
    /// Starts with this fleet, on a free port of the loopback interface.
    ///
    /// # Errors
    ///
    /// No port can be opened.
    pub async fn start(fleet: Fleet) -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            fleet: Mutex::new(fleet),
            received: Mutex::default(),
            steps: broadcast::channel(64).0,
            streams: watch::channel(0).0,
        });
        let router = Router::new().fallback(serve).with_state(shared.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // Ends with the test.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            address,
            shared,
            _tasks: tasks,
        })
    }

    /// Where it listens: `http://127.0.0.1:…`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Every request so far, oldest first.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.shared.received).clone()
    }

    /// Path and query of every request so far.
    pub fn targets(&self) -> Vec<String> {
        self.received()
            .into_iter()
            .map(|received| received.target)
            .collect()
    }

    /// The fleet, to look into or to change.
    pub fn fleet(&self) -> MutexGuard<'_, Fleet> {
        lock(&self.shared.fleet)
    }

    /// The next request is answered with this problem.
    pub fn refuse_next(&self, problem: Problem) {
        self.fleet().refusals.push_back(problem);
    }

    /// Does this on every stream that is open.
    pub fn push(&self, step: Step) {
        // Without a stream there is nobody to tell.
        let _ = self.shared.steps.send(step);
    }

    /// Waits until so many streams were opened in all.
    pub async fn streams_opened(&self, count: usize) {
        let mut streams = self.shared.streams.subscribe();
        // The sender lives as long as `self`.
        let _ = streams.wait_for(|opened| *opened >= count).await;
    }
}

async fn serve(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
    let received = Received {
        method: method.to_string(),
        target: uri.to_string(),
        if_match: header("if-match"),
        last_event_id: header("last-event-id"),
        user_agent: header("user-agent"),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    lock(&shared.received).push(received.clone());
    let refusal = lock(&shared.fleet).refusals.pop_front();
    if let Some(problem) = refusal {
        return answers::refuse(&problem);
    }
    if uri.path() == "/api/v1/stream" {
        return live::open(&shared);
    }
    let mut fleet = lock(&shared.fleet);
    answers::answer(&mut fleet, &received, &uri)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test that panicked has failed already.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
