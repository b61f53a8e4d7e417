//! `muster enroll …`: tokens by which machines become part of the fleet.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use muster_protocol::api::{Enrolment, EnrolmentMade, EnrolmentPolicy, EnrolmentState, NewEnrolment};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

use super::error::OperatorError;
use super::identity::which;
use super::moment::parse_duration;
use super::session::Session;
use super::text::{Cell, Column, Paint, Table, clean, local_time};

/// The port of people where an address names none.
const USUAL_PORT: &str = "7700";

/// Let machines into the fleet
#[derive(Debug, Subcommand)]
#[command(after_help = "\
A token is for one machine. Whoever has it becomes a machine of the fleet: hand it over as you
would a key. The machine's own key is made on the machine and stays there.")]
pub enum EnrollCommand {
    /// Make a token for a machine
    New(NewOptions),
    /// Make a token for a machine that is known: its certificate has ended, its key is lost, or it was shut out
    #[command(after_help = "Example:\n  muster enroll renew frida")]
    Renew(AgainOptions),
    /// List enrolments
    List,
    /// Withdraw an enrolment: its token is good for nothing any more
    #[command(after_help = "Example:\n  muster enroll revoke 0193f0c1")]
    Revoke(RevokeOptions),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  muster enroll new --kind lekiwi --label site=munich
  muster enroll new --name frida --expires 24h --pending
  muster enroll new --kind pi --cloud-init > user-data
  muster enroll new --output json | jq -r .token")]
pub struct NewOptions {
    /// What kind of machine it is: lekiwi, car, pi …
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,

    /// What it is shown as
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// A label it has from the first; several: --label a=b --label c=d
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    pub label: Vec<(String, String)>,

    /// How long the token is good: 30m, 24h
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_duration)]
    pub expires: std::time::Duration,

    /// The machine waits until a person accepts it
    #[arg(long)]
    pub pending: bool,

    #[command(flatten)]
    pub handing: Handing,
}

#[derive(Debug, Args)]
pub struct AgainOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,

    #[command(flatten)]
    pub handing: Handing,
}

/// How the token is handed over.
#[derive(Debug, Args)]
pub struct Handing {
    /// Where the machine reaches the server, if not where you do
    #[arg(long, value_name = "URL")]
    pub reached_at: Option<String>,

    /// Write nothing but a snippet for cloud-init
    #[arg(long)]
    pub cloud_init: bool,
}

#[derive(Debug, Args)]
pub struct RevokeOptions {
    /// Its id, or the beginning of it
    #[arg(value_name = "ENROLMENT")]
    pub enrolment: String,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it like site=munich".to_owned()),
    }
}

pub(super) async fn run(command: EnrollCommand, session: &mut Session) -> Result<(), OperatorError> {
    match command {
        EnrollCommand::New(options) => new(options, session).await,
        EnrollCommand::Renew(options) => {
            let machine = which(session, &options.machine).await?;
            let made = session.client.enrol_again(machine).await?;
            hand_over(&made, &options.handing, session)
        }
        EnrollCommand::List => list(session).await,
        EnrollCommand::Revoke(options) => revoke(&options, session).await,
    }
}

async fn new(options: NewOptions, session: &mut Session) -> Result<(), OperatorError> {
    let policy = if options.pending {
        EnrolmentPolicy::Pending
    } else {
        EnrolmentPolicy::Accept
    };
    let body = NewEnrolment {
        kind: options.kind,
        name: options.name,
        labels: options.label.into_iter().collect::<BTreeMap<_, _>>(),
        expires_in_s: Some(u32::try_from(options.expires.as_secs()).unwrap_or(u32::MAX)),
        policy,
    };
    let made = session.client.make_enrolment(&body).await?;
    hand_over(&made, &options.handing, session)
}

/// Shows a token in all the ways in which it gets to a machine.
fn hand_over(made: &EnrolmentMade, handing: &Handing, session: &mut Session) -> Result<(), OperatorError> {
    let server = match &handing.reached_at {
        Some(url) => url.clone(),
        None => session.client.address().to_owned(),
    };
    let server = with_port(server.trim_end_matches('/'));
    if handing.cloud_init {
        return session.print(&cloud_init(&made.token, &server));
    }
    if !session.is_table() {
        return session.document(made);
    }
    let until = local_time(made.enrolment.expires_at, session.zone());
    let command = format!("muster-machine enroll {} --server {server}", made.token);
    let mut text = format!("Token, for one machine until {until}:\n\n  {}\n\n", made.token);
    text.push_str(&format!(
        "On the machine, as the user that runs it:\n\n  {command}\n\n"
    ));
    if let Some(code) = qr(&made.token) {
        text.push_str(&code);
        text.push('\n');
    }
    if made.enrolment.policy == EnrolmentPolicy::Pending {
        text.push_str("It then waits for you: muster identity list, muster identity accept MACHINE\n");
    }
    session.print(&text)
}

