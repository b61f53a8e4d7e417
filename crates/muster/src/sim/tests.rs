//! What the commands of the simulator accept, and what a verdict looks like.

use clap::Parser;
use muster_sim::world::{Faults, Planted, Scenario, Telling, run_once, tell};

use super::verdict::{self, Verdict};
use crate::{Arguments, Command};

fn parsed(line: &str) -> Result<Command, String> {
    let words = line.split_whitespace();
    Arguments::try_parse_from(words)
        .map(|arguments| arguments.command)
        .map_err(|error| error.to_string())
}

#[test]
fn the_lines_of_the_documents_are_accepted() {
    for line in [
        "muster sim run --seed 7 --machines 1000 --hours 1 --faults radio",
        "muster sim run --replay 7 --until 90s --explain",
        "muster sim replay 7 --until 12m --machine 3 --steps 50",
        "muster sim run --hours 168 --faults examples/faults/week-of-power-cuts.yaml --output yaml",
        "muster sim prove --seeds 1000 --first 5 --output json",
    ] {
        assert!(matches!(parsed(line), Ok(Command::Sim(_))), "{line}");
    }
}

#[test]
fn a_moment_that_is_none_is_refused_with_what_is_accepted() {
    let error = parsed("muster sim replay 7 --until noon").expect_err("no moment");
    assert!(error.contains("a time such as 90s, 12m, 3h or 2d"), "{error}");
    parsed("muster sim run --seed 1 --replay 2").expect_err("one or the other");
}

#[test]
fn the_profiles_that_are_shipped_are_accepted() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/faults");
    let mut names = Vec::new();
    for file in std::fs::read_dir(directory).expect("profiles are shipped") {
        let path = file.expect("a file").path();
        let faults = Faults::find(path.to_str().expect("a path in words")).expect("accepted");
        assert!(!faults.about.is_empty() && !faults.strikes.is_empty());
        names.push(faults.name);
    }
    names.sort_unstable();
    assert_eq!(names, ["bad-radio-site", "week-of-power-cuts"]);
}

fn small_fleet(seed: u64) -> Scenario {
    let faults = Faults::built_in("all").expect("built in");
    Scenario::fleet(seed, 5, 120, faults.dense(5, 5_000))
}

fn verdict_on(scenario: &Scenario, telling: Option<Telling>) -> (Verdict, String) {
    let report = match telling {
        Some(telling) => tell(scenario, telling),
        None => run_once(scenario, &mut |_| {}),
    };
    let verdict = Verdict::new(
        scenario,
        "muster sim replay …",
        telling,
        &report,
        std::time::Duration::from_secs(1),
    );
    let table = verdict::table(&verdict, &report);
    (verdict, table)
}

#[test]
fn a_verdict_has_counts_checks_hash_and_timeline() {
    let (verdict, table) = verdict_on(&small_fleet(3), None);
    let json = serde_json::to_value(&verdict).expect("JSON");
    let keys: Vec<&str> = json
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    insta::assert_snapshot!(keys.join(" "), @"about checks counts duration_s explain_with faults machines seed timeline times_real_time together_after_s took_s trace_hash verdict virtual_s");
    assert_eq!(json["verdict"], "clean", "{table}");
    assert!(json["counts"]["faults"].as_u64() > Some(10), "{table}");
    assert!(json["checks"]["ViewIsFold"].as_u64() > Some(10), "{table}");
    let rows = json["timeline"].as_array().expect("rows");
    let struck: u64 = rows
        .iter()
        .flat_map(|row| row["faults"].as_object().expect("faults").values())
        .filter_map(serde_json::Value::as_u64)
        .sum();
    assert_eq!(Some(struck), json["counts"]["faults"].as_u64());
    assert!(table.contains("verdict     clean: "), "{table}");
    assert!(
        table.contains(json["trace_hash"].as_str().expect("a text")),
        "{table}"
    );
}

#[test]
fn equal_seeds_have_equal_hashes_told_or_not() {
    let hash = |seed, telling| verdict_on(&small_fleet(seed), telling).0.trace_hash;
    assert_eq!(hash(3, None), hash(3, None));
    assert_eq!(hash(3, None), hash(3, Some(Telling::default())));
    assert_ne!(hash(3, None), hash(4, None));
}

#[test]
fn a_planted_bug_fails_and_is_told_with_what_matters() {
    let scenario = small_fleet(3).with(Planted::OutboxTrimmedEarly);
    let (verdict, table) = verdict_on(&scenario, None);
    assert_eq!(verdict.verdict, "failed");
    assert!(table.contains("explain     muster sim replay …"), "{table}");
    let machine = verdict.violation.expect("found").machine;
    let telling = Telling {
        machine,
        steps_max: 30,
        ..Telling::default()
    };
    let (verdict, table) = verdict_on(&scenario, Some(telling));
    let told = verdict.told.expect("told");
    assert!(told.steps.len() <= 30 && !told.steps.is_empty());
    assert!(table.contains("its disk: highest record"), "{table}");
    assert!(table.contains("its stream in the log has"), "{table}");
    assert!(table.contains("verdict     FAILED: ForgottenIsHeld"), "{table}");
}

#[test]
fn what_is_told_ends_at_the_moment_that_was_asked_for() {
    let telling = Telling {
        until_s: Some(20),
        ..Telling::default()
    };
    let (verdict, table) = verdict_on(&small_fleet(3), Some(telling));
    assert_eq!(verdict.verdict, "clean until then");
    let last = verdict.told.expect("told").steps.pop().expect("steps");
    let second: u64 = last
        .trim_start()
        .split('.')
        .next()
        .and_then(|second| second.parse().ok())
        .expect("a step begins with its time");
    assert!(second < 20, "{last}");
    assert!(table.contains("How things stand then"), "{table}");
}
