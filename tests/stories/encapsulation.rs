//! A network between the hosts that routes no container: what its packets are wrapped in passes it, and nothing else does.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use poplin_lab::{Agent, Container, Fabric, Lab, Pings, Talk, Witness, eventually, told, until};
use serde_json::json;

/// What a router does that checks where packets come from: those of containers are none of its networks'.
const SOURCE_CHECK: &str = "table inet check {
    chain forward { type filter hook forward priority 0; iifname segment oifname segment accept; ip saddr 10.77.0.0/16 counter drop; ip6 saddr fd77::/48 counter drop; }
}";

fn pools(encapsulation: &str) -> String {
    let pool = |name: &str, cidr: &str| {
        format!(
            "---\napiVersion: poplin.dev/v1\nkind: Pool\nmetadata: {{name: {name}}}\n\
             spec: {{cidr: '{cidr}', encapsulation: {encapsulation}}}\n"
        )
    };
    pool("four", "10.77.0.0/16") + &pool("six", "fd77::/48")
}

/// Two hosts on one segment and a third behind a router, with a container each.
struct Scene {
    web: Container,
    near: Container,
    far: Container,
    fabric: Fabric,
}

impl Scene {
    fn new(encapsulation: &str) -> Self {
        let lab = Lab::new();
        let mut tor = lab.tor();
        tor.start_etcd();
        tor.namespace().run("nft", &[SOURCE_CHECK]);
        let mut hosts = vec![tor.host_on_segment(&lab, 1), tor.host_on_segment(&lab, 2), tor.host(&lab, 3)];
        hosts.iter_mut().for_each(Agent::launch);
        hosts.iter_mut().for_each(Agent::until_ready);
        let fabric = Fabric { hosts, tor, lab };
        fabric.hosts[0].apply(&pools(encapsulation));
        fabric.until_established(2);
        let [web, near, far] = [(1, "web"), (2, "near"), (3, "far")].map(|(host, name)| fabric.container(host, name));
        Self { web, near, far, fabric }
    }

    fn until_all_talk(&self) {
        let Self { web, near, far, .. } = self;
        eventually("all talk, in both families", || {
            let talks = [near, far].map(|other| (web.reaches(other.v4()), other.reaches(web.v6())));
            let routes = || self.fabric.hosts.iter().map(Agent::routes).collect::<Vec<_>>();
            if talks == [(true, true); 2] { Ok(()) } else { Err(format!("{talks:?}: {:#?}", routes())) }
        });
    }

    /// By which interface a host leads to an address.
    fn way(&self, host: usize, to: IpAddr) -> String {
        let told = self.fabric.hosts[host - 1].ip(&format!("route get {to}"));
        let mut words = told.split_whitespace().skip_while(|word| *word != "dev").skip(1);
        words.next().unwrap_or_default().to_owned()
    }
}

#[test]
fn what_goes_to_another_subnet_is_wrapped_and_what_goes_to_the_same_is_not() {
    let scene = Scene::new("crossSubnet");
    let Scene { web, near, far, fabric } = &scene;

    scene.until_all_talk();

    for (near, far) in [(near.v4(), far.v4()), (near.v6(), far.v6())] {
        assert_eq!((scene.way(1, near).as_str(), scene.way(1, far).as_str()), ("uplink", "vxlan.poplin"));
    }
    let witness = Witness::on(far.namespace(), 80);
    assert_eq!(witness.sees(web.namespace(), far.v4(), 80), Some(web.v4()), "a container is seen as itself");
    assert!(web.namespace().run("ip", &["link", "show", "eth0"]).contains(" mtu 1450 "), "and fits");
    for size in ["1422", "4000"] {
        let sent = web.namespace().output("ping", &["-c1", "-W2", "-s", size, &far.v4().to_string()]);
        assert!(sent.status.success(), "{size} octets: {}", told(&sent));
    }

    fabric.hosts[0].apply(&pools("never"));

    until("the network passes none of it", || !web.reaches(far.v4()) && !far.reaches(web.v6()));
    assert!(web.reaches(near.v4()), "what is on the segment goes as ever");
    until("the device is gone", || !fabric.hosts[0].ip("link").contains("vxlan.poplin"));
    assert!(!fabric.hosts[0].ip("rule").contains("10.77.0.0/16"), "{}", fabric.hosts[0].ip("rule"));
}

