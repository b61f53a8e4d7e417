//! The sections of the machine file that have a structure. Source of the design: `docs/decisions/0018-the-machine-file.md`.

use muster_metal::wiring::Device;
use muster_reflex::safety::Condition;
use muster_reflex::safety::config::Start;
use muster_runtime::config::{Document, Mistake};
use serde::Serialize;
use yaml_serde::Value;

use super::{Settings, failsafe, safety};

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
        name: "failsafe",
        read: failsafe::read,
        show: |settings| shown(&failsafe::rows(&settings.safety.rules)),
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
    wiring.chain(safety::mistakes(settings)).collect()
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
