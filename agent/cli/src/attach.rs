//! `poplin attach`: gives a network namespace an interface, an address and its policy.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use poplin_proto::v1::AttachResponse;

use crate::agent;
use crate::door::Door;
use crate::joining::{Joining, Wishes};
use crate::output::print;
use crate::problem::{Exit, Problem};

/// Attach a network namespace of this host.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  ip netns add web && poplin attach --netns web --name web --label app=web
  poplin attach --netns web --name web -p 8080:80 -p 192.0.2.1:53:53/udp
  poplin attach --pid 4711 --name db --ip 10.77.0.9
  poplin attach --netns web --name web --floating 198.51.100.7")]
pub(crate) struct Attach {
    #[command(flatten)]
    place: Place,
    /// Name of the endpoint.
    #[arg(long)]
    name: String,
    #[command(flatten)]
    wishes: Wishes,
}

/// Which namespace is meant.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Place {
    /// Path of the namespace, or its name under /run/netns.
    #[arg(long, value_name = "PATH")]
    netns: Option<PathBuf>,
    /// A process in it.
    #[arg(long)]
    pid: Option<u32>,
}

impl Attach {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let netns = self.place.path()?;
        poplin_sandbox::netns::validate(&netns)?;
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
            (None, None) => Err(Problem::usage("no namespace is named").advice("--netns PATH, or --pid PID")),
        }
    }
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
        let place = |pid| Place { netns: None, pid: Some(pid) }.path();

        assert_eq!(place(1).unwrap(), Path::new("/proc/1/ns/net"));
        assert_eq!(place(u32::MAX).unwrap_err().exit(), Exit::NotFound);
    }
}
