//! Hosts, and the settings of the fabric.

use std::net::Ipv4Addr;
use std::num::NonZeroUsize;
use std::time::Duration;

use poplin_bgp::{Asn, Multipath};
use poplin_manifest::address::addresses;
use poplin_manifest::field::{
    Findings, Invalid, Invalids, checked_labels, checked_name, parse, selector, show_labels, within, word,
};
use poplin_manifest::{check_failsafe, check_workload_to_host};
use poplin_node::lineage::Id;
use poplin_node::name::HostName;
use poplin_node::object::{COOLDOWN, ExistingFlows, Fabric, Host, Routing};
use poplin_node::release::Release;
use poplin_node::tunnel::Vxlan;
use poplin_proto::v1;

use super::monitoring::stations;
use super::route_map::named;
use super::{bfd, naming, protection, readiness, timers};

/// Name of the one `FabricConfig`.
pub(super) const FABRIC_NAME: &str = "default";

/// Smallest MTU a link may have: what IPv6 needs (RFC 8200 §5).
pub(super) const MIN_MTU_BYTES: u32 = 1280;

/// Largest MTU of a veth (linux/if_ether.h, `ETH_MAX_MTU`).
pub(super) const MAX_MTU_BYTES: u32 = 65535;

pub(super) fn check(host: &v1::Host) -> Result<Host, Invalids> {
    let spec = host.spec.clone().unwrap_or_default();
    let mut findings = Findings::default();
    let name = HostName::new(checked_name(host.metadata.as_ref()));
    let addresses = addresses(&mut findings, "spec.addresses", &spec.addresses);
    let labels = findings.take(checked_labels(host.metadata.as_ref()));
    let asn = findings.take(spec.asn.map(|number| asn("spec.asn", number)).transpose());
    let router_id = findings.take(parse::<Ipv4Addr>(
        "spec.routerId",
        &spec.router_id,
        "BAD_ADDRESS",
        "a router id such as 192.0.2.1",
    ));
    let told = findings.take(id("spec.told", &spec.told));
    let machine = findings.take(id("spec.machine", &spec.machine));
    let checked = labels.zip(asn).zip(router_id).zip(told.zip(machine));
    findings.finish(checked.map(|(((labels, asn), router_id), (told, machine))| Host {
        name,
        labels,
        addresses,
        asn,
        router_id,
        is_draining: spec.drain,
        told,
        machine,
        release: (spec.schema > 0).then_some(Release { version: spec.agent_version, schema: spec.schema }),
    }))
}

fn id(field: &str, text: &str) -> Result<Option<Id>, Invalid> {
    let id = || Id::parse(text).map(Some);
    let invalid = || Invalid::new(field, "BAD_ID", format!("{text:?} is not 16 hexadecimal digits"));
    if text.is_empty() { Ok(None) } else { id().ok_or_else(invalid) }
}

pub(super) fn show(host: &Host) -> v1::Host {
    v1::Host {
        metadata: Some(v1::Metadata {
            name: host.name.to_string(),
            labels: show_labels(&host.labels),
            ..v1::Metadata::default()
        }),
        spec: Some(v1::HostSpec {
            addresses: host.addresses.iter().map(ToString::to_string).collect(),
            asn: host.asn.map(|asn| asn.0),
            router_id: host.router_id.to_string(),
            drain: host.is_draining,
            told: host.told.map(|told| told.to_string()).unwrap_or_default(),
            machine: host.machine.map(|machine| machine.to_string()).unwrap_or_default(),
            agent_version: host.release.as_ref().map(|release| release.version.clone()).unwrap_or_default(),
            schema: host.release.as_ref().map_or(0, |release| release.schema),
        }),
        ..v1::Host::default()
    }
}

/// Checks an AS number: 0 is reserved (RFC 7607).
pub(super) fn asn(field: &str, number: u32) -> Result<Asn, Invalid> {
    within(field, number, 1, u32::MAX - 1, "").map(Asn)
}

pub(super) fn check_fabric(config: &v1::FabricConfig) -> Result<Fabric, Invalids> {
    let spec = config.spec.clone().unwrap_or_default();
    let default = Fabric::default();
    let mut findings = Findings::default();
    let name = checked_name(config.metadata.as_ref());
    if name != FABRIC_NAME {
        findings.add(
            Invalid::new(
                "metadata.name",
                "BAD_NAME",
                format!("there is one FabricConfig, and it is not named {name:?}"),
            )
            .advice(format!("name it {FABRIC_NAME}")),
        );
    }
    let asn = findings.take(spec.asn.map_or(Ok(default.asn), |number| asn("spec.asn", number)));
    let mtu = spec.mtu_bytes.map(|mtu| within("spec.mtuBytes", mtu, MIN_MTU_BYTES, MAX_MTU_BYTES, " bytes"));
    let mtu_bytes = findings.take(mtu.transpose());
    let vxlan = findings.take_part(vxlan(spec.vxlan.unwrap_or_default()));
    let workload_to_host = findings.take(check_workload_to_host(&spec));
    let words = [("", default.existing_flows), ("recheck", ExistingFlows::Recheck), ("keep", ExistingFlows::Keep)];
    let existing_flows = findings.take(word("spec.existingFlows", &spec.existing_flows, &words));
    let failsafe = findings.take_part(check_failsafe(&spec));
    let bfd = spec.bfd.map_or(default.bfd, |bfd| bfd::check(&mut findings, "spec.bfd", &bfd));
    let cooldown = findings.take(cooldown(spec.address_cooldown_seconds));
    let routing = findings.take_part(routing(&spec));
    let is_meshed = spec.mesh.unwrap_or(default.is_meshed);
    let naming = findings.take_part(naming::check("spec.dns", spec.dns.as_ref()));
    let readiness = findings.take_part(readiness::check("spec.readiness", spec.readiness.as_ref()));
    let checked = asn
        .zip(mtu_bytes)
        .zip(workload_to_host)
        .zip(existing_flows)
        .zip(routing)
        .zip(naming)
        .zip(cooldown)
        .zip(failsafe)
        .zip(vxlan)
        .zip(readiness);
    findings.finish(checked.map(
        |(
            (
                (((((((asn, mtu_bytes), workload_to_host), existing_flows), routing), naming), cooldown), failsafe),
                vxlan,
            ),
            readiness,
        )| Fabric {
            readiness,
            vxlan,
            cooldown,
            asn,
            is_meshed,
            bfd,
            mtu_bytes,
            workload_to_host,
            existing_flows,
            failsafe,
            routing,
            naming,
        },
    ))
}

