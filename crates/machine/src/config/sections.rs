//! The sections of the machine file that have a structure. Source of the design: `docs/decisions/0018-the-machine-file.md`.

use muster_metal::wiring::Device;
use muster_reflex::fence::Fence;
use muster_reflex::safety::Condition;
use muster_reflex::safety::config::{Clears, Rule, Start};
use muster_runtime::config::{Document, Mistake};
use serde::Serialize;
use yaml_serde::Value;

use super::{Settings, failsafe, safety, workloads};

/// Every section, in the order they are shown.
pub(super) const DOCUMENTS: &[Document<Settings>] = &[
    Document {
        name: "devices",
        read: |settings, reading| settings.wiring.devices = reading.named(),
        show: |settings| shown(&settings.wiring.devices),
    },
    Document {
        name: "actuators",
        read: |settings, reading| settings.wiring.actuators = reading.named(),
        show: |settings| shown(&settings.wiring.actuators),
    },
    Document {
        name: "sensors",
        read: |settings, reading| settings.wiring.sensors = reading.named(),
        show: |settings| shown(&settings.wiring.sensors),
    },
    Document {
        name: "safety",
        read: safety::read,
        show: |settings| shown(&safety::Section::of(settings)),
    },
    Document {
        name: "geofence",
        read: |settings, reading| settings.safety.fence = reading.whole(),
        show: |settings| settings.safety.fence.as_ref().and_then(shown),
    },
    Document {
        name: "failsafe",
        read: failsafe::read,
        show: |settings| shown(&failsafe::rows(&settings.safety)),
    },
    Document {
        name: "workloads",
        read: workloads::read_workloads,
        show: |settings| shown(&settings.workloads),
    },
    Document {
        name: "services",
        read: workloads::read_services,
        show: |settings| shown(&settings.watch.services),
    },
];

/// What of a section is in force; none of one that is empty.
fn shown(section: &impl Serialize) -> Option<Value> {
    let value = yaml_serde::to_value(section).ok()?;
    let is_empty = value.as_mapping().is_some_and(yaml_serde::Mapping::is_empty)
        || value.as_sequence().is_some_and(Vec::is_empty);
    Some(value).filter(|_| !is_empty)
}

/// What cannot be meant.
pub(super) fn mistakes(settings: &Settings) -> Vec<Mistake> {
    let wiring = settings.wiring.check().into_iter().map(|mistake| Mistake {
        path: mistake.path,
        what: mistake.what,
    });
    let fence = settings.safety.fence.iter().flat_map(Fence::check);
    let fence = fence.map(|(path, what)| Mistake {
        path: std::iter::once("geofence".to_owned()).chain(path).collect(),
        what,
    });
    let mut mistakes: Vec<_> = wiring.chain(safety::mistakes(settings)).chain(fence).collect();
    let asked = place_of(settings, Condition::OutsideFence);
    if let Some(place) = asked.filter(|_| settings.safety.fence.is_none()) {
        mistakes.push(Mistake {
            path: vec!["failsafe".to_owned(), place.to_string(), "when".to_owned()],
            what: "there is no `geofence` that it could be outside of".to_owned(),
        });
    }
    mistakes.extend(workloads::mistakes(settings));
    mistakes
}

/// The first row of the failsafe table that asks for this.
fn place_of(settings: &Settings, condition: Condition) -> Option<usize> {
    let rules = &settings.safety.rules;
    rules.iter().position(|rule| rule.when == condition)
}

/// Rows that wait for a person, for what nobody knows when the machine starts.
fn unknown_at_first(rule: &Rule) -> bool {
    /// So long it may take until a position is known.
    const FIRST_US: u64 = 5_000_000;
    matches!(rule.when, Condition::OutsideFence | Condition::PositionLost)
        && rule.clears == Clears::Reset
        && rule.after_us < FIRST_US
}

/// What is accepted, and should be looked at again.
pub(super) fn oddities(settings: &Settings) -> Vec<Mistake> {
    let Settings { wiring, safety, .. } = settings;
    let moves = wiring.actuators.values().any(|actuator| !actuator.unmeasured);
    let simulated = wiring
        .devices
        .values()
        .filter(|device| is_simulated(device))
        .count();
    let is_real = simulated < wiring.devices.len();
    let has = |condition| safety.rules.iter().any(|rule| rule.when == condition);
    let checks = [
        (
            moves && wiring.safety.estop.is_none(),
            &["safety"][..],
            "something moves, and there is no emergency stop circuit (`estop`)",
        ),
        (
            moves && is_real && wiring.safety.watchdog.is_none(),
            &["safety"],
            "something moves, and no hardware `watchdog` takes its power if this computer hangs",
        ),
        (
            moves && is_real && wiring.safety.enable_feedback.is_none(),
            &["safety", "enable"],
            "nobody sees whether the contactor follows: it may have a contact for `enable_feedback`",
        ),
        (
            moves && !has(Condition::LinkLost),
            &["failsafe"],
            "something moves, and no row says what happens without a link (`when: link_lost`): it goes on",
        ),
        (
            safety.fence.is_some() && !has(Condition::OutsideFence),
            &["geofence"],
            "no row says what happens outside of it (`when: outside_fence`): nothing does",
        ),
        (
            has(Condition::TeleopLost),
            &["failsafe"],
            "nobody can hold the machine from afar yet: teleop_lost never holds",
        ),
        (
            safety.rules.iter().any(unknown_at_first),
            &["failsafe"],
            "no position is known at the start: with `clears: reset` it waits for a reset each time, unless `after_s` is longer",
        ),
        (
            moves && safety.start == Start::Automatic,
            &["safety", "start"],
            "it may move as soon as it is started: nobody at the machine is asked",
        ),
        (
            moves && safety.after_power_cut == Start::Automatic,
            &["safety", "after_power_cut"],
            "it may move when the power is back: nobody at the machine is asked",
        ),
        (
            simulated > 0 && is_real,
            &["devices"],
            "simulated devices stand beside real ones: what is simulated protects nobody",
        ),
    ];
    let odd = checks.into_iter().filter(|(is_odd, ..)| *is_odd);
    odd.map(|(_, path, what)| Mistake {
        path: path.iter().map(|&name| name.to_owned()).collect(),
        what: what.to_owned(),
    })
    .collect()
}

fn is_simulated(device: &Device) -> bool {
    matches!(
        device,
        Device::SimulatedMotor { .. } | Device::SimulatedContact {} | Device::SimulatedRelay {}
    )
}
