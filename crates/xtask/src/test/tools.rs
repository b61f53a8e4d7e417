//! The tools that steps need: whether they are here, and how they get here.
//!
//! As root on Debian what is missing is installed; anywhere else it is said precisely what to install. Cargo's own
//! tools go into the cache outside the clone, wherever we are.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::Verdict;
use super::counts::Tally;
use super::steps::Step;
use crate::process;
use crate::workspace::Workspace;

/// `cargo install` compiles.
const INSTALL_LIMIT: Duration = Duration::from_secs(25 * 60);

/// The dashboard's tools need it.
const NODE_MAJOR: u32 = 20;

/// A program that steps need.
struct Tool {
    program: &'static str,
    /// Printed by this when it is here and works.
    probe: &'static [&'static str],
    source: Source,
    /// Steps that need it; every run if none is named.
    steps: &'static [&'static str],
}

/// Where a tool comes from.
#[derive(Clone, Copy)]
enum Source {
    /// A Debian package.
    Debian(&'static str),
    /// `cargo install` into the cache.
    Cargo,
    /// `rustup component add`.
    Rustup(&'static str),
}

const DASHBOARD: &[&str] = &[
    "dashboard-install",
    "generated",
    "dashboard-lint",
    "dashboard-types",
    "dashboard-unit",
    "dashboard-build",
    "dashboard-browser",
    "outside",
];

const TOOLS: &[Tool] = &[
    Tool {
        program: "git",
        probe: &["git", "--version"],
        source: Source::Debian("git"),
        steps: &[],
    },
    Tool {
        program: "cc",
        probe: &["cc", "--version"],
        source: Source::Debian("gcc libc6-dev"),
        steps: &[],
    },
    Tool {
        program: "rustfmt",
        probe: &["cargo", "fmt", "--version"],
        source: Source::Rustup("rustfmt"),
        steps: &["format"],
    },
    Tool {
        program: "clippy",
        probe: &["cargo", "clippy", "--version"],
        source: Source::Rustup("clippy"),
        steps: &["clippy"],
    },
    Tool {
        program: "cargo-deny",
        probe: &["cargo-deny", "--version"],
        source: Source::Cargo,
        steps: &["deny", "advisories"],
    },
    Tool {
        program: "cargo-nextest",
        probe: &["cargo-nextest", "--version"],
        source: Source::Cargo,
        steps: &["rust-tests"],
    },
    Tool {
        program: "node",
        probe: &["node", "--version"],
        source: Source::Debian("nodejs"),
        steps: DASHBOARD,
    },
    Tool {
        program: "npm",
        probe: &["npm", "--version"],
        source: Source::Debian("npm"),
        steps: DASHBOARD,
    },
    Tool {
        program: "zstd",
        probe: &["zstd", "--version"],
        source: Source::Debian("zstd"),
        steps: &["outside"],
    },
    Tool {
        program: "chromium",
        probe: &["/usr/bin/chromium", "--version"],
        source: Source::Debian("chromium"),
        steps: &["dashboard-browser"],
    },
];

/// The step `tools`: everything that the other chosen steps need.
pub(super) fn step(workspace: &Workspace, chosen: &[&'static Step]) -> Result<Verdict> {
    let at_work: Vec<&str> = chosen
        .iter()
        .filter(|step| step.not_yet(workspace).is_none())
        .map(|step| step.name)
        .collect();
    let may_install = root_on_debian();
    print_toolchain(workspace);
    let mut missing = Vec::new();
    for tool in TOOLS {
        let needed = tool.steps.is_empty() || tool.steps.iter().any(|step| at_work.contains(step));
        if !needed || here(workspace, tool) {
            continue;
        }
        println!("{} is not here", tool.program);
        let possible = may_install || !matches!(tool.source, Source::Debian(_));
        if possible && install(workspace, tool)? && probe(workspace, tool).is_some() {
            continue;
        }
        if tool.program == "cargo-nextest" {
            println!("it could not be installed; the Rust tests fall back to cargo test");
        } else {
            missing.push(format!("{}: {}", tool.program, advice(tool)));
        }
    }
    let dashboard = DASHBOARD.iter().any(|step| at_work.contains(step));
    if let Some(major) = node(workspace).filter(|major| dashboard && *major < NODE_MAJOR) {
        let get = "from nodejs.org, or from Debian 13";
        missing.push(format!("node is {major}, at least {NODE_MAJOR} is needed: {get}"));
    }
    if missing.is_empty() {
        return Ok(Verdict::Passed {
            tally: Tally::default(),
            note: String::new(),
        });
    }
    println!("missing:");
    for line in &missing {
        println!("  {line}");
    }
    Ok(Verdict::Failed {
        tally: Tally::default(),
        why: format!("missing: {}", missing.join("; ")),
    })
}

/// Cargo itself refuses a toolchain that is too old; which one it was helps whoever reads the run.
fn print_toolchain(workspace: &Workspace) {
    if let Ok(output) = workspace.command(".", "rustc", &["--version"]).output() {
        println!("rustc: {}", String::from_utf8_lossy(&output.stdout).trim());
    }
}

/// Says what is here, and whether it is.
fn here(workspace: &Workspace, tool: &Tool) -> bool {
    let Some(version) = probe(workspace, tool) else {
        return false;
    };
    println!("{}: {version}", tool.program);
    true
}

/// The first line of what the tool says about itself.
fn probe(workspace: &Workspace, tool: &Tool) -> Option<String> {
    let (program, arguments) = tool.probe.split_first()?;
    // Looked for by path, because what we start is looked for in our own PATH, not in the child's.
    let program = workspace.which(program)?;
    let output = workspace
        .command(".", &program.to_string_lossy(), arguments)
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stdout);
    output
        .status
        .success()
        .then(|| said.lines().next().unwrap_or_default().to_owned())
}

fn node(workspace: &Workspace) -> Option<u32> {
    let tool = TOOLS.iter().find(|tool| tool.program == "node")?;
    major(&probe(workspace, tool)?)
}

/// `v20.20.2` → 20.
pub(super) fn major(version: &str) -> Option<u32> {
    version.trim_start_matches('v').split('.').next()?.parse().ok()
}

fn install(workspace: &Workspace, tool: &Tool) -> Result<bool> {
    let run = |command: &mut Command| -> Result<bool> { Ok(process::run(command, INSTALL_LIMIT)?.ok) };
    match tool.source {
        Source::Debian(packages) => {
            let mut arguments = vec!["install", "-y", "--no-install-recommends"];
            arguments.extend(packages.split(' '));
            let apt = |arguments: &[&str]| {
                let mut command = workspace.command(".", "apt-get", arguments);
                command.env("DEBIAN_FRONTEND", "noninteractive");
                command
            };
            // Package lists may be absent or old; the second attempt has fresh ones.
            Ok(run(&mut apt(&arguments))? || (run(&mut apt(&["update"]))? && run(&mut apt(&arguments))?))
        }
        Source::Cargo => {
            let root = workspace.tools();
            let root = root.to_string_lossy();
            run(&mut workspace.command(
                ".",
                "cargo",
                &["install", tool.program, "--locked", "--root", &root],
            ))
        }
        Source::Rustup(component) if workspace.which("rustup").is_some() => {
            run(&mut workspace.command(".", "rustup", &["component", "add", component]))
        }
        Source::Rustup(_) => Ok(false),
    }
}

/// What to type, for who has to do it by hand.
fn advice(tool: &Tool) -> String {
    match tool.source {
        Source::Debian(packages) => format!("apt-get install -y --no-install-recommends {packages}"),
        Source::Cargo => format!("cargo install {} --locked", tool.program),
        Source::Rustup(component) => format!("rustup component add {component}"),
    }
}

fn root_on_debian() -> bool {
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    root && Path::new("/etc/debian_version").is_file()
}
