//! Whether a request comes from where it may: by which name it reached us, and for which page of a browser.

use axum::http::{HeaderMap, Uri, header};

use crate::access::AccessMode;
use crate::api::error::ApiError;

/// Looks at `Host` and `Origin`.
///
/// Where everybody on this computer is let in, only names of this computer's loopback are ours: a foreign name that was made to
/// point here would bring foreign pages with it.
///
/// # Errors
///
/// It comes from elsewhere.
pub fn check(headers: &HeaderMap, uri: &Uri, mode: AccessMode, encrypted: bool) -> Result<(), ApiError> {
    let host = host(headers, uri);
    if mode == AccessMode::TrustLoopback && !is_loopback(host) {
        let detail =
            format!("{host:?} is no name of this computer's loopback: use localhost, 127.0.0.1 or [::1]");
        return Err(ApiError::forbidden("MST-A017", detail));
    }
    match text(headers, header::ORIGIN) {
        None => Ok(()),
        Some(origin) if is_ours(origin, host, encrypted) => Ok(()),
        Some(origin) => Err(ApiError::forbidden(
            "MST-A014",
            format!("pages of {origin} are not let in here"),
        )),
    }
}

/// Of a change that comes with a cookie: a page of ours must have sent it, and say so. Whoever is not signed in may be a program, which says nothing.
///
/// # Errors
///
/// It does not say so.
pub fn must_be_ours(headers: &HeaderMap, by_cookie: bool) -> Result<(), ApiError> {
    let cross_site = text(headers, header::HeaderName::from_static("sec-fetch-site"))
        .is_some_and(|site| !matches!(site, "same-origin" | "none"));
    // That it is ours was looked at before.
    if cross_site || by_cookie && !headers.contains_key(header::ORIGIN) {
        let detail = "a change that comes with a cookie needs an Origin of this server: programs use a token";
        return Err(ApiError::forbidden("MST-A014", detail));
    }
    Ok(())
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

fn host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> &'a str {
    let named = text(headers, header::HOST);
    named
        .or_else(|| uri.authority().map(axum::http::uri::Authority::as_str))
        .unwrap_or("")
}

/// Of a port that is encrypted no page in the clear is ours: whoever sits in between writes those.
/// Of a port that is encrypted no page in the clear is ours: whoever sits in between writes those.
fn is_ours(origin: &str, host: &str, encrypted: bool) -> bool {
    let parts = origin.split_once("://");
    parts.is_some_and(|(scheme, authority)| authority == host && (!encrypted || scheme == "https"))
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
    fn an_encrypted_port_takes_nothing_from_pages_in_the_clear() {
        assert!(is_ours("https://fleet:7700", "fleet:7700", true));
        assert!(!is_ours("http://fleet:7700", "fleet:7700", true));
        assert!(is_ours("http://fleet:7700", "fleet:7700", false));
        assert!(!is_ours("null", "fleet:7700", false));
    }

    #[test]
    fn only_this_computer_and_its_own_pages() {
        let allowed = |host: &str, origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().expect("a header"));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().expect("a header"));
            }
            check(
                &headers,
                &Uri::from_static("/ws"),
                AccessMode::TrustLoopback,
                false,
            )
            .is_ok()
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
