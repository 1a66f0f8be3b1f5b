//! Profiles, and all that endpoints inherit.

use super::Namespace;
use super::namespace::NAMESPACE_LABEL;
use crate::label::Labels;

/// How the label begins that an endpoint has for each profile it names; the profile's name follows. The value is empty.
pub const PROFILE_LABEL: &str = "poplin.dev/profile.";

/// Labels for whoever names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Its name; at most [`Profile::MAX_NAME_OCTETS`].
    pub name: String,
    /// What endpoints inherit that name it, where they have no such label of their own.
    pub endpoint_labels: Labels,
}

impl Profile {
    /// Longest name, so that a label can be made of it.
    pub const MAX_NAME_OCTETS: usize = 63;
    /// Most profiles that one endpoint may name.
    pub const MAX_COUNT: usize = 16;
}

/// The labels an endpoint is selected by: its own, of those that are not among them the ones of its profiles, in the order in which it names
/// them, and then those of the namespace it lives in. So has Calico it, whose namespaces are profiles (felix/labelindex). What says where it
/// lives, and which profiles it names, stands over all. A declaration may be missing.
pub fn inherited<'a>(
    own: &Labels,
    profiles: impl Iterator<Item = (&'a str, Option<&'a Profile>)> + Clone,
    namespace: Option<(&str, Option<&Namespace>)>,
) -> Labels {
    let home = namespace.map(|(name, _)| (NAMESPACE_LABEL.to_owned(), name));
    let named = profiles.clone().map(|(name, _)| (format!("{PROFILE_LABEL}{name}"), ""));
    let known = Labels::try_from_pairs(home.into_iter().chain(named)).unwrap_or_default();
    let of_profiles = profiles.filter_map(|(_, declared)| Some(&declared?.endpoint_labels));
    let of_namespace = namespace.and_then(|(_, declared)| Some(&declared?.endpoint_labels));
    of_profiles.chain(of_namespace).fold(known.over(own), |labels, more| labels.over(more))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::try_from_pairs(pairs.iter().copied()).unwrap()
    }

    fn profile(name: &str, pairs: &[(&str, &str)]) -> Profile {
        Profile { name: name.to_owned(), endpoint_labels: labels(pairs) }
    }

    #[test]
    fn own_labels_win_over_inherited_ones_and_the_namespace_over_both() {
        let shop = Namespace {
            name: "shop".to_owned(),
            labels: labels(&[("team", "blue")]),
            endpoint_labels: labels(&[("env", "prod"), ("app", "none")]),
        };
        let own = labels(&[("app", "web"), (NAMESPACE_LABEL, "elsewhere")]);

        let all = inherited(&own, std::iter::empty(), Some(("shop", Some(&shop))));

        assert_eq!(all, labels(&[("app", "web"), ("env", "prod"), (NAMESPACE_LABEL, "shop")]));
        assert_eq!(inherited(&own, std::iter::empty(), None), own);
    }

    #[test]
    fn the_first_profile_wins_over_others_and_all_of_them_over_the_namespace() {
        let shop = Namespace { endpoint_labels: labels(&[("env", "prod"), ("team", "blue")]), ..Namespace::default() };
        let (first, second) = (
            profile("first", &[("env", "test"), ("app", "none")]),
            profile("second", &[("env", "dev"), ("pci", "true")]),
        );
        let named = [("first", Some(&first)), ("second", Some(&second)), ("lost", None)];

        let all = inherited(&labels(&[("app", "web")]), named.into_iter(), Some(("shop", Some(&shop))));

        let expected = labels(&[
            ("app", "web"),
            ("env", "test"),
            ("pci", "true"),
            ("team", "blue"),
            (NAMESPACE_LABEL, "shop"),
            ("poplin.dev/profile.first", ""),
            ("poplin.dev/profile.second", ""),
            ("poplin.dev/profile.lost", ""),
        ]);
        assert_eq!(all, expected);
    }
}
