//! The YAML file: flat values in sections one deep, and sections with a structure, each thing with its line.

use std::path::Path;

use super::document::{Document, Mistake, Reading};
use super::tree::{Entry, FILE_MAX_BYTES, Kind, Node};
use super::{ConfigError, Given, Origin, Settings, keys};

/// The text of a file.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > FILE_MAX_BYTES {
        let text = format!("it has {length} bytes, at most {FILE_MAX_BYTES} are read");
        return Err(unreadable(std::io::Error::other(text)));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

/// What a file says.
pub(super) struct Said<S: 'static> {
    /// Values of keys that exist.
    pub(super) given: Vec<Given<S>>,
    /// What is wrong with the rest.
    pub(super) errors: Vec<ConfigError>,
    /// What is wrong within sections with a structure.
    pub(super) mistakes: Vec<Mistake>,
}

/// Takes in what the file says: sections with a structure go to the settings at once, the flat values are given back.
pub(super) fn take_in<S: Settings>(path: &Path, root: &Node, settings: &mut S) -> Said<S> {
    let mut said = Said {
        given: Vec::new(),
        errors: Vec::new(),
        mistakes: Vec::new(),
    };
    match &root.kind {
        _ if root.is_nothing() => {}
        Kind::Entries(entries) => {
            for entry in entries {
                if let Some(document) = document::<S>(&entry.key) {
                    let mut reading = Reading::new(&entry.key, &entry.node, &mut said.mistakes);
                    (document.read)(settings, &mut reading);
                } else {
                    said.entry(path, None, entry);
                }
            }
        }
        Kind::Text { .. } | Kind::List(_) => said.errors.push(ConfigError::Syntax {
            path: path.to_owned(),
            line: root.line,
            message: "keys with values are expected, such as `kind: pi`".to_owned(),
        }),
    }
    said
}

fn document<S: Settings>(name: &str) -> Option<&'static Document<S>> {
    S::DOCUMENTS.iter().find(|document| document.name == name)
}

impl<S: Settings> Said<S> {
    fn entry(&mut self, file: &Path, section: Option<&str>, entry: &Entry) {
        let Entry {
            key: name,
            line,
            node,
        } = entry;
        let path = section.map_or(name.clone(), |section| format!("{section}.{name}"));
        let origin = Origin::File {
            path: file.to_owned(),
            line: *line,
        };
        if let Some(key) = keys::find::<S>(&path) {
            // What is set to nothing is as if it were not there.
            if node.is_nothing() {
                return;
            }
            match node.text() {
                Some(value) => self.given.push(Given {
                    key,
                    value: value.to_owned(),
                    origin,
                }),
                None => self.errors.push(ConfigError::Value {
                    origin,
                    key: key.path,
                    given: "a list or section".to_owned(),
                    accepted: key.accepted.to_owned(),
                }),
            }
            return;
        }
        let names = keys::within::<S>(section);
        let is_section = section.is_none() && !keys::within::<S>(Some(name)).is_empty();
        match &node.kind {
            Kind::Entries(entries) if is_section => {
                for inner in entries {
                    self.entry(file, Some(name), inner);
                }
            }
            _ if is_section && node.is_nothing() => {}
            Kind::Text { .. } | Kind::List(_) | Kind::Entries(_) => {
                self.errors.push(ConfigError::UnknownKey {
                    origin,
                    suggestion: keys::nearest(name, &names),
                    accepted: if is_section {
                        format!("{name} with {}", keys::within::<S>(Some(name)).join(", "))
                    } else {
                        names.join(", ")
                    },
                    key: path,
                });
            }
        }
    }
}
