//! What a machine file says of hardware and safety, and what is said of a file that cannot be meant.

use std::path::Path;
use std::time::Duration;

use muster_reflex::safety::Condition;
use muster_reflex::safety::config::{Action, Clears, Rule, Start};

use crate::config::{Config, ConfigError};

const CART: &str = include_str!("../../../../../examples/machines/cart.yaml");
const DESK: &str = include_str!("../../../../../examples/machines/desk.yaml");

fn read(text: &str) -> Result<Config, ConfigError> {
    Config::read(Some((Path::new("m.yaml"), text)), [], [])
}

/// The cart with a change that must be refused: at the line that holds the new text, with these words, and nothing else.
#[track_caller]
fn refused(from: &str, to: &str, at: &str, says: &str) {
    assert_eq!(
        CART.matches(from).count(),
        1,
        "{from:?} must stand once in the cart"
    );
    let text = CART.replace(from, to);
    let error = read(&text).expect_err(to);
    let [only] = error.each() else {
        panic!("{to:?} is more than one mistake: {error}");
    };
    let said = only.to_string();
    assert!(
        said.contains(&format!(": {at}: ")) && said.contains(says),
        "{said} should say {says} at {at}"
    );
    let lines = text.lines().enumerate();
    let last = to.lines().last().unwrap_or_default();
    let line = lines
        .filter(|(_, line)| line.trim() == last.trim())
        .map(|(index, _)| index + 1)
        .next();
    let placed = only.place().map(|(_, line)| line);
    assert!(
        line.is_none() || placed == line,
        "{said} should be at line {line:?}"
    );
}

#[test]
fn the_examples_are_accepted_as_they_stand() {
    let cart = read(CART).unwrap();
    let odd: Vec<_> = cart.oddities().iter().map(ToString::to_string).collect();
    assert_eq!(odd, Vec::<String>::new());
    let settings = &cart.settings;
    assert_eq!(settings.wiring.devices.len(), 9);
    assert_eq!(settings.wiring.actuators["drive"].raw_per_unit, 400.0);
    assert_eq!(settings.wiring.safety.period_ms, Some(5));
    assert_eq!(settings.safety.stop_within, Duration::from_millis(1_500));
    assert_eq!(
        settings.safety.rules[1],
        Rule {
            when: Condition::BatteryLow,
            after_us: 10_000_000,
            action: Action::Limit,
            clears: Clears::WithCondition,
        }
    );
    let options = settings.options("host", None);
    assert_eq!(
        (&options.wiring, &options.safety),
        (&settings.wiring, &settings.safety)
    );

    let desk = read(DESK).unwrap();
    assert_eq!(desk.oddities().len(), 0);
    assert_eq!(desk.settings.safety.start, Start::Explicit);
}

#[test]
fn what_is_shown_of_an_example_means_the_same() {
    for example in [CART, DESK] {
        let config = read(example).unwrap();
        for shown in [config.show(), config.show_origins()] {
            let again = read(&shown).unwrap().settings;
            assert_eq!(again.wiring, config.settings.wiring, "{shown}");
            assert_eq!(again.safety, config.settings.safety, "{shown}");
        }
    }
    let shown = read(CART).unwrap().show_origins();
    for line in [
        "  stop_within_ms: 1500  # m.yaml:105",
        "    late_after_ms: 50  # default",
    ] {
        assert!(
            shown.lines().any(|shown| shown.trim() == line.trim()),
            "{line} in\n{shown}"
        );
    }
}

