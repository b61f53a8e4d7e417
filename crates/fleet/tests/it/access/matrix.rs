//! Every route of the OpenAPI document × every role and scope × every machine: each cell is decided, and as declared.
//!
//! What is expected is computed here from the words of the handbook and the document's `x-muster-needs`, not from the code that decides.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::kit::{BERLIN, MUNICH, PEOPLE, World};
use crate::harness::id;

/// What an answer comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    /// Let through to whatever the route makes of the request.
    Through,
    /// 401.
    WhoAreYou,
    /// 403 that names a rule.
    Refused,
    /// As if it did not exist.
    NotThere,
}

impl Cell {
    const fn sign(self) -> &'static str {
        match self {
            Self::Through => "yes",
            Self::WhoAreYou => "401",
            Self::Refused => "403",
            Self::NotThere => "404",
        }
    }
}

const HANDBOOK: &[(&str, &[&str])] = &[
    ("viewer", &["read"]),
    ("operator", &["read", "stop", "operate", "diagnose"]),
    ("engineer", &["read", "diagnose", "deploy", "configure"]),
    (
        "admin",
        &[
            "read",
            "stop",
            "operate",
            "diagnose",
            "deploy",
            "configure",
            "enrol",
            "administer",
            "audit",
        ],
    ),
];

/// Who asks, with their grants: role and scope. Nobody has none, not even an empty list of them.
type Actor = (&'static str, Option<&'static [(&'static str, &'static str)]>);

fn holds(grants: &[(&str, &str)], permission: &str, site: Option<&str>) -> bool {
    grants.iter().any(|(role, scope)| {
        let held = HANDBOOK
            .iter()
            .find(|(name, _)| name == role)
            .is_some_and(|(_, held)| held.contains(&permission));
        let reaches = *scope == "*" || site.is_some_and(|site| *scope == format!("label.site={site}"));
        held && reaches
    })
}

fn anywhere(grants: &[(&str, &str)], permission: &str) -> bool {
    [Some("munich"), Some("berlin"), None]
        .into_iter()
        .any(|site| holds(grants, permission, site))
}

/// What must come of it, by the words of the document.
fn expected(
    needs: &str,
    path: &str,
    grants: Option<&[(&str, &str)]>,
    narrowed: bool,
    site: Option<&str>,
) -> Cell {
    if needs == "nothing" {
        return Cell::Through;
    }
    let Some(grants) = grants else {
        return Cell::WhoAreYou;
    };
    let decide = |allowed| if allowed { Cell::Through } else { Cell::Refused };
    if needs == "signed_in" {
        return Cell::Through;
    }
    if needs == "signed_in, by no narrowed token" {
        return decide(!narrowed);
    }
    if needs == "oneself, or administer of the fleet" {
        return decide(holds(grants, "administer", None));
    }
    if let Some(permission) = needs.strip_suffix(" of the fleet") {
        return decide(holds(grants, permission, None));
    }
    if let Some(permission) = needs.strip_suffix(" of some machine") {
        return decide(anywhere(grants, permission));
    }
    let permission = match needs.strip_suffix(" of the machine").unwrap() {
        "deploy (workloads, release) or configure" if path.ends_with("/workloads") => "deploy",
        "deploy (workloads, release) or configure" => "configure",
        permission => permission,
    };
    if site == Some("nowhere") || !holds(grants, "read", site) {
        return Cell::NotThere;
    }
    decide(holds(grants, permission, site))
}

