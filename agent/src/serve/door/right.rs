//! What each call asks of who makes it. A call that is not in the table asks for the most.

use std::fmt;

/// How far somebody is let in; each holds what stands before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Looks at everything, and may ask what a change would do.
    Read,
    /// The work of a day and of container runtimes: attaches and detaches, mends addresses, orders BGP sessions.
    Operate,
    /// Declares and deletes: policy, pools, peers, hosts.
    Admin,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        })
    }
}

/// What a call asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// To be answered at all.
    pub(super) least: Right,
    /// To change something, where the same call can also only tell what it would change.
    pub(super) to_change: Right,
}

/// Looks, whatever its arguments.
const LOOKS: Asked = Asked { least: Right::Read, to_change: Right::Admin };
/// Changes, whatever its arguments.
const OPERATES: Asked = Asked { least: Right::Operate, to_change: Right::Operate };
const DECLARES: Asked = Asked { least: Right::Admin, to_change: Right::Admin };
/// Looks by itself, and changes when it is told to.
const MENDS: Asked = Asked { least: Right::Read, to_change: Right::Operate };
const TRIES: Asked = Asked { least: Right::Read, to_change: Right::Admin };

/// Every call there is.
const CALLS: [(&str, Asked); 35] = [
    ("/poplin.v1.ResourceService/Get", LOOKS),
    ("/poplin.v1.ResourceService/List", LOOKS),
    ("/poplin.v1.ResourceService/Watch", LOOKS),
    ("/poplin.v1.ResourceService/Apply", TRIES),
    ("/poplin.v1.ResourceService/Delete", TRIES),
    ("/poplin.v1.ResourceService/DeleteAll", TRIES),
    ("/poplin.v1.ResourceService/Confirm", DECLARES),
    ("/poplin.v1.ResourceService/Export", LOOKS),
    ("/poplin.v1.ResourceService/Import", DECLARES),
    ("/poplin.v1.ResourceService/RemoveHost", TRIES),
    ("/poplin.v1.ResourceService/RenameHost", DECLARES),
    ("/poplin.v1.ResourceService/AcceptStore", TRIES),
    ("/poplin.v1.ResourceService/SetSchema", TRIES),
    ("/poplin.v1.WorkloadService/Attach", OPERATES),
    ("/poplin.v1.WorkloadService/Detach", OPERATES),
    ("/poplin.v1.WorkloadService/Check", LOOKS),
    ("/poplin.v1.IpamService/Show", LOOKS),
    ("/poplin.v1.IpamService/Check", MENDS),
    ("/poplin.v1.IpamService/Release", OPERATES),
    ("/poplin.v1.IpamService/ResizePool", TRIES),
    ("/poplin.v1.PolicyService/Explain", LOOKS),
    ("/poplin.v1.PolicyService/ListCounters", LOOKS),
    ("/poplin.v1.PolicyService/WatchDrops", LOOKS),
    ("/poplin.v1.StatusService/GetStatus", LOOKS),
    ("/poplin.v1.StatusService/ListRoutes", LOOKS),
    ("/poplin.v1.StatusService/GetMetrics", LOOKS),
    ("/poplin.v1.StatusService/ExamineStore", LOOKS),
    ("/poplin.v1.BgpService/GetNeighbour", LOOKS),
    ("/poplin.v1.BgpService/ListAdvertised", LOOKS),
    ("/poplin.v1.BgpService/OrderNeighbour", OPERATES),
    ("/poplin.v1.BgpService/WatchRoutes", LOOKS),
    ("/poplin.v1.BgpService/DumpTable", LOOKS),
    ("/grpc.health.v1.Health/Check", LOOKS),
    ("/grpc.health.v1.Health/Watch", LOOKS),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", LOOKS),
];

/// What the call at a path asks.
pub(super) fn asked(path: &str) -> Asked {
    let known = CALLS.iter().find(|(call, _)| *call == path);
    known.map_or(DECLARES, |(_, asked)| *asked)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// Every call of a contract, as the path it is made at.
    fn calls(contract: &[u8]) -> Vec<String> {
        let contract = FileDescriptorSet::decode(contract).unwrap();
        let services = contract.file.iter().flat_map(|file| file.service.iter().map(move |service| (file, service)));
        let paths = services.flat_map(|(file, service)| {
            service.method.iter().map(move |call| format!("/{}.{}/{}", file.package(), service.name(), call.name()))
        });
        paths.collect()
    }

    #[test]
    fn every_call_of_every_contract_that_is_served_has_one_line_in_the_table_and_no_line_is_left_over() {
        let contracts = [
            poplin_proto::FILE_DESCRIPTOR_SET,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        ];
        let served: BTreeSet<String> = contracts.into_iter().flat_map(calls).collect();

        let known: BTreeSet<String> = CALLS.iter().map(|(call, _)| (*call).to_owned()).collect();

        assert_eq!(known, served);
        assert_eq!(known.len(), CALLS.len(), "a call stands in the table twice");
    }

    #[test]
    fn what_nobody_knows_asks_for_the_most() {
        for path in ["/poplin.v1.ResourceService/Burn", "/", "", "/poplin.v1.ResourceService/Get/"] {
            assert_eq!(asked(path), DECLARES);
        }
    }

    #[test]
    fn who_may_only_look_changes_nothing_by_any_call() {
        assert!(CALLS.iter().all(|(_, asked)| asked.to_change > Right::Read && asked.to_change >= asked.least));
    }

    #[test]
    fn each_right_holds_those_before_it() {
        assert!(Right::Read < Right::Operate && Right::Operate < Right::Admin);
    }
}
