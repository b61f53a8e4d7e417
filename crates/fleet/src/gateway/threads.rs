//! Threads of their own for what machines say.
//!
//! A hundred thousand messages a second make long queues of tasks, and whoever stands in the same queue waits for all
//! of them. So machines and shards have a runtime of their own, and people's requests and subscriptions the caller's: the
//! operating system sees to it that threads which mostly wait get their turn at once.

use std::io;

use muster_runtime::priority::step_back;
use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime that ends when this is dropped; what still runs on it is cut off.
#[derive(Debug)]
pub struct MachineThreads(Option<Runtime>);

impl MachineThreads {
    /// So many threads; none for zero: then everything runs where the caller does.
    pub fn start(count: usize) -> io::Result<Self> {
        Self::named("machines", count)
    }

    /// Threads for whoever is not let in yet. Ten thousand handshakes at once are seconds of work, and whoever is in session must
    /// not stand in line behind them: the operating system gives both their turns.
    pub fn at_the_door(count: usize) -> io::Result<Self> {
        Self::named("door", count)
    }

    fn named(name: &str, count: usize) -> io::Result<Self> {
        if count == 0 {
            return Ok(Self(None));
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(count)
            .thread_name(name)
            .on_thread_start(|| step_back(BEHIND))
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// The way to start something there, if there are any.
    pub fn handle(&self) -> Option<&Handle> {
        self.0.as_ref().map(Runtime::handle)
    }
}

/// How far threads that have much to do stand behind those that mostly wait (`nice`).
const BEHIND: i32 = 5;

impl Drop for MachineThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // This may happen within async code, which must not wait for threads.
            runtime.shutdown_background();
        }
    }
}
