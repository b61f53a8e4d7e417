//! Machines that renew more often than anybody asked them to are held back: each certificate is a document, and a line of the log.

use std::collections::HashMap;

use muster_model::MachineId;
use parking_lot::Mutex;

/// Renewals of one machine that nobody asked for, within [`WINDOW_MS`]: answers that were lost on the way are asked for again.
pub const UNASKED_MAX: usize = 6;
/// See [`UNASKED_MAX`].
const WINDOW_MS: u64 = 3_600_000;

/// Renewals of late that nobody asked for, by machine: of those that have enrolled.
#[derive(Default)]
pub struct Renewals(Mutex<HashMap<MachineId, Vec<u64>>>);

impl Renewals {
    /// Counts one.
    ///
    /// # Errors
    ///
    /// It is one too many: how many seconds to wait.
    pub fn count(&self, machine: MachineId, mono_ms: u64) -> Result<(), u64> {
        let mut all = self.0.lock();
        all.retain(|_, times| times.iter().any(|at| mono_ms.saturating_sub(*at) < WINDOW_MS));
        let times = all.entry(machine).or_default();
        times.retain(|at| mono_ms.saturating_sub(*at) < WINDOW_MS);
        if times.len() < UNASKED_MAX {
            times.push(mono_ms);
            return Ok(());
        }
        let oldest = times.iter().min().copied().unwrap_or(mono_ms);
        Err((oldest + WINDOW_MS - mono_ms).div_ceil(1_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_in_an_hour_and_each_machine_for_itself() {
        let id = |number| MachineId::from_uuid(uuid::Uuid::from_u128(number));
        let renewals = Renewals::default();
        let (one, other) = (id(1), id(2));
        for index in 0..UNASKED_MAX as u64 {
            renewals.count(one, index * 1_000).unwrap();
        }
        assert_eq!(renewals.count(one, 10_000), Err(3_590));
        renewals.count(other, 10_000).unwrap();
        renewals.count(one, WINDOW_MS).unwrap();
        assert!(renewals.count(one, WINDOW_MS).is_err(), "one went, one came");
        renewals.count(other, 3 * WINDOW_MS).unwrap();
        assert_eq!(renewals.0.lock().len(), 1, "what is long ago is forgotten");
    }
}
