//! Measurements and log lines on their way into the store, and out of it again.

use muster_brain::live::LiveSample;
use muster_model::entry::JsonText;
use muster_model::{MachineId, Sample, Timestamp, telemetry};
use muster_protocol::api;
use muster_protocol::link::{LogReport, Telemetry as WireTelemetry, WireSample};
use muster_store::{LogCursor, LogQuery, Telemetry, TelemetryError, TelemetryQuery};
use serde_json::value::RawValue;

/// Measurements and log lines. Cheap to clone.
#[derive(Clone)]
pub struct Series {
    store: Telemetry,
}

impl Series {
    /// Kept in this store.
    pub fn new(store: Telemetry) -> Self {
        Self { store }
    }

    /// Keeps samples. Does not block.
    pub fn keep(&self, machine: MachineId, at: Timestamp, now: Timestamp, telemetry: WireTelemetry) {
        let samples = telemetry.samples.into_iter().map(|sample| Sample {
            at: measured_at(at, now, &sample),
            value: sample.value,
            unit: sample.unit.map(|unit| unit.into_string().into()),
            quality: sample.quality,
            metric: sample.metric,
        });
        self.store.append(machine, samples);
    }

    /// Samples as subscribers see them.
    pub fn shown(at: Timestamp, now: Timestamp, telemetry: &WireTelemetry) -> Vec<LiveSample> {
        let samples = telemetry.samples.iter().map(|sample| LiveSample {
            unit: match &sample.unit {
                Some(unit) => unit.to_string().into(),
                None => telemetry::known_unit(&sample.metric).unwrap_or("").into(),
            },
            metric: sample.metric.clone(),
            value: sample.value,
            quality: sample.quality,
            at: measured_at(at, now, sample),
            min: None,
            max: None,
            count: None,
        });
        samples.collect()
    }

    /// Keeps lines, and gives them back as people see them. Does not block.
    pub fn keep_lines(
        &self,
        machine: MachineId,
        at: Timestamp,
        now: Timestamp,
        log: LogReport,
    ) -> Vec<api::LogLine> {
        let mut kept = Vec::with_capacity(log.lines.len());
        let mut shown = Vec::with_capacity(log.lines.len());
        for line in log.lines {
            let at = at.plus_millis(i64::from(line.offset_ms)).min(now);
            kept.push(muster_store::LogLine {
                at,
                severity: line.severity,
                target: line.target.clone(),
                message: line.message.clone(),
                fields: line.fields.as_ref().map(|fields| fields.0.get().to_owned()),
            });
            let (severity, target, message) = (line.severity, line.target, line.message);
            shown.push(api::LogLine {
                at,
                severity,
                target,
                message,
                fields: line.fields,
            });
        }
        self.store.append_logs(machine, kept);
        shown
    }

    /// Measurements of a machine. Blocks.
    pub fn query(
        &self,
        machine: MachineId,
        query: &TelemetryQuery,
    ) -> Result<Vec<api::Series>, TelemetryError> {
        let series = self.store.query(machine, query)?;
        let shown = series.into_iter().map(|series| {
            let known = telemetry::KNOWN
                .iter()
                .find(|known| known.name == &*series.metric);
            api::Series {
                unit: match (&series.unit, known) {
                    (Some(unit), _) => unit.to_string(),
                    (None, Some(known)) => known.unit.to_owned(),
                    (None, None) => String::new(),
                },
                about: known.map_or("", |known| known.about).to_owned(),
                metric: series.metric.to_string(),
                points: series
                    .points
                    .into_iter()
                    .map(|point| api::Point {
                        at: point.at,
                        min: point.min,
                        mean: point.avg,
                        max: point.max,
                        count: point.count,
                    })
                    .collect(),
            }
        });
        Ok(shown.collect())
    }

    /// Log lines of a machine. Blocks.
    pub fn query_lines(&self, machine: MachineId, query: &LogQuery) -> Result<api::LogPage, TelemetryError> {
        let page = self.store.query_logs(machine, query)?;
        let items = page.lines.into_iter().map(|line| api::LogLine {
            at: line.at,
            severity: line.severity,
            target: line.target,
            message: line.message,
            // What was taken in was JSON.
            fields: line
                .fields
                .and_then(|fields| RawValue::from_string(fields).ok())
                .map(JsonText),
        });
        Ok(api::LogPage {
            items: items.collect(),
            next_cursor: page.next.as_ref().map(LogCursor::to_string),
        })
    }

    /// Writes what waits, and ends the writer. Blocks.
    pub fn close(&self) {
        self.store.close();
    }

    /// Figures for metrics.
    pub fn stats(&self) -> muster_store::TelemetryStats {
        self.store.stats()
    }
}

/// A machine's clock may run ahead: what it measured was not measured later than now.
fn measured_at(at: Timestamp, now: Timestamp, sample: &WireSample) -> Timestamp {
    at.plus_millis(i64::from(sample.offset_ms)).min(now)
}
