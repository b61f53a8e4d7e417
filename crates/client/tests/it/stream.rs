//! The live stream: what it tells, and how it heals.

use std::sync::Arc;
use std::time::Duration;

use muster_client::test_server::{Fleet, Step, TestServer, frame, machine_id, problem, start};
use muster_client::{Backoff, Client, ClientOptions, LiveEvent, LiveStream, Subscription};
use muster_model::{LogPosition, Severity};
use muster_protocol::live::{Batch, Item, Strategy};

fn batch(position: u64, topic: &str) -> Batch {
    Batch {
        id: "sse".into(),
        position: LogPosition(position),
        server_time: start(),
        items: vec![Item {
            topic: topic.into(),
            data: Arc::from(serde_json::value::RawValue::from_string(r#"{"a":1}"#.into()).unwrap()),
        }],
        more: false,
    }
}

fn options() -> ClientOptions {
    ClientOptions {
        backoff: Backoff {
            least: Duration::from_millis(1),
            most: Duration::from_millis(5),
        },
        ..ClientOptions::default()
    }
}

fn subscription() -> Subscription {
    Subscription {
        topics: vec![
            "machine.*.state".parse().unwrap(),
            "fleet.summary".parse().unwrap(),
        ],
        ..Subscription::default()
    }
}

async fn started() -> (TestServer, LiveStream) {
    let server = TestServer::start(Fleet::of(0)).await.unwrap();
    let client = Client::new(server.address(), options()).unwrap();
    let stream = client.stream(subscription());
    (server, stream)
}

async fn next(stream: &mut LiveStream) -> LiveEvent {
    let event = tokio::time::timeout(Duration::from_secs(10), stream.next()).await;
    event.expect("in time").expect("not over").expect("no error")
}

async fn connected(stream: &mut LiveStream, after: Option<u64>) {
    match next(stream).await {
        LiveEvent::Connected { resumed_after } => assert_eq!(resumed_after, after.map(LogPosition)),
        other => panic!("not connected: {other:?}"),
    }
}

async fn disconnected(stream: &mut LiveStream) -> String {
    match next(stream).await {
        LiveEvent::Disconnected { reason, .. } => reason.to_string(),
        other => panic!("not disconnected: {other:?}"),
    }
}

async fn update(stream: &mut LiveStream) -> u64 {
    match next(stream).await {
        LiveEvent::Update(batch) => batch.position.0,
        other => panic!("no update: {other:?}"),
    }
}

#[tokio::test]
async fn a_cut_stream_goes_on_where_it_was() {
    let (server, mut stream) = started().await;
    server.fleet().greeting = frame("snapshot", &batch(5, "fleet.summary"));
    connected(&mut stream, None).await;
    assert!(matches!(next(&mut stream).await, LiveEvent::Snapshot(first) if first.position.0 == 5));
    server.push(Step::Send(frame("update", &batch(8, "machine.x.state"))));
    assert_eq!(update(&mut stream).await, 8);

    server.fleet().greeting = String::new();
    server.push(Step::Cut);
    assert!(disconnected(&mut stream).await.contains("the server closed it"));
    connected(&mut stream, Some(8)).await;
    server.push(Step::Send(frame("update", &batch(9, "machine.x.state"))));
    assert_eq!(update(&mut stream).await, 9);

    let received = server.received();
    let topics = "/api/v1/stream?topics=machine.*.state%2Cfleet.summary";
    assert_eq!(received[0].target, topics);
    assert_eq!(received[0].last_event_id, None);
    assert_eq!(received[1].target, format!("{topics}&resume_after=8"));
    assert_eq!(received[1].last_event_id.as_deref(), Some("8"));
    assert_eq!(stream.position(), Some(LogPosition(9)));
}

#[tokio::test]
async fn everything_that_is_wanted_is_asked_for() {
    let server = TestServer::start(Fleet::of(0)).await.unwrap();
    let client = Client::new(server.address(), options()).unwrap();
    let mut stream = client.stream(Subscription {
        topics: vec!["machine.*.event.>".parse().unwrap()],
        machines: vec![machine_id(0), machine_id(1)],
        kinds: vec!["car".into()],
        severity: Some(Severity::Warning),
        rate_per_s: Some(2.5),
        strategy: Some(Strategy::Sample),
        resume_after: Some(LogPosition(3)),
    });
    connected(&mut stream, Some(3)).await;
    let (a, b) = (machine_id(0), machine_id(1));
    assert_eq!(
        server.targets(),
        [format!(
            "/api/v1/stream?topics=machine.*.event.%3E&machines={a}%2C{b}&kinds=car&severity=warning&rate=2.5\
             &strategy=sample&resume_after=3"
        )]
    );
}

#[tokio::test]
async fn who_reads_too_slowly_gets_what_was_missed() {
    let (server, mut stream) = started().await;
    connected(&mut stream, None).await;
    server.push(Step::Send(frame("update", &batch(40, "machine.x.state"))));
    assert_eq!(update(&mut stream).await, 40);
    let lagged = "event: lagged\ndata: {\"id\":\"sse\",\"dropped\":12,\"resume_after\":33}\n\n";
    server.push(Step::Send(lagged.into()));
    assert!(matches!(
        next(&mut stream).await,
        LiveEvent::Lagged {
            dropped: 12,
            is_asked_again: true
        }
    ));
    connected(&mut stream, Some(33)).await;
}

#[tokio::test]
async fn who_was_away_for_too_long_is_told_and_goes_on() {
    let (server, mut stream) = started().await;
    let lagged =
        "event: lagged\ndata: {\"type\":\"lagged\",\"id\":\"stream\",\"dropped\":7,\"resume_after\":90}\n\n";
    let snapshot = frame("snapshot", &batch(90, "machine.x.state"));
    server.fleet().greeting = format!("{lagged}{snapshot}");
    connected(&mut stream, None).await;
    let told = next(&mut stream).await;
    assert!(
        matches!(
            told,
            LiveEvent::Lagged {
                dropped: 7,
                is_asked_again: false
            }
        ),
        "{told:?}"
    );
    assert!(matches!(next(&mut stream).await, LiveEvent::Snapshot(batch) if batch.position.0 == 90));
    assert_eq!(server.targets().len(), 1);
}

#[tokio::test]
async fn problems_and_unknown_events_do_not_end_the_stream() {
    let (server, mut stream) = started().await;
    connected(&mut stream, None).await;
    let refused = serde_json::to_string(&problem(403, "MST-A403", "not yours")).unwrap();
    server.push(Step::Send(format!(
        "event: error\ndata: {{\"id\":null,\"problem\":{refused}}}\n\n"
    )));
    server.push(Step::Send("event: newer\ndata: 1\n\n".into()));
    server.push(Step::Send(frame("update", &batch(2, "machine.x.state"))));
    assert!(matches!(next(&mut stream).await, LiveEvent::Problem(problem) if problem.code == "MST-A403"));
    assert_eq!(update(&mut stream).await, 2);
}

#[tokio::test]
async fn what_cannot_be_read_is_a_broken_connection() {
    let (server, mut stream) = started().await;
    connected(&mut stream, None).await;
    server.push(Step::Send("event: update\ndata: nonsense\n\n".into()));
    let reason = disconnected(&mut stream).await;
    assert!(reason.contains("live stream"), "{reason}");
    connected(&mut stream, None).await;
}

#[tokio::test]
async fn a_busy_server_is_tried_again_and_a_refusal_is_final() {
    let (server, mut stream) = started().await;
    server.refuse_next(problem(503, "MST-A503", "draining"));
    assert_eq!(disconnected(&mut stream).await, "draining");
    server.refuse_next(problem(400, "MST-A001", "no such topic"));
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!(error.code(), "MST-A001");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_silent_connection_counts_as_lost() {
    let server = TestServer::start(Fleet::of(0)).await.unwrap();
    let client = Client::new(
        server.address(),
        ClientOptions {
            idle_timeout: Duration::from_millis(30),
            ..options()
        },
    )
    .unwrap();
    let mut stream = client.stream(subscription());
    connected(&mut stream, None).await;
    let reason = disconnected(&mut stream).await;
    assert!(reason.contains("nothing was heard for 0.03 s"), "{reason}");
}

#[tokio::test]
async fn a_caller_that_looks_away_loses_nothing() {
    let (server, mut stream) = started().await;
    server.fleet().greeting = frame("snapshot", &batch(5, "fleet.summary"));
    let mut told = Vec::new();
    while told.len() < 2 {
        // Each time only a moment: the future is dropped half-way again and again.
        if let Ok(Some(event)) = tokio::time::timeout(Duration::from_micros(50), stream.next()).await {
            told.push(event.unwrap());
        }
    }
    assert!(matches!(told[0], LiveEvent::Connected { .. }));
    assert!(matches!(told[1], LiveEvent::Snapshot(_)));
    assert_eq!(server.targets().len(), 1);
}

#[tokio::test]
async fn a_server_that_is_away_is_waited_for() {
    let (server, mut stream) = started().await;
    drop(server);
    for _ in 0..3 {
        assert!(disconnected(&mut stream).await.contains("no server answers"));
    }
}
