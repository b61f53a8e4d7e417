//! How long to wait before trying again.

use std::time::Duration;

/// Waits that double from `least` to `most`, each shortened by chance ("full jitter", but never below a tenth), so that
/// many clients that lost one server do not return in step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The longest the first wait can be.
    pub least: Duration,
    /// The longest any wait can be.
    pub most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            least: Duration::from_millis(500),
            most: Duration::from_secs(15),
        }
    }
}

impl Backoff {
    /// The wait before this attempt; the first is 0. `chance` is a random number from all of `u32`.
    pub(crate) fn delay(&self, attempt: u32, chance: u32) -> Duration {
        let ceiling = self.least.saturating_mul(1 << attempt.min(16)).min(self.most);
        let share = 0.1 + 0.9 * f64::from(chance) / f64::from(u32::MAX);
        ceiling.mul_f64(share)
    }
}

/// A random number. Without a source of randomness it is the middle: jitter is a courtesy, not a need.
pub(crate) fn chance() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most() {
        let backoff = Backoff {
            least: Duration::from_millis(100),
            most: Duration::from_secs(1),
        };
        let longest: Vec<u128> = (0..6).map(|n| backoff.delay(n, u32::MAX).as_millis()).collect();
        assert_eq!(longest, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.delay(0, 0).as_millis(), 10);
        assert_eq!(backoff.delay(u32::MAX, u32::MAX).as_millis(), 1000);
    }
}
