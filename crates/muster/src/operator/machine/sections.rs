//! Everything that is known of one machine, in sections. A section that the machine never reported is left out.

use muster_model::release::{Act, UpdateReport, UpdatesReport};
use muster_model::safety::ThreadGrants;
use muster_model::vocabulary::UpdatePhase;
use muster_protocol::api::Machine;

use crate::operator::session::Session;
use crate::operator::text::{
    Look, Paint, UNKNOWN, age, bytes, clean, coordinates, local_time, number, percent, status_sign,
    temperature, word_or_unknown,
};

/// Columns of the names of facts.
const NAME_WIDTH: usize = 16;

pub(super) fn render(machine: &Machine, session: &Session) -> String {
    let mut page = Page {
        text: String::new(),
        look: session.look,
    };
    head(machine, &mut page, session);
    health(machine, &mut page);
    operation(machine, &mut page);
    safety(machine, &mut page);
    last_stop(machine, &mut page, session);
    devices(machine, &mut page);
    recordings(machine, &mut page);
    desired(machine, &mut page);
    power_and_heat(machine, &mut page);
    resources(machine, &mut page);
    network(machine, &mut page);
    hardware(machine, &mut page, session);
    software(machine, &mut page);
    releases(machine, &mut page, session);
    record(machine, &mut page, session);
    page.text
}

struct Page {
    text: String,
    look: Look,
}

impl Page {
    fn section(&mut self, title: &str) {
        self.text.push('\n');
        self.text.push_str(&self.look.paint(title, Paint::Heading));
        self.text.push('\n');
    }

    fn fact(&mut self, name: &str, value: impl AsRef<str>) {
        self.painted_fact(name, value, Paint::Plain);
    }

    fn painted_fact(&mut self, name: &str, value: impl AsRef<str>, paint: Paint) {
        let padding = " ".repeat(NAME_WIDTH.saturating_sub(name.chars().count()).max(1));
        let name = self.look.paint(&clean(name), Paint::Dim);
        let value = self.look.paint(&clean(value.as_ref()), paint);
        self.text.push_str(&format!("  {name}{padding}{value}\n"));
    }

    fn fact_if(&mut self, name: &str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value {
            self.fact(name, value);
        }
    }
}

fn head(machine: &Machine, page: &mut Page, session: &Session) {
    let row = &machine.summary;
    let (sign, paint) = status_sign(row.status);
    let name = page.look.paint(&clean(&row.name), Paint::Heading);
    let status = page.look.paint(&format!("{sign} {}", row.status), paint);
    let reason = match row.status_reason.as_str() {
        "" => String::new(),
        reason => format!(": {}", clean(reason)),
    };
    page.text.push_str(&format!("{name}  {status}{reason}\n"));
    page.fact("id", row.id.to_string());
    let own = machine
        .reported
        .identity
        .as_ref()
        .map(|identity| identity.name.as_str());
    if machine.display_name.is_some() {
        page.fact_if("its own name", own);
    }
    page.fact("kind", word_or_unknown(&row.kind));
    page.fact("region", word_or_unknown(&row.region));
    let labels: Vec<String> = row
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    page.fact(
        "labels",
        if labels.is_empty() {
            UNKNOWN.to_owned()
        } else {
            labels.join(" ")
        },
    );
    let since = age(row.presence_since, machine.at);
    page.fact(
        "presence",
        format!("{} for {since} ({})", row.presence, machine.presence_reason),
    );
    page.fact("last seen", when(row.last_seen, machine, session));
    let reported = row.reported_at.map(|at| when(at, machine, session));
    page.fact("reported", reported.unwrap_or_else(|| "never".to_owned()));
}

fn when(moment: muster_model::Timestamp, machine: &Machine, session: &Session) -> String {
    format!(
        "{} ({} ago)",
        local_time(moment, session.zone()),
        age(moment, machine.at)
    )
}

/// What the machine itself says of what is desired of it.
fn desired(machine: &Machine, page: &mut Page) {
    let Some(desired) = &machine.reported.desired else {
        return;
    };
    page.section("Desired state");
    page.fact("version held", desired.version.to_string());
    for section in &desired.sections {
        let (sign, paint) = super::desired::sign(section.status);
        let why = match section.reason.as_deref() {
            Some(reason) => format!(": {reason}"),
            None => String::new(),
        };
        page.painted_fact(&section.name, format!("{sign} {}{why}", section.status), paint);
    }
}

