//! What the rules look at: files, crates and dependencies, read once.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::workspace::Workspace;

/// Crates whose decisions must be replayable.
pub(crate) const PURE: &[&str] = &["model", "protocol", "reflex", "brain"];

/// Larger files are known by name only.
const TEXT_LIMIT_BYTES: usize = 1 << 20;

/// The repository in memory.
#[derive(Debug, Default)]
pub(crate) struct Repo {
    /// Every file that is or could be committed, sorted by path.
    pub(crate) files: Vec<File>,
    /// Every crate of the workspace.
    pub(crate) crates: Vec<Crate>,
    /// Pure crate → every package that it is built with (normal dependencies, default features).
    pub(crate) graphs: BTreeMap<String, Vec<String>>,
}

/// One file.
#[derive(Debug)]
pub(crate) struct File {
    /// From the repository's top folder, with forward slashes.
    pub(crate) path: String,
    /// Empty for binary and very large files.
    pub(crate) text: String,
}

/// One crate of the workspace, by short name (folder name).
#[derive(Debug, Default)]
pub(crate) struct Crate {
    pub(crate) name: String,
    /// Crates of this workspace that it is built with.
    pub(crate) uses: Vec<String>,
    /// Crates of this workspace that only its tests use.
    pub(crate) tests_use: Vec<String>,
}

impl Repo {
    /// Reads the repository from disk, git and cargo.
    pub(crate) fn load(workspace: &Workspace) -> Result<Self> {
        let mut graphs = BTreeMap::new();
        for name in PURE
            .iter()
            .filter(|name| workspace.path(&format!("crates/{name}/Cargo.toml")).is_file())
        {
            graphs.insert((*name).to_owned(), graph(workspace, name)?);
        }
        Ok(Self {
            files: files(workspace)?,
            crates: crates(&workspace.metadata()?)?,
            graphs,
        })
    }

    /// The file at this path.
    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether a file or a folder with something in it is at this path.
    pub(crate) fn exists(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        path.is_empty()
            || self
                .files
                .iter()
                .any(|file| file.path == path || file.path.starts_with(&folder))
    }
}

impl File {
    /// Lines with their numbers, without those that are excused from this rule.
    pub(crate) fn lines<'a>(&'a self, rule: &str) -> impl Iterator<Item = (usize, &'a str)> {
        let mark = format!("tidy: allow({rule})");
        let mut excused = false;
        self.text.lines().enumerate().filter_map(move |(index, line)| {
            let marked = line.contains(&mark);
            let skip = marked || excused;
            excused = marked;
            (!skip).then_some((index + 1, line))
        })
    }

    /// Whether the name ends with one of these, without the dot.
    pub(crate) fn is(&self, extensions: &[&str]) -> bool {
        self.path
            .rsplit_once('.')
            .is_some_and(|(_, extension)| extensions.contains(&extension))
    }

    /// Written by a program, so that rules about how people write do not apply.
    pub(crate) fn generated(&self) -> bool {
        self.path.starts_with("dashboard/dist/")
            || self.path.starts_with("openapi/")
            || self.path.ends_with(".snap")
            || self.path.ends_with(".gen.ts")
            || self.path == "dashboard/src/api/schema.d.ts"
            || self.lock_file()
    }

    /// Written by a package manager.
    pub(crate) fn lock_file(&self) -> bool {
        self.path.ends_with("Cargo.lock") || self.path.ends_with("package-lock.json")
    }

    /// A Rust file with tests rather than with what is shipped.
    pub(crate) fn rust_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("tests.rs")
    }

    /// These rules themselves: they spell out what they look for.
    pub(crate) fn rule(&self) -> bool {
        self.path.starts_with("crates/xtask/src/tidy")
    }
}

/// Files that git knows or would add, and that are still there.
fn files(workspace: &Workspace) -> Result<Vec<File>> {
    let listing = output(
        workspace,
        "git",
        &["ls-files", "-z", "--cached", "--others", "--exclude-standard"],
    )?;
    let mut files = Vec::new();
    for path in listing.split('\0').filter(|path| !path.is_empty()) {
        let Ok(bytes) = std::fs::read(workspace.path(path)) else {
            continue;
        };
        let text = if bytes.len() > TEXT_LIMIT_BYTES {
            None
        } else {
            String::from_utf8(bytes).ok()
        };
        files.push(File {
            path: path.to_owned(),
            text: text.unwrap_or_default(),
        });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    Ok(files)
}

/// Crates and their edges inside the workspace, from `cargo metadata --no-deps`.
pub(super) fn crates(metadata: &Value) -> Result<Vec<Crate>> {
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata names no packages")?;
    let mut crates = Vec::new();
    for package in packages {
        let mut found = Crate {
            name: short(package["name"].as_str().unwrap_or_default()),
            ..Crate::default()
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            if dependency["path"].is_null() {
                continue;
            }
            let name = short(dependency["name"].as_str().unwrap_or_default());
            let edges = if dependency["kind"] == "dev" {
                &mut found.tests_use
            } else {
                &mut found.uses
            };
            edges.push(name);
        }
        crates.push(found);
    }
    crates.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(crates)
}

/// Everything this crate is built with, from `cargo tree`: it resolves features for this crate alone, while
/// `cargo metadata` mixes in what other crates of the workspace switch on.
fn graph(workspace: &Workspace, name: &str) -> Result<Vec<String>> {
    let package = format!("muster-{name}");
    let edges = "normal,no-proc-macro";
    let tree = output(
        workspace,
        "cargo",
        &[
            "tree",
            "--package",
            &package,
            "--edges",
            edges,
            "--prefix",
            "none",
        ],
    )?;
    Ok(tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect())
}

fn short(package: &str) -> String {
    package.strip_prefix("muster-").unwrap_or(package).to_owned()
}

fn output(workspace: &Workspace, program: &str, arguments: &[&str]) -> Result<String> {
    let output = workspace
        .command(".", program, arguments)
        .output()
        .with_context(|| format!("{program} cannot be started"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {} failed: {}", arguments.join(" "), said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
