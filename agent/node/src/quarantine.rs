//! What stands in the store and cannot be read: a damaged value, or one that a later version wrote.
//!
//! In: which objects, at which version, and why. Out: whether an object is among them, and the rules that stand in for one whose good form
//! was never known. Knows nothing of good forms: the mirror keeps them.

use std::collections::BTreeMap;

use poplin_policy::circle::Circle;
use poplin_policy::model::{
    Action, DefaultAction, Hosts, Mode, Order, PROFILE_LABEL, Policy, Profile, QualifiedName, Rule, Rules, Scope,
    Selection, Tier,
};
use poplin_policy::selector::Selector;

use crate::object::ObjectKey;

/// A value that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Whose it is.
    pub key: ObjectKey,
    /// The revision that wrote it.
    pub version: i64,
    /// What is wrong with it, for people.
    pub reason: String,
}

/// The tier of the rules that stand in, before all others. Nobody can declare one of that name: names have no capitals.
pub const TIER: &str = "UNREADABLE";

/// How the policy is called that stands in for a profile, whose name follows.
const PROFILE: &str = "UNREADABLE-profile-";

/// What cannot be read now.
#[derive(Clone, Debug, Default)]
pub struct Quarantine(BTreeMap<ObjectKey, Unreadable>);

impl Quarantine {
    /// A value came that cannot be read.
    pub fn put(&mut self, one: Unreadable) {
        self.0.insert(one.key.clone(), one);
    }

    /// As of that version the object can be read, or is gone.
    pub fn lift(&mut self, key: &ObjectKey, version: i64) {
        if self.version(key).is_some_and(|since| since <= version) {
            self.0.remove(key);
        }
    }

    /// The version at which an object stands there unreadable, if it does.
    pub fn version(&self, key: &ObjectKey) -> Option<i64> {
        self.0.get(key).map(|one| one.version)
    }

    /// All of them, by kind and name.
    pub fn all(&self) -> impl Iterator<Item = &Unreadable> + Clone {
        self.0.values()
    }
}

/// The name of the policy that stands in for an object, if it is one that can be meant to close anything to a container.
pub fn stand_in_name(key: &ObjectKey) -> Option<QualifiedName> {
    match key {
        ObjectKey::Policy(name) => Some(name.clone()),
        ObjectKey::Network(name) => Some(Circle::policy_name(name.as_str())),
        ObjectKey::Namespace(name) => Some(QualifiedName::within(name.as_str(), format!("{TIER}-namespace"))),
        ObjectKey::AddressSet(name) => {
            let own = format!("{TIER}-addressset-{}", name.name());
            Some(name.namespace().map_or_else(
                || QualifiedName::global(own.as_str()),
                |namespace| QualifiedName::within(namespace, own.as_str()),
            ))
        }
        ObjectKey::Tier(name) => Some(QualifiedName::global(format!("{TIER}-tier-{name}"))),
        ObjectKey::Profile(name) => Profile::is_name(name).then(|| QualifiedName::global(format!("{PROFILE}{name}"))),
        ObjectKey::Pool(_)
        | ObjectKey::Block(..)
        | ObjectKey::Host(_)
        | ObjectKey::Endpoint(_)
        | ObjectKey::Peer(_)
        | ObjectKey::Fabric
        | ObjectKey::HostEndpoint(_)
        | ObjectKey::RouteMap(_)
        | ObjectKey::Service(_)
        | ObjectKey::StaticRoute(_)
        | ObjectKey::FloatingAddress(_)
        | ObjectKey::Lineage => None,
    }
}

/// Closes every container that the object might have closed something to: those that name it, if it is a profile; those of its namespace, or all
/// if it lives in none.
pub fn stand_in(name: QualifiedName) -> Policy {
    let naming = |profile: &str| Selector::parse(&format!("has({PROFILE_LABEL}{profile})"));
    let named = name.name().strip_prefix(PROFILE).and_then(|profile| naming(profile).ok());
    let scope = name.namespace().map_or(Scope::Anywhere, |namespace| Scope::Namespace(namespace.to_owned()));
    let nothing = || Rules::from(vec![Rule::any("cannot-be-read", Action::Deny)]);
    Policy {
        name,
        tier: TIER.to_owned(),
        order: None,
        mode: Mode::Enforce,
        subject: Selection { labels: named.unwrap_or_else(Selector::all), scope },
        hosts: Hosts::Never,
        ingress: Some(nothing()),
        egress: Some(nothing()),
    }
}

/// The tier of stand-ins.
pub fn tier() -> Tier {
    let order = Order::try_from(f64::NEG_INFINITY).ok();
    Tier { name: TIER.to_owned(), order, default_action: DefaultAction::Pass }
}
