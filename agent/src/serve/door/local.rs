//! The socket: who may use it, and who holds it already.
//!
//! In: a path. Out: guests, of whom the kernel has said which user they are; which groups a user is in, the system's own database says.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::allowed::Allowed;
use super::guest::{Caller, Guest};
use super::quiet::Quiet;
use super::right::Right;
use super::seats::{Hall, OF_ONE, SEATS, Seat, Seats};
use super::who::Who;

/// Owner and group may speak, others may not.
const MODE: u32 = 0o660;

/// Everybody may speak, and each is asked who they are: where the operator has named users or groups.
const MODE_FOR_ALL: u32 = 0o666;

/// How long the host's user database may take to say which groups somebody is in: it may be far away.
const LOOK_UP: Duration = Duration::from_secs(3);

/// Why the socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody answers there.
    #[error("another program serves on {}", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// The path cannot be used.
    #[error("cannot open the socket {}", path.display())]
    Path {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Opens the socket, taking the place of one whose program is gone. It is open to all where users or groups are let in.
pub fn listen(path: &Path, allowed: &Allowed) -> Result<UnixListener, ListenError> {
    if BlockingStream::connect(path).is_ok() {
        return Err(ListenError::InUse { path: path.to_owned() });
    }
    let mode = if allowed.names_locals() { MODE_FOR_ALL } else { MODE };
    open(path, mode).map_err(|source| ListenError::Path { path: path.to_owned(), source })
}

fn open(path: &Path, mode: u32) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    Ok(listener)
}

/// Tells of everybody who comes, until the future is dropped.
pub async fn receive(listener: UnixListener, allowed: Arc<Allowed>, guests: mpsc::Sender<Guest>) {
    let reception = Arc::new(Reception { allowed, guests, coming: Seats::of(SEATS, OF_ONE), hall: Hall::new() });
    loop {
        match listener.accept().await {
            Ok((stream, _)) => reception.meet(stream).await,
            Err(error) => {
                tracing::warn!("cannot accept a call: {error}");
                sleep(Duration::from_millis(100)).await; // out of descriptors: do not spin
            }
        }
    }
}

struct Reception {
    allowed: Arc<Allowed>,
    guests: mpsc::Sender<Guest>,
    /// Those who are looked for in the database, by user.
    coming: Seats,
    hall: Hall,
}

impl Reception {
    /// Root and our own user come in at once and always; who else comes when their seats are taken is hung up on.
    async fn meet(self: &Arc<Self>, stream: UnixStream) {
        let Ok(user) = stream.peer_cred() else { return };
        if user.uid() == 0 || user.uid() == rustix::process::geteuid().as_raw() {
            let caller = Caller { name: format!("user {}", user.uid()), right: Some(Right::Admin), until: None };
            let _ = self.guests.send(Guest::new(stream, caller, None)).await; // the agent is stopping
            return;
        }
        let Some(coming) = self.coming.take(&user.uid().to_string()) else { return };
        tokio::spawn(self.clone().look_up(stream, user, coming));
    }

    /// Nobody waits for the database but who is looked for in it. What it keeps busy is counted until it answers.
    async fn look_up(self: Arc<Self>, stream: UnixStream, user: UCred, coming: Seat) {
        let allowed = self.allowed.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let _coming = coming;
            ordinary(user.uid(), user.gid(), &allowed)
        });
        match timeout(LOOK_UP, asked).await {
            Ok(Ok(caller)) => self.seat(stream, caller).await,
            Ok(Err(error)) => tracing::warn!("user {} could not be looked up: {error}", user.uid()),
            Err(_) => tell_of_silence(user.uid()),
        }
    }

    async fn seat(&self, stream: UnixStream, caller: Caller) {
        let Some(seat) = self.hall.seat(&caller) else { return };
        let _ = self.guests.send(Guest::new(stream, caller, Some(seat))).await; // the agent is stopping
    }
}

fn tell_of_silence(uid: u32) {
    static QUIET: Quiet = Quiet::new();
    if QUIET.breaks(&uid.to_string(), Instant::now()) {
        tracing::warn!(
            "the host's user database did not say within {LOOK_UP:?} who user {uid} is; see nsswitch.conf(5)"
        );
    }
}

fn ordinary(uid: u32, gid: u32, allowed: &Allowed) -> Caller {
    let account = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    let groups = groups(gid, account.as_ref());
    let right = allowed.of_local(|who| match who {
        Who::User(name) => match number(name) {
            Some(number) => number == uid,
            None => account.as_ref().is_some_and(|user| user.name == *name),
        },
        Who::Group(name) => group(name).is_some_and(|group| groups.contains(&group)),
        Who::Organization(_) | Who::CommonName(_) | Who::Uri(_) => false,
    });
    let name = account.map_or_else(|| format!("user {uid}"), |user| format!("user {uid} ({})", user.name));
    Caller { name, right, until: None }
}

/// The group the caller runs as, and all its user is in.
fn groups(gid: u32, account: Option<&User>) -> Vec<Gid> {
    let named = account.and_then(|user| std::ffi::CString::new(user.name.clone()).ok().zip(Some(user.gid)));
    let mut groups = named.and_then(|(name, first)| getgrouplist(&name, first).ok()).unwrap_or_default();
    groups.push(Gid::from_raw(gid));
    groups
}

/// By number, or by name.
pub(super) fn group(name: &str) -> Option<Gid> {
    match number(name) {
        Some(number) => Some(Gid::from_raw(number)),
        None => Group::from_name(name).ok().flatten().map(|group| group.gid),
    }
}

/// Digits alone are a number, even where somebody is called so.
pub(super) fn number(name: &str) -> Option<u32> {
    name.bytes().all(|octet| octet.is_ascii_digit()).then(|| name.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A user and a group that every Linux has.
    const DAEMON: u32 = 1;

    fn right_of(uid: u32, gid: u32, who: &str) -> Option<Right> {
        let allowed = Allowed { operate: vec![who.parse().unwrap()], ..Allowed::default() };
        ordinary(uid, gid, &allowed).right
    }

    #[test]
    fn a_user_is_meant_by_name_by_number_and_by_each_group() {
        for who in ["user:daemon", "user:1", "group:daemon", "group:1"] {
            assert_eq!(right_of(DAEMON, DAEMON, who), Some(Right::Operate), "{who}");
        }
        assert_eq!(right_of(DAEMON, 4242, "group:4242"), Some(Right::Operate), "the group it runs as");
        assert_eq!(right_of(DAEMON, 4242, "group:daemon"), Some(Right::Operate), "its group in the database");
    }

    #[test]
    fn a_user_of_another_name_or_group_is_not_meant() {
        for who in
            ["user:bin", "user:2", "user:+1", "group:bin", "group:+1", "group:nobody-knows-it", "CN=daemon", "O=daemon"]
        {
            assert_eq!(right_of(DAEMON, DAEMON, who), None, "{who}");
        }
        assert_eq!(right_of(4_242_424, 4242, "user:daemon"), None, "one of whom the database knows nothing");
    }

    #[test]
    fn digits_are_a_number() {
        assert_eq!(
            [number("0"), number("100"), number("99999999999"), number("a1"), number("+1")],
            [Some(0), Some(100), None, None, None]
        );
    }
}
