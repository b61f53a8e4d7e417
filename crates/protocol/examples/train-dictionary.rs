//! Trains the dictionary of the link's compression, from messages made by the types and a seed, and writes it to a file:
//! `cargo run -p muster-protocol --example train-dictionary -- crates/protocol/src/link/compression/dictionary.bin`.
//!
//! A dictionary that was shipped is not trained again: machines in the field have it.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a tool that writes a file; the crate itself does not"
)]

use muster_model::Timestamp;
use serde_json::{Value, json};

/// Larger ones gain little on messages of this size.
const DICTIONARY_BYTES: usize = 12 * 1024;

struct Chance(u64);

impl Chance {
    /// Source: Vigna, xorshift64*.
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn real(&mut self, most: f64) -> f64 {
        (self.below(10_000) as f64 / 10_000.0 * most * 10.0).round() / 10.0
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }

    fn uuid(&mut self) -> String {
        let (a, b) = (
            self.next() << 16 | self.below(1 << 16),
            self.next() << 16 | self.below(1 << 16),
        );
        format!(
            "{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}",
            a >> 32,
            a >> 16 & 0xffff,
            a & 0xfff,
            b >> 48 & 0x3fff | 0x8000,
            b & 0xffff_ffff_ffff
        )
    }
}

fn main() -> std::io::Result<()> {
    let file = std::env::args()
        .nth(1)
        .ok_or_else(|| std::io::Error::other("name the file to write"))?;
    let mut chance = Chance(0x6d75_7374_6572);
    let samples: Vec<String> = (0..6_000).map(|_| message(&mut chance).to_string()).collect();
    let dictionary = zstd::dict::from_samples(&samples, DICTIONARY_BYTES)?;
    let mut compressor = zstd::bulk::Compressor::with_dictionary(3, &dictionary)?;
    let (mut before, mut after) = (0, 0);
    for text in (0..2_000).map(|_| message(&mut chance).to_string()) {
        before += text.len();
        after += compressor.compress(text.as_bytes())?.len();
    }
    println!(
        "{} bytes of dictionary; messages become {} %",
        dictionary.len(),
        after * 100 / before
    );
    std::fs::write(file, dictionary)
}

fn message(chance: &mut Chance) -> Value {
    let (kind, payload, durable) = payload(chance);
    let at = 1_790_000_000_000 + chance.below(200_000_000_000);
    let mut message = json!({
        "version": 1,
        "type": kind,
        "machine_id": chance.uuid(),
        "session": chance.below(500),
        "sequence": chance.below(100_000),
        "timestamp": Timestamp::from_millis(at as i64),
        "payload": payload,
    });
    if durable {
        message["record"] = chance.below(1_000_000).into();
    }
    message
}

fn payload(chance: &mut Chance) -> (&'static str, Value, bool) {
    match chance.below(12) {
        0..=2 => ("heartbeat", heartbeat(chance), false),
        3..=5 => ("telemetry", telemetry(chance), false),
        6..=7 => ("state", state(chance), true),
        8 => ("event", event(chance), true),
        9 => ("log", log(chance), false),
        10 => {
            let answer = json!({ "command_id": chance.uuid(), "outcome": chance.pick(&["accepted", "duplicate", "expired", "refused"]), "reason": "this runtime does not carry out commands of this kind" });
            ("response", answer, true)
        }
        _ => (
            "ack",
            json!({ "record": chance.below(1_000_000), "heartbeat": chance.below(100_000) }),
            false,
        ),
    }
}

fn heartbeat(chance: &mut Chance) -> Value {
    json!({
        "uptime_s": chance.below(10_000_000),
        "link": { "round_trip_ms": chance.below(400), "connects": chance.below(40), "outbox": chance.below(20), "dropped": chance.below(9) },
        "safety": chance.pick(&["operational", "operational", "limited", "protective_stop", "init"]),
        "authority": chance.pick(&["none", "mission", "teleop", "local_manual"]),
        "clock": { "offset_ms": chance.below(100) as i64 - 50, "uncertainty_ms": chance.below(60) },
    })
}

fn telemetry(chance: &mut Chance) -> Value {
    let mut samples = Vec::new();
    for known in muster_model::telemetry::KNOWN {
        if chance.below(4) > 0 {
            let mut sample = json!({ "metric": known.name, "value": chance.real(100.0) });
            if chance.below(3) == 0 {
                sample["offset_ms"] = (-(chance.below(5_000) as i64)).into();
            }
            samples.push(sample);
        }
    }
    json!({ "samples": samples })
}

