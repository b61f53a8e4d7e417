//! Makes guessing slow: whoever fails too often waits, twice as long each time.
//!
//! Passwords are counted for a name from a place, and for a place. Not for a name alone, or anybody could keep anybody out. Codes of a
//! second factor are counted for the person, wherever they come from: only who knows the password gets as far as that.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

/// Failures that cost nothing: people mistype.
const FREE: u32 = 5;
/// Failures from one place, whatever the names, that cost nothing.
const FREE_OF_PLACE: u32 = 20;
/// Wrong codes of one person that cost nothing.
const FREE_OF_CODES: u32 = 5;
/// The first wait.
const FIRST_WAIT_MS: u64 = 1_000;
/// The longest wait.
const LONGEST_WAIT_MS: u64 = 15 * 60_000;
/// After so long without a failure all is forgotten.
const FORGOTTEN_AFTER_MS: u64 = 60 * 60_000;
/// After so long without a wrong code those of a person are forgotten: six digits are few.
const CODES_FORGOTTEN_AFTER_MS: u64 = 24 * 60 * 60_000;
/// Most that is remembered of names and places. Beyond it what is over for longest goes, which a metric says.
const REMEMBERED_MAX: usize = 20_000;
/// So many go at once, so that room is not looked for at each try.
const GO_AT_ONCE: usize = 1_000;
/// Bits of an IPv6 address that are one place: what one customer gets.
const PLACE_BITS: u32 = 64;

/// Where an address is, as far as is counted: all addresses of one IPv6 network are of the same people.
pub fn place(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & (u128::MAX << (u128::BITS - PLACE_BITS));
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address => address,
    }
}

/// What a try is counted under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Name(String, IpAddr),
    Place(IpAddr),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Failures {
    count: u32,
    last_ms: u64,
    /// Tries before this moment are refused.
    until_ms: u64,
}

impl Failures {
    fn count(&mut self, free: u32, now_ms: u64) {
        self.count = self.count.saturating_add(1);
        self.last_ms = now_ms;
        if let Some(beyond) = self.count.checked_sub(free) {
            let wait = FIRST_WAIT_MS.saturating_mul(1 << beyond.min(20));
            self.until_ms = now_ms + wait.min(LONGEST_WAIT_MS);
        }
    }

    /// Takes one failure back that was counted as `own` upon `before`. Others that came since stay.
    fn take_back(&mut self, free: u32, before: Self, own: Self) {
        if *self == own {
            *self = before;
            return;
        }
        self.count = self.count.saturating_sub(1);
        if self.count < free {
            self.until_ms = 0;
        }
    }

    fn is_over(&self, after_ms: u64, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.last_ms) >= after_ms && self.until_ms <= now_ms
    }
}

/// A try that was counted as a failure before it is known to be one.
#[derive(Debug)]
#[must_use = "a try that is right has to be taken back"]
pub struct Try {
    counted: [(Key, u32, Failures, Failures); 2],
}

/// A try of a code, likewise.
#[derive(Debug)]
#[must_use = "a code that is right has to be taken back"]
pub struct CodeTry {
    name: String,
}

/// The failures of late.
#[derive(Debug, Default)]
pub struct Attempts {
    failures: BTreeMap<Key, Failures>,
    /// Wrong codes. Of people that there are: no stranger makes it longer.
    codes: BTreeMap<String, Failures>,
}

impl Attempts {
    /// Somebody tries. It counts as a failure until it is [taken back](Self::take_back), or [succeeds](Self::succeeded): of a
    /// thousand tries at once not all are free.
    ///
    /// # Errors
    ///
    /// They have to wait: how long, in milliseconds.
    pub fn begin(&mut self, name: &str, from: IpAddr, now_ms: u64) -> Result<Try, u64> {
        let place = place(from);
        let keys = [
            (Key::Name(short(name), place), FREE),
            (Key::Place(place), FREE_OF_PLACE),
        ];
        let until = |(key, _): &(Key, u32)| self.failures.get(key).map_or(0, |failures| failures.until_ms);
        let wait_ms = keys.iter().map(until).max().unwrap_or(0).saturating_sub(now_ms);
        if wait_ms > 0 {
            return Err(wait_ms);
        }
        let counted = keys.map(|(key, free)| {
            self.make_room(&key, now_ms);
            let failures = self.failures.entry(key.clone()).or_default();
            let before = *failures;
            failures.count(free, now_ms);
            (key, free, before, *failures)
        });
        Ok(Try { counted })
    }

