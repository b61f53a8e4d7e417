//! Releases, from outside: how they come here, what is refused, and what machines get of them.

mod fetching;
mod publishing;

use std::collections::BTreeMap;

use muster_release::manifest::{Entry, FORMAT, FileContent, Fits, Hooks, Manifest, Payload, What};
use muster_release::{Sha256Digest, manifest::Health, manifest::HealthCheck};
use serde_json::Value;

use crate::harness::{Site, answer};

/// A release with its contents.
pub struct Made {
    pub manifest: Manifest,
    pub bytes: Vec<u8>,
    pub contents: BTreeMap<Sha256Digest, Vec<u8>>,
}

/// A release of these files.
pub fn made(version: &str, counter: u64, files: &[(&str, &[u8])]) -> Made {
    let mut entries: Vec<Entry> = files
        .iter()
        .map(|(path, bytes)| Entry {
            path: (*path).to_owned(),
            what: What::File(FileContent {
                executable: false,
                length: bytes.len() as u64,
                sha256: Sha256Digest::of(bytes),
            }),
        })
        .collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let manifest = Manifest {
        counter,
        entries,
        fits: Fits {
            kinds: vec!["car".to_owned()],
            ..Fits::default()
        },
        format: FORMAT,
        health: Some(Health {
            checks: vec![HealthCheck::Port(8080)],
            hold_s: 10,
            within_s: 60,
        }),
        hooks: Hooks::default(),
        payload: Payload::Tree,
        preconditions: Vec::new(),
        product: "car-app".to_owned(),
        version: version.parse().unwrap(),
    };
    Made {
        bytes: manifest.encode().unwrap(),
        manifest,
        contents: files
            .iter()
            .map(|(_, bytes)| (Sha256Digest::of(bytes), bytes.to_vec()))
            .collect(),
    }
}

impl Made {
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(&self.bytes)
    }

    pub fn path(&self) -> String {
        format!("/api/v1/releases/car-app/{}", self.manifest.version)
    }
}

pub async fn put_content(site: &Site, content: &[u8]) -> (u16, Value) {
    put_as(site, Sha256Digest::of(content), content).await
}

pub async fn put_as(site: &Site, digest: Sha256Digest, content: &[u8]) -> (u16, Value) {
    let path = format!("/api/v1/releases/blobs/{digest}");
    answer(site.request("PUT", &path).body(content.to_vec())).await
}

pub async fn put_manifest(site: &Site, made: &Made) -> (u16, Value) {
    answer(site.request("PUT", &made.path()).body(made.bytes.clone())).await
}

/// With all its contents.
pub async fn publish(site: &Site, made: &Made) {
    for content in made.contents.values() {
        let (status, said) = put_content(site, content).await;
        assert!(matches!(status, 200 | 201), "{status} {said}");
    }
    let (status, said) = put_manifest(site, made).await;
    assert_eq!(status, 201, "{said}");
}

/// Bytes that look like none before, always the same for the same seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}
