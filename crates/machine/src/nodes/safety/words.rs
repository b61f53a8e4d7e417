//! How the safety region is put into words.

use muster_model::Severity;
use muster_model::vocabulary::Safety as Region;
use muster_reflex::safety::{Cause, Condition, Verdict};

/// How much a request to stop matters.
pub(super) const STOP: Severity = Severity::Warning;

/// The words of what holds the machine back, for its state. Instead of a rule its condition is named.
pub(super) fn held_by(verdict: &Verdict, standing: &[&'static str]) -> Vec<String> {
    let of_rule = |cause: &Cause| matches!(cause, Cause::Rule | Cause::RuleHeld | Cause::RuleLatched);
    let causes = verdict.causes.iter();
    let mut words: Vec<_> = causes
        .filter(|cause| standing.is_empty() || !of_rule(cause))
        .map(Cause::as_str)
        .chain(standing.iter().copied())
        .map(str::to_owned)
        .collect();
    words.dedup();
    words
}

/// The event that a new region is, if it is one: that a machine starts and may move is none.
pub(super) fn event_of(
    before: Option<Region>,
    verdict: &Verdict,
    standing: &[&'static str],
) -> Option<(&'static str, Severity, String)> {
    let region = verdict.region;
    let began = matches!(before, None | Some(Region::Init));
    if before == Some(region) || region == Region::Init || (began && region == Region::Operational) {
        return None;
    }
    let mut why: Vec<_> = verdict.causes.iter().map(sentence).collect();
    why.extend(standing.iter().copied().filter_map(condition));
    let why = why.join("; ");
    Some(match region {
        Region::EstopLatched => (
            "safety.estop_latched",
            Severity::Critical,
            format!("Emergency stop, latched: {why}"),
        ),
        Region::FaultLatched => (
            "safety.fault_latched",
            Severity::Critical,
            format!("Stopped by a fault, latched: {why}"),
        ),
        Region::ProtectiveStop => (
            "safety.protective_stop",
            Severity::Warning,
            format!("Stands: {why}"),
        ),
        Region::Limited => (
            "safety.limited",
            Severity::Warning,
            format!("Moves within tightened limits: {why}"),
        ),
        Region::Operational | Region::Init => {
            ("safety.operational", Severity::Info, "May move again".to_owned())
        }
    })
}

fn sentence(cause: Cause) -> &'static str {
    match cause {
        Cause::Estop => "the emergency stop is pressed, or its circuit is broken",
        Cause::EstopAsked => "somebody at the machine asked for it",
        Cause::Tamper => "the case is open",
        Cause::Runaway => "it moved faster than it may",
        Cause::MovedUnpowered => "it moved without power",
        Cause::OutputFailed => "the power of what moves could not be switched",
        Cause::RuleLatched => "a failsafe of the configuration latched",
        Cause::Started => "it was started, and waits to be resumed at the machine",
        Cause::EndedUnknown => "nobody knows how it ended before; it waits to be resumed at the machine",
        Cause::Asked => "it was asked to stop, and waits to be resumed at the machine",
        Cause::NotResumed => "it was reset, and waits to be resumed at the machine",
        Cause::Late => "its safety loop came too late; it waits to be resumed at the machine",
        Cause::RuleHeld => "a failsafe of the configuration waits to be acknowledged at the machine",
        Cause::Rule => "a failsafe of the configuration holds it",
        Cause::Unmeasured => "its motion is not measured",
    }
}

fn condition(word: &str) -> Option<&'static str> {
    let condition = Condition::ALL
        .iter()
        .find(|condition| condition.as_str() == word)?;
    Some(match condition {
        Condition::LinkLost => "there is no link to the server",
        Condition::TeleopLost => "the operator is not heard of",
        Condition::NodeLost => "a part of the runtime has failed",
        Condition::BatteryLow => "the battery is low",
        Condition::TooHot => "something is too hot",
        Condition::OutsideFence => "it is outside of where it may be",
        Condition::PositionLost => "it does not know where it is",
    })
}
