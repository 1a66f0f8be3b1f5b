//! Shows that the plugin needs nothing of the host but its kernel: it is copied there, beside whatever C library. Needs root, for chroot(2).

#![allow(clippy::unwrap_used, reason = "a helper of a test that cannot go on ends the test")]

use std::fs;
use std::process::Command;

#[test]
fn in_a_root_with_nothing_but_itself_it_answers() {
    if !fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        eprintln!("skipped: changing the root needs root");
        return;
    }
    let root = std::env::temp_dir().join(format!("poplin-cni-alone-{}", std::process::id()));
    fs::create_dir(&root).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_poplin-cni"), root.join("poplin-cni")).unwrap();

    let ran = Command::new("chroot").arg(&root).arg("/poplin-cni").env("CNI_COMMAND", "VERSION").output();

    fs::remove_dir_all(&root).unwrap();
    let ran = ran.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap_or_default();
    assert!(answer["supportedVersions"].is_array(), "{ran:?}");
}
