//! Stories of a real containerd.

use poplin_lab::{Agent, Containerd, Fabric, eventually, told, until};

#[test]
fn a_container_of_containerd_is_one_of_the_fabric_for_as_long_as_it_runs() {
    let fabric = Fabric::meshed(2);
    let far = fabric.container(2, "far");
    let containerd = Containerd::start(&fabric.lab, &fabric.hosts[0], &["--label", "app=web"]);

    let mut running = containerd.run("web");

    let ping = || containerd.exec("web", &["/bin/ping", "-c1", "-W1", &far.v4().to_string()]);
    eventually("it runs", || if attached(&fabric.hosts[0]) == 1 { Ok(()) } else { Err(running.said()) });
    eventually("it talks to one on another host", || match ping() {
        output if output.status.success() => Ok(()),
        output => Err(told(&output)),
    });
    fabric.hosts[0].apply(FAR_FOR_NOBODY);
    until("it is governed by its label", || !ping().status.success());

    containerd.stop("web");
    until("its `ctr` has cleared up", || !running.is_running());
    assert_eq!((attached(&fabric.hosts[0]), fabric.hosts[0].links()), (0, vec![]));
}

const FAR_FOR_NOBODY: &str = "
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: web}
spec:
  subject: app == 'web'
  egress: [{action: deny}]
";

/// How many endpoints that host has of containerd's.
fn attached(host: &Agent) -> usize {
    host.poplin(&["get", "endpoints", "-l", "app == 'web'", "-o", "name"]).lines().count()
}
