//! `muster login`, `muster logout` and `muster whoami`: who this program is at a server.

use std::io::{IsTerminal, Read};
use std::time::Duration;

use clap::Args;
use muster_client::ClientError;
use muster_protocol::api::access::{AccessDecision, AccessGrant, Me, SetUp, SignIn, SignedIn};

use super::credentials;
use super::error::OperatorError;
use super::find::find;
use super::session::Session;
use super::text::{Cell, Column, Paint, Table, clean, local_time};

#[derive(Debug, Args)]
#[command(after_help = "\
The session is kept in ~/.config/muster/sessions.json, readable by you alone, and ends after
twelve hours or an hour without use. Programs come with a token instead: MUSTER_TOKEN, or
MUSTER_TOKEN_FILE with a file that holds it (`muster token make`).

Examples:
  muster login
  muster login ada --server https://fleet.example:7700
  muster login ada --password-stdin < password.txt
  muster login --browser")]
pub struct LoginOptions {
    /// The name to sign in by; asked for if it is not given
    #[arg(value_name = "NAME")]
    pub name: Option<String>,

    /// Read the password from the first line of the input, and the code, where one is needed, from the second
    #[arg(long)]
    pub password_stdin: bool,

    /// Sign in with a browser, where you are signed in or sign in at a provider: it shows what to open, and waits
    #[arg(long, conflicts_with_all = ["name", "password_stdin"])]
    pub browser: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Opening the link in a browser does the same.

Example:
  muster set-up mstu_… root")]
pub struct SetUpOptions {
    /// The link, or what stands in it behind '#'
    #[arg(value_name = "LINK")]
    pub link: String,

    /// The name to sign in by: a-z, 0-9, '.', '-', '_', '@'
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Read the password from the first line of the input
    #[arg(long)]
    pub password_stdin: bool,
}

#[derive(Debug, Args)]
pub struct WhoamiOptions {
    /// What you may do to this machine, and by which rule: name, id, or the beginning of an id
    #[arg(long, short, value_name = "MACHINE")]
    pub machine: Option<String>,
}

/// What is typed at a terminal, or comes from the input.
pub(super) struct Answers {
    lines: Option<Vec<String>>,
}

impl Answers {
    /// From the input, if that is wanted; else somebody is asked.
    pub(super) fn new(from_input: bool) -> Result<Self, OperatorError> {
        if !from_input {
            return Ok(Self { lines: None });
        }
        let mut text = String::new();
        std::io::stdin()
            .take(64 * 1024)
            .read_to_string(&mut text)
            .map_err(OperatorError::Output)?;
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.reverse();
        Ok(Self { lines: Some(lines) })
    }

