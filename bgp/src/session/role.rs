//! Whether what we are to a neighbour and what it says it is to us go together.
//!
//! In: our role, and the neighbour's OPEN. Out: the role that counts, or the NOTIFICATION that ends the attempt. Rules: RFC 9234 §4.2.

use std::collections::BTreeSet;

use crate::wire::{Capability, Fault, Notification, Open, Role};

/// What we are to a neighbour in another system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleConfig {
    /// What.
    pub role: Role,
    /// Whether there is no session with a neighbour that does not say what it is.
    pub is_strict: bool,
}

/// The role that counts; within one system there is none.
pub(super) fn role(config: Option<RoleConfig>, external: bool, open: &Open) -> Result<Option<Role>, Notification> {
    let Some(RoleConfig { role, is_strict }) = config.filter(|_| external) else { return Ok(None) };
    let said: BTreeSet<Option<Role>> = open.capabilities.iter().filter_map(role_of).collect();
    let fits = said.iter().all(|&theirs| theirs == Some(role.counterpart()));
    if fits && !(is_strict && said.is_empty()) { Ok(Some(role)) } else { Err(Fault::ROLE_MISMATCH.bare()) }
}

/// What it says it is; a word that we do not know is one that does not fit.
fn role_of(capability: &Capability) -> Option<Option<Role>> {
    const ROLE: u8 = 9;
    match capability {
        Capability::Role(role) => Some(Some(*role)),
        Capability::Other { code, .. } => (*code == ROLE).then_some(None),
        Capability::Multiprotocol(_)
        | Capability::RouteRefresh
        | Capability::EnhancedRefresh
        | Capability::ExtendedNextHop(_)
        | Capability::ExtendedMessages
        | Capability::GracefulRestart(_)
        | Capability::AddPaths(_)
        | Capability::LongLived(_)
        | Capability::FourOctetAsn(_) => None,
    }
}
