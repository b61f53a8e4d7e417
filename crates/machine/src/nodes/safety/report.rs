//! What the safety of this machine is made of, for people, and what its gate did not let through.

use muster_model::gate::{GateDecision, GateReport};
use muster_model::safety::{FailsafeRow, FenceReport, SafetyReport, ThreadGrants};
use muster_reflex::fence::{Corner, Fence};
use muster_reflex::safety::Config;
use muster_reflex::safety::decisions::Decisions;
use muster_runtime::realtime::Grants;
use serde::Serialize;

use crate::options::SafetyOptions;

/// The set-up as it is reported: said once, when the node starts and it is known what its loop was granted.
pub(super) fn report(config: &Config, options: &SafetyOptions, grants: Option<&Grants>) -> SafetyReport {
    let rows = config.rules().map(|(_, rule)| FailsafeRow {
        when: rule.when.as_str().to_owned(),
        after_ms: rule.after_us / 1_000,
        action: word(&rule.action),
        clears: word(&rule.clears),
    });
    SafetyReport {
        estop_circuit: config.estop_circuit,
        tamper_circuit: config.tamper_circuit,
        measures_motion: config.measures_motion || config.actuators().any(|(_, actuator)| actuator.measured),
        speed_max: (config.speed_max < f64::MAX).then_some(config.speed_max),
        stop_within_ms: config.stop_within_us / 1_000,
        limited_to: config.limited_to,
        on_estop: word(&config.on_estop),
        start: word(&config.start),
        after_power_cut: word(&config.after_power_cut),
        failsafe: rows.collect(),
        battery_low_percent: options.battery_low_percent,
        too_hot_celsius: options.too_hot_celsius,
        fence: options.fence.as_ref().map(fence),
        thread: grants.map(|grants| ThreadGrants {
            priority: grants.priority(),
            priority_refused: grants.scheduling.clone().err(),
            memory_locked: grants.memory.is_ok(),
            memory_refused: grants.memory.clone().err(),
        }),
    }
}

fn fence(fence: &Fence) -> FenceReport {
    let count = |areas: &[Vec<Corner>]| u32::try_from(areas.len()).unwrap_or(u32::MAX);
    FenceReport {
        areas: count(&fence.areas),
        keep_out: count(&fence.keep_out),
        decelerates_m_per_s2: fence.decelerates_m_per_s2,
        margin_m: fence.margin_m,
    }
}

/// What the gate did not let through, with the names of the actuators.
pub(super) fn gate_report(decisions: &Decisions, actuators: &[String]) -> GateReport {
    let rows = decisions.rows().map(|row| GateDecision {
        actuator: actuators.get(row.place).cloned().unwrap_or_default(),
        authority: row.authority,
        reason: row.reason.as_str().to_owned(),
        asked: row.asked.is_finite().then_some(row.asked),
        passed: row.passed,
        times: row.times,
        first_at: row.first_at,
        last_at: row.last_at,
    });
    GateReport {
        decisions: rows.collect(),
    }
}

/// The word that an enumeration is written with.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use muster_reflex::safety::Condition;
    use muster_reflex::safety::config::{Action, Clears, Rule};

    use super::*;

    #[test]
    fn a_set_up_is_said_in_the_words_of_the_machine_file() {
        let mut config = Config {
            estop_circuit: true,
            speed_max: 20.0,
            stop_within_us: 15_000_000,
            ..Config::default()
        };
        config.rules[0] = Some(Rule {
            when: Condition::LinkLost,
            after_us: 120_000_000,
            action: Action::ControlledStop,
            clears: Clears::WithCondition,
        });
        let said = report(&config, &SafetyOptions::default(), None);
        assert_eq!((said.speed_max, said.stop_within_ms), (Some(20.0), 15_000));
        assert_eq!(
            (said.on_estop.as_str(), said.start.as_str()),
            ("power_off", "explicit")
        );
        let row = FailsafeRow {
            when: "link_lost".to_owned(),
            after_ms: 120_000,
            action: "controlled_stop".to_owned(),
            clears: "with_condition".to_owned(),
        };
        assert_eq!(said.failsafe, [row]);
        assert_eq!(
            report(&Config::default(), &SafetyOptions::default(), None).speed_max,
            None,
            "what nothing limits has no limit"
        );
    }

    #[test]
    fn it_is_said_what_was_granted_and_why_not() {
        let grants = Grants {
            scheduling: Err("not permitted".to_owned()),
            memory: Ok(()),
        };
        let said = report(&Config::default(), &SafetyOptions::default(), Some(&grants)).thread;
        let refused = ThreadGrants {
            priority: None,
            priority_refused: Some("not permitted".to_owned()),
            memory_locked: true,
            memory_refused: None,
        };
        assert_eq!(said, Some(refused));
        let granted = Grants {
            scheduling: Ok(()),
            ..grants
        };
        let said = report(&Config::default(), &SafetyOptions::default(), Some(&granted))
            .thread
            .expect("it has a thread");
        assert!(said.priority.is_some_and(|priority| priority > 50), "{said:?}");
        assert_eq!(said.priority_refused, None);
    }
}
