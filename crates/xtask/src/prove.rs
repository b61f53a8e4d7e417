//! `cargo xtask prove`: the long form of what `cargo xtask test` shows in short, and a report of it.
//!
//! Four parts, each of which can be chosen: the seeded worlds (L1), real shells on a simulated network (L2), real
//! executables under real faults (L3), and decoders under mutated input. The tests print their figures as lines that
//! begin with `figure`; what they could not do here as lines that begin with `skipped`.

mod report;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::process;
use crate::workspace::Workspace;

/// What the names of all tests begin with that give mutations to a law.
const FUZZ_TESTS: &str = "fuzz_";

/// No part takes longer.
const LIMIT: Duration = Duration::from_secs(6 * 60 * 60);

const PARTS: &[(&str, &str)] = &[
    ("l1", "seeded worlds: muster sim prove"),
    ("l2", "real shells on a simulated network (turmoil)"),
    ("l3", "real executables under real faults"),
    ("fuzz", "decoders under mutated input"),
];

/// What `cargo xtask prove` can be told.
#[derive(clap::Args)]
#[command(
    after_help = "Exit codes: 0 everything held; 1 something did not, or could not be run.\n\
    Some faults need root (small disks, network namespaces); without it they are skipped, and the report says so."
)]
pub(crate) struct Options {
    /// Only these parts: l1, l2, l3, fuzz
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<String>,
    /// Minutes instead of hours: 500 seeds, 5 on the network, 30 rounds, 100000 mutations, unless they are given
    #[arg(long)]
    quick: bool,
    /// Seeds of the seeded worlds [default: 10000]
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// Seeds of the worlds on the simulated network; costly ones get their share of it [default: 100]
    #[arg(long, value_name = "N")]
    network_seeds: Option<u64>,
    /// Rounds of kill -9; other faults get their share of it [default: 1000]
    #[arg(long, value_name = "N")]
    rounds: Option<u64>,
    /// Mutations for each decoder [default: 5000000]
    #[arg(long, value_name = "N")]
    mutations: Option<u64>,
    /// Where the chance of the real faults comes from; their timing is the computer's own
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Where report.md and report.json go [default: prove/ in cargo's target folder]
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

/// How a part went.
struct Part {
    name: &'static str,
    what: &'static str,
    verdict: Verdict,
    took: Duration,
    figures: Vec<String>,
    skipped: Vec<String>,
    /// For programs, where a part has more to say.
    details: Value,
}

#[derive(Clone, Debug, PartialEq)]
enum Verdict {
    Held,
    Failed(String),
    LeftOut(String),
}

/// What a part comes back with.
struct Ran {
    verdict: Verdict,
    figures: Vec<String>,
    skipped: Vec<String>,
    details: Value,
}

/// How much of each.
struct Amounts {
    seeds: u64,
    network_seeds: u64,
    rounds: u64,
    mutations: u64,
    seed: u64,
}

/// Runs the chosen parts and writes the report. True when everything held.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    if let Some(strange) = options
        .only
        .iter()
        .find(|name| !PARTS.iter().any(|(part, _)| part == name))
    {
        bail!("there is no part {strange}; there are l1, l2, l3 and fuzz");
    }
    let amount =
        |given: Option<u64>, quick: u64, long: u64| given.unwrap_or(if options.quick { quick } else { long });
    let amounts = Amounts {
        seeds: amount(options.seeds, 500, 10_000),
        network_seeds: amount(options.network_seeds, 5, 100),
        rounds: amount(options.rounds, 30, 1_000),
        mutations: amount(options.mutations, 100_000, 5_000_000),
        seed: options.seed,
    };
    let chosen = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    let executable = if chosen("l1") || chosen("l3") {
        release(workspace)?
    } else {
        PathBuf::new()
    };
    let mut parts = Vec::new();
    for (name, what) in PARTS {
        if !chosen(name) {
            continue;
        }
        println!("\n==> {name}: {what}");
        let began = Instant::now();
        let ran = match *name {
            "l1" => seeded_worlds(&executable, &amounts),
            "l2" => simulated_network(workspace, &amounts),
            "l3" => real_faults(workspace, &executable, &amounts),
            _ => mutated_input(workspace, &amounts),
        };
        let ran = ran.unwrap_or_else(|error| Ran::failed(format!("{error:#}")));
        parts.push(Part {
            name,
            what,
            verdict: ran.verdict,
            took: began.elapsed(),
            figures: ran.figures,
            skipped: ran.skipped,
            details: ran.details,
        });
    }
    let commit = commit(workspace)?;
    let folder = match &options.report {
        Some(folder) => folder.clone(),
        None => workspace.target()?.join("prove"),
    };
    std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let text = report::markdown(&parts, &commit, &amounts);
    std::fs::write(folder.join("report.md"), &text).context("report.md cannot be written")?;
    let document = report::document(&parts, &commit, &amounts);
    let document = serde_json::to_string_pretty(&document)? + "\n";
    std::fs::write(folder.join("report.json"), document).context("report.json cannot be written")?;
    println!("\n{text}\nwritten to {}", folder.display());
    Ok(parts
        .iter()
        .all(|part| !matches!(part.verdict, Verdict::Failed(_))))
}

/// What is proved is what is shipped: the optimised executable.
fn release(workspace: &Workspace) -> Result<PathBuf> {
    let built = process::run(
        &mut workspace.command(".", "cargo", &["build", "--release", "-p", "muster"]),
        LIMIT,
    )?;
    if !built.ok {
        bail!("the executable cannot be built: {}", built.ending);
    }
    Ok(workspace.target()?.join("release/muster"))
}

/// The commit, and whether the tree is more than that.
fn commit(workspace: &Workspace) -> Result<String> {
    let git = |arguments: &[&str]| -> Result<String> {
        let output = workspace
            .command(".", "git", arguments)
            .output()
            .context("git cannot be started")?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let mut commit = git(&["rev-parse", "HEAD"])?;
    if !git(&["status", "--porcelain"])?.is_empty() {
        commit.push_str(" with changes that are not committed");
    }
    Ok(commit)
}

fn seeded_worlds(executable: &std::path::Path, amounts: &Amounts) -> Result<Ran> {
    let output = Command::new(executable)
        .args([
            "sim",
            "prove",
            "--output",
            "json",
            "--seeds",
            &amounts.seeds.to_string(),
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("muster sim prove cannot be started")?;
    let details: Value =
        serde_json::from_slice(&output.stdout).context("muster sim prove printed no JSON")?;
    let verdict = if output.status.success() {
        Verdict::Held
    } else {
        Verdict::Failed(format!("muster sim prove ended with {}", output.status))
    };
    Ok(Ran {
        verdict,
        figures: l1_figures(&details),
        skipped: Vec::new(),
        details,
    })
}

/// The lines of the report, from what `muster sim prove` says of itself.
fn l1_figures(details: &Value) -> Vec<String> {
    let number = |value: &Value| {
        value
            .as_u64()
            .map_or("unknown".to_owned(), |number| number.to_string())
    };
    let sweep = |name: &str| {
        let sweep = &details[name];
        let failed = sweep["failed"].as_array().map_or(0, Vec::len);
        format!(
            "{name} run={} failed={failed} trace_hash={}",
            number(&sweep["seeds"]),
            sweep["hash"].as_str().unwrap_or("unknown")
        )
    };
    let mut figures = vec![sweep("seeds"), sweep("kept")];
    let planted = details["planted"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    figures.extend(planted.iter().map(|planted| {
        let name = planted["name"].as_str().unwrap_or("unknown");
        format!(
            "planted {name} caught={} of={}",
            number(&planted["caught"]),
            number(&planted["seeds"])
        )
    }));
    figures
}

/// The packages that have such tests are those that may use turmoil.
fn simulated_network(workspace: &Workspace, amounts: &Amounts) -> Result<Ran> {
    let names = users_of(&workspace.metadata()?, "turmoil")?;
    if names.is_empty() {
        let why = "no package has tests with turmoil yet";
        return Ok(Ran {
            verdict: Verdict::LeftOut(why.to_owned()),
            figures: Vec::new(),
            skipped: Vec::new(),
            details: Value::Null,
        });
    }
    let mut arguments = vec!["test", "--release", "--test", "it"];
    arguments.extend(names.iter().flat_map(|name| ["-p", name]));
    arguments.extend(["--", "--nocapture"]);
    let mut command = workspace.command(".", "cargo", &arguments);
    command.env("MUSTER_PROVE_L2_SEEDS", amounts.network_seeds.to_string());
    tests(&mut command)
}

fn real_faults(workspace: &Workspace, executable: &std::path::Path, amounts: &Amounts) -> Result<Ran> {
    // One after the other: they measure times.
    let arguments = [
        "test",
        "-p",
        "muster",
        "--test",
        "it",
        "faults::",
        "--",
        "--nocapture",
        "--test-threads",
        "1",
    ];
    let mut command = workspace.command(".", "cargo", &arguments);
    command
        .env("MUSTER_BIN", executable)
        .env("MUSTER_PROVE_ROUNDS", amounts.rounds.to_string())
        .env("MUSTER_PROVE_SEED", amounts.seed.to_string());
    tests(&mut command)
}

/// The packages that have such tests are those that may use `muster-mutate`.
fn mutated_input(workspace: &Workspace, amounts: &Amounts) -> Result<Ran> {
    let names = users_of(&workspace.metadata()?, "muster-mutate")?;
    let mut arguments = vec![
        "test",
        "--release",
        "--no-fail-fast",
        "--lib",
        "--bins",
        "--test",
        "it",
    ];
    arguments.extend(names.iter().flat_map(|name| ["-p", name]));
    arguments.extend(["--", "--nocapture", FUZZ_TESTS]);
    let mut command = workspace.command(".", "cargo", &arguments);
    command
        .env("MUSTER_FUZZ_ROUNDS", amounts.mutations.to_string())
        .env("MUSTER_FUZZ_SEED", amounts.seed.to_string());
    let mut ran = tests(&mut command)?;
    ran.skipped.push(
        "mutations of the corpus from a seed, on the stable compiler: no coverage guides them".to_owned(),
    );
    Ok(ran)
}

/// The packages whose tests may use another one.
fn users_of(metadata: &Value, wanted: &str) -> Result<Vec<String>> {
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata names no packages")?;
    let with = packages.iter().filter(|package| {
        let all = package["dependencies"].as_array();
        all.is_some_and(|all| all.iter().any(|dependency| dependency["name"] == wanted))
    });
    Ok(with
        .filter_map(|package| package["name"].as_str().map(str::to_owned))
        .collect())
}

/// Runs tests and keeps what they print for the report.
fn tests(command: &mut Command) -> Result<Ran> {
    let outcome = process::run(command, LIMIT)?;
    let lines = |prefix: &str| -> Vec<String> {
        let found = outcome
            .output
            .lines()
            .filter_map(|line| line.strip_prefix(prefix));
        found.map(|line| line.trim().to_owned()).collect()
    };
    let results = lines("test result:");
    let verdict = match (outcome.ok, passed(&results)) {
        (true, 1..) => Verdict::Held,
        (true, 0) => Verdict::Failed("no test was run".to_owned()),
        (false, _) => Verdict::Failed(outcome.ending),
    };
    Ok(Ran {
        verdict,
        figures: lines("figure "),
        skipped: lines("skipped:"),
        details: json!({ "results": results }),
    })
}

/// How many tests passed, by the runner's own words: `ok. 11 passed; 0 failed; …`.
fn passed(results: &[String]) -> u64 {
    let numbers = results.iter().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| word.starts_with("passed"))?;
        words.get(at.checked_sub(1)?)?.parse::<u64>().ok()
    });
    numbers.sum()
}

impl Ran {
    fn failed(why: String) -> Self {
        Self {
            verdict: Verdict::Failed(why),
            figures: Vec::new(),
            skipped: Vec::new(),
            details: Value::Null,
        }
    }
}

#[cfg(test)]
mod tests;
