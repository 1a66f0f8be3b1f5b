//! A root file system that holds nothing but this machine's static busybox, under some of its names.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::run;

/// Fills a directory.
pub(crate) fn fill(root: &Path) {
    for place in ["bin", "etc", "proc", "sys", "dev", "tmp"] {
        std::fs::create_dir_all(root.join(place)).expect("the directory is there");
    }
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
    for name in ["sh", "sleep", "ip", "ping", "nc", "cat"] {
        let _ = std::os::unix::fs::symlink("busybox", root.join("bin").join(name));
    }
}

/// Makes an image of it, of one layer, as `docker save` writes one. Its command sleeps. Returns where it is.
pub(crate) fn image(directory: &Path, name: &str) -> PathBuf {
    let (root, parts) = (directory.join("image"), directory.join("image.parts"));
    fill(&root);
    std::fs::create_dir_all(&parts).expect("the lab has a directory");
    let layer = parts.join("layer.tar");
    pack(&root, &layer, &["."]);
    let digest = run("sha256sum", &[&layer.display().to_string()]);
    let digest = format!("sha256:{}", digest.split(' ').next().unwrap_or_default());
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/sleep", "100000"]},
        "rootfs": {"type": "layers", "diff_ids": [digest]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]);
    for (file, content) in [("config.json", config), ("manifest.json", manifest)] {
        std::fs::write(parts.join(file), content.to_string()).expect("the lab has a directory");
    }
    let image = directory.join("image.tar");
    pack(&parts, &image, &["manifest.json", "config.json", "layer.tar"]);
    image
}

fn pack(from: &Path, archive: &Path, names: &[&str]) {
    let (from, archive) = (from.display().to_string(), archive.display().to_string());
    run("tar", &[&["-C", &from, "-cf", &archive][..], names].concat());
}
