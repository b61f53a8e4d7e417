//! Who is not let in, and why.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use rcgen::{CertificateParams, IsCa, Issuer, KeyPair, PKCS_ECDSA_P384_SHA384, SanType};
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::kit::{Borrowed, Guarded, Key, config, connect, end, hear, options, request, say, trusting};
use crate::harness::{self, soon};
use muster_fleet::{Server, ServerError};
use muster_runtime::{Clock, Shutdown};
use rustls::crypto::SupportedKxGroup;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CipherSuite, HandshakeKind, NamedGroup, ProtocolVersion};

#[tokio::test(flavor = "multi_thread")]
async fn the_server_chooses_the_names_whatever_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let site = Guarded::start(folder.path()).await;
    let token = site.token(json!({})).await;
    let key = Key::new();
    let wanted = ["fleet.example", "localhost", "127.0.0.1"];
    let (status, issued) = site.enrol(&token, &key.csr_for(&wanted)).await;
    assert_eq!(status, 200, "{issued}");
    let der = CertificateDer::from_pem_slice(issued["certificate"].as_str().unwrap().as_bytes()).unwrap();
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    let id = issued["machine_id"].as_str().unwrap();
    let uri = format!("urn:uuid:{id}");
    assert_eq!(names.value.general_names, [GeneralName::URI(&uri)]);
    assert_eq!(certificate.subject().to_string(), format!("CN={id}"));
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
    assert!(!certificate.is_ca());
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_for_one_key_and_for_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let site = Guarded::start(folder.path()).await;
    let token = site.token(json!({ "labels": { "site": "munich" } })).await;
    let key = Key::new();
    let (status, first) = site.enrol(&token, &key.csr()).await;
    assert_eq!(status, 200, "{first}");
    // The answer may have been lost: the same key asks again, and is the same machine.
    let (status, again) = site.enrol(&token, &key.csr()).await;
    assert_eq!(status, 200, "{again}");
    assert_eq!(first["machine_id"], again["machine_id"]);
    let (status, problem) = site.enrol(&token, &Key::new().csr()).await;
    assert_eq!((status, problem["code"].as_str()), (403, Some("MST-A061")));

    let withdrawn = site.post("/api/v1/enrolments", json!({})).await;
    let id = withdrawn["enrolment"]["id"].as_str().unwrap();
    let (status, _) = site
        .ask("DELETE", &format!("/api/v1/enrolments/{id}"), None)
        .await;
    assert_eq!(status, 204);
    let token = withdrawn["token"].as_str().unwrap();
    let (status, problem) = site.enrol(token, &Key::new().csr()).await;
    assert_eq!((status, problem["code"].as_str()), (403, Some("MST-A060")));

    // The secret is nowhere on the disk.
    let secret = first_half(token);
    for entry in std::fs::read_dir(folder.path()).unwrap().flatten() {
        if let Ok(bytes) = std::fs::read(entry.path()) {
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(&secret), "{:?}", entry.path());
        }
    }
    let list = site.get("/api/v1/enrolments").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(list["items"][0]["state"], "used");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_over_lets_nobody_in() {
    const HOUR_MS: i64 = 3_600_000;
    let folder = tempfile::tempdir().unwrap();
    let now = harness::now().as_millis();
    // Two hours ago: tokens are good for an hour, and for a minute at least.
    let site = Guarded::start_at(options(folder.path()), Clock::simulated(now - 2 * HOUR_MS)).await;
    let (usual, used) = (site.token(json!({})).await, site.token(json!({})).await);
    let long = site.token(json!({ "expires_in_s": 3 * 3_600 })).await;
    let key = Key::new();
    assert_eq!(site.enrol(&used, &key.csr()).await.0, 200);
    site.stop().await;

    let site = Guarded::start(folder.path()).await;
    // Also for the key that it was used by, which could ask again before.
    for (token, csr) in [(&usual, Key::new().csr()), (&used, key.csr())] {
        let (status, problem) = site.enrol(token, &csr).await;
        assert_eq!(
            (status, problem["code"].as_str()),
            (403, Some("MST-A062")),
            "{problem}"
        );
    }
    assert_eq!(site.enrol(&long, &Key::new().csr()).await.0, 200);
    let list = site.get("/api/v1/enrolments").await;
    let items = list["items"].as_array().unwrap().iter();
    let mut states: Vec<&str> = items.map(|item| item["state"].as_str().unwrap()).collect();
    states.sort_unstable();
    assert_eq!(states, ["expired", "used", "used"]);
    site.stop().await;
}

