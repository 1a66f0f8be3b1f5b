//! Namespaces, and what living in one adds to an endpoint's labels.

use crate::label::Labels;

/// The label under which Calico's users know the namespace an endpoint lives in; every endpoint that lives in one has it.
pub const NAMESPACE_LABEL: &str = "projectcalico.org/namespace";

/// What policies know about a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// What scopes of rules and subjects look at.
    pub labels: Labels,
    /// What its endpoints inherit where they have no such label of their own.
    pub endpoint_labels: Labels,
}

impl Namespace {
    /// The labels an endpoint is selected by, from its own and from where it lives; `declared` is the declaration of that
    /// namespace, if there is one.
    pub fn inherited(own: &Labels, namespace: Option<&str>, declared: Option<&Self>) -> Labels {
        let known = Labels::try_from_pairs(namespace.map(|name| (NAMESPACE_LABEL, name))).unwrap_or_default();
        let own = known.over(own);
        declared.map_or_else(|| own.clone(), |declared| own.over(&declared.endpoint_labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_labels_win_over_inherited_ones_and_the_namespace_over_both() {
        let labels = |pairs: &[(&str, &str)]| Labels::try_from_pairs(pairs.iter().copied()).unwrap();
        let shop = Namespace {
            name: "shop".to_owned(),
            labels: labels(&[("team", "blue")]),
            endpoint_labels: labels(&[("env", "prod"), ("app", "none")]),
        };
        let own = labels(&[("app", "web"), (NAMESPACE_LABEL, "elsewhere")]);

        let all = Namespace::inherited(&own, Some("shop"), Some(&shop));

        assert_eq!(all, labels(&[("app", "web"), ("env", "prod"), (NAMESPACE_LABEL, "shop")]));
        assert_eq!(Namespace::inherited(&own, None, None), own);
    }
}
