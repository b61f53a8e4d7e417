//! Trains the dictionary of the link's compression from messages of a seed, as the types write them, and writes it to a
//! file; the same code gives the same bytes:
//!
//! `cargo run -p muster-protocol --example train-dictionary -- crates/protocol/src/link/compression/dictionary.bin`
//!
//! Every sample went through the decoder and the encoder: what is no message ends the training. Without a file it measures
//! what the dictionary that is built in makes of other messages, and how long that takes (with `--release`). A dictionary
//! that was shipped is not trained again: machines in the field have it.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::disallowed_types,
    reason = "a tool that writes a file and takes times; the crate itself does not"
)]

use std::time::Instant;

use muster_model::Timestamp;
use muster_protocol::link::compression::{self, DICTIONARY_ID};
use muster_protocol::link::{Decoder, Limits, encode};
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

    /// As machines tell figures: some rounded, some as they were measured.
    fn real(&mut self, most: f64) -> f64 {
        let value = self.below(1 << 40) as f64 / (1_u64 << 40) as f64 * most;
        match self.below(3) {
            0 => value,
            1 => (value * 10.0).round() / 10.0,
            _ => (value * 100.0).round() / 100.0,
        }
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
    let mut chance = Chance(0x6d75_7374_6572);
    let Some(file) = std::env::args().nth(1) else {
        return measure(Chance(0x0072_6573_7465));
    };
    let samples: Vec<String> = (0..6_000).map(|_| message(&mut chance).1).collect();
    let dictionary = zstd::dict::from_samples(&samples, DICTIONARY_BYTES)?;
    println!(
        "{} bytes of dictionary from {} messages",
        dictionary.len(),
        samples.len()
    );
    std::fs::write(file, dictionary)
}

/// What becomes of messages that the dictionary was not trained with.
fn measure(mut chance: Chance) -> std::io::Result<()> {
    let mut messages: Vec<(&str, String)> = (0..20_000).map(|_| message(&mut chance)).collect();
    messages.sort();
    println!("dictionary {DICTIONARY_ID}");
    println!(
        "{:>10} {:>8} {:>7} {:>7} {:>9} {:>9}",
        "", "messages", "text", "frame", "pack", "unpack"
    );
    for of_a_kind in messages.chunk_by(|one, other| one.0 == other.0) {
        let began = Instant::now();
        let frames: Vec<_> = of_a_kind
            .iter()
            .map(|(_, text)| compression::pack(text))
            .collect();
        let packed = began.elapsed();
        let limits = Limits::default();
        let began = Instant::now();
        for frame in frames.iter().flatten() {
            compression::unpack(frame, &limits).map_err(std::io::Error::other)?;
        }
        let unpacked = began.elapsed();
        let count = of_a_kind.len();
        let text: usize = of_a_kind.iter().map(|(_, text)| text.len()).sum();
        let frame: usize = of_a_kind
            .iter()
            .zip(&frames)
            .map(|((_, text), frame)| frame.as_ref().map_or(text.len(), Vec::len))
            .sum();
        println!(
            "{:>10} {count:>8} {:>6}B {:>6}B {:>7.1}us {:>7.1}us",
            of_a_kind[0].0,
            text / count,
            frame / count,
            packed.as_secs_f64() * 1e6 / count as f64,
            unpacked.as_secs_f64() * 1e6 / count as f64,
        );
    }
    Ok(())
}

/// A message as the types write it, and its type.
fn message(chance: &mut Chance) -> (&'static str, String) {
    let (kind, payload, durable) = payload(chance);
    let at = 1_790_000_000_000 + chance.below(200_000_000_000);
    let mut message = json!({
        "version": 1,
        "type": kind,
        "machine_id": chance.uuid(),
        "session": chance.below(500),
        "sequence": 1 + chance.below(100_000),
        "timestamp": Timestamp::from_millis(at as i64),
        "payload": payload,
    });
    if durable {
        message["record"] = (1 + chance.below(1_000_000)).into();
    }
    let (decoder, text) = (Decoder::default(), message.to_string());
    let written = match kind {
        "ack" | "resync" => encode(&decoder.server(&text).expect("a message of the server")),
        _ => encode(&decoder.machine(&text).expect("a message of a machine")),
    };
    (kind, written.expect("was JSON before"))
}

fn payload(chance: &mut Chance) -> (&'static str, Value, bool) {
    match chance.below(16) {
        12..=14 => {
            let mut ack = json!({ "record": chance.below(1_000_000) });
            if chance.below(2) == 0 {
                ack["heartbeat"] = (1 + chance.below(100_000)).into();
            }
            ("ack", ack, false)
        }
        15 => {
            let reason = chance.pick(&[
                "a record is missing",
                "the state of this version is not known here",
            ]);
            (
                "resync",
                json!({ "reason": reason, "next_record": chance.below(1_000_000) }),
                false,
            )
        }
        0..=2 => ("heartbeat", heartbeat(chance), false),
        3..=5 => ("telemetry", telemetry(chance), false),
        6..=7 => ("state", state(chance), true),
        8 => ("event", event(chance), true),
        9 => ("log", log(chance), false),
        10 => {
            let answer = json!({ "command_id": chance.uuid(), "outcome": chance.pick(&["accepted", "duplicate", "expired", "refused"]), "reason": "this runtime does not carry out commands of this kind" });
            ("response", answer, true)
        }
        _ => ("state", state(chance), true),
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
    told.insert("deployment".into(), json!({ "agent_version": "0.1.0" }));
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
