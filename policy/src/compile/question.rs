//! What is asked of tables.
//!
//! In: nothing, these are values. Out: a table's name, and on what its content rests. Equal questions share a table.

use std::collections::BTreeSet;

use super::list::Shape;
use super::lookup::everybody;
use super::name::name_of;
use crate::model::{IpVersion, NamedPort, QualifiedName, Selection};
use crate::ruleset::Name;

/// What a table answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Question {
    /// Is it the address of an endpoint that is selected?
    Endpoints(Selection, IpVersion),
    /// Is it the address of an endpoint with this port?
    Ports(NamedPort, IpVersion),
    /// Does an address set that is selected hold it?
    Labelled(Selection, IpVersion),
    /// Does one of these address sets hold it?
    Named(Vec<QualifiedName>, IpVersion),
    /// Does one of these ranges hold it?
    Ranges(Vec<(u128, u128)>, IpVersion),
    /// Which entry settles it, where that is because of whose it is? Asked with the id that stands for the list's questions.
    Who(u64, Shape),
    /// Which entry settles it, where that is because of where it lies?
    Where(Shape),
}

impl Question {
    /// The table's name.
    pub(super) fn name(&self) -> Name {
        let (kind, family) = match self {
            Question::Endpoints(_, family) => ("select", family),
            Question::Ports(_, family) => ("port", family),
            Question::Labelled(_, family) => ("labelled", family),
            Question::Named(_, family) => ("named", family),
            Question::Ranges(_, family) => ("nets", family),
            Question::Where(shape) => ("where", &shape.family),
            Question::Who(id, shape) => return name_of(&format!("who{}", shape.family.digit()), id),
        };
        name_of(&format!("{kind}{}", family.digit()), self)
    }

    pub(super) fn family(&self) -> IpVersion {
        match self {
            Question::Endpoints(_, family)
            | Question::Ports(_, family)
            | Question::Labelled(_, family)
            | Question::Named(_, family)
            | Question::Ranges(_, family) => *family,
            Question::Who(_, shape) | Question::Where(shape) => shape.family,
        }
    }

    /// The selections it rests on.
    pub(super) fn selections(&self) -> BTreeSet<Selection> {
        match self {
            Question::Endpoints(selection, _) => BTreeSet::from([selection.clone()]),
            Question::Who(_, shape) | Question::Where(shape) => selections_of(shape),
            Question::Ports(..) | Question::Labelled(..) | Question::Named(..) | Question::Ranges(..) => {
                BTreeSet::new()
            }
        }
    }

    /// The address sets it asks about, by name and by selection.
    pub(super) fn sets(&self) -> (BTreeSet<&QualifiedName>, BTreeSet<&Selection>) {
        match self {
            Question::Endpoints(..) | Question::Ports(..) | Question::Ranges(..) => Default::default(),
            Question::Labelled(selection, _) => (BTreeSet::new(), BTreeSet::from([selection])),
            Question::Named(names, _) => (names.iter().collect(), BTreeSet::new()),
            Question::Who(_, shape) | Question::Where(shape) => {
                let asked = || shape.questions.iter().map(|question| &question.who);
                let selections = asked().flat_map(|who| who.select.iter().chain(&who.not_select)).collect();
                (asked().flat_map(|who| &who.sets).collect(), selections)
            }
        }
    }
}

/// The selections entries of a list ask about.
fn selections_of(shape: &Shape) -> BTreeSet<Selection> {
    let of_entries = shape.questions.iter().flat_map(|question| {
        let who = &question.who;
        let outside = who.outside.then(everybody);
        who.select.iter().chain(&who.not_select).cloned().chain(outside).collect::<Vec<_>>()
    });
    of_entries.collect()
}
