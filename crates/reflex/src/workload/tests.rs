mod sequences;

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_model::workload::report::{WorkloadPhase, WorkloadSource};
use muster_model::workload::{HealthCheck, RestartPolicy, Workload, WorkloadName};

use super::*;

fn name(text: &str) -> WorkloadName {
    text.parse().unwrap()
}

fn native() -> Workload {
    Workload {
        program: Some("/bin/true".into()),
        ..Workload::default()
    }
}

fn wanted(workload: Workload) -> Wanted {
    Wanted {
        version: workload.version(),
        workload: Arc::new(workload),
        source: WorkloadSource::Machine,
        conflict: false,
    }
}

fn want(all: &[(&str, Workload)]) -> Input {
    let all = all
        .iter()
        .map(|(text, workload)| (name(text), wanted(workload.clone())));
    Input::Wanted(all.collect())
}

fn started(text: &str, instance: Instance) -> Input {
    Input::Started {
        name: name(text),
        instance,
        runner: "own".into(),
        granted: Vec::new(),
    }
}

fn exited(text: &str, instance: Instance, code: i32) -> Input {
    Input::Exited {
        name: name(text),
        instance,
        exit: Exit {
            code: Some(code),
            ..Exit::UNKNOWN
        },
    }
}

fn asked(text: &str, ask: Ask) -> Input {
    Input::Asked {
        name: name(text),
        ask,
    }
}

