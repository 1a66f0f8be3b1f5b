//! How the agent is linked: smaller where the linker at hand can make it so.
//!
//! An idle agent's memory is mostly pages of its program, so what is not in it takes none. Without either flag it is the same program, only larger.

use std::env;
use std::path::Path;
use std::process::Command;

/// From this one on glibc moves a program by tables of a fiftieth of the size (its NEWS for 2.36, DT_RELR); a program that has such is refused by
/// an earlier one.
const PACKED_SINCE: (u32, u32) = (2, 36);

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    if of_target("OS") != "linux" || of_target("ENV") != "gnu" {
        return;
    }
    if env::var("HOST") == env::var("TARGET") && glibc().is_some_and(|version| version >= PACKED_SINCE) {
        link_by("-Wl,-z,pack-relative-relocs"); // a linker that does not know it says so, and goes on
    }
    if links_by_lld() {
        link_by("-Wl,--icf=all"); // what is the same stands there once, in a backtrace under one of its names; nobody here compares addresses of functions
    }
}

fn link_by(flag: &str) {
    println!("cargo::rustc-link-arg-bin=poplind={flag}");
}

fn of_target(what: &str) -> String {
    env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default()
}

/// The C library that is linked against, if it tells.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Whether the compiler brings the linker along that it uses unless it is told otherwise: others end at a flag they do not know.
fn links_by_lld() -> bool {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let is_told = env::var_os("RUSTC_LINKER").is_some() || ["link", "fuse-ld"].iter().any(|word| flags.contains(word));
    !is_told && sysroot().is_some_and(|root| brings_lld(Path::new(&root)))
}

/// Of the targets that have such a linker, this one uses it by itself (release notes of Rust 1.90).
fn brings_lld(root: &Path) -> bool {
    let target = env::var("TARGET").unwrap_or_default();
    target == "x86_64-unknown-linux-gnu" && root.join("lib/rustlib").join(target).join("bin/gcc-ld/ld.lld").exists()
}

fn sysroot() -> Option<String> {
    let output = Command::new(env::var_os("RUSTC")?).args(["--print", "sysroot"]).output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
