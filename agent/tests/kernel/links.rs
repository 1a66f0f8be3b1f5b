//! Links, their switches, gateways and neighbours.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use poplin_agent::kernel::Hands;
use poplin_node::kernel::{KernelState, Mac, NewLink, Step, StepFailureKind};

use poplin_policy::delta::Change;
use poplin_policy::ruleset::{Form, Set};

use crate::lab::{Namespace, interface, name};

const HOST_MAC: Mac = Mac([0x02, 0, 0, 0, 0, 0x01]);
const CONTAINER_MAC: Mac = Mac([0x02, 0, 0, 0, 0, 0x02]);

#[test]
fn a_container_reaches_its_gateway_on_both_families() {
    let (host, container) = (Namespace::new(), Namespace::new());
    host.add_interface("up0");
    host.ip("addr add 10.0.0.1/24 dev up0");
    host.ip("addr add fd00::1/64 dev up0 nodad");
    let state = host.within(|| {
        let mut hands = Hands::open().unwrap();
        hands.apply(&attach(&container)).unwrap();
        hands.read().unwrap()
    });
    container.ip("addr add 10.65.0.2/32 dev eth0");
    container.ip("addr add fd65::2/128 dev eth0 nodad");
    container.ip("link set eth0 up");
    container.ip("route add 169.254.1.1 dev eth0");
    container.ip("route add default via 169.254.1.1");
    container.ip("route add default via fe80::1 dev eth0");

    assert!(crate::lab::eventually(|| container.reaches("169.254.1.1")));
    assert!(crate::lab::eventually(|| container.reaches("fe80::1%eth0")));
    assert!(host.reaches("10.65.0.2") && host.reaches("fd65::2"));
    assert!(host.ip("route get 10.65.0.2").contains("src 10.0.0.1"), "the host speaks from its own address");

    let link = &state.links[&interface("popa")];
    assert!(link.is_up && link.is_configured, "{link:?}");
    assert_eq!((link.mac, link.mtu_bytes), (HOST_MAC, 1400));
    assert_eq!(state.gateways, ["169.254.1.1".parse().unwrap()].into());
    let neighbours: Vec<_> = state.neighbours.into_iter().collect();
    assert_eq!(
        neighbours,
        [
            ((interface("popa"), "10.65.0.2".parse().unwrap()), CONTAINER_MAC),
            ((interface("popa"), "fd65::2".parse().unwrap()), CONTAINER_MAC),
        ]
    );
}

#[test]
fn the_far_end_is_born_in_its_namespace_with_its_name_mac_and_mtu() {
    let (host, container) = (Namespace::new(), Namespace::new());

    host.within(|| Hands::open().unwrap().apply(&[Step::CreateLink(new_link(container.path()))]).unwrap());

    let far = container.ip("-o link show eth0");
    assert!(far.contains("mtu 1400") && far.contains(&CONTAINER_MAC.to_string()), "{far}");
}

#[test]
fn steps_done_twice_are_no_error() {
    let (host, container) = (Namespace::new(), Namespace::new());

    host.within(|| {
        let mut hands = Hands::open().unwrap();
        let steps = attach(&container);
        hands.apply(&steps).unwrap();
        let repeatable: Vec<_> = steps.into_iter().filter(|step| !matches!(step, Step::CreateLink(_))).collect();
        let before = hands.read().unwrap();
        hands.apply(&repeatable).unwrap();
        assert_eq!(hands.read().unwrap(), before);

        hands.apply(&[Step::DeleteLink(interface("popa")), Step::DeleteLink(interface("popa"))]).unwrap();
        let KernelState { links, neighbours, routes, .. } = hands.read().unwrap();
        assert!(links.is_empty() && neighbours.is_empty() && routes.is_empty(), "{links:?} {neighbours:?} {routes:?}");
    });
}

/// The kernel tidies up after a link for longer than it lives here; nothing of that shows.
#[test]
fn a_link_that_ends_is_gone_at_once_and_may_come_again_under_its_name() {
    const TIMES: usize = 100;
    let (host, container) = (Namespace::new(), Namespace::new());

    host.within(|| {
        let mut hands = Hands::open().unwrap();
        let steps = attach(&container);
        for _ in 0..TIMES {
            hands.apply(&steps).unwrap();
            hands.apply(&[Step::DeleteLink(interface("popa"))]).unwrap();

            let KernelState { links, neighbours, routes, .. } = hands.read().unwrap();
            assert!(
                links.is_empty() && neighbours.is_empty() && routes.is_empty(),
                "{links:?} {neighbours:?} {routes:?}"
            );
            assert_eq!(container.ip("-o link show type veth"), "");
        }
    });
}

