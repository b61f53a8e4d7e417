//! The AsyncAPI document: both sockets, complete enough to write an agent or a dashboard from.

use muster_model::ReportedState;
use muster_model::telemetry::KNOWN;
use serde_json::{Map, Value, json};

use super::examples::{self, Example};
use super::{Dialect, Way, frame_name, frames};
use crate::link::compression::DICTIONARY_ID;
use crate::link::encode::Encode;
use crate::link::{
    CommandKind, Limits, MINOR, MachineMessage, PATH, Priority, SUBPROTOCOL, ServerMessage, VERSION,
};
use crate::live;

/// The AsyncAPI 3.0 document of the machine link and the live API.
pub fn asyncapi() -> Value {
    let mut schemas = frames(Dialect::Component);
    let mut messages = Map::new();
    for (names, way) in [
        (MachineMessage::TYPE_NAMES, Way::FromMachine),
        (ServerMessage::TYPE_NAMES, Way::FromServer),
    ] {
        for name in names {
            messages.insert((*name).to_owned(), message(name, way));
        }
    }
    let live = live::schema::describe(Dialect::Component);
    for (name, schema) in live.schemas {
        // A type that both sockets speak of is the same on both.
        schemas.entry(name).or_insert(schema);
    }
    let live_names =
        |names: &[String]| -> Vec<Value> { names.iter().map(|name| in_channel("live", name)).collect() };
    let operations = json!({
        "machineSays": {
            "action": "receive",
            "channel": { "$ref": "#/channels/machine" },
            "summary": "What a machine says",
            "messages": references(MachineMessage::TYPE_NAMES),
        },
        "serverSays": {
            "action": "send",
            "channel": { "$ref": "#/channels/machine" },
            "summary": "What the server says to a machine",
            "messages": references(ServerMessage::TYPE_NAMES),
        },
        "clientAsks": {
            "action": "receive",
            "channel": { "$ref": "#/channels/live" },
            "summary": "What a dashboard or script says",
            "messages": live_names(&live.asks),
        },
        "serverTells": {
            "action": "send",
            "channel": { "$ref": "#/channels/live" },
            "summary": "What the server tells a dashboard or script",
            "messages": live_names(&live.tells),
        },
    });
    let mut live_channel = Map::new();
    for (name, message) in live.messages {
        live_channel.insert(
            name.clone(),
            json!({ "$ref": format!("#/components/messages/{name}") }),
        );
        messages.insert(name, message);
    }
    let link_names = MachineMessage::TYPE_NAMES.iter().chain(ServerMessage::TYPE_NAMES);
    let link_channel: Map<String, Value> = link_names
        .map(|name| {
            (
                (*name).to_owned(),
                json!({ "$ref": format!("#/components/messages/{name}") }),
            )
        })
        .collect();
    json!({
        "asyncapi": "3.0.0",
        "id": "urn:muster:sockets",
        "info": {
            "title": "Muster sockets",
            "version": format!("{VERSION}.{MINOR}"),
            "description": "The two WebSockets of a Muster server: the machine link, over which machines join the fleet, and \
                the live API, over which dashboards and scripts follow it. Generated from the types of the server. The REST \
                API is described in openapi.json.",
            "license": { "name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0" },
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": "127.0.0.1:7700",
                "protocol": "ws",
                "description": "A server on this computer. Until machines have identities, servers listen on loopback only.",
            },
        },
        "channels": {
            "machine": {
                "address": PATH,
                "title": "Machine link",
                "summary": "One connection of each machine of the fleet",
                "description": machine_description(),
                "messages": link_channel,
                "bindings": { "ws": {
                    "method": "GET",
                    "headers": {
                        "type": "object",
                        "properties": { "Sec-WebSocket-Protocol": { "type": "string", "const": SUBPROTOCOL } },
                        "required": ["Sec-WebSocket-Protocol"],
                    },
                } },
            },
            "live": {
                "address": "/ws",
                "title": "Live API",
                "summary": "What happens, for people's programs",
                "description": live.description,
                "messages": live_channel,
                "bindings": { "ws": { "method": "GET" } },
            },
        },
        "operations": operations,
        "components": { "messages": messages, "schemas": schemas },
    })
}

fn in_channel(channel: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/channels/{channel}/messages/{name}") })
}

fn references(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| in_channel("machine", name)).collect()
}

fn message(name: &str, way: Way) -> Value {
    let (examples, priority, durable) = match way {
        Way::FromMachine => {
            let shown = of_kind(examples::from_machine(), |envelope| envelope.type_name() == name);
            let durable = shown
                .first()
                .is_some_and(|example| example.envelope.message.is_durable());
            let priority = match name {
                "event" => "by severity".to_owned(),
                _ => priority_of(&shown, MachineMessage::priority),
            };
            (shown.iter().map(shape).collect::<Vec<_>>(), priority, durable)
        }
        Way::FromServer => {
            let shown = of_kind(examples::from_server(), |envelope| envelope.type_name() == name);
            let priority = match name {
                "command" => "by kind".to_owned(),
                _ => priority_of(&shown, ServerMessage::priority),
            };
            (shown.iter().map(shape).collect(), priority, false)
        }
    };
    let (direction, summary) = match way {
        Way::FromMachine => ("machine to server", summary_of(name)),
        Way::FromServer => ("server to machine", summary_of(name)),
    };
    let kept = if durable {
        " Durable: has a record number and is kept by the machine until it is acknowledged."
    } else {
        ""
    };
    json!({
        "name": name,
        "title": name,
        "summary": summary,
        "description": format!("{direction}, priority: {priority}.{kept}"),
        "contentType": "application/json",
        "payload": Dialect::Component.reference(&frame_name(name)),
        "examples": examples,
        "x-priority": priority,
        "x-durable": durable,
    })
}

