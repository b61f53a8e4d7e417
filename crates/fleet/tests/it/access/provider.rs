//! Signing in at a provider that the test makes: what it answers is scripted, right and wrong. A real one is in `tests/outside`.

mod scripted;

use std::path::Path;

use muster_fleet::access::AccessMode;
use muster_fleet::access::provider::settings::{ClientSecret, Settings};
use serde_json::{Value, json};

use super::kit::PASSWORD;
use crate::harness::{Site, answer, options, until};
use scripted::{Key, Scripted};

/// A browser: follows nothing by itself, and keeps cookies.
struct Browser {
    http: reqwest::Client,
    base: String,
    cookies: Vec<(String, String)>,
}

struct Seen {
    status: u16,
    location: String,
    set: Vec<String>,
    body: Value,
}

impl Browser {
    fn new(site: &Site) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        Self {
            http: http.build().unwrap(),
            base: site.url(""),
            cookies: Vec::new(),
        }
    }

    async fn go(&mut self, method: &str, address: &str) -> Seen {
        let url = if address.starts_with('/') {
            format!("{}{address}", self.base)
        } else {
            address.to_owned()
        };
        let pairs: Vec<String> = (self.cookies.iter())
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let mut request = self.http.request(method.parse().unwrap(), url);
        if !pairs.is_empty() {
            request = request.header("Cookie", pairs.join("; "));
        }
        if method != "GET" {
            request = request.header("Origin", &self.base);
        }
        let response = request.send().await.unwrap();
        let set: Vec<String> = (response.headers().get_all("set-cookie").iter())
            .map(|value| value.to_str().unwrap().to_owned())
            .collect();
        for cookie in &set {
            let (key, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != key);
            if !value.is_empty() {
                self.cookies.push((key.to_owned(), value.to_owned()));
            }
        }
        let location = response.headers().get("location");
        Seen {
            status: response.status().as_u16(),
            location: location.map_or_else(String::new, |value| value.to_str().unwrap().to_owned()),
            set,
            body: serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default(),
        }
    }

    /// From the button to the way back, which is not walked yet.
    async fn until_the_way_back(&mut self, provider: &Scripted, next: &str) -> String {
        let path = format!("/api/v1/session/provider?next={next}");
        let sent = self.go("GET", &path).await;
        assert_eq!(sent.status, 303, "{}", sent.body);
        assert!(sent.location.starts_with(&provider.issuer), "{}", sent.location);
        let back = self.go("GET", &sent.location).await;
        assert_eq!(back.status, 303);
        back.location.strip_prefix(&self.base).unwrap().to_owned()
    }

    /// The whole way.
    async fn sign_in(&mut self, provider: &Scripted) -> Seen {
        let back = self.until_the_way_back(provider, "/machines").await;
        self.go("GET", &back).await
    }

    async fn me(&mut self) -> Value {
        self.go("GET", "/api/v1/me").await.body
    }
}

struct World {
    site: Site,
    provider: Scripted,
    root: String,
}

impl World {
    async fn new(data: &Path) -> Self {
        let provider = Scripted::start().await;
        let mut options = options(data);
        options.access = AccessMode::SignIn;
        options.provider = Some(settings(&provider.issuer));
        let site = Site::start_with(options).await;
        let link = site.access.set_up_secret().unwrap().unwrap();
        let body = json!({ "token": link.reveal(), "name": "root", "password": PASSWORD });
        let (status, said) = answer(site.request("POST", "/api/v1/set-up").json(&body)).await;
        assert_eq!(status, 200, "{said}");
        let body = json!({ "name": "root", "password": PASSWORD, "as_token": true });
        let (_, said) = answer(site.request("POST", "/api/v1/session").json(&body)).await;
        let root = said["token"].as_str().unwrap().to_owned();
        Self { site, provider, root }
    }

    fn browser(&self) -> Browser {
        Browser::new(&self.site)
    }

