//! Turns the wire contract into Rust, with the derives that make a resource message a document of itself.
//!
//! In: `poplin/v1/*.proto`. Out: `poplin.v1.rs` and the descriptor set for reflection, in `OUT_DIR`.
//! protox compiles the contract in Rust, so nobody needs protoc.

use prost::Message as _;

/// What people write in files, from the envelope to the leaves. Requests and answers have no document form.
const DOCUMENTS: [&str; 49] = [
    "Metadata",
    "Pool",
    "PoolSpec",
    "Nat",
    "Host",
    "HostSpec",
    "Endpoint",
    "EndpointSpec",
    "Policy",
    "PolicySpec",
    "Rule",
    "Peers",
    "Tier",
    "TierSpec",
    "AddressSet",
    "AddressSetSpec",
    "Peer",
    "PeerSpec",
    "Bfd",
    "PrefixLimits",
    "FabricConfig",
    "FabricConfigSpec",
    "MonitoringStation",
    "HostSessions",
    "Readiness",
    "Vxlan",
    "Dns",
    "NameRecord",
    "Namespace",
    "NamespaceSpec",
    "HostEndpoint",
    "HostEndpointSpec",
    "RouteMap",
    "RouteMapSpec",
    "RouteRule",
    "RouteMatch",
    "RouteSet",
    "Network",
    "NetworkSpec",
    "Macvlan",
    "Service",
    "ServiceSpec",
    "HealthCheck",
    "StaticRoute",
    "StaticRouteSpec",
    "Profile",
    "ProfileSpec",
    "FloatingAddress",
    "FloatingAddressSpec",
];

/// Answers that programs read as JSON. They are printed whole and never read back.
const REPORTS: [&str; 33] = [
    "ShowAddressesResponse",
    "PoolUse",
    "HostUse",
    "AddressUse",
    "CheckAddressesResponse",
    "AddressFinding",
    "GetStatusResponse",
    "StoreStatus",
    "UnreadableObject",
    "SessionStatus",
    "BfdStatus",
    "PrefixCount",
    "BlockStatus",
    "ServiceStatus",
    "FloatingStatus",
    "NextHopStatus",
    "ServiceMember",
    "ListRoutesResponse",
    "RemoveHostResponse",
    "SetSchemaResponse",
    "HostSchema",
    "RouteStatus",
    "GetNeighbourResponse",
    "MessageCounts",
    "LastNotification",
    "RouteChange",
    "ExplainResponse",
    "CompiledChain",
    "ListCountersResponse",
    "RuleCounter",
    "DirectionTrace",
    "SkippedRule",
    "Drop",
];

/// Fields where nothing written would mean everything, so that a forgotten value must not be taken for a wish.
const NEVER_NULL: [&str; 16] = [
    "PoolSpec.nat",
    "PolicySpec.ingress",
    "PolicySpec.egress",
    "Rule.from",
    "Rule.to",
    "PeerSpec.bfd",
    "PeerSpec.prefix_limits",
    "PeerSpec.shutdown",
    "FabricConfigSpec.bfd",
    "FabricConfigSpec.host_sessions",
    "RouteRule.when",
    "FabricConfigSpec.reflectors",
    "NetworkSpec.icc",
    "NetworkSpec.isolation",
    "ServiceSpec.health",
    "StaticRouteSpec.bfd",
];

/// Lists whose absence means "any", so that an empty one would silently widen a rule.
const NEVER_EMPTY: [&str; 12] = [
    "Rule.ports",
    "Rule.source_ports",
    "Peers.nets",
    "Peers.sets",
    "RouteMatch.prefixes",
    "RouteMatch.communities",
    "RouteMatch.neighbours",
    "RouteMatch.path_contains",
    "RouteMatch.path_neighbour",
    "RouteMatch.path_origin",
    "RouteMatch.origins",
    "PeerSpec.families",
];

/// Texts whose absence means "any", so that an empty one, as a template without its value leaves it, would silently widen a policy.
const NEVER_BLANK: [&str; 5] =
    ["PolicySpec.subject", "PolicySpec.namespaces", "Peers.select", "Peers.not_select", "Peers.namespaces"];

/// Lists whose absence means the usual, so that an empty one would silently take it away.
const NEVER_FORGOTTEN: [&str; 3] =
    ["FabricConfigSpec.failsafe_inbound", "FabricConfigSpec.failsafe_outbound", "RouteSet.communities"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=poplin");
    let contract = protox::compile(["poplin/v1/resource.proto", "poplin/v1/service.proto"], ["."])?;
    let out_dir = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out_dir.join("poplin.v1.bin"), contract.encode_to_vec())?;
    with_document_form(tonic_prost_build::configure().btree_map(".")).compile_fds(contract)?;
    Ok(())
}

fn with_document_form(mut builder: tonic_prost_build::Builder) -> tonic_prost_build::Builder {
    const DERIVE: &str = "#[derive(::serde::Serialize, ::serde::Deserialize)]";
    for message in DOCUMENTS {
        let path = format!(".poplin.v1.{message}");
        builder = builder
            .message_attribute(&path, DERIVE)
            .message_attribute(&path, r#"#[serde(rename_all = "camelCase", deny_unknown_fields, default)]"#)
            .field_attribute(&path, r#"#[serde(skip_serializing_if = "crate::written::is_default")]"#);
    }
    builder = builder
        .message_attribute(".poplin.v1.RuleList", DERIVE)
        .message_attribute(".poplin.v1.RuleList", "#[serde(transparent)]");
    for message in REPORTS {
        let path = format!(".poplin.v1.{message}");
        builder = builder
            .message_attribute(&path, "#[derive(::serde::Serialize)]")
            .message_attribute(&path, r#"#[serde(rename_all = "camelCase")]"#);
    }
    for field in NEVER_NULL {
        builder = builder.field_attribute(
            format!(".poplin.v1.{field}"),
            r#"#[serde(deserialize_with = "crate::written::something")]"#,
        );
    }
    for field in NEVER_EMPTY {
        builder = builder.field_attribute(
            format!(".poplin.v1.{field}"),
            r#"#[serde(deserialize_with = "crate::written::not_empty")]"#,
        );
    }
    for field in NEVER_BLANK {
        builder = builder.field_attribute(
            format!(".poplin.v1.{field}"),
            r#"#[serde(deserialize_with = "crate::written::not_blank")]"#,
        );
    }
    for field in NEVER_FORGOTTEN {
        builder = builder.field_attribute(
            format!(".poplin.v1.{field}"),
            r#"#[serde(deserialize_with = "crate::written::not_forgotten")]"#,
        );
    }
    builder
}
