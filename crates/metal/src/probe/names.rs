//! Names for what was found.

use std::collections::BTreeSet;

/// Longest name that a machine file takes.
const NAME_MAX: usize = 32;

/// The names that are given away.
#[derive(Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// A name like this that is free, and that a machine file takes.
    pub(super) fn free(&mut self, wanted: &str) -> String {
        let mut name = String::new();
        for c in wanted.chars().flat_map(char::to_lowercase) {
            let c = if c.is_ascii_lowercase() || c.is_ascii_digit() {
                c
            } else {
                '-'
            };
            if c != '-' || !(name.is_empty() || name.ends_with('-')) {
                name.push(c);
            }
        }
        name.truncate(NAME_MAX);
        let name = match name.trim_end_matches('-') {
            "" => "device",
            name => name,
        };
        let mut free = name.to_owned();
        for n in 2.. {
            if self.0.insert(free.clone()) {
                break;
            }
            let number = format!("-{n}");
            let end = name.len().min(NAME_MAX - number.len());
            free = format!("{}{number}", name[..end].trim_end_matches('-'));
        }
        free
    }
}
