//! The fuzz target of this crate on a stable compiler: the committed corpus, and mutations of it from a seed.

use muster_mutate::Target;

#[path = "../../../../fuzz/src/metal.rs"]
#[allow(unreachable_pub, reason = "shared with the fuzz targets")]
mod metal;

#[test]
fn fuzz_no_bytes_in_files_of_the_kernel_break_what_reads_them() {
    let tokens = &[
        " kB",
        ":",
        "\t",
        "cpu",
        "MemAvailable: ",
        "-",
        "btime ",
        "Discharging",
        "0-",
        "\u{0}",
    ];
    Target::new("metal").tokens(tokens).one_in(8).check(metal::metal);
}
