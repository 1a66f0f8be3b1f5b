//! Somebody who accepts connections and tells who they seem to come from.

use std::net::{IpAddr, TcpListener};

use crate::{Namespace, eventually};

/// A server on a TCP port.
#[derive(Debug)]
pub struct Witness(TcpListener);

impl Witness {
    /// One in a namespace, for both families.
    #[track_caller]
    pub fn on(server: &Namespace, port: u16) -> Self {
        let listener = server.listen(port);
        listener.set_nonblocking(true).expect("a listener can be told not to wait");
        Self(listener)
    }

    /// Who it sees when a client dials this address and port; nobody if the connection does not come about.
    #[track_caller]
    pub fn sees(&self, client: &Namespace, address: IpAddr, port: u16) -> Option<IpAddr> {
        while self.0.accept().is_ok() {} // whoever came before
        let _connection = client.connect(address, port).ok()?;
        let (_, peer) =
            eventually("the server has the connection", || self.0.accept().map_err(|none| none.to_string()));
        Some(peer.ip().to_canonical())
    }
}
