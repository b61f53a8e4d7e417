use muster_model::calibration::CalibrationKind;
use proptest::prelude::*;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(second * 1_000)
}

fn profile(factor: f64) -> Profile {
    Profile {
        kind: CalibrationKind::Sensor,
        unit: "°C".to_owned(),
        input: Range {
            min: -50.0,
            max: 150.0,
        },
        output: None,
        clamp: false,
        axes: 1,
        stages: vec![Stage::Scale { factor, axis: None }],
        author: String::new(),
        note: String::new(),
        measured_at: None,
    }
}

fn desired(entries: &[(&str, f64, bool)]) -> DesiredCalibrations {
    let entries = entries.iter().map(|(device, factor, overrule)| {
        let entry = DesiredProfile {
            profile: profile(*factor),
            overrule: *overrule,
        };
        ((*device).to_owned(), entry)
    });
    DesiredCalibrations(entries.collect())
}

fn none() -> Limits {
    Limits::default()
}

/// What a reading of 10 of the device comes out as.
fn reads(book: &Book, device: &str) -> f64 {
    book.in_force(&none()).0.apply(device, 10.0).unwrap().value
}

fn status(verdicts: &[Verdict]) -> DesiredStatus {
    outcome(verdicts).0
}

#[test]
fn versions_are_applied_and_rolled_back() {
    let mut book = Book::default();
    assert_eq!(reads(&book, "t"), 10.0);
    assert_eq!(book.apply(at(1), "t", profile(2.0), "new", &none()), Ok(1));
    assert_eq!(book.apply(at(2), "t", profile(3.0), "better", &none()), Ok(2));
    assert_eq!(reads(&book, "t"), 30.0);
    assert_eq!(book.roll_back(at(3), "t", None, &none()), Ok(1));
    assert_eq!(reads(&book, "t"), 20.0);
    assert_eq!(book.roll_back(at(4), "t", None, &none()), Ok(2), "and back again");
    assert_eq!(book.roll_back(at(5), "t", Some(0), &none()), Ok(0));
    assert_eq!(reads(&book, "t"), 10.0);
    assert_eq!(
        book.apply(at(6), "t", profile(2.0), "again", &none()),
        Ok(1),
        "the same profile is the same version"
    );
    let report = book.report().unwrap();
    let device = &report.devices[0];
    assert_eq!(
        (device.version, device.source, device.since, device.versions),
        (1, Source::Local, at(6), 2)
    );
    assert_eq!((&device.profile, &device.drift), (&Some(profile(2.0)), &None));
    for (refused, why) in [
        (book.roll_back(at(7), "t", Some(9), &none()), "no version 9"),
        (
            book.roll_back(at(7), "x", None, &none()),
            "no calibration of a device",
        ),
        (book.follow(at(7), "t", &none()), "desires nothing"),
        (
            book.apply(at(7), "t", profile(0.0), "", &none()),
            "stages[0].scale.factor",
        ),
        (book.apply(at(7), "", profile(1.0), "", &none()), "a name of"),
    ] {
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    assert_eq!(reads(&book, "t"), 20.0, "nothing of it counts");
}

#[test]
fn what_is_desired_is_applied_where_nobody_decided_here() {
    let mut book = Book::default();
    let verdicts = book.desire(at(1), &desired(&[("t", 2.0, false)]), &none());
    assert_eq!(status(&verdicts), DesiredStatus::Applied);
    assert_eq!(reads(&book, "t"), 20.0);
    book.desire(at(2), &desired(&[("t", 3.0, false)]), &none());
    assert_eq!(reads(&book, "t"), 30.0);
    let record = book.of("t").unwrap();
    assert_eq!((record.source, record.versions.len()), (Source::Desired, 2));
    // Nothing is desired any more.
    assert_eq!(book.desire(at(3), &desired(&[]), &none()), []);
    assert_eq!(reads(&book, "t"), 10.0);
}

#[test]
fn neither_overwrites_the_other_unseen() {
    let mut book = Book::default();
    book.apply(at(1), "t", profile(2.0), "here", &none()).unwrap();
    let verdicts = book.desire(at(2), &desired(&[("t", 3.0, false)]), &none());
    assert_eq!(status(&verdicts), DesiredStatus::Conflict);
    assert_eq!(reads(&book, "t"), 20.0, "what was decided here stays");
    assert!(
        book.report().unwrap().devices[0]
            .drift
            .as_ref()
            .unwrap()
            .contains("what the server desires is kept as version 2")
    );
    // It is settled here …
    let mut followed = book.clone();
    followed.follow(at(3), "t", &none()).unwrap();
    assert_eq!(reads(&followed, "t"), 30.0);
    assert_eq!(
        status(&followed.desire(at(4), &desired(&[("t", 3.0, false)]), &none())),
        DesiredStatus::Applied
    );
    assert_eq!(followed.report().unwrap().devices[0].drift, None);
    // … or there, by saying so.
    let verdicts = book.desire(at(3), &desired(&[("t", 3.0, true)]), &none());
    assert_eq!(status(&verdicts), DesiredStatus::Applied);
    assert_eq!(reads(&book, "t"), 30.0);
    // What is decided here after that stands again, also when another device is desired otherwise, and after a restart.
    book.roll_back(at(4), "t", Some(1), &none()).unwrap();
    let verdicts = book.desire(at(5), &desired(&[("t", 3.0, true), ("u", 5.0, false)]), &none());
    assert_eq!(status(&verdicts), DesiredStatus::Conflict);
    assert_eq!((reads(&book, "t"), reads(&book, "u")), (20.0, 50.0));
    // To take values as they are is a decision, too.
    book.roll_back(at(6), "u", Some(0), &none()).unwrap();
    let verdicts = book.desire(at(7), &desired(&[("u", 6.0, false)]), &none());
    assert_eq!(
        (status(&verdicts), reads(&book, "u")),
        (DesiredStatus::Conflict, 10.0)
    );
}

#[test]
fn the_same_from_both_sides_is_no_conflict() {
    let mut book = Book::default();
    book.apply(at(1), "t", profile(2.0), "here", &none()).unwrap();
    let verdicts = book.desire(at(2), &desired(&[("t", 2.0, false)]), &none());
    assert_eq!(status(&verdicts), DesiredStatus::Applied);
    assert_eq!(book.report().unwrap().devices[0].drift, None);
}

/// A motor at `m` that may be told so much, either way.
fn moves(max: f64) -> Limits {
    Limits {
        moves: [("m".to_owned(), Range { min: -max, max })].into(),
        ..Limits::default()
    }
}

fn motor(factor: f64) -> DesiredCalibrations {
    let limits = |max: f64| Range { min: -max, max };
    let profile = Profile {
        kind: CalibrationKind::Motor,
        input: limits(10.0),
        output: Some(limits(100.0)),
        ..profile(factor)
    };
    let overrule = false;
    DesiredCalibrations([("m".to_owned(), DesiredProfile { profile, overrule })].into())
}

#[test]
fn what_is_refused_leaves_what_was_in_force() {
    let mut book = Book::default();
    assert_eq!(
        status(&book.desire(at(1), &motor(2.0), &moves(200.0))),
        DesiredStatus::Applied
    );
    let mut both = motor(9.0);
    both.0.extend(desired(&[("u", 2.0, false)]).0);
    let verdicts = book.desire(at(2), &both, &moves(50.0));
    assert_eq!(status(&verdicts), DesiredStatus::Refused);
    let reason = outcome(&verdicts).1.unwrap();
    assert!(
        reason.starts_with("m: output: -100 to 100 goes beyond"),
        "{reason}"
    );
    assert_eq!(
        (reads(&book, "m"), reads(&book, "u")),
        (20.0, 20.0),
        "the other one is applied"
    );
    // The device can do more now: the next look applies it.
    assert_eq!(
        status(&book.desire(at(3), &both, &moves(200.0))),
        DesiredStatus::Applied
    );
    assert_eq!(reads(&book, "m"), 90.0);
    // And less: what was in force is not applied any more, and said.
    let (in_force, unfit) = book.in_force(&moves(50.0));
    assert_eq!(in_force.apply("m", 10.0).unwrap().value, 10.0);
    assert_eq!(unfit.len(), 1);
}

/// A sensor's profile may let 0 come out as something else: for what moves that would be a motion that nobody asked for.
#[test]
fn what_moves_takes_a_motors_profile_only() {
    let mut book = Book::default();
    let verdicts = book.desire(at(1), &desired(&[("m", 2.0, true)]), &moves(1e6));
    assert_eq!(status(&verdicts), DesiredStatus::Refused);
    assert!(
        outcome(&verdicts)
            .1
            .unwrap()
            .contains("a motor's profile is accepted")
    );
    assert!(book.apply(at(2), "m", profile(2.0), "", &moves(1e6)).is_err());
    assert_eq!(reads(&book, "m"), 10.0);
}

/// Where heat stops a machine, nobody far away makes it look cool.
#[test]
fn where_heat_counts_only_what_is_no_temperature_is_calibrated_from_afar() {
    let heat = Limits {
        free: Some(["battery.volts".to_owned()].into()),
        ..Limits::default()
    };
    let mut book = Book::default();
    let wanted = desired(&[("cpu-thermal", 0.1, true), ("battery.volts", 2.0, false)]);
    assert_eq!(
        status(&book.desire(at(1), &wanted, &heat)),
        DesiredStatus::Refused
    );
    assert_eq!(
        (reads(&book, "cpu-thermal"), reads(&book, "battery.volts")),
        (10.0, 20.0)
    );
    assert_eq!(
        book.apply(at(2), "cpu-thermal", profile(1.1), "measured", &heat),
        Ok(1)
    );
}

/// Else a machine that moves could be made to look still from afar.
#[test]
fn what_safety_measures_with_is_calibrated_at_the_machine_only() {
    let guarded = Limits {
        guarded: ["speed".to_owned()].into(),
        ..Limits::default()
    };
    let mut book = Book::default();
    let verdicts = book.desire(at(1), &desired(&[("speed", 0.001, true)]), &guarded);
    assert_eq!(status(&verdicts), DesiredStatus::Refused);
    assert!(outcome(&verdicts).1.unwrap().contains("at the machine only"));
    assert_eq!(reads(&book, "speed"), 10.0);
    book.apply(at(2), "speed", profile(1.5), "measured", &guarded)
        .unwrap();
    let (in_force, unfit) = book.in_force(&guarded);
    assert_eq!(
        (in_force.apply("speed", 10.0).unwrap().value, unfit.len()),
        (15.0, 0)
    );
    assert_eq!(
        status(&book.desire(at(3), &desired(&[("speed", 0.001, true)]), &guarded)),
        DesiredStatus::Refused
    );
    // One that came before the machine was wired like this is not applied any more.
    let mut before = Book::default();
    before.desire(at(1), &desired(&[("speed", 0.001, true)]), &none());
    let (in_force, unfit) = before.in_force(&guarded);
    assert_eq!(
        (in_force.apply("speed", 10.0).unwrap().value, unfit.len()),
        (10.0, 1)
    );
    // Nor followed.
    assert!(before.follow(at(3), "speed", &guarded).is_err());
}

#[test]
fn versions_and_books_are_bounded() {
    let mut book = Book::default();
    for number in 1..=200 {
        book.apply(at(number), "t", profile(number as f64), "", &none())
            .unwrap();
    }
    let record = book.of("t").unwrap();
    assert_eq!((record.versions.len(), record.in_force()), (VERSIONS_MAX, 200));
    let long = |number: i64| Profile {
        stages: vec![Stage::Table {
            points: (0..256)
                .map(|x| {
                    [
                        f64::from(x) + 0.123_456_789,
                        f64::from(x) * 1.000_123 + number as f64,
                    ]
                })
                .collect(),
            axis: None,
        }],
        ..profile(1.0)
    };
    for number in 0..100 {
        let device = format!("d{}", number % 4);
        book.apply(at(1_000 + number), &device, long(number), "", &none())
            .unwrap();
        assert!(bytes_of(&book) <= BOOK_MAX_BYTES);
    }
    assert_eq!(book.of("d3").unwrap().in_force(), book.of("d3").unwrap().last);
    let mut full = Book::default();
    for number in 0..DEVICES_MAX {
        full.apply(at(0), &format!("d{number}"), profile(2.0), "", &none())
            .unwrap();
    }
    assert!(full.apply(at(0), "one more", profile(2.0), "", &none()).is_err());
    assert_eq!(
        status(&full.desire(at(0), &desired(&[("one more", 2.0, false)]), &none())),
        DesiredStatus::Refused
    );
    let told = serde_json::to_vec(&full.report()).unwrap().len();
    assert!(told < 64 * 1024, "{told}");
}

#[derive(Clone, Debug)]
enum Act {
    Apply(u8, u8),
    RollBack(u8, Option<u32>),
    Follow(u8),
    Desire(Vec<(u8, u8, bool)>),
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0..2u8, 2..5u8).prop_map(|(device, factor)| Act::Apply(device, factor)),
        (0..2u8, prop::option::of(0..5u32)).prop_map(|(device, to)| Act::RollBack(device, to)),
        (0..2u8).prop_map(Act::Follow),
        prop::collection::vec((0..2u8, 2..5u8, any::<bool>()), 0..3).prop_map(Act::Desire),
        Just(Act::Restart),
    ]
}

