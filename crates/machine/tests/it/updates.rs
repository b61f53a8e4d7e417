//! Releases on a real machine: programs that are replaced, prove themselves or are taken back, with a real disk and real signatures.

mod publisher;

use std::path::Path;
use std::time::Duration;

use http::Method;
use muster_machine::local::client::{Ask, ask};
use muster_machine::{MachineError, MetalSource, Options, run};
use muster_metal::{LinuxMachine, LinuxRoots};
use muster_model::DesiredVersion;
use muster_model::release::{Act, Assignment, DesiredReleases, ProductReport, UpdatesReport};
use muster_model::vocabulary::UpdatePhase;
use muster_model::workload::report::WorkloadsReport;
use muster_model::workload::{RestartPolicy, Workload, Workloads};
use muster_protocol::link::{Desired, ServerMessage};
use muster_release::Manifest;
use muster_release::manifest::{Health, HealthCheck, Hook, Precondition, Test};
use muster_runtime::{Clock, Shutdown, Tasks};
use tokio::sync::oneshot;

use crate::server::{Manner, Server};
use crate::uplink::state;
use publisher::{Door, PRODUCT, Publisher};

/// A program that runs until it is ended, and says its version.
fn steady(version: &str) -> String {
    format!("#!/bin/sh\necho {version}\nexec sleep 600\n")
}

const DIES: &str = "#!/bin/sh\necho dies\nexit 3\n";

/// A machine that runs the product, and whoever assigns releases to it.
struct Bench {
    folder: tempfile::TempDir,
    publisher: Publisher,
    server: Server,
    door: Door,
    shutdown: Shutdown,
    running: oneshot::Receiver<Result<(), MachineError>>,
    desired: DesiredReleases,
    version: u64,
}

impl Bench {
    async fn start() -> Self {
        let publisher = Publisher::new();
        Self::start_with(publisher, true).await
    }

    async fn start_with(publisher: Publisher, has_root: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let releases = folder.path().join("releases");
        std::fs::create_dir(&releases).unwrap();
        if has_root {
            std::fs::write(releases.join("root.json"), publisher.first_root()).unwrap();
        }
        let server = Server::start(Manner::Polite).await;
        let shutdown = Shutdown::new();
        let door = Door::open(&server, publisher.releases(), Tasks::new(shutdown.clone())).await;
        let running = begin(folder.path(), &door, &shutdown);
        Self {
            folder,
            publisher,
            server,
            door,
            shutdown,
            running,
            desired: DesiredReleases::default(),
            version: 0,
        }
    }

    /// The runtime ends, as with a new version of itself or a loss of power, and begins again.
    async fn restart(&mut self) {
        let (before, heard) = (self.server.connections(), self.server.heard().len());
        self.end_runtime().await;
        self.shutdown = Shutdown::new();
        self.door = Door::open(
            &self.server,
            self.publisher.releases(),
            Tasks::new(self.shutdown.clone()),
        )
        .await;
        self.running = begin(self.folder.path(), &self.door, &self.shutdown);
        let is_back = |server: &Server| server.connections() > before && server.heard().len() > heard + 1;
        self.server.until("it is back", is_back).await;
    }

    async fn end_runtime(&mut self) {
        self.shutdown.request("the test says so");
        let ended = tokio::time::timeout(Duration::from_secs(10), &mut self.running).await;
        ended.expect("ends in time").unwrap().unwrap();
    }

    /// Ends it and the program that it runs.
    async fn clear(mut self) {
        self.version += 1;
        self.say(&format!(
            r#"{{"workloads":{{"version":{},"content":{{}}}}}}"#,
            self.version
        ))
        .await;
        self.until_workloads("nothing runs", |report| report.workloads.is_empty())
            .await;
        self.end_runtime().await;
    }

    /// Publishes a release and assigns it.
    async fn release(
        &mut self,
        version: &str,
        counter: u64,
        program: &str,
        adapt: impl FnOnce(&mut Manifest),
    ) {
        let (digest, bytes) = self.publisher.release(version, counter, program, adapt);
        self.assign(version, &digest, bytes, Act::Install).await;
    }

    async fn assign(&mut self, version: &str, digest: &str, bytes: u64, act: Act) {
        let assignment = Assignment {
            number: self.version + 1,
            act,
            version: version.to_owned(),
            manifest: digest.parse().unwrap(),
            manifest_bytes: bytes,
            until: self.publisher.now().plus_millis(3_600_000),
            rollout: None,
        };
        self.desired.products.insert(PRODUCT.parse().unwrap(), assignment);
        self.tell().await;
    }