fn first_half(token: &str) -> String {
    let secret = token.strip_prefix("mste_").unwrap();
    secret.split('.').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_tokens_is_slowed_down_and_the_right_token_then_waits_too() {
    let folder = tempfile::tempdir().unwrap();
    let site = Guarded::start(folder.path()).await;
    let good = site.token(json!({})).await;
    let wrong = format!("mste_{}.{}", "0".repeat(64), "0".repeat(64));
    let csr = Key::new().csr();
    let mut codes = Vec::new();
    for _ in 0..12 {
        codes.push(
            site.enrol(&wrong, &csr).await.1["code"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    assert_eq!(codes[..10], vec!["MST-A060"; 10]);
    assert_eq!(codes[11], "MST-A064");
    let (status, problem) = site.enrol(&good, &csr).await;
    assert_eq!((status, problem["code"].as_str()), (429, Some("MST-A064")));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_for_a_certificate_is_refused_and_the_token_is_still_good() {
    let folder = tempfile::tempdir().unwrap();
    let site = Guarded::start(folder.path()).await;
    let token = site.token(json!({})).await;
    let key = Key::new();
    let other_curve = CertificateParams::new(Vec::new())
        .unwrap()
        .serialize_request(&KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap())
        .unwrap()
        .pem()
        .unwrap();
    // The signature proves that the sender has the key: one byte of it is another.
    let broken = {
        let pem = key.csr();
        let mut der = rustls::pki_types::CertificateSigningRequestDer::from_pem_slice(pem.as_bytes())
            .unwrap()
            .to_vec();
        let last = der.len() - 1;
        der[last] ^= 1;
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----\n")
    };
    for csr in ["", "nonsense", &other_curve, &broken, &"x".repeat(9_000)] {
        let (status, problem) = site.enrol(&token, csr).await;
        assert_eq!(
            (status, problem["code"].as_str()),
            (422, Some("MST-A063")),
            "{csr}: {problem}"
        );
    }
    assert_eq!(site.enrol(&token, &key.csr()).await.0, 200);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_is_for_a_key_that_the_sender_has_and_for_the_machine_that_asks() {
    let folder = tempfile::tempdir().unwrap();
    let site = Guarded::start(folder.path()).await;
    let (machine, other) = (site.machine(json!({})).await, site.machine(json!({})).await);
    let path = format!("/machine/{}/certificate", machine.id);
    let (mine, theirs) = (Key::new(), Key::new());
    let borrowed = Borrowed {
        public: &theirs,
        secret: &mine,
    };
    for csr in [borrowed.csr(), "nonsense".to_owned()] {
        let body = Some(json!({ "csr": csr }));
        let (status, problem) = machine.ask(site.machines, "POST", &path, body).await.unwrap();
        assert_eq!(
            (status, problem["code"].as_str()),
            (422, Some("MST-A063")),
            "{problem}"
        );
    }
    // Nor does a token give anything for a key that the sender does not have.
    let token = site.token(json!({})).await;
    let (status, problem) = site.enrol(&token, &borrowed.csr()).await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (422, Some("MST-A063")),
        "{problem}"
    );
    // A good request, in the name of another machine.
    let body = Some(json!({ "csr": mine.csr() }));
    let (status, problem) = other
        .ask(site.machines, "POST", &path, body.clone())
        .await
        .unwrap();
    assert_eq!(
        (status, problem["code"].as_str()),
        (403, Some("MST-A066")),
        "{problem}"
    );
    let count = |identity: &Value| identity["certificates"].as_array().unwrap().len();
    assert_eq!(count(&site.identity_of(&machine).await), 1);
    assert_eq!(count(&site.identity_of(&other).await), 1);
    let (status, issued) = machine.ask(site.machines, "POST", &path, body).await.unwrap();
    assert_eq!(status, 200, "{issued}");
    // The certificate is for the key of the request, and has the names that the server chose.
    let der = CertificateDer::from_pem_slice(issued["certificate"].as_str().unwrap().as_bytes()).unwrap();
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    assert_eq!(
        certificate.public_key().subject_public_key.data,
        rcgen::PublicKeyData::der_bytes(&mine.0)
    );
    assert_eq!(certificate.subject().to_string(), format!("CN={}", machine.id));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_certificate_of_this_fleet_there_is_no_handshake() {
    let folder = tempfile::tempdir().unwrap();
    let site = Guarded::start(folder.path()).await;
    let machine = site.machine(json!({})).await;
    assert_eq!(machine.knock(site.machines).await.unwrap().0, 200);

    let without = Arc::new(trusting(&machine.authorities).with_no_client_auth());
    let refused = async |config| {
        let mut stream = match connect(site.machines, config).await {
            Ok(stream) => stream,
            Err(error) => return error.to_string(),
        };
        let path = format!("/machine/{}/certificate", machine.id);
        match request(&mut stream, "GET", &path, None).await {
            Ok((status, body)) => panic!("{status} {body}"),
            Err(error) => error.to_string(),
        }
    };
    let said = refused(without).await;
    assert!(said.contains("CertificateRequired"), "{said}");

    // Another authority of the same name, with the machine's own names.
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ours = CertificateDer::from_pem_slice(machine.authorities.as_bytes()).unwrap();
    let (_, parsed) = X509Certificate::from_der(&ours).unwrap();
    let name = parsed
        .subject()
        .iter_common_name()
        .next()
        .unwrap()
        .as_str()
        .unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let foreign = Issuer::new(params, KeyPair::generate().unwrap());
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    let uri = format!("urn:uuid:{}", machine.id);
    params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    let key = Key::new();
    let forged = params.signed_by(&key.0, &foreign).unwrap().pem();
    let said = refused(config(&machine.authorities, &forged, &key.0)).await;
    assert!(
        said.contains("UnknownCA") || said.contains("DecryptError") || said.contains("BadCertificate"),
        "{said}"
    );

    // A certificate that our own authority issued, and the register does not have.
    let requested = muster_fleet::identity::authority::Requested::read(&key.csr()).unwrap();
    let now = harness::now();
    let stray = site.identity.with_authorities(|authorities| {
        let id = machine.id.parse().unwrap();
        authorities
            .newest()
            .machine(id, &requested, now, 600)
            .unwrap()
            .pem
    });
    let said = refused(config(&machine.authorities, &stray, &key.0)).await;
    assert!(said.contains("UnknownCA"), "{said}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_speaks_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let site = Guarded::start(folder.path()).await;
    let machine = site.machine(json!({})).await;
    let other = site.machine(json!({})).await;
    let mut socket = machine.dial(site.machines).await.unwrap();
    say(&mut socket, &harness::hello(&other.id, 0)).await;
    let (bye, code) = end(&mut socket).await;
    assert_eq!((bye, code), (None, Some(1008)));
    for path in [
        format!("/machine/{}/certificate", other.id),
        format!(
            "/machine/{}/uploads/0192f0c1-7b5e-7c3a-8d2f-000000000001",
            other.id
        ),
    ] {
        let method = if path.contains("uploads") { "PATCH" } else { "GET" };
        let (status, problem) = machine.ask(site.machines, method, &path, None).await.unwrap();
        assert_eq!(
            (status, problem["code"].as_str()),
            (403, Some("MST-A066")),
            "{problem}"
        );
    }
    // A hello in its own name, and then a message in another's: the shard ends it.
    let mut socket = machine.session(site.machines).await;
    let stray = harness::envelope(
        &other.id,
        "event",
        Some(1),
        2,
        Some(1),
        json!({ "kind": "x.y", "severity": "info", "message": "not me" }),
    );
    say(&mut socket, &stray).await;
    let (_, code) = end(&mut socket).await;
    assert_eq!(code, Some(1008));
    // What machines speak with is not there on the port of people, nor what people speak with here.
    let (status, _) = site.ask("GET", "/machine", None).await;
    assert_ne!(status, 101);
    let (status, _) = machine
        .ask(site.machines, "GET", "/api/v1/machines", None)
        .await
        .unwrap();
    assert_eq!(status, 404);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_waits_to_be_accepted_has_a_certificate_and_no_session() {
    let folder = tempfile::tempdir().unwrap();
    let site = Guarded::start(folder.path()).await;
    let machine = site
        .machine(json!({ "policy": "pending", "name": "frida" }))
        .await;
    assert_eq!(site.identity_of(&machine).await["standing"], "pending");
    let refused = machine.dial(site.machines).await.unwrap_err();
    assert!(
        refused.contains("403") && refused.contains("MST-A065"),
        "{refused}"
    );
    site.post(&format!("/api/v1/identities/{}/accept", machine.id), json!({}))
        .await;
    let mut socket = machine.session(site.machines).await;
    site.event(&machine, "identity.enrolled").await;
    site.revoke(&machine).await;
    end(&mut socket).await;
    // Who was shut out comes back by a token only.
    let path = format!("/api/v1/identities/{}/accept", machine.id);
    let (status, problem) = site.ask("POST", &path, None).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("MST-A068")));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_others_can_read_end_the_start() {
    let folder = tempfile::tempdir().unwrap();
    Guarded::start(folder.path()).await.stop().await;
    let key = folder.path().join("identity").join("ca-1.key");
    let start = async || {
        let shutdown = Shutdown::new();
        let started = Server::start(options(folder.path()), Clock::start(), shutdown).await;
        started.map(|_| ()).unwrap_err()
    };
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o640)).unwrap();
    let error = start().await;
    assert!(matches!(error, ServerError::Identity(_)), "{error}");
    assert_eq!(error.code(), "MST-F010");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(&key, "nothing").unwrap();
    assert_eq!(start().await.code(), "MST-F012");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_stalls_is_given_up_and_hinders_nobody() {
    use tokio::io::AsyncReadExt;
    let folder = tempfile::tempdir().unwrap();
    let site = Guarded::start(folder.path()).await;
    let machine = site.machine(json!({})).await;
    let mut stalled = Vec::new();
    for _ in 0..50 {
        stalled.push(tokio::net::TcpStream::connect(site.machines).await.unwrap());
    }
    let mut socket = machine.session(site.machines).await;
    let mut byte = [0];
    let read = soon("a stalled handshake ends", stalled[0].read(&mut byte)).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    say(
        &mut socket,
        &harness::envelope(
            &machine.id,
            "event",
            Some(1),
            2,
            Some(1),
            json!({ "kind": "x.y", "severity": "info", "message": "still here" }),
        ),
    )
    .await;
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "ack");
    site.stop().await;
}

/// A machine offers whatever its provider has. What is taken of it is the server's choice, but for how keys are agreed.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_handshake_comes_to() {
    let folder = tempfile::tempdir().unwrap();
    let site = Guarded::start(folder.path()).await;
    let machine = site.machine(json!({})).await;
    let mut stream = connect(site.machines, machine.config.clone()).await.unwrap();
    let path = format!("/machine/{}/certificate", machine.id);
    assert_eq!(request(&mut stream, "GET", &path, None).await.unwrap().0, 200);
    let agreed = stream.get_ref().1;
    assert_eq!(agreed.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let group = agreed.negotiated_key_exchange_group().map(SupportedKxGroup::name);
    assert_eq!(group, Some(NamedGroup::X25519MLKEM768));
    let suite = agreed.negotiated_cipher_suite().map(|suite| suite.suite());
    assert_eq!(suite, Some(CipherSuite::TLS13_AES_128_GCM_SHA256));
    assert_eq!(
        (agreed.handshake_kind(), agreed.tls13_tickets_received()),
        (Some(HandshakeKind::Full), 0)
    );
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_plain_http_is_told_that_it_is_https() {
    let folder = tempfile::tempdir().unwrap();
    let site = Guarded::start(folder.path()).await;
    // With a long body as well, which nobody reads: the answer must arrive all the same.
    let http = reqwest::Client::builder()
        .no_proxy()
        .timeout(harness::PATIENCE)
        .build()
        .unwrap();
    for address in [site.people, site.machines] {
        for body in [String::new(), "x".repeat(40_000)] {
            let asked = http.post(format!("http://{address}/api/v1/machines")).body(body);
            let answer = asked.send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 400);
            assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
            let text = answer.text().await.unwrap();
            assert_eq!(
                text,
                "This address speaks https: write https:// in front of it.\n"
            );
        }
        // What is neither is not answered in plain text.
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(b"\x00\x01nonsense").await.unwrap();
        let mut said = Vec::new();
        let _ = soon("it is let go", stream.read_to_end(&mut said)).await;
        assert!(!String::from_utf8_lossy(&said).contains("HTTP"), "{said:?}");
    }
    let machine = site.machine(json!({})).await;
    assert_eq!(machine.knock(site.machines).await.unwrap().0, 200);
    site.stop().await;
}
