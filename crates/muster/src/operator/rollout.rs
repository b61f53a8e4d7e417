//! `muster rollout …`: who gets a release, in which order, how far it is, and why.

mod shown;
mod spec;

use clap::{Args, Subcommand};
use muster_model::Timestamp;
use muster_protocol::api::{NewRollout, RolloutDecision};

use super::error::OperatorError;
use super::find::find;
use super::session::Session;
use super::stop::reason;
use spec::SpecOptions;

/// Machines of a rollout that are shown at most; the API has all of them.
const MACHINES_MAX: usize = 1_000;

/// Bring a release to machines: plan, approve, start, watch, take back
#[derive(Debug, Subcommand)]
pub enum RolloutCommand {
    /// Show who would get it, in which phase, how many bytes, who is blocked and why. Nothing is kept
    // Here a version is that of a release.
    #[command(disable_version_flag = true, after_help = EXAMPLES)]
    Plan(Box<NewOptions>),
    /// Write it down, planned: nothing begins before it is approved and started
    // Here a version is that of a release.
    #[command(disable_version_flag = true, after_help = EXAMPLES)]
    Create(Box<NewOptions>),
    /// List rollouts, the newest first
    List,
    /// Show one: its phases, and each machine with its state and reason
    Show(IdOptions),
    /// Why it stands as it does, or why a machine does: what the log says, also months later
    Why(WhyOptions),
    /// Approve the plan, or a phase that waits for it
    Approve(PhaseOptions),
    /// Start it, as soon as its window is open
    Start(DecideOptions),
    /// Give nobody a place any more; who has one goes on
    Pause(DecideOptions),
    /// Let it go on
    Resume(DecideOptions),
    /// Try machines again that did not make it
    Retry(MachinesOptions),
    /// Leave machines out
    Skip(MachinesOptions),
    /// End it: what was not begun is taken back
    Abort(DecideOptions),
    /// Have its machines go back to the version before
    RollBack(PhaseOptions),
}

const EXAMPLES: &str = "\
Examples:
  muster rollout plan car-app 1.4.0 --for kind=car --canary 1 --reason 'new brakes'
  muster rollout create car-app 1.4.0 --for kind=car --stage munich=region=munich --stage berlin=region=berlin \\
    --soak 300 --window 22:00-04:00 --failures 20 --reason 'new brakes'
  muster rollout create car-app 1.4.0 --rolling 5 --growth 2 --reason 'all of them'";

#[derive(Debug, Args)]
pub struct NewOptions {
    #[command(flatten)]
    pub spec: SpecOptions,

    /// Why: people who look into it later read it
    #[arg(long, short, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
}

#[derive(Debug, Args)]
pub struct IdOptions {
    /// As the list shows it
    #[arg(value_name = "ID")]
    pub id: String,
}

#[derive(Debug, Args)]
pub struct WhyOptions {
    /// As the list shows it
    #[arg(value_name = "ID")]
    pub id: String,

    /// Only of this machine: name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: Option<String>,
}

#[derive(Debug, Args)]
pub struct DecideOptions {
    /// As the list shows it
    #[arg(value_name = "ID")]
    pub id: String,

    /// Why: people who look into it later read it
    #[arg(long, short, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
}

#[derive(Debug, Args)]
pub struct PhaseOptions {
    #[command(flatten)]
    pub decide: DecideOptions,

    /// Only this phase, the first is 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub phase: Option<u32>,
}

#[derive(Debug, Args)]
pub struct MachinesOptions {
    #[command(flatten)]
    pub decide: DecideOptions,

    /// Which: names, ids, or beginnings of ids
    #[arg(value_name = "MACHINE")]
    pub machines: Vec<String>,
}

pub(super) async fn run(command: RolloutCommand, session: &mut Session) -> Result<(), OperatorError> {
    match command {
        RolloutCommand::Plan(options) => plan(*options, session).await,
        RolloutCommand::Create(options) => create(*options, session).await,
        RolloutCommand::List => list(session).await,
        RolloutCommand::Show(options) => show(&options.id, session).await,
        RolloutCommand::Why(options) => why(options, session).await,
        RolloutCommand::Approve(options) => phase("approve", options, session).await,
        RolloutCommand::RollBack(options) => phase("roll-back", options, session).await,
        RolloutCommand::Start(options) => plain("start", options, session).await,
        RolloutCommand::Pause(options) => plain("pause", options, session).await,
        RolloutCommand::Resume(options) => plain("resume", options, session).await,
        RolloutCommand::Abort(options) => plain("abort", options, session).await,
        RolloutCommand::Retry(options) => machines("retry", options, session).await,
        RolloutCommand::Skip(options) => machines("skip", options, session).await,
    }
}

