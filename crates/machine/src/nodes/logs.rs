//! Forwards lines of the log that the tap let through.

use muster_model::Severity;
use muster_model::entry::JsonText;
use muster_protocol::link::{LogReport, WireLogLine};
use serde_json::value::RawValue;

use crate::logging::{Line, LogTap};
use crate::message::Payload;
use crate::supervisor::{NodeContext, NodeError, NodeSpec, Wake};

/// Lines wait so long for company.
const GATHER_MS: u64 = 1_000;
/// Lines in one message.
const LINES_MAX: usize = 64;

/// The logs node.
pub fn spec(tap: LogTap) -> NodeSpec {
    NodeSpec::new("logs", &[], move |context| run(context, tap.clone()))
}

async fn run(mut context: NodeContext, tap: LogTap) -> Result<(), NodeError> {
    loop {
        tokio::select! {
            () = tap.arrived() => {}
            wake = context.next(None) => match wake {
                Wake::Stop => return Ok(()),
                Wake::Due | Wake::Message(_) => continue,
            }
        }
        let until = context.clock().mono_ms() + GATHER_MS;
        let stop = loop {
            match context.next(Some(until)).await {
                Wake::Stop => break true,
                Wake::Due => break false,
                Wake::Message(_) => {}
            }
        };
        let (lines, left_out) = tap.take(LINES_MAX);
        let now_ms = context.clock().wall_ms();
        let mut lines: Vec<_> = lines.into_iter().map(|line| wire(line, now_ms)).collect();
        if left_out > 0 {
            lines.push(WireLogLine {
                severity: Severity::Warning,
                target: module_path!().to_owned(),
                message: format!("{left_out} lines were left out here"),
                fields: None,
                offset_ms: 0,
            });
        }
        context.publish(Payload::Log(LogReport { lines }));
        if stop {
            return Ok(());
        }
    }
}

fn wire(line: Line, now_ms: i64) -> WireLogLine {
    WireLogLine {
        severity: line.severity,
        target: line.target,
        message: line.message,
        fields: line
            .fields
            .and_then(|fields| RawValue::from_string(fields).ok())
            .map(JsonText),
        offset_ms: i32::try_from(line.at_ms - now_ms).unwrap_or(0),
    }
}
