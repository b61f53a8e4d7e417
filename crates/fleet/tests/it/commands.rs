//! Commands other than stop, from outside: by the API in, over a real socket to the machine, and its answer back.

use serde_json::{Value, json};

use crate::harness::{Machine, Site, answer, hear, hello, id, until};

async fn post(site: &Site, number: u32, body: Value) -> (u16, Value) {
    let path = format!("/api/v1/machines/{}/commands", id(number));
    answer(site.request("POST", &path).json(&body)).await
}

async fn given(site: &Site, number: u32) -> Value {
    site.get(&format!("/api/v1/machines/{}/commands", id(number)))
        .await
}

fn identify() -> Value {
    json!({ "kind": "identify", "reason": "which is it" })
}

/// A machine in session that says that it carries these out.
async fn machine(site: &Site, number: u32, kinds: &[&str]) -> Machine {
    let mut hello = hello(&id(number), 0);
    hello["payload"]["minor"] = json!(1);
    hello["payload"]["commands"] = json!(kinds);
    Machine::connect_with(site.address, &id(number), hello).await
}

/// The next command that the machine is told.
async fn told(machine: &mut Machine) -> Value {
    loop {
        let message = hear(&mut machine.socket).await.unwrap();
        match message["type"].as_str() {
            Some("command") => return message["payload"].clone(),
            Some("ack") => {}
            _ => panic!("{message}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_told_and_its_answer_is_kept_also_over_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut machine = machine(&site, 1, &["identify", "stop"]).await;
    let (status, issued) = post(&site, 1, identify()).await;
    assert_eq!(status, 202, "{issued}");
    assert_eq!(
        (&issued["told"], &issued["command"]["answer"]),
        (&json!(true), &Value::Null)
    );

    let command = told(&mut machine).await;
    assert_eq!(
        (&command["kind"], &command["id"]),
        (&json!("identify"), &issued["command"]["command_id"])
    );
    assert_eq!(
        (&command["issuer"], &command["reason"], &command["authority"]),
        (&json!("local"), &json!("which is it"), &json!("none"))
    );
    let refused = json!({ "command_id": command["id"], "outcome": "refused", "reason": "it has no lamp" });
    machine.surely("response", refused).await;
    let list = until("the answer is shown", || async {
        let list = given(&site, 1).await;
        (list["items"][0]["answer"] == "refused").then_some(list)
    })
    .await;
    assert_eq!(list["accepts"], json!(["identify", "stop"]));
    assert_eq!(list["items"][0]["answer_reason"], "it has no lamp");
    let (_, stop) = answer(
        site.request("POST", &format!("/api/v1/machines/{}/stop", id(1)))
            .json(&json!({ "reason": "drill" })),
    )
    .await;
    let list = given(&site, 1).await;
    let kinds: Vec<&str> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["stop", "identify"], "the newest first, stops among them");
    assert_eq!(list["items"][0]["command_id"], stop["stops"][0]["command_id"]);
    site.stop().await.unwrap();

    let site = Site::start(data.path()).await;
    assert_eq!(given(&site, 1).await, list);
    let whole = site.get(&format!("/api/v1/machines/{}", id(1))).await;
    assert_eq!(whole["accepts"], json!(["identify", "stop"]));
    // It is away now, and who looks for it looks now.
    let (status, problem) = post(&site, 1, identify()).await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (409, Some("MST-A031")),
        "{problem}"
    );
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_machine_did_not_announce_it_is_not_asked_for() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut announced = machine(&site, 1, &["stop"]).await;
    let mut old = Machine::connect(site.address, &id(2), 0).await;
    for number in [1, 2] {
        let (status, problem) = post(&site, number, identify()).await;
        assert_eq!(
            (status, problem["code"].as_str()),
            (409, Some("MST-A030")),
            "{problem}"
        );
    }
    for machine in [&mut announced, &mut old] {
        machine.heartbeat().await;
        let message = hear(&mut machine.socket).await.unwrap();
        assert_eq!(message["type"], "ack", "it was told nothing: {message}");
    }
    assert_eq!(given(&site, 1).await["items"], json!([]));
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_meant_is_refused_with_its_place() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut machine = machine(&site, 1, &["identify", "reboot", "resume", "reset"]).await;
    let check = async |more: Value, status: u16, code: &str, says: &str| {
        let mut body = identify();
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        let (got, problem) = post(&site, 1, body.clone()).await;
        let code_of = problem["code"].as_str();
        assert_eq!((got, code_of), (status, Some(code)), "{body}: {problem}");
        assert!(
            problem["detail"].as_str().unwrap().contains(says),
            "{body}: {problem}"
        );
    };
    // Nothing lets a machine move, whatever it says of itself.
    for kind in ["resume", "reset", "reboot", "", "mission.resume"] {
        check(json!({ "kind": kind }), 422, "MST-A002", "identify").await;
    }
    check(json!({ "kind": "stop" }), 422, "MST-A002", "/stop").await;
    check(json!({ "arguments": { "for": 3 } }), 422, "MST-A002", "take none").await;
    check(json!({ "reason": " " }), 422, "MST-A002", "1 to 500 characters").await;
    for seconds in [0, 601] {
        check(
            json!({ "expires_in_s": seconds }),
            422,
            "MST-A002",
            "1 to 600 seconds",
        )
        .await;
    }
    check(json!({ "told": true }), 422, "MST-A003", "told").await;
    let (status, problem) = post(&site, 9, identify()).await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (404, Some("MST-A004")),
        "{problem}"
    );
    let (status, _) = site.ask(&format!("/api/v1/machines/{}/commands", id(9))).await;
    assert_eq!(status, 404);

    // One too many that wait for an answer.
    for _ in 0..8 {
        let (status, issued) = post(&site, 1, identify()).await;
        assert_eq!(status, 202, "{issued}");
    }
    check(json!({}), 409, "MST-A032", "8 commands").await;
    let command = told(&mut machine).await;
    let accepted = json!({ "command_id": command["id"], "outcome": "accepted" });
    machine.say("response", accepted).await;
    until("there is room again", || async {
        (post(&site, 1, identify()).await.0 == 202).then_some(())
    })
    .await;
    site.stop().await.unwrap();
}
