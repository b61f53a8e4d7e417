//! The link, step by step.

use muster_model::vocabulary::Authority;
use muster_model::{
    BootId, MachineId, RecordNumber, SequenceNumber, SessionNumber, Severity, StateVersion, Timestamp,
};
use muster_protocol::link::{
    Ack, Bye, ByeReason, Command, CommandKind, Envelope, EventReport, Limits, MachineMessage, Outcome,
    Response, Resync, ServerMessage, StateReport, Welcome,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

mod commands;
mod disk;
mod fitting;

const ID: MachineId = MachineId::from_uuid(Uuid::from_u128(1));

fn at(ms: u64) -> Now {
    Now {
        mono_ms: ms,
        wall: Timestamp::from_millis(1_000_000 + ms as i64),
    }
}

fn link(kept: Kept) -> Link {
    link_with(kept, Options::default())
}

fn link_with(kept: Kept, mut options: Options) -> Link {
    options.commands.push(CommandKind::Identify);
    let boot_id = BootId::from_uuid(Uuid::from_u128(2));
    Link::new(
        options,
        Identity {
            machine_id: ID,
            boot_id,
            agent_version: "0.1.0".into(),
        },
        kept,
    )
}

fn from_server(session: u64, sequence: u64, message: ServerMessage) -> Input {
    Input::Frame(Envelope {
        machine_id: ID,
        session: Some(SessionNumber(session)),
        sequence: SequenceNumber(sequence),
        record: None,
        timestamp: Timestamp::from_millis(5_000_000),
        traceparent: None,
        message,
    })
}

fn welcome(session: u64, highest_record: u64) -> Input {
    welcome_with(session, highest_record, None)
}

fn welcome_with(session: u64, highest_record: u64, dictionary: Option<u32>) -> Input {
    from_server(
        session,
        1,
        ServerMessage::Welcome(Box::new(Welcome {
            session: SessionNumber(session),
            version: 1,
            minor: 0,
            server_time: Timestamp::from_millis(5_000_000),
            heartbeat_interval_ms: 30_000,
            limits: Limits::default(),
            dictionary,
            highest_record: RecordNumber(highest_record),
            state_version: StateVersion::ZERO,
            desired_version: 0,
        })),
    )
}

fn event(severity: Severity) -> Input {
    Input::Publish(Publication::Event(Box::new(EventReport {
        kind: "test".into(),
        severity,
        message: "m".into(),
        data: None,
        correlation_id: None,
        causation_id: None,
    })))
}

fn written(effects: &[Effect]) -> Vec<Envelope<MachineMessage>> {
    effects
        .iter()
        .filter_map(|effect| {
            if let Effect::Write(frames) = effect {
                Some(frames.clone())
            } else {
                None
            }
        })
        .flatten()
        .collect()
}

fn records(effects: &[Effect]) -> Vec<u64> {
    written(effects)
        .iter()
        .filter_map(|frame| frame.record.map(|record| record.0))
        .collect()
}

/// A link in session, with its first heartbeat out of the way.
fn connected(kept: Kept, highest_record: u64) -> Link {
    in_session(link(kept), highest_record)
}

fn in_session(mut link: Link, highest_record: u64) -> Link {
    link.step(at(0), Input::Start);
    link.step(at(10), Input::Opened);
    link.step(at(11), Input::Written);
    let effects = link.step(at(20), welcome(7, highest_record));
    assert!(matches!(
        written(&effects)[0].message,
        MachineMessage::Heartbeat(_)
    ));
    link.step(at(21), Input::Written);
    link
}

fn command(id: &str, kind: CommandKind, expires_ms: i64) -> ServerMessage {
    ServerMessage::Command(Box::new(Command {
        id: id.into(),
        kind,
        arguments: None,
        issuer: "tester".into(),
        reason: "test".into(),
        authority: Authority::None,
        issued: Timestamp::from_millis(5_000_000),
        expires: Timestamp::from_millis(expires_ms),
    }))
}

#[test]
fn a_dictionary_is_agreed_for_one_session() {
    let options = Options {
        dictionaries: vec![5, 9],
        ..Options::default()
    };
    let mut link = link_with(Kept::default(), options);
    link.step(at(0), Input::Start);
    let effects = link.step(at(10), Input::Opened);
    let MachineMessage::Hello(hello) = &written(&effects)[0].message else {
        panic!("hello was expected: {effects:?}");
    };
    assert_eq!(hello.dictionaries, [5, 9]);
    assert_eq!(link.dictionary(), None, "hello is text");
    link.step(at(20), welcome_with(7, 0, Some(9)));
    assert_eq!(link.dictionary(), Some(9));
    let (reason, entropy) = ("reset".to_owned(), 0);
    link.step(at(30), Input::Closed { reason, entropy });
    assert_eq!(link.dictionary(), None);
    link.step(at(40), Input::Timer);
    link.step(at(50), Input::Opened);
    link.step(at(60), welcome(8, 0));
    assert_eq!((link.state(), link.dictionary()), (LinkState::Connected, None));
}

#[test]
fn a_dictionary_that_was_not_offered_ends_the_connection() {
    let mut link = link(Kept::default());
    link.step(at(0), Input::Start);
    link.step(at(10), Input::Opened);
    let effects = link.step(at(20), welcome_with(7, 0, Some(9)));
    assert!(matches!(&effects[..], [Effect::Disconnect { reason }, ..] if reason.contains("dictionary")));
    assert_eq!(link.dictionary(), None);
}

#[test]
fn nothing_durable_is_sent_before_it_is_on_disk() {
    let mut link = connected(Kept::default(), 0);
    let effects = link.step(at(100), event(Severity::Critical));
    assert!(matches!(&effects[0], Effect::Persist { stored, .. } if stored.record == RecordNumber(1)));
    assert_eq!(records(&effects), [0u64; 0]);
    assert_eq!(
        records(&link.step(at(101), Input::Persisted(RecordNumber(1)))),
        [1]
    );
}

#[test]
fn what_is_not_acknowledged_is_sent_again_in_the_next_session() {
    let mut link = connected(Kept::default(), 0);
    for _ in 0..3 {
        link.step(at(100), event(Severity::Error));
    }
    assert_eq!(
        records(&link.step(at(101), Input::Persisted(RecordNumber(3)))),
        [1, 2, 3]
    );
    let ack = ServerMessage::Ack(Ack {
        record: RecordNumber(1),
        heartbeat: None,
    });
    assert!(
        link.step(at(110), from_server(7, 2, ack))
            .contains(&Effect::Trim(RecordNumber(1)))
    );
    link.step(
        at(120),
        Input::Closed {
            reason: "cut".into(),
            entropy: 3,
        },
    );
    assert_eq!(link.state(), LinkState::Reconnecting);
    assert!(link.step(at(1_000), Input::Timer).contains(&Effect::Connect));
    let hello = written(&link.step(at(1_001), Input::Opened));
    let MachineMessage::Hello(hello) = &hello[0].message else {
        panic!("hello")
    };
    assert_eq!(
        hello.records.as_ref().map(|range| (range.first.0, range.last.0)),
        Some((2, 3))
    );
    assert_eq!(
        records(&link.step(at(1_010), welcome(8, 2))),
        [3],
        "the server held 2 after all"
    );
}

#[test]
fn urgent_things_do_not_wait_for_company_and_others_do() {
    let mut link = connected(Kept::default(), 0);
    link.step(at(100), event(Severity::Info));
    let effects = link.step(at(101), Input::Persisted(RecordNumber(1)));
    assert_eq!(records(&effects), [0u64; 0]);
    assert!(effects.contains(&Effect::WakeAt(300)));
    link.step(at(150), event(Severity::Critical));
    assert_eq!(
        records(&link.step(at(151), Input::Persisted(RecordNumber(2)))),
        [1, 2],
        "in order, together"
    );
}

#[test]
fn nothing_is_written_while_a_write_is_out() {
    let mut link = connected(Kept::default(), 0);
    link.step(at(100), event(Severity::Critical));
    assert_eq!(
        records(&link.step(at(100), Input::Persisted(RecordNumber(1)))),
        [1]
    );
    link.step(at(101), event(Severity::Critical));
    assert_eq!(
        records(&link.step(at(101), Input::Persisted(RecordNumber(2)))),
        [0u64; 0]
    );
    assert_eq!(records(&link.step(at(140), Input::Written)), [2]);
}

#[test]
fn a_command_is_taken_once_and_only_after_it_is_remembered() {
    let mut link = connected(Kept::default(), 0);
    let effects = link.step(
        at(30),
        from_server(7, 2, command("c1", CommandKind::Identify, 6_000_000)),
    );
    assert!(matches!(&effects[0], Effect::Persist { remember: Some(kept), .. } if kept.id == "c1"));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Command(_))));
    let effects = link.step(at(31), Input::Persisted(RecordNumber(1)));
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Command(command) if command.id == "c1"))
    );
    let outcome = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::Persist {
                stored:
                    StoredRecord {
                        message: MachineMessage::Response(Response { outcome, .. }),
                        ..
                    },
                ..
            } => Some(*outcome),
            _ => None,
        })
    };
    let again = link.step(
        at(40),
        from_server(7, 3, command("c1", CommandKind::Identify, 6_000_000)),
    );
    assert_eq!(outcome(&again), Some(Outcome::Duplicate));
    let late = link.step(
        at(41),
        from_server(7, 4, command("c2", CommandKind::Identify, 5_000_000)),
    );
    assert_eq!(outcome(&late), Some(Outcome::Expired));
    let foreign = link.step(
        at(42),
        from_server(7, 5, command("c3", CommandKind::Reboot, 6_000_000)),
    );
    assert_eq!(outcome(&foreign), Some(Outcome::Refused));
    let effects = link.step(at(43), Input::Persisted(RecordNumber(4)));
    assert!(
        !effects.iter().any(|effect| matches!(effect, Effect::Command(_))),
        "none of these is carried out"
    );

    let kept = Kept {
        commands: vec![Remembered {
            id: "c1".into(),
            expires: Timestamp::from_millis(6_000_000),
        }],
        ..Kept::default()
    };
    let mut restarted = connected(kept, 0);
    let after = restarted.step(
        at(30),
        from_server(7, 2, command("c1", CommandKind::Identify, 6_000_000)),
    );
    assert_eq!(
        outcome(&after),
        Some(Outcome::Duplicate),
        "not even after a restart"
    );
}

