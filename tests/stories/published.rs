//! Published ports: a port of a host leads to one of a container, for whoever dials it, from wherever.

use std::net::IpAddr;
use std::process::Output;

use poplin_agent::kernel::Conntrack;
use poplin_lab::{Agent, Container, Fabric, Flow, Lab, Talk, Witness, both, told, until};
use serde_json::json;

#[test]
fn a_machine_outside_reaches_the_container_and_is_seen_as_itself() {
    let Scene { fabric, web, outside } = Scene::publishing(&["8080:80", "53:53/udp"]);
    let witness = Witness::on(web.namespace(), 80);
    let sees = |client: &Container, to| witness.sees(client.namespace(), to, 8080);

    until("web sees the machine, by both families", || HOST.map(|host| sees(&outside, host)) == OUTSIDE.map(Some));
    let elsewhere = fabric.container(2, "elsewhere");
    until("and a container of another host", || sees(&elsewhere, HOST[0]) == Some(elsewhere.v4()));
    until("by the other family, too", || sees(&elsewhere, HOST[1]) == Some(elsewhere.v6()));
    Talk::datagrams(&outside, &web, HOST[0], 53).goes_on();
    assert_eq!(witness.sees(outside.namespace(), HOST[0], 8081), None, "other ports are the host's own");
}

#[test]
fn policy_decides_by_the_containers_own_port_and_the_clients_own_address() {
    let Scene { fabric, web, outside } = Scene::publishing(&["8080:80"]);
    let elsewhere = fabric.container(2, "elsewhere");
    let _port = web.listen(80);
    let reaches = |client: &Container| HOST.map(|host| client.connects(host, 8080));
    until("all reach it", || reaches(&outside) == [true; 2] && reaches(&elsewhere) == [true; 2]);

    fabric.hosts[0].apply(&web_for("from: {nets: [192.0.2.0/24, '2001:db8::/64']}, ports: [tcp/80]"));
    until("the other one does not", || reaches(&elsewhere) == [false; 2]);
    assert_eq!(reaches(&outside), [true; 2]);
    fabric.hosts[0].apply(&web_for("from: {select: app == 'elsewhere'}, ports: [tcp/80]"));
    until("the machine does not", || reaches(&outside) == [false; 2]);
    assert_eq!(reaches(&elsewhere), [true; 2]);
    fabric.hosts[0].apply(&web_for("ports: [tcp/8080]"));
    until("nobody does: the host's port is not web's", || reaches(&elsewhere) == [false; 2]);
}

#[test]
fn containers_of_the_same_host_reach_it_and_so_does_the_container_itself() {
    let Scene { fabric, web, .. } = Scene::publishing(&["8080:80"]);
    let neighbour = fabric.container(1, "neighbour");
    let witness = Witness::on(web.namespace(), 80);
    let sees = |client: &Container, to| witness.sees(client.namespace(), to, 8080);

    until("the neighbour is seen as itself", || sees(&neighbour, HOST[0]) == Some(neighbour.v4()));
    assert_eq!(sees(&neighbour, HOST[1]), Some(neighbour.v6()));
    assert_eq!(HOST.map(|host| sees(&web, host)), HOST.map(Some), "web sees its host in its own place");

    fabric.hosts[0].apply(&web_for("from: {nets: [192.0.2.0/24]}"));
    until("the neighbour is not let in", || sees(&neighbour, HOST[0]).is_none());
    assert_eq!(HOST.map(|host| sees(&web, host)), HOST.map(Some), "nobody is asked about one and the same");
}

#[test]
fn the_host_itself_reaches_it_by_localhost_and_by_its_addresses() {
    let Scene { fabric, web, .. } = Scene::publishing(&["8080:80", "127.0.0.1:9090:90"]);
    let host = fabric.hosts[0].namespace();
    let [open, local] = [80, 90].map(|port| Witness::on(web.namespace(), port));
    let sees = |address: &str| open.sees(host, address.parse().unwrap(), 8080);

    assert_eq!(sees("127.0.0.1"), Some(HOST[0]));
    assert_eq!(HOST.map(|address| open.sees(host, address, 8080)), HOST.map(Some));
    assert_eq!(sees("::1"), None, "no packet of ::1 leaves a host");
    assert_eq!(local.sees(host, "127.0.0.1".parse().unwrap(), 9090), Some(HOST[0]));
    assert_eq!(local.sees(host, HOST[0], 9090), None, "that one is for localhost alone");
    assert_eq!(local.sees(fabric.tor.namespace(), HOST[0], 9090), None);
}

