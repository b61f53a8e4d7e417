//! `muster proposal …`: acts that wait for a second person.

use clap::{Args, Subcommand};
use muster_model::Timestamp;
use muster_protocol::api::{ApproveProposal, Proposal, ProposalState, RefuseProposal};

use super::error::OperatorError;
use super::session::Session;
use super::stop::reason;
use super::text::{Cell, Column, Paint, Table, clean, local_time, span};

/// Acts that wait for a second person, because a policy asks for one
#[derive(Debug, Subcommand)]
pub enum ProposalCommand {
    /// List what waits: your own, and what you could do yourself
    List(ListOptions),
    /// Show the whole request, as it will be carried out
    Show(IdOptions),
    /// Say yes: it is carried out, as whoever proposed it
    #[command(after_help = "\
It takes somebody else than who proposed it, signed in (`muster login`), who could do it themselves.
It is carried out with the grants that whoever proposed it has now; what was changed since is not
overwritten. The command fails if the act does.")]
    Approve(ApproveOptions),
    /// Say no: it will not be done
    Refuse(RefuseOptions),
    /// Take back what you proposed
    Withdraw(IdOptions),
}

#[derive(Debug, Args)]
pub struct ListOptions {
    /// Also what is decided
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, Args)]
pub struct IdOptions {
    /// As the list shows it
    #[arg(value_name = "ID")]
    pub id: String,
}

#[derive(Debug, Args)]
pub struct ApproveOptions {
    /// As the list shows it
    #[arg(value_name = "ID")]
    pub id: String,

    /// Why: kept in the audit log
    #[arg(long, short, value_name = "TEXT", value_parser = reason)]
    pub reason: Option<String>,
}

#[derive(Debug, Args)]
pub struct RefuseOptions {
    /// As the list shows it
    #[arg(value_name = "ID")]
    pub id: String,

    /// Why: whoever proposed it reads it
    #[arg(long, short, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
}

pub(super) async fn run(command: ProposalCommand, session: &mut Session) -> Result<(), OperatorError> {
    match command {
        ProposalCommand::List(options) => list(options.all, session).await,
        ProposalCommand::Show(options) => {
            let proposal = session.client.proposal(&options.id).await?;
            if !session.is_table() {
                return session.document(&proposal);
            }
            let text = shown(&proposal, session);
            session.print(&text)
        }
        ProposalCommand::Approve(options) => approve(options, session).await,
        ProposalCommand::Refuse(options) => {
            let body = RefuseProposal {
                reason: options.reason,
            };
            let proposal = session.client.refuse_proposal(&options.id, &body).await?;
            if !session.is_table() {
                return session.document(&proposal);
            }
            session.print(&format!("{} will not be done\n", what(&proposal)))
        }
        ProposalCommand::Withdraw(options) => {
            session.client.withdraw_proposal(&options.id).await?;
            session.print(&format!("{} is taken back\n", clean(&options.id)))
        }
    }
}

/// An act in a few words: `people.change of ada`.
fn what(proposal: &Proposal) -> String {
    clean(&format!("{} by {}", proposal.action, proposal.person))
}

async fn list(all: bool, session: &mut Session) -> Result<(), OperatorError> {
    let state = (!all).then_some(ProposalState::Waiting);
    let proposals = session.client.proposals(state).await?;
    if !session.is_table() {
        return session.document(&proposals);
    }
    if proposals.items.is_empty() {
        session.note(if all {
            "nothing waited for a second person so far"
        } else {
            "nothing waits for a second person; --all shows what is decided"
        });
        return Ok(());
    }
    let mut table = Table::new([
        Column::left("ID", 255),
        Column::left("STATE", 254),
        Column::left("BY", 253),
        Column::left("WHAT", 252),
        Column::left("TO", 251),
        Column::left("WHY", 249),
        Column::left("YOU", 250),
    ]);
    let now = Timestamp::from_millis(session.now.timestamp().as_millisecond());
    for proposal in &proposals.items {
        table.push(row(proposal, now));
    }
    let lines = table.take_lines(session.look);
    session.print(&lines)
}

