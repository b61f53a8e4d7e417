//! Who may give machines identities, where that is granted for some machines only: every act × every actor × machines and tokens of every place.
//!
//! What is expected is computed here from sites, not by the code that decides.

use std::collections::BTreeMap;

use muster_fleet::access::AccessMode;
use serde_json::{Value, json};

use super::kit::{Enrolled, Guarded, Key, options};
use crate::harness::{self, until};

const PASSWORD: &str = "correct horse battery staple";
/// A machine that is nowhere.
const NOBODY: &str = "0192f0c1-7b5e-7c3a-8d2f-0000000000ff";

/// Who asks, with their grants.
const ACTORS: &[(&str, &[(&str, &str)])] = &[
    ("nothing", &[]),
    ("viewer", &[("viewer", "*")]),
    ("engineer", &[("engineer", "*")]),
    ("admin", &[("admin", "*")]),
    ("admin-munich", &[("admin", "label.site=munich")]),
    ("admin-berlin", &[("admin", "label.site=berlin")]),
    (
        "admin-both",
        &[("admin", "label.site=berlin"), ("admin", "label.site=munich")],
    ),
    ("mixed", &[("viewer", "*"), ("admin", "label.site=munich")]),
    // Every id has a dash; none is chosen before a machine comes.
    ("admin-of-ids", &[("admin", "id~-")]),
    // A token of the admin, narrowed.
    ("narrowed", &[("admin", "label.site=munich")]),
];

/// Whether some of the grants hold this for a machine of a site; of one without an id, if `new`.
fn holds(grants: &[(&str, &str)], permission: &str, site: &str, new: bool) -> bool {
    grants.iter().any(|(role, scope)| {
        let held = *role == "admin" || permission == "read";
        let reaches = match *scope {
            "*" => true,
            "id~-" => !new,
            scope => scope == format!("label.site={site}"),
        };
        held && reaches
    })
}

fn enrols_some(grants: &[(&str, &str)]) -> bool {
    grants.iter().any(|(role, _)| *role == "admin")
}

struct World {
    site: Guarded,
    tokens: BTreeMap<&'static str, String>,
}

impl World {
    async fn start(data: &std::path::Path) -> Self {
        let mut options = options(data);
        options.access = AccessMode::SignIn;
        let site = Guarded::start_with(options).await;
        let link = site.access.set_up_secret().unwrap().unwrap();
        let body = json!({ "token": link.reveal(), "name": "root", "password": PASSWORD });
        let (status, said) = site.ask("POST", "/api/v1/set-up", Some(body)).await;
        assert_eq!(status, 200, "{said}");
        let body = json!({ "name": "root", "password": PASSWORD, "as_token": true });
        let (status, said) = site.ask("POST", "/api/v1/session", Some(body)).await;
        assert_eq!(status, 200, "{said}");
        let root = said["token"].as_str().unwrap().to_owned();
        let mut world = Self {
            site,
            tokens: [("root", root)].into(),
        };
        for (name, grants) in ACTORS.iter().filter(|(name, _)| *name != "narrowed") {
            let body = json!({ "grants": grants_of(grants), "reason": "a test" });
            let url = format!("https://{}/api/v1/people/{name}", world.site.people);
            let request = world.site.http.put(url).header("If-None-Match", "*").json(&body);
            let (status, said) = harness::answer(request.bearer_auth(&world.tokens["root"])).await;
            assert_eq!(status, 200, "{said}");
            let body = json!({ "name": "a test", "owner": name });
            let made = world.surely("root", "POST", "/api/v1/tokens", Some(body)).await;
            world
                .tokens
                .insert(name, made["secret"].as_str().unwrap().to_owned());
        }
        let narrowed = ACTORS.last().unwrap();
        let body = json!({ "name": "narrowed", "grants": grants_of(narrowed.1) });
        let made = world.surely("admin", "POST", "/api/v1/tokens", Some(body)).await;
        world
            .tokens
            .insert("narrowed", made["secret"].as_str().unwrap().to_owned());
        world
    }

