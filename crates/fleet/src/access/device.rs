//! Signing a program in by a browser that is signed in already: the program shows a short code, a person types it where they are
//! signed in and says yes, and the program gets a session of theirs.
//!
//! In memory: whoever is half-way through when the server ends begins again. Source: RFC 8628.

use std::collections::BTreeMap;
use std::net::IpAddr;

use muster_model::Timestamp;
use muster_model::access::PersonName;

use super::attempts::place;
use super::secret::{Hash, NoEntropy, Secret, SecretKind, random};

/// How long a request waits for a person.
pub const LIFETIME_MS: i64 = 600_000;
/// Requests that wait at once. For a further one another goes: see [`Devices::begin`].
const WAITING_MAX: usize = 500;
/// Requests from one place that wait at once.
const WAITING_OF_PLACE_MAX: usize = 20;
/// Letters of a code: none that looks like another, and no vowels, so that no word comes of it.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// A program that waits.
#[derive(Clone, Debug)]
pub struct Request {
    /// From where it asks.
    pub from: IpAddr,
    /// What it calls itself.
    pub agent: String,
    /// Since when.
    pub started_at: Timestamp,
    code: String,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Approved(Approval),
    Denied,
}

/// That somebody said yes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Who.
    pub by: PersonName,
    /// Their era then: what ends their sessions, ends this as well.
    pub era: u64,
}

/// What a program hears when it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nobody said anything yet.
    NotYet,
    /// This person said yes. Told once.
    Approved(Approval),
    /// Somebody said no.
    Denied,
    /// It asked too late, or never.
    Unknown,
}

/// Why a program cannot wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Too many wait.
    #[error("too many programs wait to be let in: try again in some minutes")]
    TooMany,
    /// The operating system gave no randomness.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}

/// Programs that wait.
#[derive(Debug, Default)]
pub struct Devices {
    waiting: BTreeMap<Hash, Request>,
}

impl Devices {
    /// A program begins to wait: its secret, and the code for the person. Where there are too many, the oldest goes of the place
    /// that has most of those that nobody answered: whoever fills it, pushes out their own.
    ///
    /// # Errors
    ///
    /// Too many wait, or there is no randomness.
    pub fn begin(
        &mut self,
        from: IpAddr,
        agent: &str,
        now: Timestamp,
    ) -> Result<(Secret, String), DeviceError> {
        self.forget(now);
        let at = place(from);
        let of_place = self.waiting.values();
        let of_place = of_place.filter(|request| place(request.from) == at).count();
        if of_place >= WAITING_OF_PLACE_MAX || !self.make_room() {
            return Err(DeviceError::TooMany);
        }
        let secret = Secret::new(SecretKind::Device)?;
        let code = loop {
            let code = code()?;
            if !self.waiting.values().any(|request| request.code == code) {
                break code;
            }
        };
        let request = Request {
            from,
            agent: agent
                .chars()
                .filter(|character| !character.is_control())
                .take(200)
                .collect(),
            started_at: now,
            code: code.clone(),
            state: State::Waiting,
        };
        self.waiting.insert(secret.hash(), request);
        Ok((secret, code))
    }

    /// Who waits under a code, however it is written.
    pub fn find(&mut self, code: &str, now: Timestamp) -> Option<Request> {
        self.forget(now);
        let code = plain(code);
        let mut waiting = self.waiting.values();
        let found = waiting.find(|request| plain(&request.code) == code && request.state == State::Waiting);
        found.cloned()
    }

    /// A person says yes or no; says whether somebody waits under the code.
    pub fn answer(&mut self, code: &str, by: Option<Approval>, now: Timestamp) -> bool {
        self.forget(now);
        let code = plain(code);
        let mut waiting = self.waiting.values_mut();
        let found = waiting.find(|request| plain(&request.code) == code && request.state == State::Waiting);
        match found {
            Some(request) => {
                request.state = by.map_or(State::Denied, State::Approved);
                true
            }
            None => false,
        }
    }

    /// The program asks. An answer is told once.
    pub fn hear(&mut self, hash: &Hash, now: Timestamp) -> Heard {
        self.forget(now);
        match self.waiting.get(hash).map(|request| request.state.clone()) {
            None => Heard::Unknown,
            Some(State::Waiting) => Heard::NotYet,
            Some(State::Approved(approval)) => {
                self.waiting.remove(hash);
                Heard::Approved(approval)
            }
            Some(State::Denied) => {
                self.waiting.remove(hash);
                Heard::Denied
            }
        }
    }

