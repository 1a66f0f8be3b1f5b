//! Tiers: ranks of policies, each asked only if the one before it passed.

use super::Order;

/// Name of the tier that policies stand in when they name none; it need not be declared.
pub const DEFAULT_TIER: &str = "default";

/// A rank of policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Unique.
    pub name: String,
    /// Where it stands among tiers; absent = last.
    pub order: Option<Order>,
    /// What becomes of a packet that no rule of the tier decided, where a policy of the tier governs.
    pub default_action: DefaultAction,
}

/// What the end of a tier does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DefaultAction {
    /// Nothing more is asked: the packet is dropped.
    #[default]
    Deny,
    /// The next tier is asked.
    Pass,
}

impl Tier {
    /// A tier nobody declared: last, and denying. So are `default` and every tier a policy names before it exists;
    /// the latter closes rather than opens.
    pub fn undeclared(name: impl Into<String>) -> Self {
        Self { name: name.into(), order: None, default_action: DefaultAction::Deny }
    }
}
