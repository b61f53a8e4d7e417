//! Identities of machines: which certificates there are, letting in, shutting out, and the authorities that issue.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use muster_model::access::Permission;
use muster_model::entry::IdentityFact;
use muster_model::{MachineId, Timestamp};
use muster_protocol::api::{
    CertificateAuthorities, CertificateAuthority, EnrolmentMade, EnrolmentPolicy, IDENTITIES_PAGE_MAX,
    IDENTITY_REASON_MAX_CHARS, IdentityStanding, MachineCertificate, MachineIdentity, MachineIdentityPage,
    Problem, RevokeIdentity,
};
use serde::Deserialize;

use super::enrolments::{changed, identities, shown as enrolment_shown};
use super::error::ApiError;
use super::params::{Body, MachinePath, Params};
use crate::access::caller::Caller;
use crate::gateway::GatewayState;
use crate::identity::register::{Profile, Record, Standing};
use crate::identity::{Identity, Refused, Wanted, noted, reach, upkeep};

/// Items of a page where nothing is said.
const PAGE_DEFAULT: u32 = 100;

/// Which page.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    limit: Option<u32>,
    cursor: Option<String>,
}

fn shown(identity: &Identity, record: &Record, now: Timestamp) -> MachineIdentity {
    let (standing, reason) = match &record.standing {
        Standing::Pending => (IdentityStanding::Pending, None),
        Standing::Accepted => (IdentityStanding::Accepted, None),
        Standing::Revoked { reason } => (IdentityStanding::Revoked, Some(reason.clone())),
    };
    let certificates = record
        .certificates
        .iter()
        .rev()
        .map(|certificate| MachineCertificate {
            serial: certificate.serial.clone(),
            fingerprint: certificate.fingerprint.to_string(),
            authority: certificate.authority,
            issued_at: certificate.issued_at,
            not_after: certificate.not_after,
            first_used_at: certificate.first_used_at,
            superseded_at: certificate.superseded_at,
        });
    MachineIdentity {
        machine_id: record.machine,
        name: record.profile.name.clone(),
        kind: record.profile.kind.clone(),
        labels: record.profile.labels.clone(),
        standing,
        standing_since: record.standing_since,
        reason,
        enrolled_at: record.enrolled_at,
        connected: identity.connected().is_connected(record.machine),
        not_after: record
            .in_force(now)
            .map(|certificate| certificate.not_after)
            .max(),
        renew_asked: record.renew_asked,
        cloned_at: record.cloned_at,
        certificates: certificates.collect(),
    }
}

/// List identities of machines
///
/// Those of machines to which the caller may give identities.
#[utoipa::path(get, path = "/api/v1/identities", operation_id = "identities", tag = "identities",
    params(
        ("limit" = Option<u32>, Query, description = "At most so many: 1 to 1,000, 100 by default", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "Where the page before ended"),
    ), responses(
    (status = 200, description = "Identities, by id", body = MachineIdentityPage),
    (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "There are no identities here", body = Problem, content_type = "application/problem+json"),
))]
pub async fn list(
    State(state): State<GatewayState>,
    caller: Caller,
    Params(query): Params<PageQuery>,
) -> Result<Json<MachineIdentityPage>, ApiError> {
    let identity = identities(&state)?;
    let limit = query.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=IDENTITIES_PAGE_MAX).contains(&limit) {
        let detail = format!("1 to {IDENTITIES_PAGE_MAX} is accepted");
        return Err(ApiError::bad_parameter("limit", detail));
    }
    let after: Option<MachineId> = query
        .cursor
        .map(|cursor| cursor.parse())
        .transpose()
        .map_err(|_| ApiError::bad_parameter("cursor", "it is none that was given out"))?;
    let now = identity.now();
    let eyes = caller.eyes_for(Permission::Enrol);
    let mut records = identity.register().records();
    if !eyes.see_all() {
        records.retain(|record| eyes.see(&reach::of_record(&state, record)));
    }
    let total = records.len() as u64;
    let begin = after.map_or(0, |after| {
        records.partition_point(|record| record.machine <= after)
    });
    let page: Vec<_> = records.iter().skip(begin).take(limit as usize).collect();
    let is_full = page.len() == limit as usize;
    let last = page.last().map(|record| record.machine.to_string());
    Ok(Json(MachineIdentityPage {
        items: page.iter().map(|record| shown(&identity, record, now)).collect(),
        total,
        next_cursor: last.filter(|_| is_full),
    }))
}

/// Which authority's list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokedQuery {
    authority: Option<u32>,
}

