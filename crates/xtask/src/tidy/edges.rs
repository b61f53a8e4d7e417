//! Who may depend on whom, and what pure crates may not pull in.

use std::collections::BTreeSet;

use super::repo::{Crate, PURE};
use super::{Finding, Repo};

/// Crate → what it may be built with inside this workspace. `*` stands for everything but `muster` and `xtask`.
///
/// Keep it the same as the table in ARCHITECTURE.md. Tests may use more, except across the wings.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("protocol", &["model"]),
    ("reflex", &["model", "protocol"]),
    ("brain", &["model", "protocol"]),
    ("runtime", &[]),
    ("metal", &["model"]),
    ("release", &["model"]),
    (
        "machine",
        &["model", "protocol", "reflex", "metal", "release", "runtime"],
    ),
    ("store", &["model", "runtime"]),
    ("store-scale", &["model", "runtime", "store"]),
    (
        "fleet",
        &["model", "protocol", "brain", "store", "release", "runtime"],
    ),
    ("client", &["model", "protocol"]),
    ("bridges", &["model", "protocol", "client"]),
    ("sim", &["*"]),
    ("muster", &["*"]),
    ("xtask", &[]),
    ("mutate", &[]),
];

/// Crates that bring what a pure crate may not have: a runtime, sockets, chance, a database.
const IMPURE: &[&str] = &["tokio", "mio", "rand", "getrandom", "rusqlite", "axum", "hyper"];

/// What the clippy.toml of every pure crate bans at the least, with a reason.
const BANNED: &[&str] = &[
    "std::collections::HashMap",
    "std::collections::HashSet",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::fs::File",
    "std::fs::read",
    "std::fs::read_to_string",
    "std::fs::write",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::thread::spawn",
    "std::thread::sleep",
    "std::env::var",
    "std::env::var_os",
    "std::process::Command",
    "std::print",
    "std::println",
    "std::eprint",
    "std::eprintln",
];

/// Direct edges are in [`MAY_USE`].
pub(super) fn edges(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for from in &repo.crates {
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == from.name) else {
            findings.push(Finding::file(
                manifest(&from.name),
                "a new crate: say in ARCHITECTURE.md and in tidy/edges.rs what it may depend on",
            ));
            continue;
        };
        for to in &from.uses {
            let everything = allowed.contains(&"*") && to != "muster" && to != "xtask";
            if !everything && !allowed.contains(&to.as_str()) {
                findings.push(Finding::file(
                    manifest(&from.name),
                    format!("{} may not depend on {to}", from.name),
                ));
            }
        }
    }
    findings
}

/// Neither wing reaches the other, counting also what its own tests use.
pub(super) fn wings(repo: &Repo) -> Vec<Finding> {
    [("machine", "fleet"), ("fleet", "machine")]
        .into_iter()
        .filter(|(from, to)| reachable(repo, from).contains(to))
        .map(|(from, to)| {
            Finding::file(
                manifest(from),
                format!("{from} reaches {to}: the wire is their only door"),
            )
        })
        .collect()
}

/// What a crate and its tests are built with inside the workspace.
fn reachable<'a>(repo: &'a Repo, from: &str) -> BTreeSet<&'a str> {
    let find = |name: &str| repo.crates.iter().find(|found| found.name == name);
    let mut waiting: Vec<&Crate> = Vec::new();
    let mut seen = BTreeSet::new();
    if let Some(start) = find(from) {
        waiting.extend(
            start
                .uses
                .iter()
                .chain(&start.tests_use)
                .filter_map(|name| find(name)),
        );
    }
    while let Some(next) = waiting.pop() {
        if seen.insert(next.name.as_str()) {
            waiting.extend(next.uses.iter().filter_map(|name| find(name)));
        }
    }
    seen
}

/// Pure crates are built without anything [`IMPURE`].
pub(super) fn purity(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, packages) in &repo.graphs {
        for impure in IMPURE
            .iter()
            .filter(|impure| packages.iter().any(|package| package == *impure))
        {
            let ask = format!("cargo tree -p muster-{name} -e normal -i {impure}");
            findings.push(Finding::file(
                manifest(name),
                format!("{name} pulls in {impure}; `{ask}` shows how"),
            ));
        }
    }
    findings
}

/// Pure crates have a clippy.toml, and it bans what makes decisions unrepeatable.
pub(super) fn bans(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in PURE {
        let path = format!("crates/{name}/clippy.toml");
        let Some(file) = repo.file(&path) else {
            findings.push(Finding::file(
                path,
                "missing: pure crates carry their bans with them",
            ));
            continue;
        };
        for banned in BANNED {
            let entry = format!("path = \"{banned}\", reason = \"");
            let held = file
                .text
                .lines()
                .any(|line| !line.trim_start().starts_with('#') && line.contains(&entry));
            if !held {
                findings.push(Finding::file(&path, format!("no ban with a reason for {banned}")));
            }
        }
    }
    findings
}

/// Every crate says `[lints] workspace = true`; without it none of the lints apply, silently.
pub(super) fn lints(repo: &Repo) -> Vec<Finding> {
    repo.files
        .iter()
        .filter(|file| file.path.starts_with("crates/") && file.path.matches('/').count() == 2)
        .filter(|file| file.path.ends_with("/Cargo.toml") && !file.text.contains("[lints]\nworkspace = true"))
        .map(|file| Finding::file(&file.path, "takes no lints: add [lints] workspace = true"))
        .collect()
}

fn manifest(name: &str) -> String {
    format!("crates/{name}/Cargo.toml")
}
