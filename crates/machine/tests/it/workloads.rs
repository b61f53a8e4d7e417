//! Workloads as real processes, on whatever this computer permits. Where it does not permit something, the test says so, and that the
//! machine says so, too.

mod isolation;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Method;
use muster_machine::local::client::{Ask, ask};
use muster_machine::nodes::workloads::LogLine;
use muster_machine::{MachineError, MetalSource, Options, run};
use muster_metal::{LinuxMachine, LinuxRoots};
use muster_model::DesiredVersion;
use muster_model::desired::DesiredStatus;
use muster_model::workload::report::{GrantState, WorkloadPhase, WorkloadReport, WorkloadsReport};
use muster_model::workload::{HealthCheck, HealthKind, RestartPolicy, Workload, Workloads};
use muster_protocol::link::{Desired, MachineMessage, ServerMessage};
use muster_runtime::{Clock, Shutdown, Tasks};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use tokio::sync::oneshot;

use crate::server::{Manner, Server};
use crate::uplink::state;

/// A machine that runs workloads, and how it is asked.
struct Bench {
    data: PathBuf,
    server: Server,
    shutdown: Shutdown,
    running: oneshot::Receiver<Result<(), MachineError>>,
}

/// One shell command.
fn shell(text: &str) -> Workload {
    Workload {
        program: Some("/bin/sh".into()),
        arguments: vec!["-c".into(), text.into()],
        runner: muster_model::workload::RunnerChoice::Own,
        stop: muster_model::workload::Stop {
            timeout_s: 2,
            ..Default::default()
        },
        ..Workload::default()
    }
}

/// One that runs until it is ended.
fn steady() -> Workload {
    shell("echo ready; exec sleep 600")
}

fn all(each: &[(&str, Workload)]) -> Workloads {
    each.iter()
        .map(|(name, workload)| (name.parse().unwrap(), workload.clone()))
        .collect()
}

impl Bench {
    async fn start(data: &Path, workloads: Workloads) -> Self {
        let server = Server::start(Manner::Polite).await;
        Self::start_beside(data, workloads, server)
    }

    fn start_beside(data: &Path, workloads: Workloads, server: Server) -> Self {
        let mut options = Options::new(server.url().parse().unwrap(), "probe", "host");
        options.workloads.machine = workloads;
        options.workloads.keeper = env!("CARGO_BIN_EXE_muster-machine").into();
        options.workloads.systemd = None;
        options.state.debounce_ms = 20;
        let metal = MetalSource::fresh(|| Box::new(LinuxMachine::new(LinuxRoots::default())));
        let shutdown = Shutdown::new();
        let (directory, asked) = (data.to_owned(), shutdown.clone());
        let (told, running) = oneshot::channel();
        Tasks::new(shutdown.clone()).spawn_small(async move {
            let ended = run(&directory, options, metal, Clock::start(), asked).await;
            let _ = told.send(ended);
        });
        Self {
            data: data.to_owned(),
            server,
            shutdown,
            running,
        }
    }

    /// Ends the runtime; what it runs goes on.
    async fn end(self) -> Server {
        self.shutdown.request("the test is over");
        let ended = tokio::time::timeout(Duration::from_secs(5), self.running).await;
        ended.expect("ends within five seconds").unwrap().unwrap();
        self.server
    }

