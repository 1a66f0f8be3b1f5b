//! Enters a network namespace without leading the whole process there.
//!
//! In: the path of a namespace, and something to do. Out: what that returned. Rules: setns(2), which moves the calling
//! thread only, so that each visit gets a thread that ends with it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::thread::LinkNameSpaceType;

use crate::SandboxError;

/// Magic number of the file system namespaces live on: `NSFS_MAGIC` of linux/magic.h.
const NSFS_MAGIC: u64 = 0x6e73_6673;

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
    let netns = open(path)?;
    std::thread::scope(|scope| scope.spawn(|| enter(&netns, path)).join())
        .unwrap_or_else(|_| Err(refused(path, io::Error::other("the visiting thread died"))))
}

/// Runs `job` with a netlink connection inside the namespace.
pub(crate) fn within<T, F, J>(path: &Path, job: J) -> Result<T, SandboxError>
where
    T: Send,
    F: Future<Output = Result<T, SandboxError>>,
    J: FnOnce(rtnetlink::Handle) -> F + Send,
{
    let netns = open(path)?;
    on_a_thread(|| {
        enter(&netns, path)?;
        visit(job)
    })
}

/// The same in the caller's own namespace.
pub(crate) fn here<T, F, J>(job: J) -> Result<T, SandboxError>
where
    T: Send,
    F: Future<Output = Result<T, SandboxError>>,
    J: FnOnce(rtnetlink::Handle) -> F + Send,
{
    on_a_thread(|| visit(job))
}

fn on_a_thread<T: Send>(visit: impl FnOnce() -> Result<T, SandboxError> + Send) -> Result<T, SandboxError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("netns".to_owned()).spawn_scoped(scope, visit);
        thread
            .map_err(SandboxError::Start)?
            .join()
            .unwrap_or_else(|_| Err(SandboxError::Start(io::Error::other("the visiting thread died"))))
    })
}

/// The socket is opened here, after entering: it belongs to the namespace it was opened in.
fn visit<T, F, J>(job: J) -> Result<T, SandboxError>
where
    F: Future<Output = Result<T, SandboxError>>,
    J: FnOnce(rtnetlink::Handle) -> F,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(SandboxError::Start)?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(SandboxError::Start)?;
        tokio::spawn(connection);
        job(handle).await
    })
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
    let (theirs, ours) = (rustix::fs::fstat(file)?, rustix::fs::stat("/proc/thread-self/ns/net")?);
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