#[test]
fn stale_sessions_and_repetitions_are_ignored_and_gaps_end_the_connection() {
    let mut link = connected(Kept::default(), 0);
    let order = |link: &mut Link, session, sequence| {
        let effects = link.step(
            at(30),
            from_server(session, sequence, command("x", CommandKind::Identify, 6_000_000)),
        );
        (
            effects
                .iter()
                .any(|effect| matches!(effect, Effect::Persist { .. })),
            effects
                .iter()
                .any(|effect| matches!(effect, Effect::Disconnect { .. })),
        )
    };
    assert_eq!(order(&mut link, 6, 2), (false, false), "an older session");
    assert_eq!(order(&mut link, 7, 1), (false, false), "said before");
    assert_eq!(order(&mut link, 7, 3), (false, true), "number 2 is missing");
}

#[test]
fn state_is_told_whole_first_and_then_as_what_changed() {
    let mut link = connected(Kept::default(), 0);
    let mut state = ReportedState::default();
    let report = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::Persist {
                stored:
                    StoredRecord {
                        message: MachineMessage::State(report),
                        ..
                    },
                ..
            } => Some(report.clone()),
            _ => None,
        })
    };
    assert!(matches!(
        report(&link.step(at(30), Input::Publish(Publication::State(state.clone())))),
        Some(StateReport::Full(_))
    ));
    assert_eq!(
        report(&link.step(at(31), Input::Publish(Publication::State(state.clone())))),
        None,
        "nothing changed"
    );
    state.thermal = Some(std::sync::Arc::new(muster_model::state::Thermal {
        highest_celsius: 50.0,
        zones: vec![],
    }));
    let patch = report(&link.step(at(32), Input::Publish(Publication::State(state))));
    assert!(matches!(
        patch,
        Some(StateReport::Patch {
            base: StateVersion(1),
            ..
        })
    ));
    let resync = Resync {
        reason: "gap".into(),
        next_record: RecordNumber(1),
    };
    let whole = report(&link.step(at(33), from_server(7, 2, ServerMessage::Resync(resync))));
    assert!(matches!(whole, Some(StateReport::Full(state)) if state.thermal.is_some()));
}

