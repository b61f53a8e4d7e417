//! Who is said to be inside stays inside when it brakes then; and who only thinks so is found out.

use proptest::prelude::*;

use super::{Corner, Fence, Fix, Place};

const AT: Corner = [48.137, 11.575];
/// Degrees to a metre here, north and east, by another way than the fence takes: the length of a minute.
const NORTH: f64 = 1.0 / (60.0 * 1_853.25);

fn east_of(north: f64) -> f64 {
    NORTH / north.to_radians().cos()
}

/// A corner so many metres east and north of a place.
fn corner(at: Corner, east_m: f64, north_m: f64) -> Corner {
    [at[0] + north_m * NORTH, at[1] + east_m * east_of(at[0])]
}

fn square(at: Corner, half_m: f64) -> Vec<Corner> {
    [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]
        .map(|(east, north)| corner(at, east * half_m, north * half_m))
        .to_vec()
}

fn yard() -> Fence {
    Fence {
        areas: vec![square(AT, 50.0)],
        keep_out: vec![square(corner(AT, 0.0, 30.0), 5.0)],
        decelerates_m_per_s2: 1.0,
        reaction_ms: 500,
        margin_m: 1.0,
        fresh_ms: 2_000,
    }
}

fn fix(east_m: f64, north_m: f64, heading: f64, speed: f64) -> Fix {
    Fix {
        at: corner(AT, east_m, north_m),
        heading_degrees: Some(heading),
        speed_m_per_s: speed,
        age_ms: 0,
    }
}

#[track_caller]
fn is(fix: Fix, place: Place) {
    assert_eq!(yard().judge(&fix), place, "{fix:?}");
}

#[test]
fn a_yard_with_a_pond() {
    is(fix(0.0, 0.0, 90.0, 0.0), Place::Inside);
    is(fix(51.0, 0.0, 90.0, 0.0), Place::Outside);
    is(fix(0.0, 30.0, 90.0, 0.0), Place::Outside);
    // 4 m/s: 2 m until it reacts, 8 m until it stands, 1 m that nobody is sure of.
    is(fix(38.5, 0.0, 90.0, 4.0), Place::Inside);
    is(fix(39.5, 0.0, 90.0, 4.0), Place::WillLeave);
    is(fix(39.5, 0.0, 270.0, 4.0), Place::Inside);
    is(fix(39.5, 0.0, 270.0, -4.0), Place::WillLeave);
    // Towards the pond, beside it, and away.
    is(fix(0.0, 14.5, 0.0, 4.0), Place::WillLeave);
    is(fix(7.0, 14.5, 0.0, 4.0), Place::Inside);
    is(fix(5.5, 14.5, 0.0, 4.0), Place::WillLeave);
    is(fix(0.0, 14.5, 180.0, 4.0), Place::Inside);
    // Over it, to the other side.
    is(fix(0.0, 20.0, 0.0, 7.0), Place::WillLeave);
    is(fix(49.5, 0.0, 0.0, 0.0), Place::WillLeave);
}

#[test]
fn what_is_not_known_is_not_inside() {
    let here = fix(0.0, 0.0, 90.0, 1.0);
    for unknown in [
        Fix {
            age_ms: 2_001,
            ..here
        },
        Fix {
            at: [f64::NAN, 11.0],
            ..here
        },
        Fix {
            speed_m_per_s: f64::INFINITY,
            ..here
        },
        Fix {
            heading_degrees: Some(f64::NAN),
            ..here
        },
    ] {
        is(unknown, Place::Unknown);
    }
    // Without a heading it may go anywhere.
    let anywhere = Fix {
        heading_degrees: None,
        ..fix(39.5, 0.0, 0.0, 4.0)
    };
    is(anywhere, Place::WillLeave);
    is(
        Fix {
            heading_degrees: None,
            ..fix(-10.0, -10.0, 0.0, 4.0)
        },
        Place::Inside,
    );
    // One second more is four metres more.
    is(
        Fix {
            age_ms: 1_000,
            ..fix(35.5, 0.0, 90.0, 4.0)
        },
        Place::WillLeave,
    );
}

#[test]
fn it_is_known_how_long_it_may_go_on() {
    // 38.9 m are left but for the 11 m that it takes to stop.
    let sure = yard().inside_for_ms(&fix(34.0, 0.0, 90.0, 4.0)).unwrap();
    assert!((1_200..=1_300).contains(&sure), "{sure}");
    assert_eq!(yard().inside_for_ms(&fix(0.0, 0.0, 90.0, 0.0)), Some(2_000));
    assert_eq!(yard().inside_for_ms(&fix(45.0, 0.0, 90.0, 4.0)), None);
}

