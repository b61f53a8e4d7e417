//! Workloads by way of what is desired, and what a machine says of them.

use muster_client::test_server::machine_id;
use muster_model::Presence;
use muster_model::desired::DesiredStatus;
use muster_model::workload::report::{
    Grant, GrantState, WorkloadPhase, WorkloadReport, WorkloadSource, WorkloadsReport,
};
use muster_model::workload::{Workload, WorkloadKind};
use muster_model::{DesiredVersion, Severity};
use muster_protocol::api::{Desired, LogLine};
use serde_json::{Value, json};

use super::*;

const CAMERA: &str = "\
camera:
  program: /usr/bin/camera
  arguments: [--port, '8080']
  limits: { memory_mib: 128 }
  health: { kind: http, port: 8080 }
tracker:
  kind: container
  image: localhost/tracker:4
  after: [camera]
";

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

async fn set(
    server: &TestServer,
    terminal: &Terminal,
    text: &str,
    more: &[&str],
) -> Result<(), OperatorError> {
    let file = file(text);
    let path = file.path().to_str().expect("a path");
    let line: Vec<&str> = ["workloads", "set", "frida", path]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    terminal.run(server.address(), &line).await
}

/// What is desired of the section, by the server.
fn wanted(server: &TestServer) -> Value {
    let fleet = server.fleet();
    let desired = &fleet.desired[&machine_id(0)];
    serde_json::from_str(desired.sections[0].content.0.get()).expect("JSON")
}

fn puts(server: &TestServer) -> usize {
    let received = server.received();
    received.iter().filter(|request| request.method == "PUT").count()
}

fn report(name: &str, phase: WorkloadPhase, version: &str) -> WorkloadReport {
    WorkloadReport {
        name: name.to_owned(),
        kind: WorkloadKind::Native,
        phase,
        reason: None,
        since: start().plus_millis(-90_000),
        restarts: 0,
        last_exit: None,
        version: version.to_owned(),
        source: WorkloadSource::Fleet,
        conflict: false,
        runner: Some("own".to_owned()),
        memory_bytes: None,
        cpu_percent: None,
        granted: Vec::new(),
    }
}

/// The version of a definition of the file above.
fn version(name: &str) -> String {
    let all: std::collections::BTreeMap<String, Workload> = yaml_serde::from_str(CAMERA).expect("workloads");
    all[name].version()
}

fn reports(fleet: &mut Fleet, workloads: Vec<WorkloadReport>) {
    let report = WorkloadsReport {
        workloads,
        refused: None,
    };
    fleet.machines[0].reported.workloads = Some(Arc::new(report));
}

fn applied(desired: &mut Desired) {
    desired.held_version = desired.version;
    desired.converged = true;
    for section in &mut desired.sections {
        section.status = DesiredStatus::Applied;
    }
}

const REASON: [&str; 2] = ["--reason", "camera 4"];

#[tokio::test]
async fn workloads_are_desired_beside_others_and_removed_and_what_changes_is_shown() {
    let server = server(Fleet::of(1)).await;
    let terminal = Terminal::new(Some(140));
    let first = "old:\n  program: /bin/old\n";
    set(&server, &terminal, first, &REASON).await.expect("success");
    set(&server, &terminal, CAMERA, &["--dry-run"])
        .await
        .expect("success");
    assert_eq!(
        (puts(&server), wanted(&server)),
        (1, json!({ "old": { "program": "/bin/old" } }))
    );
    set(&server, &terminal, CAMERA, &REASON).await.expect("success");
    // In the words of the file, without the defaults.
    assert_eq!(
        wanted(&server)["tracker"],
        json!({ "kind": "container", "image": "localhost/tracker:4", "after": ["camera"] })
    );
    assert_eq!(wanted(&server)["old"], json!({ "program": "/bin/old" }));
    // The part of a machine's file, and only what differs counts: a default that is written out does not.
    let part = "workloads:\n  camera:\n    program: /usr/bin/camera\n    arguments: [--port, '8081']\n    network: true\n    limits: { memory_mib: 128, processes: 8 }\n";
    set(&server, &terminal, part, &REASON).await.expect("success");
    set(&server, &terminal, part, &REASON).await.expect("success");
    assert_eq!(puts(&server), 3, "what changes nothing is not sent");
    set(
        &server,
        &terminal,
        first,
        &["--replace", "--reason", "as in the repository"],
    )
    .await
    .expect("success");
    assert_eq!(wanted(&server), json!({ "old": { "program": "/bin/old" } }));
    let remove = ["workloads", "remove", "frida", "old", "--reason", "over"];
    terminal.run(server.address(), &remove).await.expect("success");
    assert_eq!(wanted(&server), json!({}));
    golden!("workloads_desired_changed_and_removed", terminal.out.text());
    let (report, code) = refused(server.address(), &remove).await;
    assert_eq!(code, 2, "{report}");
    assert!(
        report.contains("the fleet wants no workload \"old\" of frida"),
        "{report}"
    );
}

