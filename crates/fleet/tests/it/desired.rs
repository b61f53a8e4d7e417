//! Desired state from outside: by the API in, over real sockets to machines, and back by what they report.

use serde_json::{Value, json};

use crate::harness::{Machine, Site, answer, hear, hello, id, until};

fn path(number: u32) -> String {
    format!("/api/v1/machines/{}/desired", id(number))
}

async fn put(site: &Site, section: &str, tag: Option<&str>, body: Value) -> (u16, Value) {
    let mut request = site.request("PUT", &format!("{}/{section}", path(1)));
    if let Some(tag) = tag {
        request = request.header("if-match", tag);
    }
    answer(request.json(&body)).await
}

fn wanted(number: u32) -> Value {
    json!({ "content": { "number": number }, "reason": "to see" })
}

async fn told(machine: &mut Machine) -> Value {
    loop {
        let message = hear(&mut machine.socket).await.unwrap();
        match message["type"].as_str() {
            Some("desired") => return message["payload"].clone(),
            Some("ack" | "welcome") => {}
            _ => panic!("{message}"),
        }
    }
}

/// Fails if the machine was told anything: a heartbeat's answer comes behind whatever was said before.
async fn told_nothing(machine: &mut Machine) {
    machine.heartbeat().await;
    let message = hear(&mut machine.socket).await.unwrap();
    assert_eq!(message["type"], "ack", "{message}");
}

fn reports(version: u64, sections: Value) -> Value {
    json!({ "full": { "desired": { "version": version, "sections": sections } } })
}