#[test]
fn hosts_and_containers_of_others_reach_each_other_through_the_tunnel() {
    let scene = Scene::new("always");
    let Scene { web, far, fabric, .. } = &scene;
    scene.until_all_talk();
    assert_eq!(scene.way(1, scene.near.v4()), "vxlan.poplin");

    let services = [Witness::on(fabric.hosts[2].namespace(), 80), Witness::on(far.namespace(), 80)];

    for (host, container) in [("172.31.3.2", web.v4()), ("fd31:3::2", web.v6())] {
        let host: IpAddr = host.parse().unwrap();
        until("a container reaches another host", || services[0].sees(web.namespace(), host, 80) == Some(container));
    }
    for (from, to) in [("172.30.0.1", far.v4()), ("fd30::1", far.v6())] {
        let seen = services[1].sees(fabric.hosts[0].namespace(), to, 80);
        assert_eq!(seen, Some(from.parse().unwrap()), "a host reaches a container elsewhere, as itself");
    }
}

#[test]
fn a_host_of_many_addresses_speaks_to_containers_elsewhere_under_the_one_it_is_known_by() {
    let scene = Scene::new("always");
    let Scene { web, far, fabric, .. } = &scene;
    scene.until_all_talk();
    let h1 = &fabric.hosts[0];
    // The kernel finds those on lo before all others, and of IPv6 those that begin like the destination.
    for own in
        ["192.0.2.55/32 dev lo", "fd77:1::55/128 dev lo", "172.30.0.101/24 dev uplink", "fd30::101/64 dev uplink"]
    {
        h1.ip(&format!("address add {own} nodad"));
    }
    let services = [Witness::on(far.namespace(), 80), Witness::on(h1.namespace(), 80)];

    let known_by: [(IpAddr, IpAddr); 2] =
        [("172.30.0.1", far.v4()), ("fd30::1", far.v6())].map(|(own, to)| (own.parse().unwrap(), to));
    for (own, to) in known_by {
        assert_eq!(services[0].sees(h1.namespace(), to, 80), Some(own), "the way back leads there");
        assert_eq!(services[1].sees(far.namespace(), own, 80), Some(to), "and so does the way of who calls it");
    }

    h1.ip("link delete vxlan.poplin");
    let speaks = |(own, to): (IpAddr, IpAddr)| {
        let way = h1.ip(&format!("route get {to}"));
        way.contains(" dev vxlan.poplin ") && way.contains(&format!(" src {own} "))
    };
    until("so it does by a device made anew", || known_by.into_iter().all(speaks) && web.reaches(far.v4()));
    h1.apply(&pools("never"));
    let names_one =
        || ["-4", "-6"].iter().any(|family| h1.ip(&format!("{family} route show proto 143")).contains(" src "));
    until("no route names an address once nothing is wrapped", || !names_one());
}

#[test]
fn policy_decides_about_what_came_wrapped_and_host_endpoints_leave_tunnels_open() {
    let scene = Scene::new("always");
    let Scene { web, near, far, fabric } = &scene;
    scene.until_all_talk();
    let _listening = far.listen(80);

    fabric.hosts[0].apply(
        "apiVersion: poplin.dev/v1\nkind: Policy\nmetadata: {name: far}\nspec:\n  subject: app == 'far'\n  \
         ingress: [{action: allow, from: {select: app == 'near'}}]\n---\n\
         apiVersion: poplin.dev/v1\nkind: HostEndpoint\nmetadata: {name: uplink, labels: {role: edge}}\nspec: {host: h3, interface: uplink}\n---\n\
         apiVersion: poplin.dev/v1\nkind: Policy\nmetadata: {name: closed}\nspec: {hosts: local, subject: role == 'edge', ingress: [], egress: []}\n",
    );

    until("web is denied", || !web.connects(far.v4(), 80));
    until("near is not", || near.connects(far.v4(), 80));
    eventually("the tunnel goes on though the host's uplink lets nobody in", || {
        let closed = fabric.hosts[0].namespace().output("ping", &["-c1", "-W1", "172.31.3.2"]);
        if closed.status.success() || !near.connects(far.v4(), 80) { Err(told(&closed)) } else { Ok(()) }
    });
}

