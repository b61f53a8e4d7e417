//! What it costs to know who asks and whether they may.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Method, header};
use muster_fleet::access::audit::Audit;
use muster_fleet::access::directory::Directory;
use muster_fleet::access::records::{PersonRecord, SessionRecord};
use muster_fleet::access::secret::{Secret, SecretKind, hex};
use muster_fleet::access::{Access, AccessMode, declared};
use muster_model::access::{Grant, Permission, Role};
use muster_model::{MachineId, MachineView, Timestamp};
use muster_runtime::Clock;
use muster_store::{DataDirectory, Documents, Precondition, SqliteDocuments};
use uuid::Uuid;

use super::super::context::Context;
use super::super::error::{BenchError, Result};
use super::super::report::Figure;
use super::super::servers::Subject;

/// People, each with a session; and how often something is decided.
const RUN: (usize, u32) = (1_000, 200_000);
/// The same with `--quick`.
const RUN_QUICK: (usize, u32) = (20, 5_000);
/// Grants of each: the one that allows it comes last.
const GRANTS: usize = 8;

pub(in crate::bench) const METHOD: &str = "In one process and on one thread, without a socket: 1,000 people with eight grants over one site each \
    and a session each. A request is the look for its route in the table, the hash of the session that it carries, the look for session and person, and \
    the decision for one machine, which the last of the grants allows; a message is the decision whether somebody who sees one of eight sites may see a machine \
    of the last. The mean of 200,000 (5,000 with --quick).";

pub(in crate::bench) fn run(context: &mut Context) -> Result<()> {
    let (people, rounds) = if context.plan.quick { RUN_QUICK } else { RUN };
    context
        .progress
        .step(&format!("{people} people are made, each with a session"));
    let folder = context.fresh_directory("access")?;
    let data = folder.join("data");
    let failed = |error: &dyn std::error::Error| BenchError::Load(muster_runtime::errors::chain(error));
    let directory = DataDirectory::open(&data).map_err(|error| failed(&error))?;
    let documents: Arc<dyn Documents> =
        Arc::new(SqliteDocuments::open(&directory).map_err(|error| failed(&error))?);
    let mut secrets = Vec::with_capacity(people);
    for index in 0..people {
        secrets.push(person_with_session(&*documents, index)?);
    }
    let audit = Audit::open(&data, documents.clone()).map_err(|error| failed(&error))?;
    let known = Directory::open(documents).map_err(|error| failed(&error))?;
    let access = Access::new(AccessMode::SignIn, false, Clock::start(), known, audit);
    let requests: Vec<HeaderMap> = secrets.iter().map(headers).collect::<Result<_>>()?;
    let machine = machine(&format!("s{}", GRANTS - 1));
    let from = std::net::Ipv4Addr::LOCALHOST.into();
    let ask = |headers: &HeaderMap| {
        let route = declared::route(&Method::GET, "/api/v1/machines/{id}/commands");
        let caller = access.who(headers, from).map_err(|error| failed(&error))?;
        let may = caller.may(Permission::Read, &machine, access.now());
        if route.is_none() || may.is_err() {
            return Err(BenchError::Load("somebody who may was refused".to_owned()));
        }
        Ok(caller)
    };
    context.progress.step(&format!("{rounds} requests are decided"));
    let began = Instant::now();
    for round in 0..rounds {
        black_box(ask(&requests[round as usize % people])?);
    }
    let request_us = began.elapsed().as_secs_f64() * 1e6 / f64::from(rounds);
    let eyes = ask(&requests[0])?.eyes();
    context.progress.step(&format!("{rounds} messages are decided"));
    let began = Instant::now();
    for _ in 0..rounds {
        if !black_box(eyes.see(black_box(&machine))) {
            return Err(BenchError::Load("somebody who may see it does not".to_owned()));
        }
    }
    let message_us = began.elapsed().as_secs_f64() * 1e6 / f64::from(rounds);
    let figure = |key: &str, what: &str, value, most| {
        Figure::new(key, Subject::Muster, what, value, "µs", METHOD).at_most(most)
    };
    context.report.add(figure(
        "authorisation.request",
        "authorisation adds to a request",
        request_us,
        5.0,
    ));
    context.report.add(figure(
        "authorisation.message",
        "authorisation adds to a message",
        message_us,
        1.0,
    ));
    context.remove(&folder);
    Ok(())
}

fn person_with_session(documents: &dyn Documents, index: usize) -> Result<Secret> {
    let now = Timestamp::from_millis(Clock::start().wall_ms());
    let grants = (0..GRANTS).map(|site| Grant {
        role: Role::Operator,
        scope: format!("label.site=s{site}")
            .parse()
            .unwrap_or_else(|_| unreachable!("a scope of ours")),
    });
    let person = PersonRecord {
        display_name: String::new(),
        grants: grants.collect(),
        disabled: false,
        password: None,
        second_factor: None,
        provider: None,
        created_at: now,
        era: 0,
    };
    let name = format!("person-{index}");
    let secret = Secret::new(SecretKind::Session).map_err(|error| BenchError::Load(error.to_string()))?;
    let session = SessionRecord {
        id: index.to_string(),
        person: name.parse().unwrap_or_else(|_| unreachable!("a name of ours")),
        era: 0,
        created_at: now,
        expires_at: now.plus_millis(3_600_000),
        used_at: now,
        from: String::new(),
        agent: String::new(),
        provider_session: None,
    };
    let put = |kind: &str, key: &str, body: std::result::Result<Vec<u8>, serde_json::Error>| {
        let body = body.map_err(|error| BenchError::Load(error.to_string()))?;
        let written = documents.put(kind, key, Precondition::Any, now, &body);
        written
            .map(drop)
            .map_err(|error| BenchError::Load(error.to_string()))
    };
    put("person", &name, serde_json::to_vec(&person))?;
    put("session", &hex(&secret.hash()), serde_json::to_vec(&session))?;
    Ok(secret)
}

fn headers(secret: &Secret) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let value = format!("Bearer {}", secret.reveal()).parse();
    headers.insert(
        header::AUTHORIZATION,
        value.map_err(|_| BenchError::Load("a header".to_owned()))?,
    );
    Ok(headers)
}

fn machine(site: &str) -> MachineView {
    let mut machine = MachineView::new(MachineId::from_uuid(Uuid::from_u128(7)), Timestamp::EPOCH);
    let mut profile = (*machine.profile).clone();
    profile.labels.insert("site".to_owned(), site.to_owned());
    machine.profile = Arc::new(profile);
    machine
}
