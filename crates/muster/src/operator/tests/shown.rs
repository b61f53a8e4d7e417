//! What is shown.

use muster_client::test_server::{event, machine, machine_id, problem};
use muster_model::entry::JsonText;
use muster_model::{Presence, Severity, StatusWord};
use muster_protocol::api::{LogLine, Point, Series};

use super::*;

fn eventful() -> Fleet {
    let mut fleet = Fleet::of(3);
    let mut with_data = event(99, 0, "safety.estop", Severity::Critical, "emergency stop");
    let data = serde_json::value::RawValue::from_string(r#"{"z": [1.50], "a": "ü"}"#.into()).expect("JSON");
    with_data.data = Some(JsonText(data));
    fleet.events = vec![
        with_data,
        event(
            98,
            1,
            "thermal.high",
            Severity::Warning,
            "motor is warm\u{1b}[2J\nand old",
        ),
        event(97, 2, "presence.online", Severity::Info, "Online: connected"),
    ];
    fleet
}

#[tokio::test]
async fn the_fleet_in_figures() {
    golden!(
        "the_fleet_in_figures",
        seen(Fleet::of(25), Some(100), &["status"]).await
    );
}

#[tokio::test]
async fn the_fleet_in_figures_on_a_narrow_terminal_in_the_past() {
    golden!(
        "the_fleet_in_figures_on_a_narrow_terminal_in_the_past",
        seen(Fleet::of(6), Some(50), &["status", "--at", "-2h"]).await
    );
}

#[tokio::test]
async fn an_empty_fleet() {
    golden!("an_empty_fleet", seen(Fleet::of(0), Some(100), &["status"]).await);
    let text = seen(Fleet::of(0), Some(100), &["machines"]).await;
    assert!(
        text.ends_with("--- notes\nnote: there are no machines\n"),
        "{text}"
    );
}

#[tokio::test]
async fn machines_on_a_wide_terminal() {
    golden!(
        "machines_on_a_wide_terminal",
        seen(Fleet::of(12), Some(140), &["machines"]).await
    );
}

#[tokio::test]
async fn machines_where_there_is_no_terminal() {
    golden!(
        "machines_where_there_is_no_terminal",
        seen(Fleet::of(3), None, &["machines", "--wide"]).await
    );
}

#[tokio::test]
async fn machines_on_a_narrow_terminal() {
    golden!(
        "machines_on_a_narrow_terminal",
        seen(Fleet::of(7), Some(60), &["machines"]).await
    );
    golden!(
        "machines_on_a_narrow_terminal_2",
        seen(Fleet::of(7), Some(16), &["machines"]).await
    );
}

#[tokio::test]
async fn machines_of_the_past() {
    golden!(
        "machines_of_the_past",
        seen(
            Fleet::of(4),
            Some(120),
            &["machines", "--at", "11:30", "--limit", "2"]
        )
        .await
    );
}

#[tokio::test]
async fn what_is_not_known_is_not_made_up() {
    let mut fleet = Fleet::of(1);
    let row = &mut fleet.machines[0].summary;
    row.name = "0190a3b4".into();
    row.kind.clear();
    row.region.clear();
    row.version.clear();
    row.status = StatusWord::Unknown;
    row.presence = Presence::Lost;
    row.mode = None;
    row.battery_percent = None;
    row.charging = None;
    row.temperature_celsius = None;
    row.cpu_percent = Some(f64::NAN);
    golden!(
        "what_is_not_known_is_not_made_up",
        seen(fleet, Some(140), &["machines"]).await
    );
}

#[tokio::test]
async fn columns_that_were_asked_for() {
    let columns = "status,name,reason,memory,labels,location,speed";
    golden!(
        "columns_that_were_asked_for",
        seen(Fleet::of(3), Some(40), &["machines", "--columns", columns]).await
    );
}

#[tokio::test]
async fn colours() {
    // The table's library looks at the variable itself; with it there would be no colours to look at.
    if std::env::var_os("NO_COLOR").is_some() {
        eprintln!("left out: NO_COLOR is set");
        return;
    }
    let server = server(Fleet::of(5)).await;
    let terminal = Terminal {
        look: Look {
            width: Some(80),
            colour: true,
        },
        ..Terminal::new(None)
    };
    terminal
        .run(server.address(), &["machines"])
        .await
        .expect("success");
    golden!("colours", terminal.out.text().replace('\u{1b}', "␛"));
}

#[tokio::test]
async fn one_machine() {
    golden!(
        "one_machine",
        seen(Fleet::of(3), Some(100), &["machine", "show", "otto"]).await
    );
}

#[tokio::test]
async fn one_machine_of_the_past_that_never_reported() {
    let mut fleet = Fleet::of(1);
    fleet.machines[0].reported = Default::default();
    fleet.machines[0].summary.reported_at = None;
    fleet.machines[0].summary.temperature_celsius = None;
    let line = ["machine", "show", "frida", "--at", "yesterday 14:03"];
    golden!(
        "one_machine_of_the_past_that_never_reported",
        seen(fleet, Some(100), &line).await
    );
}

#[tokio::test]
async fn events_newest_last() {
    golden!(
        "events_newest_last",
        seen(eventful(), Some(100), &["events"]).await
    );
    golden!(
        "events_newest_last_2",
        seen(eventful(), Some(100), &["machine", "events", "otto"]).await
    );
    let text = seen(Fleet::of(1), None, &["events"]).await;
    assert!(text.contains("note: there are no such events"), "{text}");
}

#[tokio::test]
async fn the_oldest_events_where_they_are_asked_for() {
    golden!(
        "the_oldest_events",
        seen(
            eventful(),
            Some(100),
            &["events", "--order", "asc", "--limit", "2"]
        )
        .await
    );
    let text = seen(Fleet::of(1), None, &["events", "--order", "asc"]).await;
    assert!(text.contains("note: there are no such events until"), "{text}");
}

#[tokio::test]
async fn events_as_documents() {
    golden!(
        "events_as_documents",
        seen(eventful(), None, &["events", "-o", "json"]).await
    );
    golden!(
        "events_as_documents_2",
        seen(eventful(), None, &["events", "-o", "yaml"]).await
    );
}

#[tokio::test]
async fn documents_can_be_read_back() {
    let server = server(Fleet::of(23)).await;
    let terminal = Terminal::new(Some(80));
    terminal
        .run(server.address(), &["machines", "-o", "json"])
        .await
        .expect("success");
    let page: muster_protocol::api::MachinePage = serde_json::from_str(&terminal.out.text()).expect("JSON");
    assert_eq!(page.items.len(), 23);
    assert_eq!(page.items[22], machine(22).summary);
    let terminal = Terminal::new(Some(80));
    let line = ["machine", "show", "otto", "-o", "yaml"];
    terminal.run(server.address(), &line).await.expect("success");
    let value: yaml_serde::Value = yaml_serde::from_str(&terminal.out.text()).expect("YAML");
    let id = value["summary"]["id"].as_str().map(str::to_owned);
    assert_eq!(id, Some(machine_id(1).to_string()));
}

#[tokio::test]
async fn a_log() {
    let mut fleet = Fleet::of(1);
    let line = |seconds: i64, severity, message: &str| LogLine {
        at: start().plus_millis(seconds * 1_000),
        severity,
        target: "uplink".into(),
        message: message.into(),
        fields: None,
    };
    fleet.logs = vec![
        line(-1, Severity::Error, "connection refused"),
        line(-2, Severity::Info, "connecting"),
    ];
    golden!(
        "a_log",
        seen(fleet, Some(100), &["machine", "logs", "frida"]).await
    );
}

#[tokio::test]
async fn telemetry() {
    let mut fleet = Fleet::of(1);
    let series = |metric: &str, unit: &str, values: &[f64]| Series {
        metric: metric.into(),
        unit: unit.into(),
        about: String::new(),
        points: values
            .iter()
            .enumerate()
            .map(|(index, value)| Point {
                at: start().plus_millis(1_000 * (index as i64 - values.len() as i64)),
                min: value - 1.0,
                mean: *value,
                max: value + 1.0,
                count: 2,
            })
            .collect(),
    };
    let rising: Vec<f64> = (0..60).map(f64::from).collect();
    fleet.series = vec![
        series("cpu.percent", "%", &rising),
        series("battery.volts", "V", &[12.4, 12.3]),
        series("network.receive_bytes_per_s", "B/s", &[81_234.5]),
        series("empty", "", &[]),
    ];
    golden!(
        "telemetry",
        seen(fleet, Some(100), &["machine", "telemetry", "frida"]).await
    );
}

#[tokio::test]
async fn errors() {
    let mut fleet = Fleet::of(8);
    fleet.machines[7].summary.name = "frida".into();
    let server = server(fleet).await;
    let address = server.address();
    let mut text = String::new();
    for line in [
        &["machines", "--filter", "colour=red"][..],
        &["machines", "--at", "25:00"],
        &["machines", "--at", "23:00"],
        &["machine", "show", "frida"],
        &["machine", "show", "FRIDA"],
        &["machine", "show", "0190000"],
        &["machine", "show", "rta"],
        &["machine", "show", "nobody"],
        &["machine", "show", "01900000-0000-7000-8000-00000000ffff"],
        &["events", "--kind", "a b", "--follow"],
    ] {
        let (report, code) = refused(address, line).await;
        text.push_str(&format!("$ muster {}\n{report}exit {code}\n\n", line.join(" ")));
    }
    golden!("errors", text);
}

#[tokio::test]
async fn a_server_that_is_not_there() {
    let server = server(Fleet::of(0)).await;
    let address = server.address().to_owned();
    drop(server);
    let (report, code) = refused(&address, &["status"]).await;
    assert_eq!(code, 69);
    assert!(
        report.starts_with("error: no server answers at http://server"),
        "{report}"
    );
    assert!(
        report.contains("hint: start a fleet with `muster demo`"),
        "{report}"
    );
    assert!(report.contains("code: MST-C001"), "{report}");
}

#[test]
fn an_address_that_is_none_is_bad_configuration() {
    let arguments = Arguments::try_parse_from(["muster", "--server", "ftp://x", "status"]).expect("parsed");
    let error = Session::open(&arguments.global).err().expect("refused");
    assert_eq!((error.exit_code(), error.code()), (64, "MST-C004"));
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_error_to_tell_of() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let error = OperatorError::from(Gone.write(b"x").expect_err("broken"));
    let mut report = Vec::new();
    error.report(&mut report, true);
    assert_eq!((error.exit_code(), report.len()), (0, 0));
}

#[tokio::test]
async fn machines_are_found_by_name_and_by_the_beginning_of_an_id() {
    let mut fleet = Fleet::of(3);
    fleet.machines[2].summary.name = "Käthe, the 2nd".into();
    let server = server(fleet).await;
    let full = machine_id(2).to_string();
    for given in [
        "Käthe, the 2nd",
        "käthe, THE 2nd",
        "01900002",
        &full,
        " 01900002-0000 ",
    ] {
        let terminal = Terminal::new(None);
        let line = ["machine", "show", given, "-o", "json"];
        terminal.run(server.address(), &line).await.expect(given);
        assert!(terminal.out.text().contains(&full), "{given}");
    }
}

#[tokio::test]
async fn a_problem_names_the_parts_that_are_wrong() {
    let server = server(Fleet::of(0)).await;
    let mut bad = problem(400, "MST-A001", "the query cannot be understood");
    bad.errors.push(muster_protocol::api::ProblemField {
        at: "query.sort".into(),
        detail: "there is no field \"colour\"".into(),
    });
    server.refuse_next(bad);
    let (report, code) = refused(server.address(), &["machines"]).await;
    assert_eq!(code, 1);
    assert_eq!(
        report,
        "error: the query cannot be understood\n  query.sort: there is no field \"colour\"\n  code: MST-A001\n"
    );
}
