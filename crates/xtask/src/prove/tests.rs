//! What is read from runners, and what becomes of it.

use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::{Amounts, Part, Verdict, l1_figures, passed, report, tests};

fn shell(script: &str) -> super::Ran {
    tests(Command::new("sh").args(["-c", script])).unwrap()
}

#[test]
fn figures_and_what_was_skipped_are_kept() {
    let ran = shell(
        "echo 'figure kill_9 rounds=9 lost=0'; echo 'skipped: needs root'; echo 'test result: ok. 2 passed; 0 failed;'",
    );
    assert_eq!(ran.verdict, Verdict::Held);
    assert_eq!(ran.figures, ["kill_9 rounds=9 lost=0"]);
    assert_eq!(ran.skipped, ["needs root"]);
}

#[test]
fn tests_that_fail_or_do_not_run_hold_nothing() {
    assert!(matches!(
        shell("echo 'test result: FAILED. 1 passed; 1 failed;'; exit 1").verdict,
        Verdict::Failed(_)
    ));
    assert!(matches!(
        shell("echo 'test result: ok. 0 passed; 0 failed;'").verdict,
        Verdict::Failed(_)
    ));
    assert_eq!(
        passed(&[
            "ok. 11 passed; 0 failed; 0 ignored".into(),
            "ok. 2 passed;".into()
        ]),
        13
    );
}

#[test]
fn the_report_says_what_failed_and_what_was_left_out() {
    let details = json!({
        "seeds": {"seeds": 500, "hash": "00ff", "failed": []},
        "kept": {"seeds": 3, "hash": "01", "failed": [{"seed": 7}]},
        "planted": [{"name": "stale-session", "caught": 40, "seeds": 400}],
    });
    let part = |name, verdict| Part {
        name,
        what: "something",
        verdict,
        took: Duration::from_secs(3),
        figures: l1_figures(&details),
        skipped: vec!["needs root".into()],
        details: details.clone(),
    };
    let parts = [
        part("l1", Verdict::Failed("ended with 1".into())),
        part("l2", Verdict::LeftOut("none".into())),
    ];
    let amounts = Amounts {
        seeds: 500,
        network_seeds: 5,
        rounds: 30,
        mutations: 10,
        seed: 1,
    };
    let text = report::markdown(&parts, "abc", &amounts);
    for said in [
        "Commit abc",
        "| l1 | FAILED: ended with 1 | 3 |",
        "| l2 | left out: none |",
        "- seeds run=500 failed=0 trace_hash=00ff",
        "- kept run=3 failed=1 trace_hash=01",
        "- planted stale-session caught=40 of=400",
        "- not shown: needs root",
    ] {
        assert!(text.contains(said), "{said} is not in\n{text}");
    }
    let document = report::document(&parts, "abc", &amounts);
    assert_eq!(document["parts"][0]["verdict"], "FAILED");
    assert_eq!(document["parts"][1]["why"], "none");
}
