//! A containerd that is killed, at the worst moment too, and one that lost all it knew.

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use poplin_lab::{Containerd, Pings, Pod, run, until};

use super::{Scene, shown};

#[test]
fn pods_outlive_a_containerd_that_is_killed_and_it_ends_them_when_it_is_back() {
    let mut scene = Scene::new(1);
    let web = scene.start(0, &Pod::new("shop", "web-0"));
    let addresses = web.addresses(&scene);
    let far = scene.fabric.container(2, "far");
    let to: IpAddr = addresses[0].parse().expect("it is an address");
    until("it is reached", || far.reaches(to));
    let mut pings = Pings::start(scene.fabric.lab.directory(), &far, to, 500);

    scene.runtimes[0].0.kill();
    assert_eq!(scene.addresses("web-0.shop"), addresses);
    scene.runtimes[0].0.restart();

    until("its containerd knows it again", || scene.cri(0).standing(&web.id).is_ok_and(|standing| standing.is_ready));
    assert_eq!(web.addresses(&scene), addresses);
    until("it is entered again", || web.pings(&scene, &far.v4().to_string()));
    until("the pings are sent", || !pings.are_running());
    assert_eq!(pings.lost(), 0);
    scene.host(1).cni_delete(&far);
    scene.cri(0).stop(&web.id).expect("it is stopped");
    assert_eq!((scene.addresses("web-0.shop"), scene.host(0).links()), (vec![], vec![]));
}

#[test]
fn a_pod_that_containerd_was_killed_over_is_stopped_like_any_other() {
    let mut scene = Scene::new(1);
    let kept = scene.start(0, &Pod::new("shop", "web-0"));
    std::thread::scope(|scope| {
        let gate = Gate::at(&scene.runtimes[0].0);
        let half = scope.spawn(|| scene.cri(0).run(&Pod::new("shop", "half-0")));
        until("its network stands", || gate.is_reached());
        scene.runtimes[0].0.strike();
        half.join().expect("the call ends").expect_err("nobody answers");
    });
    scene.runtimes[0].0.kill();
    assert_eq!(scene.names(), ["endpoint/half-0.shop", "endpoint/web-0.shop"]);

    scene.runtimes[0].0.restart();
    let half = scene.cri(0).list().expect("it answers").into_iter().find(|id| *id != kept.id).expect("it is known");
    assert!(!scene.cri(0).standing(&half).expect("it is known").is_ready);
    scene.cri(0).stop(&half).expect("it is stopped");

    assert_eq!((scene.names(), scene.host(0).links().len()), (vec!["endpoint/web-0.shop".to_owned()], 1));
    assert_eq!(scene.addresses("web-0.shop"), kept.addresses(&scene));
}

#[test]
fn what_containerd_lost_with_all_it_knew_gc_gives_back() {
    let mut scene = Scene::new(1);
    let lost = scene.start(0, &Pod::new("shop", "lost-0"));
    let netns = scene.cri(0).standing(&lost.id).expect("it stands").netns;
    scene.runtimes[0].0.forget();
    let kept = scene.start(0, &Pod::new("shop", "web-0"));

    let known = scene.cri(0).list().expect("it answers");
    assert_eq!(known, std::slice::from_ref(&kept.id));
    let answer = collect_as_the_readme_shows(&scene, &known);

    assert!(answer.status.success(), "{answer:?}");
    assert_eq!((scene.names(), scene.host(0).links().len()), (vec!["endpoint/web-0.shop".to_owned()], 1));
    assert_eq!(scene.addresses("web-0.shop"), kept.addresses(&scene));
    end_all_in(&netns);
}

/// Runs the README's lines, with these for what `crictl` says, and with the agent where it is.
fn collect_as_the_readme_shows(scene: &Scene, known: &[String]) -> Output {
    let script = format!("ids={}", shown("```\nids="));
    let plugin = scene.runtimes[0].0.place("bin/poplin-cni").display().to_string();
    let socket = format!("{{\\\"socket\\\": \\\"{}\\\", ", scene.host(0).socket().display());
    let replaced = [
        ("$(crictl pods -q)", &*format!("'{}'", known.join("\n"))),
        ("/opt/cni/bin/poplin-cni", &plugin),
        ("{\\\"cniVersion", &format!("{socket}\\\"cniVersion")),
    ];
    let script = replaced.iter().fold(script, |script, (shown, here)| {
        assert!(script.contains(shown), "the README's GC has no {shown}");
        script.replace(shown, here)
    });
    let mut command = scene.host(0).namespace().command("sh");
    command.args(["-ec", &script]).output().expect("sh runs")
}

/// Where the plugin waits, all of its work done, before it tells its runtime so. Dropping it lets it go on.
struct Gate {
    shut: PathBuf,
}

impl Gate {
    fn at(containerd: &Containerd) -> Self {
        let (plugin, shut) = (containerd.place("bin/poplin-cni"), containerd.place("shut"));
        let (real, reached) = (plugin.with_extension("real"), shut.with_extension("reached"));
        std::fs::rename(&plugin, &real).expect("the plugin is installed");
        std::fs::write(&shut, "").expect("the lab has a directory");
        let (real, reached, gate) = (real.display(), reached.display(), shut.display());
        let script = format!(
            "#!/bin/sh\n{real}\ncode=$?\n[ $CNI_COMMAND = ADD ] && : > {reached} && while [ -e {gate} ]; do sleep 0.05; done\nexit $code\n"
        );
        std::fs::write(&plugin, script).expect("the lab has a directory");
        std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
        Self { shut }
    }

    fn is_reached(&self) -> bool {
        self.shut.with_extension("reached").exists()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.shut);
    }
}

/// Ends what runs in a namespace that no runtime knows any more, and the namespace.
fn end_all_in(netns: &Path) {
    let name = netns.file_name().and_then(|name| name.to_str()).expect("it has a name");
    for pid in run("ip", &["netns", "pids", name]).lines() {
        run("kill", &["-9", pid]);
    }
    run("ip", &["netns", "delete", name]);
}
