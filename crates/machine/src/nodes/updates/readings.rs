//! What the machine's sections say, by the names that preconditions use.

use std::collections::BTreeMap;

use muster_model::StatePatch;
use muster_reflex::update::{Reading, Value};

/// Every reading by its name, with the time at which it was said.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) all: BTreeMap<String, Reading>,
}

impl Book {
    /// Takes in what was read just now. A section that is gone takes its readings with it.
    pub(super) fn hear(&mut self, now_ms: u64, patch: &StatePatch) {
        if let Some(operation) = &patch.operation {
            let operation = operation.as_ref();
            self.word(now_ms, "mode", operation.map(|said| said.mode.as_str()));
            self.word(now_ms, "safety", operation.map(|said| said.safety.as_str()));
            self.word(now_ms, "mission", operation.map(|said| said.mission.as_str()));
            self.word(
                now_ms,
                "at_rest",
                operation.and_then(|said| said.at_rest).map(yes_or_no),
            );
        }
        if let Some(power) = &patch.power {
            let power = power.as_ref();
            let percent = power.and_then(|said| said.battery_percent);
            self.number(now_ms, "battery_percent", percent);
            self.word(now_ms, "charging", power.map(|said| yes_or_no(said.charging)));
            self.word(
                now_ms,
                "external_supply",
                power.map(|said| yes_or_no(said.external_supply)),
            );
        }
        if let Some(thermal) = &patch.thermal {
            let highest = thermal.as_ref().map(|said| said.highest_celsius);
            self.number(now_ms, "temperature_celsius", highest);
        }
        if let Some(location) = &patch.location {
            let speed = location.as_ref().map(|said| said.speed_m_per_s);
            self.number(now_ms, "speed_m_per_s", speed);
        }
        if let Some(resources) = &patch.resources {
            let resources = resources.as_ref();
            self.number(now_ms, "cpu_percent", resources.map(|said| said.cpu_percent));
            self.number(
                now_ms,
                "memory_percent",
                resources.map(|said| said.memory_percent),
            );
        }
    }

    fn number(&mut self, at_ms: u64, name: &str, value: Option<f64>) {
        self.put(at_ms, name, value.map(Value::Number));
    }

    fn word(&mut self, at_ms: u64, name: &str, value: Option<&str>) {
        self.put(at_ms, name, value.map(|word| Value::Word(word.to_owned())));
    }

    fn put(&mut self, at_ms: u64, name: &str, value: Option<Value>) {
        match value {
            Some(value) => drop(self.all.insert(name.to_owned(), Reading { value, at_ms })),
            None => drop(self.all.remove(name)),
        }
    }
}

const fn yes_or_no(said: bool) -> &'static str {
    if said { "yes" } else { "no" }
}
