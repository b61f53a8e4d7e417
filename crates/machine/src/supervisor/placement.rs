//! Where nodes run: each on a thread of its own, or all on a runtime that others use, too.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use muster_runtime::Tasks;
use tokio_util::sync::CancellationToken;

use super::{NodeContext, NodeSpec};

/// Stack of a node's thread. It is address space; only what is touched becomes memory.
const STACK_BYTES: usize = 512 * 1024;

/// Where nodes run.
#[derive(Clone, Debug)]
pub enum Placement {
    /// Each on a thread of its own with a runtime of its own: a node that blocks hurts only itself. For real machines.
    Threads,
    /// As tasks on the runtime that calls: cheap, for many simulated machines in one process. A node that blocks
    /// its thread cannot be taken off it.
    Shared(Tasks),
}

impl Placement {
    /// Starts a node; `report` is told how it ended, unless it was abandoned before.
    pub(super) fn place(
        &self,
        spec: Arc<NodeSpec>,
        context: NodeContext,
        abandoned: CancellationToken,
        report: impl FnOnce(Option<String>) + Send + 'static,
    ) -> io::Result<()> {
        match self {
            Self::Shared(tasks) => {
                tasks.spawn_small(live(spec, context, abandoned, report));
                Ok(())
            }
            Self::Threads => {
                let mut builder = tokio::runtime::Builder::new_current_thread();
                // Name look-ups are the only thing that blocks, one at a time.
                builder
                    .enable_time()
                    .max_blocking_threads(1)
                    .thread_stack_size(STACK_BYTES);
                if spec.needs_io {
                    builder.enable_io();
                }
                let runtime = builder.build()?;
                std::thread::Builder::new()
                    .name(format!("node-{}", spec.name))
                    .stack_size(STACK_BYTES)
                    .spawn(move || {
                        runtime.block_on(live(spec, context, abandoned, report));
                        // A look-up that still blocks must not hold the thread.
                        runtime.shutdown_background();
                    })
                    .map(drop)
            }
        }
    }

    pub(super) const fn leaves_threads_behind(&self) -> bool {
        match self {
            Self::Threads => true,
            Self::Shared(_) => false,
        }
    }
}

async fn live(
    spec: Arc<NodeSpec>,
    context: NodeContext,
    abandoned: CancellationToken,
    report: impl FnOnce(Option<String>),
) {
    // The factory may panic as well as what it makes.
    let life = AssertUnwindSafe(async { (spec.start)(context).await }).catch_unwind();
    tokio::select! {
        biased;
        () = abandoned.cancelled() => {}
        end = life => report(match end {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(panic) => Some(format!("panicked: {}", words_of(panic.as_ref()))),
        }),
    }
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a word")
}
