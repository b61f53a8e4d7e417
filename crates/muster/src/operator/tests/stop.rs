//! `muster stop`: who is asked, who is followed, and what is said in the end.

use muster_client::test_server::start;
use muster_protocol::api::Stop;

use super::*;

fn accepts(stop: &mut Stop) {
    stop.answer = Some("accepted".to_owned());
    stop.answered_at = Some(stop.issued_at.plus_millis(12));
    stop.at_rest = Some(false);
}

fn stands(stop: &mut Stop) {
    stop.standing_at = Some(stop.issued_at.plus_millis(31));
}

fn rests(stop: &mut Stop) {
    stop.at_rest_at = Some(stop.issued_at.plus_millis(840));
    stop.at_rest = Some(true);
}

fn refuses(stop: &mut Stop) {
    stop.answer = Some("refused".to_owned());
    stop.answer_reason = Some("nothing here can be stopped".to_owned());
    stop.answered_at = Some(stop.issued_at.plus_millis(9));
}

fn is_replaced(stop: &mut Stop) {
    stop.command_id = "another".to_owned();
}

fn is_let_go(stop: &mut Stop) {
    accepts(stop);
    stands(stop);
    stop.released_at = Some(start().plus_millis(2_000));
}

/// A fleet in which this becomes of each stop.
fn fleet(count: u32, steps: &[fn(&mut Stop)]) -> Fleet {
    let mut fleet = Fleet::of(count);
    fleet.stop_steps = steps.iter().copied().collect();
    fleet
}

/// Output and notes of a command with the error it ends with, and its exit code.
async fn ends(fleet: Fleet, answers: Option<&str>, line: &[&str]) -> (String, u8, TestServer) {
    let server = server(fleet).await;
    let mut terminal = Terminal::new(Some(120));
    terminal.answers = answers.map(str::to_owned);
    let result = terminal.run(server.address(), line).await;
    let mut report = Vec::new();
    let mut code = 0;
    if let Err(error) = result {
        error.report(&mut report, false);
        code = error.exit_code();
    }
    let report = String::from_utf8(report).expect("UTF-8");
    let text = format!(
        "{}--- notes\n{}\n{report}",
        terminal.out.text(),
        terminal.notes.text()
    );
    (text, code, server)
}

/// What was posted.
fn posted(server: &TestServer) -> Vec<String> {
    let posts = server
        .received()
        .into_iter()
        .filter(|received| received.method == "POST");
    posts.map(|received| received.body).collect()
}

