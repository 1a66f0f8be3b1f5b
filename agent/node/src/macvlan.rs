//! Interfaces that containers have on a LAN themselves, each with a MAC of its own: macvlan (ip-link(8)).

use std::collections::BTreeSet;
use std::net::IpAddr;

use poplin_policy::ruleset::Interface;

use crate::name::AttachmentId;
use crate::stable::hash64;

/// How the containers of a network are on a LAN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Macvlan {
    /// The interface of each host that is on it.
    pub parent: Interface,
    /// Whom of the others on the same parent one reaches.
    pub mode: MacvlanMode,
    /// Its routers, at most one a family.
    pub gateways: BTreeSet<IpAddr>,
}

/// Whom of the others on the same parent one reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MacvlanMode {
    /// All, within the host.
    #[default]
    Bridge,
    /// None.
    Private,
    /// Those a switch that sends frames back where they came from lets it reach.
    Vepa,
}

impl MacvlanMode {
    /// Every mode, with its name. Of those the kernel has, `passthru` is missing: it cannot be changed to, and so no interface could be closed first.
    pub const ALL: [(&'static str, Self); 3] =
        [("bridge", Self::Bridge), ("private", Self::Private), ("vepa", Self::Vepa)];

    /// The mode of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, mode)| *mode)
    }
}

/// A macvlan to be made. Until it is opened nothing passes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMacvlan {
    /// On which interface.
    pub parent: Interface,
    /// Its group, by which its rules know it whatever it is called in its container.
    pub group: u32,
}

/// The group of an attachment's interface: stable, and never 0, in which all others are (linux/if_link.h, `IFLA_GROUP`).
pub fn group_of(attachment: &AttachmentId) -> u32 {
    let [a, b, c, d, ..] = hash64(&["group", &attachment.container, &attachment.interface]).to_be_bytes();
    u32::from_be_bytes([a, b, c, d]) | 1 << 31
}