/// What is in force after these acts; a way to take in what is desired can be planted.
fn unseen(
    acts: &[Act],
    desire: impl Fn(&mut Book, Timestamp, &DesiredCalibrations) -> Vec<Verdict>,
) -> Option<String> {
    let mut book = Book::default();
    for (index, act) in acts.iter().enumerate() {
        let now = at(index as i64);
        let before = book.clone();
        let name = |device: &u8| format!("d{device}");
        match act {
            Act::Apply(device, factor) => {
                let _ = book.apply(now, &name(device), profile(f64::from(*factor)), "", &none());
            }
            Act::RollBack(device, to) => {
                let _ = book.roll_back(now, &name(device), *to, &none());
            }
            Act::Follow(device) => {
                let _ = book.follow(now, &name(device), &none());
            }
            Act::Desire(entries) => {
                let wanted = DesiredCalibrations(
                    entries
                        .iter()
                        .map(|(device, factor, overrule)| {
                            let entry = DesiredProfile {
                                profile: profile(f64::from(*factor)),
                                overrule: *overrule,
                            };
                            (name(device), entry)
                        })
                        .collect(),
                );
                let verdicts = desire(&mut book, now, &wanted);
                for device in ["d0", "d1"] {
                    let (old, new) = (reads(&before, device), reads(&book, device));
                    let decided_here = before.of(device).is_some_and(|record| record.local.is_some());
                    let overruled = wanted.0.get(device).is_some_and(|entry| entry.overrule)
                        && before
                            .of(device)
                            .and_then(|record| record.wanted.as_ref())
                            .map(|wanted| &wanted.entry)
                            != wanted.0.get(device);
                    if decided_here && !overruled && old != new {
                        return Some(format!("{device}: {old} became {new} unseen by {act:?}"));
                    }
                    let verdict = verdicts.iter().find(|verdict| verdict.device == device);
                    if let (Some(entry), Some(verdict)) = (wanted.0.get(device), verdict) {
                        let so = new == entry.profile.compile(None).unwrap().apply(10.0).unwrap().value;
                        if so != (verdict.status == DesiredStatus::Applied) {
                            return Some(format!(
                                "{device}: {new}, and it is said to be {:?}",
                                verdict.status
                            ));
                        }
                    }
                }
            }
            Act::Restart => {
                let text = serde_json::to_string(&book).unwrap();
                book = serde_json::from_str(&text).unwrap();
                if book != before {
                    return Some("it is another book after a restart".to_owned());
                }
            }
        }
    }
    None
}

