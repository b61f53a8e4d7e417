//! What people write behind `--for`, `--require`, `--pre`, `--health`.

use muster_release::manifest::{
    Architecture, Fits, HealthCheck, HealthCommand, Hook, Precondition, TIME_MAX_S, Test,
};

/// One `--for`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Kind(String),
    Architecture(Architecture),
}

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command(Vec<String>);

impl Command {
    pub(super) fn hook(self, within_s: u64) -> Hook {
        Hook {
            command: self.0,
            within_s,
        }
    }
}

/// One `--health`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HealthOption(pub(super) HealthCheck);

pub(super) fn parse_for(text: &str) -> Result<Asked, String> {
    match text.split_once('=') {
        Some(("kind", kind)) if !kind.is_empty() => Ok(Asked::Kind(kind.to_owned())),
        Some(("arch", word)) => Architecture::ALL
            .into_iter()
            .find(|one| one.as_str() == word)
            .map(Asked::Architecture)
            .ok_or_else(|| format!("{word:?} is no architecture: {} are accepted", architectures())),
        _ => Err("kind=WORD or arch=WORD is accepted".to_owned()),
    }
}

fn architectures() -> String {
    Architecture::ALL.map(Architecture::as_str).join(", ")
}

/// All of them, in order, each once.
pub(super) fn fits(asked: Vec<Asked>) -> Fits {
    let mut fits = Fits::default();
    for one in asked {
        match one {
            Asked::Kind(kind) => fits.kinds.push(kind),
            Asked::Architecture(architecture) => fits.architectures.push(architecture),
        }
    }
    fits.kinds.sort();
    fits.kinds.dedup();
    fits.architectures.sort();
    fits.architectures.dedup();
    fits
}

pub(super) fn parse_require(text: &str) -> Result<Precondition, String> {
    const ACCEPTED: &str =
        "READING>=NUMBER, READING<=NUMBER or 'READING in WORD,WORD' is accepted, with whole numbers";
    let number = |text: &str| text.trim().parse::<i32>().map_err(|_| ACCEPTED.to_owned());
    let (reading, test) = if let Some((reading, least)) = text.split_once(">=") {
        (reading, Test::AtLeast(number(least)?))
    } else if let Some((reading, most)) = text.split_once("<=") {
        (reading, Test::AtMost(number(most)?))
    } else if let Some((reading, words)) = text.split_once(" in ") {
        (
            reading,
            Test::In(words.split(',').map(|word| word.trim().to_owned()).collect()),
        )
    } else {
        return Err(ACCEPTED.to_owned());
    };
    Ok(Precondition {
        reading: reading.trim().to_owned(),
        test,
    })
}

pub(super) fn parse_command(text: &str) -> Result<Command, String> {
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    if words.is_empty() {
        return Err("a program and its arguments are accepted".to_owned());
    }
    Ok(Command(words))
}

pub(super) fn parse_health(text: &str) -> Result<HealthOption, String> {
    let check = match text.split_once('=') {
        None if text == "process" => HealthCheck::Process,
        Some(("port", port)) => match port.parse() {
            Ok(port) if port != 0 => HealthCheck::Port(port),
            _ => return Err("a port is a number from 1 to 65535".to_owned()),
        },
        Some(("command", command)) => {
            let Command(command) = parse_command(command)?;
            HealthCheck::Command(HealthCommand { command })
        }
        _ => return Err("process, port=NUMBER or command='PROGRAM ARGUMENTS' is accepted".to_owned()),
    };
    Ok(HealthOption(check))
}

pub(super) fn parse_seconds(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(seconds) if (1..=TIME_MAX_S).contains(&seconds) => Ok(seconds),
        _ => Err(format!("1 to {TIME_MAX_S} seconds are accepted")),
    }
}
