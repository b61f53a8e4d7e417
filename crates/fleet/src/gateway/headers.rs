//! What every answer says to browsers: take it for nothing else than it is, show it in no foreign page, tell nobody of it.
//!
//! Source: OWASP Secure Headers.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

/// For answers that are no pages: nothing of them is run or shown. Pages bring their own.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

static SAID: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// Adds what is not said already.
pub async fn add(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    // What a browser has already keeps what was said of it then: this would take the place of it.
    let is_kept = response.status() == StatusCode::NOT_MODIFIED;
    let headers = response.headers_mut();
    for (name, value) in &SAID {
        if !headers.contains_key(name) && !is_kept {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}
