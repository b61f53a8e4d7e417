use super::*;

const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn refused(text: &str) -> String {
    match serde_json::from_str::<DesiredReleases>(text) {
        Err(error) => error.to_string(),
        Ok(releases) => releases
            .check()
            .err()
            .map_or_else(String::new, |error| error.to_string()),
    }
}

fn assigned(product: &str, changed: &str, to: &str) -> String {
    let assignment = format!(
        r#"{{"number": 3, "version": "1.4.0", "manifest": "{DIGEST}", "manifest_bytes": 900, "until": "2026-11-21T07:00:00.000Z"}}"#
    );
    let assignment = assignment.replace(changed, to);
    format!(r#"{{"products": {{"{product}": {assignment}}}}}"#)
}

#[test]
fn what_no_machine_would_take_is_refused_with_its_place() {
    assert_eq!(refused("{}"), "");
    assert_eq!(refused(&assigned("car-app", "", "")), "");
    let long = "x".repeat(VERSION_MAX_CHARS + 1);
    for (text, part) in [
        (assigned("Car", "", ""), "no name of a product"),
        (assigned(".car", "", ""), "no name of a product"),
        (assigned("", "", ""), "no name of a product"),
        (assigned("car", DIGEST, "9F86"), "no SHA-256"),
        (assigned("car", "900", "0"), "car: manifest_bytes: 0: 1 to"),
        (assigned("car", "1.4.0", ""), "car: version: 0 characters"),
        (assigned("car", "1.4.0", &long), "car: version: 65 characters"),
        (assigned("car", "number", "nummer"), "unknown field `nummer`"),
        (
            assigned("car", r#""number""#, r#""act": "drive", "number""#),
            "unknown variant `drive`",
        ),
        (r#"{"stopped": ""}"#.to_owned(), "stopped: 0 characters"),
        (r#"{"product": {}}"#.to_owned(), "unknown field `product`"),
    ] {
        let said = refused(&text);
        assert!(said.contains(part), "{text}: {said}");
    }
}

#[test]
fn more_products_than_a_machine_takes_are_refused() {
    let mut releases: DesiredReleases = serde_json::from_str(&assigned("car", "", "")).unwrap();
    let assignment = releases.products.values().next().unwrap().clone();
    for number in 1..PRODUCTS_MAX {
        releases
            .products
            .insert(format!("p{number}").parse().unwrap(), assignment.clone());
    }
    assert_eq!(releases.check(), Ok(()));
    releases.products.insert("one-more".parse().unwrap(), assignment);
    assert_eq!(releases.check(), Err(ReleaseError::TooMany(PRODUCTS_MAX + 1)));
}

#[test]
fn the_phase_of_all_is_that_of_the_one_furthest_from_its_end() {
    let product = |name: &str, phase| ProductReport {
        product: name.to_owned(),
        running: None,
        other: None,
        update: Some(UpdateReport {
            number: 1,
            act: Act::Install,
            version: "1".to_owned(),
            manifest: DIGEST.parse().unwrap(),
            phase,
            why: Vec::new(),
            fetched_bytes: 0,
            to_fetch_bytes: 0,
            since: Timestamp::from_millis(0),
        }),
    };
    let mut report = UpdatesReport::default();
    assert_eq!(report.phase(), UpdatePhase::Idle);
    report.products.push(product("a", UpdatePhase::Confirmed));
    report.products.push(product("b", UpdatePhase::Probation));
    report.products.push(product("c", UpdatePhase::RolledBack));
    assert_eq!(report.phase(), UpdatePhase::Probation);
    assert_eq!(
        report.product("c").unwrap().update.as_ref().unwrap().phase,
        UpdatePhase::RolledBack
    );
    assert_eq!(report.product("d"), None);
}
