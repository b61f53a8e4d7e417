use muster_model::desired::SectionContent;
use muster_model::entry::JsonText;
use proptest::prelude::*;

use super::*;

const HERE: &[&str] = &["calibration"];

fn json(text: &str) -> JsonText {
    serde_json::from_str(text).unwrap()
}

fn whole(version: u64, document: &str) -> Desired {
    Desired {
        version,
        base: None,
        document: json(document),
    }
}

fn keeper() -> Keeper {
    Keeper::new(HeldDesired::default(), HERE)
}

/// The disk holds what the keeper wants kept.
fn take(keeper: &mut Keeper, desired: &Desired) {
    match keeper.offered(desired) {
        Offered::Keep(held) => keeper.kept(held),
        other => panic!("{other:?}"),
    }
}

fn outcome(section: &str, version: u64, status: DesiredStatus) -> DesiredOutcome {
    DesiredOutcome {
        section: section.to_owned(),
        version: DesiredVersion(version),
        status,
        reason: None,
    }
}

fn status_of(keeper: &Keeper, section: &str) -> Option<(u64, DesiredStatus)> {
    let report = keeper.report()?;
    let found = report.sections.into_iter().find(|found| found.name == section)?;
    Some((found.version.0, found.status))
}

#[test]
fn nothing_counts_before_the_disk_holds_it() {
    let mut keeper = keeper();
    let desired = whole(3, r#"{"calibration":{"version":3,"content":{}}}"#);
    let Offered::Keep(held) = keeper.offered(&desired) else {
        panic!()
    };
    assert_eq!(keeper.report(), None);
    assert!(
        matches!(keeper.offered(&desired), Offered::Keep(_)),
        "asked again until it is kept"
    );
    keeper.kept(held);
    assert_eq!(
        status_of(&keeper, "calibration"),
        Some((3, DesiredStatus::Pending))
    );
    assert_eq!(keeper.offered(&desired), Offered::Known);
    assert_eq!(keeper.offered(&whole(2, "{}")), Offered::Known);
}

#[test]
fn only_what_is_said_about_the_held_version_counts() {
    let mut keeper = keeper();
    take(
        &mut keeper,
        &whole(1, r#"{"calibration":{"version":1,"content":{}}}"#),
    );
    keeper.said(&outcome("calibration", 1, DesiredStatus::Applied));
    assert_eq!(
        status_of(&keeper, "calibration"),
        Some((1, DesiredStatus::Applied))
    );
    // Another section changes: what was said stands.
    take(
        &mut keeper,
        &whole(
            2,
            r#"{"calibration":{"version":1,"content":{}},"other":{"version":2,"content":{}}}"#,
        ),
    );
    assert_eq!(
        status_of(&keeper, "calibration"),
        Some((1, DesiredStatus::Applied))
    );
    assert_eq!(status_of(&keeper, "other"), Some((2, DesiredStatus::Refused)));
    // The section itself changes: it does not.
    take(
        &mut keeper,
        &whole(3, r#"{"calibration":{"version":3,"content":{}}}"#),
    );
    assert_eq!(
        status_of(&keeper, "calibration"),
        Some((3, DesiredStatus::Pending))
    );
    keeper.said(&outcome("calibration", 1, DesiredStatus::Applied));
    assert_eq!(
        status_of(&keeper, "calibration"),
        Some((3, DesiredStatus::Pending))
    );
    assert_eq!(status_of(&keeper, "other"), None);
}

#[test]
fn a_patch_applies_to_its_base_only() {
    let mut keeper = keeper();
    take(
        &mut keeper,
        &whole(
            1,
            r#"{"a":{"version":1,"content":{"x":1}},"b":{"version":1,"content":{}}}"#,
        ),
    );
    let patch = |base| Desired {
        version: 2,
        base: Some(base),
        document: json(r#"{"b":null,"c":{"version":2,"content":{}}}"#),
    };
    assert!(matches!(keeper.offered(&patch(0)), Offered::Unusable(_)));
    take(&mut keeper, &patch(1));
    let names: Vec<&str> = keeper.held().document.0.keys().map(String::as_str).collect();
    assert_eq!(names, ["a", "c"]);
}

#[test]
fn what_is_no_document_or_too_much_is_not_kept() {
    let keeper = keeper();
    let many: BTreeMap<String, SectionContent> = (0..=SECTIONS_MAX)
        .map(|number| {
            (
                format!("s{number}"),
                SectionContent {
                    version: DesiredVersion(1),
                    content: json("{}"),
                },
            )
        })
        .collect();
    let many = DesiredDocument(many).to_json();
    let long = format!(
        r#"{{"a":{{"version":1,"content":{{"x":"{}"}}}}}}"#,
        "x".repeat(CONTENTS_MAX_BYTES)
    );
    for (document, why) in [
        (json("[]"), "no document"),
        (json(r#"{"a":1}"#), "no document"),
        (json(r#"{"A b":{"version":1,"content":{}}}"#), "no name"),
        (many, "17 sections"),
        (json(&long), "bytes"),
    ] {
        let desired = Desired {
            version: 1,
            base: None,
            document,
        };
        let Offered::Unusable(reason) = keeper.offered(&desired) else {
            panic!("{why}")
        };
        assert!(reason.contains(why), "{reason}");
    }
}

#[test]
fn a_reason_is_told_in_500_characters() {
    let mut keeper = keeper();
    take(
        &mut keeper,
        &whole(1, r#"{"calibration":{"version":1,"content":{}}}"#),
    );
    let mut said = outcome("calibration", 1, DesiredStatus::Refused);
    said.reason = Some("ä".repeat(REASON_MAX_CHARS + 1));
    keeper.said(&said);
    let report = keeper.report().unwrap();
    assert_eq!(
        report.sections[0].reason.as_ref().unwrap().chars().count(),
        REASON_MAX_CHARS
    );
}

proptest! {
    /// In whatever order and however often versions come, and whichever of them the disk takes: what is held never goes back, and is
    /// the newest of those that were kept.
    #[test]
    fn what_is_held_never_goes_back(offers in prop::collection::vec((0u64..20, prop::bool::ANY), 0..60)) {
        let mut keeper = keeper();
        let mut newest = 0;
        for (version, kept) in offers {
            let text = format!(r#"{{"calibration":{{"version":{version},"content":{{"v":{version}}}}}}}"#);
            if let Offered::Keep(held) = keeper.offered(&whole(version, &text)) {
                prop_assert!(version > newest);
                if kept {
                    newest = version;
                    keeper.kept(held);
                }
            }
            prop_assert_eq!(keeper.held().version, DesiredVersion(newest));
            if newest > 0 {
                prop_assert_eq!(keeper.held().document.0["calibration"].version, DesiredVersion(newest));
            }
        }
    }
}
