//! Where people are sent afterwards, and what a browser comes back with.

use super::*;

#[test]
fn people_are_sent_to_pages_of_this_server_only() {
    for good in [
        "/",
        "/machines",
        "/machines/1?tab=events#x",
        "/?next=//evil.example",
        "/a%2F%2Fb",
    ] {
        assert_eq!(local_path(good), good);
    }
    for bad in [
        "",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/a\\b",
        "https://evil.example",
        "javascript:alert(1)",
        "evil.example",
        "/.//evil.example",
        "/\tevil",
        "\t//evil.example",
        "/a b",
        "/\r\nSet-Cookie: a=b",
        "/ä",
        "/\u{202e}",
        "?x",
        "#x",
        "/api/v1/session/provider",
    ] {
        assert_eq!(local_path(bad), "/", "{bad:?}");
    }
    assert_eq!(local_path(&format!("/{}", "a".repeat(NEXT_MAX_BYTES))), "/");
}

#[test]
fn fuzz_no_path_leads_away() {
    muster_mutate::Target::new("next_path").text().check(|data| {
        let Ok(text) = std::str::from_utf8(data) else {
            return false;
        };
        let base = Url::parse("https://fleet.example/api/v1/session/callback").unwrap();
        let to = base.join(local_path(text)).unwrap();
        assert_eq!(to.origin(), base.origin(), "{text:?}");
        local_path(text) == text
    });
}

#[test]
fn what_is_there_twice_is_as_none() {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let returned = Returned::of(vec![
        pair("code", "a"),
        pair("code", "b"),
        pair("state", "c"),
        pair("x", "y"),
    ]);
    assert_eq!((returned.code, returned.state.as_deref()), (None, Some("c")));
    let long = Returned::of(vec![pair("state", &"x".repeat(ANSWER_MAX_BYTES + 1))]);
    assert!(long.state.is_none());
}

#[test]
fn claims_are_found_by_name_and_by_the_way_to_them() {
    let claims = serde_json::json!({ "https://x.example/groups": ["a"], "realm_access": { "roles": ["b"] } });
    let claims = claims.as_object().unwrap();
    assert!(claim(claims, "https://x.example/groups").is_some());
    assert_eq!(
        claim(claims, "realm_access.roles"),
        Some(&serde_json::json!(["b"]))
    );
    assert_eq!(claim(claims, "realm_access.groups"), None);
    assert_eq!(claim(claims, ""), None);
}
