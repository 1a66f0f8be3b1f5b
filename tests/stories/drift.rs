//! Somebody alters by hand what the agent made: it is put right within a second, and what is others' stays untouched.

use std::net::TcpListener;

use poplin_lab::{Agent, Container, Docker, Fabric, IMAGE, Lab, told, until};

#[test]
fn what_is_removed_or_altered_of_a_container_is_repaired() {
    let lab = Lab::new();
    let host = lab.host();
    let mut web = lab.container("web");
    host.attach(&mut web, &[]);
    let link = host.links().remove(0);
    let address = web.v4();
    let state = || state_of(&host, &web, &link);
    let before = state();

    let sysctl = |name: &str, value: u8| format!("sysctl -qw net.ipv4.conf.{link}.{name}={value}");
    for deed in [
        format!("ip route del {address}"),
        format!("ip route replace {address} dev lo proto 143 metric 143"),
        format!("ip neigh del {address} dev {link}"),
        format!("ip neigh replace {address} lladdr 02:00:00:00:00:01 dev {link} nud permanent"),
        format!("ip link set {link} down"),
        "ip address del 169.254.1.1/32 dev lo".to_owned(),
        sysctl("rp_filter", 0),
        sysctl("forwarding", 0),
        sysctl("proxy_arp", 1),
    ] {
        repaired(&host, &deed, || state() == before);
    }

    assert!(web.reaches("169.254.1.1".parse().expect("an address")));
}

#[test]
fn a_host_address_of_ipv6_on_a_link_is_repaired() {
    let fabric = Fabric::under_a_tor(1);
    let web = fabric.container(1, "web");
    let host = &fabric.hosts[0];
    let link = host.links().remove(0);
    let has_gateway = || host.ip(&format!("-6 address show dev {link}")).contains("fe80::1/");
    assert!(has_gateway());

    repaired(host, &format!("ip -6 address del fe80::1/128 dev {link}"), has_gateway);

    let route = || host.ip("-6 route show proto 143").contains(&format!("{} dev {link}", web.v6()));
    repaired(host, &format!("ip -6 route del {}", web.v6()), route);
}

#[test]
fn learned_routes_and_blackholes_are_repaired() {
    let fabric = Fabric::under_a_tor(2);
    let (web, db) = (fabric.container(1, "web"), fabric.container(2, "db"));
    until("db answers", || web.reaches(db.v4()) && web.reaches(db.v6()));
    let host = &fabric.hosts[0];
    let routes = host.routes();
    assert_eq!(routes.len(), 6, "two containers' addresses, two blackholes, two learned: {routes:?}");

    for route in &routes {
        let route = route.replace("linkdown", "");
        let family = if route.contains(':') { "-6 " } else { "" };
        let words: Vec<&str> = route.split(' ').collect();
        let prefix = if words[0] == "blackhole" { words[1] } else { words[0] };
        repaired(host, &format!("ip {family}route del {prefix} proto 143"), || host.routes() == routes);
    }
}

#[test]
fn forwarding_switched_off_by_hand_is_on_again() {
    let fabric = Fabric::under_a_tor(2);
    let (web, db) = (fabric.container(1, "web"), fabric.container(2, "db"));
    until("db answers", || web.reaches(db.v4()) && web.reaches(db.v6()));
    let host = &fabric.hosts[0];
    let is_on = |switch: &str| host.namespace().run("sysctl", &["-n", switch]).trim() == "1";

    for switch in ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"] {
        repaired(host, &format!("sysctl -qw {switch}=0"), || is_on(switch));
    }

    assert!(web.reaches(db.v4()) && web.reaches(db.v6()));
}

#[test]
fn a_container_whose_link_was_removed_is_attached_anew_however_soon_that_is_asked() {
    let lab = Lab::new();
    let host = lab.host();
    let mut web = lab.container("web");
    host.cni_add(&mut web, &serde_json::Value::Null);
    let link = host.links().remove(0);
    let address = web.v4();

    // The kernel's word that the link is gone comes a moment after it: mostly, the agent is asked before it has read that.
    for _ in 0..10 {
        host.ip(&format!("link del {link}"));
        host.cni_add(&mut web, &serde_json::Value::Null);
        assert_eq!((host.links(), web.v4()), (vec![link.clone()], address), "the same link and address again");
    }

    assert!(web.reaches("169.254.1.1".parse().expect("an address")));
}

