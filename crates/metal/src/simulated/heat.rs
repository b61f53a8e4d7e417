//! A body that warms with power and cools toward what is around it: a first-order thermal model.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Heat {
    pub(crate) celsius: f64,
}

/// How fast a body warms and cools.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeatPath {
    /// Joules that warm it by one degree.
    pub(crate) joules_per_kelvin: f64,
    /// Watts it gives off for each degree it is warmer than what is around it.
    pub(crate) watts_per_kelvin: f64,
}

impl Heat {
    /// One Euler step; stable because every path here has a time constant of at least twenty steps.
    pub(crate) fn step(&mut self, path: HeatPath, watts: f64, around_celsius: f64, seconds: f64) {
        let lost_watts = (self.celsius - around_celsius) * path.watts_per_kelvin;
        self.celsius += (watts - lost_watts) / path.joules_per_kelvin * seconds;
    }
}
