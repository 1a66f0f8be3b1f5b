//! What a request comes down to, given what the store and the kernel hold already.
//!
//! In: an attachment or a detachment, the mirror, the kernel. Out: one of a few next moves. Decides, and does nothing.

use std::net::IpAddr;

use poplin_policy::label::Labels;
use poplin_policy::nat::Published;
use poplin_policy::ruleset::Interface;

use crate::addresses::Addresses;
use crate::ground::Ground;
use crate::ipam::{self, Draft};
use crate::kernel::{INTERFACE_PREFIX, KernelState, Mac};
use crate::mirror::Mirror;
use crate::name::{AttachmentId, EndpointName, HostName};
use crate::names::MOST_ALIASES;
use crate::object::{Endpoint, Host, Network, ObjectKey};
use crate::request::{Attach, Detach, Refusal, Renew};
use crate::stable::hash64;
use crate::tunnel::{self, container_mtu_bytes};

/// The next move of an attachment.
#[derive(Debug)]
pub enum Move {
    /// It is as wanted in the store: see to the kernel.
    Wire,
    /// Write this down first.
    Store(Endpoint),
}

/// What an attachment needs next. Addresses are taken in `draft`.
pub fn next_move(
    mirror: &Mirror,
    kernel: &KernelState,
    draft: &mut Draft,
    host: &Host,
    mtu_bytes: u32,
    attach: &Attach,
) -> Result<Move, Refusal> {
    let Some(known) = mirror.endpoint_of(&attach.attachment, &host.name) else {
        return new_endpoint(mirror, kernel, draft, host, mtu_bytes, attach).map(Move::Store);
    };
    if known.host != host.name {
        return Err(Refusal::AttachedElsewhere { attachment: attach.attachment.clone(), host: known.host.clone() });
    }
    let is_standing = kernel.links.contains_key(&known.interface);
    if is_standing && known.netns != attach.netns {
        return Err(Refusal::OtherNamespace { attachment: attach.attachment.clone(), netns: known.netns.clone() });
    }
    fits_published(mirror, &host.name, (&attach.attachment, &known.addresses), &attach.published)?;
    let renewed = Endpoint {
        netns: attach.netns.clone(),
        labels: attach.labels.clone(),
        namespace: home(attach),
        profiles: attach.profiles.clone(),
        network: attach.network.clone(),
        aliases: attach.aliases.clone(),
        ports: attach.ports.clone(),
        published: attach.published.clone(),
        is_sticky: attach.is_sticky,
        ..known.clone()
    };
    Ok(if renewed == *known { Move::Wire } else { Move::Store(renewed) })
}

/// An endpoint of this host as it is, and as it is to be from now on; nothing if it is not there.
pub fn renewed(mirror: &Mirror, host: &HostName, renew: &Renew) -> Result<Option<(Endpoint, Endpoint)>, Refusal> {
    let Some(known) = mirror.endpoint_on(&renew.attachment, host) else { return Ok(None) };
    let published = renew.published.as_ref().unwrap_or(&known.published).clone();
    if published != known.published {
        fits_published(mirror, host, (&known.attachment, &known.addresses), &published)?;
    }
    let is_free = |name: &&EndpointName| **name == known.name || !stands(mirror, name);
    let name = renew.names.iter().find(is_free).unwrap_or(&known.name).clone();
    let labels = renew.labels.over(&known.labels);
    // Nobody could read an endpoint with more.
    let labels = if labels.iter().count() > Labels::MAX_COUNT { renew.labels.clone() } else { labels };
    let all = &known.aliases | &renew.aliases;
    let aliases = if all.len() > MOST_ALIASES { known.aliases.clone() } else { all };
    let container = renew.container.clone().or_else(|| known.container.clone());
    let netns = renew.netns.clone().unwrap_or_else(|| known.netns.clone());
    Ok(Some((known.clone(), Endpoint { name, labels, published, aliases, container, netns, ..known.clone() })))
}

/// Where it lives: whoever joins a network lives in the namespace of its name.
fn home(attach: &Attach) -> Option<String> {
    attach.network.as_ref().map(ToString::to_string).or_else(|| attach.namespace.clone())
}

