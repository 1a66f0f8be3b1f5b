//! Shows `poplin cni install` and `poplin netavark install`: files, whole or not at all, and what is said about them.

#![allow(clippy::unwrap_used, reason = "a helper of a test that cannot go on ends the test")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

#[test]
fn plugin_and_configuration_are_put_where_runtimes_look_and_twice_is_once() {
    let machine = Machine::new();

    let (first, second) = (machine.install(&["--label", "app=web"]), machine.install(&["--label", "app=web"]));

    let (plugin, conf) = (machine.path("bin/poplin-cni"), machine.path("net.d/10-poplin.conflist"));
    assert_eq!(first.1, format!("{} written\n{} written\n", plugin.display(), conf.display()));
    assert_eq!(second.1, format!("{} unchanged\n{} unchanged\n", plugin.display(), conf.display()));
    assert_eq!(std::fs::read_to_string(&plugin).unwrap(), "the plugin");
    assert_eq!(std::fs::metadata(&plugin).unwrap().permissions().mode() & 0o777, 0o755);
    let conf: serde_json::Value = serde_json::from_slice(&std::fs::read(conf).unwrap()).unwrap();
    assert_eq!((&conf["name"], &conf["cniVersion"]), (&"poplin".into(), &"1.0.0".into()));
    assert_eq!(conf["plugins"][0]["labels"]["app"], "web");
    assert_eq!(conf["plugins"][0]["capabilities"]["portMappings"], true);
    assert_eq!(machine.files("net.d").len() + machine.files("bin").len(), 2, "nothing else is left there");
}

#[test]
fn what_somebody_wrote_is_kept_beside() {
    let machine = Machine::new();
    machine.install(&[]);
    std::fs::write(machine.path("net.d/10-poplin.conflist"), "{}").unwrap();

    let (code, said, _) = machine.install(&[]);

    assert_eq!(code, 0);
    assert!(said.ends_with("10-poplin.conflist.before\n"), "{said}");
    assert_eq!(std::fs::read_to_string(machine.path("net.d/10-poplin.conflist.before")).unwrap(), "{}");
}

#[test]
fn a_name_that_another_file_has_or_that_leads_elsewhere_changes_nothing() {
    let machine = Machine::new();
    std::fs::create_dir_all(machine.path("net.d")).unwrap();
    std::fs::write(machine.path("net.d/87-other.conflist"), r#"{"name": "shop"}"#).unwrap();

    let (taken, _, told) = machine.install(&["--name", "shop"]);
    let (elsewhere, ..) = machine.install(&["--name", "../shop"]);

    assert_eq!((taken, elsewhere), (4, 2));
    assert!(told.contains("87-other.conflist has a network shop already"), "{told}");
    assert!(!machine.path("bin").exists());
}

#[test]
fn podman_finds_the_plugin_under_the_name_of_its_driver() {
    let machine = Machine::new();
    let install = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_poplin"));
        command.args(["netavark", "install", "--plugin-dir"]).arg(machine.path("drivers"));
        run(command.arg("--plugin").arg(machine.path("plugin")).args(more))
    };

    let (first, again, named) = (install(&[]), install(&[]), install(&["--driver", "fabric"]));

    let place = |name: &str| machine.path("drivers").join(name);
    assert_eq!((first.0, first.1), (0, format!("{} written\n", place("poplin").display())));
    assert_eq!((again.0, again.1), (0, format!("{} unchanged\n", place("poplin").display())));
    assert_eq!((named.0, std::fs::read_to_string(place("fabric")).unwrap()), (0, "the plugin".to_owned()));
    assert_eq!(std::fs::metadata(place("poplin")).unwrap().permissions().mode() & 0o777, 0o755);
    for (driver, told) in [("bridge", "one of podman's own"), ("../x", "is no name of a driver")] {
        let (code, _, said) = install(&["--driver", driver]);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(told), "{said}");
    }
    assert_eq!(machine.files("drivers").len(), 2, "nothing else is left there");
}

/// Directories of its own, gone when dropped.
struct Machine(PathBuf);

impl Machine {
    fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let serial = COUNTER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("poplin-install-{}-{serial}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("plugin"), "the plugin").unwrap();
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn files(&self, directory: &str) -> Vec<PathBuf> {
        std::fs::read_dir(self.path(directory)).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    /// Exit code, and what was said on both ways out.
    fn install(&self, more: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_poplin"));
        command.env_remove("POPLIN_SOCKET").args(["cni", "install"]).args(more);
        for (option, place) in [("--bin-dir", "bin"), ("--conf-dir", "net.d"), ("--plugin", "plugin")] {
            command.arg(option).arg(self.path(place));
        }
        run(&mut command)
    }
}

/// Exit code, and what was said on both ways out.
fn run(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |octets| String::from_utf8(octets).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