    /// A try was none: what it counted is taken back, and nothing else.
    pub fn take_back(&mut self, tried: Try) {
        for (key, free, before, own) in tried.counted {
            let Some(failures) = self.failures.get_mut(&key) else {
                continue;
            };
            failures.take_back(free, before, own);
            if failures.count == 0 {
                self.failures.remove(&key);
            }
        }
    }

    /// Somebody proved who they are: what was counted for their name from there is forgotten. Of what was counted for the place
    /// only this try is, or one account would do for trying all others.
    pub fn succeeded(&mut self, tried: Try) {
        let [(name, ..), _] = &tried.counted;
        let name = name.clone();
        self.take_back(tried);
        self.failures.remove(&name);
    }

    /// Somebody who knows the password tries a code, from wherever.
    ///
    /// # Errors
    ///
    /// They have to wait: how long, in milliseconds.
    pub fn begin_code(&mut self, name: &str, now_ms: u64) -> Result<CodeTry, u64> {
        let failures = self.codes.entry(short(name)).or_default();
        let wait_ms = failures.until_ms.saturating_sub(now_ms);
        if wait_ms > 0 {
            return Err(wait_ms);
        }
        failures.count(FREE_OF_CODES, now_ms);
        Ok(CodeTry { name: short(name) })
    }

    /// The code was right: they have their authenticator.
    pub fn code_succeeded(&mut self, tried: &CodeTry) {
        self.codes.remove(&tried.name);
    }

    /// Forgets what is long ago.
    pub fn forget(&mut self, now_ms: u64) {
        self.failures
            .retain(|_, failures| !failures.is_over(FORGOTTEN_AFTER_MS, now_ms));
        self.codes
            .retain(|_, failures| !failures.is_over(CODES_FORGOTTEN_AFTER_MS, now_ms));
    }

