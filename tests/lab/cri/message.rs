//! Messages of the CRI, as far as a network is concerned with them; an absent field is what its absence means.
//!
//! Names are ours where they say more; numbers are those of `runtime.v1`, <https://github.com/kubernetes/cri-api>.

use std::collections::HashMap;

use prost::Message;

/// What is asked for: `PodSandboxConfig`.
#[derive(Clone, PartialEq, Message)]
pub struct Pod {
    /// Whose it is. A runtime refuses two of one name, namespace, uid and attempt.
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<Metadata>,
    /// What the pod takes its host for.
    #[prost(string, tag = "2")]
    pub hostname: String,
    /// What its `resolv.conf` shall say.
    #[prost(message, optional, tag = "4")]
    pub dns: Option<Dns>,
    /// Ports of the host that lead to it.
    #[prost(message, repeated, tag = "5")]
    pub ports: Vec<Port>,
    /// Labels: the runtime keeps them for itself.
    #[prost(map = "string, string", tag = "6")]
    pub labels: HashMap<String, String>,
    /// Annotations, bounds of bandwidth among them.
    #[prost(map = "string, string", tag = "7")]
    pub annotations: HashMap<String, String>,
}

/// Whose a pod is: `PodSandboxMetadata`.
#[derive(Clone, PartialEq, Message)]
pub struct Metadata {
    /// The pod's name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The pod's own identity, another for each pod that was ever called so.
    #[prost(string, tag = "2")]
    pub uid: String,
    /// The pod's namespace.
    #[prost(string, tag = "3")]
    pub namespace: String,
    /// Which sandbox of this pod it is, from 0.
    #[prost(uint32, tag = "4")]
    pub attempt: u32,
}

/// What a pod's `resolv.conf` says: `DNSConfig`.
#[derive(Clone, PartialEq, Message)]
pub struct Dns {
    /// Name servers.
    #[prost(string, repeated, tag = "1")]
    pub servers: Vec<String>,
    /// Domains that are searched.
    #[prost(string, repeated, tag = "2")]
    pub searches: Vec<String>,
    /// Options, such as `ndots:2`.
    #[prost(string, repeated, tag = "3")]
    pub options: Vec<String>,
}

/// One port: `PortMapping`.
#[derive(Clone, PartialEq, Message)]
pub struct Port {
    /// 0 = TCP, 1 = UDP, 2 = SCTP.
    #[prost(int32, tag = "1")]
    pub protocol: i32,
    /// The pod's.
    #[prost(int32, tag = "2")]
    pub container_port: i32,
    /// The host's; 0 = none.
    #[prost(int32, tag = "3")]
    pub host_port: i32,
    /// The host's address; empty = each of them.
    #[prost(string, tag = "4")]
    pub host_ip: String,
}

/// What a command in a container said: `ExecSyncResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct Said {
    #[prost(bytes = "vec", tag = "1")]
    out: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    errors: Vec<u8>,
    /// Its exit code.
    #[prost(int32, tag = "3")]
    pub code: i32,
}

impl Said {
    /// Everything it said.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&[&self.out[..], &self.errors].concat()).into_owned()
    }
}

impl Pod {
    /// A pod of a name in a namespace, the first that was ever called so.
    pub fn new(namespace: &str, name: &str) -> Self {
        let (name, namespace) = (name.to_owned(), namespace.to_owned());
        let metadata = Metadata { uid: format!("{namespace}-{name}"), attempt: 0, name: name.clone(), namespace };
        Self { metadata: Some(metadata), hostname: name, ..Self::default() }
    }
}

/// Any message of the contract whose first field is an id, a name or an address, and of which no more is wanted.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Named {
    #[prost(string, tag = "1")]
    pub(super) id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RunPodSandbox {
    #[prost(message, optional, tag = "1")]
    pub(super) config: Option<Pod>,
    #[prost(string, tag = "2")]
    pub(super) handler: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Listed {
    #[prost(message, repeated, tag = "1")]
    pub(super) items: Vec<Named>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AskedAtLength {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(bool, tag = "2")]
    pub(super) verbose: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Stands {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<PodStatus>,
    #[prost(map = "string, string", tag = "2")]
    pub(super) info: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PodStatus {
    #[prost(int32, tag = "3")]
    pub(super) state: i32,
    #[prost(message, optional, tag = "5")]
    pub(super) network: Option<PodNetwork>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PodNetwork {
    #[prost(string, tag = "1")]
    pub(super) first: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) more: Vec<Named>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CreateContainer {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(message, optional, tag = "2")]
    pub(super) config: Option<Container>,
    #[prost(message, optional, tag = "3")]
    pub(super) pod: Option<Pod>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Container {
    #[prost(message, optional, tag = "1")]
    pub(super) name: Option<Named>,
    #[prost(message, optional, tag = "2")]
    pub(super) image: Option<Named>,
    #[prost(string, repeated, tag = "3")]
    pub(super) command: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Exec {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, repeated, tag = "2")]
    pub(super) command: Vec<String>,
}