#[test]
fn a_container_that_publishes_reaches_nothing_that_listens_on_its_hosts_loopback() {
    let Scene { fabric, web, .. } = Scene::publishing(&["8080:80"]);
    let (host, inside) = (&fabric.hosts[0], web.namespace());
    host.apply("{apiVersion: poplin.dev/v1, kind: FabricConfig, metadata: {name: default}, spec: {mesh: false, workloadToHost: accept}}");
    let _everywhere = host.namespace().listen(7000);
    until("it may open the host's ports", || web.connects(HOST[0], 7000));

    inside.run("sysctl", &["-qw", "net.ipv4.conf.eth0.route_localnet=1"]);
    inside.run("ip", &["route", "del", "local", "127.0.0.0/8", "dev", "lo", "table", "local"]);
    inside.run("ip", &["route", "del", "local", "127.0.0.1", "dev", "lo", "table", "local"]);
    inside.run(
        "ip",
        &["route", "add", "127.0.0.1", "via", "169.254.1.1", "dev", "eth0", "onlink", "src", &web.v4().to_string()],
    );

    assert!(!web.connects("127.0.0.1".parse().unwrap(), 7000), "the host's loopback is not for containers");
    until("and it is told", || host.poplin(&["drops"]).contains("127.0.0.1"));
}

#[test]
fn flows_and_ports_outlive_the_agent() {
    let Scene { mut fabric, web, outside } = Scene::publishing(&["8080:80", "8081:81"]);
    let flow = {
        let witness = Witness::on(web.namespace(), 81);
        until("web answers", || witness.sees(outside.namespace(), HOST[0], 8081).is_some());
        drop(witness);
        Flow::by(&outside, &web, (HOST[0], 8080), 80)
    };

    fabric.hosts[0].kill();
    flow.goes_on();
    let witness = Witness::on(web.namespace(), 81);
    assert_eq!(witness.sees(outside.namespace(), HOST[0], 8081), Some(OUTSIDE[0]));
    fabric.hosts[0].start();
    fabric.hosts[0].until_established(1);

    flow.goes_on();
    until("by the other family, too", || witness.sees(outside.namespace(), HOST[1], 8081) == Some(OUTSIDE[1]));
    assert_eq!(witness.sees(fabric.hosts[0].namespace(), "127.0.0.1".parse().unwrap(), 8081), Some(HOST[0]));
    flow.end().expect("the TCP flow never breaks");
}

#[test]
fn datagrams_that_came_before_the_port_was_published_find_it() {
    let fabric = Fabric::under_a_tor(2);
    let (outside, mut web) =
        (fabric.machine("outside", OUTSIDE, ["172.31.0.0/16", "fd31::/16"]), fabric.lab.container("web"));
    let talk = Talk::datagrams(&outside, &web, HOST[0], 53);
    let host = &fabric.hosts[0];
    until("the host has their flow", || has_flow(host, HOST[0], OUTSIDE[0]));

    host.attach_with(&mut web, &["-p", "53:53/udp"]);

    talk.goes_on();
}

#[test]
fn a_connection_that_policy_comes_to_deny_ends_at_the_published_port_as_well() {
    let Scene { fabric, web, outside } = Scene::publishing(&["8080:80", "8081:81"]);
    let [denied, spared] = [80, 81].map(|port| Flow::by(&outside, &web, (HOST[0], 8000 + port), port));
    denied.goes_on();

    fabric.hosts[0].apply(&web_for("ports: [tcp/81]"));

    until("it is silent", || {
        let (before, began) = (denied.echoes(), spared.echoes());
        until("the other goes on", || spared.echoes() > began + 20);
        denied.echoes() == before
    });
    spared.end().expect("what stays allowed never breaks");
}

#[test]
fn a_port_that_is_taken_is_refused_by_its_holders_name_and_free_after_it_left() {
    let lab = Lab::new();
    let host = with_an_address(&lab);
    let [mut web, mut api] = ["web", "api"].map(|name| lab.container(name));
    host.attach_with(&mut web, &["-p", "8080-8089:80-89"]);

    let refused = attach(&host, &api, &["-p", "127.0.0.1:8085:80"]);

    let said = told(&refused);
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(said.contains("127.0.0.1:8085:80/tcp cannot be published"), "{said}");
    assert!(said.contains("endpoint web publishes 8080-8089:80-89/tcp"), "{said}");
    assert_eq!(
        (host.links().len(), host.status()["blocks"][0]["taken"].as_u64()),
        (1, Some(1)),
        "nothing is left of it"
    );
    assert!(!api.namespace().run("ip", &["link"]).contains("eth0"));
    let ports = host.poplin(&["ports"]);
    assert!(ports.contains("8080-8089") && ports.contains("web") && !ports.contains("api"), "{ports}");

    host.poplin(&["detach", "web"]);
    host.attach_with(&mut api, &["-p", "8085:80"]);
    let witness = Witness::on(api.namespace(), 80);
    assert!(witness.sees(host.namespace(), "127.0.0.1".parse().unwrap(), 8085).is_some());
    host.poplin(&["detach", "api"]);
    assert!(!host.namespace().run("nft", &["list", "table", "inet", "poplin"]).contains("dnat"), "nothing remains");
}

