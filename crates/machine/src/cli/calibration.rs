//! `muster-machine calibration`: what the devices of a machine beside you are calibrated to.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use muster_model::calibration::{CalibrationReport, Profile};

use super::beside::{Failed, Place, Refused, carry_out, print_json};
use crate::local::calibration::{Came, Kept, PATH, Wish};
use crate::local::client::escaped;

/// Longest file that is read.
const FILE_MAX_BYTES: u64 = 1 << 20;
/// Values that a comparison shows.
const COMPARED: u32 = 11;

#[derive(Debug, Subcommand)]
#[command(
    after_help = "Exit codes: 0 it is so, 1 refused (why is said), 64 the file is not accepted, 69 no machine runs \
                        there, 71 refused by the operating system."
)]
pub(super) enum CalibrationCommand {
    /// List how each device is calibrated, and where that differs from what the server desires.
    List {
        #[command(flatten)]
        machine: Which,
    },
    /// Show every version of one device.
    Show {
        /// Which device.
        device: String,
        #[command(flatten)]
        machine: Which,
    },
    /// Say whether a profile is accepted; nothing runs and nothing changes. With --device the machine beside you looks at it, with
    /// the limits of that device.
    Check {
        /// The profile, JSON or YAML.
        file: PathBuf,
        /// Which device it is for.
        #[arg(long)]
        device: Option<String>,
        #[command(flatten)]
        machine: Which,
    },
    /// Put a profile in force, at once and for good.
    Apply {
        /// Which device.
        device: String,
        /// The profile, JSON or YAML.
        file: PathBuf,
        /// Why; it is kept with the version.
        #[arg(long, value_name = "WORDS")]
        reason: String,
        #[command(flatten)]
        machine: Which,
    },
    /// Put an earlier version in force again; without --to the one that was in force before.
    Rollback {
        /// Which device.
        device: String,
        /// The version; 0 takes values as they are.
        #[arg(long, value_name = "VERSION")]
        to: Option<u32>,
        /// Why.
        #[arg(long, value_name = "WORDS")]
        reason: String,
        #[command(flatten)]
        machine: Which,
    },
    /// Give up what was decided at the machine: what the server desires is in force from now on.
    Follow {
        /// Which device.
        device: String,
        /// Why.
        #[arg(long, value_name = "WORDS")]
        reason: String,
        #[command(flatten)]
        machine: Which,
    },
    /// Show what two versions make of the same values; without versions what is in force beside none.
    Compare {
        /// Which device.
        device: String,
        /// One version; 0 is none.
        #[arg(default_value_t = 0)]
        one: u32,
        /// The other; without it the one in force.
        other: Option<u32>,
        #[command(flatten)]
        machine: Which,
    },
}

/// Which machine.
#[derive(Debug, Args)]
pub(super) struct Which {
    #[command(flatten)]
    place: Place,
    /// Write JSON, for programs
    #[arg(long)]
    json: bool,
}

/// A profile, a device or a version that is not accepted.
const REFUSED: Refused = Refused {
    code: 1,
    error: "MST-M020",
};

pub(super) fn run(command: CalibrationCommand) -> ExitCode {
    carry_out(async { done(command).await.map(|()| ExitCode::SUCCESS) })
}

async fn done(command: CalibrationCommand) -> Result<(), Failed> {
    match command {
        CalibrationCommand::List { machine } => list(&machine).await,
        CalibrationCommand::Show { device, machine } => show(&kept(&machine, &device).await?, machine.json),
        CalibrationCommand::Check {
            file,
            device,
            machine,
        } => check(&file, device.as_deref(), &machine).await,
        CalibrationCommand::Apply {
            device,
            file,
            reason,
            machine,
        } => {
            let profile = Some(Box::new(read(&file)?));
            let wish = Wish {
                profile,
                reason,
                to: None,
            };
            change(&machine, &device, "apply", &wish).await
        }
        CalibrationCommand::Rollback {
            device,
            to,
            reason,
            machine,
        } => {
            let wish = Wish {
                to,
                reason,
                profile: None,
            };
            change(&machine, &device, "rollback", &wish).await
        }
        CalibrationCommand::Follow {
            device,
            reason,
            machine,
        } => {
            let wish = Wish {
                reason,
                ..Wish::default()
            };
            change(&machine, &device, "follow", &wish).await
        }
        CalibrationCommand::Compare {
            device,
            one,
            other,
            machine,
        } => {
            let kept = kept(&machine, &device).await?;
            let other = other.unwrap_or(kept.in_force);
            compare(&kept, one, other)
        }
    }
}

/// Asks the machine, with a body where there is one.
async fn asked<T: serde::de::DeserializeOwned>(
    which: &Which,
    method: &Method,
    path: &str,
    body: Option<&Wish>,
) -> Result<T, Failed> {
    let body = body.map(serde_json::to_string).transpose();
    let body = body.map_err(|error| Failed::new(70, error.to_string()))?;
    let asked = which.place.ask(method, path, body).await;
    asked.map_err(|error| Failed::asking(&error, REFUSED))
}

async fn kept(which: &Which, device: &str) -> Result<Kept, Failed> {
    asked(which, &Method::GET, &format!("{PATH}/{}", escaped(device)), None).await
}