proptest! {
    /// Whatever happens in whatever order: what was decided at the machine is not changed by the server unless it says that it
    /// overrules, and what is said of it is true.
    #[test]
    fn no_decision_is_lost_unseen(acts in prop::collection::vec(act(), 0..25)) {
        let found = unseen(&acts, |book, now, wanted| book.desire(now, wanted, &none()));
        prop_assert_eq!(found, None);
    }
}

#[test]
fn planted_bugs_are_found() {
    type Desire = fn(&mut Book, Timestamp, &DesiredCalibrations) -> Vec<Verdict>;
    let planted: [(&str, Desire); 3] = [
        ("the server always wins", |book, now, wanted| {
            let mut wanted = wanted.clone();
            wanted.0.values_mut().for_each(|entry| entry.overrule = true);
            for record in book.devices.values_mut() {
                record.wanted = None;
            }
            book.desire(now, &wanted, &none())
        }),
        ("it overrules again and again", |book, now, wanted| {
            for record in book.devices.values_mut() {
                record.wanted = None;
            }
            book.desire(now, wanted, &none())
        }),
        ("a conflict is said to be applied", |book, now, wanted| {
            let mut verdicts = book.desire(now, wanted, &none());
            verdicts
                .iter_mut()
                .for_each(|verdict| verdict.status = DesiredStatus::Applied);
            verdicts
        }),
    ];
    for (bug, desire) in planted {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let found = (0..2_000).any(|_| {
            let acts = prop::collection::vec(act(), 0..25);
            let tree = acts.new_tree(&mut runner).unwrap();
            unseen(&proptest::strategy::ValueTree::current(&tree), desire).is_some()
        });
        assert!(found, "{bug}: was not found");
    }
}
