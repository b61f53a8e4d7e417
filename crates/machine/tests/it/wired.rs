//! A machine whose devices are described: the safety loop has its thread, and programs beside it drive it through the gate.

use std::path::Path;
use std::time::{Duration, Instant};

use http::Method;
use muster_machine::local::client::{Ask, LocalError, ask, safety};
use muster_machine::local::devices::{Connected, Holder, Let};
use muster_machine::metals::MetalSource;
use muster_machine::options::{Options, SafetyOptions};
use muster_machine::run;
use muster_metal::wiring::Wiring;
use muster_metal::{LinuxMachine, LinuxRoots};
use muster_model::vocabulary::{Authority, Safety};
use muster_reflex::safety::config::Start;
use muster_runtime::{Clock, Shutdown};

const DESK: &str = r#"{
    "devices": {"motor": {"type": "simulated_motor", "speed_max": 3, "time_constant_ms": 20},
        "relay": {"type": "simulated_relay"}, "button": {"type": "simulated_contact"}, "lid": {"type": "simulated_contact"}},
    "sensors": {"speed": {"device": "motor", "unit": "rad/s", "interval_ms": 40}, "power": {"device": "relay", "unit": "on", "interval_ms": 40}},
    "actuators": {"turn": {"device": "motor", "unit": "rad/s", "max": 2, "change_max_per_s": 40, "sensor": "speed"}},
    "safety": {"estop": "button", "tamper": "lid", "enable": "relay", "period_ms": 2}
}"#;

struct Desk {
    directory: tempfile::TempDir,
    shutdown: Shutdown,
}

impl Desk {
    fn data(&self) -> &Path {
        self.directory.path()
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        body: Option<&str>,
    ) -> Result<T, LocalError> {
        let asked = Ask {
            method,
            path,
            machine: None,
            body: body.map(str::to_owned),
        };
        ask(self.data(), asked).await
    }

    async fn reading(&self, sensor: &str) -> f64 {
        let connected: Connected = self.ask(&Method::GET, "/v1/devices", None).await.unwrap();
        connected.readings[sensor].value.unwrap_or(f64::NAN)
    }

    /// Lets it go on, however long it takes until it is measured.
    async fn go(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.press("resume").await != Safety::Operational {
            assert!(Instant::now() < deadline, "it does not go on");
        }
    }

    /// Claims and drives, again and again, until a sensor reads so: on a busy computer a command is over before it is seen.
    async fn drive_until(&self, value: f64, sensor: &str, so: impl Fn(f64) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut read = f64::NAN;
        while !so(read) {
            assert!(Instant::now() < deadline, "{sensor} reads {read}");
            self.claim(60_000).await;
            // What is not measured for a moment stands for that moment.
            let _ = self.drive(value).await;
            read = self.reading(sensor).await;
        }
    }

