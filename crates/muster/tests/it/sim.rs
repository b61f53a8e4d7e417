//! `muster sim run`, `replay` and `prove`, by their output and exit codes.

use std::process::{Command, Output};

use serde_json::Value;

fn muster(line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_muster"))
        .args(line.split_whitespace())
        .output()
        .expect("the executable starts")
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn document(line: &str) -> (Option<i32>, Value) {
    let output = muster(line);
    let document = serde_json::from_slice(&output.stdout).expect("the output is JSON");
    (code(&output), document)
}

const SMALL: &str = "sim run --machines 4 --hours 0.1 --faults radio --output json";

#[test]
fn equal_seeds_have_equal_hashes_and_a_clean_run_ends_with_0() {
    let (exit, once) = document(&format!("{SMALL} --seed 5"));
    let (_, again) = document(&format!("{SMALL} --seed 5"));
    let (_, other) = document(&format!("{SMALL} --seed 6"));
    assert_eq!(exit, Some(0), "{once}");
    assert_eq!(once["verdict"], "clean");
    assert_eq!(once["trace_hash"], again["trace_hash"]);
    assert_eq!(once["counts"], again["counts"]);
    assert_ne!(once["trace_hash"], other["trace_hash"]);
}

#[test]
fn the_same_run_comes_as_yaml() {
    let line = SMALL.replace("json", "yaml");
    let output = muster(&format!("{line} --seed 5"));
    let yaml: Value = yaml_serde::from_slice(&output.stdout).expect("the output is YAML");
    let (_, json) = document(&format!("{SMALL} --seed 5"));
    assert_eq!(yaml["trace_hash"], json["trace_hash"]);
    assert_eq!(yaml["timeline"], json["timeline"]);
}

#[test]
fn a_planted_bug_ends_with_1_and_says_which_check_failed() {
    let (exit, verdict) = document(&format!("{SMALL} --seed 5 --planted outbox-trimmed-early"));
    assert_eq!(exit, Some(1), "{verdict}");
    assert_eq!(verdict["verdict"], "failed");
    assert_eq!(verdict["violation"]["check"], "ForgottenIsHeld");
    let told = muster("sim run --replay 3 --explain --steps 20 --planted outbox-trimmed-early");
    let words = String::from_utf8_lossy(&told.stdout).into_owned();
    assert_eq!(code(&told), Some(1), "{words}");
    assert!(words.contains("How things stand then"), "{words}");
    assert!(words.contains("FAILED: "), "{words}");
}

#[test]
fn a_run_is_told_until_the_moment_that_was_asked_for() {
    let told = muster("sim replay 7 --until 20s --machine 0 --steps 10");
    let words = String::from_utf8_lossy(&told.stdout).into_owned();
    assert_eq!(code(&told), Some(0), "{words}");
    assert!(words.contains("machine 0"), "{words}");
    assert!(words.contains("clean until then"), "{words}");
}

#[test]
fn a_profile_that_is_wrong_ends_with_64_and_names_file_line_and_key() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("site.yaml");
    std::fs::write(&path, "reset:\n  every: 10m\n  lasts: 5s\n").expect("a file");
    let output = muster(&format!("sim run --faults {}", path.display()));
    assert_eq!(code(&output), Some(64));
    let said = said(&output);
    assert!(said.contains("MST-X003"), "{said}");
    assert!(
        said.contains("site.yaml:3: there is no key \"reset.lasts\""),
        "{said}"
    );
    assert!(said.contains("every, hits"), "{said}");
}

#[test]
fn what_is_not_accepted_ends_with_64_and_what_is() {
    for (line, says) in [
        ("sim run --faults raido", "none, radio, power"),
        ("sim run --machines 0", "1 to 20000"),
        ("sim run --hours 0", "0.017 to 840"),
        ("sim run --until 5s", "together with --explain"),
        ("sim run --planted nothing", "acknowledge-before-commit"),
        ("sim replay 1 --machine 99", "is accepted"),
        ("sim prove --seeds 0", "1 to 100000000"),
    ] {
        let output = muster(line);
        let said = said(&output);
        assert_eq!(code(&output), Some(64), "{line}: {said}");
        assert!(said.contains(says), "{line}: {said}");
    }
}

#[test]
fn a_proof_counts_seeds_and_planted_bugs() {
    let (exit, proof) = document("sim prove --seeds 20 --planted-seeds 0 --output json");
    assert_eq!(exit, Some(0), "{proof}");
    assert_eq!(proof["verdict"], "holds");
    assert_eq!(proof["seeds"]["seeds"], 20);
    assert!(proof["kept"]["seeds"].as_u64() > Some(5), "{proof}");
    assert_eq!(proof["seeds"]["failed"].as_array().map(Vec::len), Some(0));
    assert!(proof["planted"].as_array().map(Vec::len) >= Some(8), "{proof}");
    // Too few seeds to catch every planted bug: that is no proof, and says so.
    let (exit, proof) = document("sim prove --seeds 1 --planted-seeds 1 --output json");
    assert_eq!(exit, Some(1), "{proof}");
    assert_eq!(proof["verdict"], "failed");
}
