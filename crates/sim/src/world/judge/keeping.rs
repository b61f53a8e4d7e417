//! What is watched at the machines: that they keep what the server does not hold yet, and what must have arrived in
//! the end.

use std::collections::BTreeSet;

use muster_protocol::link::{Envelope, Limits, MachineMessage, TokenBucket};
use muster_reflex::link::StoredRecord;

use super::super::disk::Applied;
use super::super::schedule::{MILLISECOND, Time};
use super::super::workload::{Token, token_of};
use super::{Check, Judge};

impl Judge {
    /// A machine starts: it has given up nothing yet in this life.
    pub(in super::super) fn booted(&mut self, machine: usize) {
        self.machines[machine].given_up = 0;
    }

    /// A machine sends this.
    pub(in super::super) fn sent(&mut self, now: Time, machine: usize, frame: &Envelope<MachineMessage>) {
        // What goes over one connection keeps to what the server takes; a little more than that where clocks differ.
        let known = &mut self.machines[machine];
        if known.said_in.0 != frame.session {
            let limits = Limits::default();
            let bucket = TokenBucket::new(limits.messages_per_s, limits.messages_burst, now / MILLISECOND);
            known.said_in = (frame.session, Some(bucket));
        }
        let within = known
            .said_in
            .1
            .as_mut()
            .is_none_or(|bucket| bucket.take(now / MILLISECOND));
        self.look(Some(machine), now, Check::Bounded, within, || {
            format!("machine {machine} says more than the server takes from one machine")
        });
        if let Some(token) = token_of(&frame.message) {
            let kept = self.machines[machine].tokens_kept.contains(token);
            self.look(Some(machine), now, Check::SentIsKept, kept, || {
                format!("machine {machine} sends token {token}, which is not on its disk")
            });
        }
    }

    /// A machine decides to forget these records, and to keep these instead; it says that in its life it had to give
    /// up so many.
    pub(in super::super) fn forgets<'a>(
        &mut self,
        now: Time,
        machine: usize,
        records: impl Iterator<Item = &'a StoredRecord>,
        instead: &BTreeSet<Token>,
        given_up: u64,
    ) {
        if given_up > 0 {
            self.machines[machine].may_have_lost = true;
        }
        for token in records.filter_map(|stored| token_of(&stored.message)) {
            if !instead.contains(&token) && !self.accounted_for(machine, token) {
                let known = &mut self.machines[machine];
                known.given_up += 1;
                known.excused.insert(token);
                known.outstanding.remove(&token);
            }
        }
        let unheld = self.machines[machine].given_up;
        self.look(Some(machine), now, Check::ForgottenIsHeld, unheld <= given_up, || {
            format!(
                "machine {machine} forgets {unheld} records that the server does not hold, and had to give up {given_up}"
            )
        });
    }

    /// A transaction is on a machine's disk.
    pub(in super::super) fn kept(&mut self, now: Time, machine: usize, applied: &Applied) {
        self.answers_kept(machine, &applied.persisted);
        for held in &applied.desired {
            self.desired_kept(now, machine, held);
        }
        let persisted: BTreeSet<Token> = applied
            .persisted
            .iter()
            .filter_map(|stored| token_of(&stored.message))
            .collect();
        for stored in &applied.removed {
            let Some(token) = token_of(&stored.message) else {
                continue;
            };
            let held = persisted.contains(&token) || self.accounted_for(machine, token);
            let record = stored.record;
            self.look(Some(machine), now, Check::ForgottenIsHeld, held, || {
                format!(
                    "the disk of machine {machine} forgets record {record}, and the server has not got token {token}"
                )
            });
        }
        for token in persisted {
            let expected = !self.accounted_for(machine, token);
            let known = &mut self.machines[machine];
            known.tokens_kept.insert(token);
            if expected {
                known.outstanding.insert(token);
            }
        }
    }

    /// A machine's disk is gone, with these records.
    pub(in super::super) fn disk_lost<'a>(
        &mut self,
        machine: usize,
        records: impl Iterator<Item = &'a StoredRecord>,
    ) {
        let known = &mut self.machines[machine];
        known.may_have_lost = true;
        for token in records.filter_map(|stored| token_of(&stored.message)) {
            known.excused.insert(token);
            known.outstanding.remove(&token);
        }
    }

    fn accounted_for(&self, machine: usize, token: Token) -> bool {
        let known = &self.machines[machine];
        known.tokens_logged.contains(token) || known.excused.contains(token)
    }

    /// What should have arrived and did not.
    pub(in super::super) fn missing(&self, machine: usize) -> Option<Token> {
        self.machines[machine].outstanding.first().copied()
    }
}
