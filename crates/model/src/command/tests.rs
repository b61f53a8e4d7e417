//! The list of recent commands keeps its bound, and what is awaited.

use super::*;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn command(id: &str, kind: &str, issued: i64, expires: i64) -> GivenCommand {
    GivenCommand {
        command_id: id.to_owned(),
        kind: kind.to_owned(),
        arguments: None,
        issuer: "local".to_owned(),
        reason: "test".to_owned(),
        issued: at(issued),
        expires: at(expires),
        answer: None,
    }
}

fn answer(outcome: &str, ms: i64) -> CommandAnswer {
    CommandAnswer {
        outcome: outcome.to_owned(),
        reason: None,
        at: at(ms),
    }
}

fn ids(commands: &RecentCommands) -> Vec<&str> {
    commands
        .iter()
        .map(|command| command.command_id.as_str())
        .collect()
}

#[test]
fn the_first_answer_counts_and_is_never_before_the_command() {
    let mut commands = RecentCommands::default();
    commands.given(at(10), command("a", "identify", 10, 100));
    commands.answered("b", &answer("accepted", 20));
    assert_eq!(commands.open(at(20)), 1);
    commands.answered("a", &answer("accepted", 5));
    commands.answered("a", &answer("duplicate", 30));
    let kept = commands.iter().next().and_then(|command| command.answer.clone());
    assert_eq!(kept, Some(answer("accepted", 10)));
    assert_eq!(commands.open(at(20)), 0);
}

#[test]
fn the_oldest_goes_that_nobody_waits_for() {
    let mut commands = RecentCommands::default();
    commands.given(at(0), command("open", "identify", 0, 1_000));
    for number in 1..RECENT_COMMANDS_MAX {
        commands.given(at(0), command(&format!("over {number}"), "identify", 0, 1));
    }
    assert_eq!(commands.iter().len(), RECENT_COMMANDS_MAX);
    commands.given(at(5), command("next", "identify", 5, 1_000));
    assert_eq!(commands.iter().len(), RECENT_COMMANDS_MAX);
    assert_eq!(ids(&commands)[..2], ["open", "over 2"]);
    assert_eq!(ids(&commands).last(), Some(&"next"));
}

#[test]
fn where_all_are_awaited_the_oldest_goes() {
    let mut commands = RecentCommands::default();
    for number in 0..=RECENT_COMMANDS_MAX {
        commands.given(at(0), command(&number.to_string(), "stop", 0, 1_000));
    }
    assert_eq!(commands.iter().len(), RECENT_COMMANDS_MAX);
    assert_eq!(ids(&commands)[0], "1");
    assert_eq!(commands.open(at(1)), 0, "stops do not count");
}

#[test]
fn a_list_survives_a_snapshot() {
    let mut commands = RecentCommands::default();
    let text = serde_json::to_string(&commands).expect("json");
    assert_eq!(
        serde_json::from_str::<RecentCommands>(&text).expect("json"),
        commands
    );
    commands.given(at(0), command("a", "identify", 0, 1));
    let text = serde_json::to_string(&commands).expect("json");
    assert_eq!(
        serde_json::from_str::<RecentCommands>(&text).expect("json"),
        commands
    );
}
