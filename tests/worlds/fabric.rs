//! One host with a few containers and everybody else behind its uplink, and sockets into all of them.
//!
//! ```text
//! c1, c2, … ── pop-e1, pop-e2, … ─ host ┬ eth0 ── outside (remote endpoints, the rest of the world)
//!                                        └ eth1 ── outside (what always passes)
//! ```
//! Nobody but the host owns an address: what arrives is seen by packet sockets (packet(7)) and answered by no kernel. What arrives at
//! the host itself is seen by raw sockets (raw(7)), which are given what passed its input; what its kernel would answer is dropped. One
//! thread on one processor sends everything. There the kernel handles packets in the order they were sent, so once a
//! packet that always passes has arrived, whatever was sent before it has arrived too, or never will.

use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};
use std::{fs, thread};

use netlink_sys::constants::NETLINK_NETFILTER;
use poplin_agent::kernel::Hands;
use poplin_lab::{Lab, Namespace};
use poplin_node::kernel::{Mac, NewLink, Step, Target};
use poplin_policy::packet::Packet;
use rustix::io::Errno;
use rustix::net::addr::SocketAddrArg as _;
use rustix::net::{
    AddressFamily, MMsgHdr, Protocol, RecvFlags, SendAncillaryBuffer, SendFlags, SocketFlags, SocketType, recv,
    sendmmsg, sendto, socket_with,
};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::fleet::interface_of;
use crate::strategy::endpoint_address;
use crate::wire::{self, Standing};

/// Who sends or receives: container *n*, 0 for the outside, or the host itself.
pub(crate) type Place = u8;

/// The outside.
pub(crate) const OUTSIDE: Place = 0;

/// The host itself, if it listens.
pub(crate) const HOST: Place = Place::MAX;

/// The host's addresses at its uplink.
pub(crate) const HOST_ADDRESSES: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(172, 31, 0, 2)), IpAddr::V6(Ipv6Addr::new(0xfd31, 0, 0, 0, 0, 0, 0, 2))];

/// The host's interface at which nobody is asked, for the packet that always passes, and where that goes.
pub(crate) const UNASKED: &str = "eth1";
const LAST: &str = "203.0.113.2";

const HOST_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

/// How long the packet that always passes may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Protocol of IPPROTO_RAW (raw(7)): the sender writes the IP header.
const RAW: u32 = 255;

/// Protocols of probes.
const PROTOCOLS: [u32; 8] = [1, 6, 17, 47, 50, 58, 132, 136];

/// Whatever the kernel answers by itself stays unsaid, but for what its links need: only what a socket of ours sends has an owner.
const MUTE: &str = "table inet mute {
    chain output {
        type filter hook output priority -400;
        meta skuid >= 0 accept
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
        drop
    }
}";

/// Ethertypes (linux/if_ether.h).
const ETHERTYPES: [u16; 2] = [0x0800, 0x86dd];

/// The host, its neighbours, and the thread's sockets in all of them.
pub(crate) struct Fabric {
    hands: Hands,
    conntrack: netlink_sys::Socket,
    places: Vec<Sockets>,
    probes: u32,
    host: Namespace,
    /// The host's own, if it listens.
    own: Option<Sockets>,
    others: Vec<Namespace>,
}

/// A thread keeps its sockets when it leaves the namespace they were made in.
struct Sockets {
    senders: [OwnedFd; 2],
    receivers: Vec<OwnedFd>,
}

