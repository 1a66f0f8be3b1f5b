//! What a node is there for: to be a host with containers, or only to speak BGP.
//!
//! A speaker's record stands in its store beforehand, and it writes nothing there. Of the kernel it touches nothing, or routes
//! alone: neither links nor rules nor forwarding, and what an agent of the same host made with links is not its own.

use crate::kernel::KernelState;
use crate::plan::GATEWAY_V4;

use super::Node;

/// What a node is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A host: containers, policy, routes, BGP.
    Host,
    /// BGP, and nothing else.
    Speaker {
        /// Whether the routes it learns go to the kernel.
        installs: bool,
    },
}

impl Node {
    /// The kernel, as far as it concerns this node.
    pub(super) fn concerning(&self, mut seen: KernelState) -> KernelState {
        match self.role {
            Role::Host => {}
            Role::Speaker { .. } => {
                seen.links.clear();
                seen.neighbours.clear();
                seen.gateways.insert(GATEWAY_V4); // only containers need it
                seen.routes.clear();
            }
        }
        seen
    }
}
