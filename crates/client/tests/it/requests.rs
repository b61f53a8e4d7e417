//! Requests and their answers.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_client::test_server::{Fleet, TestServer, event, machine_id, problem, start};
use muster_client::{Client, ClientError, ClientOptions, EventQuery, MachineQuery, Precondition};
use muster_model::Severity;

async fn server(fleet: Fleet) -> (TestServer, Client) {
    let server = TestServer::start(fleet).await.unwrap();
    let client = Client::new(server.address(), ClientOptions::default()).unwrap();
    (server, client)
}

#[tokio::test]
async fn pages_are_followed_to_the_end() {
    let (server, client) = server(Fleet::of(25)).await;
    let page = client
        .machines_all(&MachineQuery::default(), 1_000)
        .await
        .unwrap();
    assert_eq!((page.items.len(), page.total, page.next_cursor), (25, 25, None));
    assert_eq!(page.items[24].id, machine_id(24));
    assert_eq!(
        server.targets(),
        [
            "/api/v1/machines?limit=1000",
            "/api/v1/machines?cursor=10&limit=990",
            "/api/v1/machines?cursor=20&limit=980",
        ]
    );
}

#[tokio::test]
async fn a_limit_ends_the_pages_early() {
    let (server, client) = server(Fleet::of(25)).await;
    let page = client.machines_all(&MachineQuery::default(), 12).await.unwrap();
    assert_eq!(page.items.len(), 12);
    assert_eq!(page.next_cursor.as_deref(), Some("12"));
    assert_eq!(server.targets().len(), 2);
}

#[tokio::test]
async fn queries_are_written_as_the_contract_says() {
    let (server, client) = server(Fleet::of(1)).await;
    let query = MachineQuery {
        filter: Some("kind=car battery<20".into()),
        sort: Some("-battery".into()),
        at: Some(start()),
        ..MachineQuery::default()
    };
    let page = client.machines(&query).await.unwrap();
    assert!(page.past);
    let query = EventQuery {
        severity: Some(Severity::Warning),
        kind: Some("thermal".into()),
        machine: Some(machine_id(0)),
        from: Some(start()),
        ..EventQuery::default()
    };
    client.events(&query).await.unwrap();
    client.machine_events(machine_id(0), &query).await.unwrap();
    let received = server.received();
    assert_eq!(
        received[0].target,
        "/api/v1/machines?filter=kind%3Dcar+battery%3C20&sort=-battery&at=2026-11-21T12%3A00%3A00.000Z"
    );
    let id = machine_id(0);
    assert_eq!(
        received[1].target,
        format!(
            "/api/v1/events?severity=warning&kind=thermal&machine={id}&from=2026-11-21T12%3A00%3A00.000Z"
        )
    );
    assert_eq!(
        received[2].target,
        format!(
            "/api/v1/machines/{id}/events?severity=warning&kind=thermal&from=2026-11-21T12%3A00%3A00.000Z"
        )
    );
    let agent = received[0].user_agent.clone().unwrap();
    assert!(agent.starts_with("muster-client/"), "{agent}");
}

