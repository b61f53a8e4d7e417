//! `muster bench` measures, says how, and leaves nothing behind. How fast anything is, is not asked here.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const MUSTER: &str = env!("CARGO_BIN_EXE_muster");

/// Everything that `--output json` names without another server to compare with.
const FIGURES: &[&str] = &[
    "agent.cpu",
    "agent.memory",
    "agent.network",
    "agent.tls.cpu",
    "agent.tls.memory",
    "agent.tls.network",
    "api.list.p50",
    "api.list.p99",
    "api.machine.p50",
    "api.machine.p99",
    "authorisation.message",
    "authorisation.request",
    "connections.join",
    "connections.memory",
    "connections.tls.join",
    "connections.tls.memory",
    "durable-events.rate",
    "durable-events.wall",
    "fan-out.cpu",
    "fan-out.rate",
    "fleet-ingest.cpu",
    "fleet-ingest.rate",
    "heartbeat.p50",
    "heartbeat.p99",
    "pipelined.rate",
    "recovery.time",
    "remote-stop.answered.most",
    "remote-stop.answered.p50",
    "remote-stop.answered.p99",
    "remote-stop.there.most",
    "remote-stop.there.p50",
    "remote-stop.there.p99",
    "restart.ended",
    "restart.killed",
    "storage.entries",
    "storage.entry",
    "storage.month",
    "storage.plain",
    "storage.snapshot",
    "storm.memory",
    "storm.time",
    "storm.tls.answered",
    "storm.tls.memory",
    "storm.tls.stop",
    "storm.tls.time",
];

fn bench(temporary: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(MUSTER);
    command
        .arg("bench")
        .args(arguments)
        .env("TMPDIR", temporary)
        .stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory)
        .expect("a directory")
        .next()
        .is_none()
}

/// Processes that were started with this directory somewhere among their arguments.
fn processes_below(directory: &Path) -> Vec<String> {
    let directory = directory.to_str().expect("a path in UTF-8");
    let commands = std::fs::read_dir("/proc")
        .expect("processes")
        .flatten()
        .filter_map(|entry| {
            entry.file_name().to_str()?.parse::<u32>().ok()?;
            std::fs::read(entry.path().join("cmdline")).ok()
        });
    commands
        .map(|line| text(&line))
        .filter(|line| line.contains(directory))
        .collect()
}

