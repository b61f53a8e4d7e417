//! Mutated configuration files of the server.

#[path = "../../../../../fuzz/src/config.rs"]
#[allow(unreachable_pub, reason = "shared with the fuzz targets")]
mod law;

use muster_fleet::access::AccessMode;
use muster_runtime::config::Config;

use super::Settings;

#[test]
fn fuzz_no_file_breaks_the_configuration_and_what_is_shown_means_the_same() {
    let tokens = &[
        ": ",
        "\n  ",
        "- ",
        "&a ",
        "*a",
        "!!str ",
        "|\n",
        "#",
        "~",
        "0x10",
        "1e3",
        "listen: ",
        "127.0.0.1:0",
        "[::1]:1",
        "none",
        "0.0.0.0:7700",
        "access: trust-loopback",
        "machines_listen: ",
        "tls:\n  names: ",
        "identity:\n  ask_again_s: ",
        "machines:\n  ",
        "oidc:\n  issuer: https://a.b\n  client_id: c\n  grants: ",
        "a=admin; b=viewer:label.c=d",
        "messages_burst: ",
        "log:\n  format: json",
    ];
    let target = muster_mutate::Target::new("config_server")
        .text()
        .tokens(tokens)
        .one_in(4);
    target.check(|data| {
        law::config::<Settings>(data, |settings| {
            // A file with the provider's secret that is not there is told at the start.
            let Ok(options) = settings.options() else {
                return;
            };
            // What is not encrypted is for this computer alone.
            assert!(options.identity.is_some() || options.listen.ip().is_loopback());
            assert_eq!(options.identity.is_some(), options.access == AccessMode::SignIn);
            assert!(options.admin_listen.is_none_or(|admin| admin.ip().is_loopback()));
            assert!(options.shard.degraded_after_ms < options.shard.lost_after_ms);
            assert!(options.shard.limits.messages_burst >= options.shard.limits.messages_per_s);
        })
    });
}

#[test]
fn the_secret_of_the_provider_comes_from_where_it_is_set_and_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "top secret\n").unwrap();
    let load = |more: &[(&'static str, &str)]| {
        let mut flags = vec![
            ("oidc.issuer", "https://id.example".to_owned()),
            ("oidc.client_id", "muster".to_owned()),
            ("oidc.grants", "a=admin".to_owned()),
        ];
        flags.extend(more.iter().map(|(key, value)| (*key, (*value).to_owned())));
        Config::<Settings>::load(None, std::iter::empty(), flags)
    };
    let in_file = load(&[("oidc.client_secret_file", file.to_str().unwrap())]).unwrap();
    let direct = load(&[("oidc.client_secret", "top secret")]).unwrap();
    let (from_file, given) = (
        in_file.settings.options().unwrap(),
        direct.settings.options().unwrap(),
    );
    assert_eq!(from_file.provider, given.provider);
    assert_eq!(given.check(), Ok(()));
    for said in [
        direct.show_origins(),
        format!("{:?}", direct.settings),
        format!("{from_file:?}"),
    ] {
        assert!(!said.contains("top secret"), "{said}");
    }
    assert!(load(&[("oidc.client_secret", "a"), ("oidc.client_secret_file", "b")]).is_err());
    assert!(
        load(&[("listen", "0.0.0.0:7700")]).is_err(),
        "no address for the way back"
    );
    let away = load(&[("oidc.client_secret_file", "/nonexistent/secret")]).unwrap();
    assert_eq!(away.settings.options().unwrap_err().code(), "MST-F020");
}