    /// Ends the runtime and all that it ran.
    async fn clear(self) {
        let data = self.data.clone();
        let server = self.end().await;
        let bench = Self::start_beside(&data, Workloads::new(), server);
        let folder = data.join("workloads");
        let left = || std::fs::read_dir(&folder).map_or(0, Iterator::count);
        let waiting = async {
            while left() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let cleared = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        cleared.unwrap_or_else(|_| panic!("{} workloads are left", left()));
        bench.end().await;
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, method: &Method, path: &str) -> Result<T, String> {
        let question = Ask {
            method,
            path,
            machine: None,
            body: None,
        };
        ask(&self.data, question).await.map_err(|error| error.to_string())
    }

    async fn until(&self, what: &str, holds: impl Fn(&WorkloadsReport) -> bool) -> WorkloadsReport {
        let mut last = None;
        let waiting = async {
            loop {
                match self.get::<WorkloadsReport>(&Method::GET, "/v1/workloads").await {
                    Ok(report) if holds(&report) => return report,
                    other => last = Some(other),
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(30), waiting).await {
            Ok(report) => report,
            Err(_) => panic!("{what}: {last:#?}"),
        }
    }

    async fn until_one(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&WorkloadReport) -> bool,
    ) -> WorkloadReport {
        let find = |report: &WorkloadsReport| report.workloads.iter().find(|one| one.name == name).cloned();
        let report = self
            .until(what, |report| find(report).is_some_and(|one| holds(&one)))
            .await;
        find(&report).unwrap()
    }

    async fn until_phase(&self, name: &str, phase: WorkloadPhase) -> WorkloadReport {
        self.until_one(name, phase.as_str(), |one| one.phase == phase)
            .await
    }

    /// What it printed; nothing while nobody knows it.
    async fn log(&self, name: &str) -> Vec<String> {
        let path = format!("/v1/workloads/{name}/logs/1000");
        let lines: Vec<LogLine> = self.get(&Method::GET, &path).await.unwrap_or_default();
        lines.into_iter().map(|line| line.message).collect()
    }

    async fn until_said(&self, name: &str, part: &str) -> Vec<String> {
        let waiting = async {
            loop {
                let log = self.log(name).await;
                if log.iter().any(|line| line.contains(part)) {
                    return log;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(30), waiting).await {
            Ok(log) => log,
            Err(_) => panic!("{name} never said {part:?}: {:?}", self.log(name).await),
        }
    }

    async fn ask(&self, name: &str, what: &str) -> Result<WorkloadReport, String> {
        self.get(&Method::POST, &format!("/v1/workloads/{name}/{what}"))
            .await
    }

    /// The program's number, as this computer counts.
    fn program(&self, name: &str) -> Pid {
        let path = self.data.join("workloads").join(name).join("started.json");
        let started: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        Pid::from_raw(started["program"].as_i64().unwrap() as i32).unwrap()
    }
}

/// Targets and texts of the log lines that the server heard.
fn lines(server: &Server) -> Vec<(String, String)> {
    let heard = server.heard().into_iter();
    let reports = heard.filter_map(|envelope| match envelope.message {
        MachineMessage::Log(report) => Some(report.lines),
        _ => None,
    });
    reports
        .flatten()
        .map(|line| (line.target, line.message))
        .collect()
}

/// Kinds of the events that the server heard.
fn events(server: &Server) -> Vec<String> {
    let heard = server.heard().into_iter();
    let kinds = heard.filter_map(|envelope| match envelope.message {
        MachineMessage::Event(event) => Some(event.kind),
        _ => None,
    });
    kinds.collect()
}

/// Whether the server was told how this workload fares.
fn tells_of(server: &Server, name: &str) -> bool {
    server.heard().iter().any(|envelope| match &envelope.message {
        MachineMessage::State(state) => {
            format!("{state:?}").contains(&format!("WorkloadReport {{ name: {name:?}"))
        }
        _ => false,
    })
}

fn granted(report: &WorkloadReport, what: &str) -> GrantState {
    let grant = report.granted.iter().find(|grant| grant.what == what);
    grant
        .unwrap_or_else(|| panic!("{what} in {:?}", report.granted))
        .state
}

fn alive(pid: Pid) -> bool {
    // A process that ended and that nobody waited for is none.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    test_kill_process(pid).is_ok() && !stat.contains(") Z ")
}

async fn until_gone(pid: Pid) {
    let waiting = async {
        while alive(pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting)
        .await
        .unwrap_or_else(|_| panic!("{pid:?} lives"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workload_runs_is_stopped_started_and_restarted_and_the_server_sees_it() {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::start(directory.path(), all(&[("one", steady())])).await;
    let report = bench.until_phase("one", WorkloadPhase::Running).await;
    assert_eq!((report.restarts, report.runner.as_deref()), (0, Some("own")));
    assert_eq!(granted(&report, "seccomp"), GrantState::Granted);
    bench.until_said("one", "ready").await;
    let first = bench.program("one");
    assert!(alive(first));

    bench.ask("one", "restart").await.unwrap();
    until_gone(first).await;
    bench
        .until_one("one", "runs anew", |one| {
            one.phase == WorkloadPhase::Running && one.last_exit.is_some()
        })
        .await;
    let second = bench.program("one");
    assert_ne!(first, second);

    bench.ask("one", "stop").await.unwrap();
    let stopped = bench.until_phase("one", WorkloadPhase::Stopped).await;
    assert_eq!(stopped.last_exit.as_deref(), Some("signal 15"));
    until_gone(second).await;
    bench.ask("one", "start").await.unwrap();
    bench.until_phase("one", WorkloadPhase::Running).await;
    assert!(
        bench
            .ask("two", "stop")
            .await
            .unwrap_err()
            .contains("no workload here is called")
    );
    assert!(
        bench
            .ask("one", "explode")
            .await
            .unwrap_err()
            .contains("there are GET /v1/workloads")
    );

    bench
        .server
        .until("lines, a state and events", |server| {
            let events = events(server);
            lines(server).contains(&("workload.one".to_owned(), "ready".to_owned()))
                && events.contains(&"workload.started".to_owned())
                && events.contains(&"workload.exited".to_owned())
                && tells_of(server, "one")
        })
        .await;
    bench.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runtime_that_begins_anew_finds_what_runs_and_what_ended() {
    let directory = tempfile::tempdir().unwrap();
    let mut once = shell("echo done; exit 0");
    once.restart.policy = RestartPolicy::OnFailure;
    let wanted = all(&[
        ("steady", steady()),
        ("stopped", steady()),
        ("dies", steady()),
        ("once", once),
    ]);
    let bench = Bench::start(directory.path(), wanted.clone()).await;
    bench.until_phase("steady", WorkloadPhase::Running).await;
    bench.until_phase("dies", WorkloadPhase::Running).await;
    bench.until_phase("once", WorkloadPhase::Stopped).await;
    bench.until_phase("stopped", WorkloadPhase::Running).await;
    bench.ask("stopped", "stop").await.unwrap();
    bench.until_phase("stopped", WorkloadPhase::Stopped).await;
    let (steady, dies) = (bench.program("steady"), bench.program("dies"));

    let server = bench.end().await;
    assert!(alive(steady), "the runtime's end ended a workload");
    kill_process(dies, Signal::KILL).unwrap();
    until_gone(dies).await;

    let bench = Bench::start_beside(directory.path(), wanted, server);
    let report = bench.until_phase("steady", WorkloadPhase::Running).await;
    assert_eq!(bench.program("steady"), steady);
    assert!(alive(steady) && report.restarts == 0);
    let again = bench
        .until_one("dies", "runs anew", |one| {
            one.phase == WorkloadPhase::Running && one.last_exit.is_some()
        })
        .await;
    assert_eq!(again.last_exit.as_deref(), Some("signal 9"));
    assert_ne!(bench.program("dies"), dies);
    bench.until_phase("stopped", WorkloadPhase::Stopped).await;
    bench.until_phase("once", WorkloadPhase::Stopped).await;
    assert_eq!(bench.log("once").await, ["done"]);
    // It is still watched: its end is noticed.
    kill_process(steady, Signal::KILL).unwrap();
    bench
        .until_one("steady", "started again", |one| one.restarts == 1)
        .await;
    bench.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_keeper_takes_its_program_with_it_and_both_are_started_again() {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::start(directory.path(), all(&[("one", steady())])).await;
    let report = bench.until_phase("one", WorkloadPhase::Running).await;
    if granted_or_absent(&report, "processes_apart") != Some(GrantState::Granted) {
        println!(
            "THIS COMPUTER GRANTS NO PID NAMESPACE: that a killed keeper takes its program with it is not shown"
        );
        assert!(granted_or_absent(&report, "processes_apart").is_some());
        return bench.clear().await;
    }
    let program = bench.program("one");
    let path = directory.path().join("workloads/one/started.json");
    let started: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let keeper = Pid::from_raw(started["keeper"].as_i64().unwrap() as i32).unwrap();
    kill_process(keeper, Signal::KILL).unwrap();
    until_gone(program).await;
    let again = bench
        .until_one("one", "started again", |one| {
            one.restarts == 1 && one.phase == WorkloadPhase::Running
        })
        .await;
    assert_eq!(again.last_exit.as_deref(), Some("ended, nobody knows how"));
    bench.clear().await;
}

fn granted_or_absent(report: &WorkloadReport, what: &str) -> Option<GrantState> {
    report
        .granted
        .iter()
        .find(|grant| grant.what == what)
        .map(|grant| grant.state)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_is_started_again_later_and_later_and_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let mut fails = shell("echo try >> $LOG; exit 3");
    let count = directory.path().join("count");
    fails.environment = BTreeMap::from([("LOG".into(), count.display().to_string())]);
    fails.restart.limit = 2;
    fails.restart.backoff_ms = 50;
    let missing = Workload {
        program: Some("/no/such/program".into()),
        ..fails.clone()
    };
    let wanted = all(&[("fails", fails.clone()), ("missing", missing)]);
    let bench = Bench::start(directory.path(), wanted.clone()).await;
    let report = bench.until_phase("fails", WorkloadPhase::Failed).await;
    let why = "started again 2 times within 600 s, last: exit 3";
    assert_eq!(report.reason.unwrap(), why);
    let tries = || std::fs::read_to_string(&count).unwrap().lines().count();
    assert_eq!(tries(), 3);
    let report = bench.until_phase("missing", WorkloadPhase::Failed).await;
    assert!(report.reason.unwrap().contains("/no/such/program: No such file"));

    // A runtime that begins anew knows that they failed, and why.
    let server = bench.end().await;
    let bench = Bench::start_beside(directory.path(), wanted, server);
    let report = bench.until_phase("fails", WorkloadPhase::Failed).await;
    assert_eq!(report.reason.unwrap(), why);
    let report = bench.until_phase("missing", WorkloadPhase::Failed).await;
    assert!(report.reason.unwrap().contains("/no/such/program: No such file"));
    assert_eq!(tries(), 3);
    // Somebody starts it: it is tried again, and given up again.
    bench.ask("fails", "start").await.unwrap();
    let again = |one: &WorkloadReport| one.phase == WorkloadPhase::Failed && tries() == 6;
    bench.until_one("fails", "given up again", again).await;
    let server = bench.end().await;

    // Another definition is another attempt.
    fails.restart.limit = 0;
    let bench = Bench::start_beside(directory.path(), all(&[("fails", fails)]), server);
    let again = |one: &WorkloadReport| one.phase == WorkloadPhase::Failed && tries() == 7;
    bench.until_one("fails", "tried anew", again).await;
    bench.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_does_not_hear_is_killed_with_all_that_it_started() {
    let directory = tempfile::tempdir().unwrap();
    // A length of sleep that is this test's alone.
    let seconds = 10_000 + std::process::id();
    let cmdline = format!("sleep\0{seconds}\0");
    let mut stubborn = shell(&format!(
        "trap '' TERM; (trap '' TERM; setsid sleep {seconds} & echo child $!; wait) & echo ready; while :; do sleep 1; done",
    ));
    stubborn.stop.timeout_s = 1;
    let bench = Bench::start(directory.path(), all(&[("stubborn", stubborn)])).await;
    bench.until_phase("stubborn", WorkloadPhase::Running).await;
    bench.until_said("stubborn", "child").await;
    let sleeps = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let is_it = |path: PathBuf| {
            std::fs::read(path.join("cmdline")).is_ok_and(|line| line == cmdline.as_bytes())
                && std::fs::read_to_string(path.join("environ"))
                    .is_ok_and(|text| text.contains("MUSTER_WORKLOAD=stubborn"))
        };
        processes.filter(|entry| is_it(entry.path())).count()
    };
    let running = async {
        while sleeps() != 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), running)
        .await
        .unwrap();
    bench.ask("stubborn", "stop").await.unwrap();
    let stopped = bench.until_phase("stubborn", WorkloadPhase::Stopped).await;
    assert_eq!(stopped.last_exit.as_deref(), Some("signal 9"));
    assert_eq!(sleeps(), 0);
    bench.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_checked_inside_and_what_does_not_work_is_started_again() {
    let directory = tempfile::tempdir().unwrap();
    let flag = directory.path().join("works");
    std::fs::write(&flag, "").unwrap();
    let mut checked = steady();
    checked.health = Some(HealthCheck {
        kind: HealthKind::Command,
        command: vec![
            "/bin/sh".into(),
            "-c".into(),
            format!("test \"$MARK\" = 7 && test -e {}", flag.display()),
        ],
        interval_s: 1,
        retries: 1,
        ..HealthCheck::default()
    });
    checked.environment = BTreeMap::from([("MARK".into(), "7".into())]);
    checked.restart.backoff_ms = 50;
    let mut after = steady();
    after.after = vec!["checked".parse().unwrap()];
    let bench = Bench::start(directory.path(), all(&[("checked", checked), ("after", after)])).await;
    let waits = bench
        .until_one("after", "it waits", |one| one.reason.is_some())
        .await;
    assert_eq!(
        (waits.phase, waits.reason.as_deref()),
        (WorkloadPhase::Pending, Some("waits for checked"))
    );
    bench.until_phase("checked", WorkloadPhase::Healthy).await;
    bench.until_phase("after", WorkloadPhase::Running).await;
    std::fs::remove_file(&flag).unwrap();
    bench
        .until_one("checked", "started again", |one| one.restarts >= 1)
        .await;
    std::fs::write(&flag, "").unwrap();
    bench.until_phase("checked", WorkloadPhase::Healthy).await;
    bench.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_grows_is_rotated_and_what_is_too_much_is_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let chatty = shell(
        "i=0; while [ $i -lt 60000 ]; do echo line $i of very many that this workload says; echo wrong $i >&2; i=$((i+1)); done; echo last; exec sleep 600",
    );
    let bench = Bench::start(directory.path(), all(&[("chatty", chatty)])).await;
    let log = bench.until_said("chatty", "last").await;
    assert_eq!(log.len(), 1_000);
    let lengths: Vec<_> = std::fs::read_dir(directory.path().join("workloads/chatty"))
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("out.log"))
        .map(|entry| entry.metadata().unwrap().len())
        .collect();
    assert_eq!(lengths.len(), 4);
    assert!(lengths.iter().all(|length| *length <= 1 << 20), "{lengths:?}");
    bench
        .server
        .until("that lines were left out", |server| {
            let lines = lines(server);
            lines
                .iter()
                .any(|(_, line)| line.contains("were left out here; the machine has them"))
        })
        .await;
    bench.clear().await;
}

fn desired(version: u64, workloads: &str) -> ServerMessage {
    let document = format!(r#"{{"workloads":{{"version":{version},"content":{workloads}}}}}"#);
    ServerMessage::Desired(Desired {
        version,
        base: None,
        document: serde_json::from_str(&document).unwrap(),
    })
}

/// Waits until the machine says this of the desired section.
async fn until_desired(server: &Server, version: u64, status: DesiredStatus) -> String {
    let of = |server: &Server| {
        let report = state(server).desired?;
        let section = report
            .sections
            .iter()
            .find(|section| section.name == "workloads")?
            .clone();
        (report.version == DesiredVersion(version) && section.status == status)
            .then(|| section.reason.unwrap_or_default())
    };
    server.until(status.as_str(), |server| of(server).is_some()).await;
    of(server).unwrap()
}

const SLEEPER: &str = r#"{"program": "/bin/sleep", "arguments": ["600"], "runner": "own"}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fleet_wants_changes_is_refused_and_in_conflict_and_wants_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::start(directory.path(), all(&[("own", steady())])).await;
    bench.until_phase("own", WorkloadPhase::Running).await;
    let say = |version, text: String| bench.server.say(desired(version, &text));

    say(1, format!(r#"{{"fleet": {SLEEPER}}}"#)).await;
    let report = bench.until_phase("fleet", WorkloadPhase::Running).await;
    assert_eq!(report.source.as_str(), "fleet");
    until_desired(&bench.server, 1, DesiredStatus::Applied).await;
    let first = bench.program("fleet");

    // What cannot be meant changes nothing.
    say(2, r#"{"fleet": {"programme": "/bin/sleep"}}"#.to_owned()).await;
    let why = until_desired(&bench.server, 2, DesiredStatus::Refused).await;
    assert!(why.contains("unknown field `programme`"), "{why}");
    let report = bench
        .until("it is shown", |report| report.refused.is_some())
        .await;
    assert!(report.refused.unwrap().contains("programme"));
    assert!(alive(first));

    // What the machine's own file says stays, and the conflict is shown.
    say(3, format!(r#"{{"fleet": {SLEEPER}, "own": {SLEEPER}}}"#)).await;
    let why = until_desired(&bench.server, 3, DesiredStatus::Conflict).await;
    assert_eq!(why, "the machine's own file says otherwise of: own");
    let report = bench.until_one("own", "the conflict", |one| one.conflict).await;
    assert_eq!(
        (report.source.as_str(), report.phase),
        ("machine", WorkloadPhase::Running)
    );
    assert_eq!(bench.program("fleet"), first);

    say(4, "{}".to_owned()).await;
    bench
        .until("the fleet's is gone", |report| {
            report.workloads.len() == 1 && !report.workloads[0].conflict
        })
        .await;
    until_gone(first).await;
    assert!(!directory.path().join("workloads/fleet").exists());
    bench.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_runtime_neither_doubles_nor_loses_what_runs_also_without_a_server() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(Manner::Polite).await;
    let start = || {
        std::process::Command::new(env!("CARGO_BIN_EXE_muster-machine"))
            .args([
                "run",
                "--name",
                "probe",
                "--log-level",
                "error",
                "--server",
                &server.url(),
                "--data",
            ])
            .arg(directory.path())
            .spawn()
            .unwrap()
    };
    let mut killed = start();
    let heard = |server: &Server| !server.heard().is_empty();
    server.until("a session", heard).await;
    server
        .say(desired(1, &format!(r#"{{"one": {SLEEPER}, "two": {SLEEPER}}}"#)))
        .await;
    let runs = |server: &Server| tells_of(server, "one") && tells_of(server, "two");
    server.until("both run", runs).await;
    let (_, nothing) = (server.closes(), oneshot::channel::<Result<(), MachineError>>());
    let bench = Bench {
        data: directory.path().to_owned(),
        server: server.clone(),
        shutdown: Shutdown::new(),
        running: nothing.1,
    };
    bench.until_phase("one", WorkloadPhase::Running).await;
    bench.until_phase("two", WorkloadPhase::Running).await;
    let programs = [bench.program("one"), bench.program("two")];

    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(programs.into_iter().all(alive));
    // What happens while nobody looks is found out afterwards.
    kill_process(programs[1], Signal::KILL).unwrap();
    until_gone(programs[1]).await;
    server.behave(Manner::Mute);

    let mut again = start();
    bench.until_phase("one", WorkloadPhase::Running).await;
    let two = bench
        .until_one("two", "runs anew", |one| {
            one.phase == WorkloadPhase::Running && one.last_exit.is_some()
        })
        .await;
    assert_eq!(two.last_exit.as_deref(), Some("signal 9"));
    assert_eq!(bench.program("one"), programs[0]);
    assert_ne!(bench.program("two"), programs[1]);
    let sleeps = std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        std::fs::read_to_string(entry.path().join("environ")).is_ok_and(|text| {
            ["one", "two"]
                .iter()
                .any(|name| text.contains(&format!("MUSTER_WORKLOAD={name}")))
                && std::fs::read(entry.path().join("cmdline"))
                    .is_ok_and(|line| line == b"/bin/sleep\x00600\x00")
        })
    });
    assert_eq!(sleeps.count(), 2);

    for name in ["one", "two"] {
        bench.ask(name, "stop").await.unwrap();
        bench.until_phase(name, WorkloadPhase::Stopped).await;
    }
    kill_process(Pid::from_child(&again), Signal::TERM).unwrap();
    assert!(again.wait().unwrap().success());
}