    /// Where there is no room any more, those go that harm least: whose wait was over first.
    fn make_room(&mut self, key: &Key, now_ms: u64) {
        if self.failures.len() < REMEMBERED_MAX || self.failures.contains_key(key) {
            return;
        }
        self.forget(now_ms);
        if self.failures.len() < REMEMBERED_MAX {
            return;
        }
        let all = self.failures.iter();
        let mut ends: Vec<(u64, Key)> = all
            .map(|(key, failures)| (failures.until_ms.max(failures.last_ms), key.clone()))
            .collect();
        ends.select_nth_unstable(GO_AT_ONCE);
        for (_, key) in ends.drain(..GO_AT_ONCE) {
            self.failures.remove(&key);
        }
        metrics::counter!("muster_sign_in_attempts_not_remembered_total").increment(GO_AT_ONCE as u64);
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

    fn wait_ms(attempts: &mut Attempts, name: &str, from: IpAddr, now_ms: u64) -> u64 {
        match attempts.begin(name, from, now_ms) {
            Ok(tried) => {
                attempts.take_back(tried);
                0
            }
            Err(wait_ms) => wait_ms,
        }
    }

    fn failed(attempts: &mut Attempts, name: &str, from: IpAddr, now_ms: u64) {
        let _stays = attempts.begin(name, from, now_ms).unwrap();
    }

    #[test]
    fn whoever_fails_too_often_waits_ever_longer() {
        let mut attempts = Attempts::default();
        for _ in 0..4 {
            failed(&mut attempts, "ada", HERE, 0);
            assert_eq!(wait_ms(&mut attempts, "ada", HERE, 0), 0);
        }
        let mut waits = Vec::new();
        let mut now = 0;
        for _ in 0..14 {
            failed(&mut attempts, "ada", HERE, now);
            let wait = wait_ms(&mut attempts, "ada", HERE, now);
            waits.push(wait);
            now += wait;
        }
        assert_eq!(waits[..4], [1_000, 2_000, 4_000, 8_000]);
        assert_eq!(waits.last(), Some(&LONGEST_WAIT_MS));
        // Nobody else is kept out by it.
        assert_eq!(wait_ms(&mut attempts, "ada", THERE, now - 1), 0);
        let tried = attempts.begin("ada", HERE, now).expect("the wait ends");
        attempts.succeeded(tried);
        failed(&mut attempts, "ada", HERE, now);
        assert_eq!(wait_ms(&mut attempts, "ada", HERE, now), 0);
    }

    #[test]
    fn trying_many_names_from_one_place_is_slow_too() {
        let mut attempts = Attempts::default();
        let mut now = 0;
        for index in 0..25 {
            now += wait_ms(&mut attempts, &format!("name{index}"), HERE, now);
            failed(&mut attempts, &format!("name{index}"), HERE, now);
        }
        assert!(wait_ms(&mut attempts, "fresh", HERE, now) >= 16_000);
        assert_eq!(wait_ms(&mut attempts, "fresh", THERE, now), 0);
    }

    #[test]
    fn who_is_right_takes_back_their_own_count_and_no_other() {
        let mut attempts = Attempts::default();
        for index in 0..100 {
            let tried = attempts.begin(&format!("name{index}"), HERE, 0).unwrap();
            attempts.succeeded(tried);
        }
        assert!(attempts.failures.is_empty(), "{attempts:?}");
        // One right try between two wrong ones gives nobody more wrong ones.
        let mut wrong = 0;
        for index in 0.. {
            let Ok(tried) = attempts.begin("mallory", HERE, 0) else {
                break;
            };
            attempts.succeeded(tried);
            let Ok(_stays) = attempts.begin(&format!("name{index}"), HERE, 0) else {
                break;
            };
            wrong += 1;
        }
        assert_eq!(wrong, FREE_OF_PLACE);
        // Right ones that overlap leave nothing either.
        let mut attempts = Attempts::default();
        let tries: Vec<Try> = (0..FREE_OF_PLACE)
            .map(|index| attempts.begin(&format!("name{index}"), HERE, 0).unwrap())
            .collect();
        assert!(
            attempts.begin("ada", HERE, 0).is_err(),
            "of many at once not all are free"
        );
        tries.into_iter().for_each(|tried| attempts.succeeded(tried));
        assert!(attempts.failures.is_empty(), "{attempts:?}");
    }

    #[test]
    fn codes_are_counted_for_the_person_until_one_is_right() {
        let mut attempts = Attempts::default();
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..20 {
            while let Err(wait_ms) = attempts.begin_code("ada", now) {
                waits.push(wait_ms);
                now += wait_ms;
            }
            // A right password in between changes nothing.
            let tried = attempts.begin("ada", THERE, now).unwrap();
            attempts.take_back(tried);
        }
        assert_eq!((waits.len(), &waits[..3]), (15, &[1_000, 2_000, 4_000][..]));
        assert_eq!(waits.last(), Some(&LONGEST_WAIT_MS));
        attempts.forget(now + FORGOTTEN_AFTER_MS + LONGEST_WAIT_MS);
        assert_eq!(attempts.codes.len(), 1, "an hour is not long enough");
        now += LONGEST_WAIT_MS;
        let tried = attempts.begin_code("ada", now).unwrap();
        attempts.code_succeeded(&tried);
        assert!(attempts.codes.is_empty());
    }

    #[test]
    fn the_addresses_of_one_network_are_one_place() {
        let of = |text: &str| place(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:127.0.0.9"), THERE);
        assert_ne!(of("127.0.0.1"), of("127.0.0.2"));
        let mut attempts = Attempts::default();
        for index in 0..FREE {
            let from = format!("2001:db8::{index}").parse().unwrap();
            failed(&mut attempts, "ada", from, 0);
        }
        assert!(wait_ms(&mut attempts, "ada", "2001:db8::99".parse().unwrap(), 0) > 0);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_waits_stays_longest() {
        let mut attempts = Attempts::default();
        let mut from = 0_u32;
        while wait_ms(&mut attempts, "ada", HERE, 1) == 0 {
            failed(&mut attempts, "ada", HERE, 1);
        }
        while from < 2 * REMEMBERED_MAX as u32 {
            failed(&mut attempts, "x", IpAddr::from(from.to_be_bytes()), 1);
            assert!(attempts.failures.len() <= REMEMBERED_MAX);
            from += 1;
        }
        assert!(
            wait_ms(&mut attempts, "ada", HERE, 1) > 0,
            "who has to wait, still does"
        );
        // And whoever comes now is counted all the same.
        while wait_ms(&mut attempts, "grace", THERE, 1) == 0 {
            failed(&mut attempts, "grace", THERE, 1);
        }
        attempts.forget(2 * FORGOTTEN_AFTER_MS);
        assert!(attempts.failures.is_empty());
    }
}