    async fn tell(&mut self) {
        self.version += 1;
        let mut workloads = Workloads::new();
        let mut app = Workload {
            product: Some(PRODUCT.parse().unwrap()),
            runner: muster_model::workload::RunnerChoice::Own,
            ..Workload::default()
        };
        app.restart.policy = RestartPolicy::Always;
        app.restart.backoff_ms = 100;
        app.restart.backoff_max_ms = 200;
        app.restart.limit = 1_000;
        app.stop.timeout_s = 2;
        workloads.insert("app".parse().unwrap(), app);
        let text = format!(
            r#"{{"workloads":{{"version":{version},"content":{}}},"release":{{"version":{version},"content":{}}}}}"#,
            serde_json::to_string(&workloads).unwrap(),
            serde_json::to_string(&self.desired).unwrap(),
            version = self.version,
        );
        self.say(&text).await;
    }

    async fn say(&self, document: &str) {
        // Before its hello nobody knows to whom it is said.
        self.server
            .until("it said hello", |server| !server.heard().is_empty())
            .await;
        let desired = Desired {
            version: DesiredVersion(self.version).0,
            base: None,
            document: serde_json::from_str(document).unwrap(),
        };
        self.server.say(ServerMessage::Desired(desired)).await;
    }

    /// Waits until what the machine reports of the product is so.
    async fn until(&self, what: &str, holds: impl Fn(&ProductReport) -> bool) -> ProductReport {
        let mut last = None;
        let waiting = async {
            loop {
                let report = state(&self.server).updates;
                if let Some(product) = report.as_ref().and_then(|report| report.product(PRODUCT)) {
                    if holds(product) {
                        return product.clone();
                    }
                    last = Some(product.clone());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(60), waiting).await {
            Ok(report) => report,
            Err(_) => panic!("{what}: {last:#?}"),
        }
    }

    async fn until_phase(&self, phase: UpdatePhase) -> ProductReport {
        let number = self.desired.products.values().next().unwrap().number;
        let is_there = |product: &ProductReport| {
            let update = product.update.as_ref();
            update.is_some_and(|update| update.number == number && update.phase == phase)
        };
        self.until(phase.as_str(), is_there).await
    }

    async fn until_workloads(&self, what: &str, holds: impl Fn(&WorkloadsReport) -> bool) {
        let question = || Ask {
            method: &Method::GET,
            path: "/v1/workloads",
            machine: None,
            body: None,
        };
        let waiting = async {
            while !ask::<WorkloadsReport>(self.folder.path(), question())
                .await
                .is_ok_and(|report| holds(&report))
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting)
            .await
            .expect(what);
    }

    /// What the program of the slot in use says.
    fn printed(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("workloads/app/out.log")).unwrap_or_default()
    }
}

fn begin(data: &Path, door: &Door, shutdown: &Shutdown) -> oneshot::Receiver<Result<(), MachineError>> {
    let mut options = Options::new(door.url().parse().unwrap(), "probe", "host");
    options.workloads.keeper = env!("CARGO_BIN_EXE_muster-machine").into();
    options.workloads.systemd = None;
    options.state.debounce_ms = 20;
    let metal = MetalSource::fresh(|| Box::new(LinuxMachine::new(LinuxRoots::default())));
    let (directory, asked) = (data.to_owned(), shutdown.clone());
    let (told, running) = oneshot::channel();
    Tasks::new(shutdown.clone()).spawn_small(async move {
        let ended = run(&directory, options, metal, Clock::start(), asked).await;
        let _ = told.send(ended);
    });
    running
}

/// Healthy after two seconds of running.
fn quick(manifest: &mut Manifest) {
    manifest.health = Some(Health {
        checks: vec![HealthCheck::Process],
        hold_s: 2,
        within_s: 20,
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_is_replaced_and_counts_only_when_it_runs_and_is_well() {
    let mut bench = Bench::start().await;
    bench.release("1.0.0", 1, &steady("one"), quick).await;
    let first = bench.until_phase(UpdatePhase::Confirmed).await;
    let running = first.running.unwrap();
    assert_eq!(
        (running.release.version.as_str(), running.confirmed),
        ("1.0.0", true)
    );
    assert!(running.start >= 1 && running.started_at.is_some(), "{running:?}");
    assert!(bench.printed().contains("one"), "{}", bench.printed());

    bench.release("1.1.0", 2, &steady("two"), quick).await;
    let second = bench.until_phase(UpdatePhase::Confirmed).await;
    let now = second.running.unwrap();
    assert_eq!((now.release.version.as_str(), now.confirmed), ("1.1.0", true));
    assert!(now.start > running.start, "a start is the proof");
    assert_eq!(second.other.unwrap().version, "1.0.0");
    assert!(bench.printed().contains("two"), "{}", bench.printed());

    // What ended stays ended over a restart of the runtime, and the program ran on.
    bench.restart().await;
    let after = bench.until_phase(UpdatePhase::Confirmed).await;
    assert_eq!(after.running.unwrap().start, now.start);
    bench.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_18_a_poisoned_release_is_taken_back_after_three_starts() {
    let mut bench = Bench::start().await;
    bench.release("1.0.0", 1, &steady("one"), quick).await;
    let good = bench.until_phase(UpdatePhase::Confirmed).await;
    bench.release("1.1.0", 2, DIES, quick).await;
    let bad = bench.until_phase(UpdatePhase::RolledBack).await;
    let why = bad.update.unwrap().why;
    let running = bad.running.unwrap();
    assert_eq!(
        (running.release.version.as_str(), running.confirmed),
        ("1.0.0", true),
        "{why:?}"
    );
    let starts = running.start - good.running.unwrap().start;
    println!("figure row 18 starts of the poisoned version and of the one before: {starts}");
    // Three of the poisoned one at most, and one of what was before.
    assert!((2..=4).contains(&starts), "{starts}: {why:?}");
    bench
        .until_workloads("the version before runs", |report| {
            report
                .workloads
                .iter()
                .any(|workload| workload.phase.as_str() == "running")
        })
        .await;
    bench.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_waits_for_its_preconditions_in_words() {
    let mut bench = Bench::start().await;
    bench
        .release("1.0.0", 1, &steady("one"), |manifest| {
            quick(manifest);
            manifest.preconditions = vec![Precondition {
                reading: "battery_percent".to_owned(),
                test: Test::AtLeast(40),
            }];
        })
        .await;
    let waiting = bench.until_phase(UpdatePhase::Waiting).await;
    // This computer has no battery that its tests may read, or one that is full enough.
    assert_eq!(
        waiting.update.unwrap().why,
        ["battery is unknown, and must be 40 % or more"]
    );
    assert_eq!(waiting.running, None);
    bench.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_run_in_the_release_and_one_that_fails_after_the_change_takes_it_back() {
    let mut bench = Bench::start().await;
    let note = bench.folder.path().join("note");
    let hook = |word: &str| Hook {
        command: vec![
            "/bin/sh".to_owned(),
            "-c".to_owned(),
            format!("echo {word} $MUSTER_VERSION $(pwd) >> {}", note.display()),
        ],
        within_s: 5,
    };
    let (before, after) = (hook("before"), hook("after"));
    bench
        .release("1.0.0", 1, &steady("one"), |manifest| {
            quick(manifest);
            manifest.hooks.before = vec![before];
            manifest.hooks.after = vec![after];
        })
        .await;
    bench.until_phase(UpdatePhase::Confirmed).await;
    let noted = std::fs::read_to_string(&note).unwrap();
    let words: Vec<&str> = noted
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(words, ["before", "after"], "{noted}");
    assert!(
        noted
            .lines()
            .all(|line| line.contains("1.0.0") && line.ends_with("slots/car-app/a")),
        "{noted}"
    );
    bench
        .release("1.1.0", 2, &steady("two"), |manifest| {
            quick(manifest);
            manifest.hooks.after = vec![Hook {
                command: vec![
                    "/bin/sh".to_owned(),
                    "-c".to_owned(),
                    "echo no database; exit 1".to_owned(),
                ],
                within_s: 5,
            }];
        })
        .await;
    let back = bench.until_phase(UpdatePhase::RolledBack).await;
    assert!(back.update.unwrap().why[0].contains("no database"));
    assert_eq!(back.running.unwrap().release.version, "1.0.0");
    bench.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_for_this_machine_is_refused_before_anything_changes() {
    let mut bench = Bench::start().await;
    bench
        .release("1.0.0", 1, &steady("one"), |manifest| {
            manifest.fits.kinds = vec!["car".to_owned()];
        })
        .await;
    let refused = bench.until_phase(UpdatePhase::Refused).await;
    assert_eq!(
        refused.update.unwrap().why,
        ["it is for machines of kind car, and this is one of kind host"]
    );
    bench
        .release("1.1.0", 2, &steady("one"), |manifest| {
            manifest.hooks.before = vec![Hook {
                command: vec!["no-such-program".to_owned()],
                within_s: 5,
            }];
        })
        .await;
    let refused = bench.until_phase(UpdatePhase::Refused).await;
    assert_eq!(
        refused.update.unwrap().why,
        ["it runs no-such-program, and this machine has no such program"]
    );
    assert!(
        !bench
            .folder
            .path()
            .join("releases/slots/car-app/current")
            .exists()
    );
    bench.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_taken_that_nobody_vouches_for() {
    let mut bench = Bench::start().await;
    // What the fleet assigns is not what was signed.
    let (_, bytes) = bench.publisher.release("1.0.0", 1, &steady("one"), quick);
    bench.assign("1.0.0", &"0f".repeat(32), bytes, Act::Install).await;
    let refused = bench.until_phase(UpdatePhase::Refused).await;
    assert!(refused.update.unwrap().why[0].contains("is not the one which is vouched for"));
    // A release in the folder that nobody signed: it may be signed later, until then it is only asked for.
    let (digest, bytes) = bench.publisher.unsigned("1.1.0", 2, &steady("two"));
    bench.assign("1.1.0", &digest, bytes, Act::Install).await;
    let fetching = bench
        .until("it says why", |product| {
            product
                .update
                .as_ref()
                .is_some_and(|update| update.version == "1.1.0" && !update.why.is_empty())
        })
        .await;
    let update = fetching.update.unwrap();
    assert_eq!(update.phase, UpdatePhase::Fetching);
    assert!(update.why[0].contains("1.1.0"), "{:?}", update.why);
    assert_eq!(fetching.running, None);
    bench.clear().await;

    let mut rootless = Bench::start_with(Publisher::new(), false).await;
    rootless.release("1.0.0", 1, &steady("one"), quick).await;
    let refused = rootless.until_phase(UpdatePhase::Refused).await;
    assert!(refused.update.unwrap().why[0].starts_with("this machine has no root of trust"));
    rootless.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_content_that_was_changed_on_the_way_is_never_kept() {
    let mut bench = Bench::start().await;
    bench.door.spoil(true);
    bench.release("1.0.0", 1, &steady("one"), quick).await;
    let fetching = bench
        .until("it says why", |product| {
            product
                .update
                .as_ref()
                .is_some_and(|update| !update.why.is_empty())
        })
        .await;
    let why = fetching.update.unwrap().why;
    assert!(why[0].contains("is not what its name says"), "{why:?}");
    let blobs = std::fs::read_dir(bench.folder.path().join("releases/blobs")).unwrap();
    let kept: Vec<_> = blobs
        .flatten()
        .map(|entry| std::fs::read(entry.path()).unwrap_or_default())
        .collect();
    assert!(kept.iter().all(|content| !content.starts_with(b"spoiled")));
    // When it comes right, it goes on by itself.
    bench.door.spoil(false);
    bench.until_phase(UpdatePhase::Confirmed).await;
    bench.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_version_before_comes_back_when_it_is_asked_for_and_a_stop_holds_updates() {
    let mut bench = Bench::start().await;
    bench.release("1.0.0", 1, &steady("one"), quick).await;
    bench.until_phase(UpdatePhase::Confirmed).await;
    bench.release("1.1.0", 2, &steady("two"), quick).await;
    let second = bench.until_phase(UpdatePhase::Confirmed).await;
    let left = second.running.unwrap().release;
    bench
        .assign("1.1.0", left.manifest.as_str(), 1, Act::GoBack)
        .await;
    let back = bench.until_phase(UpdatePhase::RolledBack).await;
    assert_eq!(back.running.unwrap().release.version, "1.0.0");

    bench.desired.stopped = Some("a bad release is out".to_owned());
    bench.release("1.2.0", 3, &steady("three"), quick).await;
    let held = bench
        .until("it is held", |product| {
            product
                .update
                .as_ref()
                .is_some_and(|update| update.version == "1.2.0")
        })
        .await;
    assert_eq!(
        held.update.unwrap().why,
        ["all updates are stopped: a bad release is out"]
    );
    let report: UpdatesReport = UpdatesReport::clone(state(&bench.server).updates.as_ref().unwrap());
    assert!(report.stopped, "confirmed by the machine");
    bench.desired.stopped = None;
    bench.tell().await;
    bench
        .until("it goes on", |product| {
            product
                .running
                .as_ref()
                .is_some_and(|running| running.release.version == "1.2.0" && running.confirmed)
        })
        .await;
    bench.clear().await;
}
