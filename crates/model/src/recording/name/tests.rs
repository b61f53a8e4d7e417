use super::*;

#[test]
fn a_name_says_what_it_said() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let (from, to) = (at("2026-11-21T07:00:00.123Z"), at("2026-11-21T07:02:30Z"));
    for kind in [
        Kind::Rolling,
        Kind::Kept("estop_latched".to_owned()),
        Kind::Pinned("a.b".to_owned()),
    ] {
        let name = Name { kind, from, to };
        assert_eq!(Name::of(&name.file()), Some(name));
    }
}

#[test]
fn what_is_no_name_says_nothing() {
    let span = "20261121T070000.123Z-20261121T070230.000Z";
    let good = format!("kept-{span}-why.mcap");
    assert!(Name::of(&good).is_some());
    for bad in [
        String::new(),
        "lock".to_owned(),
        format!("kept-{span}.mcap"),
        format!("rolling-{span}-why.mcap"),
        format!("kept-{span}-a/../../b.mcap"),
        format!("kept-{span}-.mcap"),
        format!("kept-{span}-{}.mcap", "w".repeat(WHY_MAX + 1)),
        format!("kept-{span}-why.mcap.part"),
        format!("KEPT-{span}-why.mcap"),
        "kept-20261321T070000.123Z-20261121T070230.000Z-why.mcap".to_owned(),
    ] {
        assert_eq!(Name::of(&bad), None, "{bad}");
    }
}