#[test]
fn a_restart_loses_no_packet_and_what_another_hand_takes_comes_back() {
    let mut scene = Scene::new("always");
    scene.until_all_talk();
    let pings = Pings::start(scene.fabric.lab.directory(), &scene.web, scene.far.v4(), 500);
    for host in [0, 2] {
        scene.fabric.hosts[host].kill();
        scene.fabric.hosts[host].start();
    }
    assert_eq!(pings.lost(), 0);

    let Scene { web, far, fabric, .. } = &scene;
    let h1 = fabric.hosts[0].namespace();
    let takes: [&[&str]; 5] = [
        &["ip", "link", "delete", "vxlan.poplin"],
        &["ip", "link", "set", "vxlan.poplin", "down"],
        &["bridge", "fdb", "del", "02:76:ac:1f:03:02", "dev", "vxlan.poplin"],
        &["ip", "neighbour", "del", "172.31.3.2", "dev", "vxlan.poplin"],
        &["ip", "rule", "del", "priority", "14300", "from", "10.77.0.0/16"],
    ];
    let stands = || {
        let (fdb, rules) = (h1.run("bridge", &["fdb", "show", "dev", "vxlan.poplin"]), fabric.hosts[0].ip("rule"));
        fdb.contains("02:76:ac:1f:03:02 dst 172.31.3.2") && rules.contains("from 10.77.0.0/16")
    };
    for take in takes {
        h1.run(take[0], &take[1..]);
        until(&format!("all is back after {}", take.join(" ")), || stands() && web.reaches(far.v4()));
    }
}

#[test]
fn a_device_that_goes_while_the_agent_is_dead_or_lives_costs_no_flow() {
    let mut scene = Scene::new("always");
    scene.until_all_talk();
    let talks =
        [(scene.far.v4(), 80), (scene.far.v6(), 81)].map(|(to, port)| Talk::stream(&scene.web, &scene.far, to, port));
    talks.iter().for_each(Talk::goes_on);

    scene.fabric.hosts[0].kill();
    scene.fabric.hosts[0].ip("link delete vxlan.poplin");
    scene.fabric.hosts[0].start();
    talks.iter().for_each(Talk::goes_on);

    scene.fabric.hosts[0].ip("link delete vxlan.poplin");
    talks.iter().for_each(Talk::goes_on);
    scene.until_all_talk();
}

#[test]
fn a_host_that_loses_ipv6_keeps_its_tunnel_for_the_rest() {
    let scene = Scene::new("always");
    let Scene { web, near, far, fabric } = &scene;
    scene.until_all_talk();
    let talk = Talk::stream(web, far, far.v4(), 80);
    let h1 = &fabric.hosts[0];
    let device = || h1.namespace().run("cat", &["/sys/class/net/vxlan.poplin/ifindex"]);
    let before = device();

    h1.namespace().run("sysctl", &["-qw", "net.ipv6.conf.all.disable_ipv6=1"]);

    eventually("it is known by what is left", || {
        let own = h1.get(&["host", "h1"])["spec"]["addresses"].to_string();
        if own == "[\"172.30.0.1\"]" { Ok(()) } else { Err(own) }
    });
    talk.goes_on();
    until("new flows come about", || web.reaches(near.v4()));
    until("the others speak IPv6 as before", || near.reaches(far.v6()));
    let late = fabric.container(3, "late");
    until("and who comes now is reached", || web.reaches(late.v4()));
    assert_eq!(device(), before, "the device is the same all along");
}

#[test]
fn nobody_but_hosts_puts_anything_into_a_tunnel() {
    let scene = Scene::new("always");
    let Scene { web, far, fabric, .. } = &scene;
    scene.until_all_talk();
    let stranger = fabric.lab.container("stranger");
    fabric.tor.namespace().join("stranger", &["192.0.2.1/24"], stranger.namespace(), "eth0", &["192.0.2.2/24"]);
    stranger.namespace().run("ip", &["route", "add", "default", "via", "192.0.2.1"]);
    let ear = far.namespace().within(|| UdpSocket::bind("0.0.0.0:7").unwrap());
    ear.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    fabric.hosts[2].ip("address add 172.31.3.99/24 dev uplink");
    let vni = std::cell::Cell::new(143);
    let hears = |from: &dyn AsRef<poplin_lab::Namespace>, last: u8, word: &[u8]| {
        let wrapped = wrapped(web.v4(), far.v4(), word, vni.get());
        from.as_ref().within(|| {
            let mouth = UdpSocket::bind("0.0.0.0:0").unwrap();
            (0..3).for_each(|_| drop(mouth.send_to(&wrapped, SocketAddr::from(([172, 31, 3, last], 4789)))));
        });
        let mut heard = [0; 64];
        std::iter::from_fn(|| ear.recv(&mut heard).ok().map(|length| heard[..length].to_vec())).any(|one| one == word)
    };

    assert!(hears(&fabric.hosts[0].namespace(), 2, b"a host"), "a datagram so wrapped is taken from a host");
    vni.set(144);
    assert!(
        !hears(&fabric.hosts[0].namespace(), 2, b"a host of another network"),
        "nor from a host for another network"
    );
    vni.set(143);
    // The kernel takes what is wrapped at every address it has.
    for last in [2, 99] {
        assert!(!hears(&stranger, last, b"a stranger"), "and from nobody else, at {last}");
        assert!(!hears(web, last, b"a container"), "nor from a container, at {last}");
    }

    eventually("both are told of", || {
        let drops = [2, 0].map(|host: usize| fabric.hosts[host].poplin(&["drops"]));
        match drops.iter().all(|told| told.contains("the end of a tunnel")) {
            true => Ok(()),
            false => Err(drops.join("\n")),
        }
    });
}

