//! `poplin promote`: a staged policy is enforced from now on.

use std::process::ExitCode;

use poplin_proto::v1::resource::Object;
use poplin_proto::v1::{ApplyRequest, GetRequest};

use crate::agent;
use crate::door::Door;
use crate::output::print;
use crate::problem::{Exit, Problem};

/// Enforce a staged policy. `poplin counters --staged` tells beforehand what it would have allowed and denied.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin counters --staged
  poplin promote shop/db")]
pub(crate) struct Promote {
    /// The policy: name, or namespace/name.
    policy: String,
}

impl Promote {
    /// What was read is written back with its version, so that nobody else's edit is lost.
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let mut client = agent::resources(door).await?;
        let request = GetRequest { kind: "Policy".to_owned(), name: self.policy.clone() };
        let mut resource = client.get(request).await?.into_inner().resource.unwrap_or_default();
        let Some(Object::Policy(policy)) = &mut resource.object else {
            return Err(Problem::new(Exit::Failed, format!("{} is no policy", self.policy)));
        };
        let spec = policy.spec.get_or_insert_default();
        if spec.mode != "stage" {
            let mode = if spec.mode.is_empty() { "enforce" } else { &spec.mode };
            let message = format!("policy {} is not staged, its mode is {mode}", self.policy);
            return Err(Problem::new(Exit::Conflict, message).advice("see `poplin get policies`"));
        }
        spec.mode = String::new();
        client.apply(ApplyRequest { resources: vec![resource], ..ApplyRequest::default() }).await?;
        print(&format!("policy/{} is enforced\n", self.policy))?;
        Ok(ExitCode::SUCCESS)
    }
}