    /// Something that is not shown while it is typed.
    pub(super) fn secret(&mut self, what: &str) -> Result<String, OperatorError> {
        if let Some(lines) = &mut self.lines {
            return lines.pop().ok_or_else(|| OperatorError::Usage {
                what: format!("the input holds no {what}"),
                hint: "write one a line".to_owned(),
            });
        }
        if !std::io::stdin().is_terminal() {
            return Err(OperatorError::Usage {
                what: format!("nobody can be asked for the {what}: the input is no terminal"),
                hint: "use --password-stdin".to_owned(),
            });
        }
        rpassword::prompt_password(format!("{}: ", capital(what))).map_err(OperatorError::Output)
    }
}

fn capital(what: &str) -> String {
    let mut letters = what.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    first + letters.as_str()
}

pub(super) async fn login(options: LoginOptions, session: &mut Session) -> Result<(), OperatorError> {
    let me = session.client.me().await?;
    if me.trusts_loopback {
        session.note("this server lets everybody on its computer in as an admin: nobody has to sign in");
        return Ok(());
    }
    if me.needs_set_up {
        return Err(OperatorError::Usage {
            what: "there is nobody yet who could sign in".to_owned(),
            hint: "open the set-up link that the server said when it started; start it again for a new one"
                .to_owned(),
        });
    }
    if options.browser {
        let signed_in = by_browser(session).await?;
        return keep(&signed_in, session);
    }
    let name = match options.name {
        Some(name) => name,
        None => ask_name(session)?,
    };
    let mut answers = Answers::new(options.password_stdin)?;
    let mut body = SignIn {
        name,
        password: answers.secret("password")?,
        code: None,
        as_token: true,
    };
    let signed_in = match session.client.sign_in(&body).await {
        Err(ClientError::Problem(problem)) if problem.code == "MST-A042" => {
            body.code = Some(answers.secret("code of the authenticator")?);
            session.client.sign_in(&body).await?
        }
        other => other?,
    };
    keep(&signed_in, session)
}

/// Shows a code, and waits until somebody who is signed in typed it.
async fn by_browser(session: &mut Session) -> Result<SignedIn, OperatorError> {
    let started = session.client.start_device().await?;
    session.note(&format!(
        "open {}{} and say yes to the code {}",
        session.client.address(),
        started.verification_path,
        started.user_code
    ));
    let pause = Duration::from_secs(u64::from(started.interval_s.clamp(1, 60)));
    loop {
        match session.client.device_session(&started.device_code).await {
            Err(ClientError::Problem(problem)) if problem.code == "MST-A049" => {
                tokio::time::sleep(pause).await;
            }
            other => return Ok(other?),
        }
    }
}

fn keep(signed_in: &SignedIn, session: &mut Session) -> Result<(), OperatorError> {
    let secret = signed_in.token.as_deref().unwrap_or_default();
    let server = session.client.address().to_owned();
    credentials::keep(&server, &signed_in.name, secret, signed_in.expires_at)?;
    let until = local_time(signed_in.expires_at, session.zone());
    session.print(&format!(
        "Signed in at {} as {} until {until}\n",
        clean(&server),
        clean(&signed_in.name)
    ))
}

pub(super) async fn set_up(options: SetUpOptions, session: &mut Session) -> Result<(), OperatorError> {
    let mut answers = Answers::new(options.password_stdin)?;
    let body = SetUp {
        token: options.link.rsplit('#').next().unwrap_or_default().to_owned(),
        name: options.name,
        password: new_password(&mut answers, options.password_stdin)?,
    };
    let made = session.client.set_up(&body).await?;
    let name = clean(&made.name);
    session.print(&format!(
        "{name} is the first admin of {}: muster login {name}\n",
        clean(session.client.address())
    ))
}

/// A new password, typed twice where somebody types it.
pub(super) fn new_password(answers: &mut Answers, from_input: bool) -> Result<String, OperatorError> {
    let password = answers.secret("new password")?;
    if !from_input && answers.secret("the same again")? != password {
        return Err(OperatorError::Usage {
            what: "the two are not the same".to_owned(),
            hint: "nothing was changed: try again".to_owned(),
        });
    }
    Ok(password)
}

fn ask_name(session: &mut Session) -> Result<String, OperatorError> {
    let Some(answers) = &mut session.answers else {
        return Err(OperatorError::Usage {
            what: "it is not said who signs in".to_owned(),
            hint: "write the name behind `muster login`".to_owned(),
        });
    };
    let _ = write!(session.notes, "Name: ");
    let _ = session.notes.flush();
    let mut line = String::new();
    answers.read_line(&mut line).map_err(OperatorError::Output)?;
    Ok(line.trim().to_owned())
}

pub(super) async fn logout(session: &mut Session) -> Result<(), OperatorError> {
    let server = session.client.address().to_owned();
    // Over at the server as well, unless it is so already, or cannot be reached: then it ends by itself.
    let ended = session.client.sign_out().await;
    let there = credentials::forget(&server)?;
    match ended {
        Ok(()) => {}
        Err(ClientError::Problem(problem)) if problem.status == 401 || problem.status == 409 => {}
        Err(error) => session.note(&format!(
            "the session was forgotten here; it goes on at the server until it ends: {error}"
        )),
    }
    let said = if there {
        "Signed out"
    } else {
        "Nobody was signed in"
    };
    session.print(&format!("{said} at {}\n", clean(&server)))
}

pub(super) async fn whoami(options: WhoamiOptions, session: &mut Session) -> Result<(), OperatorError> {
    let machine = match &options.machine {
        Some(given) => Some(find(session, given, None).await?.id),
        None => None,
    };
    let me = session.client.me().await?;
    if !me.signed_in {
        return Err(ClientError::Problem(Box::new(not_signed_in())).into());
    }
    let mine = session.client.access_mine(machine).await?;
    if !session.is_table() {
        return session.document(&serde_json::json!({ "me": me, "decisions": mine.decisions }));
    }
    let mut text = described(&me, session);
    let mut table = Table::new([
        Column::left("MAY", 255),
        Column::left("", 255),
        Column::left("BY WHICH RULE", 254),
    ]);
    for decision in &mine.decisions {
        let (word, paint) = match (decision.allowed, &decision.second_person) {
            (true, Some(_)) => ("with another", Paint::Warning),
            (true, None) => ("yes", Paint::Good),
            (false, _) => ("no", Paint::Dim),
        };
        table.push(vec![
            Cell::new(decision.permission.as_str()),
            Cell::painted(word, paint),
            Cell::painted(
                ruled(decision),
                if decision.allowed {
                    Paint::Plain
                } else {
                    Paint::Dim
                },
            ),
        ]);
    }
    text.push_str(&table.take_lines(session.look));
    session.print(&text)
}

/// The rule of a decision, with that of the policy that asks for a second person.
pub(super) fn ruled(decision: &AccessDecision) -> String {
    match &decision.second_person {
        Some(policy) => format!("{}; the policy {policy} asks for a second person", decision.rule),
        None => decision.rule.clone(),
    }
}

fn described(me: &Me, session: &Session) -> String {
    let name = me.name.as_deref().unwrap_or("");
    let by = match me.by.as_deref() {
        Some("posture") => "everybody on the server's computer is let in".to_owned(),
        Some(by) => match me.expires_at {
            Some(until) => format!("by a {by} until {}", local_time(until, session.zone())),
            None => format!("by a {by}"),
        },
        None => String::new(),
    };
    format!(
        "{} ({}), {by}\n\n",
        clean(name),
        clean(&grants_in_words(&me.grants))
    )
}

/// Grants as they are written on the command line.
pub(super) fn grants_in_words(grants: &[AccessGrant]) -> String {
    if grants.is_empty() {
        return "no grants".to_owned();
    }
    let words = grants.iter().map(|grant| match grant.scope.as_str() {
        "*" => grant.role.to_string(),
        scope => format!("{}:{scope}", grant.role),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn not_signed_in() -> muster_protocol::api::Problem {
    muster_protocol::api::Problem {
        kind: "urn:muster:problem:MST-A040".to_owned(),
        title: "Nobody is signed in".to_owned(),
        status: 401,
        detail: "sign in with `muster login`".to_owned(),
        code: "MST-A040".to_owned(),
        errors: Vec::new(),
        trace_id: None,
        proposal: None,
    }
}