fn devices(machine: &Machine, page: &mut Page) {
    let Some(connected) = &machine.reported.devices else {
        return;
    };
    page.section("Devices");
    for device in &connected.devices {
        let text = format!("{}: {}", device.kind, device.detail);
        if device.usable {
            page.fact(&device.name, text);
        } else {
            page.painted_fact(&device.name, format!("! {text}"), Paint::Bad);
        }
    }
    for sensor in &connected.sensors {
        let says = match &sensor.silent {
            Some(why) => format!("no readings: {why}"),
            None => format!("telemetry sensor.{}", sensor.name),
        };
        page.fact(
            &sensor.name,
            format!("sensor on {} in {}; {says}", sensor.device, sensor.unit),
        );
    }
    for actuator in &connected.actuators {
        let text = format!(
            "actuator on {}, at most {} {}",
            actuator.device, actuator.max, actuator.unit
        );
        page.fact(&actuator.name, text);
    }
}

/// What it recorded; `muster recordings` has the rest.
fn recordings(machine: &Machine, page: &mut Page) {
    let Some(recordings) = &machine.reported.recordings else {
        return;
    };
    page.section("Recordings");
    match &recordings.paused {
        Some(why) => page.painted_fact("now", format!("nothing is recorded: {why}"), Paint::Bad),
        None => page.fact("now", "recording"),
    }
    let rolling = format!("{} s, {}", recordings.rolling_s, bytes(recordings.rolling_bytes));
    page.fact("rolling", rolling);
    let kept = recordings.kept.len() as u64 + recordings.more;
    page.fact("kept", format!("{kept}: muster recordings list"));
}

fn health(machine: &Machine, page: &mut Page) {
    let Some(health) = &machine.reported.health else {
        return;
    };
    page.section("Health");
    page.fact("level", health.level.as_str());
    for problem in &health.problems {
        let paint = crate::operator::text::severity_paint(problem.severity);
        let text = format!("{} ({})", problem.message, problem.kind);
        page.painted_fact(problem.severity.as_str(), text, paint);
    }
}

/// How its safety is set up, and which simulated faults stand.
fn safety(machine: &Machine, page: &mut Page) {
    if let Some(safety) = &machine.reported.safety {
        page.section("Safety");
        let limit = safety.speed_max.map(|speed| format!("{speed} m/s"));
        page.fact("greatest speed", limit.as_deref().unwrap_or("no limit"));
        page.fact("stops within", format!("{} ms", safety.stop_within_ms));
        page.fact(
            "motion",
            if safety.measures_motion {
                "measured"
            } else {
                "not measured"
            },
        );
        let circuits = [
            (safety.estop_circuit, "emergency stop"),
            (safety.tamper_circuit, "case"),
        ];
        let circuits: Vec<&str> = circuits
            .iter()
            .filter(|(there, _)| *there)
            .map(|(_, name)| *name)
            .collect();
        page.fact(
            "circuits",
            if circuits.is_empty() {
                "none".to_owned()
            } else {
                circuits.join(", ")
            },
        );
        page.fact("on estop", &safety.on_estop);
        page.fact(
            "start",
            format!("{}; after a power cut {}", safety.start, safety.after_power_cut),
        );
        for row in &safety.failsafe {
            let text = format!(
                "{} after {} ms: {}, clears {}",
                row.when, row.after_ms, row.action, row.clears
            );
            page.fact("failsafe", text);
        }
        if let Some(thread) = &safety.thread {
            grants(thread, page);
        }
    }
    for decision in machine.reported.gate.iter().flat_map(|gate| &gate.decisions) {
        let since = age(decision.last_at, machine.at);
        page.fact("gate", format!("{}, {since} ago", decision.words()));
    }
    if let Some(simulation) = &machine.reported.simulation {
        let standing: Vec<&str> = simulation
            .faults
            .iter()
            .map(|standing| standing.fault.as_str())
            .collect();
        page.fact(
            "simulated faults",
            if standing.is_empty() {
                "none".to_owned()
            } else {
                standing.join(", ")
            },
        );
    }
}

/// What the computer granted to the thread of the safety loop.
fn grants(thread: &ThreadGrants, page: &mut Page) {
    let refused = |why: &Option<String>| format!("! refused: {}", why.as_deref().unwrap_or(UNKNOWN));
    match thread.priority {
        Some(priority) => page.fact("real time", format!("granted, priority {priority}")),
        None => page.painted_fact("real time", refused(&thread.priority_refused), Paint::Bad),
    }
    if thread.memory_locked {
        page.fact("locked memory", "granted");
    } else {
        page.painted_fact("locked memory", refused(&thread.memory_refused), Paint::Bad);
    }
}