impl Fabric {
    /// Builds it, and pins the calling thread to one processor.
    pub(crate) fn new(lab: &Lab, containers: Place) -> Self {
        let mut one = CpuSet::new();
        one.set(rustix::thread::sched_getcpu());
        sched_setaffinity(None, &one).unwrap();

        let (host, outside) = (lab.namespace("host"), lab.namespace("outside"));
        outside.join("tohost", &["172.31.0.1/24", "fd31::1/64"], &host, "eth0", &["172.31.0.2/24", "fd31::2/64"]);
        outside.join("tolast", &["172.31.9.1/24"], &host, UNASKED, &["172.31.9.2/24"]);
        outside.run("ip", &["route", "add", LAST, "via", "172.31.9.2"]);
        host.run("ip", &["route", "add", LAST, "via", "172.31.9.1"]);
        for route in [["-4", "172.31.0.2"], ["-6", "fd31::2"]] {
            outside.run("ip", &[route[0], "route", "add", "default", "via", route[1]]);
        }
        for route in [["-4", "172.31.0.1"], ["-6", "fd31::1"]] {
            host.run("ip", &[route[0], "route", "add", "default", "via", route[1]]);
            host.run("ping", &["-c1", "-W2", "-n", route[1]]);
        }
        let (mut hands, conntrack) = host.within(|| {
            let filters = ["all/rp_filter", "eth0/rp_filter", "eth1/rp_filter", "all/send_redirects"];
            for family in filters.map(|filter| format!("ipv4/conf/{filter}")) {
                fs::write(format!("/proc/sys/net/{family}"), "0").unwrap();
            }
            (Hands::open().unwrap(), netlink_sys::Socket::new(NETLINK_NETFILTER).unwrap())
        });
        let containers: Vec<_> = (1..=containers).map(|number| lab.namespace(&format!("c{number}"))).collect();
        // The switches are files of the namespace of whoever opens them.
        host.within(|| {
            hands.apply(&[Step::EnableForwarding]).unwrap();
            for (number, container) in (1..).zip(&containers) {
                hands.apply(&attached(number, container)).unwrap();
            }
        });
        for container in &containers {
            container.run("sh", &["-ec", CONTAINER_SIDE]);
        }
        let others: Vec<_> = std::iter::once(outside).chain(containers).collect();
        let places = others.iter().map(|place| place.within(Sockets::open)).collect();
        Self { hands, conntrack, places, probes: 0, host, own: None, others }
    }

    /// The host itself takes part, too.
    pub(crate) fn with_host(mut self) -> Self {
        self.host.run("nft", &[MUTE]);
        self.own = Some(self.host.within(Sockets::open_at_host));
        self
    }

    /// The kernel's side of the host.
    pub(crate) fn apply(&mut self, steps: &[Step]) {
        if let Err(failure) = self.hands.apply(steps) {
            panic!("{}: {}", failure.step.describe(), failure.reason);
        }
    }

    /// Forgets every flow.
    pub(crate) fn forget_flows(&self) {
        // struct nlmsghdr: IPCTNL_MSG_CT_DELETE, request and acknowledge; struct nfgenmsg: any family. No filter: all.
        let message = [20, 0, 0, 0, 2, 1, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        self.conntrack.send(&message, 0).unwrap();
        let (answer, _) = self.conntrack.recv_from_full().unwrap();
        assert_eq!(answer[16..20], [0; 4], "flows can be forgotten");
    }

    /// Sends one packet from a place, and says by which number it will be known.
    pub(crate) fn send(&mut self, from: Place, packet: &Packet, standing: Standing, flow: u16) -> u32 {
        self.probes += 1;
        let octets = wire::write(packet, standing, flow, self.probes);
        let sockets = if from == HOST { self.own.as_ref().unwrap() } else { &self.places[usize::from(from)] };
        let sender = &sockets.senders[usize::from(packet.source.is_ipv6())];
        match sendto(sender, &octets, SendFlags::empty(), &SocketAddr::new(packet.destination, 0)) {
            // The host is told what its own rules drop.
            Err(Errno::PERM) if from == HOST => {}
            sent => _ = sent.unwrap(),
        }
        self.probes
    }

    /// Sends prepared packets of one family to one destination, as fast as it goes.
    pub(crate) fn blast(&self, from: Place, destination: IpAddr, packets: &[Vec<u8>]) {
        let sender = &self.places[usize::from(from)].senders[usize::from(destination.is_ipv6())];
        let address = SocketAddr::new(destination, 0).as_any();
        for burst in packets.chunks(64) {
            let slices: Vec<_> = burst.iter().map(|packet| [IoSlice::new(packet)]).collect();
            let mut controls: Vec<_> = burst.iter().map(|_| SendAncillaryBuffer::default()).collect();
            let parts = slices.iter().zip(&mut controls);
            let mut messages: Vec<_> =
                parts.map(|(slice, control)| MMsgHdr::new_with_addr(&address, slice, control)).collect();
            assert_eq!(sendmmsg(sender, &mut messages, SendFlags::empty()), Ok(burst.len()));
        }
    }

    /// How many packets a container has been given.
    pub(crate) fn received_by(&self, place: Place) -> u64 {
        let count = self.others[usize::from(place)].run("cat", &["/sys/class/net/eth0/statistics/rx_packets"]);
        count.trim().parse().unwrap()
    }

    /// Stops listening, which costs every packet a copy.
    pub(crate) fn deafen(&mut self) {
        for place in &mut self.places {
            place.receivers.clear();
        }
    }

    /// Everything that arrived since the last time, and where. Whatever was sent and is not here was dropped.
    pub(crate) fn arrivals(&mut self) -> Vec<(u32, Place)> {
        let address = |text: &str| text.parse().unwrap();
        let passing = Packet::udp(address("203.0.113.1"), address(LAST), (9, 9));
        let last = self.send(OUTSIDE, &passing, Standing::First, 0);
        let mut arrived = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let outside = &self.places[usize::from(OUTSIDE)].receivers[0];
            let new = waiting_in(outside);
            let is_last = new.contains(&last);
            arrived.extend(new.into_iter().filter(|number| *number != last).map(|number| (number, OUTSIDE)));
            if is_last {
                break;
            }
            assert!(Instant::now() < deadline, "a packet no policy speaks of did not pass");
            thread::yield_now(); // to the kernel's own thread, which shares this processor
        }
        for (place, sockets) in (0..).zip(&self.places).chain(self.own.iter().map(|own| (HOST, own))) {
            let here = sockets.receivers.iter().flat_map(waiting_in);
            arrived.extend(here.map(|number| (number, place)));
        }
        arrived
    }
}

