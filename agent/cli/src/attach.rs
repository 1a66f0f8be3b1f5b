//! `poplin attach`: gives a network namespace, or a virtual machine, an interface, an address and its policy.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use poplin_proto::v1::AttachResponse;

use crate::agent;
use crate::door::Door;
use crate::joining::{Joining, Wishes};
use crate::output::print;
use crate::problem::{Exit, Problem};

/// Attach a network namespace of this host, or a virtual machine by a tap.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  ip netns add web && poplin attach --netns web --name web --label app=web
  poplin attach --netns web --name web -p 8080:80 -p 192.0.2.1:53:53/udp
  poplin attach --pid 4711 --name db --ip 10.77.0.9
  poplin attach --tap vm0 --user qemu --name vm
  poplin attach --netns web --name web --floating 198.51.100.7")]
pub(crate) struct Attach {
    #[command(flatten)]
    place: Place,
    /// User who may open the tap, by name or number; otherwise root alone.
    #[arg(long, requires = "tap")]
    user: Option<String>,
    /// Name of the endpoint.
    #[arg(long)]
    name: String,
    #[command(flatten)]
    wishes: Wishes,
}

/// Which namespace is meant, or which tap is to be made.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Place {
    /// Path of the namespace, or its name under /run/netns.
    #[arg(long, value_name = "PATH")]
    netns: Option<PathBuf>,
    /// A process in it.
    #[arg(long)]
    pid: Option<u32>,
    /// Name of a tap to be made on this host, which a virtual machine then opens.
    #[arg(long, value_name = "NAME", conflicts_with = "interface")]
    tap: Option<String>,
}

impl Attach {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        if let Some(tap) = &self.place.tap {
            let tap = tap.clone();
            return attach_tap(Joining::by_tap(self.name, &tap, self.wishes), &tap, self.user.as_deref(), door).await;
        }
        let netns = self.place.path()?;
        let joining = Joining { container: self.name.clone(), name: self.name, netns, wishes: self.wishes };
        let answer = joining.join(&mut agent::workloads(door).await?).await?;
        print(&(joining.told(&answer) + &nameservers(&answer)))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Place {
    fn path(&self) -> Result<PathBuf, Problem> {
        match (&self.netns, self.pid) {
            (_, Some(pid)) if !Path::new(&format!("/proc/{pid}")).exists() => {
                Err(Problem::new(Exit::NotFound, format!("--pid {pid}: there is no such process")))
            }
            (_, Some(pid)) => Ok(format!("/proc/{pid}/ns/net").into()),
            (Some(given), None) => netns_path(given),
            (None, None) => {
                Err(Problem::usage("no namespace is named").advice("--netns PATH, --pid PID, or --tap NAME"))
            }
        }
    }
}

/// The tap is made first, and goes again if nothing comes of it.
async fn attach_tap(joining: Joining, tap: &str, user: Option<&str>, door: &Door) -> Result<ExitCode, Problem> {
    let mut client = agent::workloads(door).await?;
    let is_made = poplin_sandbox::make_tap(tap, user).await?;
    let answer = match joining.join(&mut client).await {
        Ok(answer) => answer,
        Err(problem) if is_made => {
            return Err(match poplin_sandbox::remove_tap(tap).await {
                Ok(()) => problem,
                Err(other) => problem.and(Problem::from(other)),
            });
        }
        Err(problem) => return Err(problem),
    };
    print(&(joining.told(&answer) + &guest(&answer) + &nameservers(&answer)))?;
    Ok(ExitCode::SUCCESS)
}

/// What the machine has to be given, for nobody but itself can do that.
fn guest(answer: &AttachResponse) -> String {
    let spec = answer.endpoint.as_ref().and_then(|endpoint| endpoint.spec.clone()).unwrap_or_default();
    let gateways = answer.gateways.join(" ");
    format!("guest: mac {} mtu {} gateway {gateways} on-link\n", spec.mac, spec.mtu_bytes)
}

fn nameservers(answer: &AttachResponse) -> String {
    match &answer.nameservers[..] {
        [] => String::new(),
        servers => format!("nameserver {}, search {}\n", servers.join(" "), answer.search_domains.join(" ")),
    }
}

/// A bare name is one of `ip netns`; other paths are made absolute, for the agent runs elsewhere.
fn netns_path(given: &Path) -> Result<PathBuf, Problem> {
    if given.components().count() == 1 && given.is_relative() {
        return Ok(Path::new("/run/netns").join(given));
    }
    std::path::absolute(given).map_err(|error| Problem::usage(format!("--netns {}: {error}", given.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_one_of_ip_netns() {
        assert_eq!(netns_path(Path::new("web")).unwrap(), Path::new("/run/netns/web"));
        assert_eq!(netns_path(Path::new("/proc/1/ns/net")).unwrap(), Path::new("/proc/1/ns/net"));
        assert!(netns_path(Path::new("ns/web")).unwrap().is_absolute());
    }

    #[test]
    fn a_process_is_in_the_namespace_of_its_entry_in_proc() {
        let place = |pid| Place { netns: None, pid: Some(pid), tap: None }.path();

        assert_eq!(place(1).unwrap(), Path::new("/proc/1/ns/net"));
        assert_eq!(place(u32::MAX).unwrap_err().exit(), Exit::NotFound);
    }
}
