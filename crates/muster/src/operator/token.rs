//! `muster token …` and `muster session …`: what programs come with, and who is signed in.

use clap::{Args, Subcommand};
use muster_protocol::api::access::{AccessGrant, MakeToken};

use super::error::OperatorError;
use super::login::grants_in_words;
use super::moment::parse_duration;
use super::person::grant;
use super::session::Session;
use super::text::{Cell, Column, Paint, Table, clean, local_time, span};

/// Tokens for programs
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// List one's own; everybody's for who administers
    List(OwnerOptions),
    /// Make a token. It is told once, on standard output
    #[command(after_help = "\
Examples:
  muster token make 'nightly report' --grant viewer --expires 30d
  muster token make 'build' --owner ci --grant engineer:label.site=munich > token && chmod 600 token")]
    Make(MakeOptions),
    /// Revoke a token, by its id
    Revoke(IdOptions),
}

/// Who is signed in
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// List one's own; everybody's for who administers
    List(OwnerOptions),
    /// End a session, by its id, and all that is connected by it
    End(IdOptions),
}

#[derive(Debug, Args)]
pub struct OwnerOptions {
    /// Only of this person
    #[arg(long, value_name = "NAME")]
    pub person: Option<String>,
}

#[derive(Debug, Args)]
pub struct IdOptions {
    /// As the list shows it
    #[arg(value_name = "ID")]
    pub id: String,
}

#[derive(Debug, Args)]
pub struct MakeOptions {
    /// What it is for
    #[arg(value_name = "NAME")]
    pub name: String,

    /// What it is narrowed to: ROLE or ROLE:SCOPE; once for each. Without any: all that its owner may
    #[arg(long = "grant", value_name = "GRANT", value_parser = grant)]
    pub grants: Vec<AccessGrant>,

    /// Whose; your own if it is not given
    #[arg(long, value_name = "NAME")]
    pub owner: Option<String>,

    /// How long it lives: 12h, 30d; at most 365d [default: 90d]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub expires: Option<std::time::Duration>,
}

pub(super) async fn tokens(command: TokenCommand, session: &mut Session) -> Result<(), OperatorError> {
    match command {
        TokenCommand::List(options) => list(options.person.as_deref(), session).await,
        TokenCommand::Make(options) => make(options, session).await,
        TokenCommand::Revoke(options) => {
            session.client.revoke_token(&options.id).await?;
            session.print(&format!("{} is worth nothing any more\n", clean(&options.id)))
        }
    }
}

pub(super) async fn sessions(command: SessionCommand, session: &mut Session) -> Result<(), OperatorError> {
    match command {
        SessionCommand::List(options) => list_sessions(options.person.as_deref(), session).await,
        SessionCommand::End(options) => {
            session.client.end_session(&options.id).await?;
            session.print(&format!("{} is over\n", clean(&options.id)))
        }
    }
}

fn now(session: &Session) -> muster_model::Timestamp {
    muster_model::Timestamp::from_millis(session.now.timestamp().as_millisecond())
}

async fn list(person: Option<&str>, session: &mut Session) -> Result<(), OperatorError> {
    let tokens = session.client.tokens(person).await?;
    if !session.is_table() {
        return session.document(&tokens);
    }
    if tokens.items.is_empty() {
        session.note("there are no tokens: `muster token make` makes one");
        return Ok(());
    }
    let mut table = Table::new([
        Column::left("ID", 255),
        Column::left("FOR", 254),
        Column::left("OWNER", 253),
        Column::left("NARROWED TO", 251),
        Column::left("ENDS", 252),
        Column::left("LAST USED", 250),
    ]);
    let now = now(session);
    for token in &tokens.items {
        let left = token.expires_at.millis_since(now);
        let ends = if left <= 0 {
            Cell::painted("is over", Paint::Bad)
        } else if left < 7 * 86_400_000 {
            Cell::painted(format!("in {}", span(left)), Paint::Warning)
        } else {
            Cell::new(format!("in {}", span(left)))
        };
        let used = match (token.used_at, &token.used_from) {
            (Some(at), Some(from)) => format!("{} ago from {from}", span(now.millis_since(at))),
            (Some(at), None) => format!("{} ago", span(now.millis_since(at))),
            (None, _) => "never".to_owned(),
        };
        let narrowed = match token.grants.as_slice() {
            [] => "nothing: all its owner may".to_owned(),
            grants => grants_in_words(grants),
        };
        table.push(vec![
            Cell::new(&token.id),
            Cell::new(&token.name),
            Cell::new(token.owner.as_str()),
            Cell::new(narrowed),
            ends,
            Cell::new(used),
        ]);
    }
    let lines = table.take_lines(session.look);
    session.print(&lines)
}

async fn make(options: MakeOptions, session: &mut Session) -> Result<(), OperatorError> {
    let body = MakeToken {
        name: options.name,
        grants: Some(options.grants).filter(|grants| !grants.is_empty()),
        owner: options.owner,
        expires_in_s: options.expires.map(|expires| expires.as_secs()),
    };
    let made = session.client.make_token(&body).await?;
    if !session.is_table() {
        return session.document(&made);
    }
    let until = local_time(made.token.expires_at, session.zone());
    session.note(&format!(
        "token {} of {}, until {until}. It is told only now: keep it where nobody else reads it",
        made.token.id, made.token.owner
    ));
    session.print(&format!("{}\n", made.secret))
}

async fn list_sessions(person: Option<&str>, session: &mut Session) -> Result<(), OperatorError> {
    let sessions = session.client.sessions(person).await?;
    if !session.is_table() {
        return session.document(&sessions);
    }
    if sessions.items.is_empty() {
        session.note("nobody is signed in");
        return Ok(());
    }
    let mut table = Table::new([
        Column::left("ID", 255),
        Column::left("PERSON", 254),
        Column::left("SINCE", 252),
        Column::left("LAST USED", 251),
        Column::left("FROM", 253),
        Column::left("BY", 250),
    ]);
    let now = now(session);
    for one in &sessions.items {
        let mine = if one.current { " (this one)" } else { "" };
        table.push(vec![
            Cell::new(&one.id),
            Cell::new(format!("{}{mine}", one.person)),
            Cell::new(local_time(one.created_at, session.zone())),
            Cell::new(format!("{} ago", span(now.millis_since(one.used_at)))),
            Cell::new(&one.from),
            Cell::painted(&one.agent, Paint::Dim),
        ]);
    }
    let lines = table.take_lines(session.look);
    session.print(&lines)
}