fn new_endpoint(
    mirror: &Mirror,
    kernel: &KernelState,
    draft: &mut Draft,
    host: &Host,
    uplink_bytes: u32,
    attach: &Attach,
) -> Result<Endpoint, Refusal> {
    if attach.is_sticky && attach.name.is_none() {
        return Err(Refusal::StickyWithoutName { attachment: attach.attachment.clone() });
    }
    let name = endpoint_name(mirror, host, attach)?;
    let ground = Ground::of(mirror, attach.network.as_ref(), attach.namespace.as_deref())?;
    let parent = ground.network().map(|network| parent_of(network, kernel, host, attach)).transpose()?.flatten();
    let addresses: Addresses = ipam::choose(mirror, draft, host, attach, &ground)?.into_iter().collect();
    let of_parent = parent.as_ref().and_then(|parent| kernel.mtus.get(parent.as_str()).copied());
    let mtu_bytes = ground.network().and_then(|network| network.mtu_bytes).or(of_parent);
    let mtu_bytes = mtu_bytes.unwrap_or_else(|| container_mtu_bytes(mirror, host, &addresses, uplink_bytes));
    fits_published(mirror, &host.name, (&attach.attachment, &addresses), &attach.published)?;
    Ok(Endpoint {
        name,
        labels: attach.labels.clone(),
        namespace: home(attach),
        profiles: attach.profiles.clone(),
        network: attach.network.clone(),
        ports: attach.ports.clone(),
        published: attach.published.clone(),
        host: host.name.clone(),
        addresses,
        interface: interface_name(&attach.attachment),
        mac: attach.mac.unwrap_or_else(|| mac_of(&attach.attachment, "container")),
        netns: attach.netns.clone(),
        mtu_bytes,
        aliases: attach.aliases.clone(),
        container: None,
        attachment: attach.attachment.clone(),
        is_sticky: attach.is_sticky,
        since: attach.at,
        parent,
    })
}

/// The interface of this host that its own is to be on, where the network's are on a LAN.
fn parent_of(
    network: &Network,
    kernel: &KernelState,
    host: &Host,
    attach: &Attach,
) -> Result<Option<Interface>, Refusal> {
    let Some(macvlan) = &network.macvlan else { return Ok(None) };
    let (network, parent) = (network.name.clone(), &macvlan.parent);
    if !attach.netns.as_os_str().is_empty() {
        return Err(Refusal::MacvlanForDocker { network });
    }
    match kernel.interfaces.contains_key(parent) {
        true => Ok(Some(parent.clone())),
        false => Err(Refusal::NoParent { network, parent: parent.to_string(), host: host.name.clone() }),
    }
}

/// Whether what is to be published can be: nobody else on this host has it, and it leads somewhere.
fn fits_published(
    mirror: &Mirror,
    host: &HostName,
    (attachment, addresses): (&AttachmentId, &[IpAddr]),
    published: &[Published],
) -> Result<(), Refusal> {
    for wanted in published {
        if !addresses.iter().any(|address| wanted.concerns(address.is_ipv6())) {
            let (wanted, attachment) = (wanted.clone(), attachment.clone());
            return Err(Refusal::PortLeadsNowhere { wanted, attachment });
        }
        if let Some(door) = tunnel::door(mirror, host).filter(|door| door.overlaps(wanted)) {
            return Err(Refusal::PortOfTunnels { wanted: wanted.clone(), door });
        }
        for other in mirror.endpoints_on(host).filter(|other| other.attachment != *attachment) {
            if let Some(held) = other.published.iter().find(|held| held.overlaps(wanted)) {
                let (wanted, held, holder) = (wanted.clone(), held.clone(), other.name.clone());
                return Err(Refusal::PortTaken { wanted, held, holder });
            }
        }
    }
    Ok(())
}