    async fn as_root(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.site.request(method, path).bearer_auth(&self.root);
        if let Some(body) = body {
            request = request.header("If-Match", "*").json(&body);
        }
        answer(request).await
    }

    async fn audit(&self) -> Vec<Value> {
        let (status, page) = self
            .as_root("GET", "/api/v1/audit?action=session.provider", None)
            .await;
        assert_eq!(status, 200, "{page}");
        page["items"].as_array().unwrap().clone()
    }

    /// A new browser walks the way and is told this problem; nobody is signed in by it, and it is written down.
    async fn is_refused(&self, problem: &str, detail: &str) {
        let mut browser = self.browser();
        let seen = browser.sign_in(&self.provider).await;
        self.was_refused(&mut browser, seen, problem, detail).await;
    }

    async fn was_refused(&self, browser: &mut Browser, seen: Seen, problem: &str, detail: &str) {
        assert_eq!(seen.status, 303);
        assert_eq!(seen.location, format!("/sign-in?problem={problem}"), "{detail}");
        assert_eq!(browser.me().await["signed_in"], false);
        assert!(
            !seen.set.iter().any(|cookie| cookie.contains("msts_")),
            "{:?}",
            seen.set
        );
        let newest = &self.audit().await[0];
        assert!(newest["outcome"] != "done", "{newest}");
        assert!(newest["detail"].as_str().unwrap().contains(detail), "{newest}");
    }
}

