//! What the safety of this machine is made of, for people: said once, when the node starts.

use muster_model::safety::{FailsafeRow, SafetyReport};
use muster_reflex::safety::Config;
use serde::Serialize;

/// The set-up as it is reported.
pub(super) fn report(config: &Config) -> SafetyReport {
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
        let said = report(&config);
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
            report(&Config::default()).speed_max,
            None,
            "what nothing limits has no limit"
        );
    }
}