#[test]
fn what_hinders_a_link_is_told_apart() {
    let (host, container) = (Namespace::new(), Namespace::new());
    container.add_interface("eth1");
    let kind = |hands: &mut Hands, new: NewLink| hands.apply(&[Step::CreateLink(new)]).unwrap_err().kind;

    host.within(|| {
        let mut hands = Hands::open().unwrap();
        let good = new_link(container.path());

        assert_eq!(kind(&mut hands, new_link("/run/netns/poplin-nowhere".into())), StepFailureKind::NamespaceMissing);
        assert_eq!(kind(&mut hands, new_link("/etc/passwd".into())), StepFailureKind::NotANamespace);
        assert_eq!(kind(&mut hands, new_link("/proc/self/ns/uts".into())), StepFailureKind::NotANamespace);
        let taken = NewLink { container_interface: "eth1".into(), ..good.clone() };
        assert_eq!(kind(&mut hands, taken), StepFailureKind::InterfaceExists);
        assert!(hands.read().unwrap().links.is_empty(), "nothing is left of a link that could not be made");

        hands.apply(&[Step::CreateLink(good.clone())]).unwrap();
        assert_eq!(kind(&mut hands, good), StepFailureKind::Other);
    });
}

#[test]
fn the_first_failure_ends_the_steps_and_is_told() {
    let host = Namespace::new();
    let missing = Step::CreateLink(new_link("/run/netns/poplin-nowhere".into()));
    let gateway = |address: &str| Step::AddGateway(address.parse().unwrap());

    host.within(|| {
        let mut hands = Hands::open().unwrap();
        let failure = hands.apply(&[gateway("169.254.1.1"), missing.clone(), gateway("169.254.1.2")]).unwrap_err();

        assert_eq!(failure.step, missing);
        assert_eq!(
            failure.reason,
            "cannot open namespace /run/netns/poplin-nowhere: No such file or directory (os error 2)"
        );
        assert_eq!(hands.read().unwrap().gateways, ["169.254.1.1".parse().unwrap()].into());
    });
}

#[test]
fn rules_that_are_not_as_thought_are_told_apart() {
    let host = Namespace::new();
    let change = |changes: Vec<Change>| vec![Step::ChangeRules(changes.into())];
    let bad_set = Set { key: vec![], form: Form::Hash, elements: Default::default() };

    host.within(|| {
        let mut hands = Hands::open().unwrap();
        let out_of_step = hands.apply(&change(vec![Change::RemoveSet(name("nowhere"))])).unwrap_err();
        assert_eq!(out_of_step.kind, StepFailureKind::RulesOutOfStep);
        assert_eq!(
            out_of_step.reason,
            "change 1 of 1 (remove set nowhere) was refused: No such file or directory (os error 2)"
        );
        hands.apply(&change(vec![])).unwrap();
        let no_key =
            hands.apply(&change(vec![Change::Restart, Change::AddSet(name("bad"), bad_set.into())])).unwrap_err();
        assert_eq!(no_key.kind, StepFailureKind::Other);
    });
}

#[test]
fn a_switch_turned_by_hand_is_seen() {
    let (host, container) = (Namespace::new(), Namespace::new());

    host.within(|| {
        let mut hands = Hands::open().unwrap();
        hands.apply(&attach(&container)).unwrap();
        let mut is_configured = || hands.read().unwrap().links[&interface("popa")].is_configured;

        for switch in ["ipv4.conf.popa.rp_filter=0", "ipv4.conf.popa.proxy_arp=1", "ipv6.conf.popa.accept_ra=2"] {
            assert!(is_configured());
            assert!(host.try_run("sysctl", &format!("-w net.{switch}")).status.success());
            assert!(!is_configured(), "{switch}");
            Hands::open().map(|mut other| other.apply(&[Step::ConfigureLink(interface("popa"))]).unwrap()).unwrap();
        }
        assert!(is_configured());
        host.ip("addr del fe80::1/128 dev popa");
        assert!(!is_configured());
    });
}

