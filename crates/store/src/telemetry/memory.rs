//! What came in and is not written yet, and the numbers that names have in the file.
//!
//! A batch gathers until the writer takes it (`flushing`); while that is being written, the next one gathers. Each has
//! a generation that is written with it, so that a query takes every sample once: from memory if it found the
//! generation there, otherwise from the file.

use std::sync::Arc;

use hashbrown::HashMap;
use muster_model::vocabulary::Quality;
use muster_model::{MachineId, Sample, telemetry};
use rusqlite::Connection;

use super::{LogLine, MetricInfo, TelemetryOptions, TelemetryStats};

/// A line with more text than this is dropped.
const LINE_MAX_BYTES: usize = 64 << 10;
/// What a line costs beside its text, about.
const LINE_OVERHEAD_BYTES: usize = 100;

/// One sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stored {
    pub(super) at: i64,
    pub(super) value: f64,
    pub(super) metric: u32,
    pub(super) quality: Quality,
}

/// One log line with its number.
#[derive(Clone, Debug)]
pub(super) struct Numbered {
    pub(super) id: u64,
    pub(super) line: LogLine,
}

/// What is written together. Machines go by their numbers.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) generation: u64,
    /// Lines from this number on are in this batch or later ones.
    pub(super) first_line: u64,
    pub(super) samples: HashMap<u32, Vec<Stored>>,
    pub(super) lines: HashMap<u32, Vec<Numbered>>,
    pub(super) sample_count: usize,
    line_bytes: usize,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.lines.is_empty()
    }

    pub(super) fn line_count(&self) -> u64 {
        self.lines.values().map(|lines| lines.len() as u64).sum()
    }
}

/// A metric as it is in the file.
#[derive(Clone, Debug)]
pub(super) struct Metric {
    pub(super) name: Arc<str>,
    pub(super) unit: Option<Arc<str>>,
}

impl Metric {
    pub(super) fn info(&self) -> MetricInfo {
        let known = || telemetry::known_unit(&self.name).map(Arc::from);
        MetricInfo {
            metric: Arc::clone(&self.name),
            unit: self.unit.clone().or_else(known),
        }
    }
}

pub(super) struct Memory {
    pub(super) pending: Batch,
    pub(super) flushing: Option<Arc<Batch>>,
    pub(super) closed: bool,
    /// Machines by number; the first is 1.
    pub(super) machines: Vec<MachineId>,
    machine_numbers: HashMap<MachineId, u32>,
    /// Metrics by number; the first is 1.
    pub(super) metrics: Vec<Metric>,
    metric_numbers: HashMap<Arc<str>, Vec<u32>>,
    /// What each machine has sent, by its number; the first is 1.
    names: Vec<Names>,
    next_line: u64,
    pub(super) counts: TelemetryStats,
    flush_samples: usize,
    samples_max: usize,
    lines_max_bytes: usize,
    metrics_max: usize,
    metrics_per_machine_max: usize,
}

/// The metrics of one machine.
#[derive(Debug, Default)]
struct Names {
    /// Their numbers, in order.
    metrics: Vec<u32>,
    /// Whether it was said that there are too many.
    said: bool,
}