fn operation(machine: &Machine, page: &mut Page) {
    let operation = machine.reported.operation.as_ref();
    let location = machine.reported.location.as_ref();
    if operation.is_none() && location.is_none() {
        return;
    }
    page.section("Operation");
    if let Some(operation) = operation {
        page.fact("mode", operation.mode.as_str());
        page.fact("safety", operation.safety.as_str());
        if !operation.held_by.is_empty() {
            page.fact("held by", operation.held_by.join(", "));
        }
        page.fact_if(
            "at rest",
            operation.at_rest.map(|rests| if rests { "yes" } else { "no" }),
        );
        page.fact("authority", operation.authority.as_str());
        page.fact("mission", operation.mission.as_str());
    }
    if let Some(location) = location {
        page.fact(
            "position",
            coordinates(location.latitude_degrees, location.longitude_degrees),
        );
        page.fact("heading", number(Some(location.heading_degrees), 0, "°"));
        let speed = machine.summary.speed_m_per_s.or(Some(location.speed_m_per_s));
        page.fact("speed", number(speed, 1, "m/s"));
    }
}

/// How far the last remote stop got, with the time that each step took since it was asked for.
fn last_stop(machine: &Machine, page: &mut Page, session: &Session) {
    let Some(stop) = &machine.summary.last_stop else {
        return;
    };
    page.section("Last remote stop");
    page.fact(
        "asked for",
        format!("{} by {}", when(stop.issued_at, machine, session), stop.issuer),
    );
    page.fact("reason", &stop.reason);
    let after = |at: Option<muster_model::Timestamp>| {
        at.map(|at| format!("after {} ms", at.millis_since(stop.issued_at)))
    };
    let received = match stop.answer.as_deref() {
        None if machine.at < stop.expires_at => {
            format!(
                "not yet; told until {}",
                local_time(stop.expires_at, session.zone())
            )
        }
        None => "never: its time is over".to_owned(),
        Some(_) if stop.is_received() => after(stop.answered_at).unwrap_or_default(),
        Some(word) => {
            let reason = stop.answer_reason.as_deref().unwrap_or("no reason given");
            format!("{word} by the machine: {reason}")
        }
    };
    page.fact("received", received);
    page.fact_if("standing", after(stop.standing_at));
    page.fact_if("at rest", after(stop.at_rest_at));
    page.fact_if("let go", after(stop.released_at));
}

fn power_and_heat(machine: &Machine, page: &mut Page) {
    let power = machine.reported.power.as_ref();
    let thermal = machine.reported.thermal.as_ref();
    if power.is_none() && thermal.is_none() && machine.summary.temperature_celsius.is_none() {
        return;
    }
    page.section("Power and heat");
    if let Some(power) = power {
        let charging = if power.charging { ", charging" } else { "" };
        page.fact(
            "battery",
            format!("{}{charging}", percent(machine.summary.battery_percent)),
        );
        let supply = if power.external_supply {
            "from outside"
        } else {
            "battery only"
        };
        page.fact("supply", supply);
        page.fact_if("voltage", power.volts.map(|volts| number(Some(volts), 2, "V")));
        page.fact_if(
            "current",
            power.amperes.map(|amperes| number(Some(amperes), 2, "A")),
        );
    }
    page.fact("temperature", temperature(machine.summary.temperature_celsius));
    for zone in thermal.iter().flat_map(|thermal| &thermal.zones) {
        page.fact(&format!("  {}", zone.name), temperature(Some(zone.celsius)));
    }
}

fn resources(machine: &Machine, page: &mut Page) {
    let Some(resources) = &machine.reported.resources else {
        return;
    };
    page.section("Resources");
    let load = number(Some(resources.load_1m), 2, "");
    page.fact(
        "processor",
        format!("{}, load {load}", percent(machine.summary.cpu_percent)),
    );
    let used = bytes(resources.memory_used_bytes);
    page.fact(
        "memory",
        format!("{}, {used}", percent(machine.summary.memory_percent)),
    );
    for disk in &resources.disks {
        let text = format!(
            "{}, {} of {} at {}",
            percent(Some(disk.used_percent)),
            bytes(disk.used_bytes),
            bytes(disk.size_bytes),
            disk.mount
        );
        page.fact("disk", text);
    }
}

