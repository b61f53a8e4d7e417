//! The command line itself.

use clap::CommandFactory;

use super::*;
use crate::operator::{OperatorCommand, write_completions};

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn an_option_of_another_command_may_have_the_same_name() {
    let arguments = Arguments::try_parse_from(["muster", "sim", "--server", "ws://x"]).expect("accepted");
    assert!(matches!(arguments.command, Command::Sim { server } if server == "ws://x"));
}

#[test]
fn global_options_stand_before_or_behind() {
    for line in [
        ["muster", "--server", "http://a:1", "status"],
        ["muster", "status", "--server", "http://a:1"],
    ] {
        let arguments = Arguments::try_parse_from(line).expect("accepted");
        assert_eq!(arguments.global.server, "http://a:1");
        assert!(matches!(
            arguments.command,
            Command::Operator(OperatorCommand::Status(_))
        ));
    }
}

#[test]
fn what_cannot_be_is_refused_with_what_is_accepted() {
    let check = |line: &[&str], expected: &str| {
        let words = ["muster"].iter().chain(line);
        let error = Arguments::try_parse_from(words).expect_err("refused");
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(&["machines", "--watch", "--at", "14:03"], "cannot be used with");
    check(&["machines", "--limit", "0"], "0");
    check(&["stop", "--reason", "x"], "<MACHINE|--filter <FILTER>|--all>");
    check(&["stop", "frida"], "--reason");
    check(
        &["stop", "frida", "--all", "--reason", "x"],
        "cannot be used with",
    );
    check(
        &["stop", "--all", "--filter", "kind=car", "--reason", "x"],
        "cannot be used with",
    );
    check(&["stop", "frida", "--reason", " "], "1 to 500");
    check(&["stop", "frida", "--reason", "x", "--wait", "3601"], "3600");
    check(&["stop", "frida", "--reason", "x", "--expires", "0"], "1..=86400");
    check(&["machines", "--columns", "colour"], "possible values");
    check(
        &["events", "--severity", "bad"],
        "debug, info, warning, error, critical",
    );
    check(&["events", "--order", "up"], "asc and desc");
    check(&["events", "--order", "asc", "--follow"], "cannot be used with");
    check(&["status", "--timeout", "soon"], "15s");
    check(&["status", "--output", "xml"], "table, json, yaml");
    check(&["machine", "label", "frida", "line"], "key=value");
    check(&["machine", "label", "frida", "a b=c"], "letters, digits");
    check(&["machine", "rename", "frida"], "<NAME>");
    check(
        &["machine", "rename", "frida", "x", "--clear"],
        "cannot be used with",
    );
    check(&["machine", "rename", "frida", " "], "1 to 100");
}

#[test]
fn help_shows_examples_and_exit_codes() {
    let help = |path: &[&str]| {
        let mut command = Arguments::command();
        command.build();
        let mut at = &mut command;
        for word in path {
            at = at.find_subcommand_mut(word).expect("a command");
        }
        at.render_long_help().to_string()
    };
    assert!(help(&[]).contains("69  the server cannot be reached"));
    for path in [
        &["status"][..],
        &["machines"],
        &["events"],
        &["completions"],
        &["machine", "show"],
        &["machine", "events"],
        &["machine", "logs"],
        &["machine", "telemetry"],
        &["machine", "label"],
        &["machine", "rename"],
        &["workloads", "list"],
        &["workloads", "show"],
        &["workloads", "set"],
        &["workloads", "remove"],
        &["workloads", "logs"],
    ] {
        assert!(help(path).contains("Examples:"), "{path:?}");
    }
}

#[test]
fn completions_are_written_for_the_whole_command_line() {
    for shell in ["bash", "zsh", "fish"] {
        let arguments = Arguments::try_parse_from(["muster", "completions", shell]).expect("accepted");
        let Command::Completions(options) = arguments.command else {
            panic!("not completions");
        };
        let mut script = Vec::new();
        write_completions(&options, &mut Arguments::command(), &mut script).expect("written");
        let script = String::from_utf8(script).expect("UTF-8");
        assert!(script.contains("telemetry") && script.contains("sim"), "{shell}");
    }
}

#[test]
fn the_help_of_stop_says_what_it_is_and_what_it_is_not() {
    let mut command = Arguments::command().term_width(100);
    command.build();
    let stop = command.find_subcommand_mut("stop").expect("a command");
    let help = stop.render_help().to_string();
    // What all commands share depends on the environment.
    let (own, rest) = help.split_once("Global options:").expect("global options");
    let (_, behind) = rest.split_once("A MACHINE is").expect("what a machine is");
    golden!("help_of_stop", format!("{own}A MACHINE is{behind}"));
}
