//! Requests of foreign pages, stolen and made-up secrets, and routes that are asked for in odd ways.

use serde_json::json;

use super::kit::{PASSWORD, World};
use crate::harness::answer;

/// A cookie of a session of root.
async fn cookie(world: &World) -> String {
    let body = json!({ "name": "root", "password": PASSWORD });
    let response = world
        .site
        .request("POST", "/api/v1/session")
        .json(&body)
        .send()
        .await
        .unwrap();
    let cookie = response.headers()["set-cookie"].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_that_comes_with_a_cookie_needs_an_origin_of_ours() {
    let world = World::empty().await;
    let cookie = cookie(&world).await;
    let (_, document) = world.ask("", "GET", "/api/v1/openapi.json", None).await;
    let ours = format!("http://{}", world.site.address);
    let mut changes = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path
            .replace("{id}", &crate::harness::id(1))
            .replace("{name}", "x")
            .replace("{section}", "x")
            .replace("{file}", "x");
        for method in item.as_object().unwrap().keys() {
            let ask = |origin: Option<&str>, site: Option<&str>| {
                let mut request = world
                    .site
                    .request(&method.to_uppercase(), &path)
                    .header("Cookie", &cookie);
                for (name, value) in [("Origin", origin), ("Sec-Fetch-Site", site)] {
                    if let Some(value) = value {
                        request = request.header(name, value);
                    }
                }
                answer(request)
            };
            for origin in ["http://evil.example", "null", "http://127.0.0.1:1", "https://"] {
                let (status, said) = ask(Some(origin), None).await;
                assert_eq!(
                    (status, &said["code"]),
                    (403, &json!("MST-A014")),
                    "{method} {path} of {origin}: {said}"
                );
            }
            if method == "get" {
                continue;
            }
            changes += 1;
            if path.contains("/set-up") {
                continue;
            }
            let (status, said) = ask(None, None).await;
            assert_eq!(
                (status, &said["code"]),
                (403, &json!("MST-A014")),
                "{method} {path} without one: {said}"
            );
            let (status, said) = ask(Some(&ours), Some("cross-site")).await;
            assert_eq!(
                (status, &said["code"]),
                (403, &json!("MST-A014")),
                "{method} {path} across sites: {said}"
            );
        }
    }
    assert!(changes > 20, "{changes}");
    // With ours it is let through.
    let request = world
        .site
        .request("DELETE", "/api/v1/session")
        .header("Cookie", &cookie)
        .header("Origin", &ours);
    assert_eq!(request.send().await.unwrap().status(), 204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_secrets_are_worth_nothing_wherever_they_are() {
    let world = World::empty().await;
    let real = world.tokens["root"].clone();
    let mut other = real.clone().into_bytes();
    let last = other.len() - 1;
    other[last] = if other[last] == b'A' { b'B' } else { b'A' };
    let other = String::from_utf8(other).unwrap();
    let as_token = real.replacen("msts_", "mstt_", 1);
    let long = "x".repeat(4_000);
    for secret in [
        other.as_str(),
        as_token.as_str(),
        "msts_",
        "",
        "root",
        long.as_str(),
        &real[..real.len() - 1],
    ] {
        for header in [
            ("Authorization", format!("Bearer {secret}")),
            ("Cookie", format!("muster_session={secret}")),
        ] {
            let request = world
                .site
                .request("GET", "/api/v1/machines")
                .header(header.0, &header.1);
            assert_eq!(answer(request).await.0, 401, "{header:?}");
        }
    }
    for scheme in ["Basic", "Token", "bearerx"] {
        let request = world
            .site
            .request("GET", "/api/v1/machines")
            .header("Authorization", format!("{scheme} {real}"));
        assert_eq!(answer(request).await.0, 401, "{scheme}");
    }
    // Neither in the address, where logs would keep it.
    let path = format!("/api/v1/machines?token={real}");
    assert_eq!(world.site.ask(&path).await.0, 401);
    let request = world
        .site
        .request("GET", "/api/v1/machines")
        .header("Authorization", format!("bearer {real}"));
    assert_eq!(answer(request).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_methods_and_paths_are_no_way_around_the_table() {
    let world = World::empty().await;
    for (method, path, expect) in [
        ("HEAD", "/api/v1/machines", 401),
        ("PATCH", "/api/v1/machines", 405),
        ("OPTIONS", "/api/v1/people", 405),
        ("TRACE", "/api/v1/people", 405),
        ("GET", "/api/v1/people/", 404),
        ("GET", "//api/v1/people", 200),
        ("GET", "/api/v1/%70eople", 404),
        ("GET", "/api/v1/machines/../people", 401),
        ("GET", "/API/V1/people", 200),
        ("GET", "/machine", 403),
    ] {
        let url = format!("http://{}{path}", world.site.address);
        let response = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = response
            .request(method.parse().unwrap(), url)
            .send()
            .await
            .unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        assert!(!text.contains("\"items\""), "{method} {path}: {text}");
        // What is no path of the API is the dashboard's, which holds nothing.
        assert_eq!(status, expect, "{method} {path}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_tells_browsers_to_take_it_for_nothing_else() {
    let world = World::empty().await;
    for (path, page) in [
        ("/", true),
        ("/docs.html", true),
        ("/api/v1/me", false),
        ("/api/v1/machines", false),
        ("/api/v1/nothing", false),
        ("/ws", false),
    ] {
        let response = world.site.request("GET", path).send().await.unwrap();
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        let policy = header("content-security-policy").unwrap();
        let begins = if page {
            "default-src 'self'"
        } else {
            "default-src 'none'"
        };
        assert!(
            policy.starts_with(begins) && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(
            !policy.contains("script-src") && !policy.contains("unsafe-eval"),
            "{path}: {policy}"
        );
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(header(name).as_deref(), Some(value), "{path} {name}");
        }
        assert!(header("access-control-allow-origin").is_none(), "{path}");
        if let Some(tag) = header("etag") {
            // What a browser has already keeps its policy: one for answers that are no pages would keep the page from working.
            let again = world
                .site
                .request("GET", path)
                .header("If-None-Match", tag)
                .send()
                .await
                .unwrap();
            assert_eq!(again.status(), 304, "{path}");
            assert!(again.headers().get("content-security-policy").is_none(), "{path}");
        }
        if path.starts_with("/api/") {
            assert_eq!(header("cache-control").as_deref(), Some("no-store"), "{path}");
        }
    }
}
