//! Rules about lines of source.

use super::repo::File;
use super::{Finding, Repo};

/// A full room; about 400 is a comfortable one.
const SOURCE_LINES: usize = 800;

/// A `main` that reads like a list.
const MAIN_LINES: usize = 100;

/// What people write; documents are not among them, because they may speak of what is forbidden.
const SOURCE: &[&str] = &["rs", "ts", "tsx", "js", "mjs", "css", "sh"];

const SCRIPT: &[&str] = &["ts", "tsx", "js", "mjs"];

/// Word, where it is forbidden (every source if empty), why.
const LEFTOVERS: &[(&str, &[&str], &str)] = &[
    (
        "todo!(",
        &["rs"],
        "finish it, or return an error that says what is missing",
    ),
    (
        "unimplemented!(",
        &["rs"],
        "finish it, or return an error that says what is missing",
    ),
    ("dbg!(", &["rs"], "use tracing"),
    (
        "#[ignore",
        &["rs"],
        "a test that does not run tells nothing: mend it or remove it",
    ),
    ("FIXME", &[], "mend it, or write down in docs/ why it stays"),
    (".only(", SCRIPT, "it switches every other test off"),
];

/// Top folders whose content exists on one computer only.
const PLACES: &[&str] = &["home", "root", "work", "Users"];

/// Hosts that belong into somebody's package manager settings.
const REGISTRIES: &[&str] = &[
    "index.crates.io",
    "static.crates.io",
    "crates.io-index",
    "registry.npmjs.org",
    "registry.yarnpkg.com",
    "pypi.org",
    "files.pythonhosted.org",
    "proxy.golang.org",
];

/// Source files stay readable in one go.
pub(super) fn length(repo: &Repo) -> Vec<Finding> {
    repo.files
        .iter()
        .filter(|file| file.is(&["rs", "ts", "tsx"]) && !file.generated())
        .filter_map(|file| too_long(file, SOURCE_LINES))
        .collect()
}

/// `main` only wires.
pub(super) fn mains(repo: &Repo) -> Vec<Finding> {
    [
        "crates/muster/src/main.rs",
        "crates/machine/src/main.rs",
        "crates/xtask/src/main.rs",
    ]
    .into_iter()
    .filter_map(|path| repo.file(path))
    .filter_map(|file| too_long(file, MAIN_LINES - 1))
    .collect()
}

fn too_long(file: &File, most: usize) -> Option<Finding> {
    let lines = file.text.lines().count();
    (lines > most).then(|| Finding::file(&file.path, format!("{lines} lines, at most {most}")))
}

/// Nothing unfinished, no debugging aid, no test switched off.
pub(super) fn leftovers(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in written(repo).filter(|file| file.is(SOURCE)) {
        for (number, line) in file.lines("leftovers") {
            for (word, kinds, mend) in LEFTOVERS {
                if line.contains(word) && (kinds.is_empty() || file.is(kinds)) {
                    findings.push(Finding::line(&file.path, number, format!("{word} – {mend}")));
                }
            }
        }
    }
    findings
}

/// No absolute path into somebody's folders.
pub(super) fn paths(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in written(repo) {
        for (number, line) in file.lines("paths") {
            for place in PLACES.iter().filter(|place| names_place(line, place)) {
                findings.push(Finding::line(
                    &file.path,
                    number,
                    format!("/{place}/… exists on one computer only"),
                ));
            }
        }
    }
    findings
}

/// Whether `/place/` stands in this line at the beginning of an absolute path, not inside a longer one or a URL.
fn names_place(line: &str, place: &str) -> bool {
    line.match_indices(&format!("/{place}/")).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-/}])>*~:".contains(c))
    })
}

/// Sources name no registry host; lock files name none but the public ones, or a clone elsewhere cannot fetch.
pub(super) fn registries(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in written(repo) {
        for (number, line) in file.lines("registries") {
            for host in REGISTRIES.iter().filter(|host| line.contains(*host)) {
                findings.push(Finding::line(
                    &file.path,
                    number,
                    format!("{host} belongs into a setting, not here"),
                ));
            }
        }
    }
    for file in repo.files.iter().filter(|file| file.lock_file()) {
        for (number, line) in file.lines("registries") {
            let line = line.trim();
            let foreign = match line
                .strip_prefix("source = ")
                .or_else(|| line.strip_prefix("\"resolved\": "))
            {
                Some(source) if file.path.ends_with("Cargo.lock") => {
                    source != "\"registry+https://github.com/rust-lang/crates.io-index\""
                }
                Some(source) => {
                    source.contains("://") && !source.starts_with("\"https://registry.npmjs.org/")
                }
                None => false,
            };
            if foreign {
                findings.push(Finding::line(
                    &file.path,
                    number,
                    "locked to a host that others may not reach",
                ));
            }
        }
    }
    findings
}

/// Only `muster_runtime` starts tasks.
pub(super) fn tasks(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in written(repo).filter(|file| file.is(&["rs"]) && !file.path.starts_with("crates/runtime/")) {
        for (number, line) in file.lines("tasks") {
            let code = line.split("//").next().unwrap_or_default();
            if code.contains("tokio::spawn(")
                || code.contains("task::spawn(")
                || code.contains("use tokio::spawn")
            {
                let mend = "a bare task: use muster_runtime, which names it and knows what its error means";
                findings.push(Finding::line(&file.path, number, mend));
            }
        }
    }
    findings
}

/// Files that people write, without these rules.
fn written(repo: &Repo) -> impl Iterator<Item = &File> {
    repo.files.iter().filter(|file| !file.generated() && !file.rule())
}