async fn change(which: &Which, device: &str, what: &str, wish: &Wish) -> Result<(), Failed> {
    let path = format!("{PATH}/{}/{what}", escaped(device));
    let came: Came = asked(which, &Method::POST, &path, Some(wish)).await?;
    if which.json {
        return print_json(&came);
    }
    match came.in_force {
        0 => println!("{device}: values are taken as they are"),
        version => println!("{device}: version {version} is in force"),
    }
    Ok(())
}

async fn list(which: &Which) -> Result<(), Failed> {
    let report: CalibrationReport = asked(which, &Method::GET, PATH, None).await?;
    if which.json {
        return print_json(&report);
    }
    if report.devices.is_empty() {
        println!("no device has a calibration: values are taken as they are");
    }
    for device in &report.devices {
        let what = match device.version {
            0 => "values are taken as they are".to_owned(),
            version => format!("version {version}"),
        };
        println!(
            "{}: {what}, {} since {} ({} kept)",
            device.device, device.source, device.since, device.versions
        );
        if let Some(drift) = &device.drift {
            println!("  differs from what the server desires: {drift}");
        }
    }
    Ok(())
}

fn show(kept: &Kept, json: bool) -> Result<(), Failed> {
    if json {
        return print_json(kept);
    }
    for version in &kept.record.versions {
        let sign = if version.version == kept.in_force {
            "*"
        } else {
            " "
        };
        let stages: Vec<_> = version
            .profile
            .stages
            .iter()
            .map(muster_model::calibration::Stage::name)
            .collect();
        let stages = if stages.is_empty() {
            "nothing".to_owned()
        } else {
            stages.join(", ")
        };
        let note = [version.reason.as_str(), version.profile.note.as_str()];
        let note: Vec<_> = note.into_iter().filter(|text| !text.is_empty()).collect();
        println!(
            "{sign} {} {} {} {}: {stages}. {}",
            version.version,
            version.kept_at,
            version.source,
            version.profile.kind,
            note.join("; ")
        );
    }
    println!("(* is in force; --json has the profiles)");
    Ok(())
}

async fn check(file: &Path, device: Option<&str>, which: &Which) -> Result<(), Failed> {
    let profile = read(file)?;
    match device {
        Some(device) => {
            let wish = Wish {
                profile: Some(Box::new(profile)),
                ..Wish::default()
            };
            let path = format!("{PATH}/{}/check", escaped(device));
            let _: Came = asked(which, &Method::POST, &path, Some(&wish)).await?;
        }
        None => drop(profile.compile(None).map_err(|refusals| {
            let lines: Vec<String> = refusals.iter().map(|refusal| format!("\n  {refusal}")).collect();
            Failed::new(
                64,
                format!("{} is not accepted:{} [MST-M020]", file.display(), lines.concat()),
            )
        })?),
    }
    println!("{} is accepted", file.display());
    Ok(())
}

fn compare(kept: &Kept, one: u32, other: u32) -> Result<(), Failed> {
    let profile = |version: u32| match kept.record.version(version) {
        Some(found) => Ok(Some(&found.profile)),
        None if version == 0 => Ok(None),
        None => Err(Failed::new(
            1,
            format!("there is no version {version} of {} [MST-M020]", kept.device),
        )),
    };
    let (one_profile, other_profile) = (profile(one)?, profile(other)?);
    let Some(input) = other_profile.or(one_profile).map(|profile| profile.input) else {
        println!("both take values as they are");
        return Ok(());
    };
    println!(
        "{:>14} {:>14} {:>14} {:>14}",
        "input",
        named(one),
        named(other),
        "difference"
    );
    for step in 0..COMPARED {
        let value = input.min + (input.max - input.min) * f64::from(step) / f64::from(COMPARED - 1);
        let out = |profile: Option<&Profile>| {
            let compiled = profile.map(|profile| profile.compile(None).ok());
            compiled.map_or(Some(value), |compiled| {
                compiled?.apply(value).map(|out| out.value)
            })
        };
        match (out(one_profile), out(other_profile)) {
            (Some(a), Some(b)) => println!("{value:>14.4} {a:>14.4} {b:>14.4} {:>14.4}", b - a),
            _ => {
                return Err(Failed::new(
                    1,
                    "what has several axes is not compared here [MST-M020]".to_owned(),
                ));
            }
        }
    }
    Ok(())
}

fn named(version: u32) -> String {
    match version {
        0 => "none".to_owned(),
        version => format!("version {version}"),
    }
}

/// A profile from a file. JSON is YAML, too.
fn read(file: &Path) -> Result<Profile, Failed> {
    let refused = |why: String| Failed::new(64, format!("{}: {why} [MST-M020]", file.display()));
    let length = std::fs::metadata(file)
        .map_err(|error| refused(error.to_string()))?
        .len();
    if length > FILE_MAX_BYTES {
        return Err(refused(format!("it is longer than {FILE_MAX_BYTES} bytes")));
    }
    let text = std::fs::read_to_string(file).map_err(|error| refused(error.to_string()))?;
    // By way of JSON: the stages are written in YAML as they are there.
    let value: serde_json::Value = yaml_serde::from_str(&text).map_err(|error| refused(error.to_string()))?;
    serde_json::from_value(value).map_err(|error| refused(error.to_string()))
}
