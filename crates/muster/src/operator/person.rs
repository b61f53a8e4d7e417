//! `muster person …`: who there is, and what they are granted.

use clap::{Args, Subcommand};
use muster_client::{Change, Versioned};
use muster_model::access::Role;
use muster_protocol::api::access::{AccessGrant, CheckAccess, Person, PutPassword, PutPerson};

use super::error::OperatorError;
use super::find::find;
use super::login::{Answers, grants_in_words, new_password, ruled};
use super::session::Session;
use super::stop::reason;
use super::text::{Cell, Column, Paint, Table, clean, local_time};

/// Who there is, and what they are granted
#[derive(Debug, Subcommand)]
#[command(after_help = "\
A GRANT is a role (viewer, operator, engineer, admin), or a role over some machines:
operator:label.site=munich. What a scope speaks of is labels and ids, because the rest is
what machines say of themselves. `muster person roles` says what each role holds.")]
pub enum PersonCommand {
    /// List everybody
    List,
    /// Show one person
    Show(NameOptions),
    /// What each role holds
    Roles,
    /// Add somebody; they are asked for a password with --password, or get one at a provider
    #[command(after_help = "\
Examples:
  muster person add ada --grant operator:label.site=munich --password --reason 'new in hall 3'
  muster person add ci --grant engineer --reason 'the build signs nobody in, it has a token'")]
    Add(AddOptions),
    /// Grant something besides
    Grant(GrantOptions),
    /// Take a grant away
    Revoke(GrantOptions),
    /// Let somebody do nothing any more, and end all their sessions and tokens, until they are enabled again
    Disable(ReasonOptions),
    /// Let somebody in again
    Enable(ReasonOptions),
    /// Give a person another password: one's own, or anybody's for who administers
    Password(PasswordOptions),
    /// Take the second factor of a person away, who lost it
    ForgetSecondFactor(NameOptions),
    /// Remove a person with all their sessions and tokens
    Remove(ReasonOptions),
    /// What a person could do, and by which rule, without doing it
    #[command(after_help = "\
Examples:
  muster person check ada --machine frida
  muster person check ada --grant engineer:label.site=berlin     # what it would be with that grant instead")]
    Check(CheckOptions),
}

#[derive(Debug, Args)]
pub struct NameOptions {
    /// The name to sign in by
    #[arg(value_name = "NAME")]
    pub name: String,
}

#[derive(Debug, Args)]
pub struct ReasonOptions {
    /// The name to sign in by
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Why: kept in the audit log
    #[arg(long, short, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
}

#[derive(Debug, Args)]
pub struct AddOptions {
    /// The name to sign in by: a-z, 0-9, '.', '-', '_', '@'
    #[arg(value_name = "NAME")]
    pub name: String,

    /// What is granted: ROLE or ROLE:SCOPE; once for each
    #[arg(long = "grant", value_name = "GRANT", value_parser = grant)]
    pub grants: Vec<AccessGrant>,

    /// The name to be shown
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub display_name: String,

    /// Ask for a password; without it they have none
    #[arg(long)]
    pub password: bool,

    /// Read the password from the first line of the input
    #[arg(long, conflicts_with = "password")]
    pub password_stdin: bool,

    /// Why: kept in the audit log
    #[arg(long, short, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
}

#[derive(Debug, Args)]
pub struct GrantOptions {
    /// The name to sign in by
    #[arg(value_name = "NAME")]
    pub name: String,

    /// ROLE or ROLE:SCOPE
    #[arg(value_name = "GRANT", value_parser = grant, required = true)]
    pub grants: Vec<AccessGrant>,

    /// Why: kept in the audit log
    #[arg(long, short, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
}

#[derive(Debug, Args)]
pub struct PasswordOptions {
    /// The name to sign in by; your own if it is not given
    #[arg(value_name = "NAME")]
    pub name: Option<String>,

    /// Read from the input: the password so far, where it is one's own, and in the next line the new one
    #[arg(long)]
    pub password_stdin: bool,
}

#[derive(Debug, Args)]
pub struct CheckOptions {
    /// The name to sign in by
    #[arg(value_name = "NAME")]
    pub name: String,

    /// To which machine: name, id, or the beginning of an id. Without it: to the fleet as such, and to how many machines
    #[arg(long, short, value_name = "MACHINE")]
    pub machine: Option<String>,

    /// With these grants instead of theirs: ROLE or ROLE:SCOPE; once for each
    #[arg(long = "grant", value_name = "GRANT", value_parser = grant)]
    pub grants: Vec<AccessGrant>,
}

