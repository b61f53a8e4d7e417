//! What each route needs, and what it is called in the audit log: one row a route, and nothing is let through without one.
//!
//! Adding a route? Add its row; a test says when one is missing, or is about a route that is gone.

use std::fmt;

use axum::http::Method;
use muster_model::access::Permission;

use Needs::{Anybody, Everywhere, Identity, Machine, Machines, NotNarrowed, Oneself, Section, SignedIn};
use Permission::{Administer, Audit, Configure, Deploy, Diagnose, Enrol, Read, Stop};

/// What a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: how one signs in, and what there is to know of the API.
    Anybody,
    /// To know who it is.
    SignedIn,
    /// To know who it is, and no token that is narrowed: whoever found one must not get further by it.
    NotNarrowed,
    /// To be whom the path names as `{name}`, by a session; or to administer.
    Oneself,
    /// This, for the machine that the path names as `{id}`.
    Machine(Permission),
    /// This, for the machine that the path names as `{id}`, which may have enrolled and not come yet.
    Identity(Permission),
    /// What the desired section in the path needs, for the machine that the path names.
    Section,
    /// This for at least one machine. The handler selects with the caller which.
    Machines(Permission),
    /// This for the fleet as such.
    Everywhere(Permission),
    /// A machine that proves which one it is. People are not let in.
    MachineItself,
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Anybody => f.write_str("nothing"),
            SignedIn => f.write_str("signed_in"),
            NotNarrowed => f.write_str("signed_in, by no narrowed token"),
            Oneself => f.write_str("oneself, or administer of the fleet"),
            Machine(permission) | Identity(permission) => write!(f, "{permission} of the machine"),
            Section => f.write_str("deploy (workloads, release) or configure of the machine"),
            Machines(permission) => write!(f, "{permission} of some machine"),
            Everywhere(permission) => write!(f, "{permission} of the fleet"),
            Self::MachineItself => f.write_str("machine"),
        }
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The method. `GET` stands for `HEAD`, too.
    pub method: &'static str,
    /// The path as the router knows it.
    pub path: &'static str,
    /// What it needs.
    pub needs: Needs,
    /// What it is called in the audit log. Reading is only written down where it was refused.
    pub action: &'static str,
}

/// What publishing a release is called: its body is longer than others.
pub const PUBLISH: &str = "releases.publish";
/// What bringing some content is called.
const UPLOAD: &str = "releases.upload";

impl Route {
    /// Whether nothing comes of it, though it is asked for by another method than GET: what takes a document to look something up, and content
    /// of releases, which nobody gets before a release that names it is published.
    pub fn only_looks(&self) -> bool {
        self.action.ends_with(".check") || self.action == UPLOAD
    }

    /// Whether it changes something though it is asked for by GET: only where somebody comes back from a provider, which sends browsers so.
    pub fn changes_by_get(&self) -> bool {
        self.method == "GET" && self.action == "session.provider"
    }
}

const fn row(method: &'static str, path: &'static str, needs: Needs, action: &'static str) -> Route {
    Route {
        method,
        path,
        needs,
        action,
    }
}

