//! One request to end, seen by all.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// A request to end that may come. Cheap to clone; all clones see the same request.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
    reason: Arc<OnceLock<String>>,
}

impl Shutdown {
    /// A request that has not come.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everyone to end. The first reason counts.
    pub fn request(&self, reason: impl Into<String>) {
        // Losing the race means that there is a reason already.
        let _ = self.reason.set(reason.into());
        self.token.cancel();
    }

    /// Waits for the request.
    pub async fn requested(&self) {
        self.token.cancelled().await;
    }

    /// Whether it has come.
    pub fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Why it came.
    pub fn reason(&self) -> Option<&str> {
        self.reason.get().map(String::as_str)
    }

    /// A request for a part: comes when this one comes, and can come alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            token: self.token.child_token(),
            reason: Arc::default(),
        }
    }

    /// Turns SIGINT and SIGTERM into the request. A second signal ends the process at once.
    pub async fn on_signals(self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let name = tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
            () = self.requested() => return Ok(()),
        };
        tracing::info!(signal = name, "ending; a second signal ends at once");
        self.request(name);
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        exit_at_once()
    }
}

#[expect(clippy::exit, reason = "a second signal means: now, whatever is unfinished")]
fn exit_at_once() -> ! {
    std::process::exit(130)
}
