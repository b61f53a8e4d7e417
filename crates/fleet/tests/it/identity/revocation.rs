//! The lists of certificates that are good no more, read by programs of another make: openssl, and the verifier of rustls.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use muster_fleet::identity::tls::provider;
use muster_runtime::Clock;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use serde_json::json;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;

use super::kit::{Enrolled, Guarded, options};
use crate::harness;

const PATH: &str = "/api/v1/identities/revoked.crl";

/// A list as it was handed out, with what another program reads in it.
struct Read {
    number: u64,
    from: i64,
    until: i64,
    /// Serial numbers with the code of the reason, if one is given.
    named: Vec<(String, Option<u8>)>,
}

async fn text(site: &Guarded, path: &str) -> (u16, String, Vec<u8>) {
    let url = format!("https://{}{path}", site.people);
    let answer = site.http.get(url).send().await.unwrap();
    let status = answer.status().as_u16();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (status, kind, answer.bytes().await.unwrap().to_vec())
}

/// What is handed out to everybody, in PEM.
async fn lists(site: &Guarded) -> String {
    let (status, kind, body) = text(site, PATH).await;
    assert_eq!((status, kind.as_str()), (200, "application/x-pem-file"));
    String::from_utf8(body).unwrap()
}

fn read(pem: &str) -> Vec<Read> {
    let ders = CertificateRevocationListDer::pem_slice_iter(pem.as_bytes());
    let read = ders.map(|der| {
        let der = der.unwrap();
        let (rest, list) = CertificateRevocationList::from_der(&der).unwrap();
        assert!(rest.is_empty());
        let named = list.iter_revoked_certificates().map(|named| {
            let reason = named.reason_code().map(|(_, reason)| reason.0);
            (named.user_certificate.to_str_radix(16), reason)
        });
        Read {
            number: list.crl_number().unwrap().try_into().unwrap(),
            from: list.last_update().timestamp(),
            until: list.next_update().unwrap().timestamp(),
            named: named.collect(),
        }
    });
    read.collect()
}

fn serial(certificate: &str) -> String {
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    parsed.tbs_certificate.serial.to_str_radix(16)
}

/// What the verifier of rustls says of a certificate by these lists.
fn judged(authorities: &str, lists: &str, certificate: &str) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
        roots.add(authority.unwrap()).unwrap();
    }
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(lists.as_bytes()).collect();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .with_crls(lists.unwrap())
        .only_check_end_entity_revocation()
        .build()
        .unwrap();
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let verified = verifier.verify_client_cert(&der, &[], UnixTime::now());
    verified.map(|_| ()).map_err(|error| error.to_string())
}

/// What openssl says of a certificate by these lists; nothing, if there is none here.
fn by_openssl(folder: &Path, authorities: &str, lists: &str, certificate: &str) -> Option<String> {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (authorities, lists, certificate) = (
        write("authorities.pem", authorities),
        write("lists.pem", lists),
        write("certificate.pem", certificate),
    );
    let run = |command: &mut Command| {
        let output = command.output().ok()?;
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        Some(format!("{out}{err}"))
    };
    // Its signature, by the authority; and then the certificate by it.
    let signed = run(Command::new("openssl")
        .args(["crl", "-noout", "-in"])
        .arg(&lists)
        .arg("-CAfile")
        .arg(&authorities));
    let Some(signed) = signed else {
        println!("there is no openssl here: nothing is shown by it");
        return None;
    };
    assert!(signed.contains("verify OK"), "{signed}");
    let mut verify = Command::new("openssl");
    verify.args(["verify", "-crl_check", "-CAfile"]).arg(&authorities);
    run(verify.arg("-CRLfile").arg(&lists).arg(&certificate))
}

/// Both say the same.
fn is_good(folder: &Path, site: &Guarded, lists: &str, machine: &Enrolled) -> bool {
    let authorities = site
        .identity
        .with_authorities(muster_fleet::identity::authority::Authorities::bundle);
    let good = match judged(&authorities, lists, &machine.certificate) {
        Ok(()) => true,
        Err(why) => {
            assert!(why.contains("Revoked"), "{why}");
            false
        }
    };
    if let Some(said) = by_openssl(folder, &authorities, lists, &machine.certificate) {
        let word = if good { ": OK" } else { "certificate revoked" };
        assert!(said.contains(word), "{said}");
    }
    good
}