/// Certificates that are good no more
///
/// For whoever else looks at certificates of machines (CRL, RFC 5280): those that were revoked, or that a newer one took the place of, and
/// that have not ended. Public by its nature. In PEM one list for each authority that is trusted, the oldest first; with `authority` that one's in DER.
#[utoipa::path(get, path = "/api/v1/identities/revoked.crl", operation_id = "revoked_certificates", tag = "identities",
    params(("authority" = Option<u32>, Query, description = "The generation of an authority: its list alone, in DER", minimum = 0)), responses(
    (status = 200, description = "The lists", content(
        (String = "application/x-pem-file"),
        (Vec<u8> = "application/pkix-crl"),
    )),
    (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such authority any more", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "There are no identities here", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn revoked(
    State(state): State<GatewayState>,
    Params(query): Params<RevokedQuery>,
) -> Result<Response, ApiError> {
    let lists = changed(identities(&state)?, Identity::revoked).await?;
    let typed = |kind| [(header::CONTENT_TYPE, HeaderValue::from_static(kind))];
    let Some(authority) = query.authority else {
        let pem: String = lists.iter().map(|list| list.pem()).collect();
        return Ok((typed("application/x-pem-file"), pem).into_response());
    };
    let list = lists.iter().find(|list| list.authority == authority);
    let list = list.ok_or_else(|| ApiError::no_such_authority(authority))?;
    Ok((typed("application/pkix-crl"), list.der().to_vec()).into_response())
}

/// Show the identity of a machine
#[utoipa::path(get, path = "/api/v1/identities/{id}", operation_id = "identity", tag = "identities",
    params(("id" = String, Path, description = "The machine", format = Uuid)), responses(
    (status = 200, description = "Its identity", body = MachineIdentity),
    (status = 400, description = "The id is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "It has not enrolled, or is out of the caller's reach", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "There are no identities here", body = Problem, content_type = "application/problem+json"),
))]
pub async fn show(
    State(state): State<GatewayState>,
    MachinePath(id): MachinePath,
) -> Result<Json<MachineIdentity>, ApiError> {
    let identity = identities(&state)?;
    let record = identity.register().record(id).ok_or(Refused::NoIdentity(id))?;
    Ok(Json(shown(&identity, &record, identity.now())))
}

