//! Sign-ins that went to the provider and have not come back: in memory, few, and not for long.

use std::collections::BTreeMap;
use std::net::IpAddr;

use constant_time_eq::constant_time_eq;
use sha2::{Digest, Sha256};

/// Most that wait at once.
pub(super) const PENDING_MAX: usize = 1_000;
/// How long one waits.
pub(super) const PENDING_FOR_MS: u64 = 10 * 60_000;

/// A sign-in that waits for the way back.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    /// SHA-256 of what the browser was given to recognise it by.
    pub browser: [u8; 32],
    /// What the ID token must repeat.
    pub nonce: String,
    /// What PKCE proves that it is us by.
    pub verifier: String,
    /// Where to go afterwards.
    pub next: String,
    /// From where it was begun.
    pub from: IpAddr,
    /// Until when it counts.
    pub until_ms: u64,
}

/// All of them, by state.
#[derive(Debug, Default)]
pub(super) struct Pending(BTreeMap<String, Waiting>);

impl Pending {
    /// Keeps one. Where there are too many, the oldest goes of the address that has most: nobody pushes out all others.
    pub(super) fn keep(&mut self, state: String, waiting: Waiting, now_ms: u64) {
        self.0.retain(|_, waiting| now_ms < waiting.until_ms);
        if self.0.len() >= PENDING_MAX {
            let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
            for waiting in self.0.values() {
                *counts.entry(waiting.from).or_default() += 1;
            }
            let most = counts.into_iter().max_by_key(|(_, count)| *count);
            let of_most = self
                .0
                .iter()
                .filter(|(_, one)| most.is_some_and(|(from, _)| from == one.from));
            let oldest = of_most.min_by_key(|(_, waiting)| waiting.until_ms);
            if let Some(state) = oldest.map(|(state, _)| state.clone()) {
                self.0.remove(&state);
            }
        }
        self.0.insert(state, waiting);
    }

    /// The one of this state, if it is this browser's. Whoever comes with it, it counts once.
    pub(super) fn take(&mut self, state: &str, browser: &str, now_ms: u64) -> Option<Waiting> {
        let waiting = self.0.remove(state)?;
        let same = constant_time_eq(&waiting.browser, &hash(browser));
        (same && now_ms < waiting.until_ms).then_some(waiting)
    }
}

/// What is kept of a browser's word.
pub(super) fn hash(browser: &str) -> [u8; 32] {
    Sha256::digest(browser.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(from: u8, until_ms: u64) -> Waiting {
        Waiting {
            browser: hash("mine"),
            nonce: String::new(),
            verifier: String::new(),
            next: "/".to_owned(),
            from: IpAddr::from([127, 0, 0, from]),
            until_ms,
        }
    }

    #[test]
    fn each_counts_once_for_its_browser_and_not_for_long() {
        let mut pending = Pending::default();
        pending.keep("a".to_owned(), waiting(1, 100), 0);
        assert!(pending.take("a", "another's", 1).is_none());
        assert!(pending.take("a", "mine", 1).is_none(), "it counted already");
        pending.keep("b".to_owned(), waiting(1, 100), 0);
        assert!(pending.take("b", "mine", 100).is_none(), "too late");
        pending.keep("c".to_owned(), waiting(1, 100), 0);
        assert!(pending.take("c", "mine", 99).is_some());
    }

    #[test]
    fn whoever_begins_too_many_pushes_out_their_own() {
        let mut pending = Pending::default();
        pending.keep("victim".to_owned(), waiting(2, 10), 0);
        for index in 0..3 * PENDING_MAX {
            pending.keep(format!("{index}"), waiting(1, 1_000 + index as u64), 0);
        }
        assert_eq!(pending.0.len(), PENDING_MAX);
        assert!(pending.take("victim", "mine", 1).is_some());
    }
}