    /// Whether there is room for one more.
    fn make_room(&mut self) -> bool {
        if self.waiting.len() < WAITING_MAX {
            return true;
        }
        let unanswered = || {
            let all = self.waiting.iter();
            all.filter(|(_, request)| request.state == State::Waiting)
        };
        let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for (_, request) in unanswered() {
            *counts.entry(place(request.from)).or_default() += 1;
        }
        let Some((most, _)) = counts.into_iter().max_by_key(|(_, count)| *count) else {
            return false;
        };
        let oldest = unanswered()
            .filter(|(_, request)| place(request.from) == most)
            .min_by_key(|(_, request)| request.started_at)
            .map(|(hash, _)| *hash);
        oldest.is_some_and(|hash| self.waiting.remove(&hash).is_some())
    }

    fn forget(&mut self, now: Timestamp) {
        self.waiting
            .retain(|_, request| now.millis_since(request.started_at) < LIFETIME_MS);
    }
}

/// Eight letters in two groups: 34 bits, for ten minutes.
fn code() -> Result<String, NoEntropy> {
    let mut text = String::with_capacity(9);
    while text.len() < 9 {
        let [byte] = random::<1>()?;
        // Of 256 the first 240: each letter is as likely as the others.
        if byte >= 240 {
            continue;
        }
        if text.len() == 4 {
            text.push('-');
        }
        text.push(char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
    }
    Ok(text)
}

fn plain(code: &str) -> String {
    let letters = code.chars().filter(char::is_ascii_alphabetic);
    letters.map(|letter| letter.to_ascii_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn a_program_is_let_in_once_by_whoever_types_its_code() {
        let ada = Approval {
            by: "ada".parse().unwrap(),
            era: 7,
        };
        let mut devices = Devices::default();
        let (secret, code) = devices.begin(HERE, "muster\n/1", at(0)).unwrap();
        assert_eq!((code.len(), code.as_bytes()[4]), (9, b'-'), "{code}");
        assert_eq!(devices.hear(&secret.hash(), at(1)), Heard::NotYet);
        assert_eq!(
            devices
                .find(&code.to_lowercase().replace('-', " "), at(1))
                .unwrap()
                .agent,
            "muster/1"
        );
        assert!(!devices.answer("BBBB-BBBB", Some(ada.clone()), at(1)) || code == "BBBB-BBBB");
        assert!(devices.answer(&code, Some(ada.clone()), at(2)));
        assert!(!devices.answer(&code, None, at(3)), "answered already");
        assert!(devices.find(&code, at(3)).is_none());
        assert_eq!(devices.hear(&secret.hash(), at(4)), Heard::Approved(ada));
        assert_eq!(devices.hear(&secret.hash(), at(5)), Heard::Unknown, "told once");
        let (denied, code) = devices.begin(HERE, "", at(0)).unwrap();
        assert!(devices.answer(&code, None, at(1)));
        assert_eq!(devices.hear(&denied.hash(), at(2)), Heard::Denied);
    }

    #[test]
    fn who_waits_is_bounded_and_forgotten() {
        let mut devices = Devices::default();
        let (secret, code) = devices.begin(HERE, "", at(0)).unwrap();
        for _ in 1..WAITING_OF_PLACE_MAX {
            devices.begin(HERE, "", at(0)).unwrap();
        }
        assert_eq!(devices.begin(HERE, "", at(1)).unwrap_err(), DeviceError::TooMany);
        assert!(devices.find(&code, at(LIFETIME_MS)).is_none());
        assert_eq!(devices.hear(&secret.hash(), at(LIFETIME_MS)), Heard::Unknown);
        assert!(devices.begin(HERE, "", at(LIFETIME_MS)).is_ok());
    }

    #[test]
    fn whoever_fills_it_pushes_out_their_own() {
        let mut devices = Devices::default();
        let (theirs, _) = devices.begin(HERE, "", at(0)).unwrap();
        let flood = |place: usize| IpAddr::from([10, 0, 0, place as u8]);
        for index in 1..WAITING_MAX {
            devices
                .begin(flood(index / WAITING_OF_PLACE_MAX), "", at(2))
                .unwrap();
        }
        assert_eq!(devices.waiting.len(), WAITING_MAX);
        let (late, _) = devices.begin(IpAddr::from([127, 0, 0, 2]), "", at(3)).unwrap();
        assert_eq!(devices.waiting.len(), WAITING_MAX);
        for secret in [theirs, late] {
            assert_eq!(devices.hear(&secret.hash(), at(4)), Heard::NotYet);
        }
        // One network is one place.
        let mut devices = Devices::default();
        for last in 0..WAITING_OF_PLACE_MAX as u16 {
            let from = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
            devices.begin(from, "", at(0)).unwrap();
        }
        let from = IpAddr::from([0x2001, 0xdb8, 0, 0, 1, 0, 0, 0]);
        assert_eq!(devices.begin(from, "", at(0)).unwrap_err(), DeviceError::TooMany);
    }
}
