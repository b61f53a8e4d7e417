//! Why a configuration is not accepted.

use std::path::{Path, PathBuf};

use super::Origin;

/// Why a configuration is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {} cannot be read", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file is no YAML.
    #[error("{}:{line}: this is no YAML: {message}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Which line, the first is 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// There is no such key.
    #[error("{origin}: there is no key {key:?}{}; accepted are {accepted}", match suggestion { Some(suggestion) => format!(" (did you mean {suggestion:?}?)"), None => String::new() })]
    UnknownKey {
        /// Where it stands.
        origin: Origin,
        /// What was written.
        key: String,
        /// What may have been meant.
        suggestion: Option<&'static str>,
        /// What is accepted there.
        accepted: String,
    },
    /// A value that is not accepted.
    #[error("{origin}: {key}: {given:?} is not accepted: {accepted}")]
    Value {
        /// Where it stands.
        origin: Origin,
        /// The key.
        key: &'static str,
        /// What was written.
        given: String,
        /// What is accepted.
        accepted: String,
    },
    /// Something in a section with a structure.
    #[error("{origin}: {path}: {what}")]
    Item {
        /// Where it stands.
        origin: Origin,
        /// The names that lead to it.
        path: String,
        /// What is wrong, and what is accepted.
        what: String,
    },
    /// Several things at once, in the order of the file's lines.
    #[error("there are {} mistakes:{}", first.len() + more, listed(first, *more))]
    Many {
        /// Each of the first of them.
        first: Vec<Self>,
        /// How many more there are.
        more: usize,
    },
}

/// Most mistakes that are said at once.
const SAID_MAX: usize = 100;

fn listed(first: &[ConfigError], more: usize) -> String {
    let mut lines: String = first.iter().map(|error| format!("\n  {error}")).collect();
    if more > 0 {
        lines.push_str(&format!("\n  and {more} more"));
    }
    lines
}

impl ConfigError {
    /// One error for all of these; none for none.
    pub(super) fn of_all(mut errors: Vec<Self>) -> Option<Self> {
        errors.sort_by_key(|error| error.place().map_or(usize::MAX, |(_, line)| line));
        if errors.len() > 1 {
            let more = errors.len().saturating_sub(SAID_MAX);
            errors.truncate(SAID_MAX);
            return Some(Self::Many { first: errors, more });
        }
        errors.pop()
    }

    /// Each thing that is wrong, in the order of the file's lines; what is set elsewhere comes last. Of very many the first.
    pub fn each(&self) -> &[Self] {
        match self {
            Self::Many { first, .. } => first,
            Self::Read { .. }
            | Self::Syntax { .. }
            | Self::UnknownKey { .. }
            | Self::Value { .. }
            | Self::Item { .. } => std::slice::from_ref(self),
        }
    }

    /// How many things are wrong.
    pub fn count(&self) -> usize {
        match self {
            Self::Many { first, more } => first.len() + more,
            Self::Read { .. }
            | Self::Syntax { .. }
            | Self::UnknownKey { .. }
            | Self::Value { .. }
            | Self::Item { .. } => 1,
        }
    }

    /// The file and the line where this stands; none if it stands in no file, or in several places.
    pub fn place(&self) -> Option<(&Path, usize)> {
        match self {
            Self::Syntax { path, line, .. } => Some((path, *line)),
            Self::UnknownKey { origin, .. } | Self::Value { origin, .. } | Self::Item { origin, .. } => {
                match origin {
                    Origin::File { path, line } => Some((path, *line)),
                    Origin::Default | Origin::Environment(_) | Origin::Flag(_) => None,
                }
            }
            Self::Read { .. } | Self::Many { .. } => None,
        }
    }
}
