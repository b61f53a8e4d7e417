//! Watched services on a whole machine: real processes, and a small server that speaks rosbridge.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::Method;
use muster_machine::local::client::{Ask, LocalError, ask};
use muster_machine::{MetalSource, Options, run};
use muster_metal::{LinuxMachine, LinuxRoots};
use muster_model::service::{ServiceState, Services, WatchedService};
use muster_runtime::{Clock, Shutdown, Tasks};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message;

use crate::server::{Manner, Server};
use crate::uplink::{events, state};

/// A rosbridge with these nodes; it babbles before it answers.
async fn rosbridge(tasks: &Tasks) -> (String, Arc<Mutex<Vec<&'static str>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("ws://{}", listener.local_addr().unwrap());
    let nodes: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let shared = nodes.clone();
    tasks.spawn_small(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            let Some(Ok(Message::Text(text))) = socket.next().await else {
                continue;
            };
            let asked: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(
                (&asked["op"], &asked["service"]),
                (&"call_service".into(), &"/rosapi/nodes".into())
            );
            let babble = serde_json::json!({ "op": "publish", "topic": "/rosout", "msg": {} });
            let answer = serde_json::json!({
                "op": "service_response", "id": asked["id"], "service": "/rosapi/nodes",
                "values": { "nodes": *shared.lock() }, "result": true,
            });
            for said in [babble, answer] {
                socket.send(Message::text(said.to_string())).await.unwrap();
            }
            let _ = socket.next().await;
        }
    });
    (address, nodes)
}

async fn until(data: &Path, what: &str, holds: impl Fn(&Services) -> bool) -> Services {
    let waiting = async {
        loop {
            let question = Ask {
                method: &Method::GET,
                path: "/v1/services",
                machine: None,
                body: None,
            };
            let services: Result<Services, LocalError> = ask(data, question).await;
            if let Ok(services) = services
                && holds(&services)
            {
                return services;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .unwrap_or_else(|_| panic!("{what}"))
}

fn is(services: &Services, name: &str, state: ServiceState) -> bool {
    services
        .services
        .iter()
        .any(|service| service.name == name && service.state == state)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_units_and_nodes_are_watched_and_what_changes_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let tasks = Tasks::new(Shutdown::new());
    let (address, nodes) = rosbridge(&tasks).await;
    nodes.lock().push("/camera");
    let server = Server::start(Manner::Polite).await;
    let mut options = Options::new(server.url().parse().unwrap(), "probe", "host");
    options.state.debounce_ms = 20;
    options.watch.interval_s = 1;
    options.watch.rosbridge = address;
    // A systemd that does not run.
    options.watch_places.systemd = directory.path().join("no-systemd");
    let pidfile = directory.path().join("sleep.pid");
    let watched = [
        (
            "camera",
            WatchedService {
                node: Some("/camera".into()),
                required: true,
                ..Default::default()
            },
        ),
        (
            "lidar",
            WatchedService {
                node: Some("/lidar".into()),
                ..Default::default()
            },
        ),
        (
            "unit",
            WatchedService {
                unit: Some("ssh.service".into()),
                ..Default::default()
            },
        ),
        (
            "sleeps",
            WatchedService {
                pidfile: Some(pidfile.display().to_string()),
                ..Default::default()
            },
        ),
    ];
    let watched = watched.map(|(name, service)| (name.parse().unwrap(), service));
    options.watch.services = watched.into_iter().collect();
    let shutdown = Shutdown::new();
    let (told, ended) = oneshot::channel();
    let (data, asked) = (directory.path().to_owned(), shutdown.clone());
    tasks.spawn_small(async move {
        let metal = MetalSource::fresh(|| Box::new(LinuxMachine::new(LinuxRoots::default())));
        let _ = told.send(run(&data, options, metal, Clock::start(), asked).await);
    });

    let data = directory.path();
    let seen = until(data, "the first look", |services| services.services.len() == 4).await;
    assert!(is(&seen, "camera", ServiceState::Running), "{seen:?}");
    assert!(is(&seen, "lidar", ServiceState::Missing), "{seen:?}");
    assert!(is(&seen, "unit", ServiceState::Unknown), "{seen:?}");
    assert!(is(&seen, "sleeps", ServiceState::Missing), "{seen:?}");

    let mut sleeps = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    std::fs::write(&pidfile, sleeps.id().to_string()).unwrap();
    until(data, "the process", |services| {
        is(services, "sleeps", ServiceState::Running)
    })
    .await;
    sleeps.kill().unwrap();
    sleeps.wait().unwrap();
    until(data, "its end", |services| {
        is(services, "sleeps", ServiceState::Failed)
    })
    .await;

    *nodes.lock() = vec!["/lidar"];
    until(data, "the nodes", |services| {
        is(services, "camera", ServiceState::Missing) && is(services, "lidar", ServiceState::Running)
    })
    .await;
    server
        .until("events, the state and the problem", |server| {
            let state = state(server);
            let reported = state
                .services
                .is_some_and(|services| is(&services, "camera", ServiceState::Missing));
            let problem = state.health.is_some_and(|health| {
                health
                    .problems
                    .iter()
                    .any(|problem| problem.kind == "service.missing")
            });
            reported
                && problem
                && events(server, "service.failed") == 1
                && events(server, "service.missing") >= 3
        })
        .await;
    shutdown.request("the test is over");
    tokio::time::timeout(Duration::from_secs(5), ended)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    tasks.shutdown().request("the test is over");
    tasks.finish(Duration::from_secs(1)).await;
}
