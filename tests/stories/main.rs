//! Stories of real agents on a real kernel, with BIRD and etcd, in network namespaces. They need root.

mod one_host;

mod fabric;
mod mesh;
mod reflectors;

mod addresses;
mod allocators;
mod bfd;
mod death;
mod doctor;
mod door;
mod drift;
mod drops;
mod edge;
mod etcd_cluster;
mod etcd_days;
mod etcd_members;
mod floating;
mod flows;
mod full;
mod host_endpoints;
mod host_explained;
mod host_flows;
mod hostile;
mod lan;
mod large;
mod outgoing;
mod pools;
mod profiles;
mod published;
mod services;
mod spoof;
mod staged;
mod store_away;
mod storms;
mod tap;
mod transfer;
mod udplite;
mod unprivileged;
mod unreadable;

mod bad_input;
mod chains;
mod clock;
mod cni;
mod containerd;
mod cri;
mod docker;
mod names;
mod namesakes;
mod networks;
mod pages;
mod podman;
mod room;
mod run;
