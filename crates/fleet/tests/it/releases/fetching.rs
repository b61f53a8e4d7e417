//! What machines get of releases. Everything that comes is decoded here by zstd itself, and compared with what was published.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use muster_release::Sha256Digest;
use serde_json::json;
use zstd::stream::raw::DParameter;

use super::{made, noise, publish};
use crate::harness::{Machine, Site, id, until};

/// An answer.
struct Got {
    status: u16,
    coding: String,
    tag: String,
    range: String,
    body: Vec<u8>,
}

/// What is asked for besides.
#[derive(Default)]
struct Ask<'a> {
    accept: Option<&'a str>,
    dictionary: Option<Sha256Digest>,
    range: Option<String>,
    if_range: Option<&'a str>,
}

async fn fetch(site: &Site, digest: Sha256Digest, ask: Ask<'_>) -> Got {
    let path = format!("/machine/{}/releases/blobs/{digest}", id(1));
    let mut request = site.request("GET", &path);
    if let Some(accept) = ask.accept {
        request = request.header("accept-encoding", accept);
    }
    if let Some(dictionary) = ask.dictionary {
        let offered = format!(":{}:", STANDARD.encode(dictionary.as_bytes()));
        request = request.header("available-dictionary", offered);
    }
    if let Some(range) = ask.range {
        request = request.header("range", range);
    }
    if let Some(tag) = ask.if_range {
        request = request.header("if-range", tag);
    }
    let response = request.send().await.unwrap();
    let header = |name: &str| {
        let value = response.headers().get(name);
        value.map_or(String::new(), |value| value.to_str().unwrap().to_owned())
    };
    let (status, coding, tag, range) = (
        response.status().as_u16(),
        header("content-encoding"),
        header("etag"),
        header("content-range"),
    );
    let length: usize = header("content-length").parse().unwrap();
    let body = response.bytes().await.unwrap().to_vec();
    assert_eq!(body.len(), length);
    Got {
        status,
        coding,
        tag,
        range,
        body,
    }
}

/// By another way than the server's: a patch is a skippable frame with the digest, and a frame with the file in front of it.
fn patched(body: &[u8], dictionary: &[u8]) -> Vec<u8> {
    assert_eq!(body[..8], [0x5e, 0x2a, 0x4d, 0x18, 0x20, 0, 0, 0]);
    assert_eq!(body[8..40], *Sha256Digest::of(dictionary).as_bytes());
    let mut decoder = zstd::stream::read::Decoder::with_ref_prefix(&body[40..], dictionary).unwrap();
    decoder.set_parameter(DParameter::WindowLogMax(27)).unwrap();
    let mut whole = Vec::new();
    decoder.read_to_end(&mut whole).unwrap();
    whole
}

