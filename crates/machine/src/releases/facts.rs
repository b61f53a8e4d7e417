//! What of a manifest the decision about an update needs, and whether the machine is one it is for.

use muster_reflex::update::{Condition, Facts, HealthWanted, Test};
use muster_release::Manifest;
use muster_release::manifest::{self, Payload};

/// What a manifest says.
pub(crate) fn facts(manifest: &Manifest) -> Facts {
    let condition = |precondition: &manifest::Precondition| Condition {
        reading: precondition.reading.clone(),
        test: match &precondition.test {
            manifest::Test::AtLeast(least) => Test::AtLeast(*least),
            manifest::Test::AtMost(most) => Test::AtMost(*most),
            manifest::Test::In(words) => Test::In(words.clone()),
        },
    };
    Facts {
        conditions: manifest.preconditions.iter().map(condition).collect(),
        health: manifest.health.as_ref().map(|health| HealthWanted {
            hold_ms: health.hold_s * 1_000,
            within_ms: health.within_s * 1_000,
        }),
        has_before: !manifest.hooks.before.is_empty(),
        has_after: !manifest.hooks.after.is_empty(),
        is_started: matches!(manifest.payload, Payload::Executable(_)),
    }
}

/// Why a release is not for this machine.
pub(crate) fn against(manifest: &Manifest, kind: &str, architecture: &str) -> Option<String> {
    let fits = &manifest.fits;
    if !fits.kinds.is_empty() && !fits.kinds.iter().any(|accepted| accepted == kind) {
        return Some(format!(
            "it is for machines of kind {}, and this is one of kind {kind}",
            fits.kinds.join(" or ")
        ));
    }
    let accepted: Vec<_> = fits
        .architectures
        .iter()
        .map(|accepted| accepted.as_str())
        .collect();
    if !accepted.is_empty() && !accepted.contains(&architecture) {
        return Some(format!(
            "it is for processors {}, and this is one of {architecture}",
            accepted.join(" or ")
        ));
    }
    match manifest.payload {
        Payload::Agent(_) => Some("this version of Muster does not replace itself".to_owned()),
        Payload::Image(_) => {
            Some("an image of a container is changed by its workload, not installed".to_owned())
        }
        Payload::Executable(_) | Payload::Tree => None,
    }
}
