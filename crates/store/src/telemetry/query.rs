//! Samples over time, from the file and from memory, gathered into as many buckets as were asked for.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use muster_model::vocabulary::Quality;
use muster_model::{MachineId, Timestamp};
use rusqlite::{Connection, params};

use super::memory::{Metric, Stored};
use super::writer::BLOCK_SPAN_MAX_MS;
use super::{Inner, MetricInfo, POINTS_MAX, Point, Series, TelemetryError, TelemetryQuery, codec};

pub(super) fn samples(
    inner: &Inner,
    machine: MachineId,
    query: &TelemetryQuery,
) -> Result<Vec<Series>, TelemetryError> {
    let range = Range {
        from: query.from.as_millis(),
        to: query.to.as_millis(),
        points_max: query.points_max.clamp(1, POINTS_MAX),
    };
    let mut gathered = Gathered {
        range,
        series: BTreeMap::new(),
    };
    // Under the lock: what is in memory, and before which generation the file has all the rest.
    let (number, wanted, before) = {
        let memory = inner.shared.memory.lock();
        let Some(number) = memory.known_machine(machine) else {
            return Ok(Vec::new());
        };
        let wanted: Option<BTreeSet<u32>> = (!query.metrics.is_empty()).then(|| {
            let names = query.metrics.iter();
            names
                .flat_map(|name| memory.known_metric(name))
                .copied()
                .collect()
        });
        let is_wanted = |metric: u32| wanted.as_ref().is_none_or(|wanted| wanted.contains(&metric));
        let mut before = u64::MAX;
        for batch in memory.batches() {
            before = before.min(batch.generation);
            let samples = batch.samples.get(&number).map_or(&[][..], Vec::as_slice);
            for sample in samples.iter().filter(|sample| is_wanted(sample.metric)) {
                gathered.add(*sample);
            }
        }
        (number, wanted, before)
    };
    let is_wanted = |metric: u32| wanted.as_ref().is_none_or(|wanted| wanted.contains(&metric));
    inner
        .readers
        .with(|connection| blocks(connection, number, before, &is_wanted, &mut gathered))?;

    let memory = inner.shared.memory.lock();
    let known = |metric: u32| memory.metric(metric).map(Metric::info);
    let mut series: Vec<_> = gathered
        .series
        .into_iter()
        .filter_map(|(metric, gathering)| Some(gathering.finish(known(metric)?, &range)))
        .filter(|series| !series.points.is_empty())
        .collect();
    series.sort_by(|a, b| (&a.metric, &a.unit).cmp(&(&b.metric, &b.unit)));
    Ok(series)
}

pub(super) fn metrics(inner: &Inner, machine: MachineId) -> Result<Vec<MetricInfo>, TelemetryError> {
    let (number, mut numbers) = {
        let memory = inner.shared.memory.lock();
        let Some(number) = memory.known_machine(machine) else {
            return Ok(Vec::new());
        };
        let waiting = memory.batches().filter_map(|batch| batch.samples.get(&number));
        let numbers: BTreeSet<u32> = waiting.flatten().map(|sample| sample.metric).collect();
        (number, numbers)
    };
    inner.readers.with(|connection| -> rusqlite::Result<()> {
        let mut statement =
            connection.prepare_cached("SELECT metric FROM machine_metrics WHERE machine = ?1")?;
        for metric in statement.query_map([number], |row| row.get(0))? {
            numbers.insert(metric?);
        }
        Ok(())
    })?;
    let memory = inner.shared.memory.lock();
    let infos = numbers
        .into_iter()
        .filter_map(|number| memory.metric(number).map(Metric::info));
    let sorted: BTreeSet<_> = infos.collect();
    Ok(sorted.into_iter().collect())
}

fn blocks(
    connection: &Connection,
    machine: u32,
    before: u64,
    wanted: &dyn Fn(u32) -> bool,
    gathered: &mut Gathered,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT start_ms, body FROM blocks \
         WHERE machine = ?1 AND start_ms >= ?2 AND start_ms <= ?3 AND end_ms >= ?4 AND generation < ?5",
    )?;
    let Range { from, to, .. } = gathered.range;
    let before = i64::try_from(before).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![
        machine,
        from.saturating_sub(BLOCK_SPAN_MAX_MS),
        to,
        from,
        before
    ])?;
    while let Some(row) = rows.next()? {
        let start = row.get(0)?;
        let body = row.get_ref(1)?.as_blob()?;
        if codec::decode(start, body, wanted, &mut |sample| gathered.add(sample)).is_none() {
            tracing::warn!(machine, start, "a damaged block of telemetry is skipped");
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Range {
    from: i64,
    to: i64,
    points_max: usize,
}

impl Range {
    /// How long a bucket must be.
    fn bucket_ms(&self) -> i64 {
        let span = self.to.saturating_sub(self.from).saturating_add(1).max(1) as u64;
        span.div_ceil(self.points_max as u64) as i64
    }
}

struct Gathered {
    range: Range,
    series: BTreeMap<u32, Gathering>,
}

impl Gathered {
    fn add(&mut self, sample: Stored) {
        let inside = (self.range.from..=self.range.to).contains(&sample.at);
        if inside && sample.quality != Quality::Bad {
            let gathering = self.series.entry(sample.metric).or_default();
            gathering.add(sample.at, sample.value, &self.range);
        }
    }
}

/// The samples of one metric, as long as there are few; their buckets once there are many.
enum Gathering {
    Few(Vec<(i64, f64)>),
    Many(HashMap<i64, Bucket>),
}

impl Default for Gathering {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

#[derive(Clone, Copy)]
struct Bucket {
    min: f64,
    max: f64,
    sum: f64,
    count: u32,
}

impl Gathering {
    fn add(&mut self, at: i64, value: f64, range: &Range) {
        match self {
            Self::Few(samples) => {
                samples.push((at, value));
                if samples.len() > range.points_max {
                    let samples = std::mem::take(samples);
                    *self = Self::Many(HashMap::new());
                    for (at, value) in samples {
                        self.add(at, value, range);
                    }
                }
            }
            Self::Many(buckets) => {
                let bucket = buckets
                    .entry((at - range.from) / range.bucket_ms())
                    .or_insert(Bucket {
                        min: value,
                        max: value,
                        sum: 0.0,
                        count: 0,
                    });
                bucket.min = bucket.min.min(value);
                bucket.max = bucket.max.max(value);
                bucket.sum += value;
                bucket.count = bucket.count.saturating_add(1);
            }
        }
    }

    fn finish(self, info: MetricInfo, range: &Range) -> Series {
        let sample = |(at, value): (i64, f64)| Point {
            at: Timestamp::from_millis(at),
            min: value,
            avg: value,
            max: value,
            count: 1,
        };
        let bucket_ms = range.bucket_ms();
        let bucket = |(index, bucket): (i64, Bucket)| Point {
            at: Timestamp::from_millis(range.from + index * bucket_ms),
            min: bucket.min,
            // Rounding must not carry the mean out of its own bucket.
            avg: (bucket.sum / f64::from(bucket.count)).clamp(bucket.min, bucket.max),
            max: bucket.max,
            count: bucket.count,
        };
        let (bucket_ms, mut points): (_, Vec<Point>) = match self {
            Self::Few(samples) => (None, samples.into_iter().map(sample).collect()),
            Self::Many(buckets) => (Some(bucket_ms as u64), buckets.into_iter().map(bucket).collect()),
        };
        points.sort_by_key(|point| point.at);
        Series {
            metric: info.metric,
            unit: info.unit,
            bucket_ms,
            points,
        }
    }
}
