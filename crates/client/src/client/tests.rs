use super::*;

#[test]
fn addresses_are_taken_as_people_write_them() {
    let check = |given: &str, expected: &str| {
        let client = Client::new(given, ClientOptions::default()).expect(given);
        assert_eq!(client.address(), expected);
    };
    check("http://127.0.0.1:7700", "http://127.0.0.1:7700");
    check("http://127.0.0.1:7700/", "http://127.0.0.1:7700");
    check("localhost:7700", "http://localhost:7700");
    check("fleet.local", "http://fleet.local");
    check("https://fleet.example:7700/", "https://fleet.example:7700");
    check("http://proxy/muster", "http://proxy/muster");
    check("[::1]:7700", "http://[::1]:7700");
}

#[test]
fn what_is_no_address_is_named_with_the_reason() {
    let check = |given: &str, reason: &str| {
        let error = Client::new(given, ClientOptions::default()).expect_err(given);
        assert_eq!(error.code(), "MST-C004");
        assert!(error.to_string().contains(reason), "{error}");
    };
    check("", "empty host");
    check("ws://127.0.0.1:7700", "machines' door");
    check("ftp://x", "neither http nor https");
    check("http://me:secret@host", "a password");
    check("http://host?a=b", "a query");
    check("127.0.0.1:99999", "invalid port");
}

#[test]
fn a_password_is_not_repeated() {
    let error = Client::new("http://me:secret@host", ClientOptions::default()).expect_err("refused");
    assert!(!error.to_string().contains("secret"));
}

#[test]
fn a_token_goes_to_no_other_computer_in_plain_http() {
    let client = |address: &str, plain_credential: bool| {
        let options = ClientOptions {
            credential: Some(crate::Credential::new("mstt_secret".to_owned())),
            plain_credential,
            ..ClientOptions::default()
        };
        Client::new(address, options)
    };
    for address in ["http://fleet.example:7700", "fleet.example:7700", "10.0.0.1:7700"] {
        let error = client(address, false).expect_err(address);
        assert_eq!(error.code(), "MST-C010");
        assert!(!error.to_string().contains("mstt_secret"), "{error}");
        client(address, true).expect(address);
    }
    for address in [
        "https://fleet.example:7700",
        "http://127.0.0.1:7700",
        "localhost:7700",
        "[::1]:7700",
    ] {
        client(address, false).expect(address);
    }
    // Without one there is nothing to be read.
    Client::new("fleet.example:7700", ClientOptions::default()).expect("address");
}

#[test]
fn paths_are_joined_and_escaped() {
    let client = Client::new("http://proxy/muster/", ClientOptions::default()).expect("address");
    let query = Parameters::default().with("filter", Some(&"a=b c"));
    let request = client.prepare(Request::get(&["machines", "a/b"], query));
    let built = request.build().expect("request");
    assert_eq!(
        built.url().as_str(),
        "http://proxy/muster/api/v1/machines/a%2Fb?filter=a%3Db+c"
    );
}

#[test]
fn only_this_computer_goes_around_a_proxy() {
    let local = |address: &str| is_loopback(&Url::parse(address).expect("url"));
    assert!(local("http://localhost:1"));
    assert!(local("http://127.3.0.1:1"));
    assert!(local("http://[::1]:1"));
    assert!(!local("http://10.0.0.1"));
    assert!(!local("http://fleet.local"));
}

/// The first byte says which status, the others are the body.
#[test]
fn fuzz_no_answer_breaks_the_client() {
    let statuses = [200, 204, 400, 404, 412, 429, 500, 503];
    muster_mutate::Target::new("answer").check(|data| {
        let (which, body) = data.split_first().unwrap_or((&0, &[]));
        let answer = Answer {
            address: "http://127.0.0.1:7700/".to_owned(),
            status: StatusCode::from_u16(statuses[usize::from(*which) % statuses.len()]).expect("a status"),
            headers: HeaderMap::new(),
            body: body.to_vec(),
        };
        let is_success = answer.status.is_success();
        match answer.accepted() {
            Ok(answer) => {
                assert!(is_success);
                let read = answer.document::<muster_protocol::api::MachinePage>();
                if let Err(error) = &read {
                    let said = error.to_string();
                    assert!(
                        said.len() <= 2_000 && !said.contains(char::is_control),
                        "{said:?}"
                    );
                }
                read.is_ok()
            }
            Err(ClientError::Problem(problem)) => {
                assert!(!is_success);
                assert_eq!(
                    serde_json::from_slice::<Problem>(body).ok().as_ref(),
                    Some(&*problem)
                );
                true
            }
            Err(error) => {
                let said = error.to_string();
                assert!(
                    !is_success && said.len() <= 2_000 && !said.contains(char::is_control),
                    "{said:?}"
                );
                false
            }
        }
    });
}

#[test]
fn fuzz_an_address_that_is_accepted_is_one_of_a_server() {
    muster_mutate::Target::new("address").text().check(|data| {
        let Ok(given) = std::str::from_utf8(data) else {
            return false;
        };
        match parse_address(given) {
            Ok(url) => {
                assert!(matches!(url.scheme(), "http" | "https"), "{given:?}");
                assert!(url.host_str().is_some_and(|host| !host.is_empty()), "{given:?}");
                assert!(url.username().is_empty() && url.password().is_none(), "{given:?}");
                assert_eq!(parse_address(url.as_str()).ok(), Some(url));
                true
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                false
            }
        }
    });
}
