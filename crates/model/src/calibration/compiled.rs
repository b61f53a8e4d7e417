//! Profiles as they are applied: thousands of times a second, without allocating.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::interval::polynomial;
use super::{AXES_MAX, CalibrationKind, Profile, Range, Stage};

/// A value that went through a profile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibrated {
    /// What came out.
    pub value: f64,
    /// Whether what went in was beyond what the profile is made for, and was taken as its end.
    pub beyond: bool,
}

/// A profile that was found in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    kind: CalibrationKind,
    axes: usize,
    input: Range,
    /// What nothing that comes out may pass.
    pub(super) limits: Option<Range>,
    stages: Box<[Stage]>,
}

impl Compiled {
    pub(super) fn of(profile: &Profile, device: Option<Range>) -> Self {
        let limits = match (profile.output, device) {
            (Some(output), Some(device)) => Some(Range {
                min: output.min.max(device.min),
                max: output.max.min(device.max),
            }),
            (output, device) => output.or(device),
        };
        Self {
            kind: profile.kind,
            axes: profile.axes,
            input: profile.input,
            limits,
            stages: profile.stages.clone().into(),
        }
    }

    /// What is calibrated.
    pub fn kind(&self) -> CalibrationKind {
        self.kind
    }

    /// How many values belong together.
    pub fn axes(&self) -> usize {
        self.axes
    }

    /// One value of a device of one axis. None: what went in is no number, or the device has several axes.
    pub fn apply(&self, value: f64) -> Option<Calibrated> {
        let mut values = [value];
        let beyond = self.apply_axes(&mut values)?;
        Some(Calibrated {
            value: values[0],
            beyond,
        })
    }

    /// The values of all axes, in place; says whether one was beyond what the profile is made for. None: one is no number, or they
    /// are not as many as the device has axes; then nothing was changed.
    pub fn apply_axes(&self, values: &mut [f64]) -> Option<bool> {
        if values.len() != self.axes
            || values.len() > AXES_MAX
            || values.iter().any(|value| !value.is_finite())
        {
            return None;
        }
        let mut work = [0.0; AXES_MAX];
        let work = &mut work[..values.len()];
        let mut beyond = false;
        for (inside, value) in work.iter_mut().zip(&*values) {
            *inside = value.clamp(self.input.min, self.input.max);
            beyond |= *inside != *value;
        }
        for stage in &self.stages {
            step(stage, work);
        }
        if let Some(limits) = self.limits {
            for value in &mut *work {
                *value = value.clamp(limits.min, limits.max);
            }
        }
        if work.iter().any(|value| !value.is_finite()) {
            return None;
        }
        values.copy_from_slice(work);
        Some(beyond)
    }
}

fn step(stage: &Stage, values: &mut [f64]) {
    if let Stage::AxisMap { from } = stage {
        let mut before = [0.0; AXES_MAX];
        before[..values.len()].copy_from_slice(values);
        for (value, from) in values.iter_mut().zip(from) {
            let source = before[usize::from(from.unsigned_abs()) - 1];
            *value = if *from < 0 { -source } else { source };
        }
        return;
    }
    match stage.axis() {
        Some(axis) => values[axis - 1] = one(stage, values[axis - 1]),
        None => values.iter_mut().for_each(|value| *value = one(stage, *value)),
    }
}

/// What a stage makes of one value.
pub(super) fn one(stage: &Stage, value: f64) -> f64 {
    match stage {
        Stage::Scale { factor, .. } => value * factor,
        Stage::Offset { add, .. } => value + add,
        Stage::Polynomial { coefficients, .. } => polynomial(coefficients, value),
        Stage::Table { points, .. } => between(points, value),
        Stage::Deadband { width, center, .. } if (value - center).abs() <= *width => *center,
        Stage::Deadband { .. } | Stage::AxisMap { .. } => value,
    }
}

/// On the straight line between two points; before the first and behind the last, as those.
fn between(points: &[[f64; 2]], value: f64) -> f64 {
    let behind = points.partition_point(|[x, _]| *x < value);
    match (
        behind.checked_sub(1).map(|before| points[before]),
        points.get(behind),
    ) {
        (None, Some([_, y])) => *y,
        (Some([_, y]), None) => y,
        (Some([x0, y0]), Some([x1, y1])) => {
            let part = (value - x0) / (x1 - x0);
            // Never beyond the two, however it is rounded.
            (y0 + part * (y1 - y0)).clamp(y0.min(*y1), y0.max(*y1))
        }
        (None, None) => value,
    }
}

/// The profiles in force, by device. Cheap to share behind an `Arc`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibrations {
    by_device: BTreeMap<String, Arc<Compiled>>,
}

impl Calibrations {
    /// These.
    pub fn new(by_device: BTreeMap<String, Arc<Compiled>>) -> Self {
        Self { by_device }
    }

    /// The profile in force for a device.
    pub fn of(&self, device: &str) -> Option<&Compiled> {
        self.by_device.get(device).map(|compiled| &**compiled)
    }

    /// A value of a device: as it is where no profile is in force. None: it is no number, or the device has several axes.
    pub fn apply(&self, device: &str, value: f64) -> Option<Calibrated> {
        match self.of(device) {
            Some(compiled) => compiled.apply(value),
            None => value.is_finite().then_some(Calibrated { value, beyond: false }),
        }
    }
}
