//! What a disk says late, or never.

use super::*;

fn stored(record: u64) -> StoredRecord {
    let message = MachineMessage::Response(Response {
        command_id: "c".into(),
        outcome: Outcome::Accepted,
        reason: None,
    });
    StoredRecord {
        record: RecordNumber(record),
        at: Timestamp::EPOCH,
        message,
    }
}

fn loads(effects: &[Effect]) -> Vec<u64> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Load { from, .. } => Some(from.0),
            _ => None,
        })
        .collect()
}

/// Two records came to the disk while it was asked for an older one, which it has lost.
#[test]
fn what_came_to_the_disk_while_it_was_asked_is_not_given_up() {
    let mut link = link(Kept {
        highest_record: RecordNumber(1),
        last_session: SessionNumber(6),
        ..Kept::default()
    });
    assert_eq!(loads(&link.step(at(0), Input::Start)), [1]);
    link.step(at(10), Input::Opened);
    link.step(at(11), Input::Written);
    link.step(at(20), welcome(7, 0));
    link.step(at(21), Input::Written);
    for ms in [30, 31] {
        link.step(at(ms), event(Severity::Error));
    }
    link.step(at(32), Input::Persisted(RecordNumber(3)));
    let effects = link.step(at(33), Input::Loaded(Vec::new()));
    assert_eq!(
        link.figures().outbox,
        2,
        "only what was on the disk then is given up"
    );
    let again = loads(&effects);
    let again = if again.is_empty() {
        loads(&link.step(at(34), Input::Persisted(RecordNumber(3))))
    } else {
        again
    };
    assert_eq!(again, [2], "what came since is asked for");
    let effects = link.step(at(40), Input::Loaded(vec![stored(2), stored(3)]));
    assert_eq!(records(&effects), [2, 3]);
}

/// A crash between the first thing said and the session's way to the disk would make the disk look like a new one.
#[test]
fn in_a_disks_first_session_nothing_is_sent_before_it_is_on_disk_even_without_a_state() {
    let mut link = link(Kept {
        highest_record: RecordNumber(2),
        ..Kept::default()
    });
    link.step(at(0), Input::Start);
    link.step(at(1), Input::Loaded(vec![stored(1), stored(2)]));
    link.step(at(10), Input::Opened);
    link.step(at(11), Input::Written);
    let effects = link.step(at(20), welcome(1, 0));
    let kept: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::KeepSession(_) => Some("session".to_owned()),
            Effect::Persist { stored, .. } => Some(format!("record {}", stored.record)),
            _ => None,
        })
        .collect();
    assert_eq!(kept, ["session", "record 3"], "the record is behind the session");
    link.step(at(21), Input::Written);
    assert!(records(&link.step(at(2_000), Input::Timer)).is_empty());
    let effects = link.step(at(2_001), Input::Persisted(RecordNumber(3)));
    assert_eq!(records(&effects), [1, 2, 3]);
}
