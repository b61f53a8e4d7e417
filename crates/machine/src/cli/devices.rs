//! Looking at what is connected to a machine beside one, and moving it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use http::Method;
use muster_model::vocabulary::Authority;

use super::beside::{Output, Place, carry_out, complain, print_json};
use crate::local::client::LocalError;
use crate::local::devices::{Claim, Connected, Drive, Holder, Let};

/// A command holds for so long; it is said again in half of that.
const HOLDS: Duration = Duration::from_millis(400);
/// A claim lasts so long; it is made again with each command.
const CLAIMED: Duration = Duration::from_millis(1_000);

/// Which machine, and how to say it.
#[derive(Debug, Args)]
pub(super) struct Flags {
    #[command(flatten)]
    place: Place,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Open a simulated contact: press an emergency stop that does not exist
    #[arg(long, value_name = "CONTACT", conflicts_with = "close")]
    open: Option<String>,
    /// Close a simulated contact again
    #[arg(long, value_name = "CONTACT")]
    close: Option<String>,
}

/// What to move.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 it was driven to the end, 64 refused (why is said), 69 no machine runs there."
)]
pub(super) struct DriveFlags {
    /// Which actuator
    actuator: String,
    /// What it shall do, in its unit
    #[arg(allow_negative_numbers = true)]
    value: f64,
    /// For how many seconds
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 1.0)]
    seconds: f64,
    #[command(flatten)]
    place: Place,
}

pub(super) fn show(flags: &Flags) -> ExitCode {
    let (method, path) = match (&flags.open, &flags.close) {
        (Some(name), _) => (Method::POST, format!("/v1/contacts/{name}/open")),
        (None, Some(name)) => (Method::POST, format!("/v1/contacts/{name}/close")),
        (None, None) => (Method::GET, "/v1/devices".to_owned()),
    };
    carry_out(async {
        let connected: Connected = flags.place.ask(&method, &path, None).await?;
        match flags.output {
            Output::Json => print_json(&connected)?,
            Output::Text => print!("{}", words(&connected)),
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Everything that is connected, as a person reads it.
fn words(connected: &Connected) -> String {
    let mut text = String::new();
    let width =
        |names: &mut dyn Iterator<Item = &String>| names.map(|name| name.chars().count()).max().unwrap_or(0);
    let devices = &connected.devices;
    let wide = width(&mut devices.devices.iter().map(|device| &device.name));
    for device in &devices.devices {
        let mark = if device.usable { " " } else { "!" };
        text.push_str(&format!(
            "{mark} {:wide$}  {:17}  {}\n",
            device.name, device.kind, device.detail
        ));
    }
    let wide = width(&mut connected.readings.keys());
    if !connected.readings.is_empty() {
        text.push_str("\nSensors\n");
    }
    for (name, reading) in &connected.readings {
        let value = match (reading.value, &reading.silent) {
            (Some(value), _) => format!("{value:.3} {}", reading.unit),
            (None, Some(why)) => format!("no reading: {why}"),
            (None, None) => "no reading".to_owned(),
        };
        text.push_str(&format!("  {name:wide$}  {value}\n"));
    }
    if !devices.actuators.is_empty() {
        text.push_str("\nActuators\n");
    }
    let wide = width(&mut devices.actuators.iter().map(|actuator| &actuator.name));
    for actuator in &devices.actuators {
        text.push_str(&format!(
            "  {:wide$}  at most {} {unit}, changing by {} {unit} a second; {}\n",
            actuator.name,
            actuator.max,
            actuator.change_max_per_s,
            match &actuator.sensor {
                Some(sensor) => format!("measured by {sensor}"),
                None => "not measured".to_owned(),
            },
            unit = actuator.unit,
        ));
    }
    text
}

pub(super) fn drive(flags: &DriveFlags) -> ExitCode {
    if !(flags.seconds > 0.0 && flags.seconds <= 3_600.0) {
        return complain(64, "--for: seconds above zero, 3600 at most, are accepted");
    }
    carry_out(async {
        let stopped = tokio::signal::ctrl_c();
        tokio::pin!(stopped);
        let driven = tokio::select! {
            driven = drive_on(flags) => driven,
            // What was said last holds for less than half a second.
            _ = &mut stopped => Ok(()),
        };
        let released: Result<Holder, _> = flags.place.ask(&Method::DELETE, "/v1/claim", None).await;
        driven.and(released.map(drop))?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn drive_on(flags: &DriveFlags) -> Result<(), LocalError> {
    let began = Instant::now();
    let whole = Duration::from_secs_f64(flags.seconds);
    let path = format!("/v1/actuators/{}", flags.actuator);
    let mut said = false;
    while began.elapsed() < whole {
        let claim = Claim {
            authority: Authority::LocalManual,
            for_ms: millis(CLAIMED),
        };
        let claim = serde_json::to_string(&claim).ok();
        let _: Holder = flags.place.ask(&Method::POST, "/v1/claim", claim).await?;
        let left = whole
            .saturating_sub(began.elapsed())
            .max(Duration::from_millis(1));
        let drive = Drive {
            value: flags.value,
            for_ms: millis(HOLDS.min(left)).max(1),
            authority: Authority::LocalManual,
        };
        let drive = serde_json::to_string(&drive).ok();
        let passed: Let = flags.place.ask(&Method::POST, &path, drive).await?;
        if !said {
            println!("{}: {}", flags.actuator, passed.value);
            said = true;
        }
        tokio::time::sleep((HOLDS / 2).min(left)).await;
    }
    Ok(())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
