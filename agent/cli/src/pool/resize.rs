//! `poplin pool resize`: another size for a pool's blocks, step by step.

use std::process::ExitCode;

use poplin_proto::v1::ResizePoolRequest;

use crate::agent;
use crate::door::Door;
use crate::output::print;
use crate::problem::Problem;

/// Change the size of a pool's blocks while their addresses are in use: no container notices.
///
/// The blocks that hosts hold are split or joined one by one. Meanwhile nobody gets an address of the pool; what is attached in these moments gets
/// one of another pool, or is refused and tries again. A run that was ended is gone on with by the same command.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin pool resize containers --block-size 28 --plan
  poplin pool resize containers --block-size 28")]
pub(super) struct Resize {
    /// The pool.
    name: String,
    /// Prefix length of its blocks from then on.
    #[arg(long, value_name = "BITS")]
    block_size: u32,
    /// Tell the steps, and do nothing.
    #[arg(long)]
    plan: bool,
}

impl Resize {
    pub(super) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let mut client = agent::ipam(door).await?;
        let request = ResizePoolRequest { pool: self.name.clone(), block_size: self.block_size, dry_run: self.plan };
        let mut is_first = true;
        loop {
            let answer = client.resize_pool(request.clone()).await?.into_inner();
            if self.plan {
                let steps = answer.left.iter().enumerate().map(|(at, step)| format!("{}. {step}\n", at + 1));
                print(&steps.collect::<String>())?;
                return Ok(ExitCode::SUCCESS);
            }
            match answer.done.as_str() {
                "" if is_first => {
                    print(&format!("blocks of pool {} are of /{} already\n", self.name, self.block_size))?
                }
                "" => {}
                done => print(&format!("done: {done}\n"))?,
            }
            if answer.left.is_empty() {
                return Ok(ExitCode::SUCCESS);
            }
            is_first = false;
        }
    }
}
