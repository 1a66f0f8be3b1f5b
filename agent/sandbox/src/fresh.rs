//! Makes a network namespace for one command, which is gone with the last process in it.
//!
//! In: nothing. Out: a thread that lives in a network and a mount namespace of its own; what it starts lives there too. Rules: unshare(2), which
//! moves the calling thread only, and fork(2), which hands the thread's namespaces on.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use nix::sched::CloneFlags;
use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use rustix::thread::gettid;

use crate::SandboxError;

type Job = Box<dyn FnOnce() + Send>;

/// Where programs look for their nameserver.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// A namespace nobody else knows of. Dropping it leaves it to the processes that were started in it.
#[derive(Debug)]
pub struct Fresh {
    jobs: mpsc::Sender<Job>,
    thread: rustix::thread::Pid,
}

impl Fresh {
    /// Needs `CAP_SYS_ADMIN`.
    pub fn new() -> Result<Self, SandboxError> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (told, born) = mpsc::channel();
        let live = move || {
            let _ = told.send(leave_the_host().map(|()| gettid()));
            inbox.into_iter().for_each(|job| job());
        };
        thread::Builder::new().name("fresh".to_owned()).spawn(live).map_err(SandboxError::Start)?;
        let thread = born.recv().unwrap_or_else(|_| Err(died())).map_err(SandboxError::Fresh)?;
        Ok(Self { jobs, thread })
    }

    /// Does something inside.
    pub fn within<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, SandboxError> {
        let (told, answer) = mpsc::channel();
        let job = move || {
            let _ = told.send(job());
        };
        self.jobs.send(Box::new(job)).map_err(|_| SandboxError::Start(died()))?;
        answer.recv().map_err(|_| SandboxError::Start(died()))
    }

    /// Where others find it. Nothing stays behind there, whatever becomes of us: the path ends with us, the namespace with the last process in it.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/task/{}/ns/net", std::process::id(), self.thread.as_raw_nonzero()).into()
    }

    /// Has what is started inside ask these nameservers; the host's own file stays as it is.
    pub fn resolve_by(&self, text: String) -> Result<(), SandboxError> {
        let path = Path::new("/run").join(format!(".poplin-resolv-{}", self.thread.as_raw_nonzero()));
        self.within(move || lay_over(&path, &text))?.map_err(SandboxError::Resolver)
    }
}

/// Mounts that are made from now on are nobody else's; those of the host are still seen.
fn leave_the_host() -> io::Result<()> {
    nix::sched::unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)?;
    Ok(mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?)
}

/// The file has no name of its own any more once it lies over the other. A host without one has nothing to lie over.
fn lay_over(path: &Path, text: &str) -> io::Result<()> {
    if !Path::new(RESOLV_CONF).exists() {
        return Ok(());
    }
    let _ = std::fs::remove_file(path); // of a former life with our number
    let written = write_for_all(path, text);
    let laid = written.and_then(|()| Ok(mount_bind(path, RESOLV_CONF)?));
    std::fs::remove_file(path)?;
    laid
}

/// Who is not root reads it, too, whatever our mask.
fn write_for_all(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    file.write_all(text.as_bytes())
}

fn died() -> io::Error {
    io::Error::other("the thread in the namespace died")
}
