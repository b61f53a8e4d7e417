//! The way of a batch: from a shard to the log, and its answer back.

use muster_brain::shard::Input;

use super::World;
use super::event::Event;
use super::explain::append_words;
use super::log::{Batch, Outcome};
use super::planted::Planted;
use super::sabotage;
use super::schedule::MILLISECOND;
use super::server::index_of;

impl World {
    /// The server hands a batch in to the log.
    pub(super) fn hand_in(&mut self, mut batch: Batch) {
        let now = self.schedule.now();
        match self.scenario.planted {
            Some(Planted::AcknowledgeBeforeCommit) => self.answer_early(&batch),
            Some(Planted::StateSkipped) => sabotage::skip_states(&mut batch.entries),
            Some(Planted::GapSkipped) => self.sabotage.number_again(&mut batch.entries),
            _ => {}
        }
        let machines = self.machines.len();
        for append in &batch.entries {
            let machine = index_of(append.machine, machines);
            self.judge.handed_in(now, machine, &append.entry);
            self.note(
                Some(machine),
                "append",
                &[batch.ticket.0, machine as u64, append.expected.0],
                || {
                    format!(
                        "batch {} of shard {}, machine {machine}: {}",
                        batch.ticket.0,
                        batch.shard,
                        append_words(append)
                    )
                },
            );
        }
        if self.server.log.submit(batch) {
            self.log_writes();
        }
    }

    fn log_writes(&mut self) {
        let typical = if self.server.log_slow_until > self.schedule.now() {
            1_500
        } else {
            6
        };
        let wait = self.random.server.around(typical * MILLISECOND);
        let life = self.server.life;
        self.schedule.after(wait, Event::LogDone { life });
    }

    /// The log is done with what it was writing.
    pub(super) fn log_done(&mut self, life: u64) {
        if self.server.life != life || !self.server.is_up() {
            return;
        }
        let machines = self.machines.len();
        let twice = (self.scenario.planted == Some(Planted::WrittenTwice))
            .then(|| self.server.log.first_again())
            .flatten();
        let outcomes = self.server.log.finish(|id| index_of(id, machines));
        if self.server.log.begin() {
            self.log_writes();
        }
        if let Some(again) = twice {
            let outcome = self.server.log.force(again, |id| index_of(id, machines));
            self.judge_durable(&outcome);
        }
        let mut answers = 0;
        for mut outcome in outcomes {
            self.judge_durable(&outcome);
            match self.scenario.planted {
                Some(Planted::AcknowledgeBeforeCommit) => continue,
                Some(Planted::FailureHidden) => outcome = sabotage::hide_failure(outcome),
                _ => {}
            }
            // One after another: answers come in the order of the batches.
            answers += 1;
            self.schedule.after(answers, Event::LogAnswer { life, outcome });
        }
    }

    pub(super) fn judge_durable(&mut self, outcome: &Outcome) {
        let now = self.schedule.now();
        match &outcome.result {
            Ok(_) => self.counts.batches += 1,
            Err(_) => self.counts.batches_failed += 1,
        }
        for (machine, logged) in &outcome.appended {
            self.counts.entries += 1;
            self.judge.durable(now, *machine, logged);
        }
    }

    /// Whom a batch concerns: the machine that is told of, if it does; else the first, or nobody.
    fn concerns(&self, outcome: &Outcome) -> Option<usize> {
        let machines = self.machines.len();
        let refused = outcome.refused.iter().flat_map(|batch| &batch.entries);
        let mut all = outcome
            .appended
            .iter()
            .map(|(machine, _)| *machine)
            .chain(refused.map(|append| index_of(append.machine, machines)));
        let told = self.trace.telling()?.machine?;
        let first = all.next()?;
        Some(if all.any(|machine| machine == told) {
            told
        } else {
            first
        })
    }

    /// A shard hears what became of a batch.
    pub(super) fn log_answer(&mut self, life: u64, outcome: Outcome) {
        if self.server.life != life || !self.server.is_up() {
            return;
        }
        let (shard, ticket) = (outcome.shard, outcome.ticket);
        let about = self.concerns(&outcome);
        self.note(
            about,
            "log",
            &[ticket.0, u64::from(outcome.result.is_ok())],
            || {
                let came = match &outcome.result {
                    Ok(_) => "is durable".to_owned(),
                    Err(reason) => format!("is refused: {reason}"),
                };
                format!("shard {shard} hears that its batch {} {came}", ticket.0)
            },
        );
        let input = match outcome.result {
            Ok(placed) => Input::Persisted { ticket, placed },
            Err(reason) => Input::NotPersisted { ticket, reason },
        };
        self.server.hosts[shard].inbox.push(input);
        self.gather(shard);
    }
}
