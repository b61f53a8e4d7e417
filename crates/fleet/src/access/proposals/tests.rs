use super::*;
use crate::access::declared::{self, Needs};
use muster_store::{DataDirectory, SqliteDocuments};
use proptest::prelude::*;
use serde_json::json;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn name(text: &str) -> PersonName {
    text.parse().unwrap()
}

fn record(now: i64) -> ProposalRecord {
    ProposalRecord {
        person: name("ada"),
        by: "session".to_owned(),
        by_id: "x".to_owned(),
        narrowed: None,
        era: 0,
        from: "127.0.0.1".parse().unwrap(),
        action: "people.change".to_owned(),
        request: KeptRequest {
            method: "PUT".to_owned(),
            path: "/api/v1/people/eve".to_owned(),
            if_match: Some("\"3\"".to_owned()),
            if_none_match: None,
            body: "{}".to_owned(),
        },
        has_secret: false,
        permission: Permission::Administer,
        machine: None,
        policy: "two".to_owned(),
        policy_description: "two people".to_owned(),
        reason: "because".to_owned(),
        created_at: at(now),
        expires_at: at(now + LIFETIME_MS),
        state: ProposalState::Waiting,
        decided_by: None,
        decided_at: None,
        decision_reason: String::new(),
        status: None,
        detail: String::new(),
    }
}

#[test]
fn secrets_are_dots_and_nothing_else_is() {
    let body = json!({ "password": "p", "reason": "r", "labels": { "code": "c" }, "current": null });
    assert_eq!(
        without_secrets("people.change", &body),
        Some(json!({ "password": DOTS, "reason": "r", "labels": { "code": "c" }, "current": null }))
    );
    // People choose such names themselves, for labels and for what runs on machines.
    let workload =
        json!({ "content": { "token": { "command": ["/bin/sh"] } }, "password": "?", "secret": 1 });
    assert_eq!(without_secrets("machines.desire", &workload), None);
    for nothing in [
        json!(null),
        json!([1]),
        json!({ "reason": "r" }),
        json!({ "password": null }),
    ] {
        assert_eq!(without_secrets("people.change", &nothing), None, "{nothing}");
    }
}

/// What the API takes and never shows, where it may have to wait, is what is not written to the disk.
#[test]
fn the_list_of_secrets_is_that_of_the_api() {
    let (_, document) = crate::api::described().split_for_parts();
    let document = serde_json::to_value(document).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let body = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
            let Some(name) = body.as_str().and_then(|text| text.rsplit('/').next()) else {
                continue;
            };
            let Some(fields) = document["components"]["schemas"][name]["properties"].as_object() else {
                continue;
            };
            let method = method.to_uppercase().parse().unwrap();
            let route = declared::route(&method, path).unwrap();
            // Who is not signed in, and who changes what is their own, waits for nobody.
            if matches!(route.needs, Needs::Anybody | Needs::SignedIn | Needs::NotNarrowed) {
                continue;
            }
            for (field, _) in fields.iter().filter(|(_, field)| field["writeOnly"] == true) {
                found.push((route.action, field.clone()));
            }
        }
    }
    let listed = |action: &str, field: &str| {
        let mut of = SECRETS.iter().filter(|(known, _)| *known == action);
        of.any(|(_, fields)| fields.contains(&field))
    };
    assert!(found.len() >= 3, "{found:?}");
    for (action, field) in &found {
        assert!(
            listed(action, field),
            "{field} of {action} would be written to the disk"
        );
    }
    assert_eq!(
        SECRETS.iter().map(|(_, fields)| fields.len()).sum::<usize>(),
        found.len()
    );
}

#[test]
fn nobody_decides_twice_and_nothing_is_carried_out_that_was_not_approved() {
    let waiting = record(0);
    let approve = || Step::Approve(name("grace"), "fine".to_owned());
    let doing = waiting.after(approve(), at(1)).unwrap();
    assert_eq!(
        (doing.state, doing.decided_by.clone()),
        (ProposalState::Doing, Some(name("grace")))
    );
    assert_eq!(doing.after(approve(), at(2)), Err(NotSo(ProposalState::Doing)));
    assert_eq!(
        doing.after(Step::Withdraw, at(2)),
        Err(NotSo(ProposalState::Doing))
    );
    assert_eq!(
        waiting.after(Step::Finish(200, String::new()), at(2)),
        Err(NotSo(ProposalState::Waiting))
    );
    let done = doing.after(Step::Finish(204, String::new()), at(3)).unwrap();
    assert_eq!((done.state, done.status), (ProposalState::Done, Some(204)));
    let failed = doing
        .after(Step::Finish(412, "changed".to_owned()), at(3))
        .unwrap();
    assert_eq!(
        (failed.state, failed.detail.as_str()),
        (ProposalState::Failed, "changed")
    );
    // Too late, to the millisecond.
    assert!(waiting.after(approve(), at(LIFETIME_MS - 1)).is_ok());
    assert_eq!(
        waiting.after(approve(), at(LIFETIME_MS)),
        Err(NotSo(ProposalState::Expired))
    );
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Approve(name("grace"), String::new())),
        Just(Step::Refuse(name("grace"), "no".to_owned())),
        Just(Step::Withdraw),
        Just(Step::Expire("late".to_owned())),
        (100..600u16).prop_map(|status| Step::Finish(status, String::new())),
    ]
}

