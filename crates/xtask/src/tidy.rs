//! Rules of the house that neither compiler nor clippy knows, as code.
//!
//! A rule is a function from a [`Repo`] (all files in memory, the crates and their edges) to [`Finding`]s; it reads no
//! disk, so its test plants a violation in a few lines. Begin at [`RULES`]. A line that is right although a rule says
//! otherwise carries, on itself or on the line above, `tidy: allow(RULE): why`.

mod edges;
mod errors;
mod lines;
mod manuals;
mod repo;

#[cfg(test)]
mod tests;

use std::fmt;

use anyhow::Result;

pub(crate) use self::repo::Repo;
use crate::workspace::Workspace;

/// Something that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    /// Counted from one; zero when it is about the whole file.
    line: usize,
    message: String,
}

impl Finding {
    fn file(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            line: 0,
            message: message.into(),
        }
    }

    fn line(path: impl Into<String>, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// One rule: its name, what it demands, and how it is checked.
pub(crate) struct Rule {
    name: &'static str,
    demands: &'static str,
    check: fn(&Repo) -> Vec<Finding>,
}

/// Every rule, in the order in which they are checked.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "architecture",
        demands: "ARCHITECTURE.md is under 300 lines and its table names exactly the crates that exist",
        check: manuals::architecture,
    },
    Rule {
        name: "edges",
        demands: "crates depend only on what the architecture allows",
        check: edges::edges,
    },
    Rule {
        name: "wings",
        demands: "machine and fleet never see each other, not even through others",
        check: edges::wings,
    },
    Rule {
        name: "purity",
        demands: "pure crates pull in no runtime, socket, disk or chance",
        check: edges::purity,
    },
    Rule {
        name: "bans",
        demands: "the pure crates' clippy.toml files keep their bans",
        check: edges::bans,
    },
    Rule {
        name: "lints",
        demands: "every crate takes the workspace's lints",
        check: edges::lints,
    },
    Rule {
        name: "length",
        demands: "a source file has at most 800 lines",
        check: lines::length,
    },
    Rule {
        name: "mains",
        demands: "main.rs wires and does not decide: under 100 lines",
        check: lines::mains,
    },
    Rule {
        name: "leftovers",
        demands: "nothing is left to do, to debug or switched off",
        check: lines::leftovers,
    },
    Rule {
        name: "paths",
        demands: "no path of somebody's computer",
        check: lines::paths,
    },
    Rule {
        name: "registries",
        demands: "no registry host, and lock files name the public ones",
        check: lines::registries,
    },
    Rule {
        name: "tasks",
        demands: "tasks are named and supervised by muster_runtime",
        check: lines::tasks,
    },
    Rule {
        name: "errors",
        demands: "every error code has a page, and every page a code",
        check: errors::errors,
    },
    Rule {
        name: "links",
        demands: "links between documents lead somewhere",
        check: manuals::links,
    },
];

/// Checks every rule and prints what breaks them. True when nothing does.
pub(crate) fn run(workspace: &Workspace) -> Result<bool> {
    let repo = Repo::load(workspace)?;
    let mut broken = 0;
    for rule in RULES {
        let mut findings = (rule.check)(&repo);
        findings.sort();
        if findings.is_empty() {
            continue;
        }
        broken += 1;
        println!("{}: {}", rule.name, rule.demands);
        for finding in findings {
            println!("  {finding}");
        }
    }
    println!(
        "tidy: {} of {} rules hold, {} files read",
        RULES.len() - broken,
        RULES.len(),
        repo.files.len()
    );
    Ok(broken == 0)
}