/// The wanted name if it is free; where none is wanted, the first of the preferred ones that is, else one made of host, container and interface.
fn endpoint_name(mirror: &Mirror, host: &Host, attach: &Attach) -> Result<EndpointName, Refusal> {
    let AttachmentId { container, interface } = &attach.attachment;
    let Some(name) = &attach.name else {
        if let Some(name) = attach.preferred.iter().find(|name| !stands(mirror, name)) {
            return Ok(name.clone());
        }
        let short: String = container.chars().take(12).collect();
        let made = match interface.as_str() {
            "eth0" => plain(&format!("{}-{short}", host.name)),
            other => plain(&format!("{}-{short}-{other}", host.name)),
        };
        let is_taken = stands(mirror, &EndpointName::new(made.as_str()));
        let suffix = format!("-{:012x}", hash64(&[container, interface]) & 0xffff_ffff_ffff);
        return Ok(EndpointName::new(if is_taken { made + &suffix } else { made }));
    };
    match mirror.endpoint(name) {
        None if stands(mirror, name) => Err(Refusal::Unreadable { what: format!("endpoint {name}") }),
        None => Ok(name.clone()),
        Some(other) => Err(Refusal::NameTaken {
            name: name.clone(),
            attachment: other.attachment.clone(),
            host: other.host.clone(),
        }),
    }
}

/// Whether an endpoint of that name stands in the store, readable or not.
fn stands(mirror: &Mirror, name: &EndpointName) -> bool {
    mirror.version(&ObjectKey::Endpoint(name.clone())).is_some()
}

/// Lower case letters, digits, dots and dashes only, as object names are.
fn plain(text: &str) -> String {
    let keep = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
    text.to_ascii_lowercase().chars().map(keep).collect::<String>().trim_matches(['-', '.']).to_owned()
}

/// The host side's name: our prefix and 48 bits of a stable hash, so that a restarted agent knows its own.
pub fn interface_name(attachment: &AttachmentId) -> Interface {
    let hash = hash64(&["interface", &attachment.container, &attachment.interface]) & 0xffff_ffff_ffff;
    Interface::new(format!("{INTERFACE_PREFIX}{hash:012x}")).expect("prefix and 12 digits are a name the kernel takes")
}

/// What the far end is called while it waits in the host's own namespace. Not with our prefix: by that we know near ends.
pub fn waiting_name(attachment: &AttachmentId) -> String {
    let hash = hash64(&["interface", &attachment.container, &attachment.interface]) & 0xffff_ffff_ffff;
    format!("{WAITING_PREFIX}{hash:012x}")
}

/// What names of far ends begin with while they wait.
const WAITING_PREFIX: &str = "far";

/// A stable, locally administered MAC (IEEE 802 §8.2.2) for one side of an attachment.
pub fn mac_of(attachment: &AttachmentId, side: &str) -> Mac {
    let hash = hash64(&["mac", side, &attachment.container, &attachment.interface]).to_be_bytes();
    Mac([0x02, hash[1], hash[2], hash[3], hash[4], hash[5]])
}

