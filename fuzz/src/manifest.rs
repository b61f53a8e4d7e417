//! Manifests of releases, as machines read them.

use muster_release::manifest::{
    ENTRIES_MAX, FILE_MAX_BYTES, Manifest, PATH_MAX_BYTES, RELEASE_MAX_BYTES, What,
};

/// What is accepted stays inside, is within its limits, and is exactly what is written again.
pub fn manifest(data: &[u8]) -> bool {
    match Manifest::decode(data) {
        Ok(manifest) => {
            assert_eq!(manifest.encode().expect("what was read can be written"), data);
            holds(&manifest);
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty() && error.code().starts_with("MST-U00"));
            false
        }
    }
}

/// What must be so of any manifest that somebody is about to write to a disk, asked without the code that checks it.
pub fn holds(manifest: &Manifest) {
    assert!(manifest.entries.len() <= ENTRIES_MAX);
    let mut last = "";
    for entry in &manifest.entries {
        let path = entry.path.as_str();
        assert!(last < path, "{last:?} before {path:?}");
        assert!(path.len() <= PATH_MAX_BYTES && !path.contains('\0'));
        assert!(
            path.split('/').all(|name| !matches!(name, "" | "." | "..")),
            "{path:?}"
        );
        for (at, _) in path.match_indices('/') {
            let parent = manifest.entries.iter().find(|entry| entry.path == path[..at]);
            assert!(
                parent.is_some_and(|parent| parent.what == What::Directory),
                "{path:?}"
            );
        }
        match &entry.what {
            What::Directory => {}
            What::File(file) => assert!(file.length <= FILE_MAX_BYTES),
            What::Link(link) => {
                // At no point of the way more steps up than down, where no other link is in between.
                assert!(!link.to.starts_with('/'), "{:?}", link.to);
                let mut depth = path.matches('/').count() as i64;
                for name in link.to.split('/') {
                    depth += match name {
                        "" | "." => 0,
                        ".." => -1,
                        _ => 1,
                    };
                    let others = manifest
                        .entries
                        .iter()
                        .filter(|entry| matches!(entry.what, What::Link(_)));
                    assert!(
                        depth >= 0 || others.count() > 1,
                        "{path:?} leads to {:?}",
                        link.to
                    );
                }
            }
        }
        last = path;
    }
    assert!(manifest.bytes() <= RELEASE_MAX_BYTES);
    assert!((1..1 << 53).contains(&manifest.counter));
    assert!(!manifest.product.contains('/') && !manifest.product.starts_with('.'));
}