    async fn ask(&self, who: &str, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        self.site.ask_by(&self.tokens[who], method, path, body).await
    }

    async fn surely(&self, who: &str, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, said) = self.ask(who, method, path, body).await;
        assert!(
            (200..300).contains(&status),
            "{who} {method} {path}: {status} {said}"
        );
        said
    }

    async fn invite(&self, labels: &Value) -> Value {
        let body = json!({ "labels": labels, "name": "frida" });
        self.surely("root", "POST", "/api/v1/enrolments", Some(body))
            .await
    }

    async fn machine(&self, body: Value) -> Enrolled {
        let made = self
            .surely("root", "POST", "/api/v1/enrolments", Some(body))
            .await;
        let key = Key::new();
        let (status, issued) = self.site.enrol(made["token"].as_str().unwrap(), &key.csr()).await;
        assert_eq!(status, 200, "{issued}");
        Enrolled::new(&key, &issued)
    }

    /// Waits until the labels of a machine that came are in the log.
    async fn joined(&self, machine: &Enrolled) {
        let path = format!("/api/v1/machines/{}/events?kind=identity.enrolled", machine.id);
        until("the machine has joined", || async {
            let (status, page) = self.ask("root", "GET", &path, None).await;
            (status == 200 && !page["items"][0].is_null()).then_some(())
        })
        .await;
    }

    /// Ids that a list names.
    async fn listed(&self, who: &str, path: &str, key: &str) -> Vec<String> {
        let page = self.surely(who, "GET", path, None).await;
        let ids = page["items"].as_array().unwrap().iter();
        let mut ids: Vec<String> = ids.map(|item| item[key].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    }
}