#[tokio::test(flavor = "multi_thread")]
async fn others_learn_which_certificates_are_good_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let site = Guarded::start(folder.path()).await;
    let (stolen, stays, renews) = (
        site.machine(json!({})).await,
        site.machine(json!({})).await,
        site.machine(json!({})).await,
    );
    let first = lists(&site).await;
    for machine in [&stolen, &stays, &renews] {
        assert!(is_good(scratch.path(), &site, &first, machine));
    }
    // Nothing has changed: it is the same list.
    assert_eq!(lists(&site).await, first);

    site.revoke(&stolen).await;
    let renewed = renews.renew(site.machines).await;
    // Until the new one is used the old one is good.
    let second = lists(&site).await;
    assert!(is_good(scratch.path(), &site, &second, &renews));
    renewed.knock(site.machines).await.unwrap();
    let third = lists(&site).await;
    for (machine, good) in [
        (&stolen, false),
        (&stays, true),
        (&renews, false),
        (&renewed, true),
    ] {
        assert_eq!(is_good(scratch.path(), &site, &third, machine), good);
    }
    let [first, second, third] = [&first, &second, &third].map(|list| read(list).remove(0));
    assert_eq!(first.named, []);
    assert_eq!(second.named, [(serial(&stolen.certificate), None)]);
    // 4: a newer one took its place. Source: RFC 5280, 5.3.1.
    let mut expected = vec![
        (serial(&stolen.certificate), None),
        (serial(&renews.certificate), Some(4)),
    ];
    expected.sort();
    let mut named = third.named.clone();
    named.sort();
    assert_eq!(named, expected);
    assert!(first.number < second.number && second.number < third.number);
    assert!(first.from <= second.from && second.from <= third.from && third.until - third.from == 7 * 86_400);

    // Who comes back by a token has a good one, and what it had before stays out.
    let made = site
        .post(&format!("/api/v1/identities/{}/enrolment", stolen.id), json!({}))
        .await;
    let key = super::kit::Key::new();
    let (status, issued) = site.enrol(made["token"].as_str().unwrap(), &key.csr()).await;
    assert_eq!(status, 200, "{issued}");
    let back = Enrolled::new(&key, &issued);
    back.knock(site.machines).await.unwrap();
    let last = lists(&site).await;
    assert!(is_good(scratch.path(), &site, &last, &back));
    assert!(!is_good(scratch.path(), &site, &last, &stolen));
    site.stop().await;

    // It is kept, with its number.
    let site = Guarded::start(folder.path()).await;
    assert_eq!(lists(&site).await, last);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_authority_that_is_trusted_has_a_list_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let site = Guarded::start(folder.path()).await;
    let (old, older) = (site.machine(json!({})).await, site.machine(json!({})).await);
    site.post("/api/v1/certificate-authorities", json!({})).await;
    let (new, newer) = (site.machine(json!({})).await, site.machine(json!({})).await);
    site.revoke(&old).await;
    site.revoke(&new).await;
    let both = lists(&site).await;
    let named: Vec<_> = read(&both).into_iter().map(|list| list.named).collect();
    assert_eq!(
        named,
        [
            vec![(serial(&old.certificate), None)],
            vec![(serial(&new.certificate), None)]
        ]
    );
    for (machine, good) in [(&old, false), (&new, false), (&older, true), (&newer, true)] {
        assert_eq!(is_good(scratch.path(), &site, &both, machine), good);
    }
    // One of them alone, as programs fetch it.
    for (generation, pem) in [1, 2]
        .into_iter()
        .zip(CertificateRevocationListDer::pem_slice_iter(both.as_bytes()))
    {
        let (status, kind, body) = text(&site, &format!("{PATH}?authority={generation}")).await;
        assert_eq!((status, kind.as_str()), (200, "application/pkix-crl"));
        assert_eq!(body, pem.unwrap().as_ref());
    }
    for (query, status) in [
        ("?authority=3", 404),
        ("?authority=x", 400),
        ("?generation=1", 400),
    ] {
        assert_eq!(text(&site, &format!("{PATH}{query}")).await.0, status, "{query}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_made_again_long_before_it_is_over() {
    const HOUR_MS: i64 = 3_600_000;
    let folder = tempfile::tempdir().unwrap();
    let now = harness::now().as_millis();
    let mut before: Option<Read> = None;
    // A day and an hour ago, 23 hours later, and now.
    for (ago_ms, is_made_again) in [(25 * HOUR_MS, true), (2 * HOUR_MS, false), (0, true)] {
        let site = Guarded::start_at(options(folder.path()), Clock::simulated(now - ago_ms)).await;
        let list = read(&lists(&site).await).remove(0);
        if let Some(before) = before {
            assert_eq!(list.number > before.number, is_made_again, "{ago_ms}");
            assert_eq!(list.until > before.until, is_made_again, "{ago_ms}");
            assert_eq!(list.from > before.from, is_made_again, "{ago_ms}");
        }
        before = Some(list);
        site.stop().await;
    }
}
