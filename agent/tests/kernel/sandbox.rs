//! A container's own interface on a LAN: closed until its rules stand where it is, and gone before they are.

use std::collections::BTreeMap;
use std::net::SocketAddrV6;

use poplin_agent::kernel::Hands;
use poplin_node::kernel::{Mac, MacvlanMode, NewLink, NewMacvlan, Step, StepFailureKind};
use poplin_policy::compile::{Sandbox, compile, in_sandbox};
use poplin_policy::delta::between;
use poplin_policy::host::{Failsafe, Host, Settings, WorkloadToHost};
use poplin_policy::model::Endpoint;
use poplin_policy::nat::Edge;
use poplin_policy::ruleset::Ruleset;
use poplin_policy::world::World;
use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket, sockopt};

use crate::lab::{Namespace, eventually, interface, stdout};

const GROUP: u32 = 0x8000_0017;
const ADDRESS: &str = "10.65.0.2";
const MACHINE: &str = "10.65.0.9";

/// A host with an interface on a LAN, a machine there, and a container that is to be on it.
pub(crate) struct Scene {
    pub(crate) host: Namespace,
    machine: Namespace,
    container: Namespace,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let [host, machine, container] = [(); 3].map(|()| Namespace::new());
        host.ip(&format!("link add up0 type veth peer name eth0 netns {}", machine.name));
        host.ip("link set up0 up");
        machine.ip(&format!("addr add {MACHINE}/24 dev eth0"));
        machine.ip("link set eth0 up");
        Self { host, machine, container }
    }

    fn apply(&self, step: Step) -> Result<(), StepFailureKind> {
        self.host.within(|| Hands::open().unwrap().apply(&[step]).map_err(|failure| failure.kind))
    }

    pub(crate) fn make(&self) {
        let new = NewLink {
            interface: interface("popa"),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            container_interface: "popa".into(),
            container_mac: Mac([2, 0, 0, 0, 0, 2]),
            netns: "".into(),
            mtu_bytes: 1400,
            gateway_v6: None,
            macvlan: Some(NewMacvlan { parent: interface("up0"), group: GROUP }),
        };
        self.apply(Step::CreateLink(new)).unwrap();
    }

    /// As a runtime does it.
    pub(crate) fn take(&self) {
        self.host.ip(&format!("link set popa netns {}", self.container.name));
        self.container.ip("link set popa name eth0");
        self.container.ip(&format!("addr add {ADDRESS}/24 dev eth0"));
        self.container.ip("link set eth0 up");
    }

    pub(crate) fn changing(&self, from: Option<&Ruleset>, to: &Ruleset) -> Step {
        let (interface, netns, mode) = (interface("popa"), self.container.path(), MacvlanMode::Bridge);
        Step::ChangeSandbox { interface, netns, changes: between(from, to), group: GROUP, mode }
    }

    pub(crate) fn leaving(&self, is_last: bool) -> Step {
        Step::LeaveSandbox { interface: interface("popa"), netns: self.container.path(), group: GROUP, is_last }
    }

    fn change(&self, from: Option<&Ruleset>, to: &Ruleset) {
        self.apply(self.changing(from, to)).unwrap();
    }

    fn leave(&self, is_last: bool) {
        self.apply(self.leaving(is_last)).unwrap();
    }

    fn tables(&self) -> String {
        stdout(&self.container.try_run("nft", "list tables"))
    }
}

/// What holds for an endpoint that no policy governs, or of which nothing is known.
pub(crate) fn rules(is_known: bool) -> Ruleset {
    let endpoint = Endpoint { addresses: vec![ADDRESS.parse().unwrap()], ..Endpoint::default() };
    let endpoints = is_known.then_some(("e".to_owned(), endpoint.clone()));
    let world = World { endpoints: endpoints.into_iter().collect(), ..World::default() };
    let settings = Settings {
        interface_prefix: "pop".to_owned(),
        workload_to_host: WorkloadToHost::Drop,
        serves_names: false,
        failsafe: Failsafe::default(),
    };
    let interfaces = [("e".to_owned(), interface("popa"))].into();
    let host = Host { interfaces, host_endpoints: BTreeMap::new(), edge: Edge::default(), settings };
    let whose = Sandbox { interface: interface("popa"), group: GROUP, addresses: endpoint.addresses };
    in_sandbox(&compile(&world, &host), &whose)
}