#[tokio::test]
async fn machines_are_followed_until_they_are_at_rest() {
    let fleet = fleet(2, &[accepts, stands, rests]);
    let line = ["stop", "frida", "otto", "--reason", "smoke", "--expires", "60"];
    let (text, code, server) = ends(fleet, None, &line).await;
    golden!("machines_are_stopped", text);
    assert_eq!(code, 0);
    let body = posted(&server).pop().expect("a request");
    assert!(body.ends_with(r#""reason":"smoke","expires_in_s":60}"#), "{body}");
}

#[tokio::test]
async fn who_does_not_stand_is_named_with_the_reason() {
    // The third machine is away.
    let away = fleet(3, &[accepts, stands, rests]);
    let line = ["stop", "--all", "--yes", "--reason", "fire", "--wait", "1"];
    let (text, code, _) = ends(away, None, &line).await;
    golden!("a_machine_that_is_away_is_not_stopped_yet", text);
    assert_eq!(code, 3);
    for (step, why) in [
        (
            refuses as fn(&mut Stop),
            "refused by the machine: nothing here can be stopped",
        ),
        (is_replaced, "a newer stop took its place"),
        (is_let_go, "stood, and was let go at the machine since"),
    ] {
        let line = ["stop", "frida", "--reason", "fire"];
        let (text, code, _) = ends(fleet(1, &[step]), None, &line).await;
        assert!(text.contains(why), "{text}");
        assert!(text.contains("0 of 1 machines are known to stand"), "{text}");
        assert_eq!(code, 3);
    }
    // Nobody is followed: nothing is known.
    let line = ["stop", "frida", "--reason", "fire", "--wait", "0"];
    let (text, code, _) = ends(fleet(1, &[]), None, &line).await;
    assert!(text.contains("has not answered yet"), "{text}");
    assert_eq!(code, 3);
}

#[tokio::test]
async fn many_machines_are_stopped_only_if_a_person_agrees() {
    let line = ["stop", "--filter", "kind=car", "--reason", "drill"];
    let all = ["stop", "--all", "--reason", "drill"];
    let steps: &[fn(&mut Stop)] = &[accepts, stands, rests];
    for (answer, stops) in [
        ("y\n", true),
        ("YES\n", true),
        ("n\n", false),
        ("\n", false),
        ("", false),
    ] {
        let (text, code, server) = ends(fleet(5, steps), Some(answer), &line).await;
        assert!(text.contains("Stop 2 machines that pass \"kind=car\"?"), "{text}");
        assert_eq!(posted(&server).len(), usize::from(stops), "{answer:?}");
        assert_eq!(code, u8::from(!stops), "{text}");
        assert_eq!(text.contains("MST-O008"), !stops, "{text}");
    }
    let (text, code, server) = ends(fleet(5, steps), None, &all).await;
    assert!(
        text.contains("this would stop all 5 machines, and there is no terminal"),
        "{text}"
    );
    assert_eq!((code, posted(&server).len()), (2, 0));
    let (text, ..) = ends(fleet(1, steps), Some("no"), &all).await;
    assert!(text.contains("Stop all 1 machine?"), "{text}");
    // Machines that are named are not asked about: who writes a name means it.
    let (_, code, server) = ends(fleet(1, steps), None, &["stop", "frida", "--reason", "drill"]).await;
    assert_eq!((code, posted(&server).len()), (0, 1));
}

#[tokio::test]
async fn programs_get_a_document() {
    let fleet = fleet(3, &[accepts, stands, rests]);
    let line = [
        "stop", "--all", "-y", "--reason", "fire", "--wait", "1", "-o", "json",
    ];
    let (text, code, _) = ends(fleet, None, &line).await;
    golden!("a_stop_as_a_document", text);
    assert_eq!(code, 3);
}

#[tokio::test]
async fn a_selection_without_machines_is_an_error() {
    let line = ["stop", "--filter", "kind=boat", "--yes", "--reason", "drill"];
    let (text, code, _) = ends(Fleet::of(2), None, &line).await;
    assert!(
        text.contains("no machine passes the filter") && text.contains("MST-A019"),
        "{text}"
    );
    assert_eq!(code, 1);
}

#[tokio::test]
async fn one_machine_shows_how_far_its_last_stop_got() {
    let server = server(fleet(1, &[])).await;
    let terminal = Terminal::new(None);
    let stop = ["stop", "frida", "--reason", "smoke", "--wait", "0"];
    terminal
        .run(server.address(), &stop)
        .await
        .expect_err("nothing is known");
    let shown = async || {
        let terminal = Terminal::new(None);
        terminal
            .run(server.address(), &["machine", "show", "frida"])
            .await
            .expect("success");
        let text = terminal.out.text();
        let section = text.split("Last remote stop\n").nth(1).expect("a section");
        section.split("\n\n").next().expect("lines").to_owned()
    };
    let asked = "  asked for       2026-11-21 13:00:00 (0 s ago) by local\n  reason          smoke\n";
    assert_eq!(
        shown().await,
        format!("{asked}  received        not yet; told until 2026-11-21 13:10:00")
    );
    {
        let mut fleet = server.fleet();
        let stop = fleet.machines[0].summary.last_stop.as_mut().expect("a stop");
        for step in [accepts, stands, rests] {
            step(stop);
        }
    }
    let lines =
        "  received        after 12 ms\n  standing        after 31 ms\n  at rest         after 840 ms";
    assert_eq!(shown().await, format!("{asked}{lines}"));
}
