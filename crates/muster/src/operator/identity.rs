//! `muster identity …`: what machines prove who they are by.

use clap::{Args, Subcommand};
use muster_model::{MachineId, Timestamp};
use muster_protocol::api::{IDENTITIES_PAGE_MAX, IdentityStanding, MachineIdentity};

use super::error::OperatorError;
use super::find::find;
use super::session::Session;
use super::stop::reason;
use super::text::{Cell, Column, Paint, Table, clean, local_time, span};

/// Most identities that are looked through.
const SEARCH_MAX: usize = 20_000;
/// From here on the end of a certificate is near.
const NEAR_MS: i64 = 14 * 86_400_000;

/// What machines prove who they are by
#[derive(Debug, Subcommand)]
#[command(after_help = "A MACHINE is a name, an id, or the beginning of an id.")]
pub enum IdentityCommand {
    /// List machines with their certificates
    List,
    /// Show the certificates of one machine
    Show(MachineOptions),
    /// Let a machine in that waits for it
    #[command(after_help = "Example:\n  muster identity accept frida")]
    Accept(MachineOptions),
    /// Shut a machine out: its connection is cut within seconds
    #[command(after_help = "Example:\n  muster identity revoke frida --reason 'stolen in Munich'")]
    Revoke(RevokeOptions),
    /// Have a machine renew its certificate the next time it asks
    Renew(MachineOptions),
    /// Show the authorities that issue certificates
    Authorities(AuthoritiesOptions),
    /// Make a further authority, which issues from now on
    ///
    /// The one before stays trusted until no certificate is its own any more. Nothing is disconnected.
    RotateCa,
}

#[derive(Debug, Args)]
pub struct MachineOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,
}

#[derive(Debug, Args)]
pub struct RevokeOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,

    /// Why
    #[arg(long, short, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
}

#[derive(Debug, Args)]
pub struct AuthoritiesOptions {
    /// Write nothing but their certificates in PEM, for --ca-file
    #[arg(long)]
    pub pem: bool,
}

pub(super) async fn run(command: IdentityCommand, session: &mut Session) -> Result<(), OperatorError> {
    match command {
        IdentityCommand::List => list(session).await,
        IdentityCommand::Show(options) => {
            let machine = which(session, &options.machine).await?;
            let identity = session.client.identity(machine).await?;
            shown(&identity, session)
        }
        IdentityCommand::Accept(options) => {
            let machine = which(session, &options.machine).await?;
            let identity = session.client.accept_identity(machine).await?;
            said(&identity, "is part of the fleet", session)
        }
        IdentityCommand::Revoke(options) => {
            let machine = which(session, &options.machine).await?;
            let identity = session.client.revoke_identity(machine, &options.reason).await?;
            said(&identity, "is shut out", session)
        }
        IdentityCommand::Renew(options) => {
            let machine = which(session, &options.machine).await?;
            let identity = session.client.renew_identity(machine).await?;
            said(&identity, "renews its certificate when it asks next", session)
        }
        IdentityCommand::Authorities(options) => authorities(&options, session).await,
        IdentityCommand::RotateCa => rotate(session).await,
    }
}

/// The machine that is meant: by what it enrolled as, which is known before it ever came, or as the fleet knows it.
pub(super) async fn which(session: &Session, given: &str) -> Result<MachineId, OperatorError> {
    let given = given.trim();
    if let Ok(id) = given.parse() {
        return Ok(id);
    }
    let all = all(session).await?;
    let lower = given.to_lowercase();
    let named = all.iter().filter(|item| item.name.as_deref() == Some(given));
    let begins = all
        .iter()
        .filter(|item| item.machine_id.to_string().starts_with(&lower));
    let mut meant: Vec<MachineId> = named.map(|item| item.machine_id).collect();
    if meant.is_empty() && !lower.is_empty() {
        meant.extend(begins.map(|item| item.machine_id));
    }
    match meant.as_slice() {
        [one] => Ok(*one),
        _ => Ok(find(session, given, None).await?.id),
    }
}

async fn all(session: &Session) -> Result<Vec<MachineIdentity>, OperatorError> {
    let mut all = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = session
            .client
            .identities(cursor.as_deref(), IDENTITIES_PAGE_MAX)
            .await?;
        all.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() || all.len() >= SEARCH_MAX {
            return Ok(all);
        }
    }
}

async fn list(session: &mut Session) -> Result<(), OperatorError> {
    let items = all(session).await?;
    if !session.is_table() {
        return session.document(&items);
    }
    if items.is_empty() {
        session.note("no machine has enrolled: muster enroll new makes a token");
        return Ok(());
    }
    let mut table = Table::new([
        Column::left("MACHINE", 255),
        Column::left("NAME", 253),
        Column::left("KIND", 250),
        Column::left("STANDING", 254),
        Column::left("CONNECTED", 251),
        Column::left("CERTIFICATE UNTIL", 252),
    ]);
    for item in &items {
        table.push(row(item, session));
    }
    let text = table.take_lines(session.look);
    session.print(&text)
}