#[tokio::test]
async fn what_would_change_is_written_for_programs() {
    let server = server(Fleet::of(1)).await;
    let terminal = Terminal::new(None);
    let more = ["--dry-run", "--output", "json"];
    set(&server, &terminal, "a:\n  program: /bin/a\n", &more)
        .await
        .expect("success");
    let said: Value = serde_json::from_str(&terminal.out.text()).expect("JSON");
    let key = json!({ "key": "program", "before": null, "after": "/bin/a" });
    assert_eq!(said, json!([{ "name": "a", "change": "added", "keys": [key] }]));
    assert_eq!(puts(&server), 0);
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_with_its_place_and_not_sent() {
    let server = server(Fleet::of(1)).await;
    let many: String = (0..33)
        .map(|number| format!("w{number}:\n  program: /bin/a\n"))
        .collect();
    for (text, expected) in [
        ("camera: [", "line 2 column 1"),
        ("[1]", "it holds no workloads by name"),
        ("", "it holds no workloads by name"),
        ("{}", "it holds no workloads"),
        ("workloads: 3", "it holds none by name"),
        (
            "camera:\n  program: /bin/a\n  memory: 3\n",
            "camera: unknown field `memory`",
        ),
        ("camera:\n  program: /bin/a\n  memory: 3\n", "at line 3"),
        (
            "workloads:\n  camera:\n    progam: /bin/a\n    kind: native\n",
            "at line 3",
        ),
        (
            "camera:\n  program: bin/a\n",
            "workload camera: program: an absolute path",
        ),
        (
            "camera:\n  arguments: [a]\n",
            "program: a native workload needs one",
        ),
        (
            "Camera:\n  program: /bin/a\n",
            "\"Camera\" is no name for a workload",
        ),
        (
            "a:\n  program: /bin/a\n  limits: { memory_mib: 1 }\n",
            "limits.memory_mib: 4 to 1048576",
        ),
        ("a:\n  program: /bin/a\na:\n  program: /bin/b\n", "duplicate"),
        (
            "a:\n  program: /bin/a\n  after: [b]\nb:\n  program: /bin/a\n  after: [a]\n",
            "wait for each other: a, b",
        ),
        (
            "a:\n  program: /bin/a\n  restart: { policy: sometimes }\n",
            "`sometimes`",
        ),
        (many.as_str(), "33 workloads, 32 are accepted"),
    ] {
        let error = set(&server, &Terminal::new(None), text, &REASON)
            .await
            .expect_err(text);
        assert!(error.to_string().contains(expected), "{text:?}: {error}");
        assert_eq!((error.exit_code(), error.code()), (2, "MST-O001"), "{text:?}");
    }
    assert!(server.received().is_empty(), "nobody was asked");
    // One that only cannot be meant together with what is there already.
    set(
        &server,
        &Terminal::new(None),
        "a:\n  program: /bin/a\n  after: [b]\n",
        &REASON,
    )
    .await
    .expect("success");
    let error = set(
        &server,
        &Terminal::new(None),
        "b:\n  program: /bin/a\n  after: [a]\n",
        &REASON,
    )
    .await;
    let error = error.expect_err("a circle").to_string();
    assert!(
        error.contains("together with what is desired already: workloads wait for each other"),
        "{error}"
    );
    assert_eq!(puts(&server), 1);
    let path = ["workloads", "set", "frida", "/no/such/file", "--reason", "x"];
    let (report, code) = refused(server.address(), &path).await;
    assert_eq!(code, 2, "{report}");
    let words = ["muster", "workloads", "set", "frida", "x.yaml"];
    let error = Arguments::try_parse_from(words).expect_err("refused").to_string();
    assert!(error.contains("--reason"), "{error}");
    let words = ["muster", "workloads", "show", "frida", "Camera"];
    let error = Arguments::try_parse_from(words).expect_err("refused").to_string();
    assert!(error.contains("1 to 40 lower-case letters"), "{error}");
}

#[tokio::test]
async fn somebody_elses_change_of_another_workload_stays_and_of_the_same_is_a_conflict() {
    let mut fleet = Fleet::of(1);
    fleet.conflicts = 2;
    let server = server(fleet).await;
    set(&server, &Terminal::new(None), CAMERA, &REASON)
        .await
        .expect("success");
    assert_eq!(puts(&server), 3);

    // Between the look and the change somebody else sets another port.
    server.fleet().conflicts = 1;
    server.fleet().desired_steps = [(|_| {}) as fn(&mut Desired), |desired| {
        let text = desired.sections[0].content.0.get().replace("8080", "9090");
        let text = serde_json::value::RawValue::from_string(text).expect("JSON");
        desired.sections[0].content = muster_model::entry::JsonText(text);
    }]
    .into();
    let other = CAMERA.replace("8080", "8081");
    let error = set(&server, &Terminal::new(None), &other, &REASON)
        .await
        .expect_err("a conflict");
    assert_eq!((error.exit_code(), error.code()), (1, "MST-O004"), "{error}");
    assert!(error.to_string().contains("\"camera\" of frida"), "{error}");
    assert_eq!(wanted(&server)["camera"]["arguments"], json!(["--port", "9090"]));
}

#[tokio::test]
async fn with_wait_it_is_done_when_the_machine_says_that_they_run() {
    let mut fleet = Fleet::of(1);
    reports(
        &mut fleet,
        vec![report("camera", WorkloadPhase::Running, &version("camera"))],
    );
    fleet.desired_steps = [(|_| {}) as fn(&mut Desired), applied].into();
    let server = server(fleet).await;
    let terminal = Terminal::new(None);
    let wait = ["--reason", "camera 4", "--wait", "300ms"];
    let error = set(&server, &terminal, CAMERA, &wait)
        .await
        .expect_err("they do not run yet");
    assert_eq!((error.exit_code(), error.code()), (3, "MST-O010"));
    // It runs, and is not known to work; the other one is not there.
    assert!(
        error.to_string().contains("camera: running; tracker: not there"),
        "{error}"
    );

    let well = vec![
        report("camera", WorkloadPhase::Healthy, &version("camera")),
        report("tracker", WorkloadPhase::Running, &version("tracker")),
    ];
    reports(&mut server.fleet(), well);
    set(&server, &terminal, CAMERA, &wait).await.expect("success");
    assert!(terminal.out.text().ends_with("the machine says that it is so\n"));

    let mut failed = report("camera", WorkloadPhase::Failed, &version("camera"));
    failed.reason = Some("memory: not permitted".to_owned());
    reports(&mut server.fleet(), vec![failed]);
    // It is not waited for what will not come.
    let long = ["--reason", "camera 4", "--wait", "1h"];
    let error = set(&server, &terminal, CAMERA, &long)
        .await
        .expect_err("it failed");
    assert!(
        error
            .to_string()
            .contains("camera: failed (memory: not permitted)"),
        "{error}"
    );

    // What is removed is gone when the machine does not speak of it any more.
    server.fleet().desired_steps = [(|_| {}) as fn(&mut Desired), applied].into();
    let line = [
        "workloads",
        "remove",
        "frida",
        "camera",
        "--reason",
        "over",
        "--wait",
        "300ms",
    ];
    let error = terminal
        .run(server.address(), &line)
        .await
        .expect_err("it is still there");
    assert_eq!(error.exit_code(), 3, "{error}");
    assert!(error.to_string().contains("camera: failed"), "{error}");
}

#[tokio::test]
async fn what_is_desired_and_what_runs_are_listed_and_shown() {
    let mut fleet = Fleet::of(1);
    let mut camera = report("camera", WorkloadPhase::Healthy, &version("camera"));
    camera.memory_bytes = Some(44 << 20);
    camera.granted = vec![
        Grant {
            what: "memory".to_owned(),
            state: GrantState::Granted,
            detail: "cgroup v2: 128 MiB".to_owned(),
        },
        Grant {
            what: "seccomp".to_owned(),
            state: GrantState::NotPresent,
            detail: "not on this architecture".to_owned(),
        },
    ];
    let mut crashes = report("crashes", WorkloadPhase::Failed, "0123456789abcdef");
    crashes.reason = Some("started again 5 times within 600 s, last: exit 3".to_owned());
    (crashes.restarts, crashes.last_exit) = (5, Some("exit 3".to_owned()));
    crashes.source = WorkloadSource::Machine;
    let mut leaves = report("leaves", WorkloadPhase::Stopping, "fedcba9876543210");
    leaves.reason = Some("no longer wanted".to_owned());
    let mut tracker = report("tracker", WorkloadPhase::Unhealthy, "00000000000000aa");
    (tracker.conflict, tracker.source) = (true, WorkloadSource::Machine);
    tracker.reason = Some("port 8080: nobody listens".to_owned());
    reports(&mut fleet, vec![camera, crashes, leaves, tracker]);
    let server = server(fleet).await;
    let more = CAMERA.to_owned() + "later:\n  program: /bin/later\n";
    set(&server, &Terminal::new(None), &more, &REASON)
        .await
        .expect("success");
    let terminal = Terminal::new(Some(150));
    let list = ["workloads", "list", "frida"];
    terminal.run(server.address(), &list).await.expect("success");
    for name in ["camera", "crashes", "later"] {
        terminal
            .run(server.address(), &["workloads", "show", "frida", name])
            .await
            .expect("success");
    }
    golden!("workloads_listed_and_shown", terminal.out.text());

    let terminal = Terminal::new(None);
    let line = ["workloads", "list", "frida", "--output", "json"];
    terminal.run(server.address(), &line).await.expect("success");
    let said: Value = serde_json::from_str(&terminal.out.text()).expect("JSON");
    let each = said["workloads"].as_array().expect("workloads").iter();
    let each: Vec<_> = each
        .map(|one| format!("{} {}", one["name"], one["agreement"]).replace('"', ""))
        .collect();
    assert_eq!(
        each,
        [
            "camera as_desired",
            "crashes not_desired",
            "later pending",
            "leaves to_be_ended",
            "tracker conflict"
        ]
    );
    assert_eq!(
        said["workloads"][0]["desired"]["definition"]["limits"]["memory_mib"],
        128
    );

    // What the machine refuses is said, also of one that it never had; and that it is away.
    server.fleet().desired_steps = [(|desired: &mut Desired| {
        desired.held_version = DesiredVersion(9);
        desired.sections[0].status = DesiredStatus::Refused;
        desired.sections[0].status_reason = Some("no podman here".to_owned());
    }) as fn(&mut Desired)]
    .into();
    server.fleet().machines[0].summary.presence = Presence::Lost;
    let terminal = Terminal::new(Some(150));
    terminal.run(server.address(), &list).await.expect("success");
    let later = terminal
        .out
        .text()
        .lines()
        .find(|line| line.starts_with("later"))
        .map(str::to_owned);
    assert!(
        later
            .as_ref()
            .is_some_and(|line| line.contains("refused") && line.contains("no podman here")),
        "{later:?}"
    );
    assert!(
        terminal.notes.text().contains("frida is lost"),
        "{}",
        terminal.notes.text()
    );

    let (report, code) = refused(server.address(), &["workloads", "show", "frida", "camrea"]).await;
    assert_eq!(code, 2);
    assert!(
        report.contains("it has: camera, crashes, later, leaves, tracker"),
        "{report}"
    );
}

#[tokio::test]
async fn a_machine_that_runs_nothing_says_so() {
    let server = server(Fleet::of(1)).await;
    let terminal = Terminal::new(None);
    terminal
        .run(server.address(), &["workloads", "list", "frida"])
        .await
        .expect("success");
    assert_eq!(
        terminal.out.text(),
        "frida runs no workloads, and none are desired\n"
    );
}

#[tokio::test]
async fn the_lines_of_one_workload_are_shown_across_pages() {
    let mut fleet = Fleet::of(1);
    let line = |number: i64, target: &str| LogLine {
        at: start().plus_millis(-number * 1_000),
        severity: Severity::Info,
        target: target.to_owned(),
        message: format!("line {number}"),
        fields: None,
    };
    fleet.logs = (0..40)
        .map(|number| {
            line(
                number,
                if number % 2 == 0 {
                    "workload.camera"
                } else {
                    "workload.camera2"
                },
            )
        })
        .collect();
    let camera = report("camera", WorkloadPhase::Running, "0123456789abcdef");
    reports(&mut fleet, vec![camera]);
    let server = server(fleet).await;
    let terminal = Terminal::new(None);
    let logs = ["workloads", "logs", "frida", "camera", "--limit", "15"];
    terminal.run(server.address(), &logs).await.expect("success");
    let text = terminal.out.text();
    assert!(
        text.lines().last().is_some_and(|line| line.ends_with("line 0")),
        "{text}"
    );
    assert!(
        text.contains("line 28") && !text.contains("line 30") && !text.contains("line 27"),
        "{text}"
    );
    assert!(terminal.notes.text().contains("--limit shows more than 15"));
    let none = ["workloads", "logs", "frida", "gone"];
    terminal.run(server.address(), &none).await.expect("success");
    let notes = terminal.notes.text();
    assert!(
        notes.contains("frida has no workload \"gone\"") && notes.contains("holds no such lines"),
        "{notes}"
    );
}
