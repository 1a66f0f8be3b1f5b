//! Links the plugin statically, where this machine has the archives of the C library.
//!
//! A runtime starts the plugin anew for each container and waits for it: to find and bind three libraries took two fifths of the time of a process that
//! only tells its version (1.4 ms; 0.85 without), and a plugin that needs none runs on any Linux it is copied to. The compiler's own switch,
//! `+crt-static`, would be for every program of the workspace, and the agent looks up names, for which the C library wants its shared parts. So the linker
//! finds, first of all, a folder of ours, in which each library it is asked for is a script that names the archives (ld(1), "Implicit Linker Scripts").
//! `-static-pie` keeps its addresses random.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

/// What Rust's standard library asks the linker for, by the names of the GNU C library and compiler.
const ASKED_FOR: [&str; 7] = ["c", "m", "rt", "pthread", "util", "dl", "gcc_s"];
/// Where that is.
const ARCHIVES: [&str; 4] = ["libc.a", "libm.a", "libgcc_eh.a", "libgcc.a"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_gnu = env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|libc| libc == "gnu");
    if !is_gnu || env::var("HOST") != env::var("TARGET") {
        return;
    }
    let archives: Option<Vec<String>> = ARCHIVES.into_iter().map(path).collect();
    let Some(archives) = archives else {
        println!(
            "cargo::warning=poplin-cni will need shared libraries: this machine lacks one of {}",
            ARCHIVES.join(", ")
        );
        return;
    };
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo names a folder"));
    let script = format!("GROUP ( {} )\n", archives.join(" "));
    for library in ASKED_FOR {
        fs::write(folder.join(format!("lib{library}.a")), &script).expect("that folder can be written to");
    }
    println!("cargo::rustc-link-arg-bins=-L{}", folder.display());
    println!("cargo::rustc-link-arg-bins=-static-pie");
}

/// The C compiler knows; of what it does not know it says the bare name.
fn path(archive: &str) -> Option<String> {
    let output = Command::new("cc").arg(format!("-print-file-name={archive}")).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    Some(said.trim().to_owned()).filter(|path| path.starts_with('/'))
}
