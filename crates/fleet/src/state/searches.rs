//! How many look through the store at once. Reading blocks a thread, and threads are few: whoever asks for more than the
//! store can answer waits a little, and then is told to come back, while machines and everybody else go on.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Searches that run at once: as many as the store has connections for readers.
const RUNNING_MAX: usize = 2;
/// Searches that run or wait for their turn; more are refused.
const ASKED_MAX: usize = 128;

/// Why a search was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// Too many wait already.
    #[error("{ASKED_MAX} searches wait already")]
    Busy,
    /// The server ends.
    #[error("the server is being stopped")]
    Stopping,
}

/// Room for searches. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Searches {
    asked: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

impl Default for Searches {
    fn default() -> Self {
        Self {
            asked: Arc::new(Semaphore::new(ASKED_MAX)),
            running: Arc::new(Semaphore::new(RUNNING_MAX)),
        }
    }
}

impl Searches {
    /// Does something that blocks, when its turn comes.
    pub async fn run<T: Send + 'static>(
        &self,
        search: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, SearchError> {
        let Ok(_place) = self.asked.try_acquire() else {
            metrics::counter!("muster_searches_refused_total").increment(1);
            return Err(SearchError::Busy);
        };
        let running = self.running.clone().acquire_owned().await;
        let running = running.map_err(|_| SearchError::Stopping)?;
        let done = tokio::task::spawn_blocking(move || {
            // Whoever asked may be gone before it is done; its turn is over only then.
            let _running = running;
            search()
        });
        done.await.map_err(|_| SearchError::Stopping)
    }
}