#[test]
fn areas_are_told_apart_and_reach_across_the_date_line() {
    let date_line = [0.0, 180.0];
    let fence = Fence {
        areas: vec![square(date_line, 50.0)],
        keep_out: Vec::new(),
        ..yard()
    };
    for east in [-49.0 + 2.0, 0.0, 49.0 - 2.0] {
        let mut at = corner(date_line, east, 0.0);
        if at[1] > 180.0 {
            at[1] -= 360.0;
        }
        let still = Fix {
            at,
            ..fix(0.0, 0.0, 0.0, 0.0)
        };
        assert_eq!(fence.judge(&still), Place::Inside, "{at:?}");
    }
}

#[test]
fn what_cannot_be_meant_is_said() {
    assert_eq!(yard().check(), []);
    let wrong = |change: fn(&mut Fence), at: &str| {
        let mut fence = yard();
        change(&mut fence);
        let found: Vec<_> = fence
            .check()
            .into_iter()
            .map(|(path, _)| path.join("."))
            .collect();
        assert_eq!(found, [at]);
    };
    wrong(|fence| fence.areas.clear(), "areas");
    wrong(|fence| fence.areas[0].truncate(2), "areas.0");
    wrong(|fence| fence.areas[0][2] = [91.0, 0.0], "areas.0");
    wrong(|fence| fence.areas[0][2] = [f64::NAN, 0.0], "areas.0");
    wrong(|fence| fence.areas[0][2] = [50.0, 11.5], "areas.0");
    wrong(|fence| fence.keep_out[0] = vec![AT; 3], "keep_out.0");
    wrong(|fence| fence.areas = vec![square(AT, 5.0); 17], "areas");
    wrong(|fence| fence.decelerates_m_per_s2 = 0.0, "decelerates_m_per_s2");
    wrong(|fence| fence.margin_m = f64::NAN, "margin_m");
    wrong(|fence| fence.fresh_ms = 0, "fresh_ms");
}

/// A place to be and a way through it.
#[derive(Clone, Debug)]
struct Case {
    fence: Fence,
    fix: Fix,
    /// Where it really was, off from the fix: share of the margin, and which way.
    off: (f64, f64),
    /// How much better than promised it brakes.
    brakes: f64,
}

fn case() -> impl Strategy<Value = Case> {
    let at = (-70.0..70.0f64, -180.0..180.0f64).prop_map(|(north, east)| [north, east]);
    let star = prop::collection::vec(20.0..120.0f64, 3..9);
    let fences = (
        star.clone(),
        prop::option::of((star, -60.0..60.0f64, -60.0..60.0f64)),
    );
    let motion = (
        -60.0..60.0f64,
        -60.0..60.0f64,
        0.0..360.0f64,
        -15.0..15.0f64,
        0..1_500u64,
    );
    let bounds = (0.5..6.0f64, 0..1_000u32, 0.0..4.0f64);
    let luck = ((0.0..1.0f64, 0.0..360.0f64), 1.0..2.0f64, any::<bool>());
    (at, fences, motion, bounds, luck).prop_map(|(at, (area, pond), motion, bounds, (off, brakes, heads))| {
        let (east, north, heading, speed, age_ms) = motion;
        let star = |middle: Corner, far: &[f64]| {
            let turn = 360.0 / far.len() as f64;
            let corners = far.iter().enumerate().map(|(n, far)| {
                let (east, north) = (n as f64 * turn).to_radians().sin_cos();
                corner(middle, east * far, north * far)
            });
            corners.collect::<Vec<_>>()
        };
        let fence = Fence {
            areas: vec![star(at, &area)],
            keep_out: pond
                .map(|(far, east, north)| {
                    let far: Vec<_> = far.iter().map(|far| far / 5.0).collect();
                    star(corner(at, east, north), &far)
                })
                .into_iter()
                .collect(),
            decelerates_m_per_s2: bounds.0,
            reaction_ms: bounds.1,
            margin_m: bounds.2,
            fresh_ms: 2_000,
        };
        let fix = Fix {
            at: corner(at, east, north),
            heading_degrees: heads.then_some(heading),
            speed_m_per_s: speed,
            age_ms,
        };
        Case {
            fence,
            fix,
            off,
            brakes,
        }
    })
}

/// By the angles that the corners are seen under: another way than the fence takes.
fn is_within(at: Corner, corners: &[Corner]) -> bool {
    let seen = |corner: Corner| {
        let east = (corner[1] - at[1] + 540.0).rem_euclid(360.0) - 180.0;
        (corner[0] - at[0]).atan2(east * at[0].to_radians().cos())
    };
    let turns: f64 = (0..corners.len())
        .map(|n| {
            let turn = seen(corners[(n + 1) % corners.len()]) - seen(corners[n]);
            turn.sin().atan2(turn.cos())
        })
        .sum();
    turns.abs() > std::f64::consts::PI
}