#[test]
fn a_tunnel_that_cannot_be_made_is_told_and_holds_up_nobody() {
    let scene = Scene::new("never");
    let Scene { web, near, fabric, .. } = &scene;
    until("who is on the segment talks", || web.reaches(near.v4()));
    let taken = fabric.hosts[0].namespace().within(|| UdpSocket::bind("0.0.0.0:4789").unwrap());

    fabric.hosts[0].apply(&pools("crossSubnet"));

    eventually("status tells why", || {
        let status = told(&fabric.hosts[0].try_poplin(&["status"]));
        if status.contains("UDP port 4789 is another program's") { Ok(()) } else { Err(status) }
    });
    let late = fabric.container(1, "late");
    until("who comes now talks to who is on the segment", || late.reaches(near.v4()));
    drop(taken);
    let far = &scene.far;
    until("the tunnel stands once the port is free", || web.reaches(far.v4()) && late.reaches(far.v4()));
}

#[test]
fn the_port_of_tunnels_is_published_by_nobody() {
    let scene = Scene::new("always");
    let host = &scene.fabric.hosts[0];
    let dns = scene.fabric.lab.container("dns");
    let attach = |port: &str| {
        let netns = dns.namespace().path().display().to_string();
        host.try_poplin(&["attach", "--netns", &netns, "--name", "dns", "-p", port])
    };

    let refused = attach("4789:53/udp");

    let told = told(&refused);
    assert!(!refused.status.success() && told.contains("4789:53/udp cannot be published"), "{told}");
    assert!(
        told.contains("172.30.0.1:4789:4789/udp (vxlan.port)") && told.contains("give FabricConfig another"),
        "{told}"
    );
    let mapping = |protocol: &str| {
        let mapping = json!({"hostPort": 4789, "containerPort": 53, "protocol": protocol});
        host.cni_with("ADD", &dns, &json!({"runtimeConfig": {"portMappings": [mapping]}}))
    };
    let by_runtime = poplin_lab::told(&mapping("udp"));
    assert!(by_runtime.contains("4789:53/udp cannot be published: the fabric's tunnels receive at"), "{by_runtime}");
    assert_eq!(host.links().len(), 1, "nothing is left of what was refused");
    assert!(mapping("tcp").status.success(), "that of TCP is another");
    host.cni_delete(&dns);
    assert!(attach("4789:53/tcp").status.success(), "so it is by hand");
}

#[test]
fn the_doctor_sends_through_each_tunnel() {
    let scene = Scene::new("crossSubnet");
    scene.until_all_talk();
    let (h1, tor) = (&scene.fabric.hosts[0], scene.fabric.tor.namespace());
    let doctor = || told(&h1.try_poplin(&["doctor"]));
    assert!(doctor().ends_with("nothing is wrong\n"), "{}", doctor());

    let filter = |rule: &str| {
        let chain = format!("chain f {{ type filter hook forward priority 0; {rule}; }}");
        tor.run("nft", &[&format!("table inet wrapped; delete table inet wrapped; table inet wrapped {{ {chain}; }}")]);
    };
    filter("udp dport 4789 meta length > 1400 drop");
    let narrow = doctor();
    assert!(
        narrow.contains(
            "mtu: packets of 1450 octets do not come through the tunnel to h3 (172.31.3.2) in one piece, 1350 do"
        ),
        "{narrow}"
    );
    assert!(
        narrow.contains("try: mtuBytes: 1350 in FabricConfig") && narrow.contains("failures 1, warnings 0"),
        "{narrow}"
    );

    // Each direction by itself: from this host, and from the other.
    for end in ["daddr", "saddr"] {
        filter(&format!("udp dport 4789 ip {end} 172.31.3.2 drop"));
        let closed = doctor();
        assert!(closed.contains("tunnel: nothing comes back from h3 (172.31.3.2) through the tunnel"), "{closed}");
        assert!(
            closed.contains("try: let UDP port 4789 pass") && closed.contains("failures 1, warnings 0"),
            "{closed}"
        );
    }

    // The router says that it is too much for the link, so that nothing else gets through either.
    tor.run("nft", &["delete table inet wrapped"]);
    tor.run("ip", &["link", "set", "h3", "mtu", "1400"]);
    let path = doctor();
    assert!(path.contains("mtu: packets of 1500 octets do not come through to h3 (172.31.3.2), 1400 do"), "{path}");
    assert!(path.contains("try: mtuBytes: 1350 in FabricConfig") && path.contains("failures 1, warnings 0"), "{path}");
    tor.run("ip", &["link", "set", "h3", "mtu", "1500"]);
    assert!(doctor().ends_with("nothing is wrong\n"), "what was heard of the way is no news: {}", doctor());

    h1.apply(
        "apiVersion: poplin.dev/v1\nkind: FabricConfig\nmetadata: {name: default}\nspec: {vxlan: {vni: 4711, port: 8472}}\n",
    );
    eventually("another identifier and port are no fault", || {
        let said = doctor();
        if said.ends_with("nothing is wrong\n") { Ok(()) } else { Err(said) }
    });
    let strict = |name: &str| {
        scene.fabric.hosts[2].namespace().run("sysctl", &["-qw", &format!("net.ipv4.conf.{name}.rp_filter=1")])
    };
    ["all", "default", "uplink"].iter().for_each(|name| drop(strict(name)));
    assert!(doctor().ends_with("nothing is wrong\n"), "nor is a host that checks sources: {}", doctor());
}

