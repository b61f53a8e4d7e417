//! How far a stop got, from any order of entries.

use std::sync::Arc;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::entry::StateChange;
use crate::{
    Authority, LogPosition, MachineEntry, MachineId, MachineView, Mission, Mode, Presence, RecordNumber,
    ReportedState, StateVersion, StreamVersion,
};

/// One step of a machine's story; times in milliseconds.
#[derive(Clone, Debug)]
enum Step {
    Issue {
        id: u8,
        at: i64,
    },
    Answer {
        id: u8,
        outcome: &'static str,
        at: i64,
    },
    Report {
        safety: Safety,
        at_rest: Option<bool>,
        at: i64,
    },
    Presence,
}

fn moment(ms: i64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + ms)
}

fn entry(step: &Step, record: &mut u64) -> MachineEntry {
    let mut next = || {
        *record += 1;
        RecordNumber(*record)
    };
    match step {
        Step::Issue { id, at } => MachineEntry::CommandIssued {
            command_id: format!("s{id}"),
            kind: STOP_KIND.to_owned(),
            arguments: None,
            issuer: "local".to_owned(),
            reason: "test".to_owned(),
            issued: moment(*at),
            expires: moment(at + 600_000),
        },
        Step::Answer { id, outcome, at } => MachineEntry::ResponseReported {
            record: next(),
            at: moment(*at),
            command_id: format!("s{id}"),
            outcome: (*outcome).to_owned(),
            reason: None,
        },
        Step::Report { safety, at_rest, at } => {
            let state = ReportedState {
                operation: Some(Arc::new(Operation {
                    mode: Mode::Driving,
                    safety: *safety,
                    held_by: Vec::new(),
                    at_rest: *at_rest,
                    authority: Authority::None,
                    mission: Mission::Idle,
                })),
                ..ReportedState::default()
            };
            let record = next();
            MachineEntry::StateReported {
                record,
                version: StateVersion(record.0),
                at: moment(*at),
                change: StateChange::Full(Box::new(state)),
            }
        }
        Step::Presence => MachineEntry::PresenceChanged {
            presence: Presence::Lost,
            reason: "test".to_owned(),
        },
    }
}

/// A view after these steps, and how the stop was after each of them.
fn told(steps: &[Step]) -> (MachineView, Vec<Option<LastStop>>) {
    let id = MachineId::from_uuid(Uuid::from_u128(3));
    let mut view = MachineView::new(id, moment(0));
    let (mut record, mut seen) = (0, Vec::new());
    for (index, step) in steps.iter().enumerate() {
        let n = index as u64 + 1;
        let entry = entry(step, &mut record);
        view.apply(LogPosition(n), StreamVersion(n), moment(n as i64), &entry);
        seen.push(view.last_stop.as_deref().cloned());
    }
    (view, seen)
}

/// Answered, standing, at rest, let go: milliseconds after the stop was asked for.
fn times(steps: &[Step]) -> [Option<i64>; 4] {
    let (view, _) = told(steps);
    let stop = view.last_stop.expect("a stop");
    let since = |at: Option<Timestamp>| at.map(|at| at.millis_since(stop.issued));
    [
        since(stop.answer.as_ref().map(|answer| answer.at)),
        since(stop.standing_at),
        since(stop.at_rest_at),
        since(stop.released_at),
    ]
}

const ISSUE: Step = Step::Issue { id: 1, at: 100 };

fn accepted(at: i64) -> Step {
    let outcome = "accepted";
    Step::Answer { id: 1, outcome, at }
}

fn report(safety: Safety, at_rest: Option<bool>, at: i64) -> Step {
    Step::Report { safety, at_rest, at }
}

#[test]
fn a_stop_goes_from_asked_to_at_rest() {
    use Safety::{Operational, ProtectiveStop};
    let check = |steps: &[Step], expected: [Option<i64>; 4]| assert_eq!(times(steps), expected, "{steps:?}");
    check(&[ISSUE], [None; 4]);
    check(&[ISSUE, accepted(104)], [Some(4), None, None, None]);
    let standing = report(ProtectiveStop, Some(false), 110);
    check(
        &[
            ISSUE,
            accepted(104),
            standing.clone(),
            report(ProtectiveStop, Some(true), 500),
        ],
        [Some(4), Some(10), Some(400), None],
    );
    check(
        &[
            ISSUE,
            accepted(104),
            standing.clone(),
            report(Operational, Some(false), 900),
        ],
        [Some(4), Some(10), None, Some(800)],
    );
    // A machine without measurement is never said to be at rest.
    check(
        &[ISSUE, accepted(104), report(Safety::EstopLatched, None, 120)],
        [Some(4), Some(20), None, None],
    );
}

#[test]
fn a_machine_that_stood_already_stands_when_it_answers() {
    let before = report(Safety::EstopLatched, Some(true), 50);
    assert_eq!(
        times(&[before.clone(), ISSUE, accepted(104)]),
        [Some(4), Some(4), Some(4), None]
    );
    // A report that waited on the machine since before the stop says nothing of it.
    assert_eq!(times(&[ISSUE, before]), [None; 4]);
}

