//! DEL: whatever ADD made is gone, also when the container, its namespace or the attachment have gone before.

use crate::agent::{detach, workloads};
use crate::conf::Conf;
use crate::error::CniError;
use crate::invocation::Attachment;

/// Without an agent nothing can be released: the runtime is told to ask again, lest an address leak.
pub(crate) async fn del(attachment: &Attachment, conf: &Conf) -> Result<(), CniError> {
    let mut client = workloads(conf).await?;
    detach(&mut client, attachment).await
}
