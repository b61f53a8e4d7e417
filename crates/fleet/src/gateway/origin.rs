//! Who may knock: until there are identities, only programs on this computer, and no page of another origin in a browser
//! on it.
//!
//! A browser sends requests for any page it shows. `Origin` says for which; `Host` says under which name the page reached
//! us, and a foreign name that was made to point here (DNS rebinding) is no name of ours.

use axum::extract::Request;
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::error::ApiError;

/// Lets a request through, or says why not.
pub async fn guard(request: Request, next: Next) -> Response {
    match check(request.headers(), request.uri()) {
        Ok(()) => next.run(request).await,
        Err(error) => {
            metrics::counter!("muster_foreign_requests_total").increment(1);
            error.into_response()
        }
    }
}

fn check(headers: &HeaderMap, uri: &Uri) -> Result<(), ApiError> {
    let text = |name| {
        headers
            .get(name)
            .map(|value: &axum::http::HeaderValue| value.to_str().unwrap_or("?"))
    };
    let host = text(header::HOST)
        .or_else(|| uri.authority().map(axum::http::uri::Authority::as_str))
        .unwrap_or("");
    if !is_loopback(host) {
        let detail =
            format!("{host:?} is no name of this computer's loopback: use localhost, 127.0.0.1 or [::1]");
        return Err(ApiError::forbidden("MST-A017", detail));
    }
    match text(header::ORIGIN) {
        None => Ok(()),
        Some(origin)
            if origin
                .split_once("://")
                .is_some_and(|(_, authority)| authority == host) =>
        {
            Ok(())
        }
        Some(origin) => Err(ApiError::forbidden(
            "MST-A014",
            format!("pages of {origin} are not let in here"),
        )),
    }
}

fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<axum::http::uri::Authority>() else {
        return false;
    };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuzz_no_name_is_taken_for_this_computer_that_is_not() {
        muster_mutate::Target::new("host").text().check(|data| {
            let Ok(host) = std::str::from_utf8(data) else {
                return false;
            };
            let accepted = is_loopback(host);
            // As another reader of addresses takes it; what it does not take leads nowhere.
            if accepted && let Ok(url) = reqwest::Url::parse(&format!("http://{host}/")) {
                let name = url.host_str().unwrap_or("").trim_matches(['[', ']']);
                let is_here = name
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.is_loopback());
                assert!(is_here || name == "localhost", "{host:?} leads to {name:?}");
            }
            accepted
        });
    }

    #[test]
    fn only_this_computer_and_its_own_pages() {
        let allowed = |host: &str, origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().expect("a header"));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().expect("a header"));
            }
            check(&headers, &Uri::from_static("/ws")).is_ok()
        };
        for host in [
            "localhost:7700",
            "127.0.0.1:7700",
            "[::1]:7700",
            "LOCALHOST",
            "127.0.0.9",
        ] {
            assert!(allowed(host, None), "{host}");
            assert!(allowed(host, Some(&format!("http://{host}"))), "{host}");
        }
        for host in [
            "evil.example:7700",
            "10.0.0.1",
            "localhost.evil.example",
            "",
            "a b",
            "127.0.0.1.nip.example",
        ] {
            assert!(!allowed(host, None), "{host}");
        }
        for origin in [
            "http://evil.example",
            "null",
            "http://127.0.0.1:9999",
            "127.0.0.1:7700",
        ] {
            assert!(!allowed("127.0.0.1:7700", Some(origin)), "{origin}");
        }
    }
}
