//! What a plan says.

use std::sync::Arc;

use muster_model::release::{ProductReport, ReleaseName, RunningRelease, UpdatesReport};
use muster_model::rollout::{
    Amount, Canary, Requirement, RequirementTest, Rolling, RolloutError, Stage, Staged, Strategy, Window,
};
use muster_model::state::{Identity, Operation, Power};
use muster_model::vocabulary::{Authority, Mission, Mode, Safety};
use muster_model::{MachineView, Presence, Timestamp};

use super::world::{NOON, digest, id, machine, product, release, spec};
use crate::rollout::plan::entries;
use crate::rollout::{Plan, Question, plan};

fn view(number: u128, region: &str) -> MachineView {
    let mut view = MachineView::new(machine(number), NOON);
    view.presence = Presence::Online;
    view.reported.identity = Some(Arc::new(Identity {
        name: format!("car {number}"),
        kind: "car".to_owned(),
        region: Some(region.to_owned()),
    }));
    view
}

fn asked(spec: &muster_model::rollout::RolloutSpec, views: &[MachineView]) -> Result<Plan, RolloutError> {
    let mut release = release();
    release.kinds = vec!["car".to_owned()];
    release.preconditions = vec![
        Requirement {
            reading: "mode".to_owned(),
            test: RequirementTest::In(vec!["parked".to_owned(), "charging".to_owned()]),
        },
        Requirement {
            reading: "battery_percent".to_owned(),
            test: RequirementTest::AtLeast(40),
        },
    ];
    let question = Question {
        id: &id(),
        spec,
        release: &release,
        now: NOON,
        bytes: &|_| Some(1_000),
        typical_ms: Some(60_000),
    };
    plan(&question, views)
}

fn runs(version: &str, counter: u64, letter: char) -> Arc<UpdatesReport> {
    let running = RunningRelease {
        release: ReleaseName {
            version: version.to_owned(),
            counter,
            manifest: digest(letter),
        },
        confirmed: true,
        start: 1,
        started_at: None,
    };
    Arc::new(UpdatesReport {
        stopped: false,
        products: vec![ProductReport {
            product: product().to_string(),
            running: Some(running),
            other: None,
            update: None,
        }],
    })
}

#[test]
fn who_does_not_get_it_and_why() {
    let mut views: Vec<MachineView> = (1..=5).map(|number| view(number, "munich")).collect();
    views[1].reported.updates = Some(runs("2.0.0", 2, 'b'));
    views[2].reported.updates = Some(runs("3.0.0", 3, 'c'));
    views[3].reported.identity = Some(Arc::new(Identity {
        name: "cook".to_owned(),
        kind: "stove".to_owned(),
        region: None,
    }));
    views[4].reported.identity = None;
    let plan = asked(&spec(), &views).unwrap();
    assert_eq!(plan.machines(), 1);
    let why: Vec<&str> = plan.left_out.iter().map(|(_, why)| why.as_str()).collect();
    let expected = [
        "it runs 2.0.0 already",
        "it runs 3.0.0, which is newer",
        "it is a stove; the release is for car",
        "its kind is not known; the release is for car",
    ];
    assert_eq!(why, expected);
    assert_eq!(plan.bytes, Some(1_000));
}

#[test]
fn who_is_blocked_now_in_words_and_who_is_silent_for_how_long() {
    let mut views = vec![view(1, "munich"), view(2, "munich")];
    views[0].reported.operation = Some(Arc::new(Operation {
        mode: Mode::Driving,
        safety: Safety::Operational,
        held_by: Vec::new(),
        at_rest: None,
        authority: Authority::None,
        mission: Mission::Idle,
    }));
    views[0].reported.power = Some(Arc::new(Power {
        battery_percent: Some(31.0),
        charging: false,
        external_supply: false,
        volts: None,
        amperes: None,
    }));
    views[1].presence = Presence::Lost;
    views[1].last_seen = NOON.plus_millis(-3_600_000);
    let plan = asked(&spec(), &views).unwrap();
    let machines = &plan.phases[0].machines;
    assert_eq!(
        machines[0].blocked,
        [
            "driving, wanted parked or charging",
            "battery percent 31 % < 40 %"
        ]
    );
    assert_eq!(machines[0].unreachable_ms, None);
    assert_eq!(machines[1].unreachable_ms, Some(3_600_000));
    assert_eq!(
        machines[1].blocked,
        ["mode is not known", "battery percent is not known"]
    );
}

