use super::*;
use crate::access::caller::{Act, decide};
use crate::access::password::{PasswordError, check, hash, is};
use muster_model::access::Permission;

#[test]
fn a_password_is_kept_as_argon2id_and_nobody_takes_as_long_as_somebody() {
    let kept = hash("correct horse battery staple").unwrap();
    assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
    assert_ne!(kept, hash("correct horse battery staple").unwrap(), "a salt each");
    assert!(is("correct horse battery staple", Some(&kept)));
    assert!(!is("correct horse battery stapl", Some(&kept)));
    assert!(!is("", None));
    // For a name that does not exist as much is computed: the stand-in is a hash that can be read.
    let time = |kept: Option<&str>| {
        let before = std::time::Instant::now();
        (0..3).for_each(|_| assert!(!is("wrong", kept)));
        before.elapsed().as_secs_f64()
    };
    let (somebody, nobody) = (time(Some(&kept)), time(None));
    assert!(nobody > somebody / 4.0, "{nobody} s against {somebody} s");
}

#[test]
fn passwords_are_asked_to_be_long_and_nothing_else() {
    assert!(check("correct horse battery staple", "ada").is_ok());
    assert!(check("zwölf Zeichen", "ada").is_ok());
    assert_eq!(check("short", "ada"), Err(PasswordError::Length { given: 5 }));
    assert_eq!(
        check(&"x".repeat(257), "ada"),
        Err(PasswordError::Length { given: 257 })
    );
    assert_eq!(check("aaaaaaaaaaaaaa", "ada"), Err(PasswordError::TooEasy));
    assert_eq!(check("adalovelace12", "adalovelace"), Err(PasswordError::TooEasy));
}

#[test]
fn secrets_are_kept_as_hashes_and_not_shown() {
    let secret = Secret::new(SecretKind::Token).unwrap();
    assert!(
        secret.reveal().starts_with("mstt_") && secret.reveal().len() == 48,
        "{}",
        secret.reveal()
    );
    assert_eq!(
        secret::hash_of(secret.reveal(), SecretKind::Token),
        Some(secret.hash())
    );
    assert_eq!(secret::hash_of(secret.reveal(), SecretKind::Session), None);
    assert!(!format!("{secret:?}").contains(&secret.reveal()[6..]));
    let hash = secret.hash();
    assert_eq!(secret::unhex(&secret::hex(&hash)), Some(hash));
    assert_eq!(secret::unhex("äöü"), None);
}