/// Text that packs well.
fn text(lines: usize) -> Vec<u8> {
    let lines: Vec<String> = (0..lines)
        .map(|line| format!("{line}: the quick brown fox {}\n", line * line))
        .collect();
    lines.concat().into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_gets_the_shortest_form_that_it_can_read_and_goes_on_where_it_was() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let _machine = Machine::connect(site.address, &id(1), 0).await;
    let old = text(20_000);
    let mut new = old.clone();
    new.splice(5_000..5_010, b"something else".iter().copied());
    let random = noise(9, 50_000);
    publish(
        &site,
        &made("1.0.0", 1, &[("app", &old), ("random", &random), ("empty", b"")]),
    )
    .await;
    let release = made("1.1.0", 2, &[("app", &new), ("random", &random)]);
    publish(&site, &release).await;
    let (old_digest, digest) = (Sha256Digest::of(&old), Sha256Digest::of(&new));

    let plain = fetch(&site, digest, Ask::default()).await;
    assert_eq!((plain.status, plain.coding.as_str()), (200, ""));
    assert_eq!((plain.body, plain.tag), (new.clone(), format!("\"{digest}\"")));
    let whole = Ask {
        accept: Some("gzip, zstd;q=0.8"),
        ..Ask::default()
    };
    let whole = fetch(&site, digest, whole).await;
    assert_eq!((whole.status, whole.coding.as_str()), (200, "zstd"));
    assert_eq!(zstd::decode_all(whole.body.as_slice()).unwrap(), new);
    let patch = || Ask {
        accept: Some("zstd, dcz"),
        dictionary: Some(old_digest),
        ..Ask::default()
    };
    let dcz = fetch(&site, digest, patch()).await;
    assert_eq!((dcz.status, dcz.coding.as_str()), (200, "dcz"));
    assert_eq!(patched(&dcz.body, &old), new);
    assert!(
        dcz.body.len() * 20 < whole.body.len(),
        "{} of {}",
        dcz.body.len(),
        whole.body.len()
    );

    // What was cut off goes on in the coding in which it was, also if that is not the shortest.
    for begun in [&whole, &dcz] {
        let cut = begun.body.len() / 3;
        let rest = Ask {
            range: Some(format!("bytes={cut}-")),
            if_range: Some(&begun.tag),
            ..patch()
        };
        let rest = fetch(&site, digest, rest).await;
        assert_eq!(
            (rest.status, &rest.coding, &rest.tag),
            (206, &begun.coding, &begun.tag)
        );
        let (last, all) = (begun.body.len() - 1, begun.body.len());
        assert_eq!(rest.range, format!("bytes {cut}-{last}/{all}"));
        assert_eq!([&begun.body[..cut], &rest.body].concat(), begun.body);
    }
    // What was begun as something else begins anew; what is beyond the end is nothing.
    let anew = Ask {
        range: Some("bytes=10-".to_owned()),
        if_range: Some("\"another\""),
        ..patch()
    };
    let anew = fetch(&site, digest, anew).await;
    assert_eq!((anew.status, anew.body), (200, dcz.body.clone()));
    let path = format!("/machine/{}/releases/blobs/{digest}", id(1));
    let beyond = site.request("GET", &path).header("range", "bytes=99999999-");
    let beyond = beyond.send().await.unwrap();
    assert_eq!(beyond.status(), 416);
    assert_eq!(
        beyond.headers()["content-range"].to_str().unwrap(),
        format!("bytes */{}", new.len())
    );

    // No dictionary of ours, one that is not offered as readable, and what does not become shorter.
    for (digest, ask, coding) in [
        (
            digest,
            Ask {
                dictionary: Some(Sha256Digest::of(b"unknown")),
                ..patch()
            },
            "zstd",
        ),
        (
            digest,
            Ask {
                accept: Some("zstd"),
                ..patch()
            },
            "zstd",
        ),
        (
            digest,
            Ask {
                accept: Some("zstd;q=0, dcz"),
                dictionary: None,
                ..Ask::default()
            },
            "",
        ),
        (
            Sha256Digest::of(&random),
            Ask {
                accept: Some("zstd"),
                ..Ask::default()
            },
            "",
        ),
        (Sha256Digest::of(b""), patch(), ""),
    ] {
        let got = fetch(&site, digest, ask).await;
        assert_eq!((got.status, got.coding.as_str()), (200, coding));
    }
    // Manifests by their digest, and no contents under that kind.
    let manifest = format!("/machine/{}/releases/manifests/{}", id(1), release.digest());
    let got = site.request("GET", &manifest).send().await.unwrap();
    assert_eq!(got.bytes().await.unwrap(), release.bytes);
    for path in [
        format!("manifests/{digest}"),
        format!("blobs/{}", Sha256Digest::of(b"unknown")),
        "blobs/..%2f..%2flock".to_owned(),
        "blobs/%ff%fe".to_owned(),
        format!("others/{digest}"),
    ] {
        let (status, said) = site.ask(&format!("/machine/{}/releases/{path}", id(1))).await;
        assert_eq!(
            (status, &said["code"]),
            (404, &json!("MST-A107")),
            "{path}: {said}"
        );
    }
    let (status, said) = site
        .ask(&format!("/machine/{}/releases/blobs/{digest}", id(77)))
        .await;
    assert_eq!((status, &said["code"]), (404, &json!("MST-A004")), "{said}");

    // Each form was made once, and is there after a restart.
    let metrics = site.metrics().await;
    assert!(
        metrics.contains("muster_release_bytes_served_total{coding=\"dcz\"}"),
        "{metrics}"
    );
    site.stop().await.unwrap();
    let made_before = std::fs::read_dir(data.path().join("encoded")).unwrap().count();
    let site = Site::start(data.path()).await;
    let again = fetch(&site, digest, patch()).await;
    assert_eq!((again.tag, again.body), (dcz.tag, dcz.body));
    let made_now = std::fs::read_dir(data.path().join("encoded")).unwrap().count();
    assert_eq!(made_now, made_before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_too_much_room_is_made_again() {
    let data = tempfile::tempdir().unwrap();
    let mut options = crate::harness::options(data.path());
    options.encoded_max_bytes = 1;
    let site = Site::start_with(options).await;
    let _machine = Machine::connect(site.address, &id(1), 0).await;
    let contents = [text(3_000), text(3_001), text(3_002)];
    let files: Vec<(&str, &[u8])> = ["a", "b", "c"]
        .into_iter()
        .zip(contents.iter().map(Vec::as_slice))
        .collect();
    publish(&site, &made("1.0.0", 1, &files)).await;
    for content in contents.iter().chain(&contents) {
        let ask = Ask {
            accept: Some("zstd"),
            ..Ask::default()
        };
        let got = fetch(&site, Sha256Digest::of(content), ask).await;
        assert_eq!(zstd::decode_all(got.body.as_slice()).unwrap(), *content);
    }
    let kept = std::fs::read_dir(data.path().join("encoded")).unwrap().count();
    assert_eq!(kept, 1, "the last one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_update_takes_is_told_from_every_other_version() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let _machine = Machine::connect(site.address, &id(1), 0).await;
    let old = text(20_000);
    let mut new = old.clone();
    new.splice(5_000..5_010, b"something else".iter().copied());
    let (same, random) = (noise(1, 40_000), noise(2, 30_000));
    publish(&site, &made("1.0.0", 1, &[("app", &old), ("same", &same)])).await;
    publish(&site, &made("1.1.0", 2, &[("moved", &same), ("app", &old)])).await;
    let release = made("2.0.0", 3, &[("app", &new), ("same", &same), ("random", &random)]);
    publish(&site, &release).await;
    let path = format!("{}/deltas", release.path());
    let deltas = until("all is known", || async {
        let deltas = site.get(&path).await;
        let known = deltas["full_bytes"].is_u64()
            && deltas["items"]
                .as_array()
                .unwrap()
                .iter()
                .all(|item| item["bytes"].is_u64());
        known.then_some(deltas)
    })
    .await;
    let full = deltas["full_bytes"].as_u64().unwrap();
    assert!(
        full > 70_000 && full < deltas["content_bytes"].as_u64().unwrap(),
        "{deltas}"
    );
    let items = deltas["items"].as_array().unwrap();
    assert_eq!(
        items.iter().map(|item| item["from"].clone()).collect::<Vec<_>>(),
        ["1.1.0", "1.0.0"]
    );
    let patch = Ask {
        accept: Some("zstd, dcz"),
        dictionary: Some(Sha256Digest::of(&old)),
        ..Ask::default()
    };
    let patch = fetch(&site, Sha256Digest::of(&new), patch).await.body.len() as u64;
    for item in items {
        // What is there under another path does not come; noise comes as it is.
        assert_eq!(
            (&item["shared"], &item["contents"]),
            (&json!(1), &json!(2)),
            "{deltas}"
        );
        assert_eq!(item["bytes"], patch + 30_000, "{deltas}");
    }
    let (status, said) = site.ask("/api/v1/releases/car-app/3.0.0/deltas").await;
    assert_eq!((status, &said["code"]), (404, &json!("MST-A100")), "{said}");
}

/// Builds a small program of the standard library; what is said differs.
fn build(folder: &Path, name: &str, words: &str) -> PathBuf {
    let source = folder.join(format!("{name}.rs"));
    let program = format!(
        r#"
use std::collections::BTreeMap;
use std::io::Read;
fn tell(counts: &BTreeMap<String, usize>) -> String {{
    counts.iter().map(|(word, count)| format!("{{word}}: {{count}}\n")).collect()
}}
fn main() {{
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    let mut counts = BTreeMap::new();
    for word in text.split_whitespace() {{
        *counts.entry(word.to_owned()).or_insert(0usize) += 1;
    }}
    {words}
    print!("{{}}", tell(&counts));
}}
"#
    );
    std::fs::write(&source, program).unwrap();
    let built = folder.join("app");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let status = Command::new(rustc)
        .args(["--edition=2024", "-O", "-o"])
        .arg(&built)
        .arg(&source)
        .status()
        .unwrap();
    assert!(status.success());
    let kept = folder.join(name);
    std::fs::rename(&built, &kept).unwrap();
    kept
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuilt_program_comes_as_a_patch_of_a_small_part_of_it() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::start(data.path()).await;
    let _machine = Machine::connect(site.address, &id(1), 0).await;
    let builds = tempfile::tempdir().unwrap();
    let old = std::fs::read(build(builds.path(), "old", "")).unwrap();
    let changed = r#"counts.retain(|word, count| *count > 1 || word.len() > 3);
    let longest = counts.keys().map(String::len).max().unwrap_or(0);
    println!("{longest} of {:?}", counts.values().max());"#;
    let new = std::fs::read(build(builds.path(), "new", changed)).unwrap();
    assert_ne!(old, new);
    publish(&site, &made("1.0.0", 1, &[("app", &old)])).await;
    publish(&site, &made("1.0.1", 2, &[("app", &new)])).await;
    let ask = |dictionary| Ask {
        accept: Some("zstd, dcz"),
        dictionary,
        ..Ask::default()
    };
    let whole = fetch(&site, Sha256Digest::of(&new), ask(None)).await;
    let patch = fetch(&site, Sha256Digest::of(&new), ask(Some(Sha256Digest::of(&old)))).await;
    assert_eq!((whole.coding.as_str(), patch.coding.as_str()), ("zstd", "dcz"));
    assert_eq!(patched(&patch.body, &old), new);
    let (of_file, of_whole) = (
        patch.body.len() * 1_000 / new.len(),
        patch.body.len() * 1_000 / whole.body.len(),
    );
    println!(
        "figure a rebuilt program: {} bytes, zstd {}, patch {}: {of_file} per mille of the file, {of_whole} of zstd",
        new.len(),
        whole.body.len(),
        patch.body.len()
    );
    assert!(
        of_whole <= 160,
        "{of_whole} per mille of what comes without a patch"
    );
}
