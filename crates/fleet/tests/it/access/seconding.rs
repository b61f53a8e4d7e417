//! What a policy lets wait for a second person: proposed by one, done by none but with another who could do it themselves.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::kit::{BERLIN, MUNICH, PASSWORD, World};
use crate::harness::{answer, id};

/// Root and grace administer everything, ada engineers everything, max engineers Berlin, eve sees; all signed in but the token of ada.
async fn world(policy: Value) -> World {
    let mut world = World::empty().await;
    for (name, role, scope) in [
        ("grace", "admin", "*"),
        ("ada", "engineer", "*"),
        ("max", "engineer", "label.site=berlin"),
        ("eve", "viewer", "*"),
    ] {
        let body =
            json!({ "grants": [{ "role": role, "scope": scope }], "password": PASSWORD, "reason": "a test" });
        let (status, said) = world.put_new(&format!("/api/v1/people/{name}"), body).await;
        assert_eq!(status, 200, "{said}");
        let session = world.session(name, PASSWORD).await;
        world.tokens.insert(name.to_owned(), session);
    }
    let (status, said) = world.put_new("/api/v1/policies/two-people", policy).await;
    assert_eq!(status, 200, "{said}");
    world
}

fn policy(permissions: &[&str], condition: &str) -> Value {
    json!({ "effect": "second_person", "permissions": permissions, "condition": condition,
            "description": "nobody does that alone", "reason": "a test" })
}

fn labels(number: u32) -> String {
    format!("/api/v1/machines/{}/labels", id(number))
}

impl World {
    /// Proposes labels in somebody's name; the name of the proposal.
    async fn label(&self, who: &str, number: u32, line: &str) -> (u16, Value) {
        let site = if number == MUNICH { "munich" } else { "berlin" };
        let body = json!({ "labels": { "site": site, "line": line } });
        let request = self
            .site
            .request("PUT", &labels(number))
            .header("If-Match", "*")
            .json(&body);
        answer(request.bearer_auth(&self.tokens[who])).await
    }

    async fn line(&self, number: u32) -> Value {
        self.ask("root", "GET", &labels(number), None).await.1["labels"]["line"].clone()
    }

    async fn approve(&self, who: &str, proposal: &str) -> (u16, Value) {
        let path = format!("/api/v1/proposals/{proposal}/approve");
        self.ask(who, "POST", &path, Some(json!({ "reason": "seen" })))
            .await
    }
}

