//! Named tasks whose end is never unnoticed.
//!
//! This is the one place that starts tasks on a runtime. A task says by its [`OnEnd`] what its end means for the whole.

use std::fmt::Display;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::task::TaskTracker;

use crate::shutdown::Shutdown;

/// What it means when a task ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnEnd {
    /// Nothing: it had something to do and did it. An error is logged.
    Continue,
    /// The whole cannot do without it: everything ends.
    ShutDown,
}

/// The tasks of one component.
#[derive(Clone, Debug)]
pub struct Tasks {
    tracker: TaskTracker,
    shutdown: Shutdown,
    failures: Arc<Mutex<Vec<String>>>,
    running: Arc<Mutex<Vec<AbortHandle>>>,
    /// Where tasks run; where whoever starts them runs, if nothing is said.
    place: Option<Handle>,
}

impl Tasks {
    /// No tasks yet. They are asked to end by `shutdown`.
    pub fn new(shutdown: Shutdown) -> Self {
        Self {
            tracker: TaskTracker::new(),
            shutdown,
            failures: Arc::default(),
            running: Arc::default(),
            place: None,
        }
    }

    /// The same tasks; those that are started through this run on another runtime.
    #[must_use]
    pub fn on(&self, place: Handle) -> Self {
        Self {
            place: Some(place),
            ..self.clone()
        }
    }

    /// The request that asks these tasks to end.
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Starts a task. A panic counts as an error.
    pub fn spawn<E: Display + Send + 'static>(
        &self,
        name: impl Into<String>,
        on_end: OnEnd,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let name = name.into();
        let (shutdown, failures) = (self.shutdown.clone(), self.failures.clone());
        let inner = self.start(task);
        self.remember(inner.abort_handle());
        self.start(async move {
            let failure = match inner.await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(error) if error.is_cancelled() => None,
                Err(_) => Some("panicked".to_owned()),
            };
            if let Some(failure) = &failure {
                tracing::error!(task = %name, error = %failure, "task failed");
                if let Ok(mut failures) = failures.lock() {
                    failures.push(format!("{name}: {failure}"));
                }
            }
            if on_end == OnEnd::ShutDown && !shutdown.is_requested() {
                shutdown.request(format!(
                    "{name} ended: {}",
                    failure.as_deref().unwrap_or("no reason given")
                ));
            }
        });
    }

    /// Starts a small task that nobody waits for by name, such as one connection. A panic is logged.
    pub fn spawn_small(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.start(task);
    }

    fn start<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match &self.place {
            Some(place) => self.tracker.spawn_on(task, place),
            None => self.tracker.spawn(task),
        }
    }

    /// How many tasks are running.
    pub fn count(&self) -> usize {
        self.tracker.len()
    }

    /// Waits for all tasks to end, at most so long; then the named ones are cut off. Says what failed.
    pub async fn finish(&self, grace: Duration) -> Vec<String> {
        self.tracker.close();
        if tokio::time::timeout(grace, self.tracker.wait()).await.is_err() {
            tracing::warn!(
                left = self.tracker.len(),
                "tasks did not end in time and are cut off"
            );
            if let Ok(mut running) = self.running.lock() {
                running.drain(..).for_each(|handle| handle.abort());
            }
        }
        self.failures
            .lock()
            .map(|failures| failures.clone())
            .unwrap_or_default()
    }

    fn remember(&self, handle: AbortHandle) {
        if let Ok(mut running) = self.running.lock() {
            running.retain(|handle| !handle.is_finished());
            running.push(handle);
        }
    }
}