fn network(machine: &Machine, page: &mut Page) {
    let Some(network) = &machine.reported.network else {
        return;
    };
    page.section("Network");
    page.fact("host name", word_or_unknown(&network.hostname));
    for interface in &network.interfaces {
        let mut words = vec![if interface.up {
            "up".to_owned()
        } else {
            "down".to_owned()
        }];
        words.extend(interface.speed_mbit_per_s.map(|speed| format!("{speed} Mbit/s")));
        words.extend(interface.mac.clone());
        words.extend(interface.addresses.iter().cloned());
        page.fact(&interface.name, words.join("  "));
    }
}

fn hardware(machine: &Machine, page: &mut Page, session: &Session) {
    if let Some(hardware) = &machine.reported.hardware {
        page.section("Hardware");
        page.fact_if("vendor", hardware.vendor.as_ref());
        page.fact_if("model", hardware.model.as_ref());
        page.fact_if("serial", hardware.serial.as_ref());
        page.fact_if("revision", hardware.revision.as_ref());
        let processor = hardware.processor.as_deref().unwrap_or("");
        let count = hardware.processors;
        page.fact(
            "processors",
            format!("{count} × {} {processor}", hardware.architecture),
        );
        page.fact("memory", bytes(hardware.memory_bytes));
    }
    if let Some(platform) = &machine.reported.platform {
        page.section("Operating system");
        page.fact("system", word_or_unknown(&platform.os));
        page.fact("kernel", word_or_unknown(&platform.kernel));
        page.fact("booted", when(platform.booted_at, machine, session));
    }
}

fn software(machine: &Machine, page: &mut Page) {
    let deployment = machine.reported.deployment.as_ref();
    let nodes = machine.reported.nodes.as_ref();
    if deployment.is_none() && nodes.is_none() {
        return;
    }
    page.section("Software");
    if let Some(deployment) = deployment {
        page.fact("runtime", word_or_unknown(&deployment.agent_version));
    }
    for node in nodes.iter().flat_map(|nodes| &nodes.nodes) {
        let restarts = match (node.restarts, &node.last_failure) {
            (0, _) => String::new(),
            (count, None) => format!(", restarted {count} ×"),
            (count, Some(why)) => format!(", restarted {count} ×: {why}"),
        };
        page.fact(
            &format!("node {}", node.name),
            format!("{}{restarts}", node.status),
        );
    }
}

/// What of releases runs, and what is under way with why.
fn releases(machine: &Machine, page: &mut Page, session: &Session) {
    let Some(updates) = machine
        .reported
        .updates
        .as_ref()
        .filter(|updates| ***updates != UpdatesReport::default())
    else {
        return;
    };
    page.section("Releases");
    if updates.stopped {
        page.fact("updates", "all stopped: nothing is begun until somebody lifts it");
    }
    for product in &updates.products {
        let running = product.running.as_ref().map_or_else(
            || "nothing yet".to_owned(),
            |running| {
                let since = running
                    .started_at
                    .map(|at| format!(", started {}", when(at, machine, session)));
                let proof = if running.confirmed { "" } else { ", on probation" };
                format!("{}{proof}{}", running.release.version, since.unwrap_or_default())
            },
        );
        page.fact(&product.product, running);
        if let Some(update) = &product.update {
            page.fact("", update_line(update));
            for why in &update.why {
                page.fact("", format!("  {why}"));
            }
        }
    }
}

fn update_line(update: &UpdateReport) -> String {
    let asked = match update.act {
        Act::Install => format!("update to {}", update.version),
        Act::GoBack => format!("back from {}", update.version),
    };
    let progress = match (update.phase, update.to_fetch_bytes) {
        (UpdatePhase::Fetching, total @ 1..) => {
            format!(
                ", {} % of {:.1} MB",
                update.fetched_bytes * 100 / total,
                total as f64 / 1e6
            )
        }
        _ => String::new(),
    };
    format!("{asked}: {}{progress}", update.phase.as_str().replace('_', " "))
}

/// What the fleet's log holds of the machine.
fn record(machine: &Machine, page: &mut Page, session: &Session) {
    page.section("Record");
    page.fact("joined", when(machine.registered_at, machine, session));
    page.fact("session", machine.session.to_string());
    page.fact("state version", machine.state_version.to_string());
    page.fact("records", machine.highest_record.to_string());
    page.fact("log position", machine.position.to_string());
}
