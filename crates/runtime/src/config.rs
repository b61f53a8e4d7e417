//! What people set: flags, then `MUSTER__SECTION__KEY`, then a YAML file, then defaults.
//!
//! A program lists its keys once ([`Key`]), with what is accepted for each, and its sections with a structure
//! ([`Document`]), which come from the file alone. A key that does not exist or a value that is not accepted is refused
//! before anything starts, with its place; every mistake is said, not only the first. Begin with [`Config::load`]. What
//! the keys mean is not known here.

mod document;
mod error;
mod file;
mod keys;
mod tree;
mod written;
mod wrong;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

use tree::Node;

pub use document::{Document, Mistake, Reading};
pub use error::ConfigError;

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
    /// Every section with a structure, in the order they are shown. None of them is named like a key or its section.
    const DOCUMENTS: &'static [Document<Self>] = &[];

    /// Values that only make sense together and do not: each key to be changed, and what is accepted for it.
    fn disagreements(&self) -> Vec<(&'static str, &'static str)>;

    /// What in the sections with a structure cannot be meant.
    fn mistakes(&self) -> Vec<Mistake> {
        Vec::new()
    }

    /// What in them is accepted and still odd, so that whoever wrote it should look again.
    fn oddities(&self) -> Vec<Mistake> {
        Vec::new()
    }
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
    /// The file with its lines.
    file: Option<(PathBuf, Node)>,
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
        let text = file.map(|path| Ok((path, file::read(path)?))).transpose()?;
        let text = text.as_ref().map(|(path, text)| (*path, text.as_str()));
        Self::read(text, environment, flags)
    }

    /// The same with the text of a file.
    pub fn read(
        file: Option<(&Path, &str)>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Self, ConfigError> {
        let mut config = Self {
            settings: S::default(),
            given: Vec::new(),
            file: None,
            strange_variables: Vec::new(),
        };
        let (mut errors, mut mistakes) = (Vec::new(), Vec::new());
        if let Some((path, text)) = file {
            match tree::read(path, text) {
                Ok(root) => {
                    let said = file::take_in(path, &root, &mut config.settings);
                    errors = said.errors;
                    mistakes = said.mistakes;
                    config.file = Some((path.to_owned(), root));
                    errors.extend(said.given.into_iter().filter_map(|given| config.set(given).err()));
                }
                Err(error) => errors.push(error),
            }
        }
        for (name, value) in environment {
            let Some(rest) = name.strip_prefix(ENV_PREFIX) else {
                continue;
            };
            let path = rest.to_ascii_lowercase().replace("__", ".");
            let origin = Origin::Environment(name.clone());
            match keys::find::<S>(&path) {
                Some(key) => errors.extend(config.set(Given { key, value, origin }).err()),
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
            errors.extend(config.set(Given { key, value, origin }).err());
        }
        config.check(&mut errors, mistakes);
        ConfigError::of_all(errors).map_or(Ok(config), Err)
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

    /// What does not go together, beside what could not be read.
    fn check(&self, errors: &mut Vec<ConfigError>, mut mistakes: Vec<Mistake>) {
        for (key, accepted) in self.settings.disagreements() {
            // It may be because a value beside it is refused, and is not in force.
            let refused = |error: &ConfigError| match error {
                ConfigError::Value { key: of, .. } => *of == key || keys::section(of) == keys::section(key),
                _ => false,
            };
            if errors.iter().any(refused) {
                continue;
            }
            let (given, origin) = self.value_of(key);
            errors.push(ConfigError::Value {
                origin,
                key,
                given,
                accepted: accepted.to_owned(),
            });
        }
        let checked = document::that_do_not_follow(&mistakes, self.settings.mistakes());
        mistakes.extend(checked);
        errors.extend(mistakes.into_iter().map(|mistake| self.placed(mistake)));
    }

    fn placed(&self, Mistake { path, what }: Mistake) -> ConfigError {
        let (origin, path) = match &self.file {
            Some((file, root)) => {
                let (line, written) = root.place(&path);
                let path = file.clone();
                (Origin::File { path, line }, written)
            }
            None => (Origin::Default, path.join(".")),
        };
        ConfigError::Item { origin, path, what }
    }

    /// What is accepted and still odd, with its place.
    pub fn oddities(&self) -> Vec<ConfigError> {
        let oddities = self.settings.oddities();
        oddities.into_iter().map(|oddity| self.placed(oddity)).collect()
    }

    fn value_of(&self, path: &str) -> (String, Origin) {
        let value = keys::find::<S>(path).and_then(|key| (key.get)(&self.settings));
        let given = self.given.iter().find(|given| given.key.path == path);
        let origin = given.map_or(Origin::Default, |given| given.origin.clone());
        (value.unwrap_or_default(), origin)
    }

    /// What is in force, as a file that means the same.
    pub fn show(&self) -> String {
        self.shown(|line, _| line)
    }

    /// The same, with where each value comes from behind it.
    pub fn show_origins(&self) -> String {
        self.shown(|line, origin| format!("{line}  # {origin}"))
    }

    fn shown(&self, line: impl Fn(String, &Origin) -> String) -> String {
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
                written::value(value)
            };
            text.push_str(&line(format!("{indent}{name}: {value}"), &origin));
            text.push('\n');
        }
        for document in S::DOCUMENTS {
            let Some(value) = (document.show)(&self.settings) else {
                continue;
            };
            for written in written::section(document.name, &value) {
                let origin = self.origin_of(&written.path);
                text.push_str(&if written.has_value {
                    line(written.text, &origin)
                } else {
                    written.text
                });
                text.push('\n');
            }
        }
        text
    }

    fn origin_of(&self, path: &[String]) -> Origin {
        let file = self.file.as_ref();
        let line = file.and_then(|(file, root)| Some((file, root.line_of(path)?)));
        line.map_or(Origin::Default, |(path, line)| Origin::File {
            path: path.clone(),
            line,
        })
    }
}

/// A value under its name, as a section of a file has it.
pub fn section(name: &str, value: &yaml_serde::Value) -> Vec<String> {
    let lines = written::section(name, value);
    lines.into_iter().map(|line| line.text).collect()
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