/// Drives on from where it really was, brakes, and says where it left; nothing if it did not.
fn leaves(case: &Case) -> Option<f64> {
    let Case {
        fence,
        fix,
        off,
        brakes,
    } = case;
    let (off_east, off_north) = off.1.to_radians().sin_cos();
    // A hair less than the margin: the map of the fence and this one differ in the fifth digit.
    let off_m = off.0 * 0.98 * fence.margin_m;
    // Who has no heading went somewhere.
    let heading = fix.heading_degrees.unwrap_or(off.1 * 7.0);
    let (east, north) = heading.to_radians().sin_cos();
    let speed = fix.speed_m_per_s;
    let rolls_s = (fix.age_ms as f64 + f64::from(fence.reaction_ms)) / 1_000.0;
    let slows = fence.decelerates_m_per_s2 * brakes;
    let brakes_s = speed.abs() / slows;
    let steps = 200;
    (0..=steps).find_map(|step| {
        let time = (rolls_s + brakes_s) * f64::from(step) / f64::from(steps);
        let braking = (time - rolls_s).max(0.0);
        let far = (speed.abs() * time - slows * braking * braking / 2.0).copysign(speed) * 0.9995;
        let at = corner(
            fix.at,
            off_east * off_m + east * far,
            off_north * off_m + north * far,
        );
        let left = !fence.areas.iter().any(|area| is_within(at, area))
            || fence.keep_out.iter().any(|area| is_within(at, area));
        left.then_some(time)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn who_is_inside_and_brakes_stays_inside(case in case()) {
        if case.fence.judge(&case.fix) == Place::Inside {
            prop_assert_eq!(leaves(&case), None);
        }
    }

    #[test]
    fn faster_and_older_is_never_better(case in case(), more in 1.0..3.0f64, later in 0..1_000u64) {
        let judged = case.fence.judge(&case.fix);
        let faster = Fix { speed_m_per_s: case.fix.speed_m_per_s * more, ..case.fix };
        prop_assert!(case.fence.judge(&faster) >= judged);
        let older = Fix { age_ms: case.fix.age_ms + later, ..case.fix };
        prop_assert!(case.fence.judge(&older) >= judged);
        let sure = case.fence.inside_for_ms(&case.fix);
        prop_assert_eq!(sure.is_some(), judged == Place::Inside);
        if let Some(sure) = sure {
            let at = |age_ms| case.fence.judge(&Fix { age_ms, ..case.fix });
            prop_assert_eq!(at(case.fix.age_ms + sure), Place::Inside);
            prop_assert_ne!(at(case.fix.age_ms + sure + 1), Place::Inside);
        }
    }
}

/// Makes a fence believe something else.
type Plant = fn(&mut Case);

/// Fences that are wrong in one way each.
const PLANTED: &[(&str, Plant)] = &[
    ("it does not brake that well", |case| {
        case.fence.decelerates_m_per_s2 *= 1.5;
    }),
    ("the reaction is forgotten", |case| case.fence.reaction_ms = 0),
    ("the margin is forgotten", |case| case.fence.margin_m = 0.0),
    ("the age is forgotten", |case| case.fix.age_ms = 0),
    ("what is kept out of is forgotten", |case| {
        case.fence.keep_out.clear();
    }),
    ("backwards is forwards", |case| {
        case.fix.speed_m_per_s = case.fix.speed_m_per_s.abs();
    }),
    ("headings count from the east", |case| {
        case.fix.heading_degrees = case.fix.heading_degrees.map(|heading| 90.0 - heading);
    }),
    ("no heading is north", |case| {
        case.fix.heading_degrees = case.fix.heading_degrees.or(Some(0.0));
    }),
    ("speed does not matter", |case| case.fix.speed_m_per_s = 0.0),
];

#[test]
fn every_planted_bug_is_found() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let cases: Vec<_> = (0..20_000)
        .map(|_| case().new_tree(&mut runner).unwrap().current())
        .collect();
    assert!(
        cases
            .iter()
            .filter(|case| case.fence.judge(&case.fix) == Place::Inside)
            .count()
            > 1_000
    );
    for (name, plant) in PLANTED {
        let found = cases.iter().any(|case| {
            let mut believed = case.clone();
            plant(&mut believed);
            believed.fence.judge(&believed.fix) == Place::Inside && leaves(case).is_some()
        });
        assert!(found, "{name}: not found");
    }
}
