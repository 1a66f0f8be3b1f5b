//! Tiers: ranks of policies, each asked only if the one before it passed.

use super::Order;

/// Name of the tier that policies stand in when they name none; it need not be declared.
pub const DEFAULT_TIER: &str = "default";
/// Name of the tier before `default` that Kubernetes' ClusterNetworkPolicies of administrators stand in; it need not be declared.
pub const ADMIN_TIER: &str = "kube-admin";
/// Name of the tier after `default`, for rules that count where nothing else was said; it need not be declared.
pub const BASELINE_TIER: &str = "kube-baseline";

/// Name of the tier after all others, for what Calico's profiles allow where no policy decided; it need not be declared.
pub const PROFILE_TIER: &str = "calico-profiles";

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
    /// A tier as it is while nobody declares it. The built-in ones stand where Calico has them; every other that a policy names
    /// before it exists is last and denies, so that it closes rather than opens.
    pub fn undeclared(name: impl Into<String>) -> Self {
        let name = name.into();
        let (order, default_action) = match name.as_str() {
            ADMIN_TIER => (Some(1_000.0), DefaultAction::Pass),
            DEFAULT_TIER => (Some(1_000_000.0), DefaultAction::Deny),
            BASELINE_TIER => (Some(10_000_000.0), DefaultAction::Pass),
            _ => (None, DefaultAction::Deny),
        };
        let order = order.and_then(|number: f64| Order::try_from(number).ok());
        Self { name, order, default_action }
    }

    /// Whether the tier exists without a declaration.
    pub fn is_built_in(name: &str) -> bool {
        [ADMIN_TIER, DEFAULT_TIER, BASELINE_TIER, PROFILE_TIER].contains(&name)
    }

    /// What tiers are asked by: their order, and that of profiles after all.
    pub(crate) fn standing(&self) -> impl Ord + '_ {
        (self.name == PROFILE_TIER, Order::standing(self.order, &self.name))
    }
}