fn row(proposal: &Proposal, now: Timestamp) -> Vec<Cell> {
    let left = || span(proposal.expires_at.millis_since(now));
    let state = match proposal.state {
        ProposalState::Waiting => Cell::painted(format!("waiting, {} left", left()), Paint::Warning),
        ProposalState::Failed => Cell::painted("failed", Paint::Bad),
        state => Cell::new(state.as_str()),
    };
    let to = if proposal.machine_name.is_empty() {
        clean(&proposal.path)
            .trim_start_matches("/api/v1/")
            .split('?')
            .next()
            .unwrap_or_default()
            .to_owned()
    } else {
        proposal.machine_name.clone()
    };
    let decided = proposal.decided_by.as_ref();
    let you = match (proposal.may_decide, decided) {
        (true, _) => Cell::painted("can decide", Paint::Good),
        (false, Some(by)) => Cell::new(format!("decided by {by}")),
        (false, None) => Cell::painted(&proposal.why, Paint::Dim),
    };
    vec![
        Cell::new(&proposal.id),
        state,
        Cell::new(proposal.person.as_str()),
        Cell::new(&proposal.action),
        Cell::new(to),
        Cell::new(&proposal.reason),
        you,
    ]
}

fn shown(proposal: &Proposal, session: &Session) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("{name:<12} {}\n", clean(value)));
        }
    };
    let zone = session.zone();
    line("proposal", &proposal.id);
    line("state", proposal.state.as_str());
    line(
        "by",
        &format!("{} ({}) from {}", proposal.person, proposal.by, proposal.from),
    );
    line("since", &local_time(proposal.created_at, zone));
    if proposal.state == ProposalState::Waiting {
        line("until", &local_time(proposal.expires_at, zone));
    }
    line("why", &proposal.reason);
    line("what", &proposal.action);
    if let Some(machine) = proposal.machine {
        line("machine", &format!("{} ({machine})", proposal.machine_name));
    }
    line(
        "policy",
        &format!("{}: {}", proposal.policy, proposal.policy_description),
    );
    line("request", &format!("{} {}", proposal.method, proposal.path));
    line("version", proposal.if_match.as_deref().unwrap_or_default());
    if proposal.if_none_match.is_some() {
        line("version", "only if there is none yet");
    }
    if let Some(by) = &proposal.decided_by {
        line("decided by", by.as_str());
    }
    if let Some(at) = proposal.decided_at {
        line("decided", &local_time(at, zone));
    }
    line("because", &proposal.decision_reason);
    line("outcome", &proposal.detail);
    line(
        if proposal.may_decide {
            "you may"
        } else {
            "you may not"
        },
        &proposal.why,
    );
    for (name, part) in [("body", &proposal.body), ("answer", &proposal.answer)] {
        if let Some(part) = part {
            text.push_str(&format!("\n{name}:\n"));
            text.push_str(&pretty(part));
        }
    }
    text
}

/// JSON as people read it, each line made harmless for a terminal.
fn pretty(body: &str) -> String {
    let parsed = serde_json::from_str::<serde_json::Value>(body);
    let text = parsed
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| body.to_owned());
    text.lines().map(|line| format!("  {}\n", clean(line))).collect()
}

async fn approve(options: ApproveOptions, session: &mut Session) -> Result<(), OperatorError> {
    let body = ApproveProposal {
        reason: options.reason.unwrap_or_default(),
    };
    let proposal = session.client.approve_proposal(&options.id, &body).await?;
    if !session.is_table() {
        session.document(&proposal)?;
    }
    if proposal.state == ProposalState::Done {
        if session.is_table() {
            session.print(&format!("{} is done\n", what(&proposal)))?;
        }
        return Ok(());
    }
    Err(OperatorError::NotCarriedOut {
        what: what(&proposal),
        detail: proposal.detail,
    })
}
