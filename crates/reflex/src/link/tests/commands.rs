//! A stop is not like other commands.

use super::*;

fn carried_out(effects: &[Effect]) -> Vec<String> {
    let ids = effects.iter().filter_map(|effect| match effect {
        Effect::Command(command) => Some(command.id.clone()),
        _ => None,
    });
    ids.collect()
}

#[test]
fn a_stop_waits_for_no_disk_and_is_done_once() {
    let options = Options {
        commands: vec![CommandKind::Stop],
        ..Options::default()
    };
    let mut link = in_session(link_with(Kept::default(), options), 0);
    let stop = |id: &str, expires_ms| command(id, CommandKind::Stop, expires_ms);
    let effects = link.step(at(30), from_server(7, 2, stop("s1", 6_000_000)));
    assert_eq!(carried_out(&effects), ["s1"], "before it is remembered");
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Persist { remember: Some(kept), .. } if kept.id == "s1")),
        "it is remembered all the same"
    );
    let effects = link.step(at(31), Input::Persisted(RecordNumber(1)));
    assert!(carried_out(&effects).is_empty(), "not once more");
    let again = link.step(at(32), from_server(7, 3, stop("s1", 6_000_000)));
    assert!(carried_out(&again).is_empty());
    let late = link.step(at(33), from_server(7, 4, stop("s2", 5_000_000)));
    assert!(carried_out(&late).is_empty(), "too late is too late");
}

#[test]
fn a_stop_is_done_also_where_no_more_commands_can_be_remembered() {
    let options = Options {
        commands: vec![CommandKind::Stop],
        ledger_max: 1,
        ..Options::default()
    };
    let mut link = in_session(link_with(Kept::default(), options), 0);
    link.step(
        at(30),
        from_server(7, 2, command("c1", CommandKind::Identify, 6_000_000)),
    );
    let full = link.step(
        at(31),
        from_server(7, 3, command("c2", CommandKind::Identify, 6_000_000)),
    );
    assert!(carried_out(&full).is_empty());
    let stop = link.step(
        at(32),
        from_server(7, 4, command("s1", CommandKind::Stop, 6_000_000)),
    );
    assert_eq!(carried_out(&stop), ["s1"]);
}

#[test]
fn who_cannot_stop_refuses_a_stop() {
    let mut link = connected(Kept::default(), 0);
    let effects = link.step(
        at(30),
        from_server(7, 2, command("s1", CommandKind::Stop, 6_000_000)),
    );
    assert!(carried_out(&effects).is_empty());
}
