//! Which call of dockerd is answered where, and what the calls share: the head, the store, and what is known of Docker's networks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use poplin_node::name::AttachmentId;
use poplin_node::request::{Answer, Refusal};
use poplin_proto::Failure;
use rustix::process::{Pid, test_kill_process};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::api::Api;
use super::binding::Bindings;
use super::call;
use crate::config::Docker;
use crate::serve::{Call, Desk, refused};

/// What Docker's endpoints have for an interface's name: Docker numbers them itself, and does not tell.
pub(super) const INTERFACE: &str = "docker";

/// What was asked is done, or why not, for people.
pub(super) type Outcome = Result<Value, String>;

/// Answers dockerd. Cheap to clone.
#[derive(Clone)]
pub(super) struct Driver {
    pub desk: Desk,
    pub api: Api,
    pub bindings: Bindings,
    /// What dockerd calls us.
    pub name: String,
    pub memory: Arc<Mutex<Memory>>,
    /// The process that calls over this connection; absent = none does, or it is none that this one can see.
    caller: Option<Pid>,
    /// Networks are named one after the other: two calls may need the name of one.
    pub naming: Arc<tokio::sync::Mutex<()>>,
}

/// What matters for moments only, and may be lost.
#[derive(Default)]
pub(super) struct Memory {
    /// `--ip-range` of subnets that were asked for: told with the range, and not with the network.
    pub ranges: BTreeMap<IpNet, IpNet>,
    /// Numbers given out with ranges that nobody named.
    pub numbers: Vec<u16>,
    /// Endpoints that were made in this life: dockerd lists them some moments later only.
    pub made: BTreeMap<AttachmentId, Made>,
}

/// When an endpoint was made, and for which process.
pub(super) struct Made {
    at: Instant,
    by: Option<Pid>,
}

/// Before a request is made again that came while another was under way for the same attachment; one takes milliseconds.
const TURN: Duration = Duration::from_millis(10);

/// How long one that was made in this life is left alone while the dockerd that asked for it lives.
const YOUTH: Duration = Duration::from_secs(60);

impl Made {
    /// Whether dockerd may still be about to list it. A dockerd that died in between has not written it down, and the next one knows nothing of it.
    pub fn may_yet_be_listed(&self) -> bool {
        let is_gone = |pid: Pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH);
        self.at.elapsed() < YOUTH && !self.by.is_some_and(is_gone)
    }
}

impl Driver {
    pub fn new(settings: &Docker, desk: Desk) -> Self {
        let name = settings.plugin.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        Self {
            api: Api::new(settings.socket.clone()),
            bindings: Bindings::new(desk.clone()),
            desk,
            caller: None,
            name: name.unwrap_or_default(),
            memory: Arc::default(),
            naming: Arc::default(),
        }
    }

    /// The same, for what this process asks.
    pub fn called_by(&self, pid: Option<i32>) -> Self {
        Self { caller: pid.and_then(Pid::from_raw), ..self.clone() }
    }

    /// A container's network namespace, which mostly is still to come. dockerd tells the path as it sees it, and it may see other mounts than we do.
    pub fn sandbox(&self, key: &Path) -> PathBuf {
        let mounts = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/mnt")).ok();
        seen_from_here(key, self.caller.map(|pid| pid.as_raw_nonzero().to_string()), mounts)
    }

    /// Notes down that an endpoint is being made.
    pub fn makes(&self, attachment: &AttachmentId) {
        let made = Made { at: Instant::now(), by: self.caller };
        self.remember(|memory| memory.made.insert(attachment.clone(), made));
    }