#[test]
fn a_silent_server_is_given_up_and_waits_grow_with_full_jitter() {
    let mut link = connected(Kept::default(), 0);
    let effects = link.step(at(27_020), Input::Timer);
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Disconnect { .. }))
    );
    let mut now = 31_000;
    for (attempt, bound) in [(0u32, 500u64), (1, 1_000), (2, 2_000), (7, 8_000)] {
        let mut link = connected(Kept::default(), 0);
        link.step(
            at(now),
            Input::Closed {
                reason: "cut".into(),
                entropy: 0,
            },
        );
        for _ in 0..attempt {
            now += 60_000;
            link.step(at(now), Input::Timer);
            link.step(
                at(now),
                Input::Closed {
                    reason: "refused".into(),
                    entropy: 0,
                },
            );
        }
        now += 60_000;
        if attempt == 0 {
            link = connected(Kept::default(), 0);
        } else {
            link.step(at(now), Input::Timer);
        }
        let effects = link.step(
            at(now),
            Input::Closed {
                reason: "cut".into(),
                entropy: bound,
            },
        );
        assert!(
            effects.contains(&Effect::WakeAt(now + bound)),
            "attempt {attempt}: {effects:?}"
        );
    }
}

#[test]
fn sessions_that_end_as_soon_as_they_began_make_the_machine_wait_longer() {
    let mut link = link(Kept::default());
    link.step(at(0), Input::Start);
    let mut now = 0;
    let mut longest = 0;
    for session in 1..=8 {
        link.step(at(now), Input::Opened);
        link.step(at(now), welcome(session, 0));
        now += 100;
        let effects = link.step(
            at(now),
            Input::Closed {
                reason: "refused".into(),
                entropy: 8_000,
            },
        );
        let wake = effects.iter().find_map(|effect| {
            if let Effect::WakeAt(at) = effect {
                Some(*at)
            } else {
                None
            }
        });
        longest = longest.max(wake.expect("a wait") - now);
        now += 60_000;
        link.step(at(now), Input::Timer);
    }
    assert_eq!(longest, 8_000);
    link.step(at(now), Input::Opened);
    link.step(at(now), welcome(9, 0));
    now += 20_000;
    link.step(at(now), Input::Heard);
    let effects = link.step(
        at(now),
        Input::Closed {
            reason: "cut".into(),
            entropy: 500,
        },
    );
    assert!(
        effects.contains(&Effect::WakeAt(now + 500)),
        "a session that lasted forgives: {effects:?}"
    );
}