fn proposal((status, said): &(u16, Value)) -> String {
    assert_eq!((*status, &said["code"]), (403, &json!("MST-A080")), "{said}");
    assert!(
        said["detail"]
            .as_str()
            .unwrap()
            .contains("nobody does that alone"),
        "{said}"
    );
    said["proposal"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_done_when_somebody_else_who_could_do_it_says_yes_and_not_before() {
    let world = world(policy(&["configure"], "true")).await;
    let asked = world.label("ada", MUNICH, "3").await;
    let waiting = proposal(&asked);
    assert_eq!(world.line(MUNICH).await, Value::Null, "nothing was done");
    assert_eq!(
        proposal(&world.label("ada", MUNICH, "3").await),
        waiting,
        "the same is not kept twice"
    );
    assert_ne!(proposal(&world.label("ada", MUNICH, "4").await), waiting);

    // Who proposed it, who may not do it, and who does not even see the machine.
    let (status, said) = world.approve("ada", &waiting).await;
    assert_eq!(status, 403, "{said}");
    assert!(
        said["detail"].as_str().unwrap().contains("somebody else"),
        "{said}"
    );
    let (_, mine) = world
        .ask("ada", "GET", &format!("/api/v1/proposals/{waiting}"), None)
        .await;
    assert_eq!(
        (&mine["state"], &mine["may_decide"]),
        (&json!("waiting"), &json!(false)),
        "{mine}"
    );
    assert!(
        mine["body"].as_str().unwrap().contains("\"line\":\"3\""),
        "{mine}"
    );
    for stranger in ["eve", "max"] {
        assert_eq!(world.approve(stranger, &waiting).await.0, 404, "{stranger}");
        let (_, list) = world.ask(stranger, "GET", "/api/v1/proposals", None).await;
        assert_eq!(list["items"], json!([]), "{stranger}");
    }
    // A program is no second person.
    let (status, made) = world
        .ask("grace", "POST", "/api/v1/tokens", Some(json!({ "name": "bot" })))
        .await;
    assert_eq!(status, 201, "{made}");
    let path = format!("/api/v1/proposals/{waiting}/approve");
    let request = world.site.request("POST", &path).json(&json!({}));
    let (status, said) = answer(request.bearer_auth(made["secret"].as_str().unwrap())).await;
    assert_eq!(status, 403, "{said}");
    assert_eq!(world.line(MUNICH).await, Value::Null);

    let (_, list) = world
        .ask("grace", "GET", "/api/v1/proposals?state=waiting", None)
        .await;
    assert_eq!(
        (list["items"].as_array().unwrap().len(), &list["for_you"]),
        (2, &json!(2)),
        "{list}"
    );
    let (status, done) = world.approve("grace", &waiting).await;
    assert_eq!(
        (status, &done["state"], &done["status"]),
        (200, &json!("done"), &json!(200)),
        "{done}"
    );
    assert_eq!(world.line(MUNICH).await, json!("3"));
    let (status, said) = world.approve("root", &waiting).await;
    assert_eq!((status, &said["code"]), (409, &json!("MST-A081")), "{said}");

    let acts = world.audit("action=machines.label&order=asc").await;
    let said: Vec<String> = acts
        .iter()
        .filter(|entry| entry["person"] == "ada")
        .map(|entry| format!("{} {} {}", entry["by"], entry["outcome"], entry["second_person"]))
        .collect();
    assert_eq!(
        said,
        [
            "\"session\" \"proposed\" null",
            "\"session\" \"proposed\" null",
            "\"proposal\" \"done\" \"grace\"",
        ]
    );
    let rule = acts.last().unwrap()["rule"].as_str().unwrap();
    assert!(
        rule.contains("ada is engineer") && rule.contains("grace is admin"),
        "{rule}"
    );
    let approved = world.audit("action=proposals.approve&outcome=done").await;
    assert_eq!(
        (&approved[0]["person"], &approved[0]["reason"]),
        (&json!("grace"), &json!("seen"))
    );
    assert_eq!(approved[0]["objects"][0]["id"], json!(waiting));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_is_refused_and_what_only_looks_or_stops_does_not_wait() {
    let world = world(policy(&[], "true")).await;
    let (status, said) = world.label("eve", MUNICH, "3").await;
    assert_eq!((status, &said["code"]), (403, &json!("MST-A045")), "{said}");
    assert_eq!(world.ask("grace", "GET", "/api/v1/people", None).await.0, 200);
    assert_eq!(world.ask("grace", "GET", "/api/v1/audit", None).await.0, 200);
    let check = json!({ "person": "ada" });
    let (status, said) = world
        .ask("grace", "POST", "/api/v1/access/check", Some(check))
        .await;
    assert_eq!(status, 200, "{said}");
    let of = |permission: &str| {
        let decisions = said["decisions"].as_array().unwrap();
        let found = decisions
            .iter()
            .find(|one| one["permission"] == permission)
            .unwrap();
        (found["allowed"].clone(), found["second_person"].clone())
    };
    assert_eq!(of("deploy"), (json!(true), json!("two-people")));
    assert_eq!(of("read"), (json!(true), Value::Null));
    assert_eq!(of("administer"), (json!(false), Value::Null));
    let body = json!({ "reason": "smoke" });
    let path = format!("/api/v1/machines/{}/stop", id(MUNICH));
    assert_eq!(
        world.ask("grace", "POST", &path, Some(body)).await.0,
        202,
        "a stop never waits"
    );
    for (permissions, at) in [(["stop"], "permissions"), (["read"], "permissions")] {
        let (status, said) = world
            .put_new("/api/v1/policies/another", policy(&permissions, "true"))
            .await;
        // Even this change is checked first by a second person.
        let waiting = proposal(&(status, said));
        let (_, failed) = world.approve("grace", &waiting).await;
        assert_eq!(
            (&failed["state"], &failed["status"]),
            (&json!("failed"), &json!(422)),
            "{failed} {at}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_no_longer_has_nothing_done_in_their_name() {
    let mut world = world(policy(&["configure", "administer"], "permission == 'configure'")).await;
    // Changed in between.
    let version = json!({ "labels": { "site": "munich", "line": "1" } });
    let request = world
        .site
        .request("PUT", &labels(MUNICH))
        .header("If-Match", "\"999\"")
        .json(&version);
    let stale = proposal(&answer(request.bearer_auth(&world.tokens["ada"])).await);
    let (_, failed) = world.approve("grace", &stale).await;
    assert_eq!(
        (&failed["state"], &failed["status"]),
        (&json!("failed"), &json!(412)),
        "{failed}"
    );
    assert!(failed["detail"].as_str().unwrap().contains("MST-A0"), "{failed}");
    // The second person may see it done elsewhere only.
    let berlin = proposal(&world.label("ada", BERLIN, "3").await);
    let (_, list) = world.ask("max", "GET", "/api/v1/proposals", None).await;
    assert_eq!(list["for_you"], 1, "{list}");
    // Demoted meanwhile.
    let (_, ada) = world.ask("root", "GET", "/api/v1/people/ada", None).await;
    let body = json!({ "grants": [{ "role": "viewer", "scope": "*" }], "reason": "left the team" });
    let change = world
        .site
        .request("PUT", "/api/v1/people/ada")
        .header("If-Match", format!("\"{}\"", ada["version"]));
    let (status, said) = answer(change.json(&body).bearer_auth(&world.tokens["root"])).await;
    assert_eq!(status, 200, "{said}");
    let (status, failed) = world.approve("max", &berlin).await;
    assert_eq!(
        (status, &failed["state"], &failed["status"]),
        (200, &json!("failed"), &json!(403)),
        "{failed}"
    );
    assert_eq!(world.line(BERLIN).await, Value::Null);
    // A token that was revoked meanwhile.
    let (_, made) = world
        .ask("grace", "POST", "/api/v1/tokens", Some(json!({ "name": "bot" })))
        .await;
    world
        .tokens
        .insert("bot".to_owned(), made["secret"].as_str().unwrap().to_owned());
    let by_token = proposal(&world.label("bot", BERLIN, "5").await);
    let (_, own) = world
        .ask("grace", "GET", &format!("/api/v1/proposals/{by_token}"), None)
        .await;
    assert_eq!(
        own["may_decide"], false,
        "one's own token is not somebody else: {own}"
    );
    let path = format!("/api/v1/tokens/{}", made["token"]["id"].as_str().unwrap());
    assert_eq!(world.ask("grace", "DELETE", &path, None).await.0, 204);
    let (_, failed) = world.approve("root", &by_token).await;
    assert_eq!(failed["state"], "failed", "{failed}");
    assert_eq!(world.line(BERLIN).await, Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_can_be_refused_and_taken_back_and_secrets_are_for_nobody_else() {
    let world = world(policy(
        &["administer"],
        "action.startsWith('people.') || action == 'tokens.make'",
    ))
    .await;
    let body =
        json!({ "grants": [], "password": "a secret that nobody sees", "reason": "for the night shift" });
    let asked = world.put_new("/api/v1/people/joan", body).await;
    let waiting = proposal(&asked);
    let path = format!("/api/v1/proposals/{waiting}");
    let (_, seen) = world.ask("grace", "GET", &path, None).await;
    assert!(!seen.to_string().contains("nobody sees"), "{seen}");
    assert_eq!(seen["reason"], "for the night shift");
    let (status, _) = world
        .ask(
            "grace",
            "POST",
            &format!("{path}/refuse"),
            Some(json!({ "reason": " " })),
        )
        .await;
    assert_eq!(status, 422);
    assert_eq!(
        world.ask("grace", "DELETE", &path, None).await.0,
        403,
        "it is not theirs to take back"
    );
    let (_, done) = world.approve("grace", &waiting).await;
    assert_eq!(done["state"], "done", "{done}");
    world.session("joan", "a secret that nobody sees").await;

    // What is told once, is told to whoever proposed it.
    let token = json!({ "name": "bot", "owner": "ada" });
    let waiting = proposal(&world.ask("root", "POST", "/api/v1/tokens", Some(token)).await);
    let (_, done) = world.approve("grace", &waiting).await;
    assert_eq!(
        (&done["state"], &done["answer"]),
        (&json!("done"), &Value::Null),
        "{done}"
    );
    let (_, mine) = world
        .ask("root", "GET", &format!("/api/v1/proposals/{waiting}"), None)
        .await;
    let made: Value = serde_json::from_str(mine["answer"].as_str().unwrap()).unwrap();
    let secret = made["secret"].as_str().unwrap();
    let me = world.site.request("GET", "/api/v1/me").bearer_auth(secret);
    assert_eq!(answer(me).await.1["name"], "ada");

    let again = json!({ "grants": [], "reason": "again" });
    let refused = proposal(&world.put_new("/api/v1/people/jim", again.clone()).await);
    let path = format!("/api/v1/proposals/{refused}");
    let no = json!({ "reason": "who is that?" });
    let (_, said) = world
        .ask("grace", "POST", &format!("{path}/refuse"), Some(no))
        .await;
    assert_eq!(
        (&said["state"], &said["decided_by"]),
        (&json!("refused"), &json!("grace")),
        "{said}"
    );
    let taken_back = proposal(&world.put_new("/api/v1/people/jim", again).await);
    assert_ne!(taken_back, refused);
    let path = format!("/api/v1/proposals/{taken_back}");
    assert_eq!(world.ask("root", "DELETE", &path, None).await.0, 204);
    assert_eq!(world.approve("grace", &taken_back).await.0, 409);
    assert_eq!(world.ask("root", "GET", "/api/v1/people/jim", None).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_locks_themselves_out() {
    let world = World::empty().await;
    let (status, said) = world
        .put_new("/api/v1/policies/two", policy(&["administer"], "true"))
        .await;
    assert_eq!(status, 409, "there is one admin only: {said}");
    assert_eq!(
        world
            .put_new("/api/v1/policies/two", policy(&["deploy"], "true"))
            .await
            .0,
        200
    );
    let admin =
        json!({ "grants": [{ "role": "admin", "scope": "*" }], "password": PASSWORD, "reason": "a test" });
    assert_eq!(world.put_new("/api/v1/people/grace", admin).await.0, 200);
    let about = policy(&["administer"], "action != 'people.remove'");
    assert_eq!(world.put_new("/api/v1/policies/three", about).await.0, 200);
    let gone = world
        .site
        .request("DELETE", "/api/v1/people/grace?reason=gone")
        .header("If-Match", "*");
    let (status, said) = answer(gone.bearer_auth(&world.tokens["root"])).await;
    assert_eq!((status, &said["code"]), (409, &json!("MST-A046")), "{said}");
    // Nor by a policy that forbids it to one of the two, in either order.
    let forbids = json!({ "effect": "forbid", "permissions": ["administer"], "condition": "person.name == 'grace'",
                          "description": "not grace", "reason": "a test" });
    let (status, said) = world.put_new("/api/v1/policies/not-grace", forbids.clone()).await;
    assert_eq!(status, 403, "it waits: {said}");
    let session = world.session("grace", PASSWORD).await;
    let path = format!("/api/v1/proposals/{}/approve", said["proposal"].as_str().unwrap());
    let yes = world
        .site
        .request("POST", &path)
        .json(&json!({}))
        .bearer_auth(&session);
    let (_, failed) = answer(yes).await;
    assert_eq!(
        (&failed["state"], &failed["status"]),
        (&json!("failed"), &json!(409)),
        "{failed}"
    );
    let gone = world
        .site
        .request("DELETE", "/api/v1/policies/three?reason=over")
        .header("If-Match", "*");
    let (_, waits) = answer(gone.bearer_auth(&world.tokens["root"])).await;
    let path = format!(
        "/api/v1/proposals/{}/approve",
        waits["proposal"].as_str().unwrap()
    );
    let yes = world
        .site
        .request("POST", &path)
        .json(&json!({}))
        .bearer_auth(&session);
    assert_eq!(answer(yes).await.1["state"], "done");
    assert_eq!(world.put_new("/api/v1/policies/not-grace", forbids).await.0, 200);
    let again = world
        .put_new("/api/v1/policies/three", policy(&["administer"], "true"))
        .await;
    assert_eq!(again.0, 409, "{}", again.1);
}

/// What is decided on the way is asked of both, and of a token what it was narrowed to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_must_be_allowed_to_do_all_of_it() {
    let mut world = world(policy(&["configure"], "true")).await;
    let narrow =
        json!({ "name": "berlin", "grants": [{ "role": "engineer", "scope": "label.site=berlin" }] });
    let (_, made) = world.ask("ada", "POST", "/api/v1/tokens", Some(narrow)).await;
    world
        .tokens
        .insert("narrowed".to_owned(), made["secret"].as_str().unwrap().to_owned());
    let narrowed = proposal(&world.label("narrowed", BERLIN, "9").await);
    // To Munich: max may do it to the machine as it is, not as it would be.
    let body = json!({ "labels": { "site": "munich" } });
    let request = world
        .site
        .request("PUT", &labels(BERLIN))
        .header("If-Match", "*")
        .json(&body);
    let moves = proposal(&answer(request.bearer_auth(&world.tokens["ada"])).await);
    let (_, failed) = world.approve("max", &moves).await;
    assert_eq!(
        (&failed["state"], &failed["status"]),
        (&json!("failed"), &json!(403)),
        "{failed}"
    );
    assert!(
        failed["detail"]
            .as_str()
            .unwrap()
            .contains("max cannot be the second person"),
        "{failed}"
    );
    let request = world
        .site
        .request("PUT", &labels(BERLIN))
        .header("If-Match", "*")
        .json(&body);
    let moves = proposal(&answer(request.bearer_auth(&world.tokens["ada"])).await);
    assert_eq!(world.approve("grace", &moves).await.1["state"], "done");
    // Out of the reach of the token, though not of its owner.
    let (_, failed) = world.approve("grace", &narrowed).await;
    assert_eq!(failed["state"], "failed", "{failed}");
    assert_eq!(world.line(BERLIN).await, Value::Null);
}

/// Names that people choose hide nothing from who says yes, and a token that is narrowed learns nothing of what its owner proposed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_seen_by_who_decides_and_its_answer_by_who_proposed_it() {
    let mut world = world(policy(
        &["configure", "administer"],
        "action != 'policies.change'",
    ))
    .await;
    let body = json!({ "labels": { "site": "munich", "code": "7", "secret": "x", "password": "y" } });
    let request = world
        .site
        .request("PUT", &labels(MUNICH))
        .header("If-Match", "*")
        .json(&body);
    let hidden = proposal(&answer(request.bearer_auth(&world.tokens["ada"])).await);
    let (_, seen) = world
        .ask("grace", "GET", &format!("/api/v1/proposals/{hidden}"), None)
        .await;
    let shown: Value = serde_json::from_str(seen["body"].as_str().unwrap()).unwrap();
    assert_eq!(shown, body);

    let narrow = json!({ "name": "narrow", "grants": [{ "role": "viewer", "scope": "label.site=munich" }] });
    let (_, made) = world.ask("root", "POST", "/api/v1/tokens", Some(narrow)).await;
    world
        .tokens
        .insert("narrow".to_owned(), made["secret"].as_str().unwrap().to_owned());
    let token = json!({ "name": "bot", "owner": "ada" });
    let waiting = proposal(&world.ask("root", "POST", "/api/v1/tokens", Some(token)).await);
    let path = format!("/api/v1/proposals/{waiting}");
    assert_eq!(world.ask("narrow", "GET", &path, None).await.0, 404);
    assert_eq!(world.ask("narrow", "DELETE", &path, None).await.0, 404);
    assert_eq!(world.approve("grace", &waiting).await.1["state"], "done");
    assert_eq!(world.ask("narrow", "GET", &path, None).await.0, 404);
    let (_, mine) = world.ask("root", "GET", &path, None).await;
    assert!(mine["answer"].as_str().unwrap().contains("mstt_"), "{mine}");

    // Somebody else's session is ended by two as well.
    let (_, sessions) = world
        .ask("root", "GET", "/api/v1/sessions?person=ada", None)
        .await;
    let path = format!(
        "/api/v1/sessions/{}",
        sessions["items"][0]["id"].as_str().unwrap()
    );
    let ends = proposal(&world.ask("root", "DELETE", &path, None).await);
    assert_eq!(world.ask("ada", "GET", "/api/v1/me", None).await.1["name"], "ada");
    assert_eq!(world.approve("grace", &ends).await.1["state"], "done");
    assert_eq!(
        world.ask("ada", "GET", "/api/v1/me", None).await.1["name"],
        Value::Null
    );
}

/// A new password ends what waits: whoever stole a session must not have something done with it later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_password_ends_what_was_proposed() {
    let world = world(policy(&["configure"], "true")).await;
    let waiting = proposal(&world.label("ada", MUNICH, "3").await);
    let password = json!({ "password": "another long password" });
    let (status, said) = world
        .ask("root", "PUT", "/api/v1/people/ada/password", Some(password))
        .await;
    assert_eq!(status, 204, "{said}");
    let (_, failed) = world.approve("grace", &waiting).await;
    assert_eq!(
        (&failed["state"], &failed["status"]),
        (&json!("failed"), &json!(403)),
        "{failed}"
    );
    assert_eq!(world.line(MUNICH).await, Value::Null);
}

/// Two second persons at once: one of them carries it out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_say_yes_at_once_one_carries_it_out() {
    let world = world(policy(&["configure"], "true")).await;
    for round in 0..10 {
        let waiting = proposal(&world.label("ada", MUNICH, &round.to_string()).await);
        let done = AtomicUsize::new(0);
        let yes = async |who| {
            let (status, said) = world.approve(who, &waiting).await;
            match status {
                200 => assert_eq!(said["state"], "done", "{said}"),
                _ => assert_eq!(status, 409, "{said}"),
            }
            done.fetch_add(usize::from(status == 200), Ordering::Relaxed);
        };
        tokio::join!(yes("grace"), yes("root"));
        assert_eq!(done.load(Ordering::Relaxed), 1, "round {round}");
    }
    let acts = world.audit("action=machines.label&outcome=done&person=ada").await;
    assert_eq!(acts.len(), 10);
}