#[test]
fn batches_grow() {
    let views: Vec<MachineView> = (1..=20).map(|number| view(number, "munich")).collect();
    let mut spec = spec();
    for (batch, growth, expected) in [
        (Amount::Machines(5), 1, vec![5, 5, 5, 5]),
        (Amount::Percent(10), 1, vec![2; 10]),
        (Amount::Machines(1), 2, vec![1, 2, 4, 8, 5]),
    ] {
        spec.strategy = Strategy::Rolling(Rolling { batch, growth });
        let plan = asked(&spec, &views).unwrap();
        let sizes: Vec<usize> = plan.phases.iter().map(|phase| phase.machines.len()).collect();
        assert_eq!(sizes, expected);
    }
    spec.strategy = Strategy::Canary(Canary {
        first: Amount::Percent(5),
    });
    let plan = asked(&spec, &views).unwrap();
    let names: Vec<&str> = plan
        .phases
        .iter()
        .map(|phase| phase.facts.name.as_str())
        .collect();
    assert_eq!(names, ["canary", "rest"]);
    assert_eq!(
        (plan.phases[0].machines.len(), plan.phases[1].machines.len()),
        (1, 19)
    );
}

#[test]
fn stages_have_their_machines_soaks_and_approvals() {
    let mut views: Vec<MachineView> = (1..=4).map(|number| view(number, "munich")).collect();
    views.extend((5..=7).map(|number| view(number, "berlin")));
    views.push(view(8, "paris"));
    let stage = |name: &str| Stage {
        name: name.to_owned(),
        selection: format!("region={name}"),
        soak_s: None,
        approval: None,
    };
    let mut spec = spec();
    spec.gates.soak_s = 300;
    spec.gates.approval = true;
    spec.strategy = Strategy::Staged(Staged {
        phases: vec![stage("munich"), stage("berlin")],
    });
    let plan = asked(&spec, &views).unwrap();
    assert_eq!(plan.phases.len(), 2);
    assert_eq!(
        (plan.phases[0].machines.len(), plan.phases[1].machines.len()),
        (4, 3)
    );
    assert_eq!(
        (plan.phases[0].facts.approval, plan.phases[1].facts.approval),
        (false, true)
    );
    assert_eq!(plan.left_out, [(machine(8), "no phase means it".to_owned())]);
    // Munich: 4 machines, 2 places: 2 minutes, and 5 of soak. Berlin: 3 machines: 50 % of 3 may fail: 2 places: 2 minutes, and 5.
    assert_eq!(plan.ends_at, Some(NOON.plus_millis(14 * 60_000)));
}

#[test]
fn the_expected_end_knows_window_and_rate() {
    let views: Vec<MachineView> = (1..=10).map(|number| view(number, "munich")).collect();
    let mut spec = spec();
    spec.pace.parallel_max = 1;
    // Ten minutes of work in windows of four minutes: from 13:00 on, three days.
    spec.window = Some(Window {
        from_min: 13 * 60,
        to_min: 13 * 60 + 4,
    });
    let plan = asked(&spec, &views).unwrap();
    let expected = NOON.plus_millis((2 * 24 * 60 + 62) * 60_000);
    assert_eq!(plan.ends_at, Some(expected));
    spec.window = None;
    spec.pace.parallel_max = 100;
    spec.failure.percent = 100;
    spec.pace.starts_per_min = Some(1);
    let plan = asked(&spec, &views).unwrap();
    assert_eq!(plan.ends_at, Some(NOON.plus_millis(10 * 60_000)));
}

#[test]
fn a_plan_of_too_many_phases_is_refused() {
    let views: Vec<MachineView> = (1..=1_200).map(|number| view(number, "munich")).collect();
    let mut spec = spec();
    spec.strategy = Strategy::Rolling(Rolling {
        batch: Amount::Machines(1),
        growth: 1,
    });
    assert_eq!(
        asked(&spec, &views),
        Err(RolloutError::TooManyPhases { phases: 1_200 })
    );
}

#[test]
fn a_plan_comes_into_the_log_whole() {
    let mut views: Vec<MachineView> = (1..=12_000).map(|number| view(number, "munich")).collect();
    views[0].reported.identity = None;
    let plan = asked(&spec(), &views).unwrap();
    let spec = spec();
    let mut log = vec![muster_model::rollout::RolloutRecord {
        at: NOON,
        entry: muster_model::rollout::RolloutEntry::Created {
            spec: Box::new(spec),
            release: Box::new(release()),
            by: "ada".to_owned(),
            reason: String::new(),
        },
    }];
    for entry in entries(&plan, "ada") {
        let record = muster_model::rollout::RolloutRecord {
            at: Timestamp::from_millis(NOON.as_millis() + 1),
            entry,
        };
        assert!(
            serde_json::to_vec(&record).unwrap().len() < 1 << 20,
            "an entry of the log"
        );
        log.push(record);
    }
    let rollout = crate::rollout::Rollout::fold(&log).unwrap();
    assert_eq!(rollout.machines.len(), 11_999);
    assert_eq!(rollout.left_out.len(), 1);
    assert_eq!(rollout.counts().pending, 11_999);
}
