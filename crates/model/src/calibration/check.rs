//! What is wrong with a profile. Bounds are followed through the stages, so that what is accepted holds everywhere between the ends of its
//! input and not only where somebody looked.

use super::interval::{Interval, Way, both, polynomial_range, polynomial_way};
use super::{
    AUTHOR_MAX_CHARS, AXES_MAX, CalibrationKind, DEGREE_MAX, NOTE_MAX_CHARS, POINTS_MAX, Profile, Range,
    Refusal, STAGES_MAX, Stage, UNIT_MAX_CHARS, VALUE_MAX, compiled,
};

/// How near to zero a motor's command counts as zero, as a part of the greatest.
const REST_PART: f64 = 1e-9;

pub(super) fn refusals(profile: &Profile, device: Option<Range>) -> Vec<Refusal> {
    let mut found = Found(Vec::new());
    words(profile, &mut found);
    shape(profile, &mut found);
    if found.0.is_empty() {
        // Only what is well formed can be followed.
        values(profile, device, &mut found);
    }
    found.0
}

struct Found(Vec<Refusal>);

impl Found {
    fn add(&mut self, at: impl Into<String>, what: impl Into<String>) {
        self.0.push(Refusal {
            at: at.into(),
            what: what.into(),
        });
    }

    fn range(&mut self, at: &str, range: Range) {
        if !range.min.is_finite() || !range.max.is_finite() {
            self.add(at, "both ends must be numbers");
        } else if range.min >= range.max {
            self.add(
                at,
                format!("{} to {}: min must be less than max", range.min, range.max),
            );
        } else if range.min < -VALUE_MAX || range.max > VALUE_MAX {
            self.add(
                at,
                format!("numbers up to {VALUE_MAX:e} are accepted, either way"),
            );
        }
    }

    fn finite(&mut self, at: impl Into<String>, value: f64) {
        if !value.is_finite() {
            self.add(at, "a number is accepted here");
        }
    }
}

fn words(profile: &Profile, found: &mut Found) {
    for (at, text, least, most) in [
        ("unit", &profile.unit, 1, UNIT_MAX_CHARS),
        ("author", &profile.author, 0, AUTHOR_MAX_CHARS),
        ("note", &profile.note, 0, NOTE_MAX_CHARS),
    ] {
        let count = text.chars().count();
        if !(least..=most).contains(&count) || text.chars().any(char::is_control) {
            found.add(
                at,
                format!("{least} to {most} characters without control characters are accepted"),
            );
        }
    }
}

fn shape(profile: &Profile, found: &mut Found) {
    found.range("input", profile.input);
    if let Some(output) = profile.output {
        found.range("output", output);
    }
    if !(1..=AXES_MAX).contains(&profile.axes) {
        found.add("axes", format!("{}: 1 to {AXES_MAX} are accepted", profile.axes));
    }
    match profile.kind {
        CalibrationKind::Motor => {
            if profile.output.is_none() {
                found.add(
                    "output",
                    "a motor needs its limits: what may come out at least and at most",
                );
            }
            if profile.axes != 1 {
                found.add("axes", "a motor has one: give each motor a profile of its own");
            }
        }
        CalibrationKind::Sensor => {}
    }
    if profile.stages.len() > STAGES_MAX {
        let count = profile.stages.len();
        found.add(
            "stages",
            format!("{count} stages: at most {STAGES_MAX} are accepted"),
        );
        return;
    }
    for (index, stage) in profile.stages.iter().enumerate() {
        let at = format!("stages[{index}].{}", stage.name());
        if stage
            .axis()
            .is_some_and(|axis| !(1..=profile.axes).contains(&axis))
        {
            found.add(
                format!("{at}.axis"),
                format!("1 to {} are accepted", profile.axes),
            );
        }
        match stage {
            Stage::Scale { factor, .. } => {
                found.finite(format!("{at}.factor"), *factor);
                if *factor == 0.0 {
                    found.add(
                        format!("{at}.factor"),
                        "0 makes everything the same: another number is accepted",
                    );
                }
            }
            Stage::Offset { add, .. } => found.finite(format!("{at}.add"), *add),
            Stage::Polynomial { coefficients, .. } => polynomial_shape(&at, coefficients, found),
            Stage::Table { points, .. } => table_shape(&at, points, found),
            Stage::Deadband { width, center, .. } => {
                found.finite(format!("{at}.center"), *center);
                if !width.is_finite() || *width < 0.0 {
                    found.add(format!("{at}.width"), "a number from 0 on is accepted");
                }
            }
            Stage::AxisMap { from } => axis_map_shape(&at, from, profile.axes, found),
        }
    }
}

