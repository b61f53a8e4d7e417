use super::*;
use crate::ids::MachineId;

const HOUR_MS: i64 = 3_600_000;

fn spec(strategy: Strategy) -> RolloutSpec {
    RolloutSpec {
        name: String::new(),
        product: "car-app".parse().unwrap(),
        version: "1.2.0".to_owned(),
        selection: "kind=car".to_owned(),
        strategy,
        pace: Pace::default(),
        gates: Gates::default(),
        window: None,
        failure: Failure::default(),
        late_joiners: LateJoiners::default(),
    }
}

fn rolling() -> RolloutSpec {
    spec(Strategy::Rolling(Rolling {
        batch: Amount::Percent(10),
        growth: 2,
    }))
}

#[test]
fn a_short_specification_is_enough() {
    let text = r#"{"product":"car-app","version":"1.2.0","strategy":{"canary":{"first":{"machines":1}}}}"#;
    let spec: RolloutSpec = serde_json::from_str(text).unwrap();
    assert_eq!(spec.check(), Ok(()));
    assert_eq!(spec.failure.percent, 20);
    assert_eq!(spec.shown_name(), "car-app 1.2.0");
    let again: RolloutSpec = serde_json::from_str(&serde_json::to_string(&spec).unwrap()).unwrap();
    assert_eq!(again, spec);
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_place() {
    let said = |change: &dyn Fn(&mut RolloutSpec)| {
        let mut spec = rolling();
        change(&mut spec);
        spec.check().unwrap_err().to_string()
    };
    assert_eq!(rolling().check(), Ok(()));
    type Change<'a> = &'a dyn Fn(&mut RolloutSpec);
    let cases: &[(Change<'_>, &str)] = &[
        (
            &|s| s.pace.parallel_max = 0,
            "pace.parallel_max: 0: 1 to 10000 are accepted",
        ),
        (
            &|s| s.pace.lease_s = 29,
            "pace.lease_s: 29: 30 to 604800 are accepted",
        ),
        (
            &|s| s.pace.starts_per_min = Some(0),
            "pace.starts_per_min: 0: 1 to 10000 are accepted",
        ),
        (
            &|s| s.failure.percent = 101,
            "failure.percent: 101: 0 to 100 are accepted",
        ),
        (
            &|s| s.version.clear(),
            "version: 0 characters: 1 to 64 are accepted",
        ),
        (&|s| s.selection = "kind".to_owned() + "=", "selection"),
        (
            &|s| {
                s.window = Some(Window {
                    from_min: 60,
                    to_min: 60,
                });
            },
            "window: from_min and to_min are the same: leave the window out if it is always open",
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(&said(change), expected);
    }
    let stage = |name: &str| Stage {
        name: name.to_owned(),
        selection: "region=munich".to_owned(),
        soak_s: None,
        approval: None,
    };
    let phases = vec![stage("munich"), stage("munich")];
    let twice = spec(Strategy::Staged(Staged { phases }));
    assert_eq!(twice.check(), Err(RolloutError::SameName("munich".to_owned())));
    let none = spec(Strategy::Staged(Staged { phases: Vec::new() }));
    assert!(none.check().is_err());
}

#[test]
fn a_window_opens_and_closes_also_over_midnight() {
    let at = |hour: i64| Timestamp::from_millis(20_000 * 24 * HOUR_MS + hour * HOUR_MS);
    let by_day = Window {
        from_min: 9 * 60,
        to_min: 17 * 60,
    };
    assert_eq!(by_day.open_until(at(8)), None);
    assert_eq!(by_day.open_until(at(9)), Some(at(17)));
    assert_eq!(by_day.open_until(at(16)), Some(at(17)));
    assert_eq!(by_day.open_until(at(17)), None);
    assert_eq!(by_day.opens_at(at(17)), at(33));
    assert_eq!(by_day.opens_at(at(10)), at(10));
    let by_night = Window {
        from_min: 22 * 60,
        to_min: 4 * 60,
    };
    assert_eq!(by_night.open_until(at(23)), Some(at(28)));
    assert_eq!(by_night.open_until(at(3)), Some(at(4)));
    assert_eq!(by_night.open_until(at(12)), None);
    assert_eq!(by_night.opens_at(at(12)), at(22));
    assert_eq!(by_night.to_string(), "22:00 to 04:00 UTC");
}

#[test]
fn an_amount_is_at_least_one() {
    assert_eq!(Amount::Percent(10).of(95), 10);
    assert_eq!(Amount::Percent(1).of(3), 1);
    assert_eq!(Amount::Machines(5).of(3), 5);
}

#[test]
fn entries_survive_the_log() {
    let machine = MachineId::from_uuid(uuid::Uuid::from_u128(7));
    let entries = [
        RolloutEntry::Placed {
            phase: 1,
            machines: vec![machine],
        },
        RolloutEntry::Acted {
            act: RolloutAct::RollBack { phase: Some(1) },
            by: "ada".to_owned(),
            reason: "it smokes".to_owned(),
        },
        RolloutEntry::Changed(vec![MachineChange {
            machine,
            stage: MachineStage::Failed,
            cause: Some(FailureCause::TooLate),
            why: vec!["fetching".to_owned()],
        }]),
    ];
    for entry in entries {
        let record = RolloutRecord {
            at: Timestamp::from_millis(1),
            entry,
        };
        let bytes = serde_json::to_vec(&record).unwrap();
        assert_eq!(serde_json::from_slice::<RolloutRecord>(&bytes).unwrap(), record);
    }
}