    /// Waits until a sensor reads so.
    async fn until(&self, sensor: &str, so: impl Fn(f64) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let value = self.reading(sensor).await;
            if so(value) {
                return;
            }
            assert!(Instant::now() < deadline, "{sensor} reads {value}");
        }
    }

    async fn until_it_is(&self, region: Safety) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let standing = safety(self.data(), None, None).await;
            let stands = standing.ok().and_then(|standing| standing.operation);
            if stands.as_ref().map(|operation| operation.safety) == Some(region) {
                return;
            }
            assert!(Instant::now() < deadline, "{stands:?}");
            tokio::task::yield_now().await;
        }
    }

    async fn press(&self, what: &str) -> Safety {
        let standing = safety(self.data(), Some(what), None).await.unwrap();
        standing.operation.unwrap().safety
    }

    async fn drive(&self, value: f64) -> Result<Let, LocalError> {
        let body = format!(r#"{{"value": {value}, "for_ms": 500}}"#);
        self.ask(&Method::POST, "/v1/actuators/turn", Some(&body)).await
    }

    async fn claim(&self, ms: u64) -> Authority {
        let body = format!(r#"{{"authority": "local_manual", "for_ms": {ms}}}"#);
        let held: Holder = self.ask(&Method::POST, "/v1/claim", Some(&body)).await.unwrap();
        held.holder
    }
}

/// Runs a machine on a desk while `with` works with it.
async fn on_a_desk<F: Future<Output = ()>>(with: impl FnOnce(std::sync::Arc<Desk>) -> F) {
    let desk = std::sync::Arc::new(Desk {
        directory: tempfile::tempdir().unwrap(),
        shutdown: Shutdown::new(),
    });
    let mut options = Options::new("ws://127.0.0.1:9".parse().unwrap(), "desk", "bench");
    options.wiring = serde_json::from_str::<Wiring>(DESK).unwrap();
    assert_eq!(options.wiring.check(), []);
    options.safety = SafetyOptions {
        start: Start::Explicit,
        // Other tests keep the processors busy, and this one may have no real-time priority.
        late_after: Duration::from_secs(2),
        ..SafetyOptions::default()
    };
    let metal = MetalSource::fresh(|| Box::new(LinuxMachine::new(LinuxRoots::default())));
    let machine = run(desk.data(), options, metal, Clock::start(), desk.shutdown.clone());
    let work = async {
        with(desk.clone()).await;
        desk.shutdown.request("the test is over");
    };
    let (ended, ()) = tokio::join!(machine, work);
    ended.unwrap();
}

#[tokio::test]
async fn it_is_driven_through_the_gate_and_no_other_way() {
    on_a_desk(|desk| async move {
        desk.until_it_is(Safety::ProtectiveStop).await;
        assert_eq!(desk.claim(60_000).await, Authority::LocalManual);
        let refused = desk.drive(1.0).await.unwrap_err().to_string();
        assert!(refused.ends_with("standing"), "{refused}");
        assert_eq!(desk.reading("power").await, 0.0);

        desk.go().await;
        desk.until("power", |on| on == 1.0).await;
        desk.drive_until(1.0, "speed", |speed| speed > 0.9).await;
        // Its deadline passes: it comes to rest by itself.
        desk.until("speed", |speed| speed.abs() < 0.05).await;
        // More than it may is cut to what it may.
        desk.drive_until(-50.0, "speed", |speed| speed < -1.8).await;
        assert!(desk.reading("speed").await > -2.1);

        // Who has not claimed it moves nothing.
        let _: Holder = desk.ask(&Method::DELETE, "/v1/claim", None).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let refused = desk.drive(1.0).await.unwrap_err().to_string();
            if refused.ends_with("not_the_holder") {
                break;
            }
            assert!(
                refused.ends_with("standing") && Instant::now() < deadline,
                "{refused}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn what_its_loop_was_granted_and_what_its_gate_refused_is_said() {
    /// Many for a person, few for a machine.
    const REFUSED: u64 = 60;
    on_a_desk(|desk| async move {
        desk.until_it_is(Safety::ProtectiveStop).await;
        for _ in 0..REFUSED {
            let refused = desk.drive(1.5).await.unwrap_err().to_string();
            assert!(refused.ends_with("standing"), "{refused}");
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        let standing = loop {
            let standing = safety(desk.data(), None, None).await.unwrap();
            let gate = standing.gate.clone().expect("it has an actuator");
            if gate.decisions.iter().map(|row| row.times).sum::<u64>() == REFUSED {
                break standing;
            }
            assert!(Instant::now() < deadline, "{gate:?}");
        };
        let gate = standing.gate.unwrap();
        let [row] = &gate.decisions[..] else {
            panic!("they are one row: {gate:?}")
        };
        assert_eq!((row.actuator.as_str(), row.reason.as_str()), ("turn", "standing"));
        assert_eq!(
            (row.authority, row.asked, row.passed),
            (Authority::LocalManual, Some(1.5), None)
        );
        assert!(row.first_at <= row.last_at);

        let thread = standing
            .safety
            .unwrap()
            .thread
            .clone()
            .expect("its loop has a thread");
        assert_eq!(
            thread.priority.is_some(),
            thread.priority_refused.is_none(),
            "{thread:?}"
        );
        assert_eq!(
            thread.memory_locked,
            thread.memory_refused.is_none(),
            "{thread:?}"
        );

        // More than it may is cut, which is said as well, and in front.
        desk.go().await;
        desk.claim(60_000).await;
        loop {
            // What is not measured for a moment stands for that moment.
            let _ = desk.drive(-50.0).await;
            let gate = safety(desk.data(), None, None).await.unwrap().gate.unwrap();
            let cut = gate.decisions.iter().find(|row| row.reason == "above_limit");
            if let Some(cut) = cut {
                assert_eq!((cut.asked, cut.passed), (Some(-50.0), Some(-2.0)));
                break;
            }
            assert!(Instant::now() < deadline, "{gate:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_button_takes_the_power_and_latches() {
    on_a_desk(|desk| async move {
        desk.until_it_is(Safety::ProtectiveStop).await;
        desk.go().await;
        desk.drive_until(2.0, "speed", |speed| speed > 1.5).await;
        let _: Connected = desk
            .ask(&Method::POST, "/v1/contacts/button/open", None)
            .await
            .unwrap();
        desk.until_it_is(Safety::EstopLatched).await;
        desk.until("power", |on| on == 0.0).await;
        desk.until("speed", |speed| speed.abs() < 0.05).await;
        assert_eq!(
            desk.press("reset").await,
            Safety::EstopLatched,
            "the button is still in"
        );
        let _: Connected = desk
            .ask(&Method::POST, "/v1/contacts/button/close", None)
            .await
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while desk.press("reset").await != Safety::ProtectiveStop {
            assert!(Instant::now() < deadline);
        }
        assert!(desk.drive(1.0).await.is_err(), "a reset is no resume");
        desk.go().await;
    })
    .await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_words() {
    on_a_desk(|desk| async move {
        desk.until_it_is(Safety::ProtectiveStop).await;
        for (method, path, body, says) in [
            (
                &Method::POST,
                "/v1/actuators/trun",
                r#"{"value": 1, "for_ms": 5}"#,
                "there are: turn",
            ),
            (
                &Method::POST,
                "/v1/actuators/turn",
                r#"{"value": 1, "for_ms": 5000}"#,
                "1 to 500",
            ),
            (
                &Method::POST,
                "/v1/actuators/turn",
                r#"{"value": "fast", "for_ms": 5}"#,
                "the body",
            ),
            (
                &Method::POST,
                "/v1/actuators/turn",
                r#"{"value": 1, "for_ms": 5, "x": 1}"#,
                "unknown field `x`",
            ),
            (
                &Method::POST,
                "/v1/claim",
                r#"{"authority": "mission", "for_ms": 5}"#,
                "local_manual",
            ),
            (
                &Method::POST,
                "/v1/claim",
                r#"{"authority": "local_manual", "for_ms": 0}"#,
                "1 to 60000",
            ),
            (
                &Method::POST,
                "/v1/contacts/relay/open",
                "",
                "there are: button, lid",
            ),
            (&Method::PUT, "/v1/devices", "", "GET /v1/devices"),
            (
                &Method::POST,
                "/v1/recordings/mark",
                r#"{"why": " "}"#,
                "1 to 200",
            ),
            (&Method::GET, "/v1/recordings/mark", "", "POST is accepted"),
            // Machines in tests have no recorder.
            (
                &Method::POST,
                "/v1/recordings/mark",
                r#"{"why": "it rattles"}"#,
                "does not record",
            ),
        ] {
            let refused = desk.ask::<serde_json::Value>(method, path, Some(body)).await;
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains(says), "{path}: {refused} should say {says}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_calibration_turns_what_is_asked_into_what_is_told_and_never_past_the_limit() {
    on_a_desk(|desk| async move {
        desk.until_it_is(Safety::ProtectiveStop).await;
        desk.go().await;
        desk.claim(60_000).await;
        let motor = r#"{"profile": {"kind": "motor", "unit": "rad/s", "input": {"min": -2, "max": 2}, "output": {"min": -2, "max": 2}, "clamp": true,
            "stages": [{"scale": {"factor": -3}}]}, "reason": "mounted the other way round"}"#;
        let applied = desk
            .ask::<serde_json::Value>(&Method::POST, "/v1/calibration/turn/apply", Some(motor))
            .await;
        assert_eq!(applied.unwrap()["in_force"], 1);
        desk.drive_until(0.5, "speed", |speed| speed < -1.4).await;
        assert!(desk.reading("speed").await > -1.6);
        // Three times two would be six: the limit of the actuator is two.
        for _ in 0..3 {
            desk.drive_until(2.0, "speed", |speed| speed < -1.9).await;
            assert!(desk.reading("speed").await > -2.1);
        }
        let sensor = r#"{"profile": {"kind": "sensor", "unit": "on", "input": {"min": 0, "max": 1},
            "stages": [{"offset": {"add": 10}}]}, "reason": "counts from ten"}"#;
        let applied = desk
            .ask::<serde_json::Value>(&Method::POST, "/v1/calibration/power/apply", Some(sensor))
            .await;
        applied.unwrap();
        desk.until("power", |on| on == 11.0).await;
    })
    .await;
}