#[test]
fn a_machine_that_is_not_welcome_stays_away() {
    let mut link = connected(Kept::default(), 0);
    let bye = |reason, retry_after_ms| {
        let bye = Bye {
            reason,
            message: "m".into(),
            retry_after_ms,
            supported_versions: vec![],
        };
        from_server(7, 2, ServerMessage::Bye(bye))
    };
    link.step(at(30), bye(ByeReason::Revoked, None));
    link.step(
        at(31),
        Input::Closed {
            reason: "closed".into(),
            entropy: 0,
        },
    );
    assert_eq!(link.state(), LinkState::Disconnected);
    let mut link = connected(Kept::default(), 0);
    link.step(at(30), bye(ByeReason::Drain, Some(2_000)));
    let effects = link.step(
        at(31),
        Input::Closed {
            reason: "closed".into(),
            entropy: 5,
        },
    );
    assert!(effects.contains(&Effect::WakeAt(2_036)));
}

#[test]
fn a_full_outbox_drops_the_oldest_and_says_so() {
    let mut link = connected(Kept::default(), 0);
    link.options.outbox_max = 64;
    for record in 1..=65 {
        link.step(at(100), event(Severity::Debug));
        link.step(at(100), Input::Persisted(RecordNumber(record)));
    }
    assert!(link.figures().records_dropped > 0);
    assert!(link.figures().outbox <= 64);
}

#[test]
fn a_wall_clock_that_jumps_changes_neither_timers_nor_server_time() {
    let link = connected(Kept::default(), 0);
    let before = link.server_time(at(1_000));
    let jumped = Now {
        mono_ms: 1_000,
        wall: Timestamp::from_millis(9_999_999_999),
    };
    assert_eq!(link.server_time(jumped), before);
}