fn settings(issuer: &str) -> Settings {
    Settings {
        issuer: issuer.to_owned(),
        client_id: "muster".to_owned(),
        client_secret: Some(ClientSecret::new("a secret: of ours")),
        name: "Example".to_owned(),
        grants: "fleet-admins=admin; munich-ops=operator:label.site=munich"
            .parse()
            .unwrap(),
        ..Settings::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_signs_in_gets_what_their_groups_get_and_signs_out() {
    let data = tempfile::tempdir().unwrap();
    let world = World::new(data.path()).await;
    let mut browser = world.browser();
    assert_eq!(browser.me().await["provider"], "Example");
    let back = browser
        .until_the_way_back(&world.provider, "/machines%3Ftab%3D1")
        .await;
    let asked = world.provider.asked();
    assert_eq!(
        (
            asked["code_challenge_method"].as_str(),
            asked["response_type"].as_str()
        ),
        (Some("S256"), Some("code"))
    );
    assert_eq!(asked["scope"], "openid profile email");
    let seen = browser.go("GET", &back).await;
    assert_eq!((seen.status, seen.location.as_str()), (303, "/machines?tab=1"));
    let session = seen.set.iter().find(|cookie| cookie.contains("msts_")).unwrap();
    assert!(
        session.contains("HttpOnly") && session.contains("SameSite=Strict"),
        "{session}"
    );
    let ended = seen
        .set
        .iter()
        .find(|cookie| cookie.starts_with("muster_provider=;"))
        .unwrap();
    assert!(ended.contains("Max-Age=0"), "{ended}");
    let me = browser.me().await;
    assert_eq!(
        (&me["name"], &me["display_name"]),
        (&json!("ada"), &json!("Ada Lovelace"))
    );
    assert_eq!(
        me["grants"],
        json!([{ "role": "operator", "scope": "label.site=munich" }])
    );
    let (_, person) = world.as_root("GET", "/api/v1/people/ada", None).await;
    assert_eq!(
        (&person["provider"], &person["has_password"]),
        (&json!(world.provider.issuer), &json!(false))
    );
    let newest = &world.audit().await[0];
    assert_eq!(
        (&newest["person"], &newest["outcome"]),
        (&json!("ada"), &json!("done")),
        "{newest}"
    );
    // What a provider changes is written down as what a person changes.
    let says = |entry: &Value, what: &str| {
        let detail = entry["detail"].as_str().unwrap();
        assert!(detail.contains(what), "{detail}");
    };
    says(newest, "new: operator on label.site=munich");

    // Other groups: something else, from the next time on, also for what they have besides. None: nothing at all.
    world.provider.claim("groups", json!(["fleet-admins", "unknown"]));
    let mut second = world.browser();
    assert_eq!(second.sign_in(&world.provider).await.location, "/machines");
    assert_eq!(
        second.me().await["grants"],
        json!([{ "role": "admin", "scope": "*" }])
    );
    assert_eq!(
        browser.me().await["grants"],
        json!([{ "role": "admin", "scope": "*" }])
    );
    says(&world.audit().await[0], "→ admin");
    world.provider.claim("groups", json!(["unknown"]));
    world.is_refused("no-grants", "none of the groups of ada").await;
    says(&world.audit().await[0], "admin → nothing");
    assert_eq!(browser.me().await["grants"], json!([]));

    // Whoever is disabled here stays so, whatever the provider says.
    world.provider.claim("groups", json!(["fleet-admins"]));
    assert_eq!(second.sign_in(&world.provider).await.location, "/machines");
    let body = json!({ "grants": [], "disabled": true, "reason": "a test" });
    assert_eq!(
        world.as_root("PUT", "/api/v1/people/ada", Some(body)).await.0,
        200
    );
    world.is_refused("disabled", "ada is disabled").await;
    let body = json!({ "grants": [], "disabled": false, "reason": "a test" });
    assert_eq!(
        world.as_root("PUT", "/api/v1/people/ada", Some(body)).await.0,
        200
    );

    let mut third = world.browser();
    third.sign_in(&world.provider).await;
    let seen = third.go("DELETE", "/api/v1/session").await;
    assert_eq!(seen.status, 204);
    let expected = format!(
        "{}/end?client_id=muster&post_logout_redirect_uri=",
        world.provider.issuer
    );
    assert!(seen.location.starts_with(&expected), "{}", seen.location);
    assert_eq!(third.me().await["signed_in"], false);
    world.site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_is_believed_that_is_not_for_this_sign_in() {
    let data = tempfile::tempdir().unwrap();
    let world = World::new(data.path()).await;
    for (name, value, why) in [
        ("iss", json!("https://evil.example"), "another issuer"),
        ("aud", json!("another"), "somebody else (aud)"),
        ("aud", json!(["muster", "another"]), "(azp)"),
        ("azp", json!("another"), "somebody else (azp)"),
        ("nonce", json!("another"), "another sign-in (nonce)"),
        ("nonce", Value::Null, "another sign-in (nonce)"),
        ("exp", json!(scripted::now_s() - 61), "it is over"),
        ("iat", json!(scripted::now_s() + 3_600), "a time to come"),
        ("sub", json!(""), "whom it is about"),
        ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA"), "(at_hash)"),
    ] {
        let before = world.provider.claim(name, value);
        world.is_refused("provider-answer", why).await;
        world.provider.restore(name, before);
    }
    for key in [Key::None, Key::Hmac, Key::HmacOfPublic, Key::Foreign] {
        world.provider.sign_with(key);
        world.is_refused("provider-answer", "the ID token").await;
    }
    world.provider.sign_with(Key::Own);
    assert_eq!(
        world.browser().sign_in(&world.provider).await.location,
        "/machines"
    );
    let (_, people) = world.as_root("GET", "/api/v1/people", None).await;
    assert_eq!(people["items"].as_array().unwrap().len(), 2, "{people}");
    world.site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_keys_are_fetched_and_not_for_every_token() {
    let data = tempfile::tempdir().unwrap();
    let world = World::new(data.path()).await;
    assert_eq!(
        world.browser().sign_in(&world.provider).await.location,
        "/machines"
    );
    let fetched = world.provider.keys_fetched();
    assert_eq!(fetched, 1);
    // Somebody floods with tokens of a key that nobody has: the provider is not asked for each.
    world.provider.sign_with(Key::Foreign);
    for _ in 0..5 {
        world
            .is_refused("provider-answer", "by a key that the provider does not have")
            .await;
    }
    assert_eq!(world.provider.keys_fetched(), 1, "too soon after the last time");
    world.provider.rotate();
    let back = until("the new key is fetched", async || {
        let seen = world.browser().sign_in(&world.provider).await;
        (seen.location == "/machines").then_some(seen)
    });
    back.await;
    assert_eq!(world.provider.keys_fetched(), 2);
    world.site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_back_is_walked_once_by_the_browser_that_began() {
    let data = tempfile::tempdir().unwrap();
    let world = World::new(data.path()).await;
    // A link that somebody else began: whoever opens it would be signed in as them.
    let mut attacker = world.browser();
    let back = attacker.until_the_way_back(&world.provider, "/").await;
    let mut victim = world.browser();
    let seen = victim.go("GET", &back).await;
    world
        .was_refused(&mut victim, seen, "not-begun", "not begun in this browser")
        .await;
    // Also one who began a sign-in of their own.
    let back = attacker.until_the_way_back(&world.provider, "/").await;
    victim.until_the_way_back(&world.provider, "/").await;
    let seen = victim.go("GET", &back).await;
    world
        .was_refused(&mut victim, seen, "not-begun", "not begun in this browser")
        .await;
    let seen = attacker.go("GET", &back).await;
    world
        .was_refused(&mut attacker, seen, "not-begun", "it is over")
        .await;

    let mut browser = world.browser();
    let back = browser.until_the_way_back(&world.provider, "/").await;
    let cookies = browser.cookies.clone();
    assert_eq!(browser.go("GET", &back).await.location, "/");
    assert_eq!(browser.me().await["signed_in"], true);
    browser.cookies = cookies;
    let seen = browser.go("GET", &back).await;
    world
        .was_refused(&mut browser, seen, "not-begun", "it is over")
        .await;

    // The provider takes no code twice: here it was stolen and used before.
    let mut browser = world.browser();
    let back = browser.until_the_way_back(&world.provider, "/").await;
    world.provider.spend_codes();
    let seen = browser.go("GET", &back).await;
    world
        .was_refused(&mut browser, seen, "provider-answer", "invalid_grant")
        .await;
    for nothing in [
        "",
        "?state=",
        "?state=x&code=y",
        "?code=y",
        "?state=%ff",
        "?error=access_denied",
    ] {
        let mut browser = world.browser();
        let seen = browser
            .go("GET", &format!("/api/v1/session/callback{nothing}"))
            .await;
        world.was_refused(&mut browser, seen, "not-begun", "").await;
    }
    world.site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_another_provider_and_refusals_are_not_taken_for_a_code() {
    let data = tempfile::tempdir().unwrap();
    let world = World::new(data.path()).await;
    let walk = async |change: fn(String) -> String| {
        let mut browser = world.browser();
        let back = change(browser.until_the_way_back(&world.provider, "/").await);
        let seen = browser.go("GET", &back).await;
        (browser, seen)
    };
    let (mut browser, seen) = walk(|back| back.replace("iss=http", "iss=https")).await;
    world
        .was_refused(&mut browser, seen, "provider-answer", "of another provider")
        .await;
    let (mut browser, seen) = walk(|back| back.split("&iss=").next().unwrap().to_owned()).await;
    world
        .was_refused(&mut browser, seen, "provider-answer", "(iss)")
        .await;
    let (mut browser, seen) = walk(|back| back.replace("code=", "error=access_denied&no=")).await;
    world
        .was_refused(&mut browser, seen, "provider-refused", "access_denied")
        .await;
    let (mut browser, seen) = walk(|back| back.replace("code=", "code=x&code=")).await;
    world
        .was_refused(&mut browser, seen, "provider-answer", "no code")
        .await;
    assert_eq!(world.provider.exchanged(), 0, "no code was exchanged");
    // The name of somebody who signs in here is theirs, and so is one of another account.
    for (name, subject) in [("Root", "1"), ("local", "2")] {
        let before = (
            world.provider.claim("preferred_username", json!(name)),
            world.provider.claim("sub", json!(subject)),
        );
        world.is_refused("name-taken", "belongs to somebody").await;
        world.provider.restore("preferred_username", before.0);
        world.provider.restore("sub", before.1);
    }
    assert_eq!(
        world.browser().sign_in(&world.provider).await.location,
        "/machines"
    );
    let before = world
        .provider
        .claim("sub", json!("another account with the same name"));
    world.is_refused("name-taken", "the name ada").await;
    world.provider.restore("sub", before);
    // Where the ID token does not say it, the provider is asked; about the same person, or it is not believed.
    let groups = world.provider.claim("groups", Value::Null);
    world
        .provider
        .userinfo(json!({ "sub": "248289761001", "groups": ["fleet-admins"] }));
    let mut browser = world.browser();
    browser.sign_in(&world.provider).await;
    assert_eq!(
        browser.me().await["grants"],
        json!([{ "role": "admin", "scope": "*" }])
    );
    world
        .provider
        .userinfo(json!({ "sub": "another", "groups": ["fleet-admins"] }));
    world.is_refused("provider-answer", "about somebody else").await;
    world.provider.restore("groups", groups);
    world.site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_led_away_by_what_they_wanted_to_see() {
    let data = tempfile::tempdir().unwrap();
    let world = World::new(data.path()).await;
    for next in [
        "//evil.example",
        "%2F%2Fevil.example",
        "https:%2F%2Fevil.example",
        "%2F%5Cevil.example",
        "%5C%5Cevil.example",
        "%2F%09%2Fevil.example",
        "%2F%0d%0aSet-Cookie:%20a=b",
        "javascript:alert(1)",
        "%2F.%2F%2Fevil.example",
        "%20%2Fx",
        "%2Fapi%2Fv1%2Fsession%2Fprovider",
        "",
    ] {
        let mut browser = world.browser();
        let back = browser.until_the_way_back(&world.provider, next).await;
        let seen = browser.go("GET", &back).await;
        assert_eq!(seen.location, "/", "{next}");
        assert_eq!(browser.me().await["signed_in"], true);
    }
    world.site.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_away_or_answers_nonsense_harms_nobody_else() {
    let data = tempfile::tempdir().unwrap();
    let world = World::new(data.path()).await;
    for (answer, problem) in [
        ("away", "provider-away"),
        ("huge", "provider-answer"),
        ("nonsense", "provider-answer"),
        ("redirect", "provider-away"),
        ("foreign", "provider-answer"),
        ("plain", "provider-answer"),
    ] {
        world.provider.metadata(answer);
        // What failed is remembered for a moment, so that many do not wait for it.
        until("it is asked again", async || {
            let seen = world.browser().go("GET", "/api/v1/session/provider").await;
            assert_eq!(seen.status, 303);
            (seen.location == format!("/sign-in?problem={problem}")).then_some(())
        })
        .await;
        // The server works without it.
        assert_eq!(world.as_root("GET", "/api/v1/machines", None).await.0, 200);
    }
    world.provider.metadata("");
    until("it is there again", async || {
        let seen = world.browser().go("GET", "/api/v1/session/provider").await;
        seen.location.starts_with(&world.provider.issuer).then_some(())
    })
    .await;
    for (answer, problem) in [
        ("away", "provider-away"),
        ("huge", "provider-answer"),
        ("nonsense", "provider-answer"),
    ] {
        world.provider.tokens(answer);
        world.is_refused(problem, "the provider").await;
    }
    world.provider.tokens("");
    assert_eq!(
        world.browser().sign_in(&world.provider).await.location,
        "/machines"
    );
    world.site.stop().await.unwrap();

    // Where none is set up there is no way to it.
    let mut options = options(data.path());
    options.access = AccessMode::SignIn;
    let site = Site::start_with(options).await;
    for path in ["/api/v1/session/provider", "/api/v1/session/callback"] {
        let (status, said) = site.ask(path).await;
        assert_eq!((status, &said["code"]), (404, &json!("MST-A070")));
    }
    assert!(site.get("/api/v1/me").await["provider"].is_null());
    site.stop().await.unwrap();
}
