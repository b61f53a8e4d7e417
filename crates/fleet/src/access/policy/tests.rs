use super::*;
use muster_model::MachineId;
use muster_model::access::Grant;
use uuid::Uuid;

fn record(effect: PolicyEffect, condition: &str) -> PolicyRecord {
    PolicyRecord {
        effect,
        permissions: vec![Permission::Stop],
        condition: condition.to_owned(),
        description: "a test".to_owned(),
    }
}

fn holds(condition: &str) -> Result<bool, PolicyError> {
    let person = Person::new("ada".parse().unwrap(), vec![Grant::admin()], 1);
    let mut machine = MachineView::new(MachineId::from_uuid(Uuid::from_u128(1)), Timestamp::EPOCH);
    let mut profile = (*machine.profile).clone();
    profile.labels.insert("site".to_owned(), "munich".to_owned());
    machine.profile = Arc::new(profile);
    let facts = Facts {
        person: &person,
        permission: Permission::Stop,
        action: "machines.stop",
        machine: Some(&machine),
        // Sunday, 22 November 2026, 13:20 UTC.
        now: Timestamp::from_millis(1_795_353_600_000),
    };
    Compiled::tried("p", &record(PolicyEffect::Forbid, condition), &facts)
        .map(|compiled| compiled.holds(&facts))
}

#[test]
fn expressions_speak_of_person_machine_permission_and_now() {
    for (condition, expect) in [
        ("true", true),
        ("person.name == 'ada' && 'admin' in person.roles", true),
        ("person.second_factor", false),
        ("machine.labels.site == 'munich'", true),
        ("has(machine.labels.line) && machine.labels.line == '3'", false),
        ("machine.labels['site'] in ['berlin', 'munich']", true),
        ("permission == 'stop'", true),
        ("action.startsWith('machines.')", true),
        ("now.hour == 13 && now.weekday == 7", true),
        ("now.hour < 6 || now.hour >= 22", false),
        ("machine.name.startsWith('x')", false),
    ] {
        assert_eq!(holds(condition), Ok(expect), "{condition}");
    }
}

#[test]
fn what_is_no_rule_is_refused_with_the_reason() {
    assert!(matches!(
        holds("machine.labels.site =="),
        Err(PolicyError::Syntax(_))
    ));
    assert!(matches!(holds(""), Err(PolicyError::Syntax(_))));
    assert!(matches!(holds("fleet.size"), Err(PolicyError::Unknown { name }) if name == "fleet"));
    assert!(matches!(holds("'text'"), Err(PolicyError::NotBool(_))));
    assert!(
        matches!(holds("machine.labels.line == '3'"), Err(PolicyError::NotBool(_))),
        "has(…) is needed"
    );
    assert_eq!(holds("person.roles.all(r, r == 'x')"), Err(PolicyError::Loop));
    assert_eq!(holds("[1].map(x, x) == []"), Err(PolicyError::Loop));
    assert!(matches!(
        holds(&"x".repeat(2_001)),
        Err(PolicyError::TooLong { given: 2_001 })
    ));
    let mut read = record(PolicyEffect::Forbid, "true");
    read.permissions = vec![Permission::Read];
    assert!(matches!(Compiled::new("p", &read), Err(PolicyError::Read)));
    // The record is about stopping.
    let stop = record(PolicyEffect::SecondPerson, "true");
    assert!(matches!(Compiled::new("p", &stop), Err(PolicyError::Stop)));
    let mut all = stop;
    all.permissions = Vec::new();
    let all = Compiled::new("p", &all).unwrap();
    let about: Vec<_> = Permission::ALL.iter().filter(|one| all.is_about(**one)).collect();
    assert_eq!(
        about.len(),
        Permission::ALL.len() - 2,
        "neither reading nor stopping"
    );
}

#[test]
fn nothing_that_is_nested_exhausts_the_stack() {
    for condition in [
        format!("{}true{}", "(".repeat(990), ")".repeat(990)),
        format!("{}true", "!".repeat(1_990)),
        format!("{}1 > 0", "-".repeat(1_990)),
        format!("{}true", "true ? true : ".repeat(140)),
        format!("machine{}", ".a".repeat(990)),
        format!("{}1{}", "[".repeat(990), "]".repeat(990)),
        "true && ".repeat(240) + "true",
        "1 + ".repeat(490) + "1 > 0",
    ] {
        // Whatever is said of it, it is said.
        let _ = holds(&condition);
    }
}

#[test]
fn what_cannot_be_computed_forbids_and_does_not_permit() {
    let person = Person::new("ada".parse().unwrap(), Vec::new(), 1);
    let facts = Facts {
        person: &person,
        permission: Permission::Operate,
        action: "machines.command",
        machine: None,
        now: Timestamp::EPOCH,
    };
    for (effect, expect) in [
        (PolicyEffect::Forbid, true),
        (PolicyEffect::Permit, false),
        (PolicyEffect::SecondPerson, true),
    ] {
        let mut record = record(effect, "machine.labels.site == 'x'");
        record.permissions = vec![Permission::Operate];
        let compiled = Compiled::new("p", &record).unwrap();
        assert_eq!(compiled.holds(&facts), expect);
    }
}
