//! What the bench decides without measuring anything.

use clap::Parser;

use super::baseline::Baseline;
use super::error::BenchError;
use super::host::{Cores, Host};
use super::options::BenchOptions;
use super::output::number;
use super::progress::thousands;
use super::report::{Better, Figure, Report};
use super::servers::Subject;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    options: BenchOptions,
}

fn plan(arguments: &[&str]) -> Result<super::options::Plan, BenchError> {
    let line = std::iter::once("bench").chain(arguments.iter().copied());
    Line::try_parse_from(line).expect("understood").options.plan()
}

#[test]
fn what_is_not_accepted_names_what_is() {
    for (arguments, accepted) in [
        (["--machines", "0"], "1 to 100000"),
        (["--machines", "100001"], "1 to 100000"),
        (["--seconds", "0"], "1 to 600"),
        (["--seconds", "601"], "1 to 600"),
    ] {
        let error = plan(&arguments).expect_err("refused");
        assert_eq!((error.exit_code(), error.code()), (64, "MST-B001"));
        assert!(error.to_string().contains(accepted), "{error}");
    }
}

#[test]
fn scenarios_are_run_in_one_order_and_once() {
    let chosen = plan(&["api", "connections", "api"]).expect("accepted").scenarios;
    assert_eq!(
        chosen.iter().map(|scenario| scenario.name()).collect::<Vec<_>>(),
        ["connections", "api"]
    );
    let vs = plan(&["--vs", "nats,mosquitto,nats"]).expect("accepted").vs;
    assert_eq!(vs.len(), 2);
    assert_eq!(plan(&[]).expect("accepted").scenarios.len(), super::all().len());
}

#[test]
fn every_scenario_says_how_it_is_taken() {
    use clap::ValueEnum;
    for scenario in super::all() {
        assert!(
            !scenario.about().is_empty() && !scenario.methods().is_empty(),
            "{scenario:?}"
        );
        let name = scenario
            .to_possible_value()
            .map(|value| value.get_name().to_owned());
        assert_eq!(name.as_deref(), Some(scenario.name()));
    }
}

/// A report whose one ratio is 10 ÷ `other`.
fn report(other: f64, better: Better) -> Report {
    let cores = Cores {
        server: 0,
        load: vec![1],
    };
    let mut report = Report::new(Host::look(&cores), String::new(), false, 1, 1);
    let each = [(Subject::Muster, 10.0), (Subject::NatsTcp, other)];
    report.add_ratios(
        "x.y",
        "something",
        &each,
        better,
        &[(Subject::NatsTcp, 1.0)],
        "by hand",
    );
    report
}

fn baseline(report: &Report) -> Baseline {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("baseline.json");
    std::fs::write(&path, serde_json::to_string(report).expect("JSON")).expect("written");
    Baseline::read(&path).expect("read")
}

#[test]
fn a_ratio_may_be_worse_by_a_quarter_and_no_more() {
    let less = baseline(&report(10.0, Better::Less));
    assert_eq!(
        less.compare(&report(8.0, Better::Less))
            .expect("1.25 is accepted"),
        1
    );
    let error = less.compare(&report(7.9, Better::Less)).expect_err("refused");
    assert_eq!((error.exit_code(), error.code()), (1, "MST-B007"));
    assert!(
        error.to_string().contains("x.y ÷ nats TCP: 1.00 then, 1.27 now"),
        "{error}"
    );
    assert!(less.compare(&report(100.0, Better::Less)).is_ok());

    let more = baseline(&report(10.0, Better::More));
    assert_eq!(
        more.compare(&report(12.5, Better::More))
            .expect("0.8 is accepted"),
        1
    );
    more.compare(&report(12.6, Better::More)).expect_err("refused");
    assert!(more.compare(&report(1.0, Better::More)).is_ok());
}

#[test]
fn a_baseline_without_ratios_is_refused() {
    let mut empty = report(10.0, Better::Less);
    let full = baseline(&empty);
    empty.figures.clear();
    assert_eq!(full.compare(&empty).expect_err("refused").exit_code(), 64);
    let mut other_size = report(10.0, Better::Less);
    other_size.machines = 2;
    assert_eq!(full.compare(&other_size).expect_err("refused").exit_code(), 64);

    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("baseline.json");
    for text in ["", "{}", &serde_json::to_string(&empty).expect("JSON")] {
        std::fs::write(&path, text).expect("written");
        assert_eq!(
            Baseline::read(&path).expect_err("refused").exit_code(),
            64,
            "{text}"
        );
    }
    assert_eq!(
        Baseline::read(&directory.path().join("none"))
            .expect_err("refused")
            .exit_code(),
        73
    );
}

#[test]
fn goals_are_met_at_their_bound() {
    let figure = |value| Figure::new("x.y", Subject::Muster, "something", value, "ms", "by hand");
    assert_eq!(figure(1.0).at_most(1.0).met, Some(true));
    assert_eq!(figure(1.1).at_most(1.0).met, Some(false));
    assert_eq!(figure(1.0).at_least(1.0).met, Some(true));
    assert_eq!(figure(0.9).at_least(1.0).met, Some(false));
    assert_eq!(figure(f64::NAN).at_most(1.0).met, Some(false));
}

#[test]
fn numbers_are_written_with_three_digits_that_mean_something() {
    for (value, text) in [
        (0.0, "0"),
        (0.01234, "0.012"),
        (0.9412, "0.94"),
        (12.34, "12.3"),
        (123.4, "123"),
        (99_739.4, "99,739"),
        (1_234_567.0, "1,234,567"),
    ] {
        assert_eq!(number(value), text);
    }
    assert_eq!(
        (thousands(0), thousands(999), thousands(1_000)),
        ("0".into(), "999".into(), "1,000".into())
    );
}