fn grants_of(grants: &[(&str, &str)]) -> Vec<Value> {
    let grants = grants.iter();
    grants
        .map(|(role, scope)| json!({ "role": role, "scope": scope }))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_act_on_an_identity_is_decided_by_where_its_machine_is() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path()).await;
    let munich = |policy: &str| json!({ "labels": { "site": "munich" }, "policy": policy, "kind": "car" });
    // One that came, one that waits, one that has not come yet, one that came and moved, one that is nowhere.
    let came = world.machine(munich("accept")).await;
    let _came = came.session(world.site.machines).await;
    world.joined(&came).await;
    let waits = world.machine(munich("pending")).await;
    let away = world.machine(json!({ "labels": { "site": "berlin" } })).await;
    let moved = world.machine(munich("accept")).await;
    let _moved = moved.session(world.site.machines).await;
    world.joined(&moved).await;
    let url = format!(
        "https://{}/api/v1/machines/{}/labels",
        world.site.people, moved.id
    );
    let request = world.site.http.put(url).header("If-Match", "*");
    let request = request.json(&json!({ "labels": { "site": "berlin" } }));
    let (status, said) = harness::answer(request.bearer_auth(&world.tokens["root"])).await;
    assert_eq!(status, 200, "{said}");
    let bare = world.machine(json!({})).await;
    let machines = [
        (&came.id, "munich"),
        (&waits.id, "munich"),
        (&away.id, "berlin"),
        (&moved.id, "berlin"),
        (&bare.id, "-"),
    ];
    let unknown = NOBODY.to_owned();
    let acts = [
        ("GET", "", None, 200),
        ("POST", "/renew", None, 202),
        ("POST", "/enrolment", None, 201),
        ("POST", "/accept", None, 200),
        ("POST", "/revoke", Some(json!({ "reason": "a test" })), 200),
    ];
    let mut cells = 0;
    for (method, act, body, done) in acts {
        for (who, grants) in ACTORS {
            for (id, place) in machines.iter().chain([&(&unknown, "nowhere")]) {
                let path = format!("/api/v1/identities/{id}{act}");
                let (status, said) = world.ask(who, method, &path, body.clone()).await;
                let is_there = **id != unknown && holds(grants, "read", place, false);
                let expected = match (is_there, holds(grants, "enrol", place, false)) {
                    (false, _) => (404, json!("MST-A004")),
                    (true, false) => (403, json!("MST-A045")),
                    (true, true) => (done, Value::Null),
                };
                assert_eq!(
                    (status, said["code"].clone()),
                    expected,
                    "{who} {method} {path}: {said}"
                );
                cells += 1;
            }
        }
    }
    println!("figure identities: {cells} cells, all as expected");
    for (who, grants) in ACTORS {
        if !enrols_some(grants) {
            for path in ["/api/v1/identities", "/api/v1/enrolments"] {
                assert_eq!(world.ask(who, "GET", path, None).await.0, 403, "{who} {path}");
            }
            continue;
        }
        let seen = machines
            .iter()
            .filter(|(_, place)| holds(grants, "enrol", place, false));
        let mut seen: Vec<String> = seen.map(|(id, _)| (*id).clone()).collect();
        seen.sort();
        assert_eq!(
            world.listed(who, "/api/v1/identities", "machine_id").await,
            seen,
            "{who}"
        );
        // Pages and their total are of what is seen.
        let page = world.surely(who, "GET", "/api/v1/identities?limit=1", None).await;
        assert_eq!(page["total"], seen.len(), "{who}");
        assert_eq!(page["items"].as_array().unwrap().len(), 1, "{who}");
        // Their enrolments go with the machines that used them or are to use them.
        let page = world.surely(who, "GET", "/api/v1/enrolments", None).await;
        let stray = page["items"].as_array().unwrap().iter().find(|item| {
            let machine = item["machine_id"].as_str();
            machine.is_none_or(|machine| !seen.iter().any(|seen| seen == machine))
        });
        assert_eq!(stray, None, "{who}");
        assert!(page["items"].as_array().unwrap().len() >= seen.len(), "{who}");
    }
    world.site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_made_for_machines_within_reach_and_else_the_missing_label_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path()).await;
    let kinds = [
        ("munich", json!({ "site": "munich", "team": "red" })),
        ("berlin", json!({ "site": "berlin" })),
        ("-", json!({})),
    ];
    for (who, grants) in ACTORS {
        for (place, labels) in &kinds {
            let body = json!({ "labels": labels, "kind": "car" });
            let (status, said) = world.ask(who, "POST", "/api/v1/enrolments", Some(body)).await;
            if holds(grants, "enrol", place, true) {
                assert_eq!(status, 201, "{who} {place}: {said}");
            } else {
                assert_eq!(
                    (status, &said["code"]),
                    (403, &json!("MST-A045")),
                    "{who} {place}: {said}"
                );
                let detail = said["detail"].as_str().unwrap();
                let owner = if *who == "narrowed" {
                    "narrowed to admin on"
                } else {
                    who
                };
                assert!(
                    detail.contains("needs enrol") && detail.contains(owner),
                    "{who}: {detail}"
                );
            }
        }
    }
    let lacks = async |who: &str, labels: Value| {
        let body = json!({ "labels": labels });
        let (_, said) = world.ask(who, "POST", "/api/v1/enrolments", Some(body)).await;
        let detail = said["detail"].as_str().unwrap().to_owned();
        detail
            .split_once("; it lacks ")
            .map(|(_, lacking)| lacking.to_owned())
    };
    let said = async |text: &str| Some(text.to_owned());
    assert_eq!(
        lacks("admin-munich", json!({})).await,
        said("label.site=munich").await
    );
    assert_eq!(
        lacks("admin-munich", json!({ "site": "ulm" })).await,
        said("label.site=munich").await
    );
    assert_eq!(
        lacks("narrowed", json!({})).await,
        said("label.site=munich").await
    );
    assert_eq!(
        lacks("admin-both", json!({})).await,
        said("label.site=berlin, or label.site=munich").await
    );
    assert_eq!(
        lacks("admin-of-ids", json!({})).await,
        said("an id, which the server chooses later").await
    );
    // Who may enrol nothing at all is not led on.
    assert_eq!(lacks("engineer", json!({})).await, None);

    for (who, grants) in ACTORS {
        for (place, labels) in &kinds {
            let made = world.invite(labels).await;
            let id = made["enrolment"]["id"].as_str().unwrap();
            let path = format!("/api/v1/enrolments/{id}");
            let may = holds(grants, "enrol", place, true);
            if enrols_some(grants) {
                let listed = world.listed(who, "/api/v1/enrolments", "id").await;
                assert_eq!(listed.iter().any(|listed| listed == id), may, "{who} {place}");
            }
            let (status, said) = world.ask(who, "DELETE", &path, None).await;
            let expected = match (may, enrols_some(grants)) {
                (true, _) => 204,
                (false, true) => 404,
                (false, false) => 403,
            };
            assert_eq!(status, expected, "{who} {place}: {said}");
            let is_there = world.listed("root", "/api/v1/enrolments", "id").await;
            assert_eq!(is_there.iter().any(|there| there == id), !may, "{who} {place}");
        }
    }
    world.site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_decides_where_machines_may_be_enrolled_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path()).await;
    let policy = json!({
        "effect": "forbid", "permissions": ["enrol"], "description": "no cranes",
        "condition": "machine != null && machine.kind == 'crane'", "reason": "a test",
    });
    let url = format!("https://{}/api/v1/policies/cranes", world.site.people);
    let request = world
        .site
        .http
        .put(url)
        .header("If-None-Match", "*")
        .json(&policy);
    let (status, said) = harness::answer(request.bearer_auth(&world.tokens["root"])).await;
    assert_eq!(status, 200, "{said}");
    for (kind, expected) in [("crane", 403), ("car", 201)] {
        let body = json!({ "labels": { "site": "munich" }, "kind": kind });
        let (status, said) = world
            .ask("admin-munich", "POST", "/api/v1/enrolments", Some(body))
            .await;
        assert_eq!(status, expected, "{said}");
        if status == 403 {
            assert_eq!(said["detail"], "the policy cranes forbids it: no cranes");
        }
    }
    world.site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_log_says_which_machine_and_which_token() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path()).await;
    let body = json!({ "labels": { "site": "munich" }, "name": "frida", "policy": "pending" });
    let made = world
        .surely("admin-munich", "POST", "/api/v1/enrolments", Some(body))
        .await;
    let enrolment = json!({ "kind": "enrolment", "id": made["enrolment"]["id"], "name": "frida" });
    let key = Key::new();
    let (status, issued) = world
        .site
        .enrol(made["token"].as_str().unwrap(), &key.csr())
        .await;
    assert_eq!(status, 200, "{issued}");
    let machine = json!({ "kind": "machine", "id": issued["machine_id"], "name": "frida" });
    let path = format!("/api/v1/identities/{}", issued["machine_id"].as_str().unwrap());
    world
        .surely("admin-munich", "POST", &format!("{path}/accept"), None)
        .await;
    world
        .surely("admin-munich", "POST", &format!("{path}/renew"), None)
        .await;
    let again = world
        .surely("admin-munich", "POST", &format!("{path}/enrolment"), None)
        .await;
    let again = json!({ "kind": "enrolment", "id": again["enrolment"]["id"], "name": "frida" });
    let body = json!({ "reason": "it was stolen" });
    world
        .surely("admin-munich", "POST", &format!("{path}/revoke"), Some(body))
        .await;
    let withdrawn = format!("/api/v1/enrolments/{}", again["id"].as_str().unwrap());
    world.surely("admin-munich", "DELETE", &withdrawn, None).await;
    let page = world.surely("root", "GET", "/api/v1/audit?limit=6", None).await;
    let entries: Vec<(&str, &str, &Value)> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap();
            (text("person"), text("action"), &entry["objects"])
        })
        .collect();
    let both = json!([machine, enrolment]);
    let (one, anew) = (json!([machine]), json!([machine, again]));
    let last = json!([again]);
    assert_eq!(
        entries,
        [
            ("", "machines.enrol", &both),
            ("admin-munich", "identities.accept", &one),
            ("admin-munich", "identities.renew", &one),
            ("admin-munich", "enrolments.make", &anew),
            ("admin-munich", "identities.revoke", &one),
            ("admin-munich", "enrolments.withdraw", &last),
        ]
    );
    world.site.stop().await;
}