    /// Answers one call; nothing if there is no such call.
    pub async fn call(&self, path: &str, body: &[u8]) -> Option<Outcome> {
        Some(match path {
            "Plugin.Activate" => Ok(json!({"Implements": ["NetworkDriver", "IpamDriver"]})),
            // Local, for dockerd shares what is global by Swarm only, which has no plugins of this kind; the network is shared by us.
            "NetworkDriver.GetCapabilities" => Ok(json!({"Scope": "local", "ConnectivityScope": "global"})),
            "NetworkDriver.CreateNetwork" => call::create_network::answer(self, body).await,
            "NetworkDriver.DeleteNetwork" => call::delete_network::answer(self, body).await,
            "NetworkDriver.CreateEndpoint" => call::create_endpoint::answer(self, body).await,
            "NetworkDriver.EndpointOperInfo" => Ok(json!({"Value": {}})),
            "NetworkDriver.DeleteEndpoint" => call::delete_endpoint::answer(self, body).await,
            "NetworkDriver.Join" => call::join::answer(self, body).await,
            "NetworkDriver.ProgramExternalConnectivity" => call::external::program(self, body).await,
            "NetworkDriver.RevokeExternalConnectivity" => call::external::revoke(self, body).await,
            "NetworkDriver.Leave"
            | "NetworkDriver.DiscoverNew"
            | "NetworkDriver.DiscoverDelete"
            | "IpamDriver.ReleasePool" => done(),
            "IpamDriver.GetCapabilities" => Ok(json!({"RequiresMACAddress": false, "RequiresRequestReplay": false})),
            // One for both: with two, dockerd 29 looks for a pool that no host route overlaps, and every one is overlapped by ours.
            "IpamDriver.GetDefaultAddressSpaces" => {
                Ok(json!({"LocalDefaultAddressSpace": "poplin", "GlobalDefaultAddressSpace": "poplin"}))
            }
            "IpamDriver.RequestPool" => call::request_pool::answer(self, body).await,
            "IpamDriver.RequestAddress" => call::request_address::answer(self, body).await,
            "IpamDriver.ReleaseAddress" => call::release_address::answer(self, body).await,
            _ => return None,
        })
    }

    /// Asks the head, in turn: what we tell of a container late may be under way while dockerd asks for the same one, and dockerd does not ask again.
    /// Whoever called waits no longer than a call may take.
    pub async fn ask_in_turn(
        &self,
        call: impl Fn(tokio::sync::oneshot::Sender<Answer>) -> Call,
    ) -> Result<Answer, String> {
        loop {
            match self.desk.ask(&call).await.map_err(|failure| told_failure(&failure))? {
                Answer::Refused(Refusal::Busy { .. }) => sleep(TURN).await,
                answer => return Ok(answer),
            }
        }
    }

    /// The same; what it refuses comes with what to try.
    pub async fn ask(&self, call: impl Fn(tokio::sync::oneshot::Sender<Answer>) -> Call) -> Result<Answer, String> {
        match self.ask_in_turn(call).await? {
            Answer::Refused(refusal) => Err(told_failure(&refused(&refusal))),
            other => Ok(other),
        }
    }

    pub fn remember<T>(&self, change: impl FnOnce(&mut Memory) -> T) -> T {
        change(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A failure in one line, with what to try.
pub(super) fn told_failure(failure: &Failure) -> String {
    let advice = failure.advice.as_ref().map(|advice| format!("; {advice}")).unwrap_or_default();
    format!("{}{advice}", failure.message)
}

/// By what the head knows an endpoint of Docker.
pub(super) fn attachment(endpoint_id: &str) -> AttachmentId {
    AttachmentId { container: endpoint_id.to_owned(), interface: INTERFACE.to_owned() }
}

pub(super) fn done() -> Outcome {
    Ok(json!({}))
}

pub(super) fn told(answer: &impl Serialize) -> Outcome {
    serde_json::to_value(answer).map_err(|error| error.to_string())
}

/// A path of this process, as we get there. Where it sees what the first process sees, the path goes by that one: containers may outlive their dockerd
/// (its `live-restore`), and with it every path by its number.
fn seen_from_here(key: &Path, process: Option<String>, mounts: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    let elsewhere = process.filter(|pid| mounts(pid).is_some_and(|theirs| Some(theirs) != mounts("self")));
    let Some(pid) = elsewhere else { return key.to_owned() };
    let lasting = if mounts("1") == mounts(&pid) { "1" } else { &pid };
    Path::new("/proc").join(lasting).join("root").join(key.strip_prefix("/").unwrap_or(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_is_found_by_the_first_process_where_that_sees_what_dockerd_sees() {
        let key = Path::new("/var/run/docker/netns/0815");
        let seen = |ours: &str, first: &str, dockerds: Option<&str>| {
            let mounts = |process: &str| match process {
                "self" => Some(PathBuf::from(ours)),
                "1" => Some(PathBuf::from(first)),
                _ => dockerds.map(PathBuf::from),
            };
            seen_from_here(key, Some("77".to_owned()), mounts)
        };

        assert_eq!(seen("a", "a", Some("a")), key);
        assert_eq!(seen("b", "a", Some("a")), Path::new("/proc/1/root/var/run/docker/netns/0815"));
        assert_eq!(seen("a", "a", Some("b")), Path::new("/proc/77/root/var/run/docker/netns/0815"));
        assert_eq!(seen("b", "a", None), key, "what cannot be compared is taken as it is told");
    }
}
