//! Faults that can be put into a simulated machine, and which stand. A real machine has no such section.

use serde::{Deserialize, Serialize};

use crate::vocabulary::words;

words! {
    /// A fault of a simulated machine. What follows from it is physics, and what the machine makes of that.
    SimulatedFault {
        /// It drives faster than it may.
        OverSpeed => "over_speed",
        /// Its motor speeds up whatever it is told, as long as it has power.
        RunawayMotor => "runaway_motor",
        /// The contactor of what moves is welded: the power does not go off.
        RelayStuckOn => "relay_stuck_on",
        /// The contactor does not close: the power does not come on.
        RelayStuckOff => "relay_stuck_off",
        /// The supply collapses: the voltage sags, the contactor drops out, the computer is throttled.
        BrownOut => "brown_out",
        /// The computer gets too hot.
        BoardOverheated => "board_overheated",
        /// The speed is not measured any more.
        SpeedSilent => "speed_silent",
        /// The measured speed stays as it is.
        SpeedFrozen => "speed_frozen",
        /// Somebody presses the emergency stop.
        EstopPressed => "estop_pressed",
        /// Somebody opens the case.
        CaseOpen => "case_open",
        /// The cable to the server is pulled.
        LinkLost => "link_lost",
    }
}

/// A fault that stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct StandingFault {
    /// Which one.
    pub fault: SimulatedFault,
    /// For how long it was put in, in seconds; absent where it stands until it is cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub for_s: Option<u32>,
}

/// The simulation that a machine lives in. A machine without this section is real.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct Simulation {
    /// The faults that can be put into it.
    pub possible: Vec<SimulatedFault>,
    /// Those that stand.
    pub faults: Vec<StandingFault>,
}
