use std::time::Duration;

use super::counts::{Runner, Tally, read};
use super::report::summary;
use super::steps::{STEPS, differing, tree};
use super::tools::major;
use super::{Options, Report, Verdict, choose};

/// Output of a runner, and how many tests it says passed and failed.
#[track_caller]
fn check(runner: Runner, output: &str, passed: u64, failed: u64) {
    let tally = read(runner, output);
    assert_eq!(
        (tally.passed, tally.failed),
        (passed, failed),
        "{runner:?} on {output:?}"
    );
}

#[test]
fn nextest_is_read() {
    check(
        Runner::Nextest,
        "     Summary [   0.050s] 12 tests run: 12 passed, 0 skipped",
        12,
        0,
    );
    let mixed = "Summary [  61.2s] 15/20 tests run: 10 passed (2 slow, 1 flaky, 1 leaky), 2 failed, 1 exec failed, \
                 2 timed out (1 x), 3 skipped";
    check(Runner::Nextest, mixed, 10, 5);
    check(
        Runner::Nextest,
        "\u{1b}[32;1m     Summary\u{1b}[0m [ 0.1s] \u{1b}[1m1\u{1b}[0m test run: 1 passed",
        1,
        0,
    );
    // What a failing test printed is not counted again.
    let nested = "test result: FAILED. 0 passed; 1 failed;\nSummary [ 1s] 2 tests run: 1 passed, 1 failed, 0 skipped\n FAIL x";
    check(Runner::Nextest, nested, 1, 1);
    check(Runner::Nextest, "error: could not compile", 0, 0);
}

#[test]
fn cargo_test_is_read() {
    let two = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
               test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured\n\
               test result: ok. 0 passed; 0 failed; 0 ignored";
    check(Runner::Libtest, two, 5, 4);
    assert_eq!(
        read(Runner::Libtest, two).summaries.len(),
        2,
        "the empty one is not worth a line"
    );
}

#[test]
fn script_runners_are_read() {
    check(
        Runner::Script,
        " Test Files  2 passed (2)\n      Tests  7 passed (7)\n   Start at  10:00:00",
        7,
        0,
    );
    check(
        Runner::Script,
        "      Tests  1 failed | 2 passed | 1 skipped (4)",
        2,
        1,
    );
    check(
        Runner::Script,
        "Running 4 tests using 1 worker\n\n  1 failed\n    [chromium] › a.ts\n  1 flaky\n  2 passed (5.3s)",
        3,
        1,
    );
    check(
        Runner::Script,
        "# tests 5\n# suites 0\n# pass 4\n# fail 1\n# duration_ms 10",
        4,
        1,
    );
    check(Runner::Script, "ℹ tests 5\nℹ pass 5\nℹ fail 0", 5, 0);
    check(
        Runner::Script,
        "3 vulnerabilities passed on\nwaited 5 passed by",
        0,
        0,
    );
}

fn report(name: &'static str, verdict: Verdict) -> Report {
    Report {
        name,
        verdict,
        took: Duration::from_millis(1250),
    }
}

fn tally(passed: u64, failed: u64, summary: &str) -> Tally {
    Tally {
        passed,
        failed,
        summaries: vec![summary.to_owned()],
        failures: Vec::new(),
    }
}

#[test]
fn the_last_line_holds_the_totals() {
    let reports = [
        report(
            "rust-tests",
            Verdict::Passed {
                tally: tally(10, 0, "Summary [ 1s] …"),
                note: String::new(),
            },
        ),
        report(
            "dashboard-unit",
            Verdict::Passed {
                tally: tally(5, 0, "Tests  5 passed (5)"),
                note: String::new(),
            },
        ),
        report(
            "outside",
            Verdict::LeftOut {
                why: "tests/outside does not exist yet".to_owned(),
            },
        ),
    ];
    let text = summary(&reports);
    assert!(
        text.ends_with("\nTests  5 passed (5)\nSummary [ 1s] …\n15 passed, 0 failed\n"),
        "{text}"
    );
    assert!(
        text.contains("outside            left out     1.2 s  tests/outside does not exist yet\n"),
        "{text}"
    );
}

