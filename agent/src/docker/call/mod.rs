//! The calls of dockerd, one a file, in the order in which it makes them.

pub(super) mod request_pool;

pub(super) mod create_network;

pub(super) mod request_address;

pub(super) mod create_endpoint;
mod portmap;

pub(super) mod join;

pub(super) mod external;
mod free_port;

pub(super) mod delete_endpoint;

pub(super) mod release_address;

pub(super) mod delete_network;
