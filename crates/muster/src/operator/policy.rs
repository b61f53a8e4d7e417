//! `muster policy …`: rules of one's own, in CEL.

use clap::{Args, Subcommand, ValueEnum};
use muster_client::{Change, ClientError};
use muster_model::access::Permission;
use muster_protocol::api::access::{AccessPolicy, PolicyEffect, PutPolicy};

use super::error::OperatorError;
use super::session::Session;
use super::stop::reason;
use super::text::{Cell, Column, Paint, Table, clean};

/// Rules of one's own: what nobody may, whatever is granted, what somebody may besides, and what nobody may alone
#[derive(Debug, Subcommand)]
#[command(after_help = "\
A condition is an expression in CEL over `person` (name, roles, second_factor), `machine` (id,
name, kind, labels, presence; null where it is about the fleet), `permission`, `action` (as the
audit log calls it: people.change) and `now` (hour and weekday in UTC, unix_s). Loops are not
accepted; use has(machine.labels.site) before a label that may be missing. What is seen is decided
by grants alone.")]
pub enum PolicyCommand {
    /// List them
    List,
    /// Make a rule, or change one. It is tried before it counts
    #[command(after_help = "\
Examples:
  muster policy set night --forbid --permission deploy --when 'now.hour < 6' \\
      --description 'nothing is deployed at night' --reason 'after the incident'
  muster policy set second-factor --forbid --permission stop --permission operate \\
      --when '!person.second_factor' --description 'who moves machines has a second factor' --reason 'audit'
  muster policy set two-people --effect second-person --permission deploy --permission administer \\
      --when true --description 'nobody deploys alone' --reason 'audit'")]
    Set(SetOptions),
    /// Remove a rule
    Remove(RemoveOptions),
}

#[derive(Debug, Args)]
pub struct SetOptions {
    /// Its name: a-z, 0-9 and '-'
    #[arg(value_name = "NAME")]
    pub name: String,

    /// What it does where it holds
    #[arg(
        long,
        value_enum,
        value_name = "EFFECT",
        default_value = "forbid",
        conflicts_with = "forbid"
    )]
    pub effect: Effect,

    /// The same as --effect forbid
    #[arg(long)]
    pub forbid: bool,

    /// What it is about: stop, operate, diagnose, deploy, configure, enrol, administer, audit; once for each. Without any: all
    #[arg(long = "permission", value_name = "PERMISSION")]
    pub permissions: Vec<Permission>,

    /// When it holds: an expression in CEL
    #[arg(long, value_name = "EXPRESSION")]
    pub when: String,

    /// What it is for: told to whoever meets it
    #[arg(long, value_name = "TEXT")]
    pub description: String,

    /// Why it is changed: kept in the audit log
    #[arg(long, short, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Effect {
    /// Nobody may, whatever is granted
    Forbid,
    /// Somebody may, though nothing grants it
    Permit,
    /// Whoever may, needs somebody else who may, too: the act waits as a proposal. Never to read or to stop
    SecondPerson,
}

#[derive(Debug, Args)]
pub struct RemoveOptions {
    /// Its name
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Why: kept in the audit log
    #[arg(long, short, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
}

pub(super) async fn run(command: PolicyCommand, session: &mut Session) -> Result<(), OperatorError> {
    match command {
        PolicyCommand::List => list(session).await,
        PolicyCommand::Set(options) => set(options, session).await,
        PolicyCommand::Remove(options) => {
            let known = session.client.policy(&options.name).await?;
            let version = known.etag.as_ref().ok_or_else(no_version)?;
            session
                .client
                .remove_policy(&options.name, version, &options.reason)
                .await?;
            session.print(&format!("{} is not in force any more\n", clean(&options.name)))
        }
    }
}

fn no_version() -> OperatorError {
    OperatorError::Conflict {
        what: "the server does not say which version it is".to_owned(),
    }
}

async fn list(session: &mut Session) -> Result<(), OperatorError> {
    let policies = session.client.policies().await?;
    if !session.is_table() {
        return session.document(&policies);
    }
    if policies.items.is_empty() {
        session.note("there are no policies: grants alone decide");
        return Ok(());
    }
    let mut table = Table::new([
        Column::left("NAME", 255),
        Column::left("EFFECT", 254),
        Column::left("ABOUT", 253),
        Column::left("WHEN", 252),
        Column::left("FOR", 250),
    ]);
    for policy in &policies.items {
        table.push(row(policy));
    }
    let lines = table.take_lines(session.look);
    session.print(&lines)
}

fn row(policy: &AccessPolicy) -> Vec<Cell> {
    let (word, paint) = match policy.effect {
        PolicyEffect::Forbid => ("forbid", Paint::Bad),
        PolicyEffect::Permit => ("permit", Paint::Good),
        PolicyEffect::SecondPerson => ("second person", Paint::Warning),
    };
    let about: Vec<&str> = policy.permissions.iter().map(|one| one.as_str()).collect();
    vec![
        Cell::new(&policy.name),
        Cell::painted(word, paint),
        Cell::new(if about.is_empty() {
            "all".to_owned()
        } else {
            about.join(" ")
        }),
        Cell::new(&policy.condition),
        Cell::painted(&policy.description, Paint::Dim),
    ]
}

async fn set(options: SetOptions, session: &mut Session) -> Result<(), OperatorError> {
    let body = PutPolicy {
        effect: match options.effect {
            Effect::Forbid => PolicyEffect::Forbid,
            Effect::Permit => PolicyEffect::Permit,
            Effect::SecondPerson => PolicyEffect::SecondPerson,
        },
        permissions: options.permissions,
        condition: options.when,
        description: options.description,
        reason: options.reason,
    };
    let known = match session.client.policy(&options.name).await {
        Ok(known) => Some(known.etag.ok_or_else(no_version)?),
        Err(ClientError::Problem(problem)) if problem.status == 404 => None,
        Err(error) => return Err(error.into()),
    };
    let change = known.as_ref().map_or(Change::New, Change::Of);
    let policy = session.client.put_policy(&options.name, change, &body).await?;
    if !session.is_table() {
        return session.document(&policy);
    }
    session.print(&format!("{} is in force\n", clean(&policy.name)))
}