/// Linux 6.9 or newer; before, tables have no owner that outlives them, and what is removed comes back.
fn knows_owners() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("Linux has a release");
    let mut numbers = release.split(['.', '-']).map_while(|number| number.trim().parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 9)
}

#[test]
fn nobody_else_changes_rules_while_the_agent_lives_and_they_stand_when_it_is_dead() {
    let lab = Lab::new();
    let mut host = lab.host();
    let (web, db, _port) = closed_db(&lab, &host);
    let nft = |host: &Agent, deed: &str| told(&host.namespace().output("nft", &[deed]));
    let before = rules(&host);
    assert!(before.iter().any(|line| line.contains("chain")), "{before:?}");
    let refused = |host: &Agent, when: &str| {
        if !knows_owners() {
            return repaired(host, "nft delete table inet poplin", || rules(host) == before);
        }
        for deed in ["delete table inet poplin", "flush table inet poplin", "add chain inet poplin x"] {
            let answer = nft(host, deed);
            assert!(answer.contains("Operation not permitted"), "{when}: {deed}: {answer}");
        }
        assert_eq!(nft(host, "flush ruleset"), "", "{when}: others may flush what is theirs");
        assert_eq!(rules(host), before, "{when}");
    };

    refused(&host, "in its first life");
    host.kill();
    assert_eq!(rules(&host), before);
    assert!(!web.connects(db.v4(), 5432), "no agent is needed for what it made");
    // The kernel takes the owner's mark off with the owner: now a hand could reach it.
    assert_eq!(nft(&host, "add chain inet poplin x"), "");
    host.start();
    until("what was done meanwhile is put back", || rules(&host) == before);
    assert!(host.said().contains("the rules that stand are kept"), "{}", host.said());
    refused(&host, "in its next life");
}

#[test]
fn rules_that_others_may_change_come_back() {
    let lab = Lab::new();
    let mut host = Agent::new(&lab, lab.namespace("h1"), "h1").with(&["--nft-owner=false"]);
    host.start();
    let (web, db, _port) = closed_db(&lab, &host);
    let before = rules(&host);

    for deed in ["delete table inet poplin", "flush table inet poplin", "flush ruleset", "add chain inet poplin x"] {
        repaired(&host, &format!("nft {deed}"), || rules(&host) == before);
    }

    assert!(!web.connects(db.v4(), 5432));
}

/// Two containers, of which one listens on port 5432 and may be reached by nobody.
fn closed_db(lab: &Lab, host: &Agent) -> (Container, Container, TcpListener) {
    let (mut web, mut db) = (lab.container("web"), lab.container("db"));
    host.attach(&mut web, &["app=web"]);
    host.attach(&mut db, &["app=db"]);
    let port = db.listen(5432);
    host.apply(DB_FOR_NOBODY);
    until("db is closed", || !web.connects(db.v4(), 5432));
    (web, db, port)
}

