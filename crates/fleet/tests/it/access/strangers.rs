//! What those may send who need not say who they are.

use muster_fleet::access::declared::{Needs, ROUTES};
use serde_json::json;

use super::kit::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_that_needs_nobody_takes_no_long_body() {
    let world = World::empty().await;
    let body = |length: usize| json!({ "x": "x".repeat(length) });
    let mut seen = 0;
    for route in ROUTES.iter().filter(|route| route.needs == Needs::Anybody) {
        // It takes none at all.
        if route.method == "GET" || route.path == "/api/v1/device" {
            continue;
        }
        seen += 1;
        for (length, is_read) in [(15_000, true), (17_000, false)] {
            let request = world.site.request(route.method, route.path).json(&body(length));
            let status = request.send().await.unwrap().status();
            assert_eq!(
                status != 413,
                is_read,
                "{} with {length} bytes: {status}",
                route.path
            );
        }
    }
    assert!(seen >= 4, "{seen} routes");
    // Whoever says who they are may send more.
    let (status, said) = world
        .ask("root", "POST", "/api/v1/tokens", Some(body(17_000)))
        .await;
    assert_eq!(status, 422, "{said}");
}
