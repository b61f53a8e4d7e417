//! Who guesses tokens is slowed down.

use std::collections::HashMap;
use std::net::IpAddr;

use muster_protocol::link::TokenBucket;
use parking_lot::Mutex;

use crate::access::attempts::place;

/// Wrong tokens that one address may send at once …
const AT_ONCE: u32 = 10;
/// … and then one in so many seconds: the bucket counts in whole ones a second, so it is asked on a slower clock.
const SECONDS_EACH: u64 = 10;
/// Addresses that are told apart; beyond it all others share one bucket.
const ADDRESSES_MAX: usize = 4_096;

/// Where there are too many, it is looked so often which can be forgotten.
const FORGET_EVERY_MS: u64 = 10_000;

/// Wrong tokens, by where they came from.
#[derive(Default)]
pub struct Guesses(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    buckets: HashMap<Option<IpAddr>, TokenBucket>,
    forgot_ms: u64,
}

impl Guesses {
    /// Whether a further try of this address is looked at. Ask before, and [`count`](Self::count) what was wrong.
    pub fn may_try(&self, from: IpAddr, mono_ms: u64) -> bool {
        let mut seen = self.0.lock();
        let key = seen.key(from, mono_ms);
        match seen.buckets.get_mut(&key) {
            Some(bucket) => bucket.wait_ms(mono_ms / SECONDS_EACH) == 0,
            None => true,
        }
    }

    /// A wrong one came from there.
    pub fn count(&self, from: IpAddr, mono_ms: u64) {
        let slow_ms = mono_ms / SECONDS_EACH;
        let mut seen = self.0.lock();
        let key = seen.key(from, mono_ms);
        let bucket = seen
            .buckets
            .entry(key)
            .or_insert_with(|| TokenBucket::new(1, AT_ONCE, slow_ms));
        bucket.take(slow_ms);
        metrics::counter!("muster_enrolment_guesses_total").increment(1);
    }
}

impl Seen {
    /// The bucket of an address: its own while there is room.
    fn key(&mut self, from: IpAddr, mono_ms: u64) -> Option<IpAddr> {
        let from = place(from);
        if self.buckets.len() < ADDRESSES_MAX || self.buckets.contains_key(&Some(from)) {
            return Some(from);
        }
        if mono_ms >= self.forgot_ms + FORGET_EVERY_MS {
            self.forgot_ms = mono_ms;
            // Those that are full again need not be remembered.
            let slow_ms = mono_ms / SECONDS_EACH;
            let is_full = |mut bucket: TokenBucket| (0..AT_ONCE).all(|_| bucket.take(slow_ms));
            self.buckets.retain(|_, bucket| !is_full(*bucket));
        }
        (self.buckets.len() < ADDRESSES_MAX).then_some(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_guesses_waits_and_nobody_else_does() {
        let guesses = Guesses::default();
        let (one, other) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        for _ in 0..AT_ONCE {
            assert!(guesses.may_try(one, 1_000));
            guesses.count(one, 1_000);
        }
        assert!(!guesses.may_try(one, 1_000));
        assert!(guesses.may_try(other, 1_000));
        assert!(!guesses.may_try(one, 10_000));
        assert!(guesses.may_try(one, 1_000 + 1_000 * SECONDS_EACH));
    }

    #[test]
    fn the_addresses_of_one_network_share_their_tries() {
        let guesses = Guesses::default();
        let from = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
        for last in 0..AT_ONCE as u16 {
            guesses.count(from(last), 1_000);
        }
        assert!(!guesses.may_try(from(99), 1_000));
        assert!(guesses.may_try(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, 1]), 1_000));
    }

    #[test]
    fn it_does_not_remember_more_than_it_may() {
        let guesses = Guesses::default();
        for address in 0..2 * ADDRESSES_MAX as u32 {
            guesses.count(IpAddr::from(address.to_be_bytes()), 0);
        }
        assert!(guesses.0.lock().buckets.len() <= ADDRESSES_MAX + 1);
        // Later there is room again.
        guesses.count(IpAddr::from([10, 0, 0, 1]), 1_000_000);
        assert_eq!(guesses.0.lock().buckets.len(), 1);
    }
}