fn standing(item: &MachineIdentity) -> (String, Paint) {
    match item.standing {
        IdentityStanding::Accepted if item.cloned_at.is_some() => {
            ("✖ accepted, and somebody else has its key".to_owned(), Paint::Bad)
        }
        IdentityStanding::Accepted => ("● accepted".to_owned(), Paint::Good),
        IdentityStanding::Pending => ("◐ waits to be accepted".to_owned(), Paint::Warning),
        IdentityStanding::Revoked => {
            let why = item.reason.as_deref().unwrap_or_default();
            (format!("✖ shut out: {}", clean(why)), Paint::Bad)
        }
    }
}

fn ends(item: &MachineIdentity, session: &Session) -> Cell {
    let now = Timestamp::from_millis(session.now.timestamp().as_millisecond());
    match item.not_after {
        None => Cell::painted("none in force", Paint::Dim),
        Some(at) => {
            let left_ms = at.millis_since(now);
            let paint = if left_ms < NEAR_MS {
                Paint::Warning
            } else {
                Paint::Plain
            };
            let text = format!("{} ({})", local_time(at, session.zone()), span(left_ms.max(0)));
            Cell::painted(&text, paint)
        }
    }
}

fn row(item: &MachineIdentity, session: &Session) -> Vec<Cell> {
    let (word, paint) = standing(item);
    vec![
        Cell::new(item.machine_id.to_string()),
        Cell::new(clean(item.name.as_deref().unwrap_or("–"))),
        Cell::new(clean(item.kind.as_deref().unwrap_or("–"))),
        Cell::painted(&word, paint),
        Cell::new(if item.connected { "yes" } else { "no" }),
        ends(item, session),
    ]
}

fn shown(item: &MachineIdentity, session: &mut Session) -> Result<(), OperatorError> {
    if !session.is_table() {
        return session.document(item);
    }
    let (word, _) = standing(item);
    let zone = session.zone().clone();
    let mut text = format!("Machine    {}\n", item.machine_id);
    if let Some(name) = &item.name {
        text.push_str(&format!("Name       {}\n", clean(name)));
    }
    if let Some(kind) = &item.kind {
        text.push_str(&format!("Kind       {}\n", clean(kind)));
    }
    text.push_str(&format!(
        "Standing   {word}, since {}\n",
        local_time(item.standing_since, &zone)
    ));
    text.push_str(&format!("Enrolled   {}\n", local_time(item.enrolled_at, &zone)));
    text.push_str(&format!(
        "Connected  {}\n",
        if item.connected { "yes" } else { "no" }
    ));
    if let Some(at) = item.cloned_at {
        text.push_str(&format!(
            "Cloned     {}: somebody else has its key\n",
            local_time(at, &zone)
        ));
    }
    text.push('\n');
    let mut table = Table::new([
        Column::left("CERTIFICATE", 255),
        Column::left("ISSUED", 253),
        Column::left("UNTIL", 254),
        Column::left("AUTHORITY", 250),
        Column::left("USE", 252),
    ]);
    for certificate in &item.certificates {
        let using = match (certificate.superseded_at, certificate.first_used_at) {
            (Some(at), _) => format!("until {}", local_time(at, &zone)),
            (None, Some(at)) => format!("since {}", local_time(at, &zone)),
            (None, None) => "not yet".to_owned(),
        };
        table.push(vec![
            Cell::new(clean(&certificate.serial)),
            Cell::new(local_time(certificate.issued_at, &zone)),
            Cell::new(local_time(certificate.not_after, &zone)),
            Cell::new(certificate.authority.to_string()),
            Cell::new(using),
        ]);
    }
    text.push_str(&table.take_lines(session.look));
    session.print(&text)
}

fn said(item: &MachineIdentity, what: &str, session: &mut Session) -> Result<(), OperatorError> {
    if !session.is_table() {
        return session.document(item);
    }
    let name = item.name.clone().unwrap_or_else(|| item.machine_id.to_string());
    session.print(&format!("{} {what}\n", clean(&name)))
}

async fn authorities(options: &AuthoritiesOptions, session: &mut Session) -> Result<(), OperatorError> {
    let all = session.client.certificate_authorities().await?;
    if options.pem {
        return session.print(&all.pem);
    }
    if !session.is_table() {
        return session.document(&all);
    }
    let zone = session.zone().clone();
    let mut table = Table::new([
        Column::left("AUTHORITY", 254),
        Column::left("SHA-256", 255),
        Column::left("UNTIL", 253),
        Column::right("CERTIFICATES", 252),
        Column::left("ISSUES", 251),
    ]);
    for authority in &all.items {
        table.push(vec![
            Cell::new(authority.generation.to_string()),
            Cell::new(clean(&authority.fingerprint)),
            Cell::new(local_time(authority.not_after, &zone)),
            Cell::new(authority.certificates.to_string()),
            Cell::new(if authority.issues { "yes" } else { "no" }),
        ]);
    }
    let text = table.take_lines(session.look);
    session.print(&text)
}

async fn rotate(session: &mut Session) -> Result<(), OperatorError> {
    let all = session.client.rotate_certificate_authority().await?;
    if !session.is_table() {
        return session.document(&all);
    }
    let newest = all.items.first().map_or(0, |authority| authority.generation);
    session.print(&format!(
        "Authority {newest} issues from now on. Machines renew when they ask next; those before it leave when\nno certificate is \
         theirs any more (muster identity authorities). Give people the new ca.pem by then.\n"
    ))
}
