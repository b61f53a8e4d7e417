//! Mutated configuration files of the server.

#[path = "../../../../../fuzz/src/config.rs"]
#[allow(unreachable_pub, reason = "shared with the fuzz targets")]
mod law;

use muster_fleet::access::AccessMode;

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
        "messages_burst: ",
        "log:\n  format: json",
    ];
    let target = muster_mutate::Target::new("config_server")
        .text()
        .tokens(tokens)
        .one_in(4);
    target.check(|data| {
        law::config::<Settings>(data, |settings| {
            let options = settings.options();
            // What is not encrypted is for this computer alone.
            assert!(options.identity.is_some() || options.listen.ip().is_loopback());
            assert_eq!(options.identity.is_some(), options.access == AccessMode::SignIn);
            assert!(options.admin_listen.is_none_or(|admin| admin.ip().is_loopback()));
            assert!(options.shard.degraded_after_ms < options.shard.lost_after_ms);
            assert!(options.shard.limits.messages_burst >= options.shard.limits.messages_per_s);
        })
    });
}
