//! Changes rules in a container's own network namespace, for endpoints whose interface is there alone.
//!
//! In: where, and what. Out: done, or why not. The process stays where it is: a thread that ends with the visit goes there and opens the sockets,
//! which belong to the namespace from then on, whoever speaks over them (setns(2), socket(2)).

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread;

use poplin_node::kernel::{MacvlanMode, StepFailureKind};
use poplin_policy::delta::Change;
use poplin_policy::ruleset::Interface;
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::watch;

use super::link::{self, HEAD_OCTETS, IFLA_GROUP, RTM_DELLINK, RTM_GETLINK};
use super::nft::Rules;
use super::socket::{Conversation, Refusal};
use super::wire::{attribute, u32_at};
use super::{Trouble, address, netns};

/// Where rules of endpoints stand in namespaces of their own: by which interface each is known to the host, and the group of the one it has there.
pub(crate) type Inside = BTreeMap<PathBuf, BTreeMap<Interface, u32>>;

/// The rules of one endpoint stand there, and nowhere else. Nobody is told what he knows.
pub(super) fn enter(inside: &watch::Sender<Inside>, interface: &Interface, path: &Path, group: u32) {
    inside.send_if_modified(|inside| {
        let is_known = inside.get(path).and_then(|here| here.get(interface)) == Some(&group);
        if !is_known {
            forget(inside, interface);
            inside.entry(path.to_owned()).or_default().insert(interface.clone(), group);
        }
        !is_known
    });
}

/// They stand nowhere.
pub(super) fn exit(inside: &watch::Sender<Inside>, interface: &Interface) {
    inside.send_if_modified(|inside| forget(inside, interface));
}

/// Whether it was known.
fn forget(inside: &mut Inside, interface: &Interface) -> bool {
    let was_known = inside.values_mut().filter_map(|here| here.remove(interface)).count() > 0;
    inside.retain(|_, here| !here.is_empty());
    was_known
}

/// Changes the rules of one endpoint. When they are begun anew its interface may still be closed: it is opened after them.
pub(super) fn change(
    interface: &Interface,
    path: &Path,
    changes: &[Change],
    group: u32,
    mode: MacvlanMode,
) -> Result<(), Trouble> {
    let netns = netns::open(path)?;
    within(&netns, path, || {
        Rules::open_called(interface.as_str())?.apply(changes)?;
        match changes.first() {
            Some(Change::Restart) => open_links(group, mode),
            Some(_) | None => Ok(()),
        }
    })
}

/// Ends the interface of this group, and after it its rules: without them it would pass everything. The gateways there are for all who are there.
pub(super) fn leave(interface: &Interface, path: &Path, group: u32, is_last: bool) -> Result<(), Trouble> {
    let netns = match netns::open(path) {
        Ok(netns) => netns,
        // Docker leaves an empty file where the namespace of a dead container was.
        Err(Trouble { kind: StepFailureKind::NamespaceMissing | StepFailureKind::NotANamespace, .. }) => return Ok(()),
        Err(trouble) => return Err(trouble),
    };
    within(&netns, path, || {
        end_links(group)?;
        if is_last {
            let mut route = Conversation::route().map_err(|error| Trouble::other(error.to_string()))?;
            address::remove_gateways(&mut route)
                .map_err(|refusal| Trouble::other(format!("cannot take gateways from lo: {refusal}")))?;
        }
        Rules::open_called(interface.as_str())?.end().map_err(Trouble::from)
    })
}

/// Puts a gateway on `lo` there, and opens something that is to be reached at it.
pub(crate) fn open_inside<T: Send>(
    path: &Path,
    gateway: IpAddr,
    open: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    inside(path, || {
        address::add_gateway(&mut Conversation::route()?, gateway).map_err(told)?;
        open()
    })
}

/// Opens something there that belongs there from then on.
pub(crate) fn inside<T: Send>(path: &Path, open: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let netns = netns::open(path).map_err(told)?;
    let mut opened = None;
    within(&netns, path, || {
        opened = Some(open());
        Ok(())
    })
    .map_err(told)?;
    opened.unwrap_or_else(|| Err(io::ErrorKind::Interrupted.into()))
}

fn told(trouble: Trouble) -> io::Error {
    io::Error::other(trouble.reason)
}

fn within(netns: &File, path: &Path, visit: impl FnOnce() -> Result<(), Trouble> + Send) -> Result<(), Trouble> {
    let died = || Trouble::other(format!("the thread that went to {} died", path.display()));
    thread::scope(|scope| {
        let visitor = thread::Builder::new().spawn_scoped(scope, || {
            move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network))
                .map_err(|errno| why_not_entered(path, errno))?;
            visit()
        });
        // Where there may be no more threads, that is trouble for this visit, and no end of whoever wants it.
        let visitor = visitor.map_err(|error| Trouble::other(format!("no thread for {}: {error}", path.display())))?;
        visitor.join().unwrap_or_else(|_| Err(died()))
    })
}

fn why_not_entered(path: &Path, errno: Errno) -> Trouble {
    let advice = match errno {
        Errno::PERM => {
            "; containers of mode macvlan have their rules there, which needs CAP_SYS_ADMIN: run poplind as root, or let its unit have that"
        }
        _ => "",
    };
    let error = std::io::Error::from(errno);
    Trouble::other(format!("cannot enter network namespace {}: {error}{advice}", path.display()))
}

fn open_links(group: u32, mode: MacvlanMode) -> Result<(), Trouble> {
    on_links(group, "open", |route, index| link::open_macvlan(route, index, mode))
}

fn end_links(group: u32) -> Result<(), Trouble> {
    on_links(group, "end", |route, index| route.request(RTM_DELLINK, 0, &link::head(index, 0), |_| {}))
}

/// The interfaces of these groups in the namespace of the calling thread, by their indexes there, under the names the host knows them by.
pub(super) fn links(groups: &BTreeMap<Interface, u32>) -> io::Result<BTreeMap<u32, Interface>> {
    let mut route = Conversation::route()?;
    let known = |links: &mut BTreeMap<u32, Interface>, payload: &[u8]| {
        let group = group_of(payload);
        let whose = groups.iter().find(|(_, wanted)| Some(**wanted) == group).map(|(interface, _)| interface.clone());
        links.extend(u32_at(payload, 4).zip(whose));
    };
    Ok(route.dump(RTM_GETLINK, &link::head(0, 0), |_| {}, known)?)
}

fn group_of(payload: &[u8]) -> Option<u32> {
    attribute(payload.get(HEAD_OCTETS..)?, IFLA_GROUP).and_then(|value| u32_at(value, 0))
}

/// Does something with every interface of a group, of which there is one at most.
fn on_links(
    group: u32,
    what: &str,
    act: impl Fn(&mut Conversation, u32) -> Result<(), Refusal>,
) -> Result<(), Trouble> {
    let mut route = Conversation::route().map_err(|error| Trouble::other(error.to_string()))?;
    let told = |refusal| Trouble::other(format!("cannot {what} the interface of group {group}: {refusal}"));
    let of_group = |indexes: &mut Vec<u32>, payload: &[u8]| {
        indexes.extend(u32_at(payload, 4).filter(|_| group_of(payload) == Some(group)));
    };
    let indexes = route.dump(RTM_GETLINK, &link::head(0, 0), |_| {}, of_group).map_err(told)?;
    for index in indexes {
        match act(&mut route, index) {
            Err(refusal) if refusal.errno != Errno::NODEV => return Err(told(refusal)),
            _ => {}
        }
    }
    Ok(())
}