fn sections(chance: &mut Chance) -> Vec<(&'static str, Value)> {
    let mode = chance.pick(&["idle", "working", "driving", "parked", "charging"]);
    let mission = chance.pick(&["idle", "running", "paused", "succeeded"]);
    let mount = chance.pick(&["/", "/boot/firmware", "/data"]);
    let nodes = ["health", "resources", "state", "telemetry", "uplink"];
    let nodes: Vec<Value> = nodes
        .iter()
        .map(|name| json!({ "name": name, "status": "running", "restarts": 0 }))
        .collect();
    vec![
        (
            "operation",
            json!({ "mode": mode, "safety": "operational", "authority": "mission", "mission": mission }),
        ),
        (
            "power",
            json!({ "battery_percent": chance.real(100.0), "charging": chance.below(2) == 0, "external_supply": false, "volts": chance.real(14.0), "amperes": chance.real(9.0) }),
        ),
        (
            "thermal",
            json!({ "highest_celsius": chance.real(90.0), "zones": [{ "name": "cpu-thermal", "celsius": chance.real(90.0) }, { "name": "x86_pkg_temp", "celsius": chance.real(90.0) }] }),
        ),
        (
            "resources",
            json!({ "cpu_percent": chance.real(100.0), "load_1m": chance.real(4.0), "memory_used_bytes": chance.below(16_000_000_000), "memory_percent": chance.real(100.0), "disks": [{ "mount": mount, "size_bytes": chance.below(1_000_000_000_000), "used_bytes": chance.below(900_000_000_000), "used_percent": chance.real(100.0) }] }),
        ),
        (
            "location",
            json!({ "latitude_degrees": 48.0 + chance.real(12.0), "longitude_degrees": 9.0 + chance.real(5.0), "heading_degrees": chance.real(360.0), "speed_m_per_s": chance.real(20.0) }),
        ),
        (
            "health",
            json!({ "level": chance.pick(&["ok", "degraded"]), "problems": [{ "kind": "thermal.high", "severity": "warning", "message": format!("The processor is at {} °C", chance.real(90.0)) }] }),
        ),
        ("nodes", json!({ "nodes": nodes })),
    ]
}

fn state(chance: &mut Chance) -> Value {
    let mut told: serde_json::Map<String, Value> = sections(chance)
        .into_iter()
        .map(|(name, section)| (name.to_owned(), section))
        .collect();
    if chance.below(4) > 0 {
        let kept = chance.below(7) as usize;
        told = told.into_iter().skip(kept).take(2).collect();
        return json!({ "patch": { "base": chance.below(1_000_000), "sections": told } });
    }
    let name = format!(
        "{}-{}",
        chance.pick(&["lekiwi", "car", "pi", "host"]),
        chance.below(100)
    );
    told.insert("identity".into(), json!({ "name": name, "kind": chance.pick(&["lekiwi", "car", "pi", "host"]), "region": chance.pick(&["munich", "berlin", "oslo"]) }));
    told.insert("hardware".into(), json!({ "vendor": "Raspberry Pi", "model": "Raspberry Pi 5 Model B Rev 1.0", "architecture": chance.pick(&["aarch64", "x86_64"]), "processors": 4, "memory_bytes": chance.below(16_000_000_000) }));
    told.insert("platform".into(), json!({ "os": "Debian GNU/Linux 12 (bookworm)", "kernel": "6.6.51", "boot_id": chance.uuid(), "booted_at": "2026-11-21T05:00:00.123Z" }));
    told.insert(
        "deployment".into(),
        json!({ "agent_version": "0.1.0", "phase": "idle" }),
    );
    told.insert("network".into(), json!({ "hostname": name, "interfaces": [{ "name": "eth0", "mac": "d8:3a:dd:01:02:03", "addresses": ["192.168.1.20"], "up": true, "speed_mbit_per_s": 1000 }, { "name": "wlan0", "addresses": [], "up": false }] }));
    json!({ "full": told })
}

fn event(chance: &mut Chance) -> Value {
    let kind = chance.pick(&[
        "thermal.high",
        "battery.low",
        "node.restarted",
        "node.failed",
        "safety.protective_stop",
        "mission.succeeded",
        "disk.full",
        "link.reconnected",
    ]);
    json!({ "kind": kind, "severity": chance.pick(&["info", "warning", "error", "critical"]), "message": format!("The {} is at {}", kind.split('.').next().unwrap_or(kind), chance.real(100.0)), "data": { "value": chance.real(100.0), "limit": 80 } })
}

fn log(chance: &mut Chance) -> Value {
    let lines: Vec<Value> = (0..=chance.below(6))
        .map(|_| json!({ "severity": chance.pick(&["debug", "info", "warning"]), "target": chance.pick(&["muster_machine::uplink", "muster_machine::supervisor", "drive"]), "message": chance.pick(&["welcomed", "connection stands", "a node was started again", "nothing heard of the server for too long"]), "offset_ms": -(chance.below(5_000) as i64) }))
        .collect();
    json!({ "lines": lines })
}
