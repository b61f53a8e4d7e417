//! What people decide about a machine.

use std::collections::BTreeMap;

use super::*;

fn rename(bench: &mut Bench, request: u64, name: &str, expected: Option<StreamVersion>) {
    bench.step(Input::ChangeProfile {
        request: RequestId(request),
        machine: FIRST,
        change: ProfileChange::DisplayName(Some(name.to_owned())),
        expected,
    });
}

fn answers(bench: &mut Bench) -> Vec<(u64, Result<Option<String>, ProfileError>)> {
    let effects = std::mem::take(&mut bench.effects);
    let answers = effects.into_iter().filter_map(|effect| match effect {
        Effect::Answer { request, result } => {
            Some((request.0, result.map(|profile| profile.display_name.clone())))
        }
        _ => None,
    });
    answers.collect()
}

#[test]
fn a_change_is_answered_when_it_is_on_disk() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    rename(&mut bench, 1, "Ada", None);
    bench.take();
    assert_eq!(answers(&mut bench), []);
    bench.write();
    assert_eq!(answers(&mut bench), [(1, Ok(Some("Ada".to_owned())))]);
    assert_eq!(bench.view(FIRST).name(), "Ada");
    assert_eq!(bench.view(FIRST).profile.version, bench.view(FIRST).version);
}

#[test]
fn two_people_do_not_overwrite_each_other_unseen() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    let seen = bench.view(FIRST).profile.version;
    rename(&mut bench, 1, "Ada", Some(seen));
    rename(&mut bench, 2, "Bob", Some(seen));
    bench.settle();
    let answers = answers(&mut bench);
    assert_eq!(
        answers[0].0, 2,
        "the second is refused at once, with the first's change"
    );
    assert!(
        matches!(&answers[0].1, Err(ProfileError::Conflict { current }) if current.display_name.as_deref() == Some("Ada"))
    );
    assert_eq!(answers[1], (1, Ok(Some("Ada".to_owned()))));
    assert_eq!(bench.logged()[2..], ["renamed"]);
}

#[test]
fn what_changes_nothing_writes_nothing() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    bench.step(Input::ChangeProfile {
        request: RequestId(1),
        machine: FIRST,
        change: ProfileChange::Labels(BTreeMap::new()),
        expected: None,
    });
    bench.take();
    assert!(bench.waiting.is_empty());
    assert_eq!(answers(&mut bench), [(1, Ok(None))]);
}

#[test]
fn a_change_that_the_log_did_not_take_is_undone_and_said() {
    let mut bench = Bench::new();
    bench.connect(FIRST, 1);
    rename(&mut bench, 1, "Ada", None);
    bench.take();
    rename(&mut bench, 2, "Bob", None);
    bench.fail();
    let reason = "disk full".to_owned();
    let refused = |request| {
        (
            request,
            Err(ProfileError::NotPersisted {
                reason: reason.clone(),
            }),
        )
    };
    let mut answers = answers(&mut bench);
    answers.sort_by_key(|(request, _)| *request);
    assert_eq!(answers, [refused(1), refused(2)]);
    assert_eq!(bench.view(FIRST).profile.display_name, None);
}

#[test]
fn nobody_changes_a_machine_that_is_not_there() {
    let mut bench = Bench::new();
    rename(&mut bench, 1, "Ada", None);
    bench.take();
    assert_eq!(answers(&mut bench), [(1, Err(ProfileError::NoSuchMachine))]);
}
