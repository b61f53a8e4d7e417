//! The OpenAPI 3.1 document: made from the code, committed, and served.

use std::sync::OnceLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;

use super::described;

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
        (name = "events", description = "What happened"),
        (name = "fleet", description = "The fleet as a whole"),
        (name = "live", description = "What happens, as it happens. The same over a WebSocket at `/ws`"),
        (name = "document", description = "This description"),
    ),
    components(schemas(muster_protocol::api::Problem, muster_protocol::api::Order))
)]
struct Base;

/// Title, licence and tags; the routes add themselves.
pub fn base() -> Document {
    Base::openapi()
}

/// The whole document.
pub fn document() -> Document {
    described().split_for_parts().1
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
