use proptest::prelude::*;
use serde_json::json;

use super::*;

mod properties;

fn profile(value: serde_json::Value) -> Profile {
    serde_json::from_value(value).unwrap()
}

fn sensor(stages: serde_json::Value) -> Profile {
    profile(
        json!({ "kind": "sensor", "unit": "°C", "input": { "min": -50.0, "max": 150.0 }, "stages": stages }),
    )
}

fn motor(stages: serde_json::Value) -> Profile {
    profile(json!({
        "kind": "motor", "unit": "m/s", "input": { "min": -2.0, "max": 2.0 }, "output": { "min": -3.0, "max": 3.0 },
        "stages": stages
    }))
}

fn value(profile: &Profile, input: f64) -> f64 {
    profile.compile(None).unwrap().apply(input).unwrap().value
}

/// The places of all that is wrong, in a line each.
fn wrong(profile: &Profile, device: Option<Range>) -> Vec<String> {
    match profile.compile(device) {
        Ok(_) => Vec::new(),
        Err(refusals) => refusals.iter().map(ToString::to_string).collect(),
    }
}

#[track_caller]
fn refused(profile: &Profile, at: &str, what: &str) {
    let wrong = wrong(profile, None);
    assert!(
        wrong
            .iter()
            .any(|line| line.starts_with(at) && line.contains(what)),
        "{at}: {what}: {wrong:#?}"
    );
}

#[test]
fn each_stage_does_what_it_says() {
    assert_eq!(value(&sensor(json!([])), 21.5), 21.5);
    assert_eq!(
        value(&sensor(json!([{ "scale": { "factor": 2.0 } }])), 21.5),
        43.0
    );
    assert_eq!(value(&sensor(json!([{ "offset": { "add": -1.5 } }])), 21.5), 20.0);
    assert_eq!(
        value(
            &sensor(json!([{ "polynomial": { "coefficients": [1.0, 0.0, 2.0] } }])),
            3.0
        ),
        19.0
    );
    let table = sensor(json!([{ "table": { "points": [[0.0, 0.0], [10.0, 20.0], [20.0, 25.0]] } }]));
    for (input, output) in [
        (-5.0, 0.0),
        (0.0, 0.0),
        (5.0, 10.0),
        (10.0, 20.0),
        (15.0, 22.5),
        (20.0, 25.0),
        (99.0, 25.0),
    ] {
        assert_eq!(value(&table, input), output, "{input}");
    }
    let dead = sensor(json!([{ "deadband": { "width": 0.5, "center": 20.0 } }]));
    for (input, output) in [(19.4, 19.4), (19.5, 20.0), (20.4, 20.0), (20.6, 20.6)] {
        assert_eq!(value(&dead, input), output, "{input}");
    }
    let both = sensor(json!([{ "offset": { "add": 1.0 } }, { "scale": { "factor": 2.0 } }]));
    assert_eq!(value(&both, 3.0), 8.0, "in this order");
}

#[test]
fn what_is_beyond_the_input_is_taken_as_its_end_and_said_to_be() {
    let compiled = sensor(json!([{ "scale": { "factor": 2.0 } }]))
        .compile(None)
        .unwrap();
    assert_eq!(
        compiled.apply(150.0),
        Some(Calibrated {
            value: 300.0,
            beyond: false
        })
    );
    assert_eq!(
        compiled.apply(151.0),
        Some(Calibrated {
            value: 300.0,
            beyond: true
        })
    );
    assert_eq!(
        compiled.apply(-51.0),
        Some(Calibrated {
            value: -100.0,
            beyond: true
        })
    );
    for no_number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(compiled.apply(no_number), None);
    }
}