fn polynomial_shape(at: &str, coefficients: &[f64], found: &mut Found) {
    if !(1..=DEGREE_MAX + 1).contains(&coefficients.len()) {
        let count = coefficients.len();
        found.add(
            format!("{at}.coefficients"),
            format!(
                "{count} coefficients: 1 to {} are accepted, up to x to the power of {DEGREE_MAX}",
                DEGREE_MAX + 1
            ),
        );
    }
    for (power, coefficient) in coefficients.iter().enumerate() {
        found.finite(format!("{at}.coefficients[{power}]"), *coefficient);
    }
}

fn table_shape(at: &str, points: &[[f64; 2]], found: &mut Found) {
    if !(2..=POINTS_MAX).contains(&points.len()) {
        let count = points.len();
        found.add(
            format!("{at}.points"),
            format!("{count} points: 2 to {POINTS_MAX} are accepted"),
        );
    }
    for (index, [x, y]) in points.iter().enumerate() {
        if !x.is_finite() || !y.is_finite() {
            found.add(format!("{at}.points[{index}]"), "two numbers are accepted");
        }
    }
    if let Some(index) = points.windows(2).position(|pair| pair[0][0] >= pair[1][0]) {
        let (before, here) = (points[index][0], points[index + 1][0]);
        found.add(
            format!("{at}.points[{}]", index + 1),
            format!("{here} goes in behind {before}: what goes in must grow from each point to the next"),
        );
    }
}

fn axis_map_shape(at: &str, from: &[i8], axes: usize, found: &mut Found) {
    let mut met = [false; AXES_MAX];
    let each_once = from.len() == axes
        && from.iter().all(|axis| {
            let place = usize::from(axis.unsigned_abs());
            (1..=axes.min(AXES_MAX)).contains(&place) && !std::mem::replace(&mut met[place - 1], true)
        });
    if !each_once {
        found.add(
            format!("{at}.from"),
            format!(
                "each of the {axes} axes must stand there once, from 1, with a minus where it is turned round"
            ),
        );
    }
}

/// What comes out for all that may go in.
fn values(profile: &Profile, device: Option<Range>, found: &mut Found) {
    let motor = profile.kind == CalibrationKind::Motor;
    let input = Interval::new(profile.input.min, profile.input.max);
    let mut axes = vec![input; profile.axes];
    let mut way = Way::Up;
    for (index, stage) in profile.stages.iter().enumerate() {
        let at = format!("stages[{index}].{}", stage.name());
        if let Stage::AxisMap { from } = stage {
            let before = axes.clone();
            for (axis, from) in axes.iter_mut().zip(from) {
                let source = before[usize::from(from.unsigned_abs()) - 1];
                *axis = if *from < 0 {
                    Interval::new(-source.low, -source.high)
                } else {
                    source
                };
            }
            continue;
        }
        for (axis, value) in axes.iter_mut().enumerate() {
            if stage.axis().is_some_and(|only| only != axis + 1) {
                continue;
            }
            if motor {
                match way_of(stage, *value) {
                    Some(Way::Flat) => {
                        found.add(&at, "everything that can get here comes out the same: a motor could not be told anything");
                        return;
                    }
                    Some(here) => way = both_turned(way, here),
                    None => {
                        found.add(
                            &at,
                            format!(
                                "between {} and {}, which is what can get here, it turns round: more asked of a motor must \
                                 never mean less",
                                shown(value.low),
                                shown(value.high)
                            ),
                        );
                        return;
                    }
                }
            }
            *value = range_of(stage, *value);
            if !(value.low >= -VALUE_MAX && value.high <= VALUE_MAX) {
                found.add(&at, format!("for some of what can go in there comes out more than {VALUE_MAX:e}: smaller numbers are accepted"));
                return;
            }
        }
    }
    within_limits(profile, device, &axes, found);
    if motor && found.0.is_empty() {
        rest(profile, found);
    }
}