/// Waits until the first section stands so.
async fn stands(site: &Site, status: &str) -> Value {
    until(status, || async {
        let desired = site.get(&path(1)).await;
        (desired["sections"][0]["status"] == status).then_some(desired)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_told_and_followed_until_the_machine_is_so() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut machine = Machine::connect(site.address, &id(1), 0).await;
    let nothing = site.get(&path(1)).await;
    assert_eq!(
        (&nothing["version"], &nothing["converged"], &nothing["sections"]),
        (&json!(0), &json!(true), &json!([]))
    );

    let (status, desired) = put(&site, "made_up", Some("\"0\""), wanted(1)).await;
    assert_eq!(status, 200, "{desired}");
    assert_eq!(
        (&desired["version"], &desired["converged"]),
        (&json!(1), &json!(false))
    );
    let section = &desired["sections"][0];
    assert_eq!(
        (&section["status"], &section["issuer"], &section["reason"]),
        (&json!("pending"), &json!("local"), &json!("to see"))
    );
    assert_eq!(
        told(&mut machine).await,
        json!({ "version": 1, "document": { "made_up": { "version": 1, "content": { "number": 1 } } } })
    );

    let said = json!([{ "name": "made_up", "version": 1, "status": "refused", "reason": "no" }]);
    machine.surely("state", reports(1, said)).await;
    let desired = stands(&site, "refused").await;
    assert_eq!(
        (
            &desired["sections"][0]["status_reason"],
            &desired["held_version"],
            &desired["converged"]
        ),
        (&json!("no"), &json!(1), &json!(false))
    );
    let said = json!([{ "name": "made_up", "version": 1, "status": "applied" }]);
    machine.surely("state", reports(1, said)).await;
    assert_eq!(stands(&site, "applied").await["converged"], true);

    // What the machine said was about the section as it was.
    put(&site, "made_up", Some("\"1\""), wanted(2)).await;
    let desired = stands(&site, "pending").await;
    assert_eq!(
        (&desired["held_version"], &desired["converged"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(told(&mut machine).await["version"], 2);

    let events = site
        .all(&format!(
            "/api/v1/machines/{}/events?kind=machine.desired_changed",
            id(1)
        ))
        .await;
    assert_eq!(events.len(), 2);
    assert_eq!(
        events[1]["message"],
        "Desired: made_up, by local: to see (version 1)"
    );
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_section_goes_with_a_reason() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut machine = Machine::connect(site.address, &id(1), 0).await;
    put(&site, "made_up", Some("*"), wanted(1)).await;
    told(&mut machine).await;
    let remove = |query: &str| {
        let request = site.request("DELETE", &format!("{}/made_up{query}", path(1)));
        answer(request.header("if-match", "\"1\""))
    };
    let (status, problem) = remove("").await;
    assert_eq!((status, &problem["code"]), (400, &json!("MST-A001")), "{problem}");
    let (status, problem) = remove("?reason=%20").await;
    assert_eq!(
        (status, &problem["errors"][0]["at"]),
        (400, &json!("query.reason")),
        "{problem}"
    );
    let (status, desired) = remove("?reason=over").await;
    assert_eq!(
        (status, &desired["version"], &desired["sections"]),
        (200, &json!(2), &json!([]))
    );
    assert_eq!(told(&mut machine).await, json!({ "version": 2, "document": {} }));
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobodys_change_is_lost_unseen() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut machine = Machine::connect(site.address, &id(1), 0).await;
    let (status, problem) = put(&site, "made_up", None, wanted(1)).await;
    assert_eq!((status, &problem["code"]), (428, &json!("MST-A006")));
    let (a, b) = tokio::join!(
        put(&site, "made_up", Some("\"0\""), wanted(1)),
        put(&site, "other", Some("\"0\""), wanted(2))
    );
    let mut statuses = [a.0, b.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412], "{a:?} {b:?}");
    let lost = if a.0 == 412 { a.1 } else { b.1 };
    assert_eq!(
        (&lost["code"], &lost["errors"][0]["detail"]),
        (&json!("MST-A005"), &json!("version 1"))
    );
    told(&mut machine).await;
    told_nothing(&mut machine).await;
    // The tag of the answer is what the next change is based on.
    let response = site.request("GET", &path(1)).send().await.unwrap();
    assert_eq!(response.headers()["etag"], "\"1\"");
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_desired_is_refused_with_its_place() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let _machine = Machine::connect(site.address, &id(1), 0).await;
    for (section, body, status, code, at) in [
        (
            "made_up",
            json!({ "content": [1], "reason": "r" }),
            422,
            "MST-A002",
            "body.content",
        ),
        (
            "made_up",
            json!({ "content": {}, "reason": " " }),
            422,
            "MST-A002",
            "body.reason",
        ),
        (
            "made_up",
            json!({ "content": { "a": "x".repeat(20_000) }, "reason": "r" }),
            422,
            "MST-A002",
            "body.content",
        ),
        (
            "made_up",
            json!({ "content": {}, "reason": "r", "more": 1 }),
            422,
            "MST-A003",
            "",
        ),
        ("made_up", json!({ "reason": "r" }), 422, "MST-A003", ""),
        (
            "Made-Up",
            json!({ "content": {}, "reason": "r" }),
            400,
            "MST-A001",
            "",
        ),
    ] {
        let (given, problem) = put(&site, section, Some("*"), body).await;
        assert_eq!((given, &problem["code"]), (status, &json!(code)), "{problem}");
        if !at.is_empty() {
            assert_eq!(problem["errors"][0]["at"], at, "{problem}");
        }
    }
    let stranger = format!("/api/v1/machines/{}/desired", id(9));
    assert_eq!(site.ask(&stranger).await.0, 404);
    let request = site
        .request("PUT", &format!("{stranger}/made_up"))
        .header("if-match", "*");
    assert_eq!(answer(request.json(&wanted(1))).await.0, 404);
    let (status, problem) = site.ask("/api/v1/machines/nobody/desired").await;
    assert_eq!((status, &problem["code"]), (400, &json!("MST-A001")));
    assert_eq!(site.get(&path(1)).await["version"], 0, "nothing of it counts");
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_with_less_is_told_also_by_a_server_that_was_restarted() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    drop(Machine::connect(site.address, &id(1), 0).await);
    put(&site, "made_up", Some("*"), wanted(1)).await;
    site.stop().await.unwrap();

    let site = Site::start(data.path()).await;
    let desired = site.get(&path(1)).await;
    assert_eq!(
        (&desired["version"], &desired["sections"][0]["reason"]),
        (&json!(1), &json!("to see"))
    );
    let mut machine = Machine::connect(site.address, &id(1), 0).await;
    assert_eq!(told(&mut machine).await["version"], 1);
    drop(machine);
    // One that holds it is told nothing.
    let mut socket = crate::harness::dial(site.address).await;
    let mut held = hello(&id(1), 0);
    held["payload"]["desired_version"] = json!(1);
    crate::harness::send(&mut socket, &held).await;
    let welcome = hear(&mut socket).await.unwrap();
    assert_eq!(
        (&welcome["type"], &welcome["payload"]["desired_version"]),
        (&json!("welcome"), &json!(1))
    );
    let mut machine = Machine::come_back(site.address, &id(1), 0, 0).await;
    assert_eq!(told(&mut machine).await["version"], 1, "it came back without");
    site.stop().await.unwrap();
}

fn profile(factor: f64) -> Value {
    json!({ "kind": "sensor", "unit": "V", "input": { "min": 0.0, "max": 10.0 }, "stages": [{ "scale": { "factor": factor } }] })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_calibration_that_is_plainly_wrong_goes_nowhere() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let mut machine = Machine::connect(site.address, &id(1), 0).await;
    let body = json!({ "content": { "a": { "profile": profile(0.0) }, "b": { "profile": profile(1.0) } }, "reason": "r" });
    let (status, problem) = put(&site, "calibration", Some("*"), body).await;
    assert_eq!((status, &problem["code"]), (422, &json!("MST-A002")), "{problem}");
    assert_eq!(
        problem["errors"][0]["at"],
        "body.content.a.profile.stages[0].scale.factor"
    );
    let body = json!({ "content": { "a": { "profil": 1 } }, "reason": "r" });
    let (status, problem) = put(&site, "calibration", Some("*"), body).await;
    assert_eq!(
        (status, &problem["errors"][0]["at"]),
        (422, &json!("body.content")),
        "{problem}"
    );
    told_nothing(&mut machine).await;
    let body = json!({ "content": { "a": { "profile": profile(2.0) } }, "reason": "r" });
    assert_eq!(put(&site, "calibration", Some("*"), body).await.0, 200);
    assert_eq!(told(&mut machine).await["version"], 1);

    let check = |profile: Value| answer(site.request("POST", "/api/v1/calibration/check").json(&profile));
    let (status, said) = check(profile(2.0)).await;
    assert_eq!(
        (status, &said["accepted"], &said["refusals"]),
        (200, &json!(true), &json!([]))
    );
    let curve = said["curve"].as_array().unwrap();
    assert_eq!(
        (&curve[0], &curve[curve.len() - 1]),
        (&json!([0.0, 0.0]), &json!([10.0, 20.0]))
    );
    let (status, said) = check(profile(0.0)).await;
    assert_eq!(
        (status, &said["accepted"], &said["curve"]),
        (200, &json!(false), &Value::Null)
    );
    assert_eq!(said["refusals"][0]["at"], "stages[0].scale.factor");
    assert_eq!(check(json!({ "kind": "lamp" })).await.0, 422);
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_section_has_a_history() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let _machine = Machine::connect(site.address, &id(1), 0).await;
    let history = format!("{}/made_up/history", path(1));
    assert_eq!(site.get(&history).await, json!({ "items": [], "complete": true }));
    for number in 1..=60 {
        put(&site, "made_up", Some("*"), wanted(number)).await;
        put(&site, "other", Some("*"), wanted(number)).await;
    }
    let request = site.request("DELETE", &format!("{}/made_up?reason=over", path(1)));
    answer(request.header("if-match", "*")).await;
    let shown = site.get(&history).await;
    let items = shown["items"].as_array().unwrap();
    assert_eq!((items.len(), &shown["complete"]), (50, &json!(false)));
    assert_eq!(
        (&items[0]["content"], &items[0]["reason"]),
        (&Value::Null, &json!("over"))
    );
    assert_eq!(items[1]["content"], json!({ "number": 60 }));
    assert_eq!(items[49]["content"], json!({ "number": 12 }));
    let short = site.get(&format!("{}/nothing/history", path(1))).await;
    assert_eq!((&short["items"], &short["complete"]), (&json!([]), &json!(true)));
    assert_eq!(
        site.ask(&format!("/api/v1/machines/{}/desired/made_up/history", id(9)))
            .await
            .0,
        404
    );
    site.stop().await.unwrap();
}