#[test]
fn a_port_that_cannot_be_is_refused_with_what_to_try() {
    let lab = Lab::new();
    let (host, api) = (lab.host(), lab.container("api"));

    for (port, words) in [
        ("80", ["[HOSTIP:]HOSTPORT", "8080:80/tcp"]),
        ("0:80", ["is not a port", "published[0]"]),
        ("[fd00::1]:80:80", ["no address of that family", "other family"]),
    ] {
        let said = told(&attach(&host, &api, &["-p", port]));
        assert!(words.iter().all(|word| said.contains(word)), "{port}: {said}");
    }
    assert!(
        told(&attach(&host, &api, &["-p", "80:80", "-p", "80-81:80-81"]))
            .contains("80-81:80-81/tcp overlaps 80:80/tcp")
    );
}

#[test]
fn a_runtime_publishes_by_port_mappings_and_a_process_of_the_host_gives_way() {
    let lab = Lab::new();
    let (host, mut web) = (with_an_address(&lab), lab.container("web"));
    let own = Witness::on(host.namespace(), 8080);
    let localhost: IpAddr = "127.0.0.1".parse().unwrap();
    assert_eq!(own.sees(host.namespace(), localhost, 8080), Some(localhost));
    let mapping = json!({"HostPort": 8080, "ContainerPort": 80, "Protocol": "tcp", "HostIP": ""});
    let unpublished = json!({"HostPort": 0, "ContainerPort": 81, "Protocol": "tcp", "HostIP": ""});

    host.cni_add_with(&mut web, &json!({"runtimeConfig": {"portMappings": [mapping, unpublished]}}));

    let witness = Witness::on(web.namespace(), 80);
    assert!(witness.sees(host.namespace(), localhost, 8080).is_some_and(|seen| seen != localhost));
    host.cni_delete(&web);
    assert_eq!(own.sees(host.namespace(), localhost, 8080), Some(localhost), "it has its port again");
}

const OUTSIDE: [IpAddr; 2] = both([192, 0, 2, 2], [0x2001, 0xdb8, 0, 0, 0, 0, 0, 2]);
/// The uplink of h1.
const HOST: [IpAddr; 2] = both([172, 31, 1, 2], [0xfd31, 1, 0, 0, 0, 0, 0, 2]);

/// Two hosts under a ToR, a container on the first that publishes something, and a machine outside that knows the way to hosts only.
struct Scene {
    web: Container,
    outside: Container,
    fabric: Fabric,
}

impl Scene {
    fn publishing(ports: &[&str]) -> Self {
        let fabric = Fabric::under_a_tor(2);
        let outside = fabric.machine("outside", OUTSIDE, ["172.31.0.0/16", "fd31::/16"]);
        let mut web = fabric.lab.container("web");
        let arguments: Vec<&str> =
            ["--label", "app=web"].into_iter().chain(ports.iter().flat_map(|port| ["-p", port])).collect();
        fabric.hosts[0].attach_with(&mut web, &arguments);
        // It knows no way to containers, but every container knows the way out.
        fabric.hosts[0].apply("{apiVersion: poplin.dev/v1, kind: Pool, metadata: {name: containers}, spec: {cidr: 10.77.0.0/16, nat: {}}}");
        Self { web, outside, fabric }
    }
}

/// A host alone, with one address that is not of loopback.
fn with_an_address(lab: &Lab) -> Agent {
    let host = lab.host();
    host.ip("address add 192.0.2.10/32 dev lo");
    host
}

/// Whether the kernel of a host knows a flow between these.
fn has_flow(host: &Agent, one: IpAddr, other: IpAddr) -> bool {
    let flows = host.namespace().within(|| Conntrack::open().and_then(|mut table| Ok(table.read(&[one].into())?)));
    let opened = |flow: &poplin_node::flows::Flow| (flow.opened.source, flow.opened.destination) == (other, one);
    flows.expect("the table can be read").iter().any(opened)
}

/// Whom web lets in.
fn web_for(rule: &str) -> String {
    format!(
        "{{apiVersion: poplin.dev/v1, kind: Policy, metadata: {{name: web}}, spec: {{subject: app == 'web', ingress: [{{action: allow, {rule}}}]}}}}"
    )
}

fn attach(host: &Agent, container: &Container, arguments: &[&str]) -> Output {
    let netns = container.namespace().path().display().to_string();
    host.try_poplin(&[&["attach", "--netns", &netns, "--name", container.name()], arguments].concat())
}