#[test]
fn axes_are_turned_and_calibrated_each_for_itself() {
    let compass = profile(json!({
        "kind": "sensor", "unit": "µT", "input": { "min": -100.0, "max": 100.0 }, "axes": 3,
        "stages": [
            { "axis_map": { "from": [2, -1, 3] } },
            { "offset": { "add": 5.0, "axis": 1 } },
            { "scale": { "factor": 2.0 } }
        ]
    }));
    let compiled = compass.compile(None).unwrap();
    let mut values = [1.0, 2.0, 3.0];
    assert_eq!(compiled.apply_axes(&mut values), Some(false));
    assert_eq!(values, [14.0, -2.0, 6.0]);
    assert_eq!(compiled.apply_axes(&mut [1.0]), None, "it has three");
    let mut values = [1.0, f64::NAN, 3.0];
    assert_eq!(compiled.apply_axes(&mut values), None);
    assert_eq!(values[0], 1.0, "nothing was changed");
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_what_is_accepted() {
    refused(
        &sensor(json!([{ "scale": { "factor": 0.0 } }])),
        "stages[0].scale.factor",
        "another number",
    );
    refused(
        &sensor(json!([{ "table": { "points": [[0.0, 1.0]] } }])),
        "stages[0].table.points",
        "2 to 256",
    );
    refused(
        &sensor(json!([{ "table": { "points": [[0.0, 1.0], [2.0, 2.0], [2.0, 3.0]] } }])),
        "stages[0].table.points[2]",
        "must grow",
    );
    refused(
        &sensor(json!([{ "polynomial": { "coefficients": [] } }])),
        "stages[0].polynomial.coefficients",
        "1 to 9",
    );
    let ten: Vec<f64> = vec![0.0; 10];
    refused(
        &sensor(json!([{ "polynomial": { "coefficients": ten } }])),
        "stages[0].polynomial.coefficients",
        "power of 8",
    );
    refused(
        &sensor(json!([{ "deadband": { "width": -1.0 } }])),
        "stages[0].deadband.width",
        "from 0 on",
    );
    refused(
        &sensor(json!([{ "axis_map": { "from": [1, 2] } }])),
        "stages[0].axis_map.from",
        "once",
    );
    refused(
        &sensor(json!([{ "offset": { "add": 1.0, "axis": 2 } }])),
        "stages[0].offset.axis",
        "1 to 1",
    );
    let many: Vec<_> = (0..17).map(|_| json!({ "offset": { "add": 1.0 } })).collect();
    refused(&sensor(json!(many)), "stages", "at most 16");
    let mut profile = sensor(json!([]));
    profile.input = Range { min: 1.0, max: 1.0 };
    refused(&profile, "input", "less than");
    profile.input = Range {
        min: f64::NAN,
        max: 1.0,
    };
    refused(&profile, "input", "numbers");
    profile.input = Range { min: 0.0, max: 1e300 };
    refused(&profile, "input", "1e15");
    profile.input = Range { min: 0.0, max: 1.0 };
    profile.unit = String::new();
    refused(&profile, "unit", "1 to 24");
    let huge = sensor(
        json!([{ "scale": { "factor": 1e300 } }, { "polynomial": { "coefficients": [0.0, 0.0, 1e300] } }]),
    );
    refused(&huge, "stages[0].scale", "1e15");
}

#[test]
fn each_place_of_an_axis_map_is_looked_at() {
    for from in [
        json!([1, 2]),
        json!([1, 2, 2]),
        json!([0, 1, 2]),
        json!([1, 2, 4]),
        json!([1, -1, 3]),
        json!([1, 2, -128]),
    ] {
        let mut profile = sensor(json!([{ "axis_map": { "from": from } }]));
        profile.axes = 3;
        refused(&profile, "stages[0].axis_map.from", "each of the 3 axes");
    }
}

#[test]
fn a_motor_is_never_told_less_where_more_is_asked() {
    for good in [
        json!([{ "scale": { "factor": -1.2 } }]),
        json!([{ "polynomial": { "coefficients": [0.0, 1.0, 0.0, 0.1] } }]),
        // Its slope only touches zero.
        json!([{ "polynomial": { "coefficients": [0.0, 0.0, 0.0, 0.3] } }]),
        json!([{ "deadband": { "width": 0.1 } }, { "table": { "points": [[-2.0, -3.0], [0.0, 0.0], [2.0, 2.5]] } }]),
        // It turns only where nothing gets.
        json!([{ "polynomial": { "coefficients": [0.0, 5.0, 1.0] } }, { "scale": { "factor": 0.2 } }]),
    ] {
        assert_eq!(wrong(&motor(good.clone()), None), [""; 0], "{good}");
    }
    for bad in [
        json!([{ "polynomial": { "coefficients": [0.0, 1.0, 0.5] } }]),
        json!([{ "polynomial": { "coefficients": [0.0, -0.1, 0.0, 1.0] } }]),
        json!([{ "table": { "points": [[-2.0, -1.0], [0.0, 0.0], [0.5, -0.1], [2.0, 1.0]] } }]),
    ] {
        let wrong = wrong(&motor(bad.clone()), None);
        assert!(
            wrong.iter().any(|line| line.contains("turns round")),
            "{bad}: {wrong:?}"
        );
    }
    refused(
        &motor(json!([{ "deadband": { "width": 5.0 } }])),
        "stages[0].deadband",
        "comes out the same",
    );
    refused(
        &motor(json!([{ "polynomial": { "coefficients": [0.0] } }])),
        "stages[0].polynomial",
        "comes out the same",
    );
}

#[test]
fn a_motor_that_is_told_to_rest_rests() {
    refused(
        &motor(json!([{ "offset": { "add": 0.1 } }])),
        "stages",
        "must rest",
    );
    refused(
        &motor(json!([{ "table": { "points": [[-2.0, -1.0], [2.0, 1.5]] } }])),
        "stages",
        "must rest",
    );
    let mut only_forward = motor(json!([]));
    only_forward.input = Range { min: 0.5, max: 2.0 };
    refused(&only_forward, "input", "0, which means");
    assert_eq!(
        value(
            &motor(json!([{ "offset": { "add": 0.1 } }, { "deadband": { "width": 0.2 } }])),
            0.0
        ),
        0.0
    );
}

#[test]
fn what_would_leave_the_limits_is_refused_or_cut() {
    let mut profile = motor(json!([{ "scale": { "factor": 2.0 } }]));
    refused(
        &profile,
        "stages",
        "-4 to 4: -3 to 3 is accepted, or `clamp: true`",
    );
    profile.clamp = true;
    assert_eq!(value(&profile, 2.0), 3.0);
    assert_eq!(value(&profile, -2.0), -3.0);
    // What the device can do counts as well.
    let profile = motor(json!([]));
    let device = |max: f64| Some(Range { min: -max, max });
    assert!(
        wrong(&profile, device(2.5))[0].contains("-2.5 to 2.5 is accepted"),
        "{:?}",
        wrong(&profile, device(2.5))
    );
    let mut cut = profile;
    cut.clamp = true;
    assert_eq!(cut.compile(device(1.5)).unwrap().apply(2.0).unwrap().value, 1.5);
    cut.output = Some(Range { min: 5.0, max: 6.0 });
    assert!(!wrong(&cut, device(1.5)).is_empty());
    let mut without = motor(json!([]));
    without.output = None;
    refused(&without, "output", "needs its limits");
}

#[test]
fn a_profile_is_read_strictly_and_comes_back_as_it_was() {
    for text in [
        r#"{"kind":"sensor","unit":"V","input":{"min":0,"max":1},"stage":[]}"#,
        r#"{"kind":"sensor","unit":"V","input":{"min":0,"max":1,"mid":2}}"#,
        r#"{"kind":"sensor","unit":"V","input":{"min":0,"max":1},"stages":[{"scale":{"factor":1,"offset":2}}]}"#,
        r#"{"kind":"sensor","unit":"V","input":{"min":0,"max":1e999}}"#,
        r#"{"kind":"lamp","unit":"V","input":{"min":0,"max":1}}"#,
    ] {
        assert!(serde_json::from_str::<Profile>(text).is_err(), "{text}");
    }
}

#[test]
fn what_is_desired_is_looked_at_device_by_device() {
    let desired: DesiredCalibrations = serde_json::from_value(json!({
        "good": { "profile": sensor(json!([])) },
        "bad": { "profile": sensor(json!([{ "scale": { "factor": 0.0 } }])), "overrule": true },
    }))
    .unwrap();
    let found: Vec<String> = desired.refusals().iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("bad.profile.stages[0].scale.factor: 0 makes"),
        "{found:?}"
    );
}