/// A grant as it is written: a role, or a role over some machines.
pub(super) fn grant(text: &str) -> Result<AccessGrant, String> {
    let (role, scope) = text.split_once(':').unwrap_or((text, "*"));
    let role: Role = role
        .parse()
        .map_err(|error: muster_model::vocabulary::UnknownWord| error.to_string())?;
    let scope: muster_model::access::Scope = scope
        .parse()
        .map_err(|error: muster_model::access::ScopeError| error.to_string())?;
    Ok(AccessGrant {
        role,
        scope: scope.to_string(),
    })
}

pub(super) async fn run(command: PersonCommand, session: &mut Session) -> Result<(), OperatorError> {
    match command {
        PersonCommand::List => list(session).await,
        PersonCommand::Show(options) => show(&options.name, session).await,
        PersonCommand::Roles => roles(session).await,
        PersonCommand::Add(options) => add(options, session).await,
        PersonCommand::Grant(options) => {
            let more = options.grants;
            change(&options.name, options.reason, session, |body| {
                for grant in more {
                    if !body.grants.contains(&grant) {
                        body.grants.push(grant);
                    }
                }
            })
            .await
        }
        PersonCommand::Revoke(options) => {
            let gone = options.grants;
            change(&options.name, options.reason, session, |body| {
                body.grants.retain(|grant| !gone.contains(grant));
            })
            .await
        }
        PersonCommand::Disable(options) => {
            change(&options.name, options.reason, session, |body| {
                body.disabled = true;
            })
            .await
        }
        PersonCommand::Enable(options) => {
            change(&options.name, options.reason, session, |body| {
                body.disabled = false;
            })
            .await
        }
        PersonCommand::Password(options) => password(options, session).await,
        PersonCommand::ForgetSecondFactor(options) => {
            session.client.remove_second_factor(&options.name).await?;
            session.print(&format!(
                "{} signs in by password alone now\n",
                clean(&options.name)
            ))
        }
        PersonCommand::Remove(options) => {
            let known = session.client.person(&options.name).await?;
            let version = version_of(&known)?;
            session
                .client
                .remove_person(&options.name, version, &options.reason)
                .await?;
            session.print(&format!(
                "{} is removed, with all sessions and tokens\n",
                clean(&options.name)
            ))
        }
        PersonCommand::Check(options) => check(options, session).await,
    }
}

async fn list(session: &mut Session) -> Result<(), OperatorError> {
    let people = session.client.people().await?;
    if !session.is_table() {
        return session.document(&people);
    }
    let mut table = Table::new([
        Column::left("NAME", 255),
        Column::left("GRANTS", 254),
        Column::left("SIGNS IN", 253),
        Column::left("SINCE", 250),
    ]);
    for person in &people.items {
        let name = match person.display_name.as_str() {
            "" => person.name.to_string(),
            shown => format!("{} ({shown})", person.name),
        };
        table.push(vec![
            Cell::new(name),
            Cell::new(grants_in_words(&person.grants)),
            signs_in(person),
            Cell::new(local_time(person.created_at, session.zone())),
        ]);
    }
    let lines = table.take_lines(session.look);
    session.print(&lines)
}

fn signs_in(person: &Person) -> Cell {
    if person.disabled {
        return Cell::painted("disabled", Paint::Bad);
    }
    Cell::new(
        match (&person.provider, person.has_password, person.second_factor) {
            (Some(provider), ..) => format!("at {provider}"),
            (None, true, true) => "password and code".to_owned(),
            (None, true, false) => "password".to_owned(),
            (None, false, _) => "no, tokens only".to_owned(),
        },
    )
}

async fn show(name: &str, session: &mut Session) -> Result<(), OperatorError> {
    let person = session.client.person(name).await?.value;
    if !session.is_table() {
        return session.document(&person);
    }
    let how = match (
        person.disabled,
        &person.provider,
        person.has_password,
        person.second_factor,
    ) {
        (true, ..) => "not at all: disabled",
        (false, Some(_), ..) => "at a provider",
        (false, None, true, true) => "by password and code",
        (false, None, true, false) => "by password",
        (false, None, false, _) => "not at all: no password",
    };
    let last = person.signed_in_at.map_or_else(
        || "no session now".to_owned(),
        |at| format!("last at {}", local_time(at, session.zone())),
    );
    session.print(&format!(
        "{}\n  grants    {}\n  signs in  {how}, {last}\n  since     {}\n",
        clean(person.name.as_str()),
        clean(&grants_in_words(&person.grants)),
        local_time(person.created_at, session.zone()),
    ))
}

