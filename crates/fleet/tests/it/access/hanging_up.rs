//! Who goes away in the middle of what they asked for: it is done or not, and if it is, it counts and is written down.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::kit::World;
use crate::harness::{Site, options};

const TRIES: u32 = 60;

impl World {
    /// Sends a change as root, and hangs up so much later, without hearing what comes of it.
    async fn hang_up_on(&self, method: &str, path: &str, body: &Value, after: Duration) {
        let body = body.to_string();
        let (address, token, length) = (self.site.address, &self.tokens["root"], body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             If-None-Match: *\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(after).await;
        // Not in order: as a connection that is lost.
        stream.set_zero_linger().unwrap();
    }
}

fn names(items: &Value, field: &str) -> BTreeSet<String> {
    let all = items["items"].as_array().unwrap().iter();
    all.map(|one| one[field].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_counts_and_is_written_down_whoever_waits_for_it() {
    let world = World::empty().await;
    let person = json!({ "grants": [{ "role": "viewer", "scope": "*" }], "reason": "a ghost" });
    let policy = json!({ "effect": "forbid", "permissions": ["deploy"], "condition": "false", "description": "a ghost", "reason": "x" });
    for number in 0..TRIES {
        // From before it is read to after it is answered.
        let after = Duration::from_micros(u64::from(number) * 150);
        world
            .hang_up_on("PUT", &format!("/api/v1/people/ghost{number}"), &person, after)
            .await;
        world
            .hang_up_on("PUT", &format!("/api/v1/policies/ghost{number}"), &policy, after)
            .await;
    }
    // What is being done is done by then: the server ends in order, and starts from its disk.
    let known = async |site: &Site, token: &str| {
        let mut found = Vec::new();
        for (path, field) in [("/api/v1/people", "name"), ("/api/v1/policies", "name")] {
            let request = site.request("GET", path).bearer_auth(token);
            found.push(names(
                &request.send().await.unwrap().json::<Value>().await.unwrap(),
                field,
            ));
        }
        found
    };
    let World { site, data, tokens } = world;
    let root = tokens["root"].clone();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let (mut before, mut last) = (known(&site, &root).await, Vec::new());
    while before != last && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(300)).await;
        last = std::mem::replace(&mut before, known(&site, &root).await);
    }
    let mut written = Vec::new();
    for action in ["people.change", "policies.change"] {
        let path = format!("/api/v1/audit?action={action}&outcome=done&limit=1000");
        let page = site
            .request("GET", &path)
            .bearer_auth(&root)
            .send()
            .await
            .unwrap();
        let page = page.json::<Value>().await.unwrap();
        let entries = page["items"].as_array().unwrap().iter();
        let of = entries.map(|entry| entry["objects"][0]["id"].as_str().unwrap().to_owned());
        written.push(
            of.filter(|name| name.starts_with("ghost"))
                .collect::<BTreeSet<_>>(),
        );
    }
    site.stop().await.unwrap();
    let mut options = options(data.path());
    options.access = muster_fleet::access::AccessMode::SignIn;
    let site = Site::start_with(options).await;
    let after = known(&site, &root).await;
    assert_eq!(before, after, "in memory, and on the disk");
    let ghosts = |all: &BTreeSet<String>| -> BTreeSet<String> {
        all.iter()
            .filter(|name| name.starts_with("ghost"))
            .cloned()
            .collect()
    };
    assert_eq!(ghosts(&after[0]), written[0], "people, and in the audit log");
    assert_eq!(ghosts(&after[1]), written[1], "policies, and in the audit log");
    assert!(after[0].len() > 10, "hardly anybody was heard: {after:?}");
    site.stop().await.unwrap();
}