#[test]
fn what_failed_is_named_at_the_end() {
    let nextest = "        PASS [ 0.1s] (1/3) a b\n        FAIL [ 0.2s] (2/3) muster-x it::y\n  TRY 1 noise\n     Summary [ 1s] 3 tests run: 2 passed, 1 failed\n        FAIL [ 0.2s] (2/3) muster-x it::y\n";
    let tally = read(Runner::Nextest, nextest);
    assert_eq!(tally.failures, ["FAIL [ 0.2s] (2/3) muster-x it::y"]);
    let browser = "  1) [mock] › tests/e2e/a.spec.ts:3:5 › opens ───\n\n    Error: it did not\n\n  1 failed\n    [mock] › tests/e2e/a.spec.ts:3:5 › opens ───\n  2 passed (3s)\n";
    let tally = read(Runner::Script, browser);
    assert_eq!(
        tally.failures[0],
        "1) [mock] › tests/e2e/a.spec.ts:3:5 › opens ───"
    );
    assert_eq!(tally.failures[1], "    Error: it did not");
    let text = summary(&[report(
        "dashboard-browser",
        Verdict::Failed {
            tally,
            why: "1 test failed".to_owned(),
        },
    )]);
    assert!(
        text.contains("what failed, in the runners' words:\n  1) [mock] ›"),
        "{text}"
    );
    assert!(text.ends_with("2 passed, 1 failed\n"), "{text}");
}

#[test]
fn a_broken_step_never_ends_in_zero_failed() {
    let reports = [
        report(
            "clippy",
            Verdict::Failed {
                tally: Tally::default(),
                why: "exit status: 101".to_owned(),
            },
        ),
        report(
            "rust-tests",
            Verdict::Failed {
                tally: tally(8, 2, "Summary …"),
                why: "exit status: 100".to_owned(),
            },
        ),
    ];
    let text = summary(&reports);
    assert!(text.contains("counted as one failure each: clippy\n"), "{text}");
    assert!(text.ends_with("\n8 passed, 3 failed\n"), "{text}");
}

#[test]
fn steps_are_chosen_by_name() {
    let names =
        |options: Options| -> Vec<&str> { choose(&options).unwrap().iter().map(|step| step.name).collect() };
    let own = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<String>>()
    };
    assert_eq!(
        names(Options {
            only: own(&["tidy", "format"]),
            ..Options::default()
        }),
        ["format", "tidy"]
    );
    let without = names(Options {
        skip: own(&["clippy"]),
        ..Options::default()
    });
    assert_eq!(without.len(), STEPS.len() - 1);
    assert!(
        names(Options {
            quick: true,
            ..Options::default()
        })
        .len()
            < STEPS.len()
    );
    assert!(
        choose(&Options {
            only: own(&["typo"]),
            ..Options::default()
        })
        .is_err()
    );
}

#[test]
fn step_names_are_unique() {
    for (index, step) in STEPS.iter().enumerate() {
        assert!(
            !STEPS[..index].iter().any(|other| other.name == step.name),
            "{}",
            step.name
        );
    }
}

#[test]
fn the_major_version_of_node_is_read() {
    assert_eq!(major("v20.20.2"), Some(20));
    assert_eq!(major("nothing"), None);
}

#[test]
fn a_drifted_build_is_found() {
    let folder = std::env::temp_dir().join(format!("xtask-dist-{}", std::process::id()));
    let put = |path: &str, text: &str| {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("inside a folder")).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put("index.html", "old");
    put("assets/same.js", "1");
    put("assets/gone.js", "1");
    let before = tree(&folder).unwrap();
    put("index.html", "new");
    put("assets/came.js", "1");
    std::fs::remove_file(folder.join("assets/gone.js")).unwrap();
    let drifted = differing(&before, &tree(&folder).unwrap());
    std::fs::remove_dir_all(&folder).unwrap();
    let drifted: Vec<String> = drifted
        .iter()
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    assert_eq!(drifted, ["assets/came.js", "assets/gone.js", "index.html"]);
    assert!(tree(&folder).unwrap().is_empty(), "no folder yet means no files");
}
