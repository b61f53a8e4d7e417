//! Telemetry and log lines: each is seen once, whether it is written yet or not, until it is too old.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use muster_model::vocabulary::Quality;
use muster_model::{Sample, Severity};
use muster_store::{DataDirectory, LogLine, LogQuery, Series, Telemetry, TelemetryOptions, TelemetryQuery};
use proptest::prelude::*;

use crate::kit::{Dice, at, machine};

fn sample(metric: &str, millis: i64, value: f64) -> Sample {
    Sample {
        metric: metric.to_owned().into(),
        value,
        unit: None,
        quality: Quality::Good,
        at: at(millis),
    }
}

fn line(millis: i64, severity: Severity, message: &str) -> LogLine {
    LogLine {
        at: at(millis),
        severity,
        target: "drive".to_owned(),
        message: message.to_owned(),
        fields: Some("{}".to_owned()),
    }
}

fn open(path: &Path, options: TelemetryOptions) -> Telemetry {
    open_at(path, options, Arc::new(AtomicI64::new(0)))
}

fn open_at(path: &Path, options: TelemetryOptions, now: Arc<AtomicI64>) -> Telemetry {
    let now = Arc::new(move || at(now.load(Ordering::SeqCst)));
    Telemetry::open(&DataDirectory::open(path).unwrap(), options, now).unwrap()
}

/// Writes nothing before it is closed.
fn lazy() -> TelemetryOptions {
    TelemetryOptions {
        flush_interval: Duration::from_secs(3600),
        ..TelemetryOptions::default()
    }
}

/// Writes all the time.
fn eager() -> TelemetryOptions {
    TelemetryOptions {
        flush_interval: Duration::from_millis(1),
        ..TelemetryOptions::default()
    }
}

fn all(points_max: usize) -> TelemetryQuery {
    TelemetryQuery {
        metrics: Vec::new(),
        from: at(0),
        to: at(10_000_000),
        points_max,
    }
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn is_seen_at_once_and_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let telemetry = open(directory.path(), lazy());
    let with_unit = Sample {
        unit: Some("rpm".into()),
        ..sample("wheel.speed", 3, 7.0)
    };
    let bad = Sample {
        quality: Quality::Bad,
        ..sample("cpu.percent", 9, 1e9)
    };
    telemetry.append(
        machine(1),
        [
            sample("cpu.percent", 2, 20.0),
            sample("cpu.percent", 1, 10.0),
            with_unit,
            bad,
        ],
    );
    telemetry.append(machine(2), [sample("cpu.percent", 1, 99.0)]);
    telemetry.append(machine(1), [sample("cpu.percent", 4, f64::NAN)]);
    let check = |telemetry: &Telemetry| {
        let series = telemetry.query(machine(1), &all(100)).unwrap();
        let seen: Vec<_> = series
            .iter()
            .map(|series| (&*series.metric, series.unit.as_deref()))
            .collect();
        assert_eq!(seen, [("cpu.percent", Some("%")), ("wheel.speed", Some("rpm"))]);
        let points: Vec<_> = series[0]
            .points
            .iter()
            .map(|point| (point.at.as_millis(), point.avg, point.count))
            .collect();
        assert_eq!(points, [(1, 10.0, 1), (2, 20.0, 1)]);
        assert_eq!(series[0].bucket_ms, None);
        let metrics = telemetry.metrics(machine(1)).unwrap();
        assert_eq!(metrics.len(), 2);
        let one = TelemetryQuery {
            metrics: vec!["wheel.speed".to_owned(), "unheard.of".to_owned()],
            ..all(100)
        };
        assert_eq!(telemetry.query(machine(1), &one).unwrap().len(), 1);
        assert_eq!(telemetry.query(machine(3), &one).unwrap().len(), 0);
    };
    check(&telemetry);
    assert_eq!(telemetry.stats().samples_dropped, 1);
    drop(telemetry);
    let telemetry = open(directory.path(), lazy());
    check(&telemetry);
    telemetry.append(machine(1), [sample("cpu.percent", 5, 5.0)]);
    assert_eq!(telemetry.query(machine(1), &all(100)).unwrap()[0].points.len(), 3);
}

#[test]
fn every_sample_is_seen_once_while_it_is_being_written() {
    let directory = tempfile::tempdir().unwrap();
    let telemetry = open(directory.path(), eager());
    for number in 1..=3_000_i64 {
        telemetry.append(machine(1), [sample("load.1m", number * 100, 1.0)]);
        telemetry.append_logs(machine(1), vec![line(number, Severity::Info, "x")]);
        if number % 10 == 0 {
            let series = telemetry.query(machine(1), &all(10_000)).unwrap();
            assert_eq!(series[0].points.len() as i64, number);
            let page = telemetry.query_logs(machine(1), &log_query(10_000)).unwrap();
            assert_eq!(page.lines.len() as i64, number);
        }
    }
}