impl Sockets {
    /// At a host all that passed its input is wanted, and nothing that only came by.
    fn open_at_host() -> Self {
        let families = [AddressFamily::INET, AddressFamily::INET6];
        let of_protocols = families.into_iter().flat_map(|family| PROTOCOLS.map(|protocol| (family, protocol)));
        let raw = |(family, protocol)| open(family, SocketType::RAW, protocol);
        Self { receivers: of_protocols.map(raw).collect(), ..Self::open() }
    }

    fn open() -> Self {
        let raw = |family| open(family, SocketType::RAW, RAW);
        // Sockets of one ethertype hear what comes in; those of all would hear what goes out too.
        let packets = |ethertype: u16| open(AddressFamily::PACKET, SocketType::DGRAM, u32::from(ethertype.to_be()));
        Self {
            senders: [AddressFamily::INET, AddressFamily::INET6].map(raw),
            receivers: ETHERTYPES.map(packets).into(),
        }
    }
}

fn open(family: AddressFamily, kind: SocketType, protocol: u32) -> OwnedFd {
    let protocol = NonZeroU32::new(protocol).map(Protocol::from_raw);
    socket_with(family, kind, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, protocol).unwrap()
}

/// The numbers of the probes in a socket.
fn waiting_in(socket: impl AsFd) -> Vec<u32> {
    let mut octets = [0; 256];
    let lengths = std::iter::from_fn(|| {
        let (_, length) = recv(&socket, &mut octets[..], RecvFlags::empty()).ok()?;
        Some(wire::number_of(&octets[..length.min(256)]))
    });
    lengths.flatten().collect()
}

/// The steps that join a container to the host, for all addresses its number may have.
fn attached(number: Place, container: &Namespace) -> Vec<Step> {
    let interface = interface_of(&format!("e{number}"));
    let mac = mac_of(number);
    let link = NewLink {
        interface: interface.clone(),
        mac: HOST_MAC,
        container_interface: "eth0".to_owned(),
        container_mac: mac,
        netns: container.path(),
        mtu_bytes: 1500,
        gateway_v6: None,
        macvlan: None,
    };
    vec![
        Step::CreateLink(link),
        Step::ConfigureLink(interface.clone()),
        Step::RaiseLink(interface.clone()),
        neighbour(number, endpoint_address(number, false)),
        neighbour(number, endpoint_address(number, true)),
    ]
}

fn mac_of(number: Place) -> Mac {
    Mac([2, 0, 0, 0, 1, number])
}

/// The step that tells the host who answers to an address of a container.
pub(crate) fn neighbour(number: Place, address: IpAddr) -> Step {
    Step::SetNeighbour { interface: interface_of(&format!("e{number}")), address, mac: mac_of(number) }
}

const CONTAINER_SIDE: &str = "
ip link set eth0 up
ip address add fe80::2/64 dev eth0 nodad
ip neighbour add 169.254.1.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent
ip neighbour replace fe80::1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent
ip route add default via 169.254.1.1 dev eth0 onlink
ip -6 route add default via fe80::1 dev eth0";

/// The step that leads one of the usual addresses to its container, or like all others to the outside.
pub(crate) fn route_to(number: Place, is_v6: bool, is_here: bool) -> Step {
    let address = endpoint_address(number, is_v6);
    match is_here {
        true => route(number, address),
        false => Step::RemoveRoute(address.into()),
    }
}

/// The step that leads an address to a container.
pub(crate) fn route(number: Place, address: IpAddr) -> Step {
    Step::SetRoute {
        destination: address.into(),
        target: Target::Link(interface_of(&format!("e{number}"))),
        source: None,
    }
}
