//! Protects connections as the head wishes: signatures, and how far a neighbour may be.
//!
//! In: who is to be protected how, and sockets before they are used. Out: protected sockets, or why not; then they are not used.
//! A password is read anew for each connection, so a new one counts from the next connection on, without a change of the store.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use poplin_bgp::{Address, Protection};
use tokio::net::TcpListener;

use super::dropped::Dropped;
use super::option::{receive_from_near, send_from_afar, sign, sign_all};
use super::password::{Password, PasswordError};

/// Who is protected how, and the sockets that calls come in at.
pub(super) struct Shield {
    /// Each with whether it is one of IPv6.
    listeners: Vec<(Arc<TcpListener>, bool)>,
    /// Locked for moments, never while something is waited for.
    wanted: Mutex<BTreeMap<Address, Protection>>,
    /// The same for whoever calls from a prefix and is not among them.
    callers: Mutex<BTreeMap<IpNet, Protection>>,
    /// What the kernel had dropped when a neighbour that does not answer was last dialled.
    dropped: Mutex<BTreeMap<Address, Dropped>>,
}

/// Why a connection cannot be protected.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShieldError {
    /// No password.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The kernel does not take it.
    #[error("the kernel does not protect the connection: {0}")]
    Kernel(#[from] io::Error),
}

impl Shield {
    /// What the listeners send leaves with the full hop limit, their half of a handshake too: callers may look at it.
    pub(super) fn new(listeners: Vec<Arc<TcpListener>>) -> Self {
        let with_family = |listener: Arc<TcpListener>| {
            let is_v6 = listener.local_addr().is_ok_and(|local| local.is_ipv6());
            if let Err(error) = send_from_afar(&*listener, is_v6) {
                tracing::warn!("cannot answer BGP calls with the full hop limit: {error}");
            }
            (listener, is_v6)
        };
        let listeners = listeners.into_iter().map(with_family).collect();
        Self { listeners, wanted: Mutex::default(), callers: Mutex::default(), dropped: Mutex::default() }
    }

    /// This is everybody who is to be protected from now on.
    pub(super) fn wants(&self, wanted: BTreeMap<Address, Protection>) {
        let before = std::mem::replace(&mut *lock(&self.wanted), wanted.clone());
        let is_signed = |of: &BTreeMap<Address, Protection>, neighbour| {
            of.get(neighbour).is_some_and(|protection| protection.password_file.is_some())
        };
        for neighbour in before.keys().filter(|neighbour| !is_signed(&wanted, neighbour)) {
            let _ = self.sign_calls(*neighbour, None); // a key that stays makes its calls fail, which the dial tells
        }
        for (neighbour, protection) in &wanted {
            let password = protection.password_file.as_deref().map(Password::read).transpose();
            let outcome = password.map_err(ShieldError::from).and_then(|password| match password {
                Some(password) => Ok(self.sign_calls(*neighbour, Some(&password))?),
                None => Ok(()),
            });
            if let Err(error) = outcome {
                tracing::warn!("there will be no session with {neighbour}: {error}");
            }
        }
    }

    /// Calls from these prefixes are to be protected before anybody knows who calls. A neighbour with an address in one of them and no password
    /// of its own cannot call either: the kernel knows no exception.
    pub(super) fn wants_callers(&self, wanted: BTreeMap<IpNet, Protection>) {
        let before = std::mem::replace(&mut *lock(&self.callers), wanted.clone());
        for range in before.keys().filter(|range| !wanted.contains_key(range)) {
            let _ = self.sign_callers(*range, None); // a key that stays turns away who would be no neighbour
        }
        for (range, protection) in &wanted {
            if let Err(error) = self.sign_as_wanted(*range, protection) {
                tracing::warn!("nobody in {range} will be accepted: {error}");
            }
        }
    }

