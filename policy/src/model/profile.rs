//! Profiles, and all that endpoints inherit.

use std::borrow::Cow;

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

    /// Whether a label can be made of it. What a store holds under other names is no profile.
    pub fn is_name(text: &str) -> bool {
        let is_fit = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-' || octet == b'.';
        (1..=Self::MAX_NAME_OCTETS).contains(&text.len()) && text.bytes().all(is_fit)
    }
}

/// The labels an endpoint is selected by: its own, of those that are not among them the ones of its profiles, in the order in which it names
/// them, and then those of the namespace it lives in. So has Calico it, whose namespaces are profiles (felix/labelindex). What says where it
/// lives, and which profiles it names, stands over all. A declaration may be missing.
pub fn inherited<'a>(
    own: &Labels,
    profiles: impl Iterator<Item = (&'a str, Option<&'a Profile>)> + Clone,
    namespace: Option<(&str, Option<&Namespace>)>,
) -> Labels {
    let named = profiles.clone().map(|(name, _)| (format!("{PROFILE_LABEL}{name}"), ""));
    let home = namespace.map(|(name, _)| (NAMESPACE_LABEL, name));
    // By themselves: the name of a namespace may be too long for a label, and that is to cost no other.
    let known = Labels::try_from_pairs(named).unwrap_or_default();
    let known = known.over(&Labels::try_from_pairs(home).unwrap_or_default());
    let of_profiles = profiles.filter_map(|(_, declared)| Some(&declared?.endpoint_labels));
    let of_namespace = namespace.and_then(|(_, declared)| Some(&declared?.endpoint_labels));
    let all = [own].into_iter().chain(of_profiles).chain(of_namespace);
    all.fold(known, |labels, more| labels.over(&unforged(more)))
}

/// Labels but for those that would say which profiles somebody names.
fn unforged(labels: &Labels) -> Cow<'_, Labels> {
    let is_forged = |(key, _): &(&str, &str)| key.starts_with(PROFILE_LABEL);
    if !labels.iter().any(|pair| is_forged(&pair)) {
        return Cow::Borrowed(labels);
    }
    Cow::Owned(Labels::try_from_pairs(labels.iter().filter(|pair| !is_forged(pair))).unwrap_or_default())
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
    fn whose_namespace_has_a_name_too_long_for_a_label_is_still_known_by_its_profiles() {
        let all = inherited(&Labels::default(), [("pci", None)].into_iter(), Some((&"a".repeat(64), None)));

        assert_eq!(all, labels(&[("poplin.dev/profile.pci", "")]));
    }

    #[test]
    fn nobody_says_of_himself_or_of_others_that_they_name_a_profile() {
        let forged = labels(&[("poplin.dev/profile.pci", ""), ("app", "web")]);
        let shop = Namespace { endpoint_labels: forged.clone(), ..Namespace::default() };
        let other = profile("other", &[("poplin.dev/profile.pci", "")]);

        let all = inherited(&forged, [("other", Some(&other))].into_iter(), Some(("shop", Some(&shop))));

        assert_eq!(all, labels(&[("app", "web"), (NAMESPACE_LABEL, "shop"), ("poplin.dev/profile.other", "")]));
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
