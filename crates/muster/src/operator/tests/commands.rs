//! `muster command` and `muster machine commands`: what is given, what is answered, and what is said in the end.

use muster_protocol::api::GivenCommand;

use super::*;

fn accepts(command: &mut GivenCommand) {
    command.answer = Some("accepted".to_owned());
    command.answered_at = Some(command.issued_at.plus_millis(12));
}

fn refuses(command: &mut GivenCommand) {
    command.answer = Some("refused".to_owned());
    command.answer_reason = Some("it has no lamp".to_owned());
    command.answered_at = Some(command.issued_at.plus_millis(9));
}

fn nothing(_: &mut GivenCommand) {}

fn fleet(count: u32, steps: &[fn(&mut GivenCommand)]) -> Fleet {
    let mut fleet = Fleet::of(count);
    fleet.command_steps = steps.iter().copied().collect();
    fleet
}

const LINE: [&str; 5] = ["command", "frida", "identify", "--reason", "which is it"];

#[tokio::test]
async fn a_command_is_given_and_its_answer_waited_for() {
    let server = server(fleet(1, &[nothing, accepts])).await;
    let terminal = Terminal::new(Some(100));
    let mut line = LINE.to_vec();
    line.extend(["--expires", "20"]);
    terminal.run(server.address(), &line).await.expect("success");
    assert_eq!(terminal.out.text(), "frida has the command identify\n");
    let posts = server
        .received()
        .into_iter()
        .filter(|received| received.method == "POST");
    let bodies: Vec<String> = posts.map(|received| received.body).collect();
    assert_eq!(
        bodies,
        [r#"{"kind":"identify","reason":"which is it","expires_in_s":20}"#]
    );
}

#[tokio::test]
async fn who_refuses_is_told_of_with_the_reason() {
    let server = server(fleet(1, &[refuses])).await;
    let (text, code) = refused(server.address(), &LINE).await;
    golden!("a_command_is_refused_by_the_machine", text);
    assert_eq!(code, 1);
}

#[tokio::test]
async fn who_does_not_answer_is_told_of() {
    let server = server(fleet(1, &[])).await;
    let mut line = LINE.to_vec();
    line.extend(["--wait", "0"]);
    let (text, code) = refused(server.address(), &line).await;
    golden!("a_command_is_not_answered", text);
    assert_eq!(code, 3);
}

#[tokio::test]
async fn what_the_machine_does_not_do_is_refused_by_the_server() {
    let server = server(fleet(1, &[])).await;
    let line = ["command", "frida", "reboot", "--reason", "drill"];
    let (text, code) = refused(server.address(), &line).await;
    assert!(text.contains("MST-A030"), "{text}");
    assert_eq!(code, 1);
}

#[tokio::test]
async fn the_commands_of_a_machine_are_listed_with_their_answers() {
    let server = server(fleet(1, &[accepts, refuses])).await;
    let terminal = Terminal::new(Some(100));
    terminal.run(server.address(), &LINE).await.expect("success");
    let line = ["command", "frida", "identify", "--reason", "again", "--wait", "0"];
    let _ = refused(server.address(), &line).await;
    let terminal = Terminal::new(Some(100));
    terminal
        .run(server.address(), &["machine", "commands", "frida"])
        .await
        .expect("success");
    golden!(
        "commands_of_a_machine",
        format!("{}--- notes\n{}", terminal.out.text(), terminal.notes.text())
    );
}
