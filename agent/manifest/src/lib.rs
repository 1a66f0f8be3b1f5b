//! Files of documents, read alike by the agent and by the command line.
//!
//! In: a file's name and text. Out: documents with their places ([`read`]), and what they mean to policy: checked policies, tiers,
//! address sets, namespaces and endpoints, or a whole [`world`] of them. What is wrong is told with file, line and column.
//! Knows nothing of stores, sockets or files on a disk: texts are given to it.

pub mod file;
mod list;
mod locate;

pub mod import;

pub mod address;
mod circle;
mod endpoint;
mod failsafe;
pub mod field;
mod floating;
mod host_endpoint;
mod namespace;
mod policy;
mod profile;
mod service;

mod offline;
pub mod question;
mod site;
pub mod test;
pub mod topology;
pub mod way;

pub use circle::check_circle;
pub use endpoint::check_endpoint;
pub use failsafe::check_failsafe;
pub use field::check_metadata;
pub use file::{Document, read};
pub use floating::{check_address as check_floating, check_floating_address};
pub use host_endpoint::check_host_endpoint;
pub use namespace::check_namespace;
pub use offline::{failsafe, host_endpoints, world};
pub use policy::{check_address_set, check_policy, check_tier};
pub use profile::{check_profile, check_profiles};
pub use service::check_service_addresses;
pub use site::{Site, check_workload_to_host};