#[tokio::test]
async fn every_document_is_read() {
    let mut fleet = Fleet::of(2);
    fleet.events = vec![event(3, 0, "thermal.high", Severity::Warning, "hot")];
    let (_server, client) = server(fleet).await;
    let id = machine_id(1);
    assert_eq!(client.machine(id, None).await.unwrap().summary.id, id);
    assert_eq!(client.fleet_summary(None).await.unwrap().total, 2);
    assert!(client.fleet_summary(Some(start())).await.unwrap().past);
    assert_eq!(
        client
            .events_all(&EventQuery::default(), 5)
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    assert!(
        client
            .machine_events_all(id, &EventQuery::default(), 5)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    assert!(
        client
            .machine_logs_all(id, &Default::default(), 5)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    assert_eq!(
        client
            .machine_telemetry(id, &Default::default())
            .await
            .unwrap()
            .machine_id,
        id
    );
    assert!(
        client
            .fleet_timeline(&Default::default())
            .await
            .unwrap()
            .buckets
            .is_empty()
    );
}

#[tokio::test]
async fn a_problem_is_kept_whole() {
    let (server, client) = server(Fleet::of(1)).await;
    server.refuse_next(problem(400, "MST-A001", "there is no field \"colour\""));
    let error = client.machines(&MachineQuery::default()).await.unwrap_err();
    assert_eq!(error.code(), "MST-A001");
    assert_eq!(error.problem().unwrap().status, 400);
    assert_eq!(error.to_string(), "there is no field \"colour\"");
    assert!(!error.is_transient());
    let error = client.machine(machine_id(77), None).await.unwrap_err();
    assert!(error.is_not_found());
}

#[tokio::test]
async fn a_change_is_made_only_to_the_version_that_was_seen() {
    let (server, client) = server(Fleet::of(1)).await;
    let id = machine_id(0);
    let labels = BTreeMap::from([("line".to_owned(), "7".to_owned())]);
    let seen = client.labels(id).await.unwrap();
    let etag = seen.etag.unwrap();
    let changed = client
        .put_labels(id, labels.clone(), Precondition::Unchanged(&etag))
        .await
        .unwrap();
    assert_eq!(changed.value.labels, labels);
    assert_ne!(changed.etag.as_ref(), Some(&etag));

    let error = client
        .delete_labels(id, Precondition::Unchanged(&etag))
        .await
        .unwrap_err();
    assert!(error.is_conflict(), "{error}");
    assert_eq!(server.fleet().machines[0].summary.labels, labels);

    let gone = client.delete_labels(id, Precondition::None).await.unwrap();
    assert!(gone.value.labels.is_empty());
}

#[tokio::test]
async fn a_name_is_given_and_taken_away() {
    let (_server, client) = server(Fleet::of(1)).await;
    let id = machine_id(0);
    assert_eq!(client.display_name(id).await.unwrap().value.display_name, None);
    let named = client
        .put_display_name(id, "Frida II", Precondition::None)
        .await
        .unwrap();
    assert_eq!(named.value.display_name.as_deref(), Some("Frida II"));
    let bare = client.delete_display_name(id, Precondition::None).await.unwrap();
    assert_eq!(bare.value.display_name, None);
}

#[tokio::test]
async fn nobody_listens() {
    let (server, client) = server(Fleet::of(1)).await;
    let address = server.address().to_owned();
    drop(server);
    let error = client.fleet_summary(None).await.unwrap_err();
    assert_eq!(error.code(), "MST-C001");
    assert!(error.to_string().contains(&address), "{error}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let options = ClientOptions {
        request_timeout: Duration::from_millis(50),
        ..ClientOptions::default()
    };
    let client = Client::new(&address, options).unwrap();
    let error = client.fleet_summary(None).await.unwrap_err();
    assert_eq!(error.code(), "MST-C002");
    assert!(error.to_string().contains("0.05 s"), "{error}");
}

#[tokio::test]
async fn another_program_listens() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let check = async |answer: &'static str, expected: &str| {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(
            &listener.local_addr().unwrap().to_string(),
            ClientOptions::default(),
        )
        .unwrap();
        let serve = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.read_buf(&mut Vec::with_capacity(4096)).await.unwrap();
            socket.write_all(answer.as_bytes()).await.unwrap();
        };
        let (error, ()) = tokio::join!(client.fleet_summary(None), serve);
        let error = error.unwrap_err();
        assert!(matches!(error, ClientError::UnexpectedAnswer { .. }), "{error:?}");
        assert_eq!(error.code(), "MST-C003");
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(
        "HTTP/1.1 200 OK\r\ncontent-length: 21\r\nconnection: close\r\n\r\n<html>\n<b>hello</b>\n\n",
        "beginning with \"<html>\"",
    )
    .await;
    check(
        "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        "status 502",
    )
    .await;
    check(
        "HTTP/1.1 302 Found\r\nlocation: http://example.invalid/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        "status 302",
    )
    .await;
}
