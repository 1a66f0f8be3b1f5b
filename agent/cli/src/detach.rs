//! `poplin detach`: takes an endpoint of this host away.

use std::process::ExitCode;

use poplin_proto::v1::DetachRequest;

use crate::agent;
use crate::door::Door;
use crate::kind::title;
use crate::output::print;
use crate::problem::Problem;

/// Detach an endpoint of this host; its address becomes free.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin detach web")]
pub(crate) struct Detach {
    /// Name of the endpoint.
    #[arg(required_unless_present = "flag", conflicts_with = "flag")]
    name: Option<String>,
    /// The same, as `attach` takes it.
    #[arg(long = "name", id = "flag", value_name = "NAME")]
    flag: Option<String>,
}

impl Detach {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let name = self.name.or(self.flag).unwrap_or_default();
        let request = DetachRequest { name: name.clone(), ..DetachRequest::default() };
        let answer = agent::workloads(door).await?.detach(request).await?.into_inner();
        match answer.endpoint {
            Some(_) => print(&format!("{} detached\n", title("endpoint", &name)))?,
            None => eprintln!("{} was not attached", title("endpoint", &name)),
        }
        Ok(ExitCode::SUCCESS)
    }
}
