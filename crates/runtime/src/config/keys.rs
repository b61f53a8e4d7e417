//! Looking keys up, also by names that are nearly right.

use super::{Key, Settings};

/// The key of this name.
pub(super) fn find<S: Settings>(path: &str) -> Option<&'static Key<S>> {
    S::KEYS.iter().find(|key| key.path == path)
}

/// The keys of a section, or of the top: their last names; and the sections, also those with a structure, at the top.
pub(super) fn within<S: Settings>(section: Option<&str>) -> Vec<&'static str> {
    let mut names = Vec::new();
    for key in S::KEYS {
        let name = match (key.path.split_once('.'), section) {
            (Some((head, name)), Some(section)) if head == section => name,
            (Some((head, _)), None) => head,
            (None, None) => key.path,
            (Some(_) | None, Some(_)) => continue,
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if section.is_none() {
        names.extend(S::DOCUMENTS.iter().map(|document| document.name));
    }
    names
}

/// The section of a key, if it is in one.
pub(super) fn section(path: &str) -> Option<&str> {
    path.split_once('.').map(|(section, _)| section)
}

/// The name that is nearest to what was written, if any is near.
pub(super) fn nearest<'a>(written: &str, names: &[&'a str]) -> Option<&'a str> {
    let distances = names.iter().map(|name| (distance(written, name), *name));
    let (distance, name) = distances.min()?;
    (distance <= 1 + written.len() / 4 && distance < name.len()).then_some(name)
}

/// How many letters are to be added, taken away or changed. Source: Levenshtein.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().take(64).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