fn log_query(limit: usize) -> LogQuery {
    LogQuery {
        from: at(0),
        to: at(10_000_000),
        severity_min: Severity::Debug,
        target: None,
        before: None,
        limit,
    }
}

#[test]
fn log_lines_come_newest_first_page_by_page() {
    let directory = tempfile::tempdir().unwrap();
    let telemetry = open(directory.path(), lazy());
    let write = |telemetry: &Telemetry, from: i64| {
        let lines = (from..from + 50).map(|number| {
            let severity = if number % 10 == 0 {
                Severity::Error
            } else {
                Severity::Info
            };
            // Many share a moment.
            line(number / 5, severity, &number.to_string())
        });
        telemetry.append_logs(machine(1), lines.collect());
    };
    write(&telemetry, 0);
    drop(telemetry);
    let telemetry = open(directory.path(), lazy());
    write(&telemetry, 50);
    let mut query = log_query(7);
    let mut seen = Vec::new();
    loop {
        let page = telemetry.query_logs(machine(1), &query).unwrap();
        seen.extend(page.lines.into_iter().map(|line| line.message));
        match page.next {
            Some(cursor) => query.before = Some(cursor.to_string().parse().unwrap()),
            None => break,
        }
    }
    let expected: Vec<_> = (0..100).rev().map(|number: i64| number.to_string()).collect();
    assert_eq!(seen, expected);
    let errors = LogQuery {
        severity_min: Severity::Warning,
        ..log_query(100)
    };
    assert_eq!(telemetry.query_logs(machine(1), &errors).unwrap().lines.len(), 10);
    assert!("nonsense".parse::<muster_store::LogCursor>().is_err());

    // Of one part alone, from the file and from memory, page by page as well.
    let of = |number: i64| LogLine {
        target: "workload.camera".into(),
        ..line(number, Severity::Info, &format!("camera {number}"))
    };
    telemetry.append_logs(machine(1), vec![of(3), of(4)]);
    drop(telemetry);
    let telemetry = open(directory.path(), lazy());
    telemetry.append_logs(machine(1), vec![of(30)]);
    let mut of_camera = LogQuery {
        target: Some("workload.camera".to_owned()),
        ..log_query(2)
    };
    let first = telemetry.query_logs(machine(1), &of_camera).unwrap();
    of_camera.before = first.next;
    let second = telemetry.query_logs(machine(1), &of_camera).unwrap();
    let pages = [first.lines, second.lines].concat();
    let seen: Vec<_> = pages.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(seen, ["camera 30", "camera 4", "camera 3"]);
    assert_eq!(second.next, None);
}

#[test]
fn what_does_not_fit_is_dropped_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let options = TelemetryOptions {
        samples_max: 100,
        metrics_max: 3,
        lines_max_bytes: 1_000,
        ..lazy()
    };
    let telemetry = open(directory.path(), options);
    let many: Vec<_> = (0..50)
        .map(|number| sample(&format!("metric.{number}"), 1, 1.0))
        .collect();
    telemetry.append(machine(1), many);
    assert_eq!(telemetry.stats().samples_dropped, 47);
    telemetry.append(machine(1), vec![sample("metric.0", 1, 1.0); 200]);
    let stats = telemetry.stats();
    assert_eq!(
        (stats.samples, stats.samples_waiting, stats.samples_dropped),
        (100, 100, 47 + 103)
    );
    telemetry.append_logs(machine(1), vec![line(1, Severity::Info, "x"); 50]);
    let stats = telemetry.stats();
    assert!(stats.lines > 0 && stats.lines_dropped > 0, "{stats:?}");
    assert_eq!(stats.lines + stats.lines_dropped, 50);
}

#[test]
fn no_machine_takes_the_names_of_all_others() {
    let directory = tempfile::tempdir().unwrap();
    let options = TelemetryOptions {
        metrics_max: 100,
        metrics_per_machine_max: 5,
        ..lazy()
    };
    let named = |from: i64, count: i64| -> Vec<_> {
        let numbers = from..from + count;
        numbers
            .map(|number| sample(&format!("made.up.{number}"), 1, 1.0))
            .collect()
    };
    let telemetry = open(directory.path(), options.clone());
    // At the bound, and beyond it.
    telemetry.append(machine(1), named(0, 5));
    assert_eq!(telemetry.stats().samples_without_name, 0);
    telemetry.append(machine(1), named(5, 1_000));
    let stats = telemetry.stats();
    assert_eq!(
        (stats.samples_without_name, stats.samples_dropped),
        (1_000, 1_000)
    );
    // What it has goes on, and others are not concerned: neither with names of their own nor with the same.
    telemetry.append(machine(1), named(0, 5));
    telemetry.append(machine(2), named(3, 5));
    assert_eq!(telemetry.stats().samples_without_name, 1_000);
    assert_eq!(telemetry.metrics(machine(1)).unwrap().len(), 5);
    assert_eq!(telemetry.metrics(machine(2)).unwrap().len(), 5);
    telemetry.close();
    drop(telemetry);
    // A restart makes no new room.
    let telemetry = open(directory.path(), options);
    telemetry.append(machine(1), named(2, 6));
    let stats = telemetry.stats();
    assert_eq!((stats.samples, stats.samples_without_name), (3, 3));
}

