//! How clients hear what became of their request, and of the end of the log.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::{oneshot, watch};

use super::error::LogError;

type Then<T> = Box<dyn FnOnce(Result<T, LogError>) + Send>;

/// Where an answer goes. Every request is answered once: dropped without an answer, it answers [`LogError::Closed`].
pub struct Reply<T>(Option<Then<T>>);

impl<T: Send + 'static> Reply<T> {
    /// Calls `then` with the answer. That happens on a thread of the log: `then` must be short and must not block.
    pub fn then(then: impl FnOnce(Result<T, LogError>) + Send + 'static) -> Self {
        Self(Some(Box::new(then)))
    }

    /// Wants no answer.
    pub fn none() -> Self {
        Self(None)
    }

    /// Sends the answer to a receipt.
    pub fn channel() -> (Self, Receipt<T>) {
        let (sender, receiver) = oneshot::channel();
        let reply = Self::then(move |result| {
            // Nobody waits any more: fine.
            let _ = sender.send(result);
        });
        (reply, Receipt(receiver))
    }
}

impl<T> Reply<T> {
    /// Gives the answer.
    pub fn send(mut self, result: Result<T, LogError>) {
        if let Some(then) = self.0.take() {
            then(result);
        }
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        if let Some(then) = self.0.take() {
            then(Err(LogError::Closed));
        }
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

/// An answer that is to come. Dropping it does not undo the request.
#[derive(Debug)]
#[must_use = "only the answer says whether it is durable"]
pub struct Receipt<T>(oneshot::Receiver<Result<T, LogError>>);

impl<T> Receipt<T> {
    /// Blocks until the answer is there. Panics inside an async task: await it there.
    pub fn wait(self) -> Result<T, LogError> {
        self.0.blocking_recv().unwrap_or(Err(LogError::Closed))
    }
}

impl<T> Future for Receipt<T> {
    type Output = Result<T, LogError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|answer| answer.unwrap_or(Err(LogError::Closed)))
    }
}

/// Tells when a log has failed for good.
#[derive(Clone, Debug)]
pub struct FailureWatch(watch::Receiver<Option<LogError>>);

impl FailureWatch {
    pub(super) fn new(receiver: watch::Receiver<Option<LogError>>) -> Self {
        Self(receiver)
    }

    /// What made the log fail, if it did.
    pub fn get(&self) -> Option<LogError> {
        self.0.borrow().clone()
    }

    /// Waits until the log fails; for ever if it is closed in good order.
    pub async fn failed(&mut self) -> LogError {
        let error = match self.0.wait_for(Option::is_some).await {
            Ok(error) => error.clone(),
            Err(_) => None,
        };
        match error {
            Some(error) => error,
            None => std::future::pending().await,
        }
    }
}
