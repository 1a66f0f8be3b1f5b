//! What a store says of itself. It is no part of the wire contract: only agents write it.

use poplin_node::lineage::{Id, Lineage};
use poplin_node::name::HostName;
use serde::{Deserialize, Serialize};

/// A lineage as it stands in the store. What a later agent wrote beside it is passed over.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredLineage {
    fabric: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    history: Option<String>,
    /// The oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    awaited: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    accepted: bool,
}

impl From<&Lineage> for StoredLineage {
    fn from(lineage: &Lineage) -> Self {
        Self {
            fabric: lineage.fabric.to_string(),
            history: lineage.history.map(|history| history.to_string()),
            former: lineage.former.iter().map(ToString::to_string).collect(),
            awaited: lineage.awaited.iter().map(ToString::to_string).collect(),
            accepted: lineage.is_accepted,
        }
    }
}

impl StoredLineage {
    /// The lineage, unless an id is none.
    pub(super) fn check(self) -> Option<Lineage> {
        Some(Lineage {
            fabric: Id::parse(&self.fabric)?,
            history: match self.history {
                Some(history) => Some(Id::parse(&history)?),
                None => None,
            },
            former: self.former.iter().map(|id| Id::parse(id)).collect::<Option<_>>()?,
            awaited: self.awaited.into_iter().map(HostName::new).collect(),
            is_accepted: self.accepted,
        })
    }
}
