//! What a host owes its store: to remove an endpoint whose container left while the store was away.

use crate::name::{AttachmentId, EndpointName};

/// One endpoint that is to be removed. One of the same name or attachment that was written since is another, and nobody owes anything for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Debt {
    /// Who left.
    pub attachment: AttachmentId,
    /// Its name.
    pub endpoint: EndpointName,
    /// The revision that wrote it last, as far as its host had heard.
    pub version: i64,
}
