//! The server's time, as well as the machine can know it.
//!
//! It is tied to the monotonic clock, so that a jump of the wall clock changes nothing. Timers never go by it.

use muster_model::Timestamp;
use muster_protocol::link::ClockEstimate;

use crate::Now;

/// How much the uncertainty of an estimate grows: a cheap crystal is off by about 100 µs a second.
const DRIFT_PER_MILLION: u64 = 100;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ServerClock {
    best: Option<Estimate>,
}

#[derive(Clone, Copy, Debug)]
struct Estimate {
    server: Timestamp,
    at_mono_ms: u64,
    uncertainty_ms: u64,
}

impl ServerClock {
    /// Takes in an answer of the server: its clock when it answered, and how long the answer took in all.
    pub(super) fn observe(&mut self, now: Now, server: Timestamp, round_trip_ms: u64) {
        let fresh = Estimate {
            server: server.plus_millis((round_trip_ms / 2) as i64),
            at_mono_ms: now.mono_ms,
            uncertainty_ms: round_trip_ms / 2 + 1,
        };
        let better = self
            .best
            .is_none_or(|best| fresh.uncertainty_ms <= best.uncertainty_at(now));
        if better {
            self.best = Some(fresh);
        }
    }

    pub(super) fn server_time(&self, now: Now) -> Timestamp {
        match self.best {
            Some(best) => best
                .server
                .plus_millis(now.mono_ms.saturating_sub(best.at_mono_ms) as i64),
            None => now.wall,
        }
    }

    /// What the machine tells the server about its clock.
    pub(super) fn estimate(&self, now: Now) -> Option<ClockEstimate> {
        self.best.map(|best| ClockEstimate {
            offset_ms: self.server_time(now).millis_since(now.wall),
            uncertainty_ms: u32::try_from(best.uncertainty_at(now)).unwrap_or(u32::MAX),
        })
    }
}

impl Estimate {
    fn uncertainty_at(&self, now: Now) -> u64 {
        let age_ms = now.mono_ms.saturating_sub(self.at_mono_ms);
        self.uncertainty_ms + age_ms * DRIFT_PER_MILLION / 1_000_000
    }
}
