use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::Timestamp;

fn machine(labels: &[(&str, &str)]) -> MachineView {
    let id = crate::MachineId::from_uuid(Uuid::from_u128(7));
    let mut view = MachineView::new(id, Timestamp::EPOCH);
    let mut profile = (*view.profile).clone();
    for (key, value) in labels {
        profile.labels.insert((*key).to_owned(), (*value).to_owned());
    }
    view.profile = profile.into();
    view
}

fn grant(role: Role, scope: &str) -> Grant {
    let scope = scope.parse().unwrap_or_else(|error| panic!("{scope}: {error}"));
    Grant { role, scope }
}

#[test]
fn roles_hold_what_the_handbook_says() {
    let table: Vec<String> = Role::ALL
        .iter()
        .map(|role| {
            let held: Vec<&str> = role.permissions().iter().map(|held| held.as_str()).collect();
            format!("{role}: {}", held.join(" "))
        })
        .collect();
    assert_eq!(
        table,
        [
            "viewer: read",
            "operator: read stop operate diagnose",
            "engineer: read diagnose deploy configure",
            "admin: read stop operate diagnose deploy configure enrol administer audit",
        ]
    );
    assert_eq!(Permission::Stop.held_by(), "operator, admin");
}

#[test]
fn a_grant_reaches_its_scope_and_no_further() {
    let (munich, berlin) = (machine(&[("site", "munich")]), machine(&[("site", "berlin")]));
    let here = grant(Role::Operator, "label.site=munich");
    assert!(here.allows(Permission::Stop, &munich));
    assert!(!here.allows(Permission::Stop, &berlin));
    assert!(!here.allows(Permission::Stop, &machine(&[])));
    assert!(!here.allows(Permission::Configure, &munich));
    assert!(!here.allows_everywhere(Permission::Stop));
    assert!(grant(Role::Viewer, "*").allows_everywhere(Permission::Read));
    let both = [here, grant(Role::Viewer, "*")];
    assert_eq!(allowing(&both, Permission::Read, &berlin), Some(&both[1]));
    assert_eq!(allowing(&both, Permission::Stop, &berlin), None);
    assert_eq!(both[0].to_string(), "operator on label.site=munich");
    assert_eq!(both[1].to_string(), "viewer");
}

#[test]
fn a_scope_looks_at_nothing_that_a_machine_says_of_itself() {
    for refused in [
        "kind=car",
        "region=munich",
        "name=ada",
        "battery>20",
        "status=ok",
        "munich",
        "label.site!=berlin",
        "label.site=munich kind=car",
        "id!=00000000-0000-0000-0000-000000000007",
    ] {
        let error = refused.parse::<Scope>().expect_err(refused);
        assert!(
            matches!(error, ScopeError::NotDecidedByPeople { .. }),
            "{refused}: {error}"
        );
    }
    assert_eq!("".parse::<Scope>(), Err(ScopeError::Empty));
    assert_eq!(" , ".parse::<Scope>(), Err(ScopeError::Empty));
    assert_eq!("x".repeat(600).parse::<Scope>(), Err(ScopeError::TooLong));
    for accepted in [
        "*",
        "label.site=munich|berlin",
        "label.team~red label.site=munich",
        "id=7",
    ] {
        let scope: Scope = accepted.parse().expect(accepted);
        let written = serde_json::to_string(&scope).expect("a scope");
        assert_eq!(serde_json::from_str::<Scope>(&written).expect(&written), scope);
    }
}

#[test]
fn a_machine_that_is_announced_is_reached_by_its_labels_and_by_no_id() {
    let announced = |labels: &[(&str, &str)]| {
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        MachineView::announced(None, Some("car"), None, &labels.collect(), Timestamp::EPOCH)
    };
    let (munich, bare) = (announced(&[("site", "munich")]), announced(&[]));
    assert_eq!(munich.kind(), "car");
    for (scope, view, lacking) in [
        ("*", &bare, vec![]),
        ("label.site=munich", &munich, vec![]),
        ("label.site=munich|berlin", &munich, vec![]),
        ("label.site=munich", &bare, vec!["label.site=munich"]),
        (
            "label.site=Berlin|Ulm label.team~red",
            &munich,
            vec!["label.site=berlin|ulm", "label.team~red"],
        ),
        (
            "label.site=\"near Ulm\"",
            &munich,
            vec!["label.site=\"near ulm\""],
        ),
        // All of them are part of the id that stands for none.
        ("id~0", &munich, vec!["an id, which the server chooses later"]),
        (
            "id=00000000-0000-0000-0000-000000000000 label.site=munich",
            &munich,
            vec!["an id, which the server chooses later"],
        ),
        (
            "label.site=ulm id~7",
            &munich,
            vec!["label.site=ulm", "an id, which the server chooses later"],
        ),
    ] {
        let scope: Scope = scope.parse().expect(scope);
        assert_eq!(scope.reaches(view), lacking.is_empty(), "{scope}");
        assert_eq!(scope.lacking(view), lacking, "{scope}");
    }
    let known = machine(&[("site", "munich")]);
    let by_id: Scope = "id~7 label.site=ulm".parse().expect("a scope");
    assert_eq!(by_id.lacking(&known), ["label.site=ulm"]);
}

#[test]
fn names_of_people_are_plain() {
    for good in ["ada", "ada.l@example.org", "0", "a-b_c"] {
        assert_eq!(good.parse::<PersonName>().expect(good).as_str(), good);
    }
    for bad in ["", "Ada", ".ada", "a b", "ä", "a/b", "-x", &"x".repeat(65)] {
        assert!(bad.parse::<PersonName>().is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn more_grants_never_allow_less(
        roles in prop::collection::vec((0usize..4, prop::sample::select(vec!["*", "label.site=a", "label.site=b"])), 0..5),
        site in prop::sample::select(vec!["a", "b", "c"]),
    ) {
        let view = machine(&[("site", site)]);
        let grants: Vec<Grant> = roles.iter().map(|(role, scope)| grant(Role::ALL[*role], scope)).collect();
        for permission in Permission::ALL {
            let whole = allowing(&grants, *permission, &view).is_some();
            for cut in 0..grants.len() {
                let part = allowing(&grants[..cut], *permission, &view).is_some();
                prop_assert!(whole || !part);
            }
            // What is allowed everywhere is allowed here.
            let everywhere = grants.iter().any(|grant| grant.allows_everywhere(*permission));
            prop_assert!(whole || !everywhere);
        }
    }
}