fn report(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn every_scenario_gives_its_figures() {
    let temporary = tempfile::tempdir().unwrap();
    let output = bench(temporary.path(), &["--quick", "--output", "json"])
        .output()
        .unwrap();
    let report = report(&output);

    assert_eq!(
        (report["version"].as_u64(), report["quick"].as_bool()),
        (Some(1), Some(true))
    );
    assert_eq!(
        (report["machines"].as_u64(), report["seconds"].as_u64()),
        (Some(200), Some(1))
    );
    assert!(
        report["host"]["cores"].as_u64().is_some_and(|cores| cores >= 1),
        "{report}"
    );
    let figures = report["figures"].as_array().unwrap();
    let mut names: Vec<&str> = figures
        .iter()
        .map(|figure| figure["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, FIGURES);
    for figure in figures {
        assert_eq!(figure["subject"], "muster");
        let value = figure["value"].as_f64().unwrap();
        assert!(value.is_finite() && value >= 0.0, "{figure}");
        assert!(
            figure["method"].as_str().is_some_and(|method| method.len() > 50),
            "{figure}"
        );
        assert_eq!(figure["goal"].is_object(), figure["met"].is_boolean(), "{figure}");
        assert!(
            figure["ratio"].is_null(),
            "there is nobody to compare with: {figure}"
        );
    }
    // What happened, not how fast: messages were taken in, events acknowledged, rows told.
    for (name, least) in [
        ("fleet-ingest.rate", 100.0),
        ("durable-events.wall", 100.0),
        ("fan-out.rate", 100.0),
    ] {
        let figure = figures.iter().find(|figure| figure["name"] == name).unwrap();
        assert!(figure["value"].as_f64().unwrap() > least, "{figure}");
    }
    let progress = text(&output.stderr);
    assert!(
        progress.contains("fleet-ingest: muster: 2,000 messages a second for 1 s"),
        "{progress}"
    );
    assert!(is_empty(temporary.path()));
}

#[test]
fn a_report_is_its_own_baseline() {
    let installed = |name: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut directories: Vec<_> = std::env::split_paths(&path).collect();
        directories.extend(["/usr/sbin".into(), "/usr/local/sbin".into()]);
        directories.iter().any(|directory| directory.join(name).is_file())
    };
    let temporary = tempfile::tempdir().unwrap();
    let line = ["connections", "--quick", "--vs", "mosquitto", "--output", "json"];
    let output = bench(temporary.path(), &line).output().unwrap();
    if !installed("mosquitto") {
        // Whoever has no broker is told how to get one, before anything is measured.
        assert_eq!(output.status.code(), Some(69));
        assert!(text(&output.stderr).starts_with("error[MST-B003]: mosquitto is not installed: "));
        assert!(output.stdout.is_empty() && is_empty(temporary.path()));
        return;
    }
    let ratios = |report: &Value| {
        let figures = report["figures"].as_array().unwrap();
        figures
            .iter()
            .filter(|figure| figure["ratio"].is_string())
            .count()
    };
    let mut report = report(&output);
    assert_eq!(ratios(&report), 2, "{report}");

    // A baseline that nothing can be worse than, and one that nothing can be as good as.
    let kept = tempfile::tempdir().unwrap();
    let baseline = kept.path().join("baseline.json");
    for (factor, code, says) in [
        (1_000.0, 0, "2 ratios compared with the baseline"),
        (
            0.000_001,
            1,
            "error[MST-B007]: worse than the baseline by more than a quarter",
        ),
    ] {
        for figure in report["figures"].as_array_mut().unwrap() {
            figure["value"] = (figure["value"].as_f64().unwrap() * factor).into();
        }
        std::fs::write(&baseline, report.to_string()).unwrap();
        let line = [&line[..], &["--baseline", baseline.to_str().unwrap()]].concat();
        let output = bench(temporary.path(), &line).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains(says), "{}", text(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).expect("the report comes either way");
    }
}

#[test]
fn what_is_not_accepted_is_said_at_once() {
    let temporary = tempfile::tempdir().unwrap();
    for (line, code, says) in [
        (
            &["--machines", "0"][..],
            64,
            "error[MST-B001]: --machines is 0: 1 to 100000 is accepted",
        ),
        (&["--seconds", "601"], 64, "1 to 600 is accepted"),
        (&["--seconds", "soon"], 64, "invalid value 'soon'"),
        (&["everything"], 64, "invalid value 'everything'"),
        (&["--vs", "kafka"], 64, "invalid value 'kafka'"),
        (
            &["--baseline", "none.json"],
            73,
            "error[MST-B006]: none.json cannot be read",
        ),
    ] {
        let output = bench(temporary.path(), line).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{line:?}: {}",
            text(&output.stderr)
        );
        assert!(
            text(&output.stderr).contains(says),
            "{line:?}: {}",
            text(&output.stderr)
        );
        assert!(output.stdout.is_empty() && is_empty(temporary.path()));
    }
}

#[test]
fn too_few_files_are_said_clearly() {
    let temporary = tempfile::tempdir().unwrap();
    let script = format!("ulimit -n 300 && exec {MUSTER} bench connections --quick");
    let output = Command::new("sh")
        .args(["-c", &script])
        .env("TMPDIR", temporary.path())
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(
        said.starts_with("error[MST-B002]: a process may open 300 files here and 400 are needed"),
        "{said}"
    );
}

#[test]
fn methods_are_explained_without_measuring() {
    let temporary = tempfile::tempdir().unwrap();
    let output = bench(temporary.path(), &["--methods"]).output().unwrap();
    let methods = text(&output.stdout);
    assert!(output.status.success() && output.stderr.is_empty());
    assert!(
        methods.contains("fleet-ingest\n") && methods.contains("storage\n"),
        "{methods}"
    );
}

#[test]
fn an_interrupted_run_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let mut running = bench(
        temporary.path(),
        &["connections", "--machines", "20", "--seconds", "600"],
    )
    .args(["fleet-ingest"])
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let began = Instant::now();
    while processes_below(temporary.path()).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(30), "no server was started");
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_raw(running.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let status = running.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(is_empty(temporary.path()));
    assert_eq!(processes_below(temporary.path()), Vec::<String>::new());
}

#[test]
fn a_killed_run_leaves_no_server_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let mut running = bench(
        temporary.path(),
        &["fleet-ingest", "--machines", "20", "--seconds", "600"],
    )
    .stdout(Stdio::null())
    .stderr(Stdio::null())
    .spawn()
    .unwrap();
    let (began, within) = (Instant::now(), Duration::from_secs(30));
    while !processes_below(temporary.path())
        .iter()
        .any(|line| !line.contains("bench-child"))
    {
        assert!(began.elapsed() < within, "no server was started");
        std::thread::yield_now();
    }
    running.kill().unwrap();
    running.wait().unwrap();
    let began = Instant::now();
    while !processes_below(temporary.path()).is_empty() {
        assert!(
            began.elapsed() < within,
            "a server is left: {:?}",
            processes_below(temporary.path())
        );
        std::thread::yield_now();
    }
}
