//! Three routers that install what two internal neighbours teach, over several ways at once, and tell nobody.

use poplin_lab::{Agent, Bird, Frr, Lab, Namespace};

use crate::bed::{ASN, HOLD_SECS, US, neighbour};
use crate::daemon::Who;

/// A router with a kernel.
pub(crate) enum Router {
    Poplin(Agent),
    Bird(Bird),
    Frr(Frr),
}

impl Router {
    pub(crate) fn new(who: Who, lab: &Lab) -> Self {
        match who {
            Who::Poplin => Self::Poplin(Agent::speaker(lab, lab.namespace("router"), "router", &poplin())),
            Who::Bird => Self::Bird(Bird::new(lab, "router")),
            Who::Frr => Self::Frr(Frr::new(lab, "router")),
            Who::Gobgp => panic!("it has no kernel of its own"),
        }
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        match self {
            Self::Poplin(agent) => agent.namespace(),
            Self::Bird(bird) => bird.namespace(),
            Self::Frr(frr) => frr.namespace(),
        }
    }

    pub(crate) fn start(&mut self) {
        match self {
            Self::Poplin(agent) => agent.launch(),
            Self::Bird(bird) => bird.start_with(&configuration_of_bird()),
            Self::Frr(frr) => frr.start(&configuration_of_frr()),
        }
    }

    pub(crate) fn said(&self) -> String {
        match self {
            Self::Poplin(agent) => agent.said(),
            Self::Bird(bird) => bird.birdc("show protocols all"),
            Self::Frr(frr) => frr.vtysh(&["show bgp summary"]),
        }
    }
}

fn poplin() -> String {
    let head = format!(
        "asn = {ASN}\nrouterId = \"{US}\"\naddresses = [\"{US}\"]\nlisten = [\"{US}:179\"]\nkernelRoutes = true\n"
    );
    let peer = |number: u8| {
        let address = neighbour(number);
        format!(
            "[peers.n{number}]\naddress = \"{address}\"\nasn = {ASN}\npassive = true\nholdTimeSeconds = {HOLD_SECS}\nfamilies = [\"ipv4\"]\n"
        )
    };
    head + &peer(0) + &peer(1)
}

fn configuration_of_bird() -> String {
    let peer = |number: u8| {
        let address = neighbour(number);
        format!(
            "protocol bgp {{ local {US} as {ASN}; neighbor {address} as {ASN}; direct; passive; hold time {HOLD_SECS};\n\
             \x20 ipv4 {{ import all; export none; gateway direct; }}; }}\n"
        )
    };
    format!(
        "router id {US};\nlog stderr {{ warning, error, fatal, bug }};\nprotocol device {{}}\nprotocol direct {{ ipv4; }}\n\
         protocol kernel {{ merge paths on; ipv4 {{ import none; export where source = RTS_BGP; }}; }}\n{}{}",
        peer(0),
        peer(1)
    )
}

fn configuration_of_frr() -> String {
    let peer = |number: u8| {
        let address = neighbour(number);
        format!(
            " neighbor {address} remote-as {ASN}\n neighbor {address} passive\n neighbor {address} timers {} {HOLD_SECS}\n",
            HOLD_SECS / 3
        )
    };
    format!(
        "router bgp {ASN}\n bgp router-id {US}\n{}{} address-family ipv4 unicast\n  maximum-paths ibgp 8\n exit-address-family\n",
        peer(0),
        peer(1)
    )
}
