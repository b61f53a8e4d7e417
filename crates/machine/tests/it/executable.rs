//! `muster-machine` as people start it.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use muster_protocol::link::MachineMessage;
use rustix::process::{Pid, Signal, kill_process};

use crate::server::{Manner, Server};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster-machine"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MUSTER__")) {
        command.env_remove(name);
    }
    command
}

fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

fn start(data: &Path, server: &str) -> Child {
    program()
        .args(["run", "--server", server, "--data"])
        .arg(data)
        .args(["--name", "probe", "--log-format", "json"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn terminate(child: &Child) {
    kill_process(Pid::from_child(child), Signal::TERM).unwrap();
}

/// Waits for the end, at most so long; what it said, and how it ended.
fn end(mut child: Child, within: Duration) -> (String, Option<i32>) {
    let began = Instant::now();
    let mut stderr = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut said = String::new();
        stderr.read_to_string(&mut said).unwrap();
        said
    });
    let said = reader.join().unwrap();
    let code = child.wait().unwrap().code();
    assert!(began.elapsed() < within, "took {:?}: {said}", began.elapsed());
    (said, code)
}

#[test]
fn a_bad_configuration_ends_with_64_and_names_file_line_and_key() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("machine.yaml");
    std::fs::write(&file, "kind: pi\nthresholds:\n  thermal_warnin_celsius: 70\n").unwrap();
    let file = file.to_str().unwrap();
    for arguments in [
        &["config", "check", file][..],
        &["run", "--config", file],
        &["config", "show", "--config", file],
    ] {
        let output = run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{said}");
        for part in [
            &format!("{file}:3:"),
            "thresholds.thermal_warnin_celsius",
            "did you mean \"thermal_warning_celsius\"",
            "MST-M001",
        ] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }
    assert_eq!(run(&["run", "--colour"]).status.code(), Some(64));
    let output = run(&["run", "--server", "https://fleet"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--server: server:"));
    // Encrypted, without a certificate of its own.
    let data = directory.path().join("data");
    let output = run(&["run", "--server", "wss://fleet", "--data", data.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("MST-M063"));
}

#[test]
fn a_good_configuration_and_help_end_with_0() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("machine.yaml");
    std::fs::write(&file, "kind: pi\n").unwrap();
    assert_eq!(
        run(&["config", "check", file.to_str().unwrap()]).status.code(),
        Some(0)
    );
    let shown = run(&["config", "show", "--config", file.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("kind: pi"));
    for arguments in [&["--help"][..], &["run", "--help"], &["--version"]] {
        assert_eq!(run(arguments).status.code(), Some(0));
    }
}

#[test]
fn a_data_directory_that_cannot_be_used_ends_with_73() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let output = run(&["run", "--data", file.join("data").to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(73), "{said}");
    assert!(said.contains("MST-M002"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn this_computer_joins_alone_in_its_directory_and_ends_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(Manner::Polite).await;
    let child = start(directory.path(), &server.url());
    server
        .until("the state of this computer", |server| {
            server
                .heard()
                .iter()
                .any(|e| matches!(e.message, MachineMessage::State(_)))
        })
        .await;
    let (said, code) = end(start(directory.path(), &server.url()), Duration::from_secs(5));
    assert_eq!(code, Some(73), "{said}");
    assert!(
        said.contains("MST-M003") && said.contains(&child.id().to_string()),
        "{said}"
    );
    terminate(&child);
    let (said, code) = end(child, Duration::from_secs(5));
    assert_eq!(code, Some(0), "{said}");
    server
        .until("an orderly close", |server| server.closes() == [Some(1000)])
        .await;
    // The same identity the next time, and a clean start.
    let child = start(directory.path(), &server.url());
    server
        .until("a second session", |server| {
            server.connections() == 2 && server.heard().len() > 6
        })
        .await;
    let heard = server.heard();
    assert!(
        heard
            .iter()
            .all(|envelope| envelope.machine_id == heard[0].machine_id)
    );
    let starts: Vec<_> = heard
        .iter()
        .filter_map(|e| match &e.message {
            MachineMessage::Event(event) if event.kind == "runtime.started" => Some(event.message.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(starts[0], "The runtime started for the first time");
    terminate(&child);
    assert_eq!(end(child, Duration::from_secs(5)).1, Some(0));
}

#[test]
fn a_server_that_is_away_is_said_once() {
    let directory = tempfile::tempdir().unwrap();
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut child = start(directory.path(), &url);
    // Several attempts fall into this time; its length decides nothing.
    let waited = child.stderr.as_mut().map(|_| Instant::now());
    while waited.is_some_and(|began| began.elapsed() < Duration::from_secs(3)) {
        std::thread::park_timeout(Duration::from_millis(200));
    }
    terminate(&child);
    let (said, code) = end(child, Duration::from_secs(5));
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.matches("the server is away").count(), 1, "{said}");
}

#[test]
fn systemd_is_told_when_it_is_ready_that_it_lives_and_that_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify.sock");
    let systemd = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let heard = || {
        let mut bytes = [0; 256];
        let length = systemd.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).trim().to_owned()
    };
    let child = program()
        .args(["run", "--server", "ws://127.0.0.1:9", "--data"])
        .arg(directory.path().join("data"))
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "300000")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(heard(), "READY=1");
    for _ in 0..3 {
        assert_eq!(heard(), "WATCHDOG=1");
    }
    terminate(&child);
    let mut last = heard();
    while last == "WATCHDOG=1" {
        last = heard();
    }
    assert_eq!(last, "STOPPING=1");
    assert_eq!(end(child, Duration::from_secs(10)).1, Some(0));
}

/// What somebody beside the machine does, with the code it ends with.
fn beside(data: &Path, what: &str) -> (String, Option<i32>) {
    let output = program().arg(what).arg("--data").arg(data).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (said.trim().to_owned(), output.status.code())
}

/// Asks until it stands so. Each question is a process of its own, which takes long enough.
fn until_it_stands(data: &Path, so: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while beside(data, "safety").0 != so {
        assert!(Instant::now() < deadline, "{:?}", beside(data, "safety"));
    }
}

#[test]
fn somebody_beside_the_machine_stops_and_resumes_it() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let (said, code) = beside(data, "safety");
    assert_eq!(code, Some(69), "{said}");
    assert!(
        said.contains("no machine runs with the data directory") && said.contains("MST-M011"),
        "{said}"
    );
    let child = start(data, "ws://127.0.0.1:9");
    until_it_stands(data, "probe: operational");
    let socket = std::fs::metadata(data.join("local.sock")).unwrap();
    assert_eq!(
        socket.permissions().mode() & 0o777,
        0o600,
        "nobody else may press"
    );
    let standing = "probe: protective stop, held by asked";
    assert_eq!(beside(data, "stop"), (standing.to_owned(), Some(0)));
    assert_eq!(
        beside(data, "reset"),
        (standing.to_owned(), Some(0)),
        "nothing is latched"
    );
    let latched = "probe: estop latched, held by estop asked, asked";
    assert_eq!(beside(data, "estop"), (latched.to_owned(), Some(0)));
    assert_eq!(
        beside(data, "resume"),
        (latched.to_owned(), Some(1)),
        "it must be reset first"
    );
    let reset = "probe: protective stop, held by asked, not resumed";
    assert_eq!(beside(data, "reset"), (reset.to_owned(), Some(0)));
    assert_eq!(beside(data, "resume"), ("probe: operational".to_owned(), Some(0)));
    beside(data, "estop");
    // The power goes.
    let mut child = child;
    child.kill().unwrap();
    child.wait().unwrap();
    let child = start(data, "ws://127.0.0.1:9");
    // Latched over a power cut.
    until_it_stands(data, "probe: estop latched, held by estop asked");
    terminate(&child);
    let (_, code) = end(child, Duration::from_secs(10));
    assert_eq!(code, Some(0));
    assert!(
        !data.join("local.sock").exists(),
        "nobody finds a socket that nobody hears"
    );
}

/// What `muster-machine calibration` says beside a machine, with the code it ends with.
fn calibration(data: &Path, line: &[&str]) -> (String, Option<i32>) {
    let output = program()
        .arg("calibration")
        .args(line)
        .arg("--data")
        .arg(data)
        .output()
        .unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (said.trim().to_owned(), output.status.code())
}

#[test]
fn somebody_beside_the_machine_calibrates_it() {
    let directory = tempfile::tempdir().unwrap();
    let (data, files) = (directory.path(), tempfile::tempdir().unwrap());
    let file = |name: &str, factor: f64| {
        let path = files.path().join(name);
        let text = format!(
            "kind: sensor\nunit: V\ninput: {{ min: 0, max: 10 }}\nstages:\n  - offset: {{ add: 1 }}\n  - scale: {{ factor: {factor} }}\n"
        );
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (good, better, wrong) = (file("good", 2.0), file("better", 3.0), file("wrong", 0.0));
    let (said, code) = calibration(data, &["check", &wrong]);
    assert_eq!(code, Some(64), "{said}");
    assert!(
        said.contains("stages[1].scale.factor: 0 makes") && said.contains("MST-M020"),
        "{said}"
    );
    assert_eq!(calibration(data, &["list"]).1, Some(69));
    let child = start(data, "ws://127.0.0.1:9");
    until_it_stands(data, "probe: operational");
    let apply = |file: &str| calibration(data, &["apply", "battery.volts", file, "--reason", "measured"]);
    assert_eq!(apply(&wrong).1, Some(1));
    assert_eq!(
        apply(&good),
        ("battery.volts: version 1 is in force".to_owned(), Some(0))
    );
    assert_eq!(
        apply(&better),
        ("battery.volts: version 2 is in force".to_owned(), Some(0))
    );
    let (said, _) = calibration(data, &["compare", "battery.volts", "1", "2"]);
    let last: Vec<&str> = said.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(last, ["10.0000", "22.0000", "33.0000", "11.0000"]);
    let back = ["rollback", "battery.volts", "--reason", "worse"];
    assert_eq!(
        calibration(data, &back),
        ("battery.volts: version 1 is in force".to_owned(), Some(0))
    );
    // The power goes.
    let mut child = child;
    child.kill().unwrap();
    child.wait().unwrap();
    let child = start(data, "ws://127.0.0.1:9");
    let listed = "battery.volts: version 1, local since";
    let deadline = Instant::now() + Duration::from_secs(20);
    while !calibration(data, &["list"]).0.starts_with(listed) {
        assert!(Instant::now() < deadline, "{:?}", calibration(data, &["list"]));
    }
    let (said, code) = calibration(data, &["show", "battery.volts"]);
    assert!(
        code == Some(0) && said.contains("* 1 ") && said.contains("measured"),
        "{said}"
    );
    let (said, code) = calibration(data, &["follow", "battery.volts", "--reason", "they know"]);
    assert_eq!(code, Some(1), "{said}");
    terminate(&child);
    assert_eq!(end(child, Duration::from_secs(10)).1, Some(0));
}

#[test]
fn what_recording_takes_is_measured_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let measured = |more: &[&str]| {
        let place = directory.path().to_str().unwrap();
        let all = [
            &["measure", "recorder", "--seconds", "1", "--directory", place],
            more,
        ]
        .concat();
        run(&all)
    };
    let output = measured(&["--rate", "2000", "--output", "json"]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report["messages"], &report["dropped"]),
        (&2_000.into(), &0.into())
    );
    let bytes = report["bytes_per_message"].as_f64().unwrap();
    assert!((10.0..2_000.0).contains(&bytes), "{report}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    // Nothing takes less than nothing.
    let over = measured(&["--limit", "-1"]);
    let said = String::from_utf8_lossy(&over.stderr);
    assert!(
        over.status.code() == Some(1) && said.contains("the limit is -1 %"),
        "{said}"
    );
    let nowhere = run(&["measure", "recorder", "--seconds", "1", "--directory", "/proc"]);
    let said = String::from_utf8_lossy(&nowhere.stderr);
    assert!(
        nowhere.status.code() == Some(64) && said.contains("nothing was recorded"),
        "{said}"
    );
}