async fn roles(session: &mut Session) -> Result<(), OperatorError> {
    let roles = session.client.roles().await?;
    if !session.is_table() {
        return session.document(&roles);
    }
    let mut table = Table::new([
        Column::left("ROLE", 255),
        Column::left("HOLDS", 254),
        Column::left("", 250),
    ]);
    for role in &roles.items {
        let held: Vec<&str> = role.permissions.iter().map(|held| held.as_str()).collect();
        table.push(vec![
            Cell::new(role.role.as_str()),
            Cell::new(held.join(" ")),
            Cell::painted(&role.description, Paint::Dim),
        ]);
    }
    let lines = table.take_lines(session.look);
    session.print(&lines)
}

async fn add(options: AddOptions, session: &mut Session) -> Result<(), OperatorError> {
    let mut body = PutPerson {
        display_name: options.display_name,
        grants: options.grants,
        disabled: false,
        password: None,
        reason: options.reason,
    };
    if options.password || options.password_stdin {
        let mut answers = Answers::new(options.password_stdin)?;
        body.password = Some(new_password(&mut answers, options.password_stdin)?);
    }
    let person = session
        .client
        .put_person(&options.name, Change::New, &body)
        .await?;
    if !session.is_table() {
        return session.document(&person);
    }
    session.print(&format!(
        "{} is here: {}\n",
        clean(person.name.as_str()),
        clean(&grants_in_words(&person.grants))
    ))
}

/// Changes what stands now; what somebody else changed in between is not lost.
async fn change(
    name: &str,
    reason: String,
    session: &mut Session,
    change: impl FnOnce(&mut PutPerson),
) -> Result<(), OperatorError> {
    let known = session.client.person(name).await?;
    let mut body = PutPerson {
        display_name: known.value.display_name.clone(),
        grants: known.value.grants.clone(),
        disabled: known.value.disabled,
        password: None,
        reason,
    };
    change(&mut body);
    let version = version_of(&known)?;
    let person = session
        .client
        .put_person(name, Change::Of(version), &body)
        .await?;
    if !session.is_table() {
        return session.document(&person);
    }
    let disabled = if person.disabled { ", disabled" } else { "" };
    session.print(&format!(
        "{}: {}{disabled}\n",
        clean(person.name.as_str()),
        clean(&grants_in_words(&person.grants))
    ))
}

fn version_of<T>(known: &Versioned<T>) -> Result<&muster_client::Etag, OperatorError> {
    known.etag.as_ref().ok_or_else(|| OperatorError::Conflict {
        what: "the server does not say which version it is".to_owned(),
    })
}

async fn password(options: PasswordOptions, session: &mut Session) -> Result<(), OperatorError> {
    let me = session.client.me().await?;
    let own = me.name.unwrap_or_default();
    let name = options.name.unwrap_or_else(|| own.clone());
    let mut answers = Answers::new(options.password_stdin)?;
    let is_own = name == own && me.by.as_deref() == Some("session");
    let current = is_own.then(|| answers.secret("password so far")).transpose()?;
    let password = new_password(&mut answers, options.password_stdin)?;
    session
        .client
        .put_password(&name, &PutPassword { current, password })
        .await?;
    let again = if is_own {
        "; sign in with it: muster login"
    } else {
        ""
    };
    session.print(&format!(
        "{} has another password, and all sessions are over{again}\n",
        clean(&name)
    ))
}

async fn check(options: CheckOptions, session: &mut Session) -> Result<(), OperatorError> {
    let machine = match &options.machine {
        Some(given) => Some(find(session, given, None).await?.id),
        None => None,
    };
    let body = CheckAccess {
        person: options.name,
        machine,
        grants: Some(options.grants).filter(|grants| !grants.is_empty()),
        policy: None,
    };
    let checked = session.client.check_access(&body).await?;
    if !session.is_table() {
        return session.document(&checked);
    }
    let mut columns = vec![Column::left("MAY", 255), Column::left("", 255)];
    if machine.is_none() {
        columns.push(Column::right("MACHINES", 254));
    }
    columns.push(Column::left("BY WHICH RULE", 253));
    let mut table = Table::new(columns);
    for decision in &checked.decisions {
        let (word, paint) = match (decision.allowed, decision.machines) {
            (true, _) if decision.second_person.is_some() => ("with another", Paint::Warning),
            (true, _) => ("yes", Paint::Good),
            (false, Some(1..)) => ("some", Paint::Note),
            (false, _) => ("no", Paint::Dim),
        };
        let mut row = vec![
            Cell::new(decision.permission.as_str()),
            Cell::painted(word, paint),
        ];
        row.extend(decision.machines.map(|machines| Cell::new(machines.to_string())));
        row.push(Cell::painted(
            ruled(decision),
            if decision.allowed {
                Paint::Plain
            } else {
                Paint::Dim
            },
        ));
        table.push(row);
    }
    let lines = table.take_lines(session.look);
    session.print(&lines)
}
