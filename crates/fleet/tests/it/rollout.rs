//! Rollouts with a real server, its log on a disk, and machines that speak the link by hand: also when the server is killed in the midst.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::SinkExt;
use muster_fleet::Server;
use muster_fleet::releases::Releases;
use muster_fleet::rollout::{Rollouts, Wish, stopping};
use muster_fleet::state::Fleet;
use muster_model::rollout::{RolloutAct, RolloutId, RolloutSpec, RolloutState};
use muster_model::{MachineId, Timestamp};
use muster_release::manifest::{Entry, FORMAT, FileContent, Fits, Hooks, Payload, Started, What};
use muster_release::{Manifest, Sha256Digest};
use muster_runtime::{Clock, Shutdown};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{self, Machine, PATIENCE, Site, hear, id, until};

const DATA: &str = "MUSTER_TEST_ROLLOUT_DATA";
const MACHINES: u32 = 4;
const KILLS: u32 = 4;

const PROGRAM: &[u8] = b"#!/bin/sh\nexec sleep 600\n";

/// A program for cars.
fn manifest() -> Manifest {
    let program = FileContent {
        executable: true,
        length: PROGRAM.len() as u64,
        sha256: Sha256Digest::of(PROGRAM),
    };
    Manifest {
        counter: 2,
        entries: vec![Entry {
            path: "app".to_owned(),
            what: What::File(program),
        }],
        fits: Fits {
            architectures: Vec::new(),
            kinds: vec!["car".to_owned()],
        },
        format: FORMAT,
        health: None,
        hooks: Hooks::default(),
        payload: Payload::Executable(Started {
            entry: "app".to_owned(),
        }),
        preconditions: Vec::new(),
        product: "car-app".to_owned(),
        version: "2.0.0".parse().unwrap(),
    }
}

/// As somebody publishes it; one that is there stays.
async fn publish(releases: &Releases) {
    let piece = Ok::<_, std::convert::Infallible>(bytes::Bytes::from_static(PROGRAM));
    let content = futures_util::stream::iter([piece]);
    releases
        .take(Sha256Digest::of(PROGRAM), PROGRAM.len() as u64, content)
        .await
        .unwrap();
    let bytes = manifest().encode().unwrap();
    let now = Timestamp::from_millis(0);
    releases
        .publish(("car-app", "2.0.0"), bytes, "local", now)
        .await
        .unwrap();
}

fn spec() -> RolloutSpec {
    let spec = json!({
        "product": "car-app", "version": "2.0.0",
        "strategy": { "rolling": { "batch": { "machines": 2 } } },
        "pace": { "parallel_max": 1 }, "gates": { "soak_s": 0 }, "failure": { "percent": 100, "then": "pause" },
    });
    serde_json::from_value(spec).unwrap()
}

async fn planned(rollouts: &Rollouts, fleet: &Fleet) -> RolloutId {
    let wish = Wish {
        spec: spec(),
        machines: fleet.views(),
        by: "local".to_owned(),
        reason: "new brakes".to_owned(),
    };
    rollouts.create(wish).await.unwrap().0
}

async fn begin(rollouts: &Rollouts, id: &RolloutId) {
    for act in [RolloutAct::Approve, RolloutAct::Start { at: None }] {
        rollouts
            .act(id, act, "local".to_owned(), "it is time".to_owned())
            .await
            .unwrap();
    }
}

async fn becomes(rollouts: &Rollouts, id: &RolloutId, state: RolloutState) {
    until(state.as_str(), || async {
        (rollouts.summary(id)?.state == state).then_some(())
    })
    .await;
}

/// A car that outlives its connections.
struct Car {
    number: u32,
    record: u64,
    acked: u64,
    taken: u64,
    running: (String, u64, u64),
    phase: &'static str,
    installs: BTreeMap<u64, u32>,
    stopped: bool,
}

impl Car {
    fn new(number: u32) -> Self {
        Self {
            number,
            record: 0,
            acked: 0,
            taken: 0,
            running: ("a".repeat(64), 1, 7),
            phase: "idle",
            installs: BTreeMap::new(),
            stopped: false,
        }
    }

    fn state(&self) -> Value {
        let (manifest, counter, start) = &self.running;
        let running = json!({
            "version": format!("{counter}.0.0"), "counter": counter, "manifest": manifest, "confirmed": true, "start": start,
        });
        let mut product = json!({ "product": "car-app", "running": running });
        if self.taken > 0 {
            product["update"] = json!({
                "number": self.taken, "version": "2.0.0", "manifest": "b".repeat(64), "phase": self.phase,
                "fetched_bytes": 0, "to_fetch_bytes": 0, "since": "2026-01-01T00:00:00.000Z",
            });
        }
        json!({ "full": {
            "identity": { "name": format!("car {}", self.number), "kind": "car" },
            "updates": { "stopped": self.stopped, "products": [product] },
        } })
    }