fn new(options: NewOptions) -> Result<NewRollout, OperatorError> {
    Ok(NewRollout {
        spec: options.spec.spec()?,
        reason: options.reason,
    })
}

async fn plan(options: NewOptions, session: &mut Session) -> Result<(), OperatorError> {
    let plan = session.client.plan_rollout(&new(options)?).await?;
    if !session.is_table() {
        return session.document(&plan);
    }
    let text = shown::plan(&plan, session);
    session.print(&text)
}

async fn create(options: NewOptions, session: &mut Session) -> Result<(), OperatorError> {
    let rollout = session.client.create_rollout(&new(options)?).await?;
    if !session.is_table() {
        return session.document(&rollout);
    }
    let id = rollout.summary.id.clone();
    let text = shown::rollout(&rollout, &[], session);
    session.print(&text)?;
    session.note(&format!(
        "next: muster rollout approve {id} --reason …, then muster rollout start {id} --reason …"
    ));
    Ok(())
}

async fn list(session: &mut Session) -> Result<(), OperatorError> {
    let page = session.client.rollouts(None).await?;
    if !session.is_table() {
        return session.document(&page);
    }
    if page.items.is_empty() {
        session
            .note("there is no rollout yet: `muster rollout plan PRODUCT VERSION` shows what one would do");
        return Ok(());
    }
    let text = shown::list(&page.items, session);
    session.print(&text)?;
    if page.next_cursor.is_some() {
        session.note("there are older ones: the API has them by pages");
    }
    Ok(())
}

async fn show(id: &str, session: &mut Session) -> Result<(), OperatorError> {
    let rollout = session.client.rollout(id).await?;
    if !session.is_table() {
        return session.document(&rollout);
    }
    let (mut machines, mut cursor) = (Vec::new(), None);
    while machines.len() < MACHINES_MAX {
        let page = session.client.rollout_machines(id, cursor.as_deref()).await?;
        machines.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let text = shown::rollout(&rollout, &machines, session);
    session.print(&text)?;
    if cursor.is_some() {
        session.note(&format!(
            "{MACHINES_MAX} machines are shown; the API has all of them"
        ));
    }
    Ok(())
}

async fn why(options: WhyOptions, session: &mut Session) -> Result<(), OperatorError> {
    let machine = match &options.machine {
        Some(given) => Some(find(session, given, None).await?.id),
        None => None,
    };
    let history = session.client.rollout_history(&options.id, machine).await?;
    if !session.is_table() {
        return session.document(&history);
    }
    if history.items.is_empty() {
        session.note("the log says nothing of it");
    }
    let text = shown::history(&history, session);
    session.print(&text)
}

async fn plain(act: &str, options: DecideOptions, session: &mut Session) -> Result<(), OperatorError> {
    decide(act, &options.id, decision(options.reason), session).await
}

async fn phase(act: &str, options: PhaseOptions, session: &mut Session) -> Result<(), OperatorError> {
    let body = RolloutDecision {
        // People count from one.
        phase: options.phase.map(|phase| phase - 1),
        ..decision(options.decide.reason)
    };
    decide(act, &options.decide.id, body, session).await
}

async fn machines(act: &str, options: MachinesOptions, session: &mut Session) -> Result<(), OperatorError> {
    let mut machines = Vec::new();
    for given in &options.machines {
        machines.push(find(session, given, None).await?.id);
    }
    if machines.is_empty() && act == "skip" {
        return Err(OperatorError::Usage {
            what: "no machine is named".to_owned(),
            hint: "muster rollout skip ID MACHINE … --reason TEXT".to_owned(),
        });
    }
    let body = RolloutDecision {
        machines: (!machines.is_empty()).then_some(machines),
        ..decision(options.decide.reason)
    };
    decide(act, &options.decide.id, body, session).await
}

fn decision(reason: String) -> RolloutDecision {
    RolloutDecision {
        reason,
        phase: None,
        machines: None,
        at: None::<Timestamp>,
    }
}

async fn decide(
    act: &str,
    id: &str,
    body: RolloutDecision,
    session: &mut Session,
) -> Result<(), OperatorError> {
    let rollout = session.client.decide_rollout(id, act, &body).await?;
    if !session.is_table() {
        return session.document(&rollout);
    }
    let text = shown::list(std::slice::from_ref(&rollout.summary), session);
    session.print(&text)
}
