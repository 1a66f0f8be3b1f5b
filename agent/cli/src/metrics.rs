//! `poplin metrics`: the figures of this host, as Prometheus reads them.

use std::process::ExitCode;

use poplin_proto::v1::GetMetricsRequest;

use crate::agent;
use crate::door::Door;
use crate::output::print;
use crate::problem::Problem;

/// Print the figures of this host in the text format of Prometheus: sessions, prefixes, messages, store. `poplind --metrics-listen` serves the
/// same by HTTP.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin metrics | grep poplin_bgp_peer_up
  poplin metrics > /var/lib/node_exporter/poplin.prom")]
pub(crate) struct Metrics {}

impl Metrics {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let Self {} = self;
        print(&agent::statuses(door).await?.get_metrics(GetMetricsRequest {}).await?.into_inner().text)?;
        Ok(ExitCode::SUCCESS)
    }
}
