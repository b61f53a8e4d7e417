//! What people set: flags, then `MUSTER__SECTION__KEY`, then a YAML file, then defaults.
//!
//! A program lists its keys once ([`Key`]), with what is accepted for each. A key that does not exist or a value that is
//! not accepted is refused before anything starts, with its place. Begin with [`Config::load`]. What the keys mean is not
//! known here.

mod file;
mod keys;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

/// The beginning of every environment variable that sets a key.
pub const ENV_PREFIX: &str = "MUSTER__";

/// One key.
pub struct Key<S> {
    /// Its name, with its section before a dot.
    pub path: &'static str,
    /// What is accepted, for a person.
    pub accepted: &'static str,
    /// Sets it. The error says more than [`accepted`](Self::accepted), where there is more to say.
    pub set: fn(&mut S, &str) -> Result<(), Option<String>>,
    /// Its value; none where it is not set.
    pub get: fn(&S) -> Option<String>,
}

impl<S> fmt::Debug for Key<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path)
    }
}

/// Everything that can be set in one program.
pub trait Settings: Default + fmt::Debug + Clone + 'static {
    /// Every key, in the order they are shown.
    const KEYS: &'static [Key<Self>];

    /// Values that only make sense together and do not: the key to be changed, and what is accepted for it.
    fn disagreement(&self) -> Option<(&'static str, &'static str)>;
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of a file.
    File {
        /// Which file.
        path: PathBuf,
        /// Which line, the first is 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag on the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

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
}

/// A value for a key.
#[derive(Debug)]
struct Given<S: 'static> {
    key: &'static Key<S>,
    value: String,
    origin: Origin,
}

/// A configuration that is accepted, and where each value comes from.
#[derive(Debug)]
pub struct Config<S: 'static> {
    /// The values.
    pub settings: S,
    given: Vec<Given<S>>,
    /// Variables with our prefix that set nothing here: another program's, or misspelt.
    pub strange_variables: Vec<String>,
}

impl<S: Settings> Config<S> {
    /// Reads everything and checks it. Flags are pairs of a key and its value.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Self, ConfigError> {
        let mut config = Self {
            settings: S::default(),
            given: Vec::new(),
            strange_variables: Vec::new(),
        };
        if let Some(path) = file {
            for given in file::read::<S>(path)? {
                config.set(given)?;
            }
        }
        for (name, value) in environment {
            let Some(rest) = name.strip_prefix(ENV_PREFIX) else {
                continue;
            };
            let path = rest.to_ascii_lowercase().replace("__", ".");
            let origin = Origin::Environment(name.clone());
            match keys::find::<S>(&path) {
                Some(key) => config.set(Given { key, value, origin })?,
                None => config.strange_variables.push(name),
            }
        }
        for (path, value) in flags {
            let origin = Origin::Flag(path.rsplit('.').next().unwrap_or(path).replace('_', "-"));
            let origin = match path {
                "log.level" | "log.format" => Origin::Flag(path.replace('.', "-")),
                _ => origin,
            };
            let key = keys::find::<S>(path).expect("every flag has a key");
            config.set(Given { key, value, origin })?;
        }
        if let Some((key, accepted)) = S::disagreement(&config.settings) {
            let (given, origin) = config.value_of(key);
            return Err(ConfigError::Value {
                origin,
                key,
                given,
                accepted: accepted.to_owned(),
            });
        }
        Ok(config)
    }

    fn set(&mut self, given: Given<S>) -> Result<(), ConfigError> {
        (given.key.set)(&mut self.settings, &given.value).map_err(|better| ConfigError::Value {
            origin: given.origin.clone(),
            key: given.key.path,
            given: given.value.chars().take(128).collect(),
            accepted: better.unwrap_or_else(|| given.key.accepted.to_owned()),
        })?;
        self.given.retain(|earlier| earlier.key.path != given.key.path);
        self.given.push(given);
        Ok(())
    }

    fn value_of(&self, path: &str) -> (String, Origin) {
        let value = keys::find::<S>(path).and_then(|key| (key.get)(&self.settings));
        let given = self.given.iter().find(|given| given.key.path == path);
        let origin = given.map_or(Origin::Default, |given| given.origin.clone());
        (value.unwrap_or_default(), origin)
    }

    /// What is in force, as a YAML file, with where each value comes from.
    pub fn show(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        for key in S::KEYS {
            let (value, origin) = self.value_of(key.path);
            let (head, name) = key.path.split_once('.').unwrap_or(("", key.path));
            if head != section {
                section = head;
                if !head.is_empty() {
                    text.push_str(&format!("{head}:\n"));
                }
            }
            let indent = if head.is_empty() { "" } else { "  " };
            let value = if value.is_empty() {
                "null".to_owned()
            } else {
                file::written(value)
            };
            text.push_str(&format!("{indent}{name}: {value}  # {origin}\n"));
        }
        text
    }
}

/// Reads a whole number within bounds, for [`Key::set`].
pub fn whole(text: &str, least: u64, most: u64) -> Result<u64, Option<String>> {
    let value = text.parse().map_err(|_| None)?;
    if (least..=most).contains(&value) {
        Ok(value)
    } else {
        Err(None)
    }
}

/// Reads a text that is not empty and not too long, for [`Key::set`].
pub fn some_text(text: &str, most_chars: usize) -> Result<String, Option<String>> {
    let fits = !text.trim().is_empty() && text.chars().count() <= most_chars;
    if fits { Ok(text.to_owned()) } else { Err(None) }
}