fn within_limits(profile: &Profile, device: Option<Range>, axes: &[Interval], found: &mut Found) {
    if device.is_some() && profile.kind != CalibrationKind::Motor {
        found.add("kind", "this device moves something: a motor's profile is accepted, which lets it rest when it is told to");
        return;
    }
    if let (Some(output), Some(device)) = (profile.output, device) {
        if output.max <= device.min || output.min >= device.max {
            found.add(
                "output",
                format!(
                    "{} to {} has nothing in common with what the device can do: {} to {}",
                    output.min, output.max, device.min, device.max
                ),
            );
            return;
        }
        if !profile.clamp && (output.min < device.min || output.max > device.max) {
            found.add(
                "output",
                format!(
                    "{} to {} goes beyond what the device can do: {} to {} is accepted, or `clamp: true` to cut there",
                    output.min, output.max, device.min, device.max
                ),
            );
        }
    }
    let Some(limits) = profile.output.or(device).filter(|_| !profile.clamp) else {
        return;
    };
    // As much as rounding may take.
    let slack = 1e-9 * (limits.max - limits.min).max(limits.min.abs().max(limits.max.abs()));
    for (index, axis) in axes.iter().enumerate() {
        if axis.low < limits.min - slack || axis.high > limits.max + slack {
            let of = if axes.len() > 1 {
                format!(" of axis {}", index + 1)
            } else {
                String::new()
            };
            found.add(
                "stages",
                format!(
                    "for an input of {} to {} there may come out {} to {}{of}: {} to {} is accepted, or `clamp: true` to cut there",
                    profile.input.min,
                    profile.input.max,
                    shown(axis.low),
                    shown(axis.high),
                    limits.min,
                    limits.max
                ),
            );
        }
    }
}

/// A motor that is told nothing must do nothing: otherwise it would creep while it is meant to stand.
fn rest(profile: &Profile, found: &mut Found) {
    let Range { min, max } = profile.input;
    if !(min <= 0.0 && max >= 0.0) {
        found.add(
            "input",
            "0, which means that a motor rests, must lie between min and max",
        );
        return;
    }
    let out = profile
        .stages
        .iter()
        .fold(0.0, |value, stage| compiled::one(stage, value));
    let greatest = profile
        .output
        .map_or(1.0, |output| output.min.abs().max(output.max.abs()));
    if out.abs() > REST_PART * greatest {
        found.add(
            "stages",
            format!(
                "0 comes out as {}: a motor that is told to rest must rest. Let 0 come out as 0",
                shown(out)
            ),
        );
    }
    if profile
        .output
        .is_some_and(|output| output.min > 0.0 || output.max < 0.0)
    {
        found.add(
            "output",
            "0, which means that a motor rests, must lie between min and max",
        );
    }
}

/// What can come out of a stage. Never less than the truth.
fn range_of(stage: &Stage, value: Interval) -> Interval {
    let at = |place: f64| compiled::one(stage, place);
    match stage {
        Stage::Polynomial { coefficients, .. } => polynomial_range(coefficients, value),
        Stage::Table { points, .. } => {
            let inside = points
                .iter()
                .filter(|[x, _]| (value.low..=value.high).contains(x));
            inside.fold(Interval::new(at(value.low), at(value.high)), |range, [_, y]| {
                range.with(*y)
            })
        }
        Stage::Deadband { width, center, .. } => {
            let ends = Interval::new(at(value.low), at(value.high));
            let reaches = value.low <= center + width && value.high >= center - width;
            if reaches { ends.with(*center) } else { ends }
        }
        Stage::Scale { .. } | Stage::Offset { .. } | Stage::AxisMap { .. } => {
            Interval::new(at(value.low), at(value.high))
        }
    }
}

/// The way a stage goes, over what can get there.
fn way_of(stage: &Stage, value: Interval) -> Option<Way> {
    match stage {
        Stage::Scale { factor, .. } => Some(if *factor < 0.0 { Way::Down } else { Way::Up }),
        Stage::Offset { .. } | Stage::AxisMap { .. } => Some(Way::Up),
        Stage::Deadband { width, center, .. } => {
            let swallowed = value.low >= center - width && value.high <= center + width;
            Some(if swallowed { Way::Flat } else { Way::Up })
        }
        Stage::Polynomial { coefficients, .. } => polynomial_way(coefficients, value),
        Stage::Table { points, .. } => {
            let used = points
                .windows(2)
                .filter(|pair| pair[1][0] > value.low && pair[0][0] < value.high);
            used.map(|pair| {
                let (before, here) = (pair[0][1], pair[1][1]);
                if before < here {
                    Way::Up
                } else if before > here {
                    Way::Down
                } else {
                    Way::Flat
                }
            })
            .try_fold(Way::Flat, both)
        }
    }
}

/// One stage after another: turned round twice is as it was.
fn both_turned(before: Way, here: Way) -> Way {
    match (before, here) {
        (Way::Up, other) => other,
        (Way::Down, Way::Up) => Way::Down,
        (Way::Down, Way::Down) => Way::Up,
        (Way::Flat, _) | (Way::Down, Way::Flat) => Way::Flat,
    }
}

/// A number as a person reads it: no more digits than say something.
fn shown(value: f64) -> String {
    let rounded = (value * 1e6).round() / 1e6;
    if value.abs() < 1e9 && rounded.is_finite() {
        rounded.to_string()
    } else {
        format!("{value:e}")
    }
}
