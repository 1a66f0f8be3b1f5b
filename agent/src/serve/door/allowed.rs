//! Who may do what, as the operator of this host wrote it down.
//!
//! In: lists of those who are let in, and somebody who comes. Out: the most that any list gives. What no list gives nobody has; root and the
//! agent's own user, who can read its memory anyhow, stand in none.

use super::names::Names;
use super::right::Right;
use super::who::Who;

/// Organizations of certificates that count where no list names any holder of a certificate.
const USUAL: [(&str, Right); 3] =
    [("poplin:read", Right::Read), ("poplin:operate", Right::Operate), ("poplin:admin", Right::Admin)];

/// The lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Those who may look.
    pub read: Vec<Who>,
    /// Those who may do the work of a day.
    pub operate: Vec<Who>,
    /// Those who may do everything.
    pub admin: Vec<Who>,
}

impl Allowed {
    pub(super) fn entries(&self) -> impl Iterator<Item = (&Who, Right)> {
        let lists = [(&self.read, Right::Read), (&self.operate, Right::Operate), (&self.admin, Right::Admin)];
        lists.into_iter().flat_map(|(list, right)| list.iter().map(move |who| (who, right)))
    }

    /// Whether anybody of this host but root and the agent's own user is let in.
    pub(super) fn names_locals(&self) -> bool {
        self.entries().any(|(who, _)| who.is_local())
    }

    /// What somebody of this host may do, of whom it can be asked whether an entry means them.
    pub(super) fn of_local(&self, is_meant: impl Fn(&Who) -> bool) -> Option<Right> {
        let meant = self.entries().filter(|(who, _)| who.is_local() && is_meant(who));
        meant.map(|(_, right)| right).max()
    }

    /// What the holder of a certificate with these names may do.
    pub(super) fn of_certificate(&self, names: &Names) -> Option<Right> {
        let mut named = self.entries().filter(|(who, _)| !who.is_local()).peekable();
        match named.peek() {
            Some(_) => named.filter(|(who, _)| names.are_of(who)).map(|(_, right)| right).max(),
            None => usual().filter(|(who, _)| names.are_of(who)).map(|(_, right)| right).max(),
        }
    }
}

fn usual() -> impl Iterator<Item = (Who, Right)> {
    USUAL.into_iter().map(|(name, right)| (Who::Organization(name.to_owned()), right))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str]) -> Vec<Who> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn holder(organization: &str, common_name: &str) -> Names {
        Names {
            organizations: vec![organization.to_owned()],
            common_names: vec![common_name.to_owned()],
            ..Names::default()
        }
    }

    #[test]
    fn nobody_is_let_in_whom_no_list_names() {
        let allowed = Allowed { read: list(&["user:alice"]), ..Allowed::default() };

        assert_eq!(allowed.of_local(|who| *who == Who::User("bob".to_owned())), None);
        assert_eq!(Allowed::default().of_local(|_| true), None);
    }

    #[test]
    fn who_stands_in_several_lists_has_the_most_of_them() {
        let allowed = Allowed {
            read: list(&["group:all", "O=all"]),
            operate: list(&["user:alice", "CN=alice"]),
            ..Allowed::default()
        };

        assert_eq!(allowed.of_local(|_| true), Some(Right::Operate));
        assert_eq!(allowed.of_certificate(&holder("all", "alice")), Some(Right::Operate));
        assert_eq!(allowed.of_certificate(&holder("all", "bob")), Some(Right::Read));
        assert_eq!(allowed.of_certificate(&holder("none", "bob")), None);
    }

    #[test]
    fn organizations_of_the_usual_names_count_until_a_list_names_a_certificate() {
        let usual = Allowed { read: list(&["group:all"]), ..Allowed::default() };
        let named = Allowed { read: list(&["CN=grafana"]), ..Allowed::default() };

        assert_eq!(usual.of_certificate(&holder("poplin:admin", "x")), Some(Right::Admin));
        assert_eq!(usual.of_certificate(&holder("poplin:read", "x")), Some(Right::Read));
        assert_eq!(named.of_certificate(&holder("poplin:admin", "x")), None);
    }

    #[test]
    fn a_certificate_is_no_user_and_a_user_no_certificate() {
        let allowed = Allowed { admin: list(&["user:root", "group:0"]), ..Allowed::default() };
        let certified = Allowed { admin: list(&["CN=root"]), ..Allowed::default() };

        assert_eq!(allowed.of_certificate(&holder("0", "root")), None);
        assert_eq!(certified.of_local(|_| true), None);
    }
}
