//! The wire contract: what agents, the command line and the CNI plugin say to each other.
//!
//! In: `poplin/v1/*.proto`. Out: messages, clients and servers ([`v1`]), the document form of the things people
//! declare ([`resource`]), how errors travel ([`failure`]) and how a client reaches its agent ([`connect`]).
//! Knows nothing of what a valid pool or policy is: that is asked at the agent, once.

pub mod connect;
pub mod failure;
pub mod resource;
mod spelling;
mod written;

pub use connect::{ConnectError, DEFAULT_SOCKET, connect};
pub use failure::Failure;
pub use resource::{API_VERSION, KINDS, UnknownKind};
pub use spelling::nearest;

/// Package `poplin.v1`: messages, and a client and a server for each service.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod v1 {
    tonic::include_proto!("poplin.v1");
}

/// The compiled contract, a `google.protobuf.FileDescriptorSet`, as gRPC reflection serves it.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/poplin.v1.bin"));
