//! The OpenAPI 3.1 document: made from the code, committed, and served.

use std::sync::OnceLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use utoipa::OpenApi;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, RefOr, ResponseBuilder};

use super::described;
use crate::access::declared::{self, Needs, Route};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Muster",
        description = "Runs fleets of physical machines. Errors are RFC 9457 problems with a stable `code`. Lists are \
            paged by cursor. `at` asks for the past, as the server knew it then. Reported state belongs to the machine; \
            what people decide (labels, display name) is kept apart.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
        version = "1"
    ),
    tags(
        (name = "machines", description = "The machines of the fleet, now and in the past"),
        (name = "identities", description = "Who may be a machine of the fleet: enrolment, certificates, authorities"),
        (name = "releases", description = "What machines are to run: what there is, how it comes here, what it costs on the way"),
        (name = "events", description = "What happened"),
        (name = "fleet", description = "The fleet as a whole"),
        (name = "live", description = "What happens, as it happens. The same over a WebSocket at `/ws`"),
        (name = "rollouts", description = "Who gets a release, in which order, and how far they are; and the stop of all updates"),
        (name = "access", description = "Who asks, people, tokens, rules, and who did what"),
        (name = "document", description = "This description"),
    ),
    components(schemas(muster_protocol::api::Problem, muster_protocol::api::Order))
)]
struct Base;

/// Title, licence and tags; the routes add themselves.
pub fn base() -> Document {
    Base::openapi()
}

/// The whole document. What each route needs comes from the table by which it is decided.
pub fn document() -> Document {
    let mut document = described().split_for_parts().1;
    for (path, item) in &mut document.paths.paths {
        let operations = [
            ("GET", &mut item.get),
            ("PUT", &mut item.put),
            ("POST", &mut item.post),
            ("DELETE", &mut item.delete),
            ("PATCH", &mut item.patch),
        ];
        for (method, operation) in operations {
            let route = declared::ROUTES
                .iter()
                .find(|route| route.method == method && route.path == path);
            if let (Some(operation), Some(route)) = (operation.as_mut(), route) {
                say_what_it_needs(operation, route);
            }
        }
    }
    let components = document.components.get_or_insert_default();
    let bearer = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "A token of `POST /api/v1/tokens`, or a session of `POST /api/v1/session` with `as_token`",
        ))
        .build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let cookie = ApiKeyValue::with_description(
        "__Host-muster",
        "A session of a browser; changes need an `Origin` of the server",
    );
    components.add_security_scheme("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    document
}

/// Adds what is answered to whoever may not, by whom it can be asked, and what it needs.
fn say_what_it_needs(operation: &mut Operation, route: &Route) {
    let mut refused = vec![(
        "403",
        "Not allowed, or not from there; the problem names the rule",
    )];
    if route.needs != Needs::Anybody {
        refused.push(("401", "Nobody is signed in"));
        let by = |name| SecurityRequirement::new(name, Vec::<String>::new());
        operation.security = Some(vec![by("bearer"), by("cookie")]);
    } else if route.action == "session.begin" {
        refused.push(("401", "Name, password or code are wrong"));
    }
    for (status, description) in refused {
        let problem = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .build();
        let response = ResponseBuilder::new()
            .description(description)
            .content("application/problem+json", problem);
        let responses = &mut operation.responses.responses;
        responses
            .entry(status.to_owned())
            .or_insert_with(|| RefOr::T(response.build()));
    }
    let needs = serde_json::Value::String(route.needs.to_string());
    let extensions = operation.extensions.get_or_insert_default();
    extensions.merge(ExtensionsBuilder::new().add("x-muster-needs", needs).build());
}

/// The document as it is committed: pretty, with a newline at the end.
pub fn text() -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(&document())?;
    text.push('\n');
    Ok(text)
}

/// This description, OpenAPI 3.1
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "document", responses(
    (status = 200, description = "The document", content_type = "application/json", body = serde_json::Value),
))]
pub async fn openapi() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    // The document is plain data: it can always be written.
    let text = TEXT.get_or_init(|| text().unwrap_or_default());
    ([(header::CONTENT_TYPE, "application/json")], text.as_str()).into_response()
}
