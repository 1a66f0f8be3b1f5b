//! A container, as far as a network knows one: a namespace with an address.

use std::net::{IpAddr, TcpListener};

use crate::Namespace;

/// A namespace that is or will be attached.
#[derive(Debug)]
pub struct Container {
    name: String,
    namespace: Namespace,
    addresses: Vec<IpAddr>,
}

impl Container {
    pub(crate) fn new(name: &str, namespace: Namespace) -> Self {
        Self { name: name.to_owned(), namespace, addresses: Vec::new() }
    }

    /// The name it is attached by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its namespace, and nothing else of it.
    pub fn into_namespace(self) -> Namespace {
        self.namespace
    }

    /// Remembers its addresses, in the form `10.77.0.1/32`.
    pub(crate) fn learn<'a>(&mut self, addresses: impl Iterator<Item = &'a str>) {
        let bare = addresses.filter_map(|address| address.split('/').next()?.parse().ok());
        self.addresses = bare.collect();
    }

    /// Its IPv4 address.
    #[track_caller]
    pub fn v4(&self) -> IpAddr {
        *self.addresses.iter().find(|address| address.is_ipv4()).expect("the container has an IPv4 address")
    }

    /// Its IPv6 address.
    #[track_caller]
    pub fn v6(&self) -> IpAddr {
        *self.addresses.iter().find(|address| address.is_ipv6()).expect("the container has an IPv6 address")
    }

    /// Whether one ping to an address is answered within a second.
    pub fn reaches(&self, address: IpAddr) -> bool {
        self.ping(address).contains(" 1 received")
    }

    /// What one ping to an address says.
    pub fn ping(&self, address: IpAddr) -> String {
        let output = self.namespace.output("ping", &["-n", "-c1", "-W1", &address.to_string()]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Accepts TCP connections on a port for as long as the listener lives: the kernel answers, nobody reads.
    #[track_caller]
    pub fn listen(&self, port: u16) -> TcpListener {
        self.namespace.listen(port)
    }

    /// Whether a TCP connection to an address and port comes about.
    pub fn connects(&self, address: IpAddr, port: u16) -> bool {
        self.namespace.connect(address, port).is_ok()
    }
}

impl AsRef<Namespace> for Container {
    fn as_ref(&self) -> &Namespace {
        &self.namespace
    }
}