#[test]
fn forwarding_is_on_and_uplinks_go_on_listening_to_routers() {
    let host = Namespace::new();
    host.add_interface("up0");
    let read = |switch: &str| String::from_utf8(host.try_run("sysctl", &format!("-n net.{switch}")).stdout).unwrap();
    assert_eq!(read("ipv6.conf.up0.accept_ra"), "1\n");

    host.within(|| Hands::open().unwrap().apply(&[Step::EnableForwarding, Step::EnableForwarding]).unwrap());

    assert_eq!(read("ipv4.ip_forward"), "1\n");
    assert_eq!(read("ipv6.conf.all.forwarding"), "1\n");
    assert_eq!(read("ipv6.conf.up0.accept_ra"), "2\n");
}

#[test]
fn a_host_answers_for_others_on_an_uplink_and_what_another_hand_does_there_is_seen() {
    let host = Namespace::new();
    host.add_interface("up0");
    let addresses: [IpAddr; 2] = ["10.65.0.2", "fd65::2"].map(|text| text.parse().unwrap());
    let step = |address| Step::SetProxyNeighbour { uplink: interface("up0"), address };
    let entries = |answers: [bool; 2]| addresses.map(|one| (interface("up0"), one)).into_iter().zip(answers).collect();
    host.ip("neigh add proxy 10.65.0.9 dev up0"); // not ours

    host.within(|| {
        let mut hands = Hands::open_routes().unwrap();
        hands.apply(&addresses.map(step)).unwrap();
        hands.apply(&addresses.map(step)).unwrap();
        assert!(hands.has_proxies() && !hands.proxies_have_changed().unwrap());
        assert_eq!(hands.read().unwrap().proxied, entries([true, true]));
        for file in ["ipv4/neigh/up0/proxy_delay", "ipv6/neigh/up0/proxy_delay"] {
            assert_eq!(fs::read_to_string(format!("/proc/sys/net/{file}")).unwrap(), "0\n");
        }

        fs::write("/proc/sys/net/ipv6/conf/up0/proxy_ndp", "0").unwrap();
        assert_eq!(hands.read().unwrap().proxied, entries([true, false]), "the switch is off");
        host.ip("neigh del proxy 10.65.0.2 dev up0");
        assert!(hands.proxies_have_changed().unwrap());
        assert_eq!(hands.read().unwrap().proxied.len(), 1);
        assert!(!hands.proxies_have_changed().unwrap());

        let remove = |address| Step::RemoveProxyNeighbour { uplink: interface("up0"), address };
        hands.apply(&addresses.map(remove)).unwrap();
        assert!(!hands.has_proxies() && hands.read().unwrap().proxied.is_empty());
        host.ip("link del up0");
        hands.apply(&[remove(addresses[0])]).unwrap();
        let refused = hands.apply(&[step(addresses[0])]).unwrap_err();
        assert!(refused.reason.contains("cannot answer for 10.65.0.2 on up0"), "{refused:?}");
    });
}

fn new_link(netns: PathBuf) -> NewLink {
    NewLink {
        interface: interface("popa"),
        mac: HOST_MAC,
        container_interface: "eth0".into(),
        container_mac: CONTAINER_MAC,
        netns,
        mtu_bytes: 1400,
        gateway_v6: None,
        macvlan: None,
    }
}

fn attach(container: &Namespace) -> Vec<Step> {
    use poplin_node::kernel::Target;
    let set_neighbour = |address: &str| Step::SetNeighbour {
        interface: interface("popa"),
        address: address.parse().unwrap(),
        mac: CONTAINER_MAC,
    };
    let set_route = |destination: &str| Step::SetRoute {
        destination: destination.parse().unwrap(),
        target: Target::Link(interface("popa")),
        source: None,
    };
    vec![
        Step::EnableForwarding,
        Step::AddGateway("169.254.1.1".parse().unwrap()),
        Step::CreateLink(new_link(container.path())),
        Step::ConfigureLink(interface("popa")),
        Step::RaiseLink(interface("popa")),
        set_neighbour("10.65.0.2"),
        set_neighbour("fd65::2"),
        set_route("10.65.0.2/32"),
        set_route("fd65::2/128"),
    ]
}
