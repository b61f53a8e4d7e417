//! What somebody was let into ends with what let them in: a new password, and being disabled.

use serde_json::{Value, json};

use super::kit::World;
use crate::harness::answer;

const HERS: &str = "a password of ada's own";

async fn with_ada() -> World {
    let mut world = World::empty().await;
    let body = json!({ "grants": [{ "role": "viewer", "scope": "*" }], "password": HERS, "reason": "new" });
    assert_eq!(world.put_new("/api/v1/people/ada", body).await.0, 200);
    let session = world.session("ada", HERS).await;
    world.tokens.insert("ada".to_owned(), session);
    world
}

/// A program that ada said yes to, and that has not heard of it.
async fn approved(world: &World) -> Value {
    let (status, started) = world.ask("", "POST", "/api/v1/device", None).await;
    assert_eq!(status, 200, "{started}");
    let path = format!("/api/v1/device/{}", started["user_code"].as_str().unwrap());
    assert_eq!(world.ask("ada", "POST", &path, None).await.0, 204);
    json!({ "device_code": started["device_code"] })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_was_let_in_before_the_password_was_changed_is_not_let_in_after() {
    let mut world = with_ada().await;
    let (used, late) = (approved(&world).await, approved(&world).await);
    let ask = "/api/v1/device/session";
    assert_eq!(world.ask("", "POST", ask, Some(used)).await.0, 200);
    let change = json!({ "current": HERS, "password": "another password of hers" });
    let path = "/api/v1/people/ada/password";
    assert_eq!(world.ask("ada", "PUT", path, Some(change)).await.0, 204);
    let (status, said) = world.ask("", "POST", ask, Some(late)).await;
    assert_eq!((status, &said["code"]), (404, &json!("MST-A047")), "{said}");
    // What she lets in with the new one, is.
    let session = world.session("ada", "another password of hers").await;
    world.tokens.insert("ada".to_owned(), session);
    let new = approved(&world).await;
    assert_eq!(world.ask("", "POST", ask, Some(new)).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_disabled_and_enabled_again_begins_anew() {
    let mut world = with_ada().await;
    let (status, made) = world
        .ask("ada", "POST", "/api/v1/tokens", Some(json!({ "name": "a test" })))
        .await;
    assert_eq!(status, 201, "{made}");
    let token = made["secret"].as_str().unwrap().to_owned();
    world.tokens.insert("program".to_owned(), token);
    let waiting = approved(&world).await;
    for disabled in [true, false] {
        let body = json!({ "grants": [{ "role": "viewer", "scope": "*" }], "disabled": disabled, "reason": "a test" });
        let request = world.site.request("PUT", "/api/v1/people/ada");
        let request = request.header("If-Match", "*").bearer_auth(&world.tokens["root"]);
        assert_eq!(answer(request.json(&body)).await.0, 200);
        for who in ["ada", "program"] {
            let (status, said) = world.ask(who, "GET", "/api/v1/machines", None).await;
            assert_eq!(status, 401, "{who}, disabled: {disabled}: {said}");
        }
    }
    let ask = world.ask("", "POST", "/api/v1/device/session", Some(waiting));
    assert_eq!(ask.await.0, 404);
    world.session("ada", HERS).await;
}
