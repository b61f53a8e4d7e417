use muster_release::manifest::{HealthCheck, Test};

use super::options::{Asked, fits, parse_command, parse_for, parse_health, parse_require, parse_seconds};

#[test]
fn what_a_machine_must_be_like_is_read_from_words() {
    for (text, reading, test) in [
        ("battery_percent>=40", "battery_percent", Test::AtLeast(40)),
        (
            "temperature_celsius <= -5",
            "temperature_celsius",
            Test::AtMost(-5),
        ),
        (
            "mode in parked, docked",
            "mode",
            Test::In(vec!["parked".into(), "docked".into()]),
        ),
    ] {
        let found = parse_require(text).expect("accepted");
        assert_eq!((found.reading.as_str(), found.test), (reading, test));
    }
    for text in [
        "",
        "battery_percent",
        "battery_percent>40",
        "battery_percent>=4.5",
        "battery_percent>=many",
    ] {
        assert!(
            parse_require(text).expect_err("refused").contains("is accepted"),
            "{text}"
        );
    }
}

#[test]
fn which_machines_it_is_for_comes_in_order_and_once() {
    let asked = ["kind=van", "arch=x86_64", "kind=car", "arch=aarch64", "kind=car"];
    let fits = fits(asked.map(|text| parse_for(text).expect("accepted")).to_vec());
    assert_eq!(fits.kinds, ["car", "van"]);
    assert_eq!(
        fits.architectures
            .iter()
            .map(|one| one.as_str())
            .collect::<Vec<_>>(),
        ["aarch64", "x86_64"]
    );
    assert_eq!(parse_for("kind=car"), Ok(Asked::Kind("car".into())));
    for text in ["kind", "kind=", "arch=z80", "site=munich"] {
        assert!(
            parse_for(text).expect_err("refused").contains("accepted"),
            "{text}"
        );
    }
}

#[test]
fn checks_and_commands_are_read_from_words() {
    assert_eq!(parse_health("process").expect("accepted").0, HealthCheck::Process);
    assert_eq!(
        parse_health("port=8080").expect("accepted").0,
        HealthCheck::Port(8080)
    );
    assert!(
        matches!(parse_health("command=bin/app --check").expect("accepted").0, HealthCheck::Command(it) if it.command == ["bin/app", "--check"])
    );
    for text in ["", "port", "port=0", "port=70000", "command=", "process=1"] {
        assert!(parse_health(text).is_err(), "{text}");
    }
    assert!(parse_command("  ").is_err());
    assert_eq!(
        parse_command(" bin/app  -v ").expect("accepted").hook(5).command,
        ["bin/app", "-v"]
    );
    assert!(parse_seconds("0").is_err() && parse_seconds("3601").is_err());
    assert_eq!(parse_seconds("3600"), Ok(3_600));
}
