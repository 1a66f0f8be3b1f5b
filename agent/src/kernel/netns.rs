//! Opens the network namespace a path stands for.
//!
//! In: a path somebody gave. Out: a descriptor that certainly is a namespace, or why not. Never enters one.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use poplin_node::kernel::StepFailureKind;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::Trouble;
use super::socket::Conversation;

/// `NSFS_MAGIC` (linux/magic.h): the file system all namespaces are files of.
const NSFS_MAGIC: u64 = 0x6e73_6673;

const RTM_GETNSID: u16 = 90;
const NETNSA_FD: u16 = 3;

/// Opens a namespace once; whatever happens to the path later, the descriptor is what was checked.
pub(super) fn open(path: &Path) -> Result<File, Trouble> {
    // Without NONBLOCK a path that is a FIFO would hold us up.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let descriptor = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| {
        let kind = match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::SRCH => StepFailureKind::NamespaceMissing,
            Errno::NXIO | Errno::ISDIR => StepFailureKind::NotANamespace,
            _ => StepFailureKind::Other,
        };
        let reason = format!("cannot open namespace {}: {}", path.display(), std::io::Error::from(errno));
        Trouble { kind, reason: reason + advice(path, errno) }
    })?;
    let file_system = rustix::fs::fstatfs(&descriptor).map_err(|errno| {
        Trouble::other(format!("cannot examine {}: {}", path.display(), std::io::Error::from(errno)))
    })?;
    if u64::try_from(file_system.f_type) != Ok(NSFS_MAGIC) {
        return Err(Trouble {
            kind: StepFailureKind::NotANamespace,
            reason: format!("{} is not a namespace", path.display()),
        });
    }
    Ok(File::from(descriptor))
}

/// The way to a namespace through its process is closed to an agent with few rights (`ptrace` access mode checks, proc(5)); that by its name is not.
fn advice(path: &Path, errno: Errno) -> &'static str {
    let is_by_process = path.starts_with("/proc");
    match errno {
        Errno::ACCESS | Errno::PERM if is_by_process => {
            "; an agent without CAP_SYS_PTRACE opens namespaces by name only: ip netns attach NAME PID, then poplin attach --netns NAME"
        }
        _ => "",
    }
}

/// Whether a namespace is one of the network: only for such a one does the kernel have an id, or say that it has none.
pub(super) fn is_network(route: &mut Conversation, netns: impl AsFd) -> bool {
    let descriptor = netns.as_fd().as_raw_fd().cast_unsigned();
    route.get(RTM_GETNSID, &[0; 4], |out| out.put_u32(NETNSA_FD, descriptor), |_| {}).is_ok()
}