#[test]
fn what_was_about_something_else_does_not_count() {
    let stands = |at| report(Safety::ProtectiveStop, None, at);
    let moves = |at| report(Safety::Operational, None, at);
    // It stood and went on before it heard of the stop.
    assert_eq!(
        times(&[ISSUE, stands(110), moves(120), accepted(130)]),
        [Some(30), None, None, None]
    );
    assert_eq!(
        times(&[ISSUE, stands(110), moves(120), accepted(130), stands(140)]),
        [Some(30), Some(40), None, None]
    );
    // It refused, and stood later for a reason of its own.
    let refused = Step::Answer {
        id: 1,
        outcome: "refused",
        at: 104,
    };
    assert_eq!(times(&[ISSUE, refused, stands(110)]), [Some(4), None, None, None]);
    // The answer to another command.
    let other = Step::Answer {
        id: 2,
        outcome: "accepted",
        at: 104,
    };
    assert_eq!(times(&[ISSUE, other]), [None; 4]);
}

#[test]
fn a_clock_that_is_put_right_turns_no_time_round() {
    let early = report(Safety::ProtectiveStop, Some(true), 40);
    assert_eq!(
        times(&[ISSUE, accepted(90), early]),
        [Some(0), Some(0), Some(0), None]
    );
}

#[test]
fn other_commands_are_no_stops() {
    let mut view = MachineView::new(MachineId::from_uuid(Uuid::from_u128(3)), moment(0));
    let entry = MachineEntry::CommandIssued {
        command_id: "c".to_owned(),
        kind: "identify".to_owned(),
        arguments: None,
        issuer: "local".to_owned(),
        reason: "test".to_owned(),
        issued: moment(0),
        expires: moment(9),
    };
    view.apply(LogPosition(1), StreamVersion(1), moment(0), &entry);
    assert_eq!(view.last_stop, None);
}

#[test]
fn a_stop_is_an_event_for_people() {
    let event = |step: &Step| entry(step, &mut 0).as_event(moment(7)).expect("an event");
    let asked = event(&ISSUE);
    assert_eq!(asked.kind, "machine.stop_requested");
    assert_eq!(asked.severity, crate::Severity::Warning);
    assert_eq!(asked.message, "Remote stop asked for by local: test");
    assert_eq!(asked.correlation_id.as_deref(), Some("s1"));
    assert_eq!(event(&accepted(1)).correlation_id, asked.correlation_id);
}

fn any_step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        Just("accepted"),
        Just("duplicate"),
        Just("expired"),
        Just("refused")
    ];
    let safety = (0..Safety::ALL.len()).prop_map(|index| Safety::ALL[index]);
    prop_oneof![
        1 => (0u8..4, 0i64..1_000).prop_map(|(id, at)| Step::Issue { id, at }),
        2 => (0u8..4, outcome, 0i64..1_000).prop_map(|(id, outcome, at)| Step::Answer { id, outcome, at }),
        4 => (safety, any::<Option<bool>>(), 0i64..1_000)
            .prop_map(|(safety, at_rest, at)| Step::Report { safety, at_rest, at }),
        1 => Just(Step::Presence),
    ]
}

proptest! {
    #[test]
    fn a_stop_never_shows_what_cannot_be(steps in proptest::collection::vec(any_step(), 1..40)) {
        let (_, seen) = told(&steps);
        let mut before: Option<LastStop> = None;
        for (step, now) in steps.iter().zip(seen) {
            let newest = match step {
                Step::Issue { id, .. } => Some(format!("s{id}")),
                _ => before.as_ref().map(|stop| stop.command_id.clone()),
            };
            prop_assert_eq!(now.as_ref().map(|stop| stop.command_id.clone()), newest);
            let Some(stop) = &now else { continue };
            let times = [Some(stop.issued), stop.standing_at, stop.at_rest_at];
            let known: Vec<Timestamp> = times.into_iter().flatten().collect();
            prop_assert!(known.is_sorted(), "{stop:?}");
            prop_assert!(stop.at_rest_at.is_none() || stop.standing_at.is_some());
            prop_assert!(stop.released_at.is_none() || stop.standing_at <= stop.released_at);
            prop_assert!(stop.answer.as_ref().is_none_or(|answer| answer.at >= stop.issued));
            if let Some(old) = before.filter(|_| !matches!(step, Step::Issue { .. })) {
                // The first answer stands, and what was known stays known, unless the answer shows that it was about
                // something else.
                let answered = old.answer.is_none() && stop.answer.is_some();
                prop_assert!(old.answer.is_none() || old.answer == stop.answer);
                prop_assert!(answered || old.standing_at.is_none() || old.standing_at == stop.standing_at);
                prop_assert!(answered || old.released_at.is_none() || old == *stop);
                // Only a state that shows it makes a machine stand.
                let shown = matches!(step, Step::Report { safety, .. } if stands(*safety)) || answered;
                prop_assert!(shown || old.standing_at.is_some() || stop.standing_at.is_none());
            } else {
                prop_assert_eq!((stop.standing_at, stop.at_rest_at, stop.released_at), (None, None, None));
            }
            before = now;
        }
    }

    #[test]
    fn a_stop_survives_a_snapshot_at_any_moment(
        steps in proptest::collection::vec(any_step(), 1..20),
        cut in any::<proptest::sample::Index>(),
    ) {
        let (whole, _) = told(&steps);
        let cut = cut.index(steps.len());
        let (mut view, _) = told(&steps[..cut]);
        view = MachineView::from_snapshot(view.id, &view.to_snapshot().expect("json")).expect("a snapshot");
        let mut record = view.highest_record.0;
        for (index, step) in steps.iter().enumerate().skip(cut) {
            let n = index as u64 + 1;
            let stored = serde_json::to_vec(&entry(step, &mut record)).expect("json");
            let read: MachineEntry = serde_json::from_slice(&stored).expect("an entry");
            view.apply(LogPosition(n), StreamVersion(n), moment(n as i64), &read);
        }
        prop_assert_eq!(view, whole);
    }
}