/// An address with the port that `muster-machine` would not guess.
fn with_port(server: &str) -> String {
    let bare = server.split_once("://").map_or(server, |(_, rest)| rest);
    let has_port = bare.rsplit_once(':').is_some_and(|(_, port)| {
        !port.is_empty() && port.chars().all(|character| character.is_ascii_digit())
    });
    if has_port {
        server.to_owned()
    } else if server.contains("://") {
        format!("{server}:443")
    } else {
        format!("https://{server}:{USUAL_PORT}")
    }
}

/// A code for a camera, black on white or white on black as the terminal is; nothing where the text is too long for one.
fn qr(text: &str) -> Option<String> {
    let code = QrCode::new(text.as_bytes()).ok()?;
    let image = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .build();
    Some(image + "\n")
}

/// What makes a computer a machine in its first boot.
fn cloud_init(token: &str, server: &str) -> String {
    format!(
        "#cloud-config\n\
         # For one machine, once. muster-machine must be installed, with its unit.\n\
         write_files:\n\
         \x20 - path: /run/muster-enroll\n\
         \x20   permissions: '0600'\n\
         \x20   content: |\n\
         \x20     {token}\n\
         runcmd:\n\
         \x20 - [sh, -c, 'muster-machine enroll - --server {server} < /run/muster-enroll && rm /run/muster-enroll']\n\
         \x20 - [systemctl, enable, --now, muster-machine]\n"
    )
}

async fn list(session: &mut Session) -> Result<(), OperatorError> {
    let page = session.client.enrolments().await?;
    if !session.is_table() {
        return session.document(&page);
    }
    if page.items.is_empty() {
        session.note("there are no enrolments: muster enroll new makes one");
        return Ok(());
    }
    let mut table = Table::new([
        Column::left("ENROLMENT", 255),
        Column::left("STATE", 254),
        Column::left("FOR", 252),
        Column::left("UNTIL", 253),
        Column::left("LABELS", 250),
        Column::left("BY", 251),
    ]);
    for item in &page.items {
        table.push(row(item, session));
    }
    let text = table.take_lines(session.look);
    session.print(&text)
}

fn row(item: &Enrolment, session: &Session) -> Vec<Cell> {
    let (word, paint) = match item.state {
        EnrolmentState::Open => ("open", Paint::Busy),
        EnrolmentState::Used => ("used", Paint::Good),
        EnrolmentState::Expired => ("expired", Paint::Dim),
    };
    let who = match (&item.name, &item.kind, item.machine_id) {
        (Some(name), ..) => name.clone(),
        (None, _, Some(machine)) => machine.to_string(),
        (None, Some(kind), None) => format!("a {kind}"),
        (None, None, None) => "any machine".to_owned(),
    };
    let labels: Vec<String> = item
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    vec![
        Cell::new(clean(&item.id)),
        Cell::painted(word, paint),
        Cell::new(clean(&who)),
        Cell::new(local_time(item.expires_at, session.zone())),
        Cell::new(clean(&labels.join(" "))),
        Cell::new(clean(&item.created_by)),
    ]
}

async fn revoke(options: &RevokeOptions, session: &mut Session) -> Result<(), OperatorError> {
    let page = session.client.enrolments().await?;
    let given = options.enrolment.trim().to_lowercase();
    let meant: Vec<&Enrolment> = page
        .items
        .iter()
        .filter(|item| !given.is_empty() && item.id.starts_with(&given))
        .collect();
    let [meant] = meant.as_slice() else {
        return Err(OperatorError::Usage {
            what: format!("{} enrolments begin with {given:?}", meant.len()),
            hint: "`muster enroll list` shows them".to_owned(),
        });
    };
    session.client.withdraw_enrolment(&meant.id).await?;
    let id = meant.id.clone();
    if session.is_table() {
        session.print(&format!("Enrolment {id} is withdrawn\n"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_told_an_address_with_a_port() {
        for (given, told) in [
            ("https://fleet.example:7700", "https://fleet.example:7700"),
            ("https://fleet.example", "https://fleet.example:443"),
            ("fleet.example", "https://fleet.example:7700"),
            ("https://[::1]:7700", "https://[::1]:7700"),
        ] {
            assert_eq!(with_port(given), told);
        }
    }

    #[test]
    fn a_token_fits_into_a_code_and_is_no_argument_of_a_process_in_cloud_init() {
        let token = format!("mste_{}.{}", "ab".repeat(32), "cd".repeat(32));
        assert!(qr(&token).is_some());
        let snippet = cloud_init(&token, "https://fleet.example:7700");
        let value: serde_json::Value = yaml_serde::from_str(&snippet).unwrap();
        assert_eq!(value["write_files"][0]["content"], format!("{token}\n"));
        assert!(!value["runcmd"].to_string().contains("mste_"));
    }
}