#[test]
fn another_identifier_and_port_hold_for_all_hosts_without_a_restart() {
    let scene = Scene::new("always");
    let Scene { web, far, fabric, .. } = &scene;
    scene.until_all_talk();
    let talk = Talk::stream(web, far, far.v4(), 80);

    fabric.hosts[0].apply(
        "apiVersion: poplin.dev/v1\nkind: FabricConfig\nmetadata: {name: default}\nspec: {vxlan: {vni: 4711, port: 8472}}\n",
    );

    until("all devices are others", || {
        fabric.hosts.iter().all(|host| {
            let device = told(&host.namespace().output("ip", &["-d", "link", "show", "vxlan.poplin"]));
            device.contains("id 4711") && device.contains("dstport 8472")
        })
    });
    talk.goes_on();
    let inside = told(&fabric.hosts[0].try_apply(
        "{apiVersion: poplin.dev/v1, kind: Pool, metadata: {name: hosts}, spec: {cidr: 172.16.0.0/12, encapsulation: always}}",
    ));
    assert!(inside.contains("holds 172.3") && inside.contains("which is of host h"), "{inside}");
    let refused = fabric.hosts[0].try_apply(
        "apiVersion: poplin.dev/v1\nkind: FabricConfig\nmetadata: {name: default}\nspec: {vxlan: {vni: 16777216, port: 0}}\n",
    );
    let refused = told(&refused);
    assert!(refused.contains("spec.vxlan.vni") && refused.contains("16777215"), "{refused}");
    assert!(refused.contains("spec.vxlan.port: 0 is below 1"), "{refused}");
}

/// A datagram from one container to port 7 of another, as a host wraps it for the third: VXLAN (RFC 7348 §5), Ethernet, IPv4 without checksum of UDP.
fn wrapped(from: IpAddr, to: IpAddr, word: &[u8], vni: u8) -> Vec<u8> {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (from, to) else { panic!("both are of IPv4") };
    let udp_octets = u16::try_from(8 + word.len()).expect("a word is short");
    let mut ip = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
    ip[2..4].copy_from_slice(&(20 + udp_octets).to_be_bytes());
    ip.extend(from.octets());
    ip.extend(to.octets());
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut packet = vec![0x08, 0, 0, 0, 0, 0, vni, 0];
    packet.extend(vtep(Ipv4Addr::new(172, 31, 3, 2)));
    packet.extend(vtep(Ipv4Addr::new(172, 30, 0, 1)));
    packet.extend([0x08, 0x00]);
    packet.extend(ip);
    for half in [4711, 7, udp_octets, 0] {
        packet.extend(u16::to_be_bytes(half));
    }
    packet.extend(word);
    packet
}

/// The MAC of a host in the tunnel.
fn vtep(host: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = host.octets();
    [0x02, 0x76, a, b, c, d]
}

/// RFC 1071.
fn checksum(octets: &[u8]) -> u16 {
    let sum: u32 = octets.chunks(2).map(|half| u32::from(u16::from_be_bytes([half[0], half[1]]))).sum();
    !u16::try_from((sum & 0xffff) + (sum >> 16)).expect("twenty octets carry little")
}
