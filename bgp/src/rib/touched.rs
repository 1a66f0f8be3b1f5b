//! Which paths something happened to, for those who monitor: what became of them stands in the table itself.
//!
//! So however often a path comes and goes within one event, it is told once.

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::{Address, wire::Nlri};

use super::{Path, Table};

/// The paths that something happened to, if somebody wants to know; by neighbour, prefix and the neighbour's identifier.
#[derive(Debug, Default)]
pub(super) struct Touched(Option<BTreeSet<(Address, Nlri)>>);

impl Touched {
    pub(super) fn add(&mut self, neighbour: Address, prefix: IpNet, id: u32) {
        if let Some(touched) = &mut self.0 {
            touched.insert((neighbour, Nlri { prefix, id }));
        }
    }
}

impl Table {
    /// Whether somebody wants to know from now on.
    pub(crate) fn note_touched(&mut self, is_wanted: bool) {
        match is_wanted {
            true => drop(self.touched.0.get_or_insert_default()),
            false => self.touched.0 = None,
        }
    }

    /// The paths that something happened to since this was asked last.
    pub(crate) fn take_touched(&mut self) -> BTreeSet<(Address, Nlri)> {
        self.touched.0.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// One path of a neighbour.
    pub(crate) fn path(&self, neighbour: Address, one: &Nlri) -> Option<&Path> {
        self.entries.get(&one.prefix)?.of(neighbour).iter().find(|path| path.id == one.id)
    }
}
