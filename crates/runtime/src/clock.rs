//! Time and randomness as values that are passed, so that whoever uses them can be tested without either.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use uuid::Uuid;

/// The clocks of this process.
///
/// Monotonic time is tokio's: the system's own, unless a test has paused the runtime that asks. So timers and what reads
/// the time agree also where time is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    /// The wall clock at the origin, where it is simulated, too: it goes with monotonic time from there.
    wall_at_origin_ms: Option<i64>,
}

impl Clock {
    /// Monotonic time starts at zero here.
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
            wall_at_origin_ms: None,
        }
    }

    /// As [`start`](Self::start), with a wall clock that shows this now and goes with monotonic time: for simulations.
    /// On a thread without a runtime that is paused, time is the system's.
    pub fn simulated(wall_ms: i64) -> Self {
        Self {
            wall_at_origin_ms: Some(wall_ms),
            ..Self::start()
        }
    }

    /// Monotonic time since [`start`](Self::start), in milliseconds. It does not count time spent suspended.
    pub fn mono_ms(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The wall clock: milliseconds since 1970-01-01T00:00:00Z.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock"
    )]
    pub fn wall_ms(&self) -> i64 {
        if let Some(wall_ms) = self.wall_at_origin_ms {
            return wall_ms.saturating_add_unsigned(self.mono_ms());
        }
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    /// The instant at a monotonic time, to sleep until.
    pub fn instant_at(&self, mono_ms: u64) -> Instant {
        self.origin + Duration::from_millis(mono_ms)
    }
}

/// The operating system gave no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no randomness")]
pub struct NoEntropy(#[source] getrandom::Error);

/// Fresh randomness from the operating system.
pub fn entropy() -> Result<u64, NoEntropy> {
    getrandom::u64().map_err(NoEntropy)
}

/// A new UUID, version 7: ordered by the wall clock at which it was made.
pub fn new_uuid(clock: &Clock) -> Result<Uuid, NoEntropy> {
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(NoEntropy)?;
    let millis = u64::try_from(clock.wall_ms()).unwrap_or(0);
    Ok(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}
