//! A set of numbers that mostly come one after another: kept as runs, so that millions of them take no room.

use std::collections::BTreeMap;

/// Numbers, as runs from their first to their last.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs(BTreeMap<u64, u64>);

impl Runs {
    pub(super) fn contains(&self, number: u64) -> bool {
        self.run_of(number).is_some()
    }

    fn run_of(&self, number: u64) -> Option<(u64, u64)> {
        let (first, last) = self.0.range(..=number).next_back()?;
        (*last >= number).then_some((*first, *last))
    }

    /// Adds a number; false if it was there.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        if self.contains(number) {
            return false;
        }
        let before = number.checked_sub(1).and_then(|before| self.run_of(before));
        let first = before.map_or(number, |(first, _)| first);
        let last = self.0.remove(&(number + 1)).unwrap_or(number);
        self.0.insert(first, last);
        true
    }

    pub(super) fn greatest(&self) -> Option<u64> {
        self.0.last_key_value().map(|(_, last)| *last)
    }
}

#[cfg(test)]
mod tests {
    use super::Runs;

    #[test]
    fn numbers_in_any_order_become_runs() {
        let mut runs = Runs::default();
        for number in [5, 3, 4, 9, 7, 8, 1] {
            assert!(runs.insert(number));
            assert!(!runs.insert(number));
        }
        let held: Vec<u64> = (0..12).filter(|number| runs.contains(*number)).collect();
        assert_eq!(held, [1, 3, 4, 5, 7, 8, 9]);
        assert_eq!(runs.0.len(), 3);
        assert_eq!(runs.greatest(), Some(9));
    }
}