#[test]
fn every_row_of_the_table_is_a_route_and_every_route_has_a_row() {
    let document = crate::api::document::document();
    let mut missing = Vec::new();
    let mut described = Vec::new();
    for (path, item) in &document.paths.paths {
        let operations = [
            ("GET", &item.get),
            ("PUT", &item.put),
            ("POST", &item.post),
            ("DELETE", &item.delete),
            ("PATCH", &item.patch),
            ("HEAD", &item.head),
            ("OPTIONS", &item.options),
            ("TRACE", &item.trace),
        ];
        for (method, _) in operations
            .into_iter()
            .filter(|(_, operation)| operation.is_some())
        {
            described.push((method, path.as_str()));
            if !declared::ROUTES
                .iter()
                .any(|route| route.method == method && route.path == path)
            {
                missing.push(format!("{method} {path}"));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "without a row in the table of what routes need: {missing:?}"
    );
    // Not described there, because they are no requests of people, or no REST.
    let others = [
        "/ws",
        muster_protocol::link::PATH,
        muster_protocol::link::release::ROUTE,
        muster_protocol::link::upload::ROUTE,
        muster_protocol::enrol::PATH,
        muster_protocol::enrol::CERTIFICATE_ROUTE,
    ];
    let gone = declared::ROUTES
        .iter()
        .filter(|route| !described.contains(&(route.method, route.path)) && !others.contains(&route.path));
    let gone: Vec<_> = gone
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    assert!(gone.is_empty(), "rows about routes that there are not: {gone:?}");
}

#[test]
fn a_route_about_one_machine_needs_something_of_that_machine() {
    for route in declared::ROUTES
        .iter()
        .filter(|route| route.path.starts_with("/api/v1/machines/{id}"))
    {
        let of_machine = matches!(
            route.needs,
            declared::Needs::Machine(_) | declared::Needs::Section
        );
        assert!(of_machine, "{} {}", route.method, route.path);
        let changes = route.method != "GET";
        let only_reads = route.needs == declared::Needs::Machine(Permission::Read);
        // Commands: each kind needs its own, which the handler asks for.
        assert!(
            !changes || !only_reads || route.action == "machines.command",
            "{} {}",
            route.method,
            route.path
        );
    }
}

#[test]
fn cookies_are_found_and_bearers_are_read() {
    let headers = |name: &'static str, value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    };
    let of = |value: &str| cookie(&headers("cookie", value), "muster_session").map(str::to_owned);
    assert_eq!(of("a=b; muster_session=x"), Some("x".to_owned()));
    assert_eq!(of("muster_session=x=y"), Some("x=y".to_owned()));
    assert_eq!(of("xmuster_session=x"), None);
    assert_eq!(bearer(&headers("authorization", "Bearer  abc ")), Ok(Some("abc")));
    assert_eq!(bearer(&headers("authorization", "Basic abc")), Err(NotValid));
    assert_eq!(bearer(&HeaderMap::new()), Ok(None));
}

#[test]
fn of_a_token_its_own_and_its_owners_grants_must_both_allow() {
    let operator = Person::new("ada".parse().unwrap(), vec![grant("operator", "*")], 1);
    let narrowed = [grant("admin", "label.site=munich")];
    let now = Timestamp::EPOCH;
    let of = |permission, narrowed| {
        decide(&operator, narrowed, &[], permission, None, Act::SOME_CHANGE, now).allowed
    };
    assert!(of(Permission::Stop, None));
    assert!(
        !of(Permission::Stop, Some(&narrowed)),
        "narrowed to some machines, it is not for the fleet"
    );
    assert!(!of(Permission::Administer, Some(&narrowed)), "its owner is none");
    let mut machine = MachineView::new(muster_model::MachineId::from_uuid(uuid::Uuid::from_u128(1)), now);
    let mut profile = (*machine.profile).clone();
    profile.labels.insert("site".to_owned(), "munich".to_owned());
    machine.profile = Arc::new(profile);
    assert!(
        decide(
            &operator,
            Some(&narrowed),
            &[],
            Permission::Stop,
            Some(&machine),
            Act::SOME_CHANGE,
            now
        )
        .allowed
    );
}

fn grant(role: &str, scope: &str) -> Grant {
    Grant {
        role: role.parse().unwrap(),
        scope: scope.parse().unwrap(),
    }
}

/// A request is decided within microseconds. Generous, because tests run beside each other; what it takes is measured by `muster bench`.
#[test]
fn deciding_is_quick() {
    let grants = (0..31)
        .map(|index| grant("viewer", &format!("label.site=s{index}")))
        .chain([grant("operator", "*")]);
    let person = Person::new("ada".parse().unwrap(), grants.collect(), 1);
    let machine = MachineView::new(
        muster_model::MachineId::from_uuid(uuid::Uuid::from_u128(1)),
        Timestamp::EPOCH,
    );
    let before = std::time::Instant::now();
    for _ in 0..1_000 {
        assert!(
            decide(
                &person,
                None,
                &[],
                Permission::Stop,
                Some(&machine),
                Act::SOME_CHANGE,
                Timestamp::EPOCH
            )
            .allowed
        );
    }
    assert!(
        before.elapsed() < Duration::from_millis(500),
        "{:?} for a thousand",
        before.elapsed()
    );
}

#[tokio::test]
async fn an_admin_of_a_provider_that_is_not_asked_any_more_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let held = muster_store::DataDirectory::open(folder.path()).unwrap();
    let documents = Arc::new(muster_store::SqliteDocuments::open(&held).unwrap());
    let directory = Directory::open(documents).unwrap();
    let record = records::PersonRecord {
        display_name: String::new(),
        grants: vec![Grant::admin()],
        disabled: false,
        password: None,
        second_factor: None,
        provider: Some(records::Vouched {
            issuer: "https://id.example".to_owned(),
            subject: "1".to_owned(),
        }),
        created_at: Timestamp::EPOCH,
        era: 0,
    };
    let (ada, new) = ("ada".parse().unwrap(), muster_store::Precondition::Absent);
    directory
        .put_vouched(&ada, new, record, Timestamp::EPOCH)
        .await
        .unwrap();
    for (issuer, is_there) in [
        (None, false),
        (Some("https://id.example"), true),
        (Some("https://other.example"), false),
    ] {
        directory.believe(issuer);
        assert_eq!(directory.has_admin(), is_there, "{issuer:?}");
    }
}
