//! Guessing of passwords and codes is slow, from wherever it comes, and nobody who is right is taken for somebody who guesses.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::kit::{PASSWORD, World};
use super::signing_in::code_of;
use crate::harness::answer;

/// Signs in from an address of this computer.
async fn sign_in(world: &World, from: IpAddr, body: &Value) -> (u16, Value) {
    let client = reqwest::Client::builder().no_proxy().local_address(from);
    let url = format!("http://{}/api/v1/session", world.site.address);
    answer(client.build().unwrap().post(url).json(body)).await
}

fn address(index: u8) -> IpAddr {
    IpAddr::from([127, 0, 1, index])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_signs_in_rightly_is_never_told_to_wait() {
    let world = World::empty().await;
    let right = json!({ "name": "root", "password": PASSWORD });
    for index in 0..30 {
        let (status, said) = sign_in(&world, address(1), &right).await;
        assert_eq!(status, 200, "sign-in {index}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_knows_the_password_guesses_no_code_from_many_addresses() {
    let world = World::empty().await;
    let (_, offer) = world.ask("root", "POST", "/api/v1/me/second-factor", None).await;
    let secret = offer["secret"].as_str().unwrap();
    let code = json!({ "code": code_of(secret, -30) });
    let (status, codes) = world
        .ask("root", "PUT", "/api/v1/me/second-factor", Some(code))
        .await;
    assert_eq!(status, 200, "{codes}");
    let with = |code: &str| json!({ "name": "root", "password": PASSWORD, "code": code });
    let mut looked_at = 0;
    for index in 1..=12 {
        // The password alone, in between, is no way to begin anew.
        let alone = json!({ "name": "root", "password": PASSWORD });
        let (status, said) = sign_in(&world, address(index), &alone).await;
        assert_eq!((status, &said["code"]), (401, &json!("MST-A042")), "{said}");
        let (status, said) = sign_in(&world, address(index), &with("12345x")).await;
        assert_eq!(status, 401, "what is no code counts for nobody: {said}");
        let (status, said) = sign_in(&world, address(index), &with("000000")).await;
        match status {
            401 => looked_at += 1,
            status => assert_eq!(status, 429, "{said}"),
        }
    }
    assert!((5..=7).contains(&looked_at), "{looked_at} codes were looked at");
    // A recovery code is no guess: who has one gets in.
    let recovery = codes["codes"][0].as_str().unwrap();
    let (status, said) = sign_in(&world, address(99), &with(recovery)).await;
    assert_eq!(status, 200, "{said}");
}
