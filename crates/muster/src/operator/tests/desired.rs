//! What a machine should become.

use muster_client::test_server::machine_id;
use muster_model::desired::DesiredStatus;
use muster_protocol::api::Desired;

use super::*;

/// A file with this text.
fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

fn applied(desired: &mut Desired) {
    desired.held_version = desired.version;
    desired.converged = true;
    for section in &mut desired.sections {
        section.status = DesiredStatus::Applied;
    }
}

fn refused_by_the_machine(desired: &mut Desired) {
    desired.held_version = desired.version;
    for section in &mut desired.sections {
        section.status = DesiredStatus::Refused;
        section.status_reason = Some("there is no such motor".to_owned());
    }
}

async fn set(
    server: &TestServer,
    terminal: &Terminal,
    text: &str,
    more: &[&str],
) -> Result<(), OperatorError> {
    let file = file(text);
    let path = file.path().to_str().expect("a path");
    let line = [
        "machine",
        "desired",
        "set",
        "frida",
        "calibration",
        path,
        "--reason",
        "new wheels",
    ];
    let line: Vec<&str> = line.into_iter().chain(more.iter().copied()).collect();
    terminal.run(server.address(), &line).await
}

#[tokio::test]
async fn a_section_is_desired_shown_and_removed() {
    let server = server(Fleet::of(1)).await;
    let terminal = Terminal::new(Some(120));
    let line = ["machine", "desired", "show", "frida"];
    terminal.run(server.address(), &line).await.expect("success");
    set(&server, &terminal, "wheel: {scale: 1.5}\n", &[])
        .await
        .expect("success");
    let put = server.received().pop().expect("a request");
    assert_eq!(
        put.body,
        r#"{"content":{"wheel":{"scale":1.5}},"reason":"new wheels"}"#
    );
    assert_eq!(put.if_match.as_deref(), Some("\"0\""));
    let line = ["machine", "desired", "show", "frida", "calibration"];
    terminal.run(server.address(), &line).await.expect("success");
    let line = [
        "machine",
        "desired",
        "remove",
        "frida",
        "calibration",
        "--reason",
        "over",
    ];
    terminal.run(server.address(), &line).await.expect("success");
    let delete = server.received().pop().expect("a request");
    let id = machine_id(0);
    assert_eq!(
        (delete.target, delete.if_match.as_deref()),
        (
            format!("/api/v1/machines/{id}/desired/calibration?reason=over"),
            Some("\"1\"")
        )
    );
    golden!("desired_set_shown_and_removed", terminal.out.text());
}

#[tokio::test]
async fn with_wait_the_exit_code_says_whether_it_is_so() {
    let mut fleet = Fleet::of(1);
    // The first look is the one before the change.
    fleet.desired_steps = [(|_| {}) as fn(&mut Desired), |_| {}, |_| {}, applied].into();
    let server = server(fleet).await;
    let terminal = Terminal::new(None);
    set(&server, &terminal, "{}", &["--wait", "30s"])
        .await
        .expect("success");
    assert!(
        terminal.out.text().contains("it is so"),
        "{}",
        terminal.out.text()
    );

    server.fleet().desired_steps = [(|_| {}) as fn(&mut Desired), refused_by_the_machine].into();
    let error = set(&server, &terminal, "{\"a\": 1}", &["--wait", "30s"])
        .await
        .expect_err("refused");
    assert_eq!((error.exit_code(), error.code()), (3, "MST-O010"));
    assert!(error.to_string().contains("there is no such motor"), "{error}");
}

#[tokio::test]
async fn another_section_that_changed_meanwhile_is_no_conflict() {
    let mut fleet = Fleet::of(1);
    fleet.conflicts = 2;
    let server = server(fleet).await;
    let terminal = Terminal::new(None);
    set(&server, &terminal, "{}", &[]).await.expect("success");
    let puts = server
        .received()
        .iter()
        .filter(|request| request.method == "PUT")
        .count();
    assert_eq!(puts, 3);
}

#[tokio::test]
async fn what_is_no_document_is_not_sent() {
    let server = server(Fleet::of(1)).await;
    let terminal = Terminal::new(None);
    let error = set(&server, &terminal, "a: [", &[]).await.expect_err("refused");
    assert_eq!(error.exit_code(), 2);
    let error = set(&server, &terminal, "[1]", &[]).await.expect_err("refused");
    assert_eq!(error.code(), "MST-A002");
    let line = ["machine", "desired", "show", "frida", "calibration"];
    let (report, code) = refused(server.address(), &line).await;
    assert_eq!(code, 2, "{report}");
}
