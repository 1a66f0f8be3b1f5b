//! Drives a container runtime as a kubelet does, by its CRI socket.
//!
//! In: what a pod shall be. Out: what the runtime answers. Knows the few calls and fields of the contract that a network is
//! concerned with. Rules: `runtime.v1` of Kubernetes' cri-api, see [`message`].

mod message;

use std::path::{Path, PathBuf};

use prost::Message;
use tonic::{Request, Status};

use message::{AskedAtLength, Container, CreateContainer, Exec, Listed, Named, RunPodSandbox, Stands};
pub use message::{Dns, Metadata, Pod, Port, Said};

/// A runtime's CRI socket. It is dialled anew for each call, so that a runtime that was killed is found again.
#[derive(Debug)]
pub struct Cri {
    socket: PathBuf,
}

/// How a pod stands: `PodSandboxStatus`, with what a runtime tells of it beyond the contract.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Whether its sandbox lives.
    pub is_ready: bool,
    /// Its addresses, the first one first.
    pub addresses: Vec<String>,
    /// Where its network namespace is.
    pub netns: PathBuf,
}

impl Cri {
    pub(crate) fn at(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// `RunPodSandbox`: its id, once its network stands.
    pub fn run(&self, pod: &Pod) -> Result<String, Status> {
        self.run_by("", pod)
    }

    /// The same by a runtime handler, which is what a RuntimeClass of Kubernetes names.
    pub fn run_by(&self, handler: &str, pod: &Pod) -> Result<String, Status> {
        let request = RunPodSandbox { config: Some(pod.clone()), handler: handler.to_owned() };
        self.call::<_, Named>("RunPodSandbox", request).map(|answer| answer.id)
    }

    /// `StopPodSandbox`: its containers and its network are gone.
    pub fn stop(&self, id: &str) -> Result<(), Status> {
        self.call("StopPodSandbox", Named { id: id.to_owned() })
    }

    /// `RemovePodSandbox`: the runtime forgets it.
    pub fn remove(&self, id: &str) -> Result<(), Status> {
        self.call("RemovePodSandbox", Named { id: id.to_owned() })
    }

    /// `ListPodSandbox`: the ids of all.
    pub fn list(&self) -> Result<Vec<String>, Status> {
        let answer: Listed = self.call("ListPodSandbox", ())?;
        Ok(answer.items.into_iter().map(|item| item.id).collect())
    }

    /// `PodSandboxStatus`.
    pub fn standing(&self, id: &str) -> Result<Standing, Status> {
        let answer: Stands = self.call("PodSandboxStatus", AskedAtLength { id: id.to_owned(), verbose: true })?;
        let status = answer.status.unwrap_or_default();
        let network = status.network.unwrap_or_default();
        let more = network.more.into_iter().map(|address| address.id);
        let addresses = std::iter::once(network.first).chain(more).filter(|address| !address.is_empty());
        let info = answer.info.get("info").map(String::as_str).unwrap_or_default();
        Ok(Standing { is_ready: status.state == 0, addresses: addresses.collect(), netns: netns(info) })
    }

    /// `CreateContainer` and `StartContainer`: a container of a pod, and its id.
    pub fn start(&self, id: &str, pod: &Pod, image: &str, command: &[&str]) -> Result<String, Status> {
        let container = Container {
            name: Some(Named { id: "main".to_owned() }),
            image: Some(Named { id: image.to_owned() }),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
        };
        let request = CreateContainer { id: id.to_owned(), config: Some(container), pod: Some(pod.clone()) };
        let created: Named = self.call("CreateContainer", request)?;
        self.call::<_, ()>("StartContainer", created.clone())?;
        Ok(created.id)
    }

    /// `ExecSync`: runs a command in a container, to its end.
    pub fn exec(&self, container: &str, command: &[&str]) -> Result<Said, Status> {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        self.call("ExecSync", Exec { id: container.to_owned(), command })
    }

    fn call<I, O>(&self, method: &str, message: I) -> Result<O, Status>
    where
        I: Message + 'static,
        O: Message + Default + 'static,
    {
        let path = format!("/runtime.v1.RuntimeService/{method}").parse().expect("a method is a path");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be made").block_on(async {
            let channel = poplin_proto::connect(&self.socket).await;
            let mut client = tonic::client::Grpc::new(channel.map_err(|error| Status::unavailable(error.to_string()))?);
            client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            let codec = tonic_prost::ProstCodec::default();
            client.unary(Request::new(message), path, codec).await.map(tonic::Response::into_inner)
        })
    }
}

/// containerd tells the namespace in the runtime's own specification of the sandbox.
fn netns(info: &str) -> PathBuf {
    let info: serde_json::Value = serde_json::from_str(info).unwrap_or_default();
    let namespaces = info["runtimeSpec"]["linux"]["namespaces"].as_array().cloned().unwrap_or_default();
    let network = namespaces.into_iter().find(|namespace| namespace["type"] == "network").unwrap_or_default();
    network["path"].as_str().unwrap_or_default().into()
}
