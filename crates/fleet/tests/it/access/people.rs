//! People, roles and policies: changed by whoever may, by one at a time, and never so that nobody is left who could.

use serde_json::{Value, json};

use super::kit::{BERLIN, MUNICH, PASSWORD, World};
use crate::harness::{answer, id};

fn viewer() -> Value {
    json!({ "grants": [{ "role": "viewer", "scope": "*" }], "reason": "a test" })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_change_one_person_the_second_is_told() {
    let world = World::empty().await;
    assert_eq!(world.put_new("/api/v1/people/ada", viewer()).await.0, 200);
    assert_eq!(
        world.put_new("/api/v1/people/ada", viewer()).await.0,
        412,
        "there already"
    );
    let change = |tag: &'static str| {
        let request = world
            .site
            .request("PUT", "/api/v1/people/ada")
            .header("If-Match", tag);
        answer(request.bearer_auth(&world.tokens["root"]).json(&viewer()))
    };
    let (status, said) = change("\"1\"").await;
    assert_eq!((status, &said["version"]), (200, &json!(2)), "{said}");
    let (status, said) = change("\"1\"").await;
    assert_eq!((status, &said["code"]), (412, &json!("MST-A005")), "{said}");
    assert_eq!(
        world
            .ask("root", "PUT", "/api/v1/people/ada", Some(viewer()))
            .await
            .0,
        428
    );
    // Of many at once exactly one.
    let answers = futures_util::future::join_all((0..12).map(|_| change("\"2\""))).await;
    let done = answers.iter().filter(|(status, _)| *status == 200).count();
    assert_eq!(done, 1, "{answers:?}");
    assert!(answers.iter().all(|(status, _)| matches!(status, 200 | 412)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_admin_can_neither_go_nor_be_demoted() {
    let mut world = World::empty().await;
    let put = |world: &World, who: &str, name: &str, body: Value| {
        let path = format!("/api/v1/people/{name}");
        let request = world.site.request("PUT", &path).header("If-Match", "*");
        answer(request.bearer_auth(&world.tokens[who]).json(&body))
    };
    let remove = |world: &World, name: &str| {
        let path = format!("/api/v1/people/{name}?reason=gone");
        let request = world.site.request("DELETE", &path).header("If-Match", "*");
        answer(request.bearer_auth(&world.tokens["root"]))
    };
    let disabled =
        json!({ "grants": [{ "role": "admin", "scope": "*" }], "disabled": true, "reason": "a test" });
    let scoped = json!({ "grants": [{ "role": "admin", "scope": "label.site=munich" }], "reason": "a test" });
    // One without a password cannot sign in, and so does not count.
    world.add("program", &[("admin", "*")]).await;
    for body in [viewer(), disabled, scoped] {
        let (status, said) = put(&world, "root", "root", body).await;
        assert_eq!((status, &said["code"]), (409, &json!("MST-A046")), "{said}");
    }
    assert_eq!(remove(&world, "root").await.0, 409);
    let admin =
        json!({ "grants": [{ "role": "admin", "scope": "*" }], "password": PASSWORD, "reason": "a second" });
    assert_eq!(world.put_new("/api/v1/people/second", admin).await.0, 200);
    assert_eq!(remove(&world, "root").await.0, 204);
    // With the person all of theirs is gone.
    assert_eq!(world.ask("root", "GET", "/api/v1/machines", None).await.0, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_disabled_or_loses_a_role_notices_with_the_next_request() {
    let mut world = World::empty().await;
    world.add("ada", &[("operator", "*")]).await;
    let stop = json!({ "reason": "a test" });
    let path = format!("/api/v1/machines/{}/stop", id(MUNICH));
    assert_eq!(world.ask("ada", "POST", &path, Some(stop.clone())).await.0, 202);
    let put = |body: Value| {
        let request = world
            .site
            .request("PUT", "/api/v1/people/ada")
            .header("If-Match", "*");
        answer(request.bearer_auth(&world.tokens["root"]).json(&body))
    };
    assert_eq!(put(viewer()).await.0, 200);
    let (status, said) = world.ask("ada", "POST", &path, Some(stop.clone())).await;
    assert_eq!(status, 403);
    let rule = said["detail"].as_str().unwrap();
    assert!(
        rule.contains("needs stop, which operator, admin may; ada is viewer"),
        "{rule}"
    );
    let mut gone = viewer();
    gone["disabled"] = json!(true);
    assert_eq!(put(gone).await.0, 200);
    assert_eq!(world.ask("ada", "GET", "/api/v1/machines", None).await.0, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_do_not_move_a_machine_out_of_ones_reach() {
    let mut world = World::empty().await;
    world.add("eve", &[("engineer", "label.site=munich")]).await;
    let label = |number: u32, labels: Value| {
        let path = format!("/api/v1/machines/{}/labels", id(number));
        let request = world.site.request("PUT", &path).header("If-Match", "*");
        answer(
            request
                .bearer_auth(&world.tokens["eve"])
                .json(&json!({ "labels": labels })),
        )
    };
    let (status, said) = label(BERLIN, json!({ "site": "munich" })).await;
    assert_eq!(status, 404, "taking one: {said}");
    let (status, said) = label(MUNICH, json!({ "site": "berlin" })).await;
    assert_eq!(
        (status, &said["code"]),
        (403, &json!("MST-A045")),
        "giving one away: {said}"
    );
    let (status, said) = label(MUNICH, json!({})).await;
    assert_eq!(status, 403, "{said}");
    let (status, said) = label(MUNICH, json!({ "site": "munich", "line": "3" })).await;
    assert_eq!(status, 200, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_forbids_and_permits_and_is_tried_before_it_counts() {
    let mut world = World::empty().await;
    world.add("ada", &[("viewer", "*")]).await;
    world.add("olga", &[("operator", "*")]).await;
    let policy = |effect: &str, permissions: Value, condition: &str| {
        json!({ "effect": effect, "permissions": permissions, "condition": condition, "description": "no machine is stopped in Munich",
                "reason": "a test" })
    };
    for (condition, says) in [
        ("machine.labels.site ==", "Syntax"),
        ("fleet.size > 3", "not known here"),
        ("1 + 1", "true or false"),
        ("[1, 2].exists(x, x > 1)", "loops"),
        (&"!".repeat(1_500), ""),
        (&format!("{}true{}", "(".repeat(900), ")".repeat(900)), ""),
        (&"x".repeat(2_001), "at most"),
    ] {
        let (status, said) = world
            .put_new("/api/v1/policies/p", policy("forbid", json!(["stop"]), condition))
            .await;
        assert_eq!(
            (status, &said["errors"][0]["at"]),
            (422, &json!("body.condition")),
            "{condition}: {said}"
        );
        assert!(
            said["detail"]
                .as_str()
                .unwrap()
                .to_lowercase()
                .contains(&says.to_lowercase()),
            "{condition}: {said}"
        );
    }
    let (status, said) = world
        .put_new("/api/v1/policies/p", policy("forbid", json!(["read"]), "true"))
        .await;
    assert_eq!(status, 422, "{said}");
    let (status, said) = world
        .put_new("/api/v1/policies/p", policy("forbid", json!([]), "true"))
        .await;
    assert_eq!(status, 422, "whoever makes it could not take it back: {said}");

    let munich = "machine != null && machine.labels.site == 'munich'";
    // What it would do, before it does it.
    let dry = json!({ "person": "olga", "machine": id(MUNICH), "policy": policy("forbid", json!(["stop"]), munich) });
    let (status, said) = world.ask("root", "POST", "/api/v1/access/check", Some(dry)).await;
    assert_eq!(status, 200, "{said}");
    let stop_of = |said: &Value| {
        let decisions = said["decisions"].as_array().unwrap();
        decisions
            .iter()
            .find(|decision| decision["permission"] == "stop")
            .unwrap()
            .clone()
    };
    assert_eq!(stop_of(&said)["allowed"], false, "{said}");
    let stop = |who: &'static str, number: u32| {
        let path = format!("/api/v1/machines/{}/stop", id(number));
        let world = &world;
        async move {
            world
                .ask(who, "POST", &path, Some(json!({ "reason": "a test" })))
                .await
        }
    };
    assert_eq!(stop("olga", MUNICH).await.0, 202, "trying it changed nothing");
    let (status, said) = world
        .put_new(
            "/api/v1/policies/munich-stands",
            policy("forbid", json!(["stop"]), munich),
        )
        .await;
    assert_eq!(status, 200, "{said}");
    let (status, said) = stop("olga", MUNICH).await;
    assert_eq!(status, 403);
    assert!(
        said["detail"].as_str().unwrap().contains("munich-stands"),
        "the rule is named: {said}"
    );
    assert_eq!(stop("olga", BERLIN).await.0, 202);
    assert_eq!(stop("root", MUNICH).await.0, 403, "also for admins");
    // And one that permits what nothing grants.
    let ada = "person.name == 'ada' && machine != null";
    let (status, said) = world
        .put_new(
            "/api/v1/policies/ada-stops",
            policy("permit", json!(["stop"]), ada),
        )
        .await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(stop("ada", BERLIN).await.0, 202);
    assert_eq!(stop("ada", MUNICH).await.0, 403, "what forbids wins");
    let everything = json!({ "all": true, "reason": "a test" });
    let (status, said) = world.ask("olga", "POST", "/api/v1/stop", Some(everything)).await;
    assert_eq!(status, 202, "{said}");
    assert_eq!(
        (
            said["stops"].as_array().unwrap().len(),
            said["refused"].as_array().unwrap().len()
        ),
        (1, 1),
        "{said}"
    );
}
