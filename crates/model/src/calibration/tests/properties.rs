//! What holds for every profile that is accepted, and for everything that goes in. Each property finds bugs that are planted.

use std::cell::Cell;

use proptest::test_runner::{Config, TestRunner};

use super::*;

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -10.0..10.0f64,
        1 => Just(0.0),
        1 => -1e6..1e6f64,
        1 => prop::num::f64::ANY,
    ]
}

fn stage() -> impl Strategy<Value = Stage> {
    prop_oneof![
        number().prop_map(|factor| Stage::Scale { factor, axis: None }),
        number().prop_map(|add| Stage::Offset { add, axis: None }),
        prop::collection::vec(number(), 1..6).prop_map(|coefficients| Stage::Polynomial {
            coefficients,
            axis: None
        }),
        prop::collection::vec((number(), number()), 2..8).prop_map(|mut points| {
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            let points = points.into_iter().map(|(x, y)| [x, y]).collect();
            Stage::Table { points, axis: None }
        }),
        (0.0..2.0f64, number()).prop_map(|(width, center)| Stage::Deadband {
            width,
            center,
            axis: None
        }),
    ]
}

fn any_profile() -> impl Strategy<Value = Profile> {
    let range = |least: f64| (least..0.0, 0.0..-least).prop_map(|(min, max)| Range { min, max });
    (
        any::<bool>(),
        range(-100.0),
        prop::option::of(range(-1e4)),
        any::<bool>(),
        prop::collection::vec(stage(), 0..4),
    )
        .prop_map(|(motor, input, output, clamp, stages)| Profile {
            kind: if motor {
                CalibrationKind::Motor
            } else {
                CalibrationKind::Sensor
            },
            unit: "u".to_owned(),
            input,
            output,
            clamp,
            axes: 1,
            stages,
            author: String::new(),
            note: String::new(),
            measured_at: None,
        })
}

fn inputs() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(prop_oneof![-120.0..120.0f64, prop::num::f64::ANY], 1..40)
}

/// How a value is calibrated: as it is, or with a bug.
type Apply = fn(&Compiled, &Profile, f64) -> Option<f64>;

fn as_it_is(compiled: &Compiled, _: &Profile, value: f64) -> Option<f64> {
    compiled.apply(value).map(|calibrated| calibrated.value)
}

/// The first thing that does not hold.
fn broken(profile: &Profile, device: Option<Range>, inputs: &[f64], apply: Apply) -> Option<String> {
    let compiled = profile.compile(device).ok()?;
    let mut pairs = Vec::new();
    for input in inputs {
        match apply(&compiled, profile, *input) {
            None if input.is_finite() => return Some(format!("{input} comes out as nothing")),
            None => {}
            Some(_) if !input.is_finite() => return Some(format!("{input} comes out as something")),
            Some(output) => {
                let limits = [profile.output, device];
                if !output.is_finite() {
                    return Some(format!("{input} comes out as {output}"));
                }
                if limits
                    .iter()
                    .flatten()
                    .any(|limits| output < limits.min || output > limits.max)
                {
                    return Some(format!("{input} comes out as {output}, beyond {limits:?}"));
                }
                pairs.push((*input, output));
            }
        }
    }
    if profile.kind == CalibrationKind::Motor {
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let slack = 1e-6 * pairs.iter().map(|(_, output)| output.abs()).fold(1e-6, f64::max);
        let up = pairs.windows(2).any(|pair| pair[1].1 > pair[0].1 + slack);
        let down = pairs.windows(2).any(|pair| pair[1].1 < pair[0].1 - slack);
        if up && down {
            return Some(format!("it turns round: {pairs:?}"));
        }
        let rest = apply(&compiled, profile, 0.0).unwrap_or(f64::NAN);
        let greatest = profile
            .output
            .map_or(1.0, |output| output.min.abs().max(output.max.abs()));
        if rest.abs() > 1e-6 * greatest {
            return Some(format!("0 comes out as {rest}"));
        }
    }
    None
}

