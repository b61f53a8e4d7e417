//! How much one machine may say: a token bucket. The server refuses what is beyond it; a machine paces itself by it.

/// A bucket that fills with so many tokens a second, up to a burst.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    per_s: u32,
    burst: u32,
    /// In thousandths of a token.
    level: u64,
    filled_ms: u64,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(per_s: u32, burst: u32, now_ms: u64) -> Self {
        Self {
            per_s,
            burst,
            level: u64::from(burst) * 1_000,
            filled_ms: now_ms,
        }
    }

    /// Takes a token; false if there is none.
    pub fn take(&mut self, now_ms: u64) -> bool {
        self.fill(now_ms);
        match self.level.checked_sub(1_000) {
            Some(rest) => {
                self.level = rest;
                true
            }
            None => false,
        }
    }

    /// How long until there is a token, in milliseconds: zero if there is one.
    pub fn wait_ms(&mut self, now_ms: u64) -> u64 {
        self.fill(now_ms);
        1_000u64
            .saturating_sub(self.level)
            .div_ceil(u64::from(self.per_s.max(1)))
    }

    fn fill(&mut self, now_ms: u64) {
        let passed_ms = now_ms.saturating_sub(self.filled_ms);
        self.filled_ms = self.filled_ms.max(now_ms);
        // Tokens a second are thousandths of a token a millisecond.
        let filled = self
            .level
            .saturating_add(passed_ms.saturating_mul(u64::from(self.per_s)));
        self.level = filled.min(u64::from(self.burst) * 1_000);
    }
}

#[cfg(test)]
mod tests {
    use super::TokenBucket;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let mut bucket = TokenBucket::new(200, 1_000, 0);
        assert_eq!((0..1_200).filter(|_| bucket.take(0)).count(), 1_000);
        assert_eq!((0..500).filter(|_| bucket.take(1_000)).count(), 200);
        assert!(!bucket.take(1_004));
        assert!(bucket.take(1_005));
        assert_eq!(
            (0..9_000).filter(|_| bucket.take(60_000)).count(),
            1_000,
            "no more than the burst is saved up"
        );
    }

    #[test]
    fn time_that_goes_back_gives_nothing() {
        let mut bucket = TokenBucket::new(1, 1, 10_000);
        assert!(bucket.take(10_000));
        assert!(!bucket.take(5_000));
        assert!(!bucket.take(10_500));
        assert!(bucket.take(11_000));
    }
}