proptest! {
    /// Whatever is tried when: it is carried out at most once, only after a yes in time, and an end is an end.
    #[test]
    fn a_proposal_ends_once(tried in prop::collection::vec((steps(), 0..2 * LIFETIME_MS), 0..12)) {
        let mut tried = tried;
        tried.sort_by_key(|(_, when)| *when);
        let (mut record, mut approved) = (record(0), 0);
        for (step, when) in tried {
            let before = record.state_at(at(when));
            let is_end = !matches!(before, ProposalState::Waiting | ProposalState::Doing);
            let yes = matches!(step, Step::Approve(..));
            // That it is over may be written down afterwards.
            let notes = matches!(step, Step::Expire(_)) && record.state == ProposalState::Waiting;
            match record.after(step, at(when)) {
                Ok(next) => {
                    prop_assert!(!is_end || notes);
                    approved += u32::from(yes);
                    prop_assert!(!yes || when < LIFETIME_MS);
                    record = next;
                }
                Err(NotSo(state)) => prop_assert_eq!(state, before),
            }
            let carried_out = matches!(record.state, ProposalState::Done | ProposalState::Failed);
            prop_assert!(!carried_out || approved == 1);
        }
        prop_assert!(approved <= 1);
    }
}

#[tokio::test]
async fn what_waits_outlives_the_server_and_what_was_being_done_is_not_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let held = DataDirectory::open(folder.path()).unwrap();
    let documents: Arc<dyn Documents> = Arc::new(SqliteDocuments::open(&held).unwrap());
    let first = Proposals::open(documents.clone()).unwrap();
    let (plain, new) = first.add(record(0), "{}".to_owned()).await.unwrap();
    assert!(new);
    assert_eq!(
        first.add(record(5), "{}".to_owned()).await.unwrap(),
        (plain.clone(), false)
    );
    let mut secret = record(1);
    secret.has_secret = true;
    secret.request.body = json!({ "password": DOTS }).to_string();
    let real = json!({ "password": "correct horse" }).to_string();
    let (secret, _) = first.add(secret, real.clone()).await.unwrap();
    let mut other = record(2);
    other.request.path = "/api/v1/people/bob".to_owned();
    let (doing, _) = first.add(other, "{}".to_owned()).await.unwrap();
    first
        .begin(&doing, name("grace"), String::new(), at(3))
        .await
        .unwrap();
    let again = first.begin(&doing, name("joan"), String::new(), at(3)).await;
    assert!(matches!(
        again,
        Err(ProposalError::NotSo(NotSo(ProposalState::Doing)))
    ));
    drop(first);
    // No secret reached the disk.
    for document in documents.list(KIND, None, 10).unwrap() {
        assert!(!String::from_utf8_lossy(&document.body).contains("horse"));
    }

    let second = Proposals::open(documents.clone()).unwrap();
    assert_eq!(second.get(&plain).unwrap().state, ProposalState::Waiting);
    assert_eq!(second.get(&secret).unwrap().state, ProposalState::Expired);
    assert_eq!(second.get(&doing).unwrap().state, ProposalState::Failed);
    let (_, body) = second
        .begin(&plain, name("grace"), String::new(), at(9))
        .await
        .unwrap();
    assert_eq!(&*body, "{}");
    second
        .finish(&plain, 200, String::new(), "told once".to_owned(), at(10))
        .await
        .unwrap();
    assert_eq!(second.answer(&plain, at(11)).as_deref(), Some("told once"));
    assert_eq!(second.answer(&plain, at(11 + ANSWER_KEPT_MS)), None);
    second.tidy(at(20)).await.unwrap();
    drop(second);

    let third = Proposals::open(documents).unwrap();
    assert_eq!(third.answer(&plain, at(11)), None, "not over a restart");
    assert_eq!(third.get(&doing).unwrap().state, ProposalState::Failed);
    third.tidy(at(20 + KEPT_MS + 1_000_000)).await.unwrap();
    assert!(third.all().is_empty(), "long decided");
}

#[tokio::test]
async fn who_waits_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let held = DataDirectory::open(folder.path()).unwrap();
    let documents: Arc<dyn Documents> = Arc::new(SqliteDocuments::open(&held).unwrap());
    let proposals = Proposals::open(documents).unwrap();
    for number in 0..WAITING_OF_ONE_MAX {
        let mut one = record(0);
        one.request.path = format!("/api/v1/people/p{number}");
        proposals.add(one, "{}".to_owned()).await.unwrap();
    }
    let mut more = record(0);
    more.request.path = "/api/v1/people/more".to_owned();
    let refused = proposals.add(more.clone(), "{}".to_owned()).await;
    assert!(matches!(refused, Err(ProposalError::TooMany)));
    more.person = name("bob");
    assert!(proposals.add(more, "{}".to_owned()).await.is_ok());
    // Of those that are over, none counts.
    assert!(proposals.add(record(LIFETIME_MS), "{}".to_owned()).await.is_ok());
}