fn met(status: u16, said: &Value) -> Cell {
    match (status, said["code"].as_str()) {
        (401, Some("MST-A040")) => Cell::WhoAreYou,
        (403, Some("MST-A045")) => {
            assert!(
                said["detail"].as_str().unwrap().len() > 20,
                "no rule is named: {said}"
            );
            Cell::Refused
        }
        (404, Some("MST-A004")) => Cell::NotThere,
        (401 | 403, _) => panic!("another refusal: {said}"),
        _ => Cell::Through,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cell_of_route_role_and_scope_is_decided_as_declared() {
    let world = World::of_all().await;
    let (status, document) = world.ask("", "GET", "/api/v1/openapi.json", None).await;
    assert_eq!(status, 200);
    let mut actors: Vec<Actor> = vec![("", None)];
    actors.extend(PEOPLE.iter().map(|(name, grants)| (*name, Some(*grants))));
    // The token's own grants count, as far as its owner has them.
    actors.push(("admin-narrowed", Some(&[("viewer", "label.site=munich")])));
    let machines = [
        (id(MUNICH), "munich"),
        (id(BERLIN), "berlin"),
        (id(99), "nowhere"),
    ];
    let (mut cells, mut report) = (0, BTreeMap::<String, Vec<String>>::new());
    let mut wrong = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let needs = operation["x-muster-needs"]
                .as_str()
                .unwrap_or_else(|| panic!("{method} {path}"));
            let paths: Vec<(String, Option<&str>)> = if needs.ends_with("of the machine") {
                let sections: &[&str] = if path.contains("{section}") {
                    &["workloads", "calibration"]
                } else {
                    &[""]
                };
                let filled = sections.iter().flat_map(|section| {
                    machines.iter().map(move |(id, site)| {
                        let path = path.replace("{id}", id).replace("{section}", section);
                        (path.replace("{file}", "20260101T000000Z-0001.mcap"), Some(*site))
                    })
                });
                filled.collect()
            } else {
                vec![(
                    path.replace("{id}", "0011223344556677")
                        .replace("{name}", "somebody")
                        .replace("{code}", "BBBB-BBBB"),
                    None,
                )]
            };
            for (who, grants) in &actors {
                let mut first = Cell::Through;
                for (index, (path, site)) in paths.iter().enumerate() {
                    let narrowed = who.ends_with("narrowed");
                    let mut expect = expected(needs, path, *grants, narrowed, *site);
                    // Without labels the machine would be out of the reach of whoever takes them away.
                    let scoped = grants.is_some_and(|grants| !holds(grants, "configure", None));
                    if expect == Cell::Through && method == "delete" && path.ends_with("/labels") && scoped {
                        expect = Cell::Refused;
                    }
                    // Bodies that nothing comes of: it is seen whether one gets so far.
                    let body = matches!(method.as_str(), "post" | "put").then(|| json!({}));
                    let (status, said) = world.ask(who, &method.to_uppercase(), path, body).await;
                    let cell = met(status, &said);
                    cells += 1;
                    if index == 0 {
                        first = cell;
                    }
                    if cell != expect {
                        wrong.push(format!(
                            "{who:?} {method} {path}: {expect:?} expected, {cell:?} met: {said}"
                        ));
                    }
                }
                report
                    .entry(format!("{} {path}", method.to_uppercase()))
                    .or_default()
                    .push(first.sign().to_owned());
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {cells} cells:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(cells > 1_000, "{cells}");
    println!("{cells} cells, all as declared");
    keep(&actors, &report, cells);
}

/// The report is committed: a change of what anybody may is seen in a review.
fn keep(actors: &[Actor], report: &BTreeMap<String, Vec<String>>, cells: usize) {
    let mut text = String::from(
        "# Who may what\n\nEach route, asked for by nobody and by people of each role and scope; where the route is about a machine, one of Munich. \
         Written by the test `access::matrix` of `muster-fleet`, which asks a running server for every cell, also of a machine of Berlin and of one that does \
         not exist, and compares with what the OpenAPI document declares",
    );
    writeln!(text, ": {cells} cells, all as declared.\n").unwrap();
    text.push_str("`yes`: let through to what the route makes of it. 401: nobody is signed in. 403: refused, with the rule. 404: as if it did not exist.\n\n");
    let names = actors
        .iter()
        .map(|(name, _)| if name.is_empty() { "nobody" } else { name });
    writeln!(text, "| route | {} |", names.collect::<Vec<_>>().join(" | ")).unwrap();
    writeln!(text, "|---|{}", "---|".repeat(actors.len())).unwrap();
    for (route, signs) in report {
        writeln!(text, "| `{route}` | {} |", signs.join(" | ")).unwrap();
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/access-matrix.md");
    if std::env::var_os("MUSTER_WRITE_REPORTS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        committed, text,
        "docs/access-matrix.md: run this test with MUSTER_WRITE_REPORTS=1 and look at what changed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_command_needs_its_permission() {
    let world = World::of_all().await;
    let kinds = [
        ("identify", "operate"),
        ("fault", "operate"),
        ("record.start", "diagnose"),
        ("record.mark", "diagnose"),
        ("logs.tail", "diagnose"),
    ];
    let mut refused = 0;
    for (who, grants) in PEOPLE {
        for (kind, permission) in kinds {
            let path = format!("/api/v1/machines/{}/commands", id(MUNICH));
            let body = json!({ "kind": kind, "reason": "a test" });
            let (status, said) = world.ask(who, "POST", &path, Some(body)).await;
            let known = said["code"] != "MST-A002";
            let sees = holds(grants, "read", Some("munich"));
            let may = holds(grants, permission, Some("munich"));
            match (sees, may) {
                (false, _) => assert_eq!(status, 404, "{who} {kind}: {said}"),
                // The kind, or its arguments, are refused before anybody is asked for a permission.
                _ if !known => {}
                (true, false) => {
                    refused += 1;
                    assert_eq!(
                        (status, &said["code"]),
                        (403, &json!("MST-A045")),
                        "{who} {kind}: {said}"
                    );
                }
                (true, true) => assert!(!matches!(status, 401 | 403 | 404), "{who} {kind}: {said}"),
            }
        }
    }
    assert!(refused >= 8, "{refused}");
}