    /// Reads the passwords of those anew who are only waited for: the kernel drops them until the listener knows what they sign by. One that
    /// cannot be read stays as it was, and is told when somebody calls.
    pub(super) fn renew_callers(&self) {
        let (callers, wanted) = (lock(&self.callers).clone(), lock(&self.wanted).clone());
        for (range, protection) in &callers {
            let _ = self.sign_as_wanted(*range, protection);
        }
        for (neighbour, file) in
            wanted.iter().filter_map(|(neighbour, wanted)| Some((neighbour, wanted.password_file.as_ref()?)))
        {
            let _ = Password::read(file).map(|password| self.sign_calls(*neighbour, Some(&password)));
        }
    }

    fn sign_as_wanted(&self, range: IpNet, protection: &Protection) -> Result<(), ShieldError> {
        let password = protection.password_file.as_deref().map(Password::read).transpose()?;
        Ok(self.sign_callers(range, password.as_ref())?)
    }

    fn sign_callers(&self, range: IpNet, password: Option<&Password>) -> io::Result<()> {
        let can_hear = |is_v6: bool| is_v6 || range.addr().is_ipv4();
        let called = self.listeners.iter().filter(|(_, is_v6)| can_hear(*is_v6));
        called.into_iter().try_for_each(|(listener, is_v6)| sign_all(&**listener, *is_v6, range, password))
    }

    /// Prepares a socket that speaks to this neighbour, dialled or accepted; one that was refused must not be used.
    pub(super) fn protect(
        &self,
        socket: &impl AsFd,
        is_v6: bool,
        neighbour: Address,
        protection: &Protection,
    ) -> Result<(), ShieldError> {
        send_from_afar(socket, is_v6)?;
        if let Some(hops) = protection.hops_max {
            receive_from_near(socket, neighbour.ip(), hops.get())?;
        }
        match &protection.password_file {
            Some(file) => self.sign_both(socket, is_v6, neighbour, file),
            None => Ok(()),
        }
    }

    /// A call that was accepted before the listener knew the password has no key of its own; neither has the listener known of a new one.
    fn sign_both(&self, socket: &impl AsFd, is_v6: bool, neighbour: Address, file: &Path) -> Result<(), ShieldError> {
        let password = Password::read(file)?;
        self.sign_calls(neighbour, Some(&password))?;
        Ok(sign(socket, is_v6, neighbour.ip(), Some(&password))?)
    }

    /// One that listens for IPv4 alone is called by nobody else.
    fn sign_calls(&self, neighbour: Address, password: Option<&Password>) -> io::Result<()> {
        let can_hear = |is_v6: bool| is_v6 || neighbour.is_ipv4();
        let called = self.listeners.iter().filter(|(_, is_v6)| can_hear(*is_v6));
        called.into_iter().try_for_each(|(listener, is_v6)| sign(&**listener, *is_v6, neighbour.ip(), password))
    }

    /// How a neighbour is to be protected now.
    pub(super) fn protection(&self, neighbour: Address) -> Protection {
        if let Some(known) = lock(&self.wanted).get(&neighbour) {
            return known.clone();
        }
        let callers = lock(&self.callers);
        let within = callers.iter().filter(|(range, _)| range.contains(&neighbour.ip()));
        within.max_by_key(|(range, _)| range.prefix_len()).map(|(_, known)| known.clone()).unwrap_or_default()
    }

    /// A dial begins.
    pub(super) fn begins(&self, neighbour: Address) {
        lock(&self.dropped).entry(neighbour).or_insert_with(Dropped::read);
    }

    /// A neighbour answered a dial.
    pub(super) fn reached(&self, neighbour: Address) {
        lock(&self.dropped).remove(&neighbour);
    }

    /// A neighbour did not answer a dial: what may be the matter, to be said after it.
    pub(super) fn hints(&self, neighbour: Address) -> String {
        let (now, protection) = (Dropped::read(), self.protection(neighbour));
        let before = lock(&self.dropped).insert(neighbour, now).unwrap_or(now);
        now.hints(before, &protection)
    }
}

/// What is behind the lock is whole even if somebody panicked beside it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
