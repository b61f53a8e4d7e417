//! `GET` and `POST /api/v1/machines/{id}/commands`: commands other than stop, and what machines answered to all of them.
//!
//! The answer says that the command is in the log. A machine is asked for nothing that it did not say it carries out, and
//! nothing here clears a latch or lets a machine move: there is no kind for that.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use muster_brain::shard::{CommandError, CommandOrder, rules};
use muster_model::access::Permission;
use muster_protocol::api::{CommandTold, GiveCommand, GivenCommand, MachineCommands, Problem};
use muster_protocol::link::CommandKind;

use super::convert;
use super::error::ApiError;
use super::params::{Body, MachinePath};
use super::stop::checked_reason;
use crate::access::caller::Caller;
use crate::gateway::GatewayState;

/// Recent commands of one machine
#[utoipa::path(get, path = "/api/v1/machines/{id}/commands", tag = "machines",
    params(("id" = String, Path, description = "The machine", format = Uuid)), responses(
    (status = 200, description = "The newest first", body = MachineCommands),
    (status = 400, description = "The id is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such machine", body = Problem, content_type = "application/problem+json"),
))]
pub async fn commands(
    State(state): State<GatewayState>,
    MachinePath(id): MachinePath,
) -> Result<Json<MachineCommands>, ApiError> {
    let view = state
        .fleet
        .view(id)
        .ok_or_else(|| ApiError::no_such_machine(id))?;
    Ok(Json(MachineCommands {
        machine_id: id,
        accepts: view.accepts.iter().map(str::to_owned).collect(),
        items: view.commands.iter().rev().map(convert::command).collect(),
    }))
}

/// Give one machine a command
#[utoipa::path(post, path = "/api/v1/machines/{id}/commands", tag = "machines", request_body = GiveCommand,
    params(("id" = String, Path, description = "The machine", format = Uuid)), responses(
    (status = 202, description = "The command is in the log, and the machine told if it is in session", body = CommandTold),
    (status = 400, description = "The id or the body is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such machine", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "The machine does not carry out such commands, is not connected, or has too many of them to \
        answer", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The kind, its arguments, the reason or the time is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn give_command(
    State(state): State<GatewayState>,
    caller: Caller,
    MachinePath(id): MachinePath,
    Body(body): Body<GiveCommand>,
) -> Result<(StatusCode, Json<CommandTold>), ApiError> {
    let kind = given_kind(&body.kind)?;
    let reason = checked_reason(&body.reason)?;
    caller.note_reason(&reason);
    caller.note_detail(kind.as_str());
    let lifetime_ms = lifetime_ms(kind, body.expires_in_s)?;
    kind.check(body.arguments.as_ref())
        .map_err(|error| ApiError::bad_body("arguments", error.to_string()))?;
    let view = state
        .fleet
        .view(id)
        .ok_or_else(|| ApiError::no_such_machine(id))?;
    caller.may(permission(kind), &view, state.access.now())?;
    let command_id = state
        .fleet
        .new_id()
        .map_err(|error| ApiError::not_persisted(&error.to_string()))?;
    let order = CommandOrder {
        command_id: command_id.to_string(),
        kind,
        arguments: body.arguments,
        issuer: caller.name().to_owned(),
        reason,
        lifetime_ms,
    };
    let issued = match state.fleet.command(id, order.clone()).await? {
        Ok(issued) => issued,
        Err(error) => return Err(refusal(id, &error)),
    };
    let machine_name = state.fleet.view(id).map(|view| view.name()).unwrap_or_default();
    let told = CommandTold {
        machine_id: id,
        machine_name,
        told: issued.in_session,
        command: GivenCommand {
            command_id: issued.command_id,
            kind: kind.as_str().to_owned(),
            arguments: order.arguments,
            issuer: order.issuer,
            reason: order.reason,
            issued_at: issued.issued,
            expires_at: issued.expires,
            answer: None,
            answer_reason: None,
            answered_at: None,
        },
    };
    Ok((StatusCode::ACCEPTED, Json(told)))
}

/// What a kind of command needs.
fn permission(kind: CommandKind) -> Permission {
    match kind {
        CommandKind::Stop => Permission::Stop,
        CommandKind::RecordStart
        | CommandKind::RecordStop
        | CommandKind::RecordMark
        | CommandKind::RecordUpload
        | CommandKind::LogsTail
        | CommandKind::DiagnosticsRun => Permission::Diagnose,
        CommandKind::MissionAssign
        | CommandKind::MissionPause
        | CommandKind::MissionResume
        | CommandKind::MissionCancel
        | CommandKind::ModeSet
        | CommandKind::TeleopGrant
        | CommandKind::TeleopRevoke
        | CommandKind::Identify
        | CommandKind::Reboot
        | CommandKind::Fault => Permission::Operate,
    }
}

/// The kinds that people can give, in words.
fn kinds() -> String {
    let given = CommandKind::ALL.iter().filter(|kind| rules(**kind).is_some());
    let words: Vec<&str> = given.map(|kind| kind.as_str()).collect();
    words.join(", ")
}

fn given_kind(word: &str) -> Result<CommandKind, ApiError> {
    match CommandKind::of(word) {
        Some(CommandKind::Stop) => Err(ApiError::bad_body(
            "kind",
            "ask for a stop at /api/v1/machines/{id}/stop: it waits for nothing and is followed to its end",
        )),
        Some(kind) if rules(kind).is_some() => Ok(kind),
        Some(_) | None => {
            let word: String = word.chars().take(64).collect();
            let detail = format!("{word:?} cannot be given: {} can", kinds());
            Err(ApiError::bad_body("kind", detail))
        }
    }
}

fn lifetime_ms(kind: CommandKind, expires_in_s: Option<u64>) -> Result<u64, ApiError> {
    // `given_kind` let only those pass that have rules.
    let (usual_s, most_s) = rules(kind).map_or((0, 0), |rules| (rules.lifetime_s, rules.lifetime_max_s));
    let lifetime_s = expires_in_s.unwrap_or(usual_s);
    if !(1..=most_s).contains(&lifetime_s) {
        let detail = format!("{lifetime_s}: {kind} may last 1 to {most_s} seconds");
        return Err(ApiError::bad_body("expires_in_s", detail));
    }
    Ok(lifetime_s * 1_000)
}

fn refusal(id: muster_model::MachineId, error: &CommandError) -> ApiError {
    match error {
        CommandError::NoSuchMachine => ApiError::no_such_machine(id),
        CommandError::NotGiven(_) => ApiError::bad_body("kind", error.to_string()),
        CommandError::NotAccepted { .. } => ApiError::not_accepted(error.to_string()),
        CommandError::NotInSession(_) => ApiError::not_in_session(error.to_string()),
        CommandError::TooManyOpen => ApiError::too_many_open(error.to_string()),
        CommandError::NotPersisted { reason } => ApiError::not_persisted(reason),
    }
}
