//! A server that asks who it is, with two machines and people of every role.

use std::collections::BTreeMap;

use muster_fleet::access::AccessMode;
use serde_json::{Value, json};

use crate::harness::{Machine, Site, answer, id, options, state};

pub const PASSWORD: &str = "correct horse battery staple";

/// The machine of Munich, and the one of Berlin.
pub const MUNICH: u32 = 1;
pub const BERLIN: u32 = 2;

pub struct World {
    pub site: Site,
    pub data: tempfile::TempDir,
    /// Tokens by name of who has them.
    pub tokens: BTreeMap<String, String>,
}

/// Who there is, with their grants.
pub const PEOPLE: &[(&str, &[(&str, &str)])] = &[
    ("nothing", &[]),
    ("viewer", &[("viewer", "*")]),
    ("operator", &[("operator", "*")]),
    ("engineer", &[("engineer", "*")]),
    ("admin", &[("admin", "*")]),
    ("viewer-munich", &[("viewer", "label.site=munich")]),
    ("operator-munich", &[("operator", "label.site=munich")]),
    ("engineer-munich", &[("engineer", "label.site=munich")]),
    ("admin-munich", &[("admin", "label.site=munich")]),
    ("mixed", &[("viewer", "*"), ("operator", "label.site=berlin")]),
];

impl World {
    /// With an admin, and nobody else.
    pub async fn empty() -> Self {
        let data = tempfile::tempdir().unwrap();
        join_machines(data.path()).await;
        let mut options = options(data.path());
        options.access = AccessMode::SignIn;
        let site = Site::start_with(options).await;
        let link = site.access.set_up_secret().unwrap().unwrap();
        let body = json!({ "token": link.reveal(), "name": "root", "password": PASSWORD });
        let (status, said) = answer(site.request("POST", "/api/v1/set-up").json(&body)).await;
        assert_eq!(status, 200, "{said}");
        let mut world = Self {
            site,
            data,
            tokens: BTreeMap::new(),
        };
        let session = world.session("root", PASSWORD).await;
        world.tokens.insert("root".to_owned(), session);
        world
    }

    /// With people of every role and scope, each with a token.
    pub async fn of_all() -> Self {
        let mut world = Self::empty().await;
        for (name, grants) in PEOPLE {
            world.add(name, grants).await;
        }
        let narrowed =
            json!({ "name": "narrowed", "grants": [{ "role": "viewer", "scope": "label.site=munich" }] });
        let (status, made) = world.ask("admin", "POST", "/api/v1/tokens", Some(narrowed)).await;
        assert_eq!(status, 201, "{made}");
        world.tokens.insert(
            "admin-narrowed".to_owned(),
            made["secret"].as_str().unwrap().to_owned(),
        );
        world
    }

    /// Adds somebody without a password, with a token.
    pub async fn add(&mut self, name: &str, grants: &[(&str, &str)]) {
        let grants: Vec<Value> = grants
            .iter()
            .map(|(role, scope)| json!({ "role": role, "scope": scope }))
            .collect();
        let body = json!({ "grants": grants, "reason": "a test" });
        let (status, said) = self.put_new(&format!("/api/v1/people/{name}"), body).await;
        assert_eq!(status, 200, "{said}");
        let body = json!({ "name": "a test", "owner": name });
        let (status, made) = self.ask("root", "POST", "/api/v1/tokens", Some(body)).await;
        assert_eq!(status, 201, "{made}");
        self.tokens
            .insert(name.to_owned(), made["secret"].as_str().unwrap().to_owned());
    }

    /// Makes something that is not there yet, as root.
    pub async fn put_new(&self, path: &str, body: Value) -> (u16, Value) {
        let request = self
            .site
            .request("PUT", path)
            .header("If-None-Match", "*")
            .json(&body);
        answer(request.bearer_auth(&self.tokens["root"])).await
    }

    /// Asks in somebody's name; nobody's, if the name is empty.
    pub async fn ask(&self, who: &str, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.site.request(method, path);
        if !who.is_empty() {
            request = request.bearer_auth(&self.tokens[who]);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request).await
    }

    /// A session as a token, for who has a password.
    pub async fn session(&self, name: &str, password: &str) -> String {
        let body = json!({ "name": name, "password": password, "as_token": true });
        let (status, said) = answer(self.site.request("POST", "/api/v1/session").json(&body)).await;
        assert_eq!(status, 200, "{said}");
        said["token"].as_str().unwrap().to_owned()
    }

    /// The newest entries of the audit log.
    pub async fn audit(&self, query: &str) -> Vec<Value> {
        let (status, page) = self
            .ask("root", "GET", &format!("/api/v1/audit?{query}"), None)
            .await;
        assert_eq!(status, 200, "{page}");
        page["items"].as_array().unwrap().clone()
    }
}

/// Machines of two sites, with events, joined before anybody had to sign in.
async fn join_machines(data: &std::path::Path) {
    let site = Site::start(data).await;
    for (number, place) in [(MUNICH, "munich"), (BERLIN, "berlin")] {
        let mut machine = Machine::connect(site.address, &id(number), 0).await;
        machine
            .surely("state", state(place, "car", None, Some(50.0)))
            .await;
        machine.event("door.opened", "warning", place).await;
        machine.acknowledged().await;
        let labels = json!({ "labels": { "site": place } });
        let path = format!("/api/v1/machines/{}/labels", id(number));
        let (status, said) = answer(site.request("PUT", &path).header("If-Match", "*").json(&labels)).await;
        assert_eq!(status, 200, "{said}");
    }
    site.settle().await;
    site.stop().await.unwrap();
}