#[test]
fn old_things_go() {
    let directory = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicI64::new(0));
    let options = TelemetryOptions {
        samples_age: Duration::from_secs(1_000),
        lines_age: Duration::from_secs(2_000),
        ..eager()
    };
    let telemetry = open_at(directory.path(), options, Arc::clone(&now));
    for number in 0..50 {
        telemetry.append(
            machine(number % 3),
            [sample("load.1m", i64::from(number as i32) * 100_000, 1.0)],
        );
        telemetry.append_logs(
            machine(number % 3),
            vec![line(number as i64 * 100_000, Severity::Info, "x")],
        );
    }
    now.store(4_900_000, Ordering::SeqCst);
    let samples = || {
        (0..3)
            .map(|number| telemetry.query(machine(number), &all(1_000)).unwrap())
            .collect::<Vec<_>>()
    };
    let count = || {
        samples()
            .iter()
            .flatten()
            .map(|series| series.points.len())
            .sum::<usize>()
    };
    let lines = || {
        (0..3).map(|number| {
            telemetry
                .query_logs(machine(number), &log_query(100))
                .unwrap()
                .lines
                .len()
        })
    };
    // A block goes a minute after its last sample could have become too old.
    wait_until("old samples stay", || count() == 11);
    wait_until("old lines stay", || lines().sum::<usize>() == 21);
}

#[test]
fn the_file_stays_small() {
    let directory = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicI64::new(0));
    let options = TelemetryOptions {
        size_max_bytes: 1 << 20,
        ..eager()
    };
    let telemetry = open_at(directory.path(), options, Arc::clone(&now));
    let mut dice = Dice(3);
    for round in 0..300_i64 {
        now.store(round * 60_000, Ordering::SeqCst);
        let samples: Vec<_> = (0..2_000)
            .map(|number| sample("load.1m", round * 60_000 + number, dice.below(1 << 50) as f64))
            .collect();
        telemetry.append(machine(1), samples.clone());
        wait_until("it is not written", || telemetry.stats().samples_waiting == 0);
    }
    assert_eq!(telemetry.stats().samples_dropped, 0);
    wait_until("it stays too large", || {
        (1..1 << 20).contains(&telemetry.stats().size_bytes)
    });
    let left = telemetry.query(machine(1), &all(10)).unwrap();
    assert!(
        left.iter()
            .flat_map(|series| &series.points)
            .all(|point| point.count > 0)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn buckets_keep_count_and_bounds(
        given in prop::collection::vec((0..200_000_i64, -1e6..1e6_f64), 1..400),
        points_max in 1..50_usize,
        (from, length) in (0..150_000_i64, 1..100_000_i64),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut telemetry = open(directory.path(), lazy());
        let samples: Vec<_> = given.iter().map(|(at, value)| sample("load.1m", *at, *value)).collect();
        let half = samples.len() / 2;
        telemetry.append(machine(1), samples[..half].to_vec());
        drop(telemetry);
        telemetry = open(directory.path(), lazy());
        telemetry.append(machine(1), samples[half..].to_vec());
        let query = TelemetryQuery { metrics: vec!["load.1m".to_owned()], from: at(from), to: at(from + length), points_max };
        let inside: Vec<f64> = given
            .iter()
            .filter(|(at, _)| (from..=from + length).contains(at))
            .map(|(_, value)| *value)
            .collect();
        let found: Option<Series> = telemetry.query(machine(1), &query).unwrap().pop();
        let Some(series) = found else {
            prop_assert!(inside.is_empty());
            return Ok(());
        };
        prop_assert!(series.points.len() <= points_max);
        prop_assert_eq!(series.points.iter().map(|point| point.count as usize).sum::<usize>(), inside.len());
        prop_assert_eq!(series.bucket_ms.is_none(), inside.len() <= points_max);
        prop_assert!(series.points.is_sorted_by_key(|point| point.at));
        let least = series.points.iter().map(|point| point.min).fold(f64::INFINITY, f64::min);
        let most = series.points.iter().map(|point| point.max).fold(f64::NEG_INFINITY, f64::max);
        prop_assert_eq!(least, inside.iter().copied().fold(f64::INFINITY, f64::min));
        prop_assert_eq!(most, inside.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        prop_assert!(series.points.iter().all(|point| point.min <= point.avg && point.avg <= point.max));
    }
}