    /// Takes up what it is told.
    fn hear(&mut self, desired: &Value) {
        let section = &desired["document"]["release"]["content"];
        self.stopped = section["stopped"].is_string();
        let assignment = &section["products"]["car-app"];
        let number = assignment["number"].as_u64().unwrap_or(0);
        if number <= self.taken || self.stopped {
            return;
        }
        self.taken = number;
        *self.installs.entry(number).or_default() += 1;
        self.running.2 += 1;
        if assignment["act"] == "go_back" {
            (self.running.0, self.running.1) = ("a".repeat(64), 1);
            self.phase = "rolled_back";
        } else {
            (self.running.0, self.running.1) = (assignment["manifest"].as_str().unwrap().to_owned(), 2);
            self.phase = "confirmed";
        }
    }

    /// Does as it is told until the connection ends.
    async fn drive(&mut self, address: SocketAddr, connected: &AtomicU32) {
        let mut machine = Machine::come_back(address, &id(self.number), self.acked, self.record).await;
        connected.fetch_add(1, Ordering::Relaxed);
        self.acked = machine.acked;
        // What is not acknowledged comes again, under its number: it is the state anyway.
        machine.record = machine.acked;
        machine.say("state", self.state()).await;
        self.record = machine.record;
        while let Ok(message) = hear(&mut machine.socket).await {
            match message["type"].as_str() {
                Some("desired") => {
                    self.hear(&message["payload"]);
                    tokio::time::sleep(Duration::from_millis(60)).await;
                    let report = self.state();
                    let message = machine.message("state", true, report);
                    self.record = machine.record;
                    let text = message.to_string().into();
                    if machine
                        .socket
                        .send(tokio_tungstenite::tungstenite::Message::Text(text))
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
                Some("ack") => {
                    self.acked = self.acked.max(message["payload"]["record"].as_u64().unwrap_or(0));
                }
                _ => {}
            }
        }
    }
}

/// Has cars do as they are told. Comes back when all of them are connected.
async fn drive_all(cars: Vec<Car>, address: SocketAddr) -> JoinSet<Car> {
    let (all, connected) = (cars.len() as u32, Arc::new(AtomicU32::new(0)));
    let mut driven = JoinSet::new();
    for mut car in cars {
        let connected = connected.clone();
        driven.spawn(async move {
            car.drive(address, &connected).await;
            car
        });
    }
    until("all are connected", || async {
        (connected.load(Ordering::Relaxed) == all).then_some(())
    })
    .await;
    driven
}

async fn present(fleet: &Fleet, machines: u32) {
    until("all are there", || async {
        let there = fleet
            .views()
            .iter()
            .filter(|view| view.reported.updates.is_some())
            .count();
        (there == machines as usize).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_get_it_one_after_the_other_and_go_back_when_asked() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    publish(&site.releases).await;
    let driven = drive_all((1..=3).map(Car::new).collect(), site.address).await;
    present(&site.fleet, 3).await;

    let rollout = planned(&site.rollouts, &site.fleet).await;
    let plan = site.rollouts.get(&rollout).await.unwrap();
    assert_eq!((plan.phases.len(), plan.machines.len()), (2, 3));
    begin(&site.rollouts, &rollout).await;
    becomes(&site.rollouts, &rollout, RolloutState::Succeeded).await;
    let summary = site.rollouts.summary(&rollout).unwrap();
    assert_eq!(summary.counts.succeeded, 3);
    let view = site.fleet.view(id(1).parse().unwrap()).unwrap();
    let section = &view.desired.as_ref().unwrap().sections["release"];
    assert_eq!(section.issuer, format!("rollout {rollout}"));

    // Over, and still there to go back.
    let back = RolloutAct::RollBack { phase: None };
    let asked = site
        .rollouts
        .act(&rollout, back, "local".to_owned(), "it smokes".to_owned());
    asked.await.unwrap();
    becomes(&site.rollouts, &rollout, RolloutState::RolledBack).await;
    until("it is noted as over", || async {
        site.rollouts.summary(&rollout)?.is_over.then_some(())
    })
    .await;
    let folded = site.rollouts.get(&rollout).await.unwrap();
    assert_eq!(folded.counts().rolled_back, 3);
    assert_eq!(folded.decisions.len(), 3);
    site.stop().await.unwrap();
    for car in driven.join_all().await {
        assert!(car.installs.values().all(|times| *times == 1));
        assert_eq!(car.installs.len(), 2);
    }
    // After a restart it stands as it stood, without being folded.
    let site = Site::start(data.path()).await;
    assert_eq!(
        site.rollouts.summary(&rollout).unwrap().state,
        RolloutState::RolledBack
    );
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_updates_stop_and_each_machine_confirms_it() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    publish(&site.releases).await;
    let driven = drive_all((1..=3).map(Car::new).collect(), site.address).await;
    present(&site.fleet, 3).await;
    let machines: Vec<MachineId> = site.fleet.views().iter().map(|view| view.id).collect();
    let by = ("local", "smoke");
    let told = stopping::stop(&site.fleet, &machines, Some("smoke"), by).await;
    assert!(told.iter().all(|(_, result)| result.is_ok()));
    let all = |is_confirmed: bool| {
        let fleet = site.fleet.clone();
        let machines = machines.clone();
        move || {
            let views: Vec<_> = machines
                .iter()
                .filter_map(|machine| fleet.view(*machine))
                .collect();
            let so = views
                .iter()
                .all(|view| stopping::standing(view).is_confirmed == is_confirmed);
            async move { so.then_some(()) }
        }
    };
    until("all confirm it", all(true)).await;

    // A rollout offers them nothing, and says why.
    let rollout = planned(&site.rollouts, &site.fleet).await;
    begin(&site.rollouts, &rollout).await;
    until("they are blocked", || async {
        (site.rollouts.summary(&rollout)?.counts.blocked == 2).then_some(())
    })
    .await;
    let progress = site.rollouts.get(&rollout).await.unwrap();
    let blocked = progress
        .machines
        .values()
        .find(|progress| !progress.why.is_empty());
    assert_eq!(blocked.unwrap().why, ["all updates are stopped: smoke"]);
    stopping::stop(&site.fleet, &machines, None, by).await;
    until("all go on", all(false)).await;
    becomes(&site.rollouts, &rollout, RolloutState::Succeeded).await;
    site.stop().await.unwrap();
    driven.join_all().await;
}

/// The server of the test below, in a process of its own that can be killed. It goes on with what its log has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve() {
    let Some(data) = std::env::var_os(DATA) else {
        return;
    };
    let server = Server::start(harness::options(data.as_ref()), Clock::start(), Shutdown::new())
        .await
        .unwrap();
    let (fleet, rollouts, releases): (Fleet, Rollouts, Releases) = (
        server.fleet().clone(),
        server.rollouts().clone(),
        server.releases().clone(),
    );
    publish(&releases).await;
    println!("\nADDRESS {}", server.address());
    let watched = async move {
        if rollouts.all().is_empty() {
            present(&fleet, MACHINES).await;
            planned(&rollouts, &fleet).await;
        }
        let (id, _) = rollouts.all().remove(0);
        for act in [RolloutAct::Approve, RolloutAct::Start { at: None }] {
            // Of one that was begun before the server was killed, this is refused.
            let acted = rollouts.act(&id, act, "local".to_owned(), "it is time".to_owned());
            let _ = acted.await;
        }
        becomes(&rollouts, &id, RolloutState::Succeeded).await;
        println!("\nSUCCEEDED {}", rollouts.summary(&id).unwrap().counts.succeeded);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        result = server.run() => result.unwrap(),
        () = watched => {}
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_goes_on_and_installs_nothing_twice() {
    let data = tempfile::tempdir().unwrap();
    let mut cars: Vec<Car> = (1..=MACHINES).map(Car::new).collect();
    let mut succeeded = None;
    for round in 0..=KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["rollout::serve", "--exact", "--nocapture"])
            .env(DATA, data.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let killed = Killed(child);
        let address = lines.find(|line| line.starts_with("ADDRESS ")).unwrap();
        let address: SocketAddr = address["ADDRESS ".len()..].parse().unwrap();
        let driven = drive_all(std::mem::take(&mut cars), address).await;
        if round < KILLS {
            // Somewhere in the midst: a place takes some 300 ms.
            tokio::time::sleep(Duration::from_millis(u64::from(100 + 170 * round))).await;
        } else {
            let end = tokio::task::spawn_blocking(move || lines.find(|line| line.starts_with("SUCCEEDED ")));
            let end = tokio::time::timeout(PATIENCE, end)
                .await
                .expect("it ends")
                .unwrap();
            succeeded = end.map(|line| line["SUCCEEDED ".len()..].to_owned());
        }
        drop(killed);
        cars = driven.join_all().await;
    }
    assert_eq!(succeeded.as_deref(), Some("4"));
    for car in &cars {
        assert_eq!(car.running.1, 2);
        assert_eq!(car.installs.len(), 1, "assigned once: {:?}", car.installs);
        assert!(car.installs.values().all(|times| *times == 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_plan_carry_out_and_ask_why_by_the_api() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let post = async |path: &str, body: Value| {
        let request = site.request("POST", &format!("/api/v1{path}")).json(&body);
        harness::answer(request).await
    };
    let asked = json!({ "spec": serde_json::to_value(spec()).unwrap(), "reason": "new brakes" });
    let (status, said) = post("/rollouts/plan", asked.clone()).await;
    assert_eq!((status, &said["code"]), (422, &json!("MST-A002")), "{said}");
    assert!(
        said["detail"]
            .as_str()
            .unwrap()
            .contains("there is no release car-app 2.0.0")
    );
    publish(&site.releases).await;
    let driven = drive_all((1..=3).map(Car::new).collect(), site.address).await;
    present(&site.fleet, 3).await;

    let (status, plan) = post("/rollouts/plan", asked.clone()).await;
    assert_eq!(status, 200, "{plan}");
    assert_eq!(
        (&plan["machines"], &plan["bytes"]),
        (&json!(3), &json!(3 * PROGRAM.len()))
    );
    assert_eq!(plan["phases"][0]["machines"][0]["name"], "car 1");
    assert_eq!(site.get("/api/v1/rollouts").await["items"], json!([]));
    let mut wrong = asked.clone();
    wrong["spec"]["pace"]["parallel_max"] = json!(0);
    let (status, said) = post("/rollouts", wrong).await;
    assert_eq!(status, 422, "{said}");
    assert!(
        said["detail"]
            .as_str()
            .unwrap()
            .contains("pace.parallel_max: 0: 1 to 10000 are accepted")
    );

    let (status, made) = post("/rollouts", asked).await;
    assert_eq!(status, 201, "{made}");
    let rollout = made["summary"]["id"].as_str().unwrap().to_owned();
    assert_eq!(made["summary"]["state"], "planned");
    let decide = async |act: &str, more: Value| {
        let mut body = json!({ "reason": "it is time" });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        post(&format!("/rollouts/{rollout}/{act}"), body).await
    };
    let (status, said) = decide("start", json!({})).await;
    assert_eq!((status, &said["code"]), (409, &json!("MST-A048")), "{said}");
    let (status, said) = decide("approve", json!({ "at": "2030-01-01T00:00:00.000Z" })).await;
    assert_eq!(status, 422, "{said}");
    assert_eq!(decide("approve", json!({})).await.0, 200);
    assert_eq!(decide("skip", json!({ "machines": [id(3)] })).await.0, 200);
    assert_eq!(decide("start", json!({})).await.0, 200);
    let shown = until("it succeeds", || async {
        let shown = site.get(&format!("/api/v1/rollouts/{rollout}")).await;
        (shown["summary"]["state"] == "succeeded").then_some(shown)
    })
    .await;
    assert_eq!(shown["summary"]["counts"]["succeeded"], 2);
    assert_eq!(shown["decisions"][0]["act"], "approve");
    let skipped = site
        .get(&format!("/api/v1/rollouts/{rollout}/machines?stage=skipped"))
        .await;
    assert_eq!(skipped["items"][0]["why"], json!(["local: it is time"]));
    let pages = site
        .all(&format!("/api/v1/rollouts/{rollout}/machines?limit=1"))
        .await;
    assert_eq!(pages.len(), 3);
    let lines = site
        .get(&format!("/api/v1/rollouts/{rollout}/history?machine={}", id(3)))
        .await;
    let lines = lines["items"].to_string();
    assert!(lines.contains("local approved the plan: it is time"), "{lines}");
    assert!(
        lines.contains("local skipped this machine: it is time"),
        "{lines}"
    );
    assert_eq!(site.ask("/api/v1/rollouts/nothing").await.0, 404);

    let (status, told) = post("/updates/stop", json!({ "all": true, "reason": "smoke" })).await;
    assert_eq!((status, &told["told"]), (202, &json!(3)), "{told}");
    until("all confirm it", || async {
        let standing = site.get("/api/v1/updates/stop").await;
        (standing["confirmed"] == 3).then_some(())
    })
    .await;
    let (status, _) = post("/updates/resume", json!({ "all": true, "reason": "no smoke" })).await;
    assert_eq!(status, 202);
    let audit = site.get("/api/v1/audit?action=rollouts.start").await;
    assert_eq!(audit["items"][0]["reason"], "it is time", "{audit}");
    site.stop().await.unwrap();
    driven.join_all().await;
}