#[test]
fn nothing_passes_before_the_rules_stand_and_nothing_is_left_after_them() {
    let scene = Scene::new();
    let Scene { host, machine, container } = &scene;
    scene.make();
    let waiting = host.within(|| Hands::open().unwrap().read().unwrap().links);
    assert!(!waiting[&interface("popa")].is_up, "it is known while it waits");
    scene.take();

    assert!(!container.reaches(MACHINE) && !machine.reaches(ADDRESS));
    for state in ["down", "up"] {
        host.ip(&format!("link set up0 {state}"));
    }
    assert!(!container.reaches(MACHINE) && !machine.reaches(ADDRESS), "a cable that was pulled opens nothing");

    scene.change(None, &rules(true));
    assert!(eventually(|| container.reaches(MACHINE) && machine.reaches(ADDRESS)));
    container.ip("addr add 10.77.0.5/32 dev lo");
    machine.ip(&format!("route add 10.77.0.5 via {ADDRESS}"));
    assert!(!machine.reaches("10.77.0.5"), "it is an address of another interface, whatever way it is sent");
    assert!(scene.tables().contains("table inet popa"));
    let told = stdout(&container.try_run("nft", "list table inet popa"));
    assert!(told.contains("iifgroup != ") && told.contains("oifgroup != "), "{told}");

    scene.change(Some(&rules(true)), &rules(false));
    assert!(!machine.reaches(ADDRESS) && !container.reaches(MACHINE));
    assert!(container.reaches("127.0.0.1"), "what is on other interfaces is let alone");
    scene.change(None, &rules(true));
    assert!(machine.reaches(ADDRESS), "begun anew it is as good");

    container.ip("addr add 169.254.1.1/32 dev lo scope link");
    scene.leave(false);
    assert_eq!(scene.tables(), "");
    assert!(!container.ip("-o link show").contains("eth0"));
    assert!(container.ip("addr show lo").contains("169.254.1.1"), "another of ours may be there, who asks for names");
    scene.leave(true);
    assert!(!container.ip("addr show lo").contains("169.254.1.1"));
}

#[test]
fn where_a_container_is_gone_its_rules_cannot_be_written_and_need_not_be_removed() {
    let scene = Scene::new();
    scene.make();
    let (gone, mode) = ("/run/netns/poplin-test-gone".into(), MacvlanMode::Bridge);
    let change = Step::ChangeSandbox {
        interface: interface("popa"),
        netns: gone,
        changes: between(None, &rules(true)),
        group: GROUP,
        mode,
    };

    assert_eq!(scene.apply(change), Err(StepFailureKind::NamespaceMissing));
    let leave = |netns: &str| Step::LeaveSandbox {
        interface: interface("popa"),
        netns: netns.into(),
        group: GROUP,
        is_last: true,
    };
    assert_eq!(scene.apply(leave("/run/netns/poplin-test-gone")), Ok(()));
    assert_eq!(scene.apply(leave("/dev/null")), Ok(()), "what Docker leaves is a file");
    assert_eq!(scene.apply(Step::DeleteLink(interface("popa"))), Ok(()));
}

/// A router's advertisement (RFC 4861 §4.2): by me for half an hour, and 2001:db8:5::/64 is on this link, for whoever makes himself an address there.
const ADVERTISEMENT: [u8; 48] = [
    134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, // the kernel writes the checksum
    3, 4, 64, 0xc0, 0, 0, 0x07, 0x08, 0, 0, 0x07, 0x08, 0, 0, 0, 0, //
    0x20, 0x01, 0x0d, 0xb8, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

#[test]
fn whoever_calls_himself_a_router_of_the_lan_changes_no_routes_of_a_container() {
    let scene = Scene::new();
    let Scene { host, machine, container } = &scene;
    scene.make();
    scene.take();
    scene.change(None, &rules(true));
    assert!(eventually(|| container.reaches(MACHINE)));
    let everybody = |index| SocketAddrV6::new("ff02::1".parse().unwrap(), 0, 0, index);
    let advertise = || {
        machine.within(|| {
            let socket = socket(AddressFamily::INET6, SocketType::RAW, Some(ipproto::ICMPV6)).unwrap();
            sockopt::set_ipv6_multicast_hops(&socket, 255).unwrap();
            sendto(&socket, &ADVERTISEMENT, SendFlags::empty(), &everybody(machine.index("eth0"))).is_ok()
        })
    };
    let learned =
        |who: &Namespace| who.ip("-6 route show table all proto ra") + &who.ip("-6 addr show to 2001:db8:5::/64");

    assert!(
        eventually(|| advertise() && learned(host).contains("default")),
        "the host, which has no rules, believes it"
    );
    assert!(advertise());
    assert!(container.reaches(MACHINE), "what was sent before has come");
    assert_eq!(learned(container), "");
}