/// The effects in short.
fn short(effects: &[Effect]) -> String {
    let words = effects.iter().map(|effect| match effect {
        Effect::Start { name, instance, .. } => format!("start {name} {instance}"),
        Effect::Signal { name, instance, .. } => format!("signal {name} {instance}"),
        Effect::Kill { name, instance } => format!("kill {name} {instance}"),
        Effect::Check { name, instance, .. } => format!("check {name} {instance}"),
        Effect::Hold { name, held } => format!("hold {name} {held}"),
        Effect::Rest { name, rest: None } => format!("may start {name}"),
        Effect::Rest {
            name,
            rest: Some(Rest { instance, failed }),
        } => {
            let what = if failed.is_some() { "given up" } else { "done" };
            format!("{what} {name} {instance}")
        }
        Effect::Forget(name) => format!("forget {name}"),
        Effect::Tell { kind, .. } => kind.trim_start_matches("workload.").to_owned(),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn phase(workloads: &Workloads, text: &str) -> (WorkloadPhase, Option<String>) {
    let name = name(text);
    let standing = workloads
        .standing()
        .find(|standing| *standing.name == name)
        .unwrap();
    (standing.phase, standing.reason.map(str::to_owned))
}

/// Steps through a script and compares what is done.
fn script(steps: Vec<(u64, Input, &str)>) -> Workloads {
    let mut workloads = Workloads::default();
    for (at, (now_ms, input, expected)) in steps.into_iter().enumerate() {
        let shown = format!("{input:?}");
        let effects = workloads.step(now_ms, input);
        assert_eq!(short(&effects), expected, "step {at}: {shown}");
    }
    workloads
}

#[test]
fn a_workload_is_started_started_again_and_given_up() {
    let mut workload = native();
    workload.restart.limit = 2;
    let workloads = script(vec![
        (0, want(&[("a", workload)]), "start a 1"),
        (5, started("a", 1), "started"),
        (10, exited("a", 1, 3), "exited, restarted"),
        (1_009, Input::Time, ""),
        (1_010, Input::Time, "start a 2"),
        (1_015, started("a", 2), "started"),
        (1_020, exited("a", 2, 3), "exited, restarted"),
        (3_019, Input::Time, ""),
        (3_020, Input::Time, "start a 3"),
        (3_030, exited("a", 3, 3), "exited, given up a 3, failed"),
        (999_999_999, Input::Time, ""),
    ]);
    let (phase, why) = phase(&workloads, "a");
    assert_eq!(phase, WorkloadPhase::Failed);
    assert_eq!(why.unwrap(), "started again 2 times within 600 s, last: exit 3");
}

#[test]
fn a_window_lets_a_workload_be_started_again_for_ever_if_seldom_enough() {
    let mut workload = native();
    workload.restart.limit = 1;
    script(vec![
        (0, want(&[("a", workload)]), "start a 1"),
        (0, exited("a", 1, 1), "exited, restarted"),
        (1_000, Input::Time, "start a 2"),
        (700_000, exited("a", 2, 1), "exited, restarted"),
        (701_000, Input::Time, "start a 3"),
        (702_000, exited("a", 3, 1), "exited, given up a 3, failed"),
    ]);
}

#[test]
fn policies_say_which_ends_are_answered() {
    for (policy, code, expected) in [
        (RestartPolicy::Never, 0, "exited, done a 1"),
        (RestartPolicy::Never, 1, "exited, given up a 1, failed"),
        (RestartPolicy::OnFailure, 0, "exited, done a 1"),
        (RestartPolicy::OnFailure, 1, "exited, restarted"),
        (RestartPolicy::Always, 0, "exited, restarted"),
        (RestartPolicy::Always, 1, "exited, restarted"),
    ] {
        let mut workload = native();
        workload.restart.policy = policy;
        script(vec![
            (0, want(&[("a", workload)]), "start a 1"),
            (1, started("a", 1), "started"),
            (2, exited("a", 1, code), expected),
        ]);
    }
}

#[test]
fn what_is_not_wanted_is_ended_and_killed_if_it_must_be() {
    script(vec![
        (0, want(&[("a", native())]), "start a 1"),
        (1, want(&[]), ""),
        (2, started("a", 1), "started, signal a 1"),
        (10_001, Input::Time, ""),
        (10_002, Input::Time, "kill a 1"),
        (12_002, Input::Time, "kill a 1"),
        (12_003, exited("a", 1, 0), "exited, forget a"),
    ]);
}

#[test]
fn another_definition_ends_the_old_before_it_starts_the_new() {
    let mut other = native();
    other.arguments.push("x".into());
    script(vec![
        (0, want(&[("a", native())]), "start a 1"),
        (1, started("a", 1), "started"),
        (2, want(&[("a", other.clone())]), "signal a 1"),
        (3, want(&[("a", other)]), ""),
        (4, exited("a", 1, 0), "exited, start a 2"),
    ]);
}

#[test]
fn wanted_again_while_it_ends_it_is_started_anew_however_it_ended() {
    let mut once = native();
    once.restart.policy = RestartPolicy::Never;
    script(vec![
        (0, want(&[("a", once.clone())]), "start a 1"),
        (1, started("a", 1), "started"),
        (2, want(&[]), "signal a 1"),
        (3, want(&[("a", once)]), ""),
        (4, exited("a", 1, 0), "exited, start a 2"),
        (5, started("a", 2), "started"),
        (6, asked("a", Ask::Stop), "hold a true, signal a 2"),
        (7, asked("a", Ask::Start), "hold a false"),
        (8, exited("a", 2, 0), "exited, start a 3"),
    ]);
}

#[test]
fn somebody_beside_the_machine_stops_starts_and_starts_anew() {
    script(vec![
        (0, want(&[("a", native())]), "start a 1"),
        (1, started("a", 1), "started"),
        (2, asked("a", Ask::Restart), "signal a 1"),
        (3, exited("a", 1, 0), "exited, start a 2"),
        (4, started("a", 2), "started"),
        (5, asked("a", Ask::Stop), "hold a true, signal a 2"),
        (6, exited("a", 2, 143), "exited"),
        (7, want(&[("a", native())]), ""),
        (8, asked("a", Ask::Start), "hold a false, start a 3"),
        (9, asked("nobody", Ask::Start), ""),
    ]);
}

#[test]
fn who_waits_for_others_is_started_when_they_work() {
    let mut base = native();
    base.health = Some(HealthCheck {
        interval_s: 1,
        ..HealthCheck::default()
    });
    let mut late = native();
    late.after = vec![name("base"), name("missing")];
    let mut workloads = Workloads::default();
    let first = workloads.step(0, want(&[("base", base.clone()), ("late", late.clone())]));
    assert_eq!(short(&first), "start base 1");
    assert_eq!(workloads.step(1, started("base", 1)).len(), 1);
    assert_eq!(
        phase(&workloads, "late"),
        (WorkloadPhase::Pending, Some("waits for base".into()))
    );
    assert_eq!(short(&workloads.step(1_001, Input::Time)), "check base 1");
    let checked = Input::Checked {
        name: name("base"),
        instance: 1,
        problem: None,
    };
    assert_eq!(short(&workloads.step(1_002, checked)), "healthy");
    let why = Some("waits for missing, which is not there".to_owned());
    assert_eq!(phase(&workloads, "late"), (WorkloadPhase::Pending, why));
    late.after.pop();
    let all = want(&[("base", base), ("late", late)]);
    assert_eq!(short(&workloads.step(1_003, all)), "start late 1");
}

#[test]
fn what_does_not_work_is_ended_and_started_again() {
    let mut workload = native();
    workload.health = Some(HealthCheck {
        interval_s: 1,
        retries: 2,
        ..HealthCheck::default()
    });
    let bad = || Input::Checked {
        name: name("a"),
        instance: 1,
        problem: Some("no answer".into()),
    };
    script(vec![
        (0, want(&[("a", workload.clone())]), "start a 1"),
        (0, started("a", 1), "started"),
        (1_000, Input::Time, "check a 1"),
        (1_001, Input::Time, ""),
        (1_002, bad(), ""),
        (2_002, Input::Time, "check a 1"),
        (2_003, bad(), "signal a 1, unhealthy"),
        (2_004, exited("a", 1, 0), "exited, restarted"),
        (3_004, Input::Time, "start a 2"),
    ]);
    workload.health.as_mut().unwrap().restart = false;
    let workloads = script(vec![
        (0, want(&[("a", workload)]), "start a 1"),
        (0, started("a", 1), "started"),
        (1_000, Input::Time, "check a 1"),
        (1_002, bad(), ""),
        (2_002, Input::Time, "check a 1"),
        (2_003, bad(), "unhealthy"),
        (3_003, Input::Time, "check a 1"),
        (3_004, bad(), ""),
    ]);
    assert_eq!(
        phase(&workloads, "a"),
        (WorkloadPhase::Unhealthy, Some("no answer".into()))
    );
}

fn found(exit: Option<Exit>, workload: &Workload, held: bool) -> Input {
    Input::Found(Found {
        name: name("a"),
        instance: 7,
        version: workload.version(),
        workload: Arc::new(workload.clone()),
        exit,
        runner: "own".into(),
        granted: Vec::new(),
        held,
        rest: None,
        rebooted: false,
    })
}

/// The same, of which something was noted, or after the computer was started anew.
fn found_again(input: Input, noted: Option<Option<&str>>, is_rebooted: bool) -> Input {
    let Input::Found(mut found) = input else {
        panic!("nothing was found");
    };
    found.rest = noted.map(|failed| Rest {
        instance: found.instance,
        failed: failed.map(str::to_owned),
    });
    found.rebooted = is_rebooted;
    Input::Found(found)
}

fn code(code: i32) -> Exit {
    Exit {
        code: Some(code),
        ..Exit::UNKNOWN
    }
}

#[test]
fn what_a_runtime_before_left_is_taken_over() {
    let well = code(0);
    let mut other = native();
    other.arguments.push("x".into());
    let want = || want(&[("a", native())]);
    // It runs, and is wanted: nothing is done.
    script(vec![(0, found(None, &native(), false), ""), (1, want(), "")]);
    // It runs, and is another: ended first.
    script(vec![
        (0, found(None, &other, false), ""),
        (1, want(), "signal a 7"),
        (2, exited("a", 7, 0), "exited, start a 8"),
    ]);
    // It runs, and nobody wants it.
    script(vec![
        (0, found(None, &native(), false), ""),
        (1, Input::Time, ""),
        (2, Input::Wanted(BTreeMap::new()), "signal a 7"),
        (3, exited("a", 7, 0), "exited, forget a"),
    ]);
    // It ended well while nobody looked: done. Badly, or nobody knows how: started again.
    script(vec![
        (0, found(Some(well.clone()), &native(), false), ""),
        (1, want(), ""),
    ]);
    script(vec![
        (0, found(Some(Exit::UNKNOWN), &native(), false), ""),
        (1, want(), "start a 8"),
    ]);
    // Stopped by somebody, before.
    script(vec![
        (0, found(Some(well), &native(), true), ""),
        (1, want(), ""),
        (2, asked("a", Ask::Start), "hold a false, may start a, start a 8"),
    ]);
}

#[test]
fn what_failed_for_good_stays_so_until_another_definition_comes_or_somebody_starts_it() {
    let why = "started again 5 times within 600 s, last: exit 3";
    let failed = || found_again(found(Some(code(3)), &native(), false), Some(Some(why)), true);
    let want = || want(&[("a", native())]);
    let mut other = native();
    other.arguments.push("x".into());
    let workloads = script(vec![
        (0, failed(), ""),
        (1, want(), ""),
        (999_999, Input::Time, ""),
    ]);
    let expected = (WorkloadPhase::Failed, Some(why.to_owned()));
    assert_eq!(phase(&workloads, "a"), expected);
    for ask in [Ask::Start, Ask::Restart] {
        script(vec![
            (0, failed(), ""),
            (1, want(), ""),
            (2, asked("a", ask), "may start a, start a 8"),
        ]);
    }
    // Who stops it wants it stopped, and does not make it well.
    let workloads = script(vec![
        (0, failed(), ""),
        (1, want(), ""),
        (2, asked("a", Ask::Stop), "hold a true"),
    ]);
    assert_eq!(phase(&workloads, "a"), expected);
    script(vec![
        (0, failed(), ""),
        (
            1,
            Input::Wanted(BTreeMap::from([(name("a"), wanted(other))])),
            "start a 8",
        ),
    ]);
    script(vec![
        (0, failed(), ""),
        (1, Input::Wanted(BTreeMap::new()), "forget a"),
    ]);
}

#[test]
fn what_is_to_run_once_and_ended_badly_while_nobody_looked_has_failed() {
    let mut once = native();
    once.restart.policy = RestartPolicy::Never;
    for exit in [code(1), Exit::UNKNOWN] {
        let workloads = script(vec![
            (0, found(Some(exit), &once, false), "given up a 7, failed"),
            (1, want(&[("a", once.clone())]), ""),
        ]);
        assert_eq!(phase(&workloads, "a").0, WorkloadPhase::Failed);
    }
    script(vec![
        (0, found_again(found(Some(code(0)), &once, false), None, true), ""),
        (1, want(&[("a", once)]), ""),
    ]);
}

#[test]
fn what_ended_because_the_computer_did_is_started_again_and_what_was_done_is_not() {
    let want = || want(&[("a", native())]);
    let ended = || found(Some(code(0)), &native(), false);
    // Asked to end by a computer that is shut down, it ends well, and nobody looks.
    script(vec![
        (0, found_again(ended(), None, true), ""),
        (1, want(), "start a 8"),
    ]);
    script(vec![
        (0, found_again(ended(), Some(None), true), ""),
        (1, want(), ""),
    ]);
    // Somebody looked, and it was told who asked.
    let by_others = Exit {
        by_others: true,
        ..code(0)
    };
    let exited = Input::Exited {
        name: name("a"),
        instance: 7,
        exit: by_others.clone(),
    };
    script(vec![
        (0, found(None, &native(), false), ""),
        (1, want(), ""),
        (2, exited, "exited, restarted"),
    ]);
    script(vec![
        (0, found(Some(by_others), &native(), false), ""),
        (1, want(), "start a 8"),
    ]);
}

#[test]
fn what_cannot_be_granted_is_refused_until_another_definition_comes() {
    let refused = Input::NotStarted {
        name: name("a"),
        instance: 1,
        why: "memory: not permitted".into(),
        for_good: true,
        granted: Vec::new(),
    };
    let mut other = native();
    other.best_effort = true;
    script(vec![
        (0, want(&[("a", native())]), "start a 1"),
        (1, refused, "given up a 1, failed"),
        (2, want(&[("a", native())]), ""),
        (3, want(&[("a", other)]), "start a 2"),
    ]);
}

#[test]
fn of_two_sources_that_differ_neither_is_silently_overwritten() {
    let mut other = native();
    other.arguments.push("x".into());
    let of = |workload: &Workload| BTreeMap::from([(name("a"), workload.clone())]);
    let both = together(&of(&native()), &of(&other));
    assert!(both[&name("a")].conflict);
    assert_eq!(both[&name("a")].source, WorkloadSource::Machine);
    assert_eq!(*both[&name("a")].workload, native());
    assert!(!together(&of(&native()), &of(&native()))[&name("a")].conflict);
    let fleet = together(&BTreeMap::new(), &of(&other));
    assert_eq!(
        (fleet[&name("a")].source, fleet[&name("a")].conflict),
        (WorkloadSource::Fleet, false)
    );
}
