//! What an operator should hear of their lists when the agent starts, for nothing of it shows before somebody stands before the door.
//!
//! In: the lists, and the host's user database. Out: warnings, each with what to try.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::{Gid, Group, User, getegid};

use super::allowed::Allowed;
use super::local::{group, number};
use super::who::Who;

/// Says it in the log. The database may be far away, so nobody waits for it.
pub async fn advise(allowed: Arc<Allowed>, socket: PathBuf, comes_by_tls: bool) {
    let found = tokio::task::spawn_blocking(move || {
        let mut all = of_entries(&allowed, getegid(), comes_by_tls);
        all.extend(of_socket(&allowed, getegid(), &socket));
        all
    });
    for warning in found.await.unwrap_or_default() {
        tracing::warn!("{warning}");
    }
}

/// Entries that mean nobody, or more than was meant.
fn of_entries(allowed: &Allowed, own: Gid, comes_by_tls: bool) -> Vec<String> {
    let found = allowed.entries().filter_map(|(who, right)| match who {
        Who::User(name) if !is_user(name) => Some(format!("api.{right}: {who} is no user of this host; see `getent passwd`")),
        Who::Group(name) if group(name).is_none() => {
            Some(format!("api.{right}: {who} is no group of this host; see `getent group`"))
        }
        Who::Group(name) if group(name) == Some(own) => {
            Some(format!("api.{right}: {who} is the agent's own group, which may also read its keys; use another, such as poplin-read"))
        }
        Who::Organization(_) | Who::CommonName(_) | Who::Uri(_) if !comes_by_tls => {
            Some(format!("api.{right}: {who} names a certificate, and nobody shows one without api.listen"))
        }
        Who::User(_) | Who::Group(_) | Who::Organization(_) | Who::CommonName(_) | Who::Uri(_) => None,
    });
    found.collect()
}

fn is_user(name: &str) -> bool {
    number(name).is_some() || User::from_name(name).ok().flatten().is_some()
}

/// Whoever is in the socket's group could look, once; now they have to be named.
fn of_socket(allowed: &Allowed, own: Gid, socket: &Path) -> Option<String> {
    let others = Group::from_gid(own).ok().flatten().filter(|group| !group.mem.is_empty())?;
    let is_silent = own.as_raw() != 0 && !allowed.names_locals();
    is_silent.then(|| {
        let (name, socket) = (others.name, socket.display());
        format!("group {name} reaches {socket} and may do nothing there; name those who may look in api.read, in a group of their own")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warned(who: &str) -> Vec<String> {
        let allowed = Allowed { read: vec![who.parse().unwrap()], ..Allowed::default() };
        of_entries(&allowed, Gid::from_raw(4242), false)
    }

    #[test]
    fn an_entry_that_means_nobody_is_told_and_a_number_may_mean_somebody_yet() {
        assert!(warned("user:nobody-knows-it")[0].starts_with("api.read: user:nobody-knows-it is no user"));
        assert!(warned("group:nobody-knows-it")[0].contains("is no group of this host"));
        assert!(warned("CN=grafana")[0].contains("without api.listen"));
        for known in ["user:daemon", "user:61001", "group:daemon", "group:61100"] {
            assert!(warned(known).is_empty(), "{known}");
        }
    }

    #[test]
    fn the_agents_own_group_is_not_one_of_readers() {
        assert!(warned("group:4242")[0].contains("the agent's own group"));
    }
}
