//! Whether this machine may act under its name: a copied image has another machine's, a name may be given twice, and a machine that is renamed has another name
//! in the store still.
//!
//! In: the hosts in the store, and who this machine is. Out: whether anything may be done. Two machines of one name would free one another's addresses, as each
//! finds containers in the store that do not run on it; a renamed one would free its own. Who was there first goes on; who comes second does nothing, says so, and
//! begins once that is mended. A record is this machine's if it bears its id or none, or an address that this machine has: so comes back who lost what it had
//! written down.

use std::net::IpAddr;

use crate::action::Note;
use crate::job::Stage;
use crate::lineage::Id;
use crate::name::HostName;
use crate::object::Host;
use crate::request::{Answer, Refusal};

use super::{Node, Role};

/// Why nothing may be done under the name of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameConflict {
    /// Another machine has it.
    Taken {
        /// The name.
        host: HostName,
        /// The machine that has it, as its record says.
        machine: Id,
        /// Where it is, as far as it says.
        address: Option<IpAddr>,
    },
    /// This machine has another name in the fabric.
    Renamed {
        /// The name it has there.
        former: HostName,
        /// The name it was started under.
        host: HostName,
    },
}

impl std::fmt::Display for NameConflict {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Taken { host, machine, address } => {
                write!(formatter, "the name {host} is that of another machine, {machine}")?;
                address.map_or(Ok(()), |address| write!(formatter, " at {address}"))
            }
            Self::Renamed { former, host } => {
                write!(formatter, "this machine is host {former} of the fabric, and was started as {host}")
            }
        }
    }
}

impl NameConflict {
    /// What to do.
    pub fn advice(&self) -> String {
        match self {
            Self::Taken { host, machine, .. } => format!(
                "give this host another name (--host); or, if that machine is gone for good, `poplin host remove {host} --gone` on another host; or, if this is \
                 that machine with another address and nothing of what it had written down, write {machine} as the first line of host-id in its data directory"
            ),
            Self::Renamed { former, host } => format!(
                "`poplin host rename {former} {host}` lets all it has come along; or start it as {former} again; or, if its data directory is the copy of another \
                 machine's, remove host-id there"
            ),
        }
    }
}

impl Node {
    /// Whether nothing may be done under this name. Asked anew whenever anything happens: the name may have become free.
    pub(super) fn has_name_conflict(&mut self) -> bool {
        let conflict = self.conflict();
        if conflict != self.name_conflict {
            let note = match &conflict {
                Some(conflict) => Note::Warning(format!(
                    "{conflict}; nothing is done here until that is mended: {}",
                    conflict.advice()
                )),
                None => Note::Info(format!("this machine may act as {}", self.identity.host)),
            };
            self.note(note);
            self.name_conflict = conflict;
            self.refuse_who_waits();
        }
        self.name_conflict.is_some()
    }

    /// Who asked before the store was read is told as those who ask later are.
    fn refuse_who_waits(&mut self) {
        let Some(conflict) = self.name_conflict.clone() else { return };
        for attachment in self.jobs.at(|stage| *stage == Stage::Waiting) {
            self.finish(&attachment, Answer::Refused(Refusal::NameConflict(conflict.clone())));
        }
    }

    fn conflict(&self) -> Option<NameConflict> {
        let own = self.identity.machine.filter(|_| self.role == Role::Host)?;
        match self.me() {
            Some(standing) if standing.machine == Some(own) => None,
            Some(standing) if standing.machine.is_some() => self.taken(standing),
            Some(_) | None => self.renamed(own),
        }
    }

    fn taken(&self, standing: &Host) -> Option<NameConflict> {
        let addresses = self.own_addresses()?;
        let is_here = standing.addresses.iter().any(|address| addresses.contains(address));
        let (host, address) = (standing.name.clone(), standing.addresses.first().copied());
        standing.machine.filter(|_| !is_here).map(|machine| NameConflict::Taken { host, machine, address })
    }

    fn renamed(&self, own: Id) -> Option<NameConflict> {
        let former = self.mirror.as_ref()?.hosts().find(|host| host.machine == Some(own))?;
        Some(NameConflict::Renamed { former: former.name.clone(), host: self.identity.host.clone() })
    }
}
