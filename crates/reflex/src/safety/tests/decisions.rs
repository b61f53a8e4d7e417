//! What the gate did not let through, as it is told: who, for what, why, how often.

use muster_model::Timestamp;
use muster_model::gate::DECISIONS_MAX;

use super::super::decisions::{Decision, Decisions, Reason};
use super::*;

/// Somebody who commands, and what is told of it.
struct Told {
    bench: Bench,
    decisions: Decisions,
    sequence: u64,
}

impl Told {
    fn new() -> Self {
        Self {
            bench: Bench::running(driven()),
            decisions: Decisions::default(),
            sequence: 0,
        }
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + self.bench.now_us as i64 / 1_000)
    }

    /// Claims the machine in this name; what somebody else claimed goes on.
    fn claim(&mut self, authority: Authority) {
        let until_us = self.bench.now_us + 60_000 * MS;
        let claims = &mut self.bench.sample.claims;
        match authority {
            Authority::Service => claims.service_until_us = until_us,
            _ => claims.local_until_us = until_us,
        }
    }

    fn command(&mut self, authority: Authority, value: f64) {
        self.sequence += 1;
        self.bench.sample.commands[0] = Some(Command {
            value,
            stamp: Stamp {
                authority,
                sequence: self.sequence,
                deadline_us: self.bench.now_us + 100 * MS,
            },
        });
    }

    /// One step; whether it brought something to tell.
    fn step(&mut self) -> bool {
        let verdict = self.bench.step();
        let at = self.at();
        self.decisions
            .look(at, &self.bench.config, &self.bench.sample, &verdict)
    }

    fn rows(&self) -> Vec<Decision> {
        self.decisions.rows().copied().collect()
    }

    fn reasons(&self) -> Vec<(&'static str, u64)> {
        let rows = self.decisions.rows();
        rows.map(|row| (row.reason.as_str(), row.times)).collect()
    }
}

#[test]
fn what_passes_as_it_was_asked_for_is_not_told() {
    let mut told = Told::new();
    assert!(!told.step(), "nobody asked for anything");
    told.claim(Authority::LocalManual);
    told.command(Authority::LocalManual, 1.0);
    assert!(!told.step());
    // Its time runs out, and it is refused as a replay from then on: it was let through all the same.
    for _ in 0..300 {
        assert!(!told.step());
    }
    assert_eq!(told.rows(), []);
}

#[test]
fn a_refused_command_is_told_once_with_who_asked_for_what_and_when() {
    let mut told = Told::new();
    told.command(Authority::LocalManual, 1.0);
    assert!(told.step(), "nobody claimed the machine");
    let at = told.at();
    assert!(!told.step(), "that it still stands is nothing new");
    let row = Decision {
        place: 0,
        authority: Authority::LocalManual,
        reason: Reason::Refused(Refused::NotTheHolder),
        asked: 1.0,
        passed: None,
        times: 1,
        first_at: at,
        last_at: at,
    };
    assert_eq!(told.rows(), [row]);
}

#[test]
fn a_flood_is_one_row_with_a_number() {
    let mut told = Told::new();
    for _ in 0..1_000 {
        told.command(Authority::LocalManual, 1.0);
        told.step();
    }
    assert_eq!(told.reasons(), [("not_the_holder", 1_000)]);
    let [row] = told.rows()[..] else { panic!() };
    assert!(row.first_at < row.last_at && row.last_at == told.at());
}

#[test]
fn what_is_cut_to_a_limit_is_told_with_what_passed() {
    let mut told = Told::new();
    told.claim(Authority::LocalManual);
    told.command(Authority::LocalManual, -5.0);
    assert!(told.step());
    let [row] = told.rows()[..] else { panic!() };
    assert_eq!(
        (row.reason, row.asked, row.passed),
        (Reason::AboveLimit, -5.0, Some(-2.0))
    );
}

#[test]
fn what_a_limited_machine_cuts_is_told_as_that() {
    let mut config = driven();
    config.rules[0] = rule(Condition::LinkLost, 0, Action::Limit, Clears::WithCondition);
    let mut told = Told {
        bench: Bench::running(config),
        ..Told::new()
    };
    told.bench.sample.conditions[Condition::LinkLost as usize].holds = true;
    told.claim(Authority::LocalManual);
    told.command(Authority::LocalManual, 1.0);
    assert!(told.step());
    let [row] = told.rows()[..] else { panic!() };
    assert_eq!((row.reason, row.passed), (Reason::Limited, Some(0.5)));
    told.command(Authority::LocalManual, 0.4);
    assert!(!told.step(), "it is within what is left");
}

#[test]
fn rows_are_told_apart_and_the_newest_come_first() {
    let mut told = Told::new();
    told.command(Authority::LocalManual, 1.0);
    told.step();
    told.claim(Authority::LocalManual);
    told.command(Authority::LocalManual, f64::NAN);
    told.step();
    told.command(Authority::Service, 1.0);
    told.step();
    assert_eq!(
        told.reasons(),
        [("not_the_holder", 1), ("not_a_number", 1), ("not_the_holder", 1)]
    );
    told.command(Authority::LocalManual, f64::NAN);
    told.step();
    assert_eq!(
        told.reasons(),
        [("not_a_number", 2), ("not_the_holder", 1), ("not_the_holder", 1)],
        "what happens again comes to the front"
    );
}

#[test]
fn only_so_many_rows_are_kept_and_the_oldest_go() {
    let mut told = Told::new();
    let names = [
        Authority::Mission,
        Authority::Teleop,
        Authority::LocalManual,
        Authority::Service,
        Authority::None,
    ];
    // Five names that nobody holds, then four of them while the machine stands.
    for name in names {
        told.command(name, 1.0);
        told.step();
    }
    told.bench.sample.asks.stop += 1;
    told.bench.run(3);
    for name in &names[..4] {
        told.command(*name, 1.0);
        told.step();
    }
    let rows = told.rows();
    assert_eq!(rows.len(), DECISIONS_MAX);
    assert!(
        rows[..4]
            .iter()
            .all(|row| row.reason == Reason::Refused(Refused::Standing))
    );
    assert!(
        !rows
            .iter()
            .any(|row| row.authority == Authority::Mission
                && row.reason == Reason::Refused(Refused::NotTheHolder)),
        "the oldest made room"
    );
}
