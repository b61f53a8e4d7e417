//! Structured logs on standard error.

use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A filter that is none, or logging that was set up before.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter cannot be read.
    #[error("{text:?} is no log filter: write it like info or muster_fleet=debug,info")]
    Filter {
        /// What was written.
        text: String,
    },
    /// Somebody set logging up before.
    #[error("logging was set up twice")]
    Twice,
}

/// Sets up logging for the whole process. Called once, from `main`.
pub fn init(filter: &str, format: Format) -> Result<(), LoggingError> {
    let filter = parse(filter).ok_or_else(|| LoggingError::Filter {
        text: filter.to_owned(),
    })?;
    let writer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    let writer = match format {
        Format::Text => writer.compact().boxed(),
        Format::Json => writer.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(writer)
        .try_init()
        .map_err(|_| LoggingError::Twice)
}

/// Reads which lines are written: a level, or levels by target, such as `muster_fleet=debug,info`; nothing if it is neither. The richer
/// filters of the same library look into spans, which nobody here has, and bring an engine for regular expressions.
pub fn parse(filter: &str) -> Option<Targets> {
    let mut targets = Targets::new();
    for part in filter.split(',').map(str::trim) {
        targets = match part.split_once('=') {
            None => targets.with_default(level(part)?),
            Some((target, word)) if is_target(target) => targets.with_target(target, level(word)?),
            Some(_) => return None,
        };
    }
    Some(targets)
}

fn level(word: &str) -> Option<LevelFilter> {
    const WORDS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let word = word.to_ascii_lowercase();
    WORDS
        .contains(&word.as_str())
        .then(|| word.parse().ok())
        .flatten()
}

fn is_target(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_level_or_levels_by_target() {
        for good in [
            "info",
            "WARN",
            "off",
            "muster_fleet=debug,info",
            "a::b=trace, error",
            "workload.web=off",
        ] {
            assert!(parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "loud",
            "=",
            "=,=",
            "=info",
            "a=",
            "a=loud",
            "info,",
            "a[b]=info",
            "3",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
        let targets = parse("muster_fleet=debug,info").unwrap();
        assert!(targets.would_enable("muster_fleet::live", &tracing::Level::DEBUG));
        assert!(!targets.would_enable("muster_store", &tracing::Level::DEBUG));
    }
}