/// The lines of our table, in order: what is made anew is told in another. Without the flags, and the owner
/// beside the table's name, which is another in each life.
fn rules(host: &Agent) -> Vec<String> {
    let listed = host.namespace().output("nft", &["-s", "list table inet poplin"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let lines = listed.lines().filter(|line| !line.starts_with("table") && !line.trim().starts_with("flags"));
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_table_of_others_is_never_touched() {
    let lab = Lab::new();
    let namespace = lab.namespace("h1");
    namespace.run("nft", &[FOREIGN]);
    let mut host = Agent::new(&lab, namespace, "h1");
    let foreign = |host: &Agent| host.namespace().run("nft", &["-a", "list table inet others"]);
    let before = foreign(&host);
    let unchanged = |host: &Agent, when: &str| assert_eq!(foreign(host), before, "{when}");

    host.start();
    unchanged(&host, "after the start");
    let mut web = lab.container("web");
    host.attach(&mut web, &["app=db"]);
    unchanged(&host, "after an attachment");
    host.apply(DB_FOR_NOBODY);
    unchanged(&host, "after a policy");
    host.kill();
    unchanged(&host, "after the agent's death");
    host.start();
    stop(&mut host);
    unchanged(&host, "after it was asked to stop");
    assert!(rules(&host).len() > 10, "its own rules stand on");
    host.start();
    host.poplin(&["delete", "policy", "db"]);
    unchanged(&host, "after its next life");
    host.poplin(&["detach", "web"]);
    unchanged(&host, "after the last detachment");
}

#[test]
fn dockers_own_tables_stay_as_they_are_beside_an_agent_that_knows_nothing_of_docker() {
    let lab = Lab::new();
    let mut host = Agent::new(&lab, lab.namespace("h1"), "h1");
    let mut docker = Docker::new(&lab, &host);
    docker.start();
    docker.run(&["run", "--detach", "--name", "www", "--publish", "8080:80", IMAGE, "sleep", "1000"]);
    let before = tables_of_others(&host);
    assert!(before.contains("DOCKER"), "{before}");
    let unchanged = |host: &Agent, when: &str| assert_eq!(tables_of_others(host), before, "{when}");

    host.start();
    unchanged(&host, "after the start");
    let (web, _db, _port) = closed_db(&lab, &host);
    unchanged(&host, "after a policy");
    host.apply(HOST_FOR_NOBODY);
    until("the host is closed", || rules(&host).iter().any(|line| line.contains("host-input")));
    unchanged(&host, "after a host endpoint");
    stop(&mut host);
    unchanged(&host, "after it was asked to stop");
    host.start();
    host.kill();
    unchanged(&host, "after its death");
    host.start();
    host.poplin(&["delete", "HostEndpoint", "every"]);
    host.poplin(&["detach", web.name()]);
    unchanged(&host, "after the last change");
}

/// Asks the agent to stop, as its service does.
fn stop(host: &mut Agent) {
    host.process().signal(rustix::process::Signal::TERM);
    until("the agent stops", || !host.process().is_running());
}

/// Every table but ours, without what is counted.
fn tables_of_others(host: &Agent) -> String {
    let nft = |arguments: &[&str]| host.namespace().run("nft", arguments);
    let tables = nft(&["list", "tables"]);
    let others = tables.lines().filter(|line| *line != "table inet poplin");
    others.map(|table| nft(&["-a", "-s", "list", table])).collect()
}

/// Does something by hand and waits for the agent to put it right. The time is that of the deed and the look together.
#[track_caller]
fn repaired(host: &Agent, deed: &str, is_right: impl Fn() -> bool) {
    let words: Vec<&str> = deed.split(' ').filter(|word| !word.is_empty()).collect();
    let output = host.namespace().output(words[0], &words[1..]);
    assert!(output.status.success(), "{deed}: {}", told(&output));
    until(&format!("{deed} is repaired"), is_right); // the agent looks by itself only every few minutes: it was told of it
}

/// All the kernel holds of a container, in words.
fn state_of(host: &Agent, web: &Container, link: &str) -> String {
    let switches = ["rp_filter", "forwarding", "proxy_arp"]
        .map(|name| host.namespace().run("sysctl", &[&format!("net.ipv4.conf.{link}.{name}")]));
    let is_up = host.ip(&format!("-o link show {link}")).contains(",UP");
    let neighbours = host.ip(&format!("neigh show {} dev {link} nud permanent", web.v4()));
    let gateways = host.ip("-o -4 address show dev lo");
    format!("{:?} {neighbours} {is_up} {gateways} {}", host.routes(), switches.concat())
}

const FOREIGN: &str = "
table inet others {
    set friends { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.0.2.1 } }
    chain forward {
        type filter hook forward priority 0; policy accept;
        ip saddr @friends counter accept
    }
}";

const HOST_FOR_NOBODY: &str = "
apiVersion: poplin.dev/v1
kind: HostEndpoint
metadata: {name: every, labels: {role: every}}
spec: {host: h1, interface: '*'}
";

const DB_FOR_NOBODY: &str = "
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: db}
spec: {subject: app == 'db', ingress: []}
";
