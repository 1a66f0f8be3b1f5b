//! The test bed: a namespace for the router under test, one for all its neighbours, and a cable.

use std::net::Ipv4Addr;

use poplin_lab::{Lab, Namespace, Process};

/// The router under test.
pub(crate) const US: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 1);

/// Everybody's autonomous system: the router under test reflects.
pub(crate) const ASN: u32 = 64512;

/// Longer than any measurement.
pub(crate) const HOLD_SECS: u16 = 36_000;

/// The sender is number 0, receivers follow.
pub(crate) fn neighbour(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, 30, 1, 1 + number)
}

/// A bench bed; dropping it removes everything.
pub(crate) struct Bed {
    pub(crate) router: Namespace,
    pub(crate) neighbours: Namespace,
    pub(crate) lab: Lab,
}

impl Bed {
    pub(crate) fn new(receivers: u8) -> Self {
        let lab = Lab::new();
        let (router, neighbours) = (lab.namespace("router"), lab.namespace("peers"));
        let addresses: Vec<String> = (0..=receivers).map(|number| format!("{}/16", neighbour(number))).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        router.join("bench", &[&format!("{US}/16")], &neighbours, "bench", &addresses);
        Self { router, neighbours, lab }
    }

    /// Writes a file of the router under test, and tells its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).expect("the lab has a directory");
        path
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.lab.directory().join(name).display().to_string()
    }

    pub(crate) fn spawn(&self, name: &str, program: &str, arguments: &[&str]) -> Process {
        self.router.spawn(self.path(name).into(), program, arguments)
    }
}
