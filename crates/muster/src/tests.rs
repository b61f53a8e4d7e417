//! The command line as a whole.

use clap::{CommandFactory, Parser};

use crate::{Arguments, Command};

#[test]
fn no_two_commands_quarrel_about_a_flag() {
    Arguments::command().debug_assert();
}

#[test]
fn the_flag_of_a_simulated_fleet_is_its_own() {
    let line = [
        "muster",
        "sim",
        "connect",
        "--server",
        "ws://127.0.0.1:7800",
        "--machines",
        "3",
    ];
    let parsed = Arguments::try_parse_from(line).expect("accepted");
    assert!(matches!(parsed.command, Command::Sim(_)));
}

#[test]
fn every_subcommand_says_what_it_is_for() {
    fn check(command: &clap::Command) {
        assert!(
            command.is_hide_set() || command.get_about().is_some(),
            "{} says nothing",
            command.get_name()
        );
        command.get_subcommands().for_each(check);
    }
    check(&Arguments::command());
}
