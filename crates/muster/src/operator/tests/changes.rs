//! Labels and names.

use muster_client::test_server::machine_id;

use super::*;

#[tokio::test]
async fn labels_are_set_and_taken_away() {
    let server = server(Fleet::of(1)).await;
    let terminal = Terminal::new(None);
    let line = ["machine", "label", "frida", "shift=night", "line-", "note="];
    terminal.run(server.address(), &line).await.expect("success");
    assert_eq!(terminal.out.text(), "note=\nshift=night\n");
    let put = server.received().pop().expect("a request");
    assert_eq!(put.method, "PUT");
    assert_eq!(put.if_match.as_deref(), Some("\"3\""));
    assert_eq!(put.body, r#"{"labels":{"note":"","shift":"night"}}"#);
}

#[tokio::test]
async fn labels_are_shown_and_what_changes_nothing_is_not_sent() {
    let server = server(Fleet::of(1)).await;
    let terminal = Terminal::new(None);
    terminal
        .run(server.address(), &["machine", "label", "frida"])
        .await
        .expect("success");
    let line = ["machine", "label", "frida", "line=0", "-o", "json"];
    terminal.run(server.address(), &line).await.expect("success");
    let id = machine_id(0);
    let expected =
        format!("line=0\n{{\n  \"machine_id\": \"{id}\",\n  \"labels\": {{\n    \"line\": \"0\"\n  }}\n}}\n");
    assert_eq!(terminal.out.text(), expected);
    assert!(server.received().iter().all(|request| request.method == "GET"));
}

#[tokio::test]
async fn a_change_beside_somebody_elses_is_made_again() {
    let mut fleet = Fleet::of(1);
    fleet.conflicts = 2;
    let server = server(fleet).await;
    let terminal = Terminal::new(None);
    let line = ["machine", "label", "frida", "shift=night"];
    terminal.run(server.address(), &line).await.expect("success");
    assert_eq!(terminal.out.text(), "line=0\nshift=night\n");
    assert!(
        terminal.notes.text().contains("somebody else changed"),
        "{}",
        terminal.notes.text()
    );
}

#[tokio::test]
async fn somebody_elses_changes_win_in_the_end() {
    let mut fleet = Fleet::of(1);
    fleet.conflicts = 99;
    let server = server(fleet).await;
    let (report, code) = refused(server.address(), &["machine", "label", "frida", "shift=night"]).await;
    assert_eq!(code, 1);
    assert!(
        report.contains("others changed frida each of the 5 times"),
        "{report}"
    );
    let (report, _) = refused(server.address(), &["machine", "rename", "frida", "x"]).await;
    assert!(report.contains("code: MST-O004"), "{report}");
}

#[tokio::test]
async fn a_name_is_given_and_taken_away() {
    let server = server(Fleet::of(1)).await;
    let terminal = Terminal::new(None);
    let line = ["machine", "rename", "frida", "Frida the second"];
    terminal.run(server.address(), &line).await.expect("success");
    let line = ["machine", "rename", "Frida the second", "--clear"];
    terminal.run(server.address(), &line).await.expect("success");
    assert_eq!(
        terminal.out.text(),
        "frida is now shown as Frida the second\nFrida the second is shown under its own name again\n"
    );
    let last = server.received().pop().expect("a request");
    assert_eq!(
        (last.method.as_str(), last.if_match.as_deref()),
        ("DELETE", Some("\"4\""))
    );
}