/// Let a machine in that waits for it
#[utoipa::path(post, path = "/api/v1/identities/{id}/accept", operation_id = "accept_identity", tag = "identities",
    params(("id" = String, Path, description = "The machine", format = Uuid)), responses(
    (status = 200, description = "It is part of the fleet", body = MachineIdentity),
    (status = 400, description = "The id is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "It has not enrolled, or is out of the caller's reach", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It was shut out, or there are no identities here", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn accept(
    State(state): State<GatewayState>,
    caller: Caller,
    MachinePath(id): MachinePath,
) -> Result<Json<MachineIdentity>, ApiError> {
    let record = changed(identities(&state)?, move |identity| identity.accept(id)).await?;
    told(
        &state,
        &record,
        IdentityFact::Accepted,
        format!("by {}", caller.name()),
    )
    .await
}

/// Shut a machine out
///
/// Its connections are cut within seconds, and none of its certificates is good any more.
#[utoipa::path(post, path = "/api/v1/identities/{id}/revoke", operation_id = "revoke_identity", tag = "identities", request_body = RevokeIdentity,
    params(("id" = String, Path, description = "The machine", format = Uuid)), responses(
    (status = 200, description = "It is shut out", body = MachineIdentity),
    (status = 400, description = "The id or the body is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "It has not enrolled, or is out of the caller's reach", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "There are no identities here", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The reason is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn revoke(
    State(state): State<GatewayState>,
    caller: Caller,
    MachinePath(id): MachinePath,
    Body(body): Body<RevokeIdentity>,
) -> Result<Json<MachineIdentity>, ApiError> {
    let identity = identities(&state)?;
    let reason = body.reason.trim().to_owned();
    let length = reason.chars().count();
    if length == 0 || length > IDENTITY_REASON_MAX_CHARS || reason.chars().any(char::is_control) {
        let detail =
            format!("say why, in 1 to {IDENTITY_REASON_MAX_CHARS} characters without control characters");
        return Err(ApiError::bad_body("reason", detail));
    }
    caller.note_reason(&reason);
    let detail = format!("by {}: {reason}", caller.name());
    let record = changed(identity.clone(), move |identity| identity.revoke(id, reason)).await?;
    upkeep::cut_due(&state, &identity).await;
    told(&state, &record, IdentityFact::Revoked, detail).await
}

/// Have a machine renew its certificate
///
/// It does so the next time it asks; at once where it has not enrolled for longer than that.
#[utoipa::path(post, path = "/api/v1/identities/{id}/renew", operation_id = "renew_identity", tag = "identities",
    params(("id" = String, Path, description = "The machine", format = Uuid)), responses(
    (status = 202, description = "It is told the next time it asks", body = MachineIdentity),
    (status = 400, description = "The id is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "It has not enrolled, or is out of the caller's reach", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "There are no identities here", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn renew(
    State(state): State<GatewayState>,
    MachinePath(id): MachinePath,
) -> Result<(StatusCode, Json<MachineIdentity>), ApiError> {
    let identity = identities(&state)?;
    let record = changed(identity.clone(), move |identity| identity.ask_to_renew(id)).await?;
    let document = Json(shown(&identity, &record, identity.now()));
    Ok((StatusCode::ACCEPTED, document))
}

/// Make an enrolment for a machine that is known
///
/// For one whose certificate has ended, whose key is lost, or that was shut out and is to come back: it stays the same machine.
#[utoipa::path(post, path = "/api/v1/identities/{id}/enrolment", operation_id = "enrol_again", tag = "identities",
    params(("id" = String, Path, description = "The machine", format = Uuid)), responses(
    (status = 201, description = "The enrolment, with its token", body = EnrolmentMade),
    (status = 400, description = "The id is not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "It has not enrolled, or is out of the caller's reach", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "There are no identities here, or too many enrolments", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn enrol_again(
    State(state): State<GatewayState>,
    caller: Caller,
    MachinePath(id): MachinePath,
) -> Result<(StatusCode, Json<EnrolmentMade>), ApiError> {
    let identity = identities(&state)?;
    let now = identity.now();
    let wanted = Wanted {
        profile: Profile::default(),
        expires_in_s: None,
        policy: EnrolmentPolicy::Accept,
        created_by: caller.name().to_owned(),
    };
    let (enrolment, token) = changed(identity, move |identity| identity.invite(wanted, Some(id))).await?;
    caller.note_object("enrolment", enrolment.id.to_string(), enrolment.called());
    let made = EnrolmentMade {
        enrolment: enrolment_shown(&enrolment, now),
        token: token.to_string(),
    };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Show the authorities that are trusted
#[utoipa::path(get, path = "/api/v1/certificate-authorities", operation_id = "certificate_authorities", tag = "identities", responses(
    (status = 200, description = "The newest first", body = CertificateAuthorities),
    (status = 409, description = "There are no identities here", body = Problem, content_type = "application/problem+json"),
))]
pub async fn authorities(
    State(state): State<GatewayState>,
) -> Result<Json<CertificateAuthorities>, ApiError> {
    Ok(Json(authorities_of(&identities(&state)?)))
}

/// Make a further authority
///
/// It issues from now on. The one before is trusted until no certificate in force is its own: machines renew when they ask next.
#[utoipa::path(post, path = "/api/v1/certificate-authorities", operation_id = "rotate_certificate_authority", tag = "identities", responses(
    (status = 201, description = "The authorities as they are now", body = CertificateAuthorities),
    (status = 409, description = "There are no identities here", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The store cannot do it now", body = Problem, content_type = "application/problem+json"),
))]
pub async fn rotate(
    State(state): State<GatewayState>,
) -> Result<(StatusCode, Json<CertificateAuthorities>), ApiError> {
    let identity = identities(&state)?;
    changed(identity.clone(), Identity::rotate).await?;
    Ok((StatusCode::CREATED, Json(authorities_of(&identity))))
}

fn authorities_of(identity: &Identity) -> CertificateAuthorities {
    let counts = identity.register().by_authority(identity.now());
    identity.with_authorities(|authorities| {
        let newest = authorities.newest().generation;
        let items = authorities
            .all()
            .iter()
            .rev()
            .map(|authority| CertificateAuthority {
                generation: authority.generation,
                fingerprint: authority.fingerprint.to_string(),
                not_before: authority.not_before,
                not_after: authority.not_after,
                issues: authority.generation == newest,
                certificates: counts.get(&authority.generation).copied().unwrap_or(0),
            });
        CertificateAuthorities {
            items: items.collect(),
            pem: authorities.bundle(),
        }
    })
}

async fn told(
    state: &GatewayState,
    record: &Arc<Record>,
    what: IdentityFact,
    detail: String,
) -> Result<Json<MachineIdentity>, ApiError> {
    noted::note(state, record.machine, what, detail).await;
    let identity = identities(state)?;
    Ok(Json(shown(&identity, record, identity.now())))
}
