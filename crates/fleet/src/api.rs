//! The REST API under `/api/v1`, and the document that describes it.
//!
//! A file a resource: [`machines`], [`events`], [`fleet`], [`profile`], [`desired`], [`calibration`], [`series`], [`stop`], [`commands`], [`recordings`], [`releases`];
//! and of people [`session`], [`provider`], [`people`], [`tokens`], [`policies`], [`audit`]. Query strings
//! come through [`params`], errors leave through [`error`], and [`convert`] is the one place where the domain becomes a document.

pub mod audit;
pub mod calibration;
pub mod commands;
pub mod convert;
pub mod desired;
pub mod device;
pub mod document;
pub mod enrolments;
pub mod error;
pub mod events;
pub mod fleet;
pub mod identities;
pub mod machines;
pub mod paging;
pub mod params;
pub mod people;
pub mod policies;
pub mod profile;
pub mod proposals;
pub mod provider;
pub mod recordings;
pub mod releases;
pub mod rollouts;
pub mod series;
pub mod session;
pub mod stop;
pub mod tokens;

use axum::Router;
use axum::routing::{get, head, post};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::gateway::GatewayState;
use crate::{access, gateway, live};

/// The routes of the API with their descriptions.
pub fn described() -> OpenApiRouter<GatewayState> {
    OpenApiRouter::with_openapi(document::base())
        .routes(routes!(machines::list))
        .routes(routes!(machines::show))
        .routes(routes!(events::of_machine))
        .routes(routes!(series::telemetry))
        .routes(routes!(series::logs))
        .routes(routes!(
            profile::labels,
            profile::put_labels,
            profile::delete_labels
        ))
        .routes(routes!(
            profile::display_name,
            profile::put_display_name,
            profile::delete_display_name
        ))
        .routes(routes!(desired::show))
        .routes(routes!(desired::put, desired::remove))
        .routes(routes!(desired::history))
        .routes(routes!(calibration::check))
        .routes(routes!(stop::one))
        .routes(routes!(stop::several))
        .routes(routes!(commands::commands, commands::give_command))
        .routes(routes!(recordings::list))
        .routes(routes!(recordings::download, recordings::remove))
        .routes(routes!(releases::list))
        .routes(routes!(releases::publish::missing))
        .routes(routes!(releases::publish::content))
        .routes(routes!(releases::publish::metadata))
        .routes(routes!(releases::show, releases::publish::publish))
        .routes(routes!(releases::manifest))
        .routes(routes!(releases::deltas))
        .routes(routes!(events::list))
        .routes(routes!(fleet::summary))
        .routes(routes!(fleet::timeline))
        .routes(routes!(live::stream::stream))
        .routes(routes!(enrolments::list, enrolments::make))
        .routes(routes!(enrolments::withdraw))
        .routes(routes!(identities::list))
        .routes(routes!(identities::revoked))
        .routes(routes!(identities::show))
        .routes(routes!(identities::accept))
        .routes(routes!(identities::revoke))
        .routes(routes!(identities::renew))
        .routes(routes!(identities::enrol_again))
        .routes(routes!(identities::authorities, identities::rotate))
        .routes(routes!(document::openapi))
        .routes(routes!(session::me))
        .routes(routes!(session::mine))
        .routes(routes!(session::sign_in, session::sign_out))
        .routes(routes!(provider::begin))
        .routes(routes!(provider::finish))
        .routes(routes!(session::set_up))
        .routes(routes!(device::start))
        .routes(routes!(device::session))
        .routes(routes!(device::show, device::approve, device::deny))
        .routes(routes!(people::list))
        .routes(routes!(people::show, people::put, people::remove))
        .routes(routes!(people::put_password))
        .routes(routes!(people::remove_second_factor))
        .routes(routes!(
            people::offer_second_factor,
            people::confirm_second_factor
        ))
        .routes(routes!(tokens::sessions))
        .routes(routes!(tokens::end_session))
        .routes(routes!(tokens::tokens, tokens::make))
        .routes(routes!(tokens::revoke))
        .routes(routes!(policies::roles))
        .routes(routes!(policies::list))
        .routes(routes!(policies::show, policies::put, policies::remove))
        .routes(routes!(policies::check))
        .routes(routes!(proposals::list))
        .routes(routes!(proposals::show, proposals::withdraw))
        .routes(routes!(proposals::approve))
        .routes(routes!(proposals::refuse))
        .routes(routes!(rollouts::list, rollouts::create))
        .routes(routes!(rollouts::plan))
        .routes(routes!(rollouts::show))
        .routes(routes!(rollouts::machines))
        .routes(routes!(rollouts::history))
        .routes(routes!(rollouts::approve))
        .routes(routes!(rollouts::start))
        .routes(routes!(rollouts::pause))
        .routes(routes!(rollouts::resume))
        .routes(routes!(rollouts::retry))
        .routes(routes!(rollouts::skip))
        .routes(routes!(rollouts::abort))
        .routes(routes!(rollouts::roll_back))
        .routes(routes!(rollouts::standing, rollouts::stop_updates))
        .routes(routes!(rollouts::resume_updates))
        .routes(routes!(audit::list))
        .routes(routes!(audit::check))
        .routes(routes!(audit::export))
}

/// What machines speak with.
fn for_machines() -> Router<GatewayState> {
    Router::new()
        .route(muster_protocol::link::PATH, get(gateway::machine::upgrade))
        .route(
            muster_protocol::link::upload::ROUTE,
            head(gateway::uploads::offset).patch(gateway::uploads::append),
        )
        .route(muster_protocol::link::release::ROUTE, get(gateway::releases::get))
        .route(
            muster_protocol::enrol::CERTIFICATE_ROUTE,
            get(gateway::certificate::status).post(gateway::certificate::renew),
        )
}

/// All that is served on the port of machines, where they have one.
pub fn machines(state: GatewayState) -> Router {
    for_machines()
        .method_not_allowed_fallback(error::method_not_allowed)
        .fallback(error::no_such_path)
        .with_state(state)
        .layer(axum::middleware::from_fn(error::measure))
}

/// All that is served on the main port: with what machines speak with, where they have no port of their own.
pub fn router(state: GatewayState) -> Router {
    let (api, _) = described().split_for_parts();
    let api = match &state.identity {
        None => api.merge(for_machines()),
        Some(_) => api,
    };
    api.route(muster_protocol::enrol::PATH, post(gateway::enrol::enrol))
        .route("/ws", get(live::socket::upgrade))
        .method_not_allowed_fallback(error::method_not_allowed)
        .route("/api", axum::routing::any(error::no_such_path))
        .route("/api/", axum::routing::any(error::no_such_path))
        .route("/api/{*rest}", axum::routing::any(error::no_such_path))
        .fallback(crate::assets::serve)
        .with_state(state.clone())
        .layer(CompressionLayer::new().compress_when(worth_packing()))
        .layer(axum::middleware::from_fn_with_state(state, access::guard::guard))
        .layer(axum::middleware::from_fn(gateway::headers::add))
        .layer(axum::middleware::from_fn(error::measure))
}

/// Recordings are packed already, and whoever downloads one wants to know how much is left.
fn worth_packing() -> impl Predicate {
    DefaultPredicate::new().and(NotForContentType::const_new("application/octet-stream"))
}
