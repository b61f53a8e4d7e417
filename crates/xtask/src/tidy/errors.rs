//! Error codes and their pages.

use std::collections::BTreeMap;

use super::{Finding, Repo};

/// One page per code.
const PAGES: &str = "docs/errors/";

/// What every code begins with; a letter and three digits follow.
const PREFIX: &str = "MST-";

/// Every `MST-X123` in the source has `docs/errors/MST-X123.md`, and every such page a code. Silent until there are pages.
pub(super) fn errors(repo: &Repo) -> Vec<Finding> {
    let mut used: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    for file in repo.files.iter().filter(|file| file.is(&["rs", "ts", "tsx"])) {
        if file.rule() || file.generated() || file.rust_test() || file.path.contains(".test.") {
            continue;
        }
        // A code in a comment is an example, not a use.
        for (number, line) in file
            .lines("errors")
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            for code in codes(line) {
                used.entry(code).or_insert((&file.path, number));
            }
        }
    }
    let pages: BTreeMap<&str, &str> = repo
        .files
        .iter()
        .filter_map(|file| {
            Some((
                file.path.strip_prefix(PAGES)?.strip_suffix(".md")?,
                file.path.as_str(),
            ))
        })
        .filter(|(name, _)| codes(name).next() == Some(name))
        .collect();
    if pages.is_empty() {
        return Vec::new();
    }
    let without_page =
        used.iter()
            .filter(|(code, _)| !pages.contains_key(*code))
            .map(|(code, (path, line))| {
                Finding::line(*path, *line, format!("{code} has no page {PAGES}{code}.md"))
            });
    let without_code = pages
        .iter()
        .filter(|(code, _)| !used.contains_key(*code))
        .map(|(_, path)| Finding::file(*path, "no source uses this code"));
    without_page.chain(without_code).collect()
}

/// The error codes in a text.
pub(super) fn codes(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices(PREFIX).filter_map(|(at, _)| {
        let code = text.get(at..at + PREFIX.len() + 4)?;
        let bytes = &code.as_bytes()[PREFIX.len()..];
        let right = bytes[0].is_ascii_uppercase() && bytes[1..].iter().all(u8::is_ascii_digit);
        let longer = text[at + code.len()..].starts_with(|c: char| c.is_ascii_alphanumeric());
        (right && !longer).then_some(code)
    })
}