/// Checks how packets are wrapped. A network identifier has 24 bits (RFC 7348 §5).
fn vxlan(spec: v1::Vxlan) -> Result<Vxlan, Invalids> {
    let default = Vxlan::default();
    let mut findings = Findings::default();
    let vni = findings.take(within("spec.vxlan.vni", spec.vni.unwrap_or(default.vni), 1, 0x00ff_ffff, ""));
    let port = within("spec.vxlan.port", spec.port.unwrap_or(default.port.into()), 1, u16::MAX.into(), "");
    let port = findings.take(port.map(|port| u16::try_from(port).unwrap_or(default.port)));
    findings.finish(vni.zip(port).map(|(vni, port)| Vxlan { vni, port }))
}

/// Longest rest of an address, in seconds: a day. Who wants longer wants it reserved.
const LONGEST_COOLDOWN_SECONDS: u32 = 86_400;

fn cooldown(seconds: Option<u32>) -> Result<Duration, Invalid> {
    let checked = seconds.map(|seconds| {
        within("spec.addressCooldownSeconds", seconds, 0, LONGEST_COOLDOWN_SECONDS, " s")
            .map_err(|invalid| invalid.advice("take 60 for the usual, or 0 for none"))
    });
    Ok(checked.transpose()?.map_or(COOLDOWN, |seconds| Duration::from_secs(seconds.into())))
}

/// The longest time that a BGP neighbour can be told (RFC 9494 §3.1: 24 bits).
const LONGEST_LIFE_SECONDS: u32 = 0x00ff_ffff;

/// Checks how long routes may outlive their teller; 0 is not at all.
pub(super) fn long_lived(field: &str, seconds: u32) -> Result<Option<Duration>, Invalid> {
    let seconds = within(field, seconds, 0, LONGEST_LIFE_SECONDS, " s")?;
    Ok((seconds > 0).then(|| Duration::from_secs(seconds.into())))
}

/// Checks what concerns routes between hosts, and with peers that say nothing of their own.
fn routing(spec: &v1::FabricConfigSpec) -> Result<Routing, Invalids> {
    let mut findings = Findings::default();
    let reflectors = spec.reflectors.as_ref().map(|text| selector("spec.reflectors", text));
    let reflectors = findings.take(reflectors.transpose());
    let cluster = Some(&spec.cluster_id).filter(|text| !text.is_empty());
    let expected = "a cluster id such as 192.0.2.1";
    let cluster = cluster.map(|text| parse::<Ipv4Addr>("spec.clusterId", text, "BAD_ADDRESS", expected));
    let cluster = findings.take(cluster.transpose());
    let mesh = named(&mut findings, [("spec.meshImport", &spec.mesh_import), ("spec.meshExport", &spec.mesh_export)]);
    let words = [("", false), ("accept", false), ("reject", true)];
    let multipath = findings.take(multipath(spec));
    let closed = findings.take(word("spec.externalDefault", &spec.external_default, &words));
    let life = spec.long_lived_seconds.map(|seconds| long_lived("spec.longLivedSeconds", seconds));
    let life = findings.take(life.unwrap_or(Ok(Routing::default().long_lived)));
    let stations = findings.take_part(stations("spec.monitoringStations", &spec.monitoring_stations));
    let sessions = spec.host_sessions.clone().unwrap_or_default();
    let (field, password_file) = ("spec.hostSessions", &sessions.password_file);
    let protection = protection::check(&mut findings, field, password_file, sessions.ttl_security_hops);
    let timers = timers::check(&mut findings, field, (&sessions).into());
    let checked = reflectors.zip(cluster).zip(closed).zip(life).zip(stations).zip(timers).zip(multipath);
    findings.finish(checked.map(
        |((((((reflectors, cluster), is_closed_outside), long_lived), stations), timers), multipath)| Routing {
            timers,
            protection,
            stations,
            long_lived,
            reflectors,
            cluster,
            mesh,
            is_closed_outside,
            multipath,
        },
    ))
}

/// Checks how the ways to one prefix share its traffic.
fn multipath(spec: &v1::FabricConfigSpec) -> Result<Multipath, Invalid> {
    let default = Multipath::default();
    let maximum = spec.maximum_paths.map(|paths| {
        within("spec.maximumPaths", paths, 1, u32::MAX, "").map_err(|invalid| {
            invalid.advice("take 1 for the best path alone, or leave it out for all that are as good")
        })
    });
    let maximum = maximum.transpose()?.and_then(|paths| NonZeroUsize::new(paths as usize));
    Ok(Multipath { maximum, is_relaxed: spec.multipath_relax.unwrap_or(default.is_relaxed) })
}