#[test]
fn a_machine_that_lost_its_disk_goes_on_behind_what_the_server_holds() {
    let mut link = link(Kept::default());
    link.step(at(0), Input::Start);
    link.step(at(1), event(Severity::Error));
    link.step(at(1), Input::Persisted(RecordNumber(1)));
    link.step(at(10), Input::Opened);
    let effects = link.step(at(20), welcome(9, 500));
    let kept = effects.iter().find_map(|effect| match effect {
        Effect::Persist { stored, .. } => Some(stored.record.0),
        _ => None,
    });
    assert_eq!(kept, Some(501), "numbered anew, not lost");
    link.step(at(21), Input::Written);
    let early = link.step(at(22), Input::Persisted(RecordNumber(501)));
    assert!(
        records(&early).is_empty(),
        "the session is not proved to be on disk"
    );
    let effects = link.step(at(23), Input::Persisted(RecordNumber(502)));
    assert_eq!(records(&effects), [501, 502]);
}

#[test]
fn a_machine_paces_itself_below_the_limits() {
    let mut link = connected(Kept::default(), 0);
    let (mut ms, mut sent) = (100, 0);
    for record in 1..=3_000 {
        link.step(at(ms), event(Severity::Error));
        link.step(at(ms), Input::Persisted(RecordNumber(record)));
    }
    while ms < 8_100 {
        ms += 5;
        for input in [Input::Timer, Input::Written, Input::Loaded(Vec::new())] {
            let written = records(&link.step(at(ms), input));
            sent += written.len() as u64;
            // The server holds each at once, and the disk gives the next.
            if let Some(last) = written.last() {
                link.outbox.settle(RecordNumber(*last));
            }
            if let Some((from, limit)) = link.outbox.wants() {
                let record = |n: u64| StoredRecord {
                    record: RecordNumber(n),
                    at: Timestamp::EPOCH,
                    message: MachineMessage::Response(Response {
                        command_id: "c".into(),
                        outcome: Outcome::Accepted,
                        reason: None,
                    }),
                };
                let last = (from.0 + limit as u64 - 1).min(3_000);
                link.step(at(ms), Input::Loaded((from.0..=last).map(record).collect()));
            }
        }
        let allowed = 900 + (ms - 20) * 180 / 1_000 + 1;
        assert!(sent <= allowed, "{sent} sent after {ms} ms, {allowed} allowed");
    }
    assert!(sent > 2_000, "{sent} sent: it does go on");
}

proptest! {
    /// Whatever is on disk beyond the window is loaded and sent, each record once per session and in order.
    #[test]
    fn every_record_goes_out_once_and_in_order(count in 1u64..900, on_disk in 0u64..600, cut_at in 0usize..40) {
        // A disk that had a session before: a new one adds a record to prove its first.
        let kept = Kept { highest_record: RecordNumber(on_disk), last_session: SessionNumber(1), ..Kept::default() };
        let mut link = link(kept);
        let mut disk: Vec<StoredRecord> = (1..=on_disk).map(|n| StoredRecord {
            record: RecordNumber(n), at: Timestamp::EPOCH,
            message: MachineMessage::Response(Response { command_id: "c".into(), outcome: Outcome::Accepted, reason: None }),
        }).collect();
        let mut inputs = std::collections::VecDeque::from([Input::Start]);
        for _ in 0..count { inputs.push_back(event(Severity::Error)); }
        let (mut sent, mut session, mut steps, mut ms) = (Vec::new(), 1u64, 0usize, 0u64);
        while let Some(input) = inputs.pop_front() {
            ms += 1;
            for effect in link.step(at(ms), input) {
                match effect {
                    Effect::Connect => inputs.push_front(Input::Opened),
                    Effect::Persist { stored, .. } => {
                        inputs.push_back(Input::Persisted(stored.record));
                        disk.push(stored);
                    }
                    Effect::Load { from, limit } => {
                        let found = disk.iter().filter(|stored| stored.record >= from).take(limit).cloned().collect();
                        inputs.push_back(Input::Loaded(found));
                    }
                    Effect::Write(frames) => {
                        steps += 1;
                        inputs.push_back(Input::Written);
                        if frames.iter().any(|frame| matches!(frame.message, MachineMessage::Hello(_))) {
                            session += 1;
                            sent.clear();
                            inputs.push_front(welcome(session, 0));
                        }
                        sent.extend(frames.iter().filter_map(|frame| frame.record));
                        if steps == cut_at && session == 1 {
                            inputs.push_back(Input::Closed { reason: "cut".into(), entropy: 0 });
                        }
                    }
                    Effect::WakeAt(wake) if inputs.is_empty() && ms < 100_000 && sent.len() < (count + on_disk) as usize => {
                        ms = ms.max(wake);
                        inputs.push_back(Input::Timer);
                    }
                    _ => {}
                }
            }
        }
        let window = sent.len() as u64;
        let expect: Vec<RecordNumber> = (1..=window).map(RecordNumber).collect();
        prop_assert_eq!(&sent, &expect, "in order and once");
        // Without acknowledgements only the window goes out.
        prop_assert_eq!(window, (count + on_disk).min(256));
    }
}