fn of_kind<M>(examples: Vec<Example<M>>, wanted: impl Fn(&M) -> bool) -> Vec<Example<M>> {
    examples
        .into_iter()
        .filter(|example| wanted(&example.envelope.message))
        .collect()
}

fn priority_of<M>(shown: &[Example<M>], priority: impl Fn(&M) -> Priority) -> String {
    shown
        .first()
        .map(|example| word(priority(&example.envelope.message)).to_owned())
        .unwrap_or_default()
}

fn shape<M: Encode>(example: &Example<M>) -> Value {
    json!({ "summary": example.about, "payload": example.json() })
}

fn word(priority: Priority) -> &'static str {
    match priority {
        Priority::Critical => "critical",
        Priority::High => "high",
        Priority::Normal => "normal",
        Priority::Low => "low",
    }
}

fn summary_of(name: &str) -> &'static str {
    match name {
        "hello" => "First message of a connection: who is there and what it holds",
        "heartbeat" => "Still here, and how it is going",
        "state" => "What the machine says of itself, whole or what changed",
        "telemetry" => "Measurements",
        "event" => "Something happened",
        "log" => "Lines of the machine's log",
        "response" => "Receipt for a command",
        "welcome" => "Answer to hello: the session begins",
        "ack" => "What is on the server's disk, and the answer to a heartbeat",
        "desired" => "What the machine should become",
        "command" => "What the machine should do",
        "resync" => "Something was missed: full state, and the records from here on",
        "bye" => "The connection ends, and why",
        _ => "",
    }
}

/// The prose, with the figures from the code.
fn machine_description() -> String {
    let sections: Vec<String> = ReportedState::SECTIONS
        .iter()
        .map(|name| format!("`{name}`"))
        .collect();
    include_str!("machine.md")
        .replace("{path}", PATH)
        .replace("{subprotocol}", SUBPROTOCOL)
        .replace("{version}", &VERSION.to_string())
        .replace("{dictionary}", &DICTIONARY_ID.to_string())
        .replace("{sections}", &sections.join(", "))
        .replace("{metrics}", metrics().trim_end())
        .replace("{priorities}", priorities().trim_end())
        .replace("{limits}", limits().trim_end())
}

fn metrics() -> String {
    let mut table = "| metric | unit | what it measures |\n|---|---|---|\n".to_owned();
    for metric in KNOWN {
        table += &format!("| `{}` | {} | {} |\n", metric.name, metric.unit, metric.about);
    }
    table
}

fn priorities() -> String {
    let of = |priority: Priority| -> &'static str {
        match priority {
            Priority::Critical => "`event` of severity critical, `command` stop",
            Priority::High => {
                "`hello`, `heartbeat`, `response`, `event` of severity error, `welcome`, `ack`, `resync`, `bye`"
            }
            Priority::Normal => "`state`, `telemetry`, `event` of severity warning or info, `desired`",
            Priority::Low => "`log`, `event` of severity debug",
        }
    };
    let mut table = "| priority | may wait | messages | commands |\n|---|---|---|---|\n".to_owned();
    for priority in Priority::ALL {
        let kinds: Vec<String> = CommandKind::ALL
            .iter()
            .filter(|kind| kind.priority() == priority)
            .map(|kind| format!("`{kind}`"))
            .collect();
        let (name, ms) = (word(priority), priority.patience_ms());
        table += &format!("| {name} | {ms} ms | {} | {} |\n", of(priority), kinds.join(", "));
    }
    table
}

fn limits() -> String {
    let Limits {
        frame_max_bytes,
        state_frame_max_bytes,
        depth_max,
        string_max_bytes,
        samples_max,
        log_lines_max,
        messages_per_s,
        messages_burst,
    } = Limits::default();
    format!(
        "| limit | default |\n|---|---|\n\
         | `frame_max_bytes` | {frame_max_bytes} bytes a frame |\n\
         | `state_frame_max_bytes` | {state_frame_max_bytes} bytes a frame that holds a `state` |\n\
         | `depth_max` | objects and arrays nested {depth_max} deep, the envelope included |\n\
         | `string_max_bytes` | {string_max_bytes} bytes a string |\n\
         | `samples_max` | {samples_max} samples in one `telemetry` |\n\
         | `log_lines_max` | {log_lines_max} lines in one `log` |\n\
         | `messages_per_s` | {messages_per_s} messages a second for long |\n\
         | `messages_burst` | {messages_burst} messages at once |\n"
    )
}
