//! Signing in and out: by the set-up link, by password, with a second factor; and how sessions and tokens end.

use serde_json::json;

use super::kit::{PASSWORD, World};
use crate::harness::answer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_set_up_link_makes_the_first_admin_and_nothing_else_works_before() {
    let data = tempfile::tempdir().unwrap();
    let mut options = crate::harness::options(data.path());
    options.access = muster_fleet::access::AccessMode::SignIn;
    let site = crate::harness::Site::start_with(options).await;
    let me = site.get("/api/v1/me").await;
    assert_eq!(
        (&me["signed_in"], &me["needs_set_up"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(site.ask("/api/v1/machines").await.0, 401);
    assert_eq!(site.ask("/ws").await.0, 401);
    let link = site.access.set_up_secret().unwrap().unwrap();
    let newer = site.access.set_up_secret().unwrap().unwrap();
    let try_it = |token: &str, name: &str, password: &str| {
        let body = json!({ "token": token, "name": name, "password": password });
        answer(site.request("POST", "/api/v1/set-up").json(&body))
    };
    let (status, said) = try_it(link.reveal(), "root", PASSWORD).await;
    assert_eq!(
        (status, &said["code"]),
        (403, &json!("MST-A044")),
        "an older link: {said}"
    );
    for (name, password, at) in [
        ("Root", PASSWORD, "body.name"),
        ("root", "short", "body.password"),
        ("root", "aaaaaaaaaaaaaaaa", "body.password"),
        ("rootrootroot", "rootrootroot", "body.password"),
    ] {
        let (status, said) = try_it(newer.reveal(), name, password).await;
        assert_eq!((status, &said["errors"][0]["at"]), (422, &json!(at)), "{said}");
    }
    let (status, said) = try_it(newer.reveal(), "root", PASSWORD).await;
    assert_eq!((status, &said["name"]), (200, &json!("root")), "{said}");
    let (status, said) = try_it(newer.reveal(), "second", PASSWORD).await;
    assert_eq!(status, 403, "used twice: {said}");
    assert!(
        site.access.set_up_secret().unwrap().is_none(),
        "no link where there is an admin"
    );
    assert_eq!(site.get("/api/v1/me").await["needs_set_up"], false);
    site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_gets_a_cookie_that_no_script_reads_and_signs_out() {
    let world = World::empty().await;
    let body = json!({ "name": "root", "password": PASSWORD });
    let response = world
        .site
        .request("POST", "/api/v1/session")
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let said: serde_json::Value = response.json().await.unwrap();
    assert!(
        said["token"].is_null(),
        "the session is in the cookie alone: {said}"
    );
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let origin = format!("http://{}", world.site.address);
    let ask = |method: &str, path: &str| {
        world
            .site
            .request(method, path)
            .header("Cookie", &cookie)
            .header("Origin", &origin)
    };
    let (_, me) = answer(ask("GET", "/api/v1/me")).await;
    assert_eq!((&me["name"], &me["by"]), (&json!("root"), &json!("session")));
    let response = ask("DELETE", "/api/v1/session").send().await.unwrap();
    assert_eq!(response.status(), 204);
    assert!(
        response.headers()["set-cookie"]
            .to_str()
            .unwrap()
            .contains("Max-Age=0")
    );
    // A cookie that somebody kept is worth nothing after that.
    assert_eq!(
        answer(ask("GET", "/api/v1/machines")).await.0,
        401,
        "a replayed session"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_names_and_passwords_are_not_told_apart_and_guessing_is_made_slow() {
    let world = World::empty().await;
    let try_it = |name: &str, password: &str| {
        let body = json!({ "name": name, "password": password });
        answer(world.site.request("POST", "/api/v1/session").json(&body))
    };
    let (status, wrong) = try_it("root", "not the password").await;
    assert_eq!((status, &wrong["code"]), (401, &json!("MST-A041")), "{wrong}");
    assert_eq!(try_it("nobody", PASSWORD).await.1, wrong);
    assert_eq!(try_it("Not A Name", PASSWORD).await.1, wrong);
    let mut last = 401;
    for _ in 0..6 {
        last = try_it("root", "not the password").await.0;
    }
    assert_eq!(last, 429);
    // The right one is refused as well, or the answer would say which it is.
    let body = json!({ "name": "root", "password": PASSWORD });
    let response = world
        .site
        .request("POST", "/api/v1/session")
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 429);
    let wait: u64 = response.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=900).contains(&wait), "{wait}");
    let refused = world.audit("action=session.begin&outcome=refused").await;
    assert!(refused.len() >= 9, "{}", refused.len());
    assert!(refused.iter().any(|entry| entry["person"] == "root"));
    assert!(
        !serde_json::to_string(&refused)
            .unwrap()
            .contains("not the password")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_tries_at_once_only_few_are_free() {
    let world = World::empty().await;
    let tries = (0..24).map(|index| {
        let body = json!({ "name": "root", "password": format!("guess number {index}") });
        answer(world.site.request("POST", "/api/v1/session").json(&body))
    });
    let answers = futures_util::future::join_all(tries).await;
    let looked_at = answers.iter().filter(|(status, _)| *status == 401).count();
    assert!(looked_at <= 6, "{looked_at} passwords were looked at");
    assert!(answers.iter().all(|(status, _)| matches!(status, 401 | 429)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_factor_is_asked_for_and_each_code_counts_once() {
    let world = World::empty().await;
    let (status, offer) = world.ask("root", "POST", "/api/v1/me/second-factor", None).await;
    assert_eq!(status, 200, "{offer}");
    let secret = offer["secret"].as_str().unwrap().to_owned();
    let code = |offset_s: i64| code_of(&secret, offset_s);
    let confirm = |code: String| {
        world.ask(
            "root",
            "PUT",
            "/api/v1/me/second-factor",
            Some(json!({ "code": code })),
        )
    };
    let (status, said) = confirm("000000".to_owned()).await;
    assert_eq!(
        (status, &said["errors"][0]["at"]),
        (422, &json!("body.code")),
        "{said}"
    );
    // The one before: the next is left for signing in.
    let (status, codes) = confirm(code(-30)).await;
    assert_eq!(status, 200, "{codes}");
    let sign_in = |code: Option<String>| {
        let body = json!({ "name": "root", "password": PASSWORD, "code": code });
        let body = if code.is_none() {
            json!({ "name": "root", "password": PASSWORD })
        } else {
            body
        };
        answer(world.site.request("POST", "/api/v1/session").json(&body))
    };
    let (status, said) = sign_in(None).await;
    assert_eq!(
        (status, &said["code"], &said["errors"][0]["at"]),
        (401, &json!("MST-A042"), &json!("body.code")),
        "{said}"
    );
    let now = code(0);
    assert_eq!(sign_in(Some(now.clone())).await.0, 200);
    assert_eq!(sign_in(Some(now)).await.0, 401, "a code that was used");
    let recovery = codes["codes"][0].as_str().unwrap().to_owned();
    assert_eq!(codes["codes"].as_array().unwrap().len(), 10);
    assert_eq!(sign_in(Some(recovery.clone())).await.0, 200);
    assert_eq!(
        sign_in(Some(recovery)).await.0,
        401,
        "a recovery code that was used"
    );
}

/// The code of an authenticator.
pub fn code_of(secret: &str, offset_s: i64) -> String {
    let secret = base32::decode(base32::Alphabet::Rfc4648 { padding: false }, secret).unwrap();
    let totp = totp_rs::Builder::new().with_secret(secret).build().unwrap();
    let now_s = crate::harness::now().as_millis() / 1_000 + offset_s;
    totp.generate(now_s as u64).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_is_signed_in_by_whoever_types_its_code() {
    let mut world = World::empty().await;
    world.add("program", &[("viewer", "*")]).await;
    let (status, started) = world.ask("", "POST", "/api/v1/device", None).await;
    assert_eq!(status, 200, "{started}");
    let ask = || {
        let body = json!({ "device_code": started["device_code"] });
        world.ask("", "POST", "/api/v1/device/session", Some(body))
    };
    assert_eq!(ask().await.1["code"], "MST-A049");
    let path = format!("/api/v1/device/{}", started["user_code"].as_str().unwrap());
    assert_eq!(
        world.ask("", "POST", &path, None).await.0,
        401,
        "nobody says yes for somebody"
    );
    assert_eq!(
        world.ask("program", "POST", &path, None).await.0,
        409,
        "a token becomes no session"
    );
    let (status, shown) = world.ask("root", "GET", &path, None).await;
    assert_eq!((status, &shown["from"]), (200, &json!("127.0.0.1")), "{shown}");
    assert_eq!(world.ask("root", "POST", &path, None).await.0, 204);
    let (status, signed_in) = ask().await;
    assert_eq!((status, &signed_in["name"]), (200, &json!("root")), "{signed_in}");
    assert_eq!(ask().await.0, 404, "told once");
    let session = signed_in["token"].as_str().unwrap().to_owned();
    world.tokens.insert("device".to_owned(), session);
    assert_eq!(world.ask("device", "GET", "/api/v1/people", None).await.0, 200);
    let written = world.audit("action=session.device&order=asc").await;
    let acts: Vec<&str> = written
        .iter()
        .filter(|entry| entry["outcome"] == "done")
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        acts,
        [
            "session.device.ask",
            "session.device.approve",
            "session.device.begin"
        ]
    );
    // Turned away.
    let (_, started) = world.ask("", "POST", "/api/v1/device", None).await;
    let path = format!("/api/v1/device/{}", started["user_code"].as_str().unwrap());
    assert_eq!(world.ask("root", "DELETE", &path, None).await.0, 204);
    let body = json!({ "device_code": started["device_code"] });
    let (status, said) = world.ask("", "POST", "/api/v1/device/session", Some(body)).await;
    assert_eq!((status, &said["code"]), (409, &json!("MST-A050")), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_survive_a_restart_and_end_with_the_password() {
    let mut world = World::empty().await;
    let grants = json!([{ "role": "viewer", "scope": "*" }]);
    let body = json!({ "grants": grants, "password": "a password of ada's own", "reason": "new" });
    assert_eq!(world.put_new("/api/v1/people/ada", body).await.0, 200);
    let session = world.session("ada", "a password of ada's own").await;
    world.tokens.insert("ada".to_owned(), session);
    // Over a restart.
    let World { site, data, tokens } = world;
    site.stop().await.unwrap();
    let mut options = crate::harness::options(data.path());
    options.access = muster_fleet::access::AccessMode::SignIn;
    let site = crate::harness::Site::start_with(options).await;
    let mut world = World { site, data, tokens };
    let (_, mine) = world.ask("ada", "GET", "/api/v1/sessions", None).await;
    assert_eq!(mine["items"].as_array().unwrap().len(), 1, "{mine}");
    assert_eq!(mine["items"][0]["current"], true);
    let (_, all) = world.ask("root", "GET", "/api/v1/sessions", None).await;
    assert!(all["items"].as_array().unwrap().len() >= 2, "{all}");
    // Another password needs the one so far, and ends what there is.
    let change = |current: &str| json!({ "current": current, "password": "another password of hers" });
    let path = "/api/v1/people/ada/password";
    let (status, said) = world.ask("ada", "PUT", path, Some(change("not it"))).await;
    assert_eq!(
        (status, &said["errors"][0]["at"]),
        (422, &json!("body.current")),
        "{said}"
    );
    let (status, said) = world
        .ask(
            "ada",
            "PUT",
            "/api/v1/people/root/password",
            Some(change(PASSWORD)),
        )
        .await;
    assert_eq!(status, 403, "{said}");
    assert_eq!(
        world
            .ask("ada", "PUT", path, Some(change("a password of ada's own")))
            .await
            .0,
        204
    );
    assert_eq!(world.ask("ada", "GET", "/api/v1/machines", None).await.0, 401);
    let session = world.session("ada", "another password of hers").await;
    world.tokens.insert("ada".to_owned(), session);
    // Ended by somebody else.
    let (_, mine) = world.ask("ada", "GET", "/api/v1/sessions", None).await;
    let path = format!("/api/v1/sessions/{}", mine["items"][0]["id"].as_str().unwrap());
    assert_eq!(world.ask("root", "DELETE", &path, None).await.0, 204);
    assert_eq!(world.ask("ada", "GET", "/api/v1/machines", None).await.0, 401);
    assert_eq!(world.ask("root", "DELETE", &path, None).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_does_no_more_than_its_owner_and_is_revoked() {
    let mut world = World::empty().await;
    world.add("ada", &[("operator", "label.site=munich")]).await;
    let make = |who: &'static str, more: serde_json::Value| {
        let mut body = json!({ "name": "for a script" });
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        world.ask(who, "POST", "/api/v1/tokens", Some(body))
    };
    // More than the owner may: made, and worth no more than the owner.
    let (status, made) = make(
        "ada",
        json!({ "grants": [{ "role": "admin", "scope": "*" }], "expires_in_s": 60 }),
    )
    .await;
    assert_eq!(status, 201, "{made}");
    let secret = made["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("mstt_"), "{secret}");
    for (more, at) in [
        (json!({ "name": "" }), "body.name"),
        (json!({ "expires_in_s": 59 }), "body.expires_in_s"),
        (json!({ "expires_in_s": 31_536_001 }), "body.expires_in_s"),
        (
            json!({ "grants": [{ "role": "viewer", "scope": "kind=car" }] }),
            "body.grants.0.scope",
        ),
    ] {
        let (status, said) = make("ada", more).await;
        assert_eq!((status, &said["errors"][0]["at"]), (422, &json!(at)), "{said}");
    }
    let (status, said) = make("ada", json!({ "owner": "root" })).await;
    assert_eq!(status, 403, "in another's name: {said}");
    // One that is not narrowed makes others, and none that outlives it.
    let (_, parent) = make("ada", json!({ "name": "parent", "expires_in_s": 3_600 })).await;
    let secret_of_parent = parent["secret"].as_str().unwrap().to_owned();
    let child = |more: serde_json::Value| {
        let request = world
            .site
            .request("POST", "/api/v1/tokens")
            .bearer_auth(&secret_of_parent);
        answer(request.json(&more))
    };
    let (status, said) = child(json!({ "name": "child", "expires_in_s": 7_200 })).await;
    assert_eq!(
        (status, &said["errors"][0]["at"]),
        (422, &json!("body.expires_in_s")),
        "{said}"
    );
    let (status, made) = child(json!({ "name": "child" })).await;
    assert_eq!(status, 201, "{made}");
    assert!(
        made["token"]["expires_at"].as_str() <= parent["token"]["expires_at"].as_str(),
        "{made}"
    );
    world.tokens.insert("script".to_owned(), secret.clone());
    assert_eq!(world.ask("script", "GET", "/api/v1/people", None).await.0, 403);
    let (_, machines) = world.ask("script", "GET", "/api/v1/machines", None).await;
    assert_eq!(machines["total"], 1, "{machines}");
    // A narrowed token makes and ends nothing.
    let (status, said) = world
        .ask(
            "script",
            "POST",
            "/api/v1/tokens",
            Some(json!({ "name": "more" })),
        )
        .await;
    assert_eq!(status, 403, "{said}");
    let (_, tokens) = world.ask("ada", "GET", "/api/v1/tokens", None).await;
    let shown = tokens["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|token| token["name"] == "for a script")
        .unwrap();
    assert!(shown["used_at"].is_string(), "{shown}");
    assert_eq!(shown["used_from"], "127.0.0.1");
    assert!(!tokens.to_string().contains(&secret), "told once");
    let path = format!("/api/v1/tokens/{}", shown["id"].as_str().unwrap());
    assert_eq!(world.ask("ada", "DELETE", &path, None).await.0, 204);
    assert_eq!(world.ask("script", "GET", "/api/v1/machines", None).await.0, 401);
    // What is on the disk is no token.
    let kept = std::fs::read(world.data.path().join("documents.db")).unwrap();
    let wal = std::fs::read(world.data.path().join("documents.db-wal")).unwrap_or_default();
    for secret in world.tokens.values() {
        let bytes = secret.as_bytes();
        let found = kept
            .windows(bytes.len())
            .chain(wal.windows(bytes.len()))
            .any(|window| window == bytes);
        assert!(!found, "a secret is kept as it is");
    }
}
