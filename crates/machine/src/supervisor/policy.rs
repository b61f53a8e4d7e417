//! When a node is started again, and when no more.

use std::collections::VecDeque;

/// When a node is started again, and when no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartPolicy {
    /// So many restarts within the window are accepted.
    pub limit: u32,
    /// How far back restarts count.
    pub window_ms: u64,
    /// First upper bound of the wait; doubles with each restart within the window.
    pub backoff_base_ms: u64,
    /// Last upper bound of the wait.
    pub backoff_max_ms: u64,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            limit: 5,
            window_ms: 10 * 60_000,
            backoff_base_ms: 200,
            backoff_max_ms: 30_000,
        }
    }
}

/// What becomes of a node that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is started again after a wait.
    Again { wait_ms: u64 },
    /// It stays stopped.
    Enough,
}

/// When a node was started again.
#[derive(Debug, Default)]
pub(super) struct History {
    restarts_ms: VecDeque<u64>,
}

impl History {
    pub(super) fn judge(&mut self, policy: &RestartPolicy, now_ms: u64, entropy: u64) -> Verdict {
        while self
            .restarts_ms
            .front()
            .is_some_and(|at| at + policy.window_ms <= now_ms)
        {
            self.restarts_ms.pop_front();
        }
        if self.restarts_ms.len() >= policy.limit as usize {
            return Verdict::Enough;
        }
        let attempt = self.restarts_ms.len().min(16);
        self.restarts_ms.push_back(now_ms);
        let bound = policy
            .backoff_base_ms
            .saturating_mul(1 << attempt)
            .min(policy.backoff_max_ms);
        // Between half the bound and all of it: never at once, never all together.
        let wait_ms = bound / 2 + entropy % (bound / 2 + 1);
        Verdict::Again { wait_ms }
    }
}
