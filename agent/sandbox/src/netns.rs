//! Enters a network namespace without leading the whole process there.
//!
//! In: the path of a namespace. Out: a netlink connection inside. Rules: setns(2), which moves the calling thread only; a socket belongs to the namespace
//! it was opened in, netlink(7) and all, wherever it is used from. So nobody stays longer than it takes to open one.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rtnetlink::Handle;
use rustix::fs::{Mode, OFlags};
use rustix::thread::LinkNameSpaceType;

use crate::SandboxError;

/// Magic number of the file system namespaces live on: `NSFS_MAGIC` of linux/magic.h.
const NSFS_MAGIC: u64 = 0x6e73_6673;

/// The namespace of the calling thread.
const OWN: &str = "/proc/thread-self/ns/net";

/// Why a path cannot be entered as a network namespace.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// Nothing is at the path: the container has gone, or was never there.
    #[error("network namespace {} does not exist", path.display())]
    Absent {
        /// The path.
        path: PathBuf,
    },
    /// Something else is at the path, or a namespace of another type.
    #[error("{} is not a network namespace", path.display())]
    NotNetns {
        /// The path.
        path: PathBuf,
    },
    /// The path is the caller's own namespace. Furnishing it would give the host a container's routes.
    #[error("{} is the host's own network namespace", path.display())]
    OfHost {
        /// The path.
        path: PathBuf,
    },
    /// The kernel says no, most often for want of rights.
    #[error("cannot enter network namespace {}: {source}", path.display())]
    Refused {
        /// The path.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// Whether the path is a network namespace other than the caller's own. Needs the right to enter it.
pub fn validate(path: &Path) -> Result<(), NetnsError> {
    visit(path, || ())
}

/// A netlink connection inside the namespace.
pub(crate) fn connect(path: &Path) -> Result<Handle, SandboxError> {
    visit(path, connect_here)?
}

/// The same in the caller's own namespace. It is driven on the runtime of the caller, which needs IO and time.
pub(crate) fn connect_here() -> Result<Handle, SandboxError> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(SandboxError::Start)?;
    tokio::spawn(connection);
    Ok(handle)
}

/// Does something with the calling thread inside. `job` is no future, so the thread is back before anything else may run on it.
fn visit<T>(path: &Path, job: impl FnOnce() -> T) -> Result<T, NetnsError> {
    let netns = open(path)?;
    let home = rustix::fs::open(OWN, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let home = home.map_err(|error| refused(path, error.into()))?;
    enter(&netns, path)?;
    let done = job();
    // Whoever may enter another namespace may enter this one; and nothing may go on from here that takes it for the host's.
    if enter(&home, OWN.as_ref()).is_err() {
        std::process::abort();
    }
    Ok(done)
}

/// Opens without blocking, whatever lies at the path, and without handing the namespace on to programs we start.
fn open(path: &Path) -> Result<OwnedFd, NetnsError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| match error {
        rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR => NetnsError::Absent { path: path.to_owned() },
        other => refused(path, other.into()),
    })?;
    let filesystem = rustix::fs::fstatfs(&file).map_err(|error| refused(path, error.into()))?;
    if u64::try_from(filesystem.f_type) != Ok(NSFS_MAGIC) {
        return Err(NetnsError::NotNetns { path: path.to_owned() });
    }
    if is_own(&file).map_err(|error| refused(path, error.into()))? {
        return Err(NetnsError::OfHost { path: path.to_owned() });
    }
    Ok(file)
}

/// Two files are one namespace if device and inode agree: namespaces(7), "The /proc/pid/ns/ directory".
fn is_own(file: &OwnedFd) -> rustix::io::Result<bool> {
    let (theirs, ours) = (rustix::fs::fstat(file)?, rustix::fs::stat(OWN)?);
    Ok((theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino))
}

fn enter(netns: &OwnedFd, path: &Path) -> Result<(), NetnsError> {
    use std::os::fd::AsFd as _;
    rustix::thread::move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network)).map_err(|error| {
        match error {
            rustix::io::Errno::INVAL => NetnsError::NotNetns { path: path.to_owned() },
            other => refused(path, other.into()),
        }
    })
}

fn refused(path: &Path, source: io::Error) -> NetnsError {
    NetnsError::Refused { path: path.to_owned(), source }
}