#[test]
fn records_that_the_server_lacks_and_nobody_holds_are_declared_in_a_new_hello() {
    let mut link = connected(
        Kept {
            highest_record: RecordNumber(10),
            settled: RecordNumber(5),
            last_session: SessionNumber(3),
            ..Kept::default()
        },
        5,
    );
    let resync = Resync {
        reason: "a record is missing".into(),
        next_record: RecordNumber(3),
    };
    let effects = link.step(at(100), from_server(7, 2, ServerMessage::Resync(resync)));
    assert!(
        matches!(effects[0], Effect::Disconnect { .. }),
        "records 3 to 5 will never come, and only hello can say so: {effects:?}"
    );
}

#[test]
fn a_lost_disk_takes_no_record_number_that_the_server_knows() {
    let mut link = link(Kept::default());
    link.step(at(0), Input::Start);
    for _ in 0..3 {
        link.step(at(1), event(Severity::Info));
    }
    link.step(at(2), Input::Persisted(RecordNumber(3)));
    link.step(at(10), Input::Opened);
    let effects = link.step(at(20), welcome(7, 2));
    let steps: Vec<String> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Persist { stored, .. } => Some(format!("persist {}", stored.record)),
            Effect::Trim(record) => Some(format!("trim {record}")),
            Effect::KeepSession(session) => Some(format!("session {session}")),
            _ => None,
        })
        .collect();
    // In this order, so that a crash in between loses nothing and begins again.
    assert_eq!(
        steps,
        [
            "persist 5",
            "persist 6",
            "persist 7",
            "trim 4",
            "session 7",
            // What proves the session, since there is no state yet.
            "persist 8"
        ]
    );
}

#[test]
fn a_disks_first_session_is_kept_before_anything_is_said_in_it() {
    let mut link = link(Kept::default());
    link.step(at(0), Input::Start);
    link.step(
        at(1),
        Input::Publish(Publication::State(ReportedState::default())),
    );
    link.step(at(1), event(Severity::Critical));
    link.step(at(2), Input::Persisted(RecordNumber(2)));
    link.step(at(10), Input::Opened);
    let effects = link.step(at(20), welcome(7, 0));
    assert_eq!(records(&effects), [0u64; 0]);
    link.step(at(21), Input::Written);
    let behind = RecordNumber(3);
    assert!(
        matches!(&effects[1], Effect::Persist { stored, .. } if stored.record == behind),
        "the state again, behind the session: {effects:?}"
    );
    assert_eq!(
        records(&link.step(at(30), Input::Persisted(behind))),
        [1, 2, 3],
        "now the session is on disk, too"
    );
}

#[test]
fn what_is_settled_was_made_once() {
    let mut link = link(Kept {
        settled: RecordNumber(9),
        last_session: SessionNumber(3),
        ..Kept::default()
    });
    link.step(at(0), Input::Start);
    let effects = link.step(at(1), event(Severity::Info));
    assert!(matches!(&effects[0], Effect::Persist { stored, .. } if stored.record == RecordNumber(10)));
}

#[test]
fn records_that_are_dropped_before_they_were_sent_end_the_session() {
    let options = Options {
        outbox_max: 16,
        ..Options::default()
    };
    let boot_id = BootId::from_uuid(Uuid::from_u128(2));
    let identity = Identity {
        machine_id: ID,
        boot_id,
        agent_version: "0.1.0".into(),
    };
    let mut link = Link::new(options, identity, Kept::default());
    link.step(at(0), Input::Start);
    link.step(at(10), Input::Opened);
    link.step(at(20), welcome(7, 0));
    // The first write is not out yet, so nothing more is sent.
    for record in 1..=16 {
        link.step(at(30), event(Severity::Info));
        link.step(at(30), Input::Persisted(RecordNumber(record)));
    }
    let effects = link.step(at(31), event(Severity::Info));
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Disconnect { .. })),
        "the server would wait for them: {effects:?}"
    );
    assert_eq!(link.figures().records_dropped, 2);
}
