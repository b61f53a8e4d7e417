//! A lithium battery: open-circuit voltage by charge, an inner resistance, a charger that tapers.

use muster_model::state::{Power, Problem};
use muster_model::vocabulary::Severity;
use serde::{Deserialize, Serialize};

use crate::device::{problem, rounded};
use crate::limits;

/// What a kind of battery is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pack {
    /// Cells in series.
    pub(crate) cells: f64,
    /// What it holds when full.
    pub(crate) watt_hours: f64,
    /// Inner resistance of the whole pack.
    pub(crate) ohms: f64,
    /// What its charger gives at most.
    pub(crate) charger_watts: f64,
}

/// A weak cell: its resistance adds to the pack's, and it lies below the others.
const WEAK_CELL_RESISTANCE: f64 = 5.0;
const WEAK_CELL_VOLTS: f64 = 0.35;
/// No cell is fed beyond this.
const HIGHEST_CELL_VOLTS: f64 = 4.22;
/// Above this charge the charger takes back power, down to a trickle at full.
const TAPER_FROM: f64 = 0.8;
const TRICKLE: f64 = 0.04;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Battery {
    /// Charge, 0 to 1.
    pub(crate) charge: f64,
    pub(crate) volts: f64,
    /// Out of the battery; negative inward.
    pub(crate) amperes: f64,
}

impl Battery {
    pub(crate) fn new(pack: Pack, charge: f64) -> Self {
        Self {
            charge,
            volts: cell_volts(charge) * pack.cells,
            amperes: 0.0,
        }
    }

    /// Draws power (negative: feeds it) for a while. Returns the watts that became heat inside.
    pub(crate) fn step(&mut self, pack: Pack, watts: f64, weak_cell: bool, seconds: f64) -> f64 {
        // An empty battery gives nothing and a full one takes nothing.
        let watts = match watts {
            out if out > 0.0 && self.charge <= 0.0 => 0.0,
            inward if inward < 0.0 && self.charge >= 1.0 => 0.0,
            watts => watts,
        };
        let (mut ohms, mut open_volts) = (pack.ohms, cell_volts(self.charge) * pack.cells);
        if weak_cell {
            ohms *= WEAK_CELL_RESISTANCE;
            open_volts -= WEAK_CELL_VOLTS;
        }
        // What it cannot take without exceeding its highest voltage is left to others: to the brakes, or the charger.
        let highest_volts = HIGHEST_CELL_VOLTS * pack.cells;
        let watts = watts.max(-highest_volts * ((highest_volts - open_volts) / ohms).max(0.0));
        // watts = (open − I·R)·I, solved for I; beyond the peak of that curve the pack gives no more.
        let root = (open_volts * open_volts - 4.0 * ohms * watts).max(0.0).sqrt();
        self.amperes = (open_volts - root) / (2.0 * ohms);
        self.volts = open_volts - self.amperes * ohms;
        let drawn_watt_hours = open_volts * self.amperes * seconds / 3600.0;
        self.charge = (self.charge - drawn_watt_hours / pack.watt_hours).clamp(0.0, 1.0);
        self.amperes * self.amperes * ohms
    }

    /// What the charger gives at this charge.
    pub(crate) fn charger_watts(&self, pack: Pack) -> f64 {
        let left = ((1.0 - self.charge) / (1.0 - TAPER_FROM)).clamp(TRICKLE, 1.0);
        pack.charger_watts * left
    }

    pub(crate) fn power(&self, charging: bool) -> Power {
        Power {
            battery_percent: Some(rounded(self.charge * 100.0, 10.0)),
            charging,
            external_supply: charging,
            volts: Some(rounded(self.volts, 100.0)),
            amperes: Some(rounded(self.amperes, 100.0)),
        }
    }

    pub(crate) fn problems(&self, charging: bool, weak_cell: bool) -> Vec<Problem> {
        let mut problems = Vec::new();
        let percent = self.charge * 100.0;
        if weak_cell {
            let message = "The battery sags under load: a cell is weak".to_owned();
            problems.push(problem("power.low", Severity::Warning, message));
        }
        if !charging && percent <= limits::BATTERY_LOW_PERCENT {
            let (severity, below) = if percent <= limits::BATTERY_CRITICAL_PERCENT {
                (Severity::Critical, limits::BATTERY_CRITICAL_PERCENT)
            } else {
                (Severity::Warning, limits::BATTERY_LOW_PERCENT)
            };
            let message = format!("The battery is below {below} % and discharging");
            problems.push(problem("power.low", severity, message));
        }
        problems
    }
}

/// Open-circuit voltage of one cell: steep when nearly empty, flat in the middle, rising to full.
fn cell_volts(charge: f64) -> f64 {
    3.45 + 0.45 * charge + 0.25 * charge * charge * charge - 0.45 * (-20.0 * charge).exp()
}