/// Every route.
pub const ROUTES: &[Route] = &[
    row("GET", "/api/v1/machines", Machines(Read), "machines.list"),
    row("GET", "/api/v1/machines/{id}", Machine(Read), "machines.read"),
    row(
        "GET",
        "/api/v1/machines/{id}/events",
        Machine(Read),
        "machines.read",
    ),
    row(
        "GET",
        "/api/v1/machines/{id}/telemetry",
        Machine(Read),
        "machines.read",
    ),
    row(
        "GET",
        "/api/v1/machines/{id}/logs",
        Machine(Read),
        "machines.read",
    ),
    row(
        "GET",
        "/api/v1/machines/{id}/labels",
        Machine(Read),
        "machines.read",
    ),
    row(
        "PUT",
        "/api/v1/machines/{id}/labels",
        Machine(Configure),
        "machines.label",
    ),
    row(
        "DELETE",
        "/api/v1/machines/{id}/labels",
        Machine(Configure),
        "machines.label",
    ),
    row(
        "GET",
        "/api/v1/machines/{id}/display-name",
        Machine(Read),
        "machines.read",
    ),
    row(
        "PUT",
        "/api/v1/machines/{id}/display-name",
        Machine(Configure),
        "machines.name",
    ),
    row(
        "DELETE",
        "/api/v1/machines/{id}/display-name",
        Machine(Configure),
        "machines.name",
    ),
    row(
        "GET",
        "/api/v1/machines/{id}/desired",
        Machine(Read),
        "machines.read",
    ),
    row(
        "PUT",
        "/api/v1/machines/{id}/desired/{section}",
        Section,
        "machines.desire",
    ),
    row(
        "DELETE",
        "/api/v1/machines/{id}/desired/{section}",
        Section,
        "machines.desire",
    ),
    row(
        "GET",
        "/api/v1/machines/{id}/desired/{section}/history",
        Machine(Read),
        "machines.read",
    ),
    row("POST", "/api/v1/calibration/check", SignedIn, "calibration.check"),
    row(
        "POST",
        "/api/v1/machines/{id}/stop",
        Machine(Stop),
        "machines.stop",
    ),
    row("POST", "/api/v1/stop", Machines(Stop), "machines.stop"),
    row(
        "GET",
        "/api/v1/machines/{id}/commands",
        Machine(Read),
        "machines.read",
    ),
    // Which permission a command needs depends on its kind: the handler asks.
    row(
        "POST",
        "/api/v1/machines/{id}/commands",
        Machine(Read),
        "machines.command",
    ),
    row(
        "GET",
        "/api/v1/machines/{id}/recordings",
        Machine(Read),
        "machines.read",
    ),
    row(
        "GET",
        "/api/v1/machines/{id}/recordings/{file}",
        Machine(Diagnose),
        "recordings.download",
    ),
    row(
        "DELETE",
        "/api/v1/machines/{id}/recordings/{file}",
        Machine(Configure),
        "recordings.remove",
    ),
    row("GET", "/api/v1/releases", Machines(Read), "releases.list"),
    row(
        "POST",
        "/api/v1/releases/missing",
        Everywhere(Deploy),
        "releases.check",
    ),
    row(
        "PUT",
        "/api/v1/releases/blobs/{sha256}",
        Everywhere(Deploy),
        UPLOAD,
    ),
    row(
        "PUT",
        "/api/v1/releases/metadata/{name}",
        Everywhere(Deploy),
        "releases.vouch",
    ),
    row(
        "GET",
        "/api/v1/releases/{product}/{version}",
        Machines(Read),
        "releases.read",
    ),
    row(
        "PUT",
        "/api/v1/releases/{product}/{version}",
        Everywhere(Deploy),
        PUBLISH,
    ),
    row(
        "GET",
        "/api/v1/releases/{product}/{version}/manifest",
        Machines(Read),
        "releases.read",
    ),
    row(
        "GET",
        "/api/v1/releases/{product}/{version}/deltas",
        Machines(Read),
        "releases.read",
    ),
    row("GET", "/api/v1/events", Machines(Read), "events.list"),
    row("GET", "/api/v1/fleet/summary", Machines(Read), "fleet.summary"),
    row("GET", "/api/v1/fleet/timeline", Machines(Read), "fleet.timeline"),
    row("GET", "/api/v1/stream", Machines(Read), "live.stream"),
    row("GET", "/ws", Machines(Read), "live.stream"),
    row("GET", "/api/v1/openapi.json", Anybody, "document.read"),
    row("GET", "/api/v1/me", Anybody, "session.read"),
    row("POST", "/api/v1/session", Anybody, "session.begin"),
    row("DELETE", "/api/v1/session", SignedIn, "session.end"),
    row("POST", "/api/v1/device", Anybody, "session.device.ask"),
    row("POST", "/api/v1/device/session", Anybody, "session.device.begin"),
    row("GET", "/api/v1/device/{code}", SignedIn, "session.device.read"),
    row(
        "POST",
        "/api/v1/device/{code}",
        NotNarrowed,
        "session.device.approve",
    ),
    row(
        "DELETE",
        "/api/v1/device/{code}",
        NotNarrowed,
        "session.device.deny",
    ),
    row(
        "GET",
        "/api/v1/session/provider",
        Anybody,
        "session.provider.begin",
    ),
    row(
        "GET",
        crate::access::provider::CALLBACK,
        Anybody,
        "session.provider",
    ),
    row("POST", "/api/v1/set-up", Anybody, "people.set_up"),
    row("GET", "/api/v1/people", Everywhere(Administer), "people.list"),
    row(
        "GET",
        "/api/v1/people/{name}",
        Everywhere(Administer),
        "people.read",
    ),
    row(
        "PUT",
        "/api/v1/people/{name}",
        Everywhere(Administer),
        "people.change",
    ),
    row(
        "DELETE",
        "/api/v1/people/{name}",
        Everywhere(Administer),
        "people.remove",
    ),
    row(
        "PUT",
        "/api/v1/people/{name}/password",
        Oneself,
        "people.password",
    ),
    row(
        "DELETE",
        "/api/v1/people/{name}/second-factor",
        Oneself,
        "people.second_factor.remove",
    ),
    row(
        "POST",
        "/api/v1/me/second-factor",
        NotNarrowed,
        "people.second_factor.offer",
    ),
    row(
        "PUT",
        "/api/v1/me/second-factor",
        NotNarrowed,
        "people.second_factor.confirm",
    ),
    // One's own; everybody's for who administers.
    row("GET", "/api/v1/sessions", SignedIn, "sessions.list"),
    row("DELETE", "/api/v1/sessions/{id}", NotNarrowed, "sessions.end"),
    row("GET", "/api/v1/tokens", SignedIn, "tokens.list"),
    row("POST", "/api/v1/tokens", NotNarrowed, "tokens.make"),
    row("DELETE", "/api/v1/tokens/{id}", NotNarrowed, "tokens.revoke"),
    row("GET", "/api/v1/roles", SignedIn, "roles.list"),
    row("GET", "/api/v1/policies", SignedIn, "policies.list"),
    row("GET", "/api/v1/policies/{name}", SignedIn, "policies.read"),
    row(
        "PUT",
        "/api/v1/policies/{name}",
        Everywhere(Administer),
        "policies.change",
    ),
    row(
        "DELETE",
        "/api/v1/policies/{name}",
        Everywhere(Administer),
        "policies.remove",
    ),
    // The handler selects what the caller may see, and asks whether they can be the second person.
    row("GET", "/api/v1/proposals", SignedIn, "proposals.list"),
    row("GET", "/api/v1/proposals/{proposal}", SignedIn, "proposals.read"),
    row(
        "DELETE",
        "/api/v1/proposals/{proposal}",
        SignedIn,
        "proposals.withdraw",
    ),
    row(
        "POST",
        "/api/v1/proposals/{proposal}/approve",
        SignedIn,
        "proposals.approve",
    ),
    row(
        "POST",
        "/api/v1/proposals/{proposal}/refuse",
        SignedIn,
        "proposals.refuse",
    ),
    // The handlers ask which machines of a rollout are within the caller's reach.
    row("GET", "/api/v1/rollouts", Machines(Read), "rollouts.list"),
    row("POST", "/api/v1/rollouts", Machines(Deploy), "rollouts.create"),
    row("POST", "/api/v1/rollouts/plan", Machines(Deploy), "rollouts.plan"),
    row(
        "GET",
        "/api/v1/rollouts/{rollout}",
        Machines(Read),
        "rollouts.read",
    ),
    row(
        "GET",
        "/api/v1/rollouts/{rollout}/machines",
        Machines(Read),
        "rollouts.read",
    ),
    row(
        "GET",
        "/api/v1/rollouts/{rollout}/history",
        Machines(Read),
        "rollouts.read",
    ),
    row(
        "POST",
        "/api/v1/rollouts/{rollout}/approve",
        Machines(Deploy),
        "rollouts.approve",
    ),
    row(
        "POST",
        "/api/v1/rollouts/{rollout}/start",
        Machines(Deploy),
        "rollouts.start",
    ),
    row(
        "POST",
        "/api/v1/rollouts/{rollout}/pause",
        Machines(Deploy),
        "rollouts.pause",
    ),
    row(
        "POST",
        "/api/v1/rollouts/{rollout}/resume",
        Machines(Deploy),
        "rollouts.resume",
    ),
    row(
        "POST",
        "/api/v1/rollouts/{rollout}/retry",
        Machines(Deploy),
        "rollouts.retry",
    ),
    row(
        "POST",
        "/api/v1/rollouts/{rollout}/skip",
        Machines(Deploy),
        "rollouts.skip",
    ),
    row(
        "POST",
        "/api/v1/rollouts/{rollout}/abort",
        Machines(Deploy),
        "rollouts.abort",
    ),
    row(
        "POST",
        "/api/v1/rollouts/{rollout}/roll-back",
        Machines(Deploy),
        "rollouts.roll_back",
    ),
    row("GET", "/api/v1/updates/stop", Machines(Read), "updates.standing"),
    row("POST", "/api/v1/updates/stop", Machines(Deploy), "updates.stop"),
    row(
        "POST",
        "/api/v1/updates/resume",
        Machines(Deploy),
        "updates.resume",
    ),
    row("GET", "/api/v1/access/mine", SignedIn, "access.mine"),
    row(
        "POST",
        "/api/v1/access/check",
        Everywhere(Administer),
        "access.check",
    ),
    row("GET", "/api/v1/audit", Everywhere(Audit), "audit.read"),
    row("GET", "/api/v1/audit/check", Everywhere(Audit), "audit.check"),
    row("GET", "/api/v1/audit/export", Everywhere(Audit), "audit.export"),
    // The handlers ask which tokens and machines are within the caller's reach.
    row("GET", "/api/v1/enrolments", Machines(Enrol), "enrolments.list"),
    row("POST", "/api/v1/enrolments", Machines(Enrol), "enrolments.make"),
    row(
        "DELETE",
        "/api/v1/enrolments/{enrolment}",
        Machines(Enrol),
        "enrolments.withdraw",
    ),
    row("GET", "/api/v1/identities", Machines(Enrol), "identities.list"),
    // Public by its nature: whoever checks certificates by it has no session.
    row(
        "GET",
        "/api/v1/identities/revoked.crl",
        Anybody,
        "identities.revoked",
    ),
    row(
        "GET",
        "/api/v1/identities/{id}",
        Identity(Enrol),
        "identities.read",
    ),
    row(
        "POST",
        "/api/v1/identities/{id}/accept",
        Identity(Enrol),
        "identities.accept",
    ),
    row(
        "POST",
        "/api/v1/identities/{id}/revoke",
        Identity(Enrol),
        "identities.revoke",
    ),
    row(
        "POST",
        "/api/v1/identities/{id}/renew",
        Identity(Enrol),
        "identities.renew",
    ),
    row(
        "POST",
        "/api/v1/identities/{id}/enrolment",
        Identity(Enrol),
        "enrolments.make",
    ),
    row(
        "GET",
        "/api/v1/certificate-authorities",
        Everywhere(Enrol),
        "authorities.list",
    ),
    row(
        "POST",
        "/api/v1/certificate-authorities",
        Everywhere(Enrol),
        "authorities.rotate",
    ),
    // The token says who may.
    row("POST", muster_protocol::enrol::PATH, Anybody, "machines.enrol"),
    row(
        "GET",
        muster_protocol::enrol::CERTIFICATE_ROUTE,
        Needs::MachineItself,
        "link.certificate",
    ),
    row(
        "POST",
        muster_protocol::enrol::CERTIFICATE_ROUTE,
        Needs::MachineItself,
        "link.certificate",
    ),
    row(
        "GET",
        muster_protocol::link::PATH,
        Needs::MachineItself,
        "link.open",
    ),
    row(
        "GET",
        muster_protocol::link::release::ROUTE,
        Needs::MachineItself,
        "link.release",
    ),
    row(
        "GET",
        muster_protocol::link::upload::ROUTE,
        Needs::MachineItself,
        "link.upload",
    ),
    row(
        "PATCH",
        muster_protocol::link::upload::ROUTE,
        Needs::MachineItself,
        "link.upload",
    ),
];

/// The row of a route.
pub fn route(method: &Method, path: &str) -> Option<&'static Route> {
    let method = if *method == Method::HEAD {
        "GET"
    } else {
        method.as_str()
    };
    ROUTES
        .iter()
        .find(|route| route.method == method && route.path == path)
}

/// What a desired section needs: what runs on a machine is deployed, all else configured.
pub fn of_section(section: &str) -> Permission {
    match section {
        "workloads" | "release" => Deploy,
        _ => Configure,
    }
}