#[test]
fn each_mistake_is_said_where_it_is() {
    refused(
        "    type: pwm",
        "    type: pwn",
        "devices.esc.type",
        "did you mean \"pwm\"?",
    );
    refused(
        "    channel: 1",
        "    chanel: 1",
        "devices.esc.chanel",
        "did you mean \"channel\"?",
    );
    refused(
        "    address: 0x36",
        "    address: 0x99",
        "devices.encoder.address",
        "153 is no device's address",
    );
    refused(
        "    timeout_s: 15",
        "    timeout_s: soon",
        "devices.dog.timeout_s",
        "\"soon\" is not accepted: a whole number",
    );
    refused("  cpu:", "  CPU:", "sensors.CPU", "lower-case");
    refused(
        "    device: encoder",
        "    device: encodre",
        "sensors.speed.device",
        "no device \"encodre\"",
    );
    refused("bytes: 2", "bytes: 9", "sensors.speed.register.bytes", "1 to 4");
    refused(
        "    max: 1.2",
        "    max: -1.2",
        "actuators.drive.max",
        "above zero",
    );
    refused(
        "    sensor: speed",
        "    sensor: cpu",
        "actuators.drive.sensor",
        "they must be the same",
    );
    refused(
        "  estop: estop-line",
        "  estop: contactor",
        "safety.estop",
        "not an input",
    );
    refused(
        "  on_estop: power_off",
        "  on_estop: hold",
        "safety.on_estop",
        "takes the power",
    );
    refused(
        "  on_estop: power_off",
        "  on_estop: slow",
        "safety.on_estop",
        "\"slow\" is not accepted",
    );
    refused(
        "  stop_within_ms: 1500",
        "  stop_within_ms: 0",
        "safety.stop_within_ms",
        "1 to 600000",
    );
    refused(
        "  still_below: 0.02",
        "  still_below: 2",
        "safety.still_below",
        "it would never move",
    );
    refused(
        "  still_below: 0.02",
        "  still_below: .nan",
        "safety.still_below",
        "a number",
    );
    refused(
        "  limited_to: 0.25",
        "  limited_to: 1.5",
        "safety.limited_to",
        "0 to 1",
    );
    refused(
        "  limited_to: 0.25",
        "  late_after_ms: 9",
        "safety.late_after_ms",
        "10 ms at the earliest",
    );
    refused(
        "  limited_to: 0.25",
        "  horizon_ms: 0",
        "safety.horizon_ms",
        "1 to 60000",
    );
    refused(
        "    after_s: 5",
        "    after_s: 86401",
        "failsafe[0].after_s",
        "a day",
    );
    refused(
        "    after_s: 5",
        "    after_s: 5\n    after_ms: 1",
        "failsafe[0].after_ms",
        "either",
    );
    refused(
        "    then: limit",
        "    then: warn\n    clears: reset",
        "failsafe[1].clears",
        "with_condition",
    );
    refused(
        "    then: limit",
        "    then: limit\n    until: later",
        "failsafe[1].until",
        "accepted are when, after_ms",
    );
    refused(
        "  - when: battery_low",
        "  - when: batery_low",
        "failsafe[1].when",
        "did you mean \"battery_low\"?",
    );
}

#[test]
fn thresholds_and_the_fence_are_checked_where_they_stand() {
    refused("    below: 15", "    below: 101", "failsafe[1].below", "0 to 100");
    refused(
        "    below: 15",
        "    below: 15\n    above: 15",
        "failsafe[1].above",
        "only too_hot has it",
    );
    refused(
        "  - when: battery_low\n    below: 15",
        "  - when: battery_low",
        "failsafe[1]",
        "`below` is missing",
    );
    refused(
        "    below: 15",
        "    below: 15\n    then: warn\n  - when: battery_low\n    below: 16",
        "failsafe[2].below",
        "all rows of battery_low share one",
    );
    refused(
        "  decelerates_m_per_s2: 0.8",
        "  decelerates_m_per_s2: 0",
        "geofence.decelerates_m_per_s2",
        "above zero",
    );
    refused(
        "  margin_m: 2.5",
        "  margin: 2.5",
        "geofence.margin",
        "did you mean \"margin_m\"?",
    );
    refused(
        "  fresh_ms: 4000",
        "  fresh_ms: soon",
        "geofence.fresh_ms",
        "a whole number",
    );
    refused(", [48.13760, 11.57550]]", "]", "geofence.keep_out[0]", "3 to 64");
    refused(
        "[48.13760, 11.57550]",
        "[11.57550, 148.13760]",
        "geofence.keep_out[0]",
        "50000 metres",
    );
    let (without, _) = CART.split_once("# Where it may be").unwrap();
    let error = read(without).unwrap_err().to_string();
    assert!(
        error.contains("failsafe[3].when: there is no `geofence`"),
        "{error}"
    );
}

#[test]
fn a_table_has_so_many_rows_and_no_more() {
    let table = |rows: usize| format!("failsafe:\n{}", "- {when: link_lost, then: warn}\n".repeat(rows));
    assert_eq!(read(&table(16)).unwrap().settings.safety.rules.len(), 16);
    let error = read(&table(17)).unwrap_err().to_string();
    assert_eq!(
        error,
        "m.yaml:1: failsafe: there are 17 rows: at most 16 are accepted"
    );
}

#[test]
fn what_is_odd_is_said_of_what_moves() {
    let text = DESK
        .replace("  estop: button\n", "")
        .replace("explicit", "automatic")
        .replace("link_lost", "node_lost")
        .replace(
            "relay: {type: simulated_relay}",
            "relay: {type: attribute, path: /sys/x, writable: true}",
        );
    let odd: Vec<_> = read(&text)
        .unwrap()
        .oddities()
        .iter()
        .map(ToString::to_string)
        .collect();
    for says in [
        "there is no emergency stop circuit",
        "no hardware `watchdog`",
        "nobody sees whether the contactor follows",
        "no row says what happens without a link",
        "may move as soon as it is started",
        "simulated devices stand beside real ones",
    ] {
        assert!(odd.iter().any(|odd| odd.contains(says)), "{says} in {odd:#?}");
    }
}
