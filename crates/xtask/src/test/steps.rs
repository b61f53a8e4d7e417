//! The steps of `cargo xtask test`, in the order in which they run: what is quick and likely to fail comes first.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Verdict;
use super::counts::{Runner, Tally, read};
use super::tools;
use crate::process::{self, Outcome};
use crate::workspace::{Workspace, has_script};
use crate::{generate, tidy};

/// Nothing here may take longer, even when everything has to be compiled first.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// An advisory database that does not come in this time cannot be reached.
const FETCH_LIMIT: Duration = Duration::from_secs(60);

/// Folder of the tests that know only the protocol, not our code.
const OUTSIDE: &str = "tests/outside";

/// One step.
pub(super) struct Step {
    pub(super) name: &'static str,
    /// What it does, for people.
    pub(super) what: &'static str,
    /// It takes seconds once everything is compiled.
    pub(super) quick: bool,
    /// The folder that must exist and the script its `package.json` must have; the workspace itself if nothing.
    pub(super) needs: Option<(&'static str, &'static str)>,
    pub(super) run: fn(&Workspace, &[&'static Step]) -> Result<Verdict>,
}

/// Every step.
pub(super) const STEPS: &[Step] = &[
    step(
        "tools",
        "the tools that the chosen steps need are here, or are installed",
        tools::step,
    ),
    step("format", "cargo fmt --check", |w, _| {
        cargo(w, &["fmt", "--all", "--check"])
    }),
    step(
        "tidy",
        "rules of the house that the compiler does not know",
        |w, _| Ok(verdict(tidy::run(w)?, "see what is listed above")),
    ),
    step("clippy", "cargo clippy, warnings are errors", |w, _| {
        cargo(
            w,
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--all-features",
                "--",
                "-D",
                "warnings",
            ],
        )
    }),
    step("deny", "bans, licences and sources of dependencies", |w, _| {
        cargo(
            w,
            &[
                "deny",
                "check",
                "--hide-inclusion-graph",
                "bans",
                "licenses",
                "sources",
            ],
        )
    }),
    slow(
        "advisories",
        "known vulnerabilities, when the database can be reached",
        None,
        |w, _| advisories(w),
    ),
    step(
        "build",
        "every executable, for the tests that start one",
        |w, _| build(w),
    ),
    script(
        "dashboard-install",
        "npm ci",
        true,
        "dashboard",
        "build",
        |w, _| install(w, "dashboard"),
    ),
    slow(
        "generated",
        "committed generated files are what would be generated",
        None,
        |w, _| {
            Ok(verdict(
                generate::run(w, true)?,
                "a generated file drifted or cannot be made, see above",
            ))
        },
    ),
    step("rust-tests", "cargo nextest run", |w, _| rust_tests(w)),
    slow("doc-tests", "examples in documentation", None, |w, _| {
        runner(
            w,
            ".",
            "cargo",
            &["test", "--doc", "--workspace", "--no-fail-fast"],
            Runner::Libtest,
        )
    }),
    script(
        "dashboard-lint",
        "npm run lint",
        true,
        "dashboard",
        "lint",
        |w, _| npm(w, "lint"),
    ),
    script(
        "dashboard-types",
        "npm run typecheck",
        true,
        "dashboard",
        "typecheck",
        |w, _| npm(w, "typecheck"),
    ),
    script("dashboard-unit", "npm test", true, "dashboard", "test", |w, _| {
        runner(w, "dashboard", "npm", &["run", "test"], Runner::Script)
    }),
    slow(
        "dashboard-build",
        "the committed dashboard/dist is what is built",
        Some(("dashboard", "build")),
        |w, _| dist(w),
    ),
    slow(
        "dashboard-browser",
        "the dashboard in a browser",
        Some(("dashboard", "test:e2e")),
        |w, chosen| {
            build_unless_chosen(w, chosen)?;
            runner(w, "dashboard", "npm", &["run", "test:e2e"], Runner::Script)
        },
    ),
    slow(
        "outside",
        "the protocol, from outside",
        Some((OUTSIDE, "test")),
        |w, chosen| {
            if w.path(OUTSIDE).join("package-lock.json").is_file()
                && let failed @ Verdict::Failed { .. } = install(w, OUTSIDE)?
            {
                return Ok(failed);
            }
            build_unless_chosen(w, chosen)?;
            runner(w, OUTSIDE, "npm", &["test"], Runner::Script)
        },
    ),
];

type Run = fn(&Workspace, &[&'static Step]) -> Result<Verdict>;

const fn step(name: &'static str, what: &'static str, run: Run) -> Step {
    Step {
        name,
        what,
        quick: true,
        needs: None,
        run,
    }
}

const fn slow(
    name: &'static str,
    what: &'static str,
    needs: Option<(&'static str, &'static str)>,
    run: Run,
) -> Step {
    Step {
        name,
        what,
        quick: false,
        needs,
        run,
    }
}

const fn script(
    name: &'static str,
    what: &'static str,
    quick: bool,
    folder: &'static str,
    script: &'static str,
    run: Run,
) -> Step {
    Step {
        name,
        what,
        quick,
        needs: Some((folder, script)),
        run,
    }
}

impl Step {
    /// Why there is nothing to do for this step yet.
    pub(super) fn not_yet(&self, workspace: &Workspace) -> Option<String> {
        let (folder, script) = self.needs?;
        let package = format!("{folder}/package.json");
        if !workspace.path(&package).is_file() {
            return Some(format!("{package} does not exist yet"));
        }
        (!has_script(&workspace.path(&package), script))
            .then(|| format!("{package} has no script {script} yet"))
    }
}

fn verdict(ok: bool, why: &str) -> Verdict {
    if ok {
        Verdict::Passed {
            tally: Tally::default(),
            note: String::new(),
        }
    } else {
        Verdict::Failed {
            tally: Tally::default(),
            why: why.to_owned(),
        }
    }
}

fn judged(outcome: &Outcome, tally: Tally) -> Verdict {
    if outcome.ok && tally.failed == 0 {
        Verdict::Passed {
            tally,
            note: String::new(),
        }
    } else {
        let why = match tally.failed {
            0 => outcome.ending.clone(),
            1 => "1 test failed".to_owned(),
            failed => format!("{failed} tests failed"),
        };
        Verdict::Failed { tally, why }
    }
}

/// A check without tests of its own.
fn cargo(workspace: &Workspace, arguments: &[&str]) -> Result<Verdict> {
    let outcome = process::run(&mut workspace.command(".", "cargo", arguments), LIMIT)?;
    Ok(judged(&outcome, Tally::default()))
}

fn npm(workspace: &Workspace, script: &str) -> Result<Verdict> {
    let outcome = process::run(
        &mut workspace.command("dashboard", "npm", &["run", script]),
        LIMIT,
    )?;
    Ok(judged(&outcome, Tally::default()))
}

/// Tests whose number is read from what their runner prints.
fn runner(
    workspace: &Workspace,
    folder: &str,
    program: &str,
    arguments: &[&str],
    runner: Runner,
) -> Result<Verdict> {
    let mut command = workspace.command(folder, program, arguments);
    command.env("MUSTER_BIN", workspace.muster_executable()?);
    let outcome = process::run(&mut command, LIMIT)?;
    Ok(judged(&outcome, read(runner, &outcome.output)))
}

fn rust_tests(workspace: &Workspace) -> Result<Verdict> {
    if workspace.which("cargo-nextest").is_some() {
        let arguments = [
            "nextest",
            "run",
            "--workspace",
            "--profile",
            "ci",
            "--no-tests",
            "pass",
        ];
        return runner(workspace, ".", "cargo", &arguments, Runner::Nextest);
    }
    println!("cargo-nextest is not here: falling back to cargo test");
    let arguments = ["test", "--workspace", "--all-targets", "--no-fail-fast"];
    runner(workspace, ".", "cargo", &arguments, Runner::Libtest)
}

fn build(workspace: &Workspace) -> Result<Verdict> {
    // The whole workspace, so that features are those with which the tests are built and little is compiled twice.
    cargo(workspace, &["build", "--workspace", "--bins"])
}

/// Makes sure that the executable under test is that of today's source, also when the step `build` was not asked for.
fn build_unless_chosen(workspace: &Workspace, chosen: &[&'static Step]) -> Result<()> {
    if std::env::var_os("MUSTER_BIN").is_none() && !chosen.iter().any(|step| step.name == "build") {
        build(workspace)?;
    }
    let path = workspace.muster_executable()?;
    anyhow::ensure!(
        path.is_file(),
        "{} does not exist: did the step build fail?",
        path.display()
    );
    Ok(())
}

/// Asks for known vulnerabilities, and says whether it could. Never fails because there is no network.
fn advisories(workspace: &Workspace) -> Result<Verdict> {
    let fetched = process::run(
        &mut workspace.command(".", "cargo", &["deny", "fetch", "db"]),
        FETCH_LIMIT,
    )?;
    if !fetched.ok {
        let why = if fetched.timed_out { "in time" } else { "from here" };
        let note = format!("not checked: the advisory database cannot be reached {why}");
        println!("{note}");
        return Ok(Verdict::Passed {
            tally: Tally::default(),
            note,
        });
    }
    let checked = cargo(workspace, &["deny", "check", "--disable-fetch", "advisories"])?;
    Ok(match checked {
        Verdict::Passed { tally, .. } => Verdict::Passed {
            tally,
            note: "checked against a fresh database".to_owned(),
        },
        other => other,
    })
}

/// `npm ci`, unless what is installed is newer than the lock file.
fn install(workspace: &Workspace, folder: &str) -> Result<Verdict> {
    let changed =
        |path: &str| fs::metadata(workspace.path(folder).join(path)).and_then(|data| data.modified());
    if let (Ok(locked), Ok(installed)) = (
        changed("package-lock.json"),
        changed("node_modules/.package-lock.json"),
    ) && installed > locked
    {
        let note = "what is installed is newer than the lock file".to_owned();
        return Ok(Verdict::Passed {
            tally: Tally::default(),
            note,
        });
    }
    let mut command = workspace.command(folder, "npm", &["ci", "--no-audit", "--no-fund"]);
    // Browser tests use the system's chromium.
    command.env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    Ok(judged(&process::run(&mut command, LIMIT)?, Tally::default()))
}

/// Builds the dashboard in place and compares with what was there: the server carries the committed files.
fn dist(workspace: &Workspace) -> Result<Verdict> {
    let folder = workspace.path("dashboard/dist");
    let before = tree(&folder)?;
    let built = npm(workspace, "build")?;
    if matches!(built, Verdict::Failed { .. }) {
        return Ok(built);
    }
    let after = tree(&folder)?;
    let drifted = differing(&before, &after);
    if drifted.is_empty() {
        return Ok(verdict(true, ""));
    }
    println!("dashboard/dist was not what its source builds:");
    for path in &drifted {
        println!("  {}", path.display());
    }
    Ok(verdict(
        false,
        "dashboard/dist drifted; it is rebuilt now: git add dashboard/dist",
    ))
}

/// Every file under a folder with its content.
pub(super) fn tree(folder: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&next) else {
            continue;
        };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let content =
                    fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
                files.insert(path.strip_prefix(folder).unwrap_or(&path).to_owned(), content);
            }
        }
    }
    Ok(files)
}

/// Files that came, went or changed.
pub(super) fn differing(a: &BTreeMap<PathBuf, Vec<u8>>, b: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = a
        .keys()
        .chain(b.keys())
        .filter(|path| a.get(*path) != b.get(*path))
        .cloned()
        .collect();
    paths.sort();
    paths.dedup();
    paths
}
