//! Makes guessing slow: whoever fails too often waits, twice as long each time.
//!
//! Counted for a name from an address, and for an address. Not for a name alone, or anybody could keep anybody out.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// Failures that cost nothing: people mistype.
const FREE: u32 = 5;
/// Failures from one address, whatever the names, that cost nothing.
const FREE_OF_ADDRESS: u32 = 20;
/// The first wait.
const FIRST_WAIT_MS: u64 = 1_000;
/// The longest wait.
const LONGEST_WAIT_MS: u64 = 15 * 60_000;
/// After so long without a failure all is forgotten.
const FORGOTTEN_AFTER_MS: u64 = 60 * 60_000;
/// Most that is remembered. Beyond it no more is counted, which a metric says; how many passwords are hashed at once still holds.
const REMEMBERED_MAX: usize = 20_000;

/// What a try is counted under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Name(String, IpAddr),
    Address(IpAddr),
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last_ms: u64,
    /// Tries before this moment are refused.
    until_ms: u64,
}

/// The failures of the last hour.
#[derive(Debug, Default)]
pub struct Attempts {
    failures: BTreeMap<Key, Failures>,
}

impl Attempts {
    /// How long somebody has to wait, in milliseconds; zero: not at all.
    pub fn wait_ms(&self, name: &str, from: IpAddr, now_ms: u64) -> u64 {
        let keys = [Key::Name(short(name), from), Key::Address(from)];
        let waits = keys.iter().map(|key| match self.failures.get(key) {
            Some(failures) => failures.until_ms.saturating_sub(now_ms),
            None => 0,
        });
        waits.max().unwrap_or(0)
    }

    /// A try failed.
    pub fn failed(&mut self, name: &str, from: IpAddr, now_ms: u64) {
        self.count(Key::Name(short(name), from), FREE, now_ms);
        self.count(Key::Address(from), FREE_OF_ADDRESS, now_ms);
    }

    /// Somebody proved who they are: what was counted for their name from there is forgotten. What was counted for the
    /// address stays, or one account would do for trying all others.
    pub fn succeeded(&mut self, name: &str, from: IpAddr) {
        self.failures.remove(&Key::Name(short(name), from));
    }

    /// Forgets what is long ago.
    pub fn forget(&mut self, now_ms: u64) {
        self.failures.retain(|_, failures| {
            now_ms.saturating_sub(failures.last_ms) < FORGOTTEN_AFTER_MS || failures.until_ms > now_ms
        });
    }

    fn count(&mut self, key: Key, free: u32, now_ms: u64) {
        if self.failures.len() >= REMEMBERED_MAX && !self.failures.contains_key(&key) {
            self.forget(now_ms);
            if self.failures.len() >= REMEMBERED_MAX {
                metrics::counter!("muster_sign_in_attempts_not_remembered_total").increment(1);
                return;
            }
        }
        let failures = self.failures.entry(key).or_insert(Failures {
            count: 0,
            last_ms: now_ms,
            until_ms: 0,
        });
        failures.count = failures.count.saturating_add(1);
        failures.last_ms = now_ms;
        if let Some(beyond) = failures.count.checked_sub(free) {
            let wait = FIRST_WAIT_MS.saturating_mul(1 << beyond.min(20));
            failures.until_ms = now_ms + wait.min(LONGEST_WAIT_MS);
        }
    }
}

fn short(name: &str) -> String {
    name.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 9));

    #[test]
    fn whoever_fails_too_often_waits_ever_longer() {
        let mut attempts = Attempts::default();
        for _ in 0..4 {
            attempts.failed("ada", HERE, 0);
            assert_eq!(attempts.wait_ms("ada", HERE, 0), 0);
        }
        let mut waits = Vec::new();
        let mut now = 0;
        for _ in 0..14 {
            attempts.failed("ada", HERE, now);
            let wait = attempts.wait_ms("ada", HERE, now);
            waits.push(wait);
            now += wait;
        }
        assert_eq!(waits[..4], [1_000, 2_000, 4_000, 8_000]);
        assert_eq!(waits.last(), Some(&LONGEST_WAIT_MS));
        assert_eq!(attempts.wait_ms("ada", HERE, now), 0, "the wait ends");
        // Nobody else is kept out by it.
        assert_eq!(attempts.wait_ms("ada", THERE, now - 1), 0);
        attempts.succeeded("ada", HERE);
        attempts.failed("ada", HERE, now);
        assert_eq!(attempts.wait_ms("ada", HERE, now), 0);
    }

    #[test]
    fn trying_many_names_from_one_address_is_slow_too() {
        let mut attempts = Attempts::default();
        for index in 0..25 {
            attempts.failed(&format!("name{index}"), HERE, 0);
        }
        assert!(attempts.wait_ms("fresh", HERE, 0) >= 16_000);
        assert_eq!(attempts.wait_ms("fresh", THERE, 0), 0);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgotten() {
        let mut attempts = Attempts::default();
        for index in 0..REMEMBERED_MAX + 100 {
            attempts.failed(&format!("name{index}"), THERE, 0);
        }
        assert!(attempts.failures.len() <= REMEMBERED_MAX);
        attempts.forget(2 * FORGOTTEN_AFTER_MS);
        assert!(attempts.failures.is_empty());
    }
}