impl Memory {
    pub(super) fn load(connection: &Connection, options: &TelemetryOptions) -> rusqlite::Result<Self> {
        let counter = |name: &str| {
            let sql = "SELECT coalesce(max(value), 0) FROM counters WHERE name = ?1";
            connection.query_row(sql, [name], |row| row.get::<_, i64>(0))
        };
        let next_line = counter("next_line")? as u64;
        let generation = counter("generation")? as u64 + 1;
        let mut memory = Self {
            pending: Batch {
                generation,
                first_line: next_line,
                ..Batch::default()
            },
            flushing: None,
            closed: false,
            machines: Vec::new(),
            machine_numbers: HashMap::new(),
            metrics: Vec::new(),
            metric_numbers: HashMap::new(),
            names: Vec::new(),
            next_line,
            counts: TelemetryStats::default(),
            flush_samples: options.flush_samples,
            samples_max: options.samples_max,
            lines_max_bytes: options.lines_max_bytes,
            metrics_max: options.metrics_max,
            metrics_per_machine_max: options.metrics_per_machine_max,
        };
        let mut statement = connection.prepare("SELECT uuid FROM machines ORDER BY id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            memory.machine_number(MachineId::from_uuid(uuid::Uuid::from_bytes(row.get(0)?)));
        }
        let mut statement = connection.prepare("SELECT name, unit FROM metrics ORDER BY id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let unit: Option<String> = row.get(1)?;
            memory.add_metric(&row.get::<_, String>(0)?, unit.as_deref());
        }
        let sql = "SELECT machine, metric FROM machine_metrics ORDER BY machine, metric";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let place = row.get::<_, u32>(0)?.saturating_sub(1) as usize;
            if let Some(names) = memory.names.get_mut(place) {
                names.metrics.push(row.get(1)?);
            }
        }
        Ok(memory)
    }

    /// Takes samples in; says whether it is time to write.
    pub(super) fn take_samples(
        &mut self,
        machine: MachineId,
        samples: impl IntoIterator<Item = Sample>,
    ) -> bool {
        let held = self.flushing.as_ref().map_or(0, |batch| batch.sample_count) + self.pending.sample_count;
        let room = if self.closed {
            0
        } else {
            self.samples_max.saturating_sub(held)
        };
        let number = self.machine_number(machine);
        let mut kept = self.pending.samples.remove(&number).unwrap_or_default();
        let (before, mut given) = (kept.len(), 0);
        for sample in samples {
            given += 1;
            if given > room || !sample.value.is_finite() {
                continue;
            }
            match self.metric_of(number, &sample.metric, sample.unit.as_deref()) {
                Some(metric) => kept.push(Stored {
                    at: sample.at.as_millis(),
                    value: sample.value,
                    metric,
                    quality: sample.quality,
                }),
                None => self.counts.samples_without_name += 1,
            }
        }
        let taken = kept.len() - before;
        if !kept.is_empty() {
            self.pending.samples.insert(number, kept);
        }
        self.counts.samples += taken as u64;
        self.counts.samples_dropped += (given - taken) as u64;
        self.pending.sample_count += taken;
        self.pending.sample_count >= self.flush_samples
    }

    pub(super) fn take_lines(&mut self, machine: MachineId, lines: Vec<LogLine>) {
        let number = self.machine_number(machine);
        let mut held = self.flushing.as_ref().map_or(0, |batch| batch.line_bytes) + self.pending.line_bytes;
        for line in lines {
            let text = line.message.len() + line.target.len() + line.fields.as_ref().map_or(0, String::len);
            let bytes = text + LINE_OVERHEAD_BYTES;
            if self.closed || text > LINE_MAX_BYTES || held + bytes > self.lines_max_bytes {
                self.counts.lines_dropped += 1;
                continue;
            }
            held += bytes;
            self.counts.lines += 1;
            self.pending.line_bytes += bytes;
            let id = self.next_line;
            self.next_line += 1;
            self.pending
                .lines
                .entry(number)
                .or_default()
                .push(Numbered { id, line });
        }
    }

    /// Hands what is pending to the writer, if there is any. It stays visible until [`flushed`](Self::flushed).
    pub(super) fn begin_flush(&mut self) -> Option<Arc<Batch>> {
        if self.pending.is_empty() {
            return None;
        }
        let next = Batch {
            generation: self.pending.generation + 1,
            first_line: self.next_line,
            ..Batch::default()
        };
        let batch = Arc::new(std::mem::replace(&mut self.pending, next));
        self.flushing = Some(Arc::clone(&batch));
        Some(batch)
    }

    /// What was handed to the writer is in the file, or lost.
    pub(super) fn flushed(&mut self, written: bool) {
        let Some(batch) = self.flushing.take() else {
            return;
        };
        if !written {
            self.counts.writes_failed += 1;
            self.counts.samples_dropped += batch.sample_count as u64;
            self.counts.lines_dropped += batch.line_count();
        }
    }

    /// What is in memory, oldest first. What the file holds of earlier batches is complete.
    pub(super) fn batches(&self) -> impl Iterator<Item = &Batch> {
        self.flushing.as_deref().into_iter().chain([&self.pending])
    }

    pub(super) fn known_machine(&self, machine: MachineId) -> Option<u32> {
        self.machine_numbers.get(&machine).copied()
    }

    /// The numbers of a metric, one per unit.
    pub(super) fn known_metric(&self, name: &str) -> &[u32] {
        self.metric_numbers.get(name).map_or(&[], Vec::as_slice)
    }

    pub(super) fn metric(&self, number: u32) -> Option<&Metric> {
        self.metrics.get((number as usize).checked_sub(1)?)
    }

    pub(super) fn next_line(&self) -> u64 {
        self.next_line
    }

    pub(super) fn stats(&self) -> TelemetryStats {
        TelemetryStats {
            samples_waiting: self.batches().map(|batch| batch.sample_count as u64).sum(),
            ..self.counts
        }
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    fn machine_number(&mut self, machine: MachineId) -> u32 {
        *self.machine_numbers.entry(machine).or_insert_with(|| {
            self.machines.push(machine);
            self.names.push(Names::default());
            self.machines.len() as u32
        })
    }

    /// The number of a metric that a machine sends; none where it, or the fleet, has too many already.
    fn metric_of(&mut self, machine: u32, name: &str, unit: Option<&str>) -> Option<u32> {
        let numbers = self.metric_numbers.get(name).map_or(&[][..], Vec::as_slice);
        let same = |number: &&u32| {
            self.metric(**number)
                .is_some_and(|metric| metric.unit.as_deref() == unit)
        };
        let known = numbers.iter().find(same).copied();
        let place = machine.checked_sub(1)? as usize;
        let names = self.names.get_mut(place)?;
        if let Some(known) = known
            && names.metrics.binary_search(&known).is_ok()
        {
            return Some(known);
        }
        if names.metrics.len() >= self.metrics_per_machine_max {
            if !names.said {
                names.said = true;
                let (machine, most) = (self.machines[place], self.metrics_per_machine_max);
                tracing::warn!(%machine, most, metric = name, "a machine has too many metrics: more are dropped");
            }
            return None;
        }
        let number = match known {
            Some(known) => known,
            None if self.metrics.len() >= self.metrics_max => return None,
            None => self.add_metric(name, unit),
        };
        let metrics = &mut self.names[place].metrics;
        if let Err(at) = metrics.binary_search(&number) {
            metrics.insert(at, number);
        }
        Some(number)
    }

    fn add_metric(&mut self, name: &str, unit: Option<&str>) -> u32 {
        let name: Arc<str> = name.into();
        let unit = unit.map(Arc::from);
        let metric = Metric {
            name: Arc::clone(&name),
            unit,
        };
        self.metrics.push(metric);
        let number = self.metrics.len() as u32;
        self.metric_numbers.entry(name).or_default().push(number);
        number
    }
}