/// The endpoint a detachment means; nothing if there is none.
pub fn departing<'a>(mirror: &'a Mirror, host: &Host, detach: &Detach) -> Result<Option<&'a Endpoint>, Refusal> {
    match detach {
        Detach::Attachment(attachment) => Ok(mirror.endpoint_on(attachment, &host.name)),
        Detach::Endpoint(name) | Detach::Remains(name) => match mirror.endpoint(name) {
            Some(endpoint) if endpoint.host != host.name => {
                Err(Refusal::DetachElsewhere { name: name.clone(), host: endpoint.host.clone() })
            }
            found => Ok(found),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::kernel::LinkState;
    use crate::name::PoolName;
    use crate::object::{Object, Pool, Versioned};
    use crate::tunnel::Encapsulation;
    use poplin_policy::label::Labels;

    fn host(name: &str) -> Host {
        Host::bare(name)
    }

    fn wish(container: &str, netns: &str) -> Attach {
        Attach {
            attachment: AttachmentId { container: container.to_owned(), interface: "eth0".to_owned() },
            name: None,
            preferred: Vec::new(),
            labels: Labels::default(),
            namespace: None,
            ports: Vec::new(),
            published: Vec::new(),
            netns: netns.into(),
            addresses: BTreeSet::new(),
            has_all_addresses: false,
            mac: None,
            network: None,
            pools: BTreeSet::new(),
            is_sticky: false,
            profiles: Vec::new(),
            at: None,
            aliases: BTreeSet::new(),
        }
    }

    fn mirror() -> Mirror {
        let mut mirror = Mirror::default();
        let pool = Pool::open(PoolName::new("four"), "10.77.0.0/24".parse().unwrap(), 26);
        mirror.change(1, vec![Versioned { value: Object::Pool(pool), version: 1 }], vec![], vec![]);
        mirror
    }

    fn decide(mirror: &Mirror, kernel: &KernelState, on: &str, attach: &Attach) -> Result<Move, Refusal> {
        next_move(mirror, kernel, &mut Draft::default(), &host(on), 1500, attach)
    }

    /// A mirror in which that wish was written down on h1.
    fn with(attach: &Attach) -> (Mirror, Endpoint) {
        let mut mirror = mirror();
        let Ok(Move::Store(endpoint)) = decide(&mirror, &KernelState::default(), "h1", attach) else {
            panic!("a first wish is to be written down")
        };
        let value = Object::Endpoint(endpoint.clone());
        mirror.change(2, vec![Versioned { value, version: 2 }], vec![], vec![]);
        (mirror, endpoint)
    }

    fn with_link(endpoint: &Endpoint) -> KernelState {
        let mut kernel = KernelState::default();
        let link = LinkState {
            index: 1,
            is_up: true,
            mac: Mac([2; 6]),
            mtu_bytes: 1500,
            is_configured: true,
            has_loopback: false,
        };
        kernel.links.insert(endpoint.interface.clone(), link);
        kernel
    }

    #[test]
    fn asking_again_for_the_same_changes_nothing() {
        let attach = wish("web", "/run/netns/a");
        let (mirror, endpoint) = with(&attach);

        let again = decide(&mirror, &with_link(&endpoint), "h1", &attach);

        assert!(matches!(again, Ok(Move::Wire)));
    }

    #[test]
    fn another_namespace_is_refused_while_the_link_stands_and_taken_once_it_is_gone() {
        let (mirror, endpoint) = with(&wish("web", "/run/netns/a"));
        let moved = wish("web", "/run/netns/b");

        let standing = decide(&mirror, &with_link(&endpoint), "h1", &moved);
        let gone = decide(&mirror, &KernelState::default(), "h1", &moved);

        assert!(matches!(standing, Err(Refusal::OtherNamespace { .. })));
        let Ok(Move::Store(renewed)) = gone else { panic!("it is written down anew") };
        assert_eq!((renewed.netns, renewed.addresses), (moved.netns, endpoint.addresses));
    }

    #[test]
    fn an_attachment_of_another_host_is_refused() {
        let attach = wish("web", "/run/netns/a");
        let (mirror, _) = with(&attach);

        let elsewhere = decide(&mirror, &KernelState::default(), "h2", &attach);

        assert!(matches!(elsewhere, Err(Refusal::AttachedElsewhere { host, .. }) if host.as_str() == "h1"));
    }

    fn publishing(container: &str, port: &str) -> Attach {
        Attach { published: vec![port.parse().unwrap()], ..wish(container, &format!("/run/netns/{container}")) }
    }

    #[test]
    fn a_port_that_somebody_on_the_same_host_publishes_is_refused_by_its_holder() {
        let (mirror, endpoint) = with(&publishing("web", "8080:80"));
        let decide = |on, attach: &Attach| decide(&mirror, &KernelState::default(), on, attach);

        let taken = decide("h1", &publishing("api", "192.0.2.1:8000-9000:8000-9000"));

        let Err(Refusal::PortTaken { holder, held, .. }) = &taken else { panic!("{taken:?}") };
        assert_eq!((holder, held.to_string().as_str()), (&endpoint.name, "8080:80/tcp"));
        assert!(matches!(decide("h1", &publishing("api", "8080:80/udp")), Ok(Move::Store(_))));
        assert!(matches!(decide("h2", &publishing("api", "8080:80")), Ok(Move::Store(_))));
        assert!(matches!(decide("h1", &publishing("web", "8080:81")), Ok(Move::Store(_))), "it may change its own");
    }

    #[test]
    fn the_port_of_tunnels_is_published_for_nobody_where_there_are_any() {
        let pool = |encapsulation| {
            let open = Pool::open(PoolName::new("p"), "10.77.0.0/16".parse().unwrap(), 26);
            Versioned { value: Object::Pool(Pool { encapsulation, ..open }), version: 2 }
        };
        let own = Host { addresses: ["192.0.2.1".parse().unwrap()].into(), ..host("h1") };
        let mut mirror = mirror();
        mirror.change(2, vec![Versioned { value: Object::Host(own), version: 2 }], vec![], vec![]);
        let decide = |mirror: &Mirror, port| decide(mirror, &KernelState::default(), "h1", &publishing("web", port));
        assert!(decide(&mirror, "4789:53/udp").is_ok(), "nothing is wrapped");

        mirror.change(3, vec![pool(Encapsulation::Always)], vec![], vec![]);

        for port in ["4789:53/udp", "192.0.2.1:4000-5000:4000-5000/udp"] {
            let refused = decide(&mirror, port);
            let Err(Refusal::PortOfTunnels { door, .. }) = &refused else { panic!("{refused:?}") };
            assert_eq!(door.to_string(), "192.0.2.1:4789:4789/udp");
        }
        for port in ["4789:53/tcp", "192.0.2.2:4789:53/udp", "4790:53/udp"] {
            assert!(decide(&mirror, port).is_ok(), "{port} is none of theirs");
        }
    }

    #[test]
    fn a_port_for_clients_of_a_family_the_container_has_not_is_refused() {
        let refused = decide(&mirror(), &KernelState::default(), "h1", &publishing("web", "[::1]:8080:80"));

        assert!(matches!(refused, Err(Refusal::PortLeadsNowhere { .. })));
    }

    #[test]
    fn a_wanted_name_that_is_taken_is_refused_and_a_made_one_gets_a_suffix() {
        let (mirror, endpoint) = with(&wish("c1", "/run/netns/a"));
        let wanted = Attach { name: Some(endpoint.name.clone()), ..wish("c2", "/run/netns/b") };
        let same_beginning = wish("C1", "/run/netns/b");

        let taken = decide(&mirror, &KernelState::default(), "h1", &wanted);
        let made = decide(&mirror, &KernelState::default(), "h1", &same_beginning);

        assert!(matches!(taken, Err(Refusal::NameTaken { .. })));
        let Ok(Move::Store(made)) = made else { panic!("a name is found for it") };
        assert!(made.name.as_str().starts_with("h1-c1-"));
    }

    #[test]
    fn a_preferred_name_is_had_if_nobody_has_it_and_no_reason_to_refuse() {
        let (mirror, endpoint) = with(&wish("c1", "/run/netns/a"));
        let second = EndpointName::new("web-0.shop");
        let preferring = |names: &[&EndpointName]| Attach {
            preferred: names.iter().map(|name| (*name).clone()).collect(),
            ..wish("c2", "/run/netns/b")
        };

        let next = decide(&mirror, &KernelState::default(), "h1", &preferring(&[&endpoint.name, &second]));
        let made = decide(&mirror, &KernelState::default(), "h1", &preferring(&[&endpoint.name]));

        assert!(matches!(next, Ok(Move::Store(next)) if next.name == second));
        assert!(matches!(made, Ok(Move::Store(made)) if made.name.as_str() == "h1-c2"));
    }

    #[test]
    fn who_is_known_better_gets_the_first_name_that_is_nobody_elses() {
        let (mut mirror, endpoint) = with(&wish("c1", "/run/netns/a"));
        let other =
            Endpoint { name: EndpointName::new("web"), attachment: wish("c2", "").attachment, ..endpoint.clone() };
        mirror.change(3, vec![Versioned { value: Object::Endpoint(other), version: 3 }], vec![], vec![]);
        let names = ["web", "web.h1"].map(EndpointName::new).to_vec();
        let labels = Labels::try_from_pairs([("app", "web")]).unwrap();
        let renew = Renew {
            attachment: endpoint.attachment.clone(),
            names,
            labels: labels.clone(),
            published: None,
            aliases: BTreeSet::from(["shop".to_owned()]),
            container: Some("0815".to_owned()),
            netns: None,
        };

        let (former, now) = renewed(&mirror, &endpoint.host, &renew).unwrap().unwrap();

        assert_eq!(former, endpoint);
        let (aliases, container) = (renew.aliases.clone(), renew.container.clone());
        let name = EndpointName::new("web.h1");
        assert_eq!(now, Endpoint { name, labels, aliases, container, ..endpoint.clone() });
        let nobody = Renew { attachment: wish("c3", "").attachment, ..renew };
        assert_eq!(renewed(&mirror, &endpoint.host, &nobody), Ok(None));
    }
}