/// Runs many profiles; says how many were accepted, and what was found first.
fn look(cases: u32, apply: Apply) -> (u32, Option<String>) {
    let accepted = Cell::new(0);
    let device = prop::option::of((1.0..50.0f64).prop_map(|max| Range { min: -max, max }));
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..Config::default()
    });
    let result = runner.run(&(any_profile(), device, inputs()), |(profile, device, inputs)| {
        if profile.compile(device).is_ok() {
            accepted.set(accepted.get() + 1);
        }
        match broken(&profile, device, &inputs, apply) {
            None => Ok(()),
            Some(what) => Err(TestCaseError::fail(format!("{what}: {profile:?}"))),
        }
    });
    (accepted.get(), result.err().map(|error| error.to_string()))
}

const CASES: u32 = 4_000;

#[test]
fn no_calibrated_value_leaves_the_limits_turns_round_or_is_no_number() {
    let (accepted, found) = look(CASES, as_it_is);
    assert_eq!(found, None);
    assert!(
        accepted > CASES / 20,
        "only {accepted} of {CASES} profiles were accepted: the rest shows nothing"
    );
}

#[test]
fn bugs_that_are_planted_are_found() {
    let planted: [(&str, Apply); 6] = [
        ("the limits are forgotten", |_, profile, value| {
            let value = value
                .is_finite()
                .then(|| value.clamp(profile.input.min, profile.input.max))?;
            Some(
                profile
                    .stages
                    .iter()
                    .fold(value, |value, stage| compiled::one(stage, value)),
            )
        }),
        ("the limits of the device are forgotten", |_, profile, value| {
            as_it_is(&profile.compile(None).ok()?, profile, value)
        }),
        ("what goes in is not cut", |compiled, profile, value| {
            let value = value.is_finite().then_some(value)?;
            let output = profile
                .stages
                .iter()
                .fold(value, |value, stage| compiled::one(stage, value));
            Some(
                compiled
                    .limits
                    .map_or(output, |limits| output.clamp(limits.min, limits.max)),
            )
        }),
        ("what is no number passes", |compiled, profile, value| {
            if value.is_nan() {
                Some(0.0)
            } else {
                as_it_is(compiled, profile, value)
            }
        }),
        ("it is cut before the last stage", |compiled, profile, value| {
            let (last, before) = profile.stages.split_last()?;
            let value = value
                .is_finite()
                .then(|| value.clamp(profile.input.min, profile.input.max))?;
            let value = before
                .iter()
                .fold(value, |value, stage| compiled::one(stage, value));
            let value = compiled
                .limits
                .map_or(value, |limits| value.clamp(limits.min, limits.max));
            Some(compiled::one(last, value))
        }),
        ("below zero it is turned round", |compiled, profile, value| {
            as_it_is(compiled, profile, value).map(|output| if value < 0.0 { -output } else { output })
        }),
    ];
    for (bug, apply) in planted {
        let (_, found) = look(CASES, apply);
        assert!(found.is_some(), "{bug}: was not found");
    }
}

proptest! {
    /// The way through JSON changes nothing, to the last bit.
    #[test]
    fn a_profile_survives_json(profile in any_profile()) {
        prop_assume!(profile.compile(None).is_ok());
        let text = serde_json::to_string(&profile).unwrap();
        let back: Profile = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&back, &profile);
        prop_assert_eq!(back.compile(None), profile.compile(None));
    }

    /// Whatever stands in a profile: looking at it comes to an end, and does not panic.
    #[test]
    fn no_profile_breaks_the_check(profile in any_profile(), axes in 0usize..9, device in prop::option::of((number(), number()))) {
        let profile = Profile { axes, ..profile };
        let device = device.map(|(min, max)| Range { min, max });
        if let Ok(compiled) = profile.compile(device.filter(|device| device.min < device.max)) {
            let mut values = vec![1.0; axes];
            prop_assert!(compiled.apply_axes(&mut values).is_some());
        }
    }
}
