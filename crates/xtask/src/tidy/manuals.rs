//! Rules about documents.

use std::collections::BTreeSet;

use super::{Finding, Repo};

const ARCHITECTURE: &str = "ARCHITECTURE.md";
const ARCHITECTURE_LINES: usize = 300;

/// The table whose first heading is "crate" names every crate, and nothing else.
pub(super) fn architecture(repo: &Repo) -> Vec<Finding> {
    let Some(file) = repo.file(ARCHITECTURE) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let lines = file.text.lines().count();
    if lines >= ARCHITECTURE_LINES {
        findings.push(Finding::file(
            ARCHITECTURE,
            format!("{lines} lines, fewer than {ARCHITECTURE_LINES} wanted"),
        ));
    }
    let named = crate_table(&file.text);
    let exist: BTreeSet<&str> = repo.crates.iter().map(|found| found.name.as_str()).collect();
    for (line, name) in &named {
        if !exist.contains(name) {
            findings.push(Finding::line(
                ARCHITECTURE,
                *line,
                format!("there is no crate {name}"),
            ));
        }
    }
    for name in exist
        .iter()
        .filter(|name| !named.iter().any(|(_, named)| named == *name))
    {
        findings.push(Finding::file(
            ARCHITECTURE,
            format!("the table of crates does not name {name}"),
        ));
    }
    findings
}

/// Line and name of every row in tables that begin with a column "crate".
fn crate_table(text: &str) -> Vec<(usize, &str)> {
    let mut named = Vec::new();
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        let Some(cell) = line
            .trim()
            .strip_prefix('|')
            .and_then(|row| row.split('|').next())
        else {
            inside = false;
            continue;
        };
        if cell.trim().eq_ignore_ascii_case("crate") {
            inside = true;
        } else if inside && let Some(name) = cell.split('`').nth(1) {
            named.push((index + 1, name.strip_prefix("muster-").unwrap_or(name)));
        }
    }
    named
}

/// Relative links in documents lead to files or folders of this repository.
pub(super) fn links(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repo
        .files
        .iter()
        .filter(|file| file.is(&["md"]) && !file.generated())
    {
        let mut fenced = false;
        for (number, line) in file.lines("links") {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            }
            if fenced {
                continue;
            }
            for target in targets(line) {
                let found = resolve(&file.path, target).is_some_and(|path| repo.exists(&path));
                if !found {
                    findings.push(Finding::line(
                        &file.path,
                        number,
                        format!("{target} leads nowhere"),
                    ));
                }
            }
        }
    }
    findings
}

/// Relative link targets in a line of Markdown, without anchors and titles.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let inline = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let reference = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]: "))
        .map(|(_, target)| target);
    inline
        .chain(reference)
        .filter_map(|target| target.split_whitespace().next())
        .map(|target| target.trim_start_matches('<').trim_end_matches('>'))
        .map(|target| target.split('#').next().unwrap_or_default())
        .filter(|target| !target.is_empty() && !target.contains(':') && !target.starts_with("//"))
}

/// The path a link means, seen from the repository's top folder; nothing when it leaves the repository.
fn resolve(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    if !target.starts_with('/') {
        parts = from.split('/').collect();
        parts.pop();
    }
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}
