use super::disk::{Recorded, build};
use super::judge::Judge;
use super::record::Lie;
use super::script::{Bugs, Outcome, new, old, run};
use crate::slots::{Planted, SlotError};

/// One finding of an update is enough.
const FINDINGS_MAX: usize = 1;

#[derive(Debug, Default)]
struct Verdict {
    cuts: usize,
    looked: usize,
    findings: Vec<String>,
}

fn cut(is_first: bool, outcome: Outcome, bugs: Bugs) -> (Verdict, Result<(), SlotError>) {
    let folder = tempfile::tempdir().unwrap();
    let (operations, ended) = run(folder.path(), is_first, outcome, bugs);
    let recorded = Recorded::new(operations);
    let judge = Judge {
        old: (!is_first).then(old),
        new: new(),
    };
    let mut verdict = Verdict {
        cuts: recorded.cuts(),
        ..Verdict::default()
    };
    recorded.each(|left| {
        if verdict.findings.len() >= FINDINGS_MAX {
            return;
        }
        verdict.looked += 1;
        let folder = tempfile::tempdir().unwrap();
        build(&left.content, folder.path());
        if let Err(what) = judge.look(folder.path(), &left) {
            verdict
                .findings
                .push(format!("{what}; {}; promised {:?}", left.how, left.promised));
        }
    });
    (verdict, ended)
}

#[test]
fn row_17_after_a_power_cut_at_any_instant_the_old_or_the_new_version_is_whole() {
    for (is_first, outcome) in [
        (false, Outcome::Confirmed),
        (false, Outcome::Unhealthy),
        (false, Outcome::CrashLoop),
        (false, Outcome::Returned),
        (true, Outcome::Confirmed),
        (true, Outcome::CrashLoop),
    ] {
        let (verdict, ended) = cut(is_first, outcome, Bugs::default());
        ended.unwrap();
        assert_eq!(verdict.findings, [""; 0], "first: {is_first}, {outcome:?}");
        println!(
            "figure row 17 first={is_first} outcome={outcome:?} cuts={} directories={} findings=0",
            verdict.cuts, verdict.looked
        );
        assert!(
            verdict.cuts > 80 && verdict.looked > 120,
            "{verdict:?}: hardly anything was looked at"
        );
    }
}

#[test]
fn every_planted_bug_is_found() {
    let lie = |lie| Bugs {
        lie: Some(lie),
        ..Bugs::default()
    };
    let planted = |planted| Bugs {
        planted: Some(planted),
        ..Bugs::default()
    };
    let bugs = [
        ("blobs are not synced", lie(Lie::SyncsNoFile("blobs/"))),
        (
            "files of a slot are not synced",
            lie(Lie::SyncsNoFile("slots/app/a/")),
        ),
        ("the state is not synced", lie(Lie::SyncsNoFile("state.new"))),
        (
            "the manifest of a slot is not synced",
            lie(Lie::SyncsNoFile("a.json.new")),
        ),
        (
            "folders of blobs are not synced",
            lie(Lie::SyncsNoDirectory("blobs")),
        ),
        (
            "a directory in a slot is not synced",
            lie(Lie::SyncsNoDirectory("share/deep")),
        ),
        (
            "the root of a slot is not synced",
            lie(Lie::SyncsNoDirectory("app/a")),
        ),
        (
            "the directory of the slots is not synced",
            lie(Lie::SyncsNoDirectory("slots/app")),
        ),
        (
            "a slot is filled while it counts as whole",
            planted(Planted::SlotIsNotGivenUp),
        ),
        (
            "a start is counted in memory",
            planted(Planted::CountedAfterTheStart),
        ),
        (
            "current is removed before it is made",
            planted(Planted::CurrentIsRemovedFirst),
        ),
        (
            "a start is counted after it",
            Bugs {
                starts_first: true,
                ..Bugs::default()
            },
        ),
        (
            "a slot is not verified again, on a disk that lies",
            Bugs {
                lie: Some(Lie::ChangesWhatIsWritten("slots/app/a")),
                planted: Some(Planted::NotVerifiedAgain),
                ..Bugs::default()
            },
        ),
    ];
    for (name, bugs) in bugs {
        let (verdict, _) = cut(false, Outcome::Confirmed, bugs);
        assert!(
            !verdict.findings.is_empty(),
            "{name}: not found in {} directories",
            verdict.looked
        );
        println!("planted: {name}: {}", verdict.findings[0]);
    }
}

#[test]
fn a_disk_that_keeps_something_else_is_noticed_before_anything_changes() {
    let bugs = Bugs {
        lie: Some(Lie::ChangesWhatIsWritten("slots/app/a")),
        ..Bugs::default()
    };
    let (verdict, ended) = cut(false, Outcome::Confirmed, bugs);
    assert!(matches!(ended, Err(SlotError::NotWhole { .. })), "{ended:?}");
    assert_eq!(verdict.findings, [""; 0]);
}
