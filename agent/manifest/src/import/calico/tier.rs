//! Tiers.

use poplin_policy::model::{DefaultAction, Tier};
use poplin_proto::v1::{self, Resource};
use serde::Deserialize;

use super::super::envelope::{Envelope, Home};
use super::super::written::{Scalar, Text};
use crate::field::{Findings, Invalid, Invalids, word};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(in crate::import) struct Spec {
    order: Option<Scalar>,
    default_action: Option<Text>,
}

/// A built-in tier that says what it always is becomes nothing: it exists already.
pub(in crate::import) fn import(document: &Envelope<Spec>, source: String) -> Result<Option<Resource>, Invalids> {
    let mut findings = Findings::default();
    let nothing = Spec::default();
    let spec = document.spec.as_ref().unwrap_or(&nothing);
    let name = document.metadata.name().to_owned();
    let metadata = document.metadata.renamed(&mut findings, Home::Fabric, name.clone(), source);
    let order = findings.take(order("spec.order", spec.order.as_ref())).flatten();
    let words = [("", None), ("Deny", Some(DefaultAction::Deny)), ("Pass", Some(DefaultAction::Pass))];
    let action = spec.default_action.as_deref().unwrap_or_default();
    let action = findings.take(word("spec.defaultAction", action, &words)).flatten();
    if Tier::is_built_in(&name) {
        let built_in = Tier::undeclared(name);
        findings.take(stays(&built_in, order, action));
        return findings.finish(Some(None));
    }
    let spec = v1::TierSpec {
        order,
        default_action: if action == Some(DefaultAction::Pass) { "pass".to_owned() } else { String::new() },
    };
    let tier = v1::Tier { metadata: Some(metadata), spec: Some(spec), ..v1::Tier::default() };
    findings.finish(Some(Some(Resource::from(tier))))
}

/// Whether a declaration leaves a built-in tier as it is.
fn stays(built_in: &Tier, order: Option<f64>, action: Option<DefaultAction>) -> Result<(), Invalid> {
    let name = &built_in.name;
    let place = built_in.order.map(|order| order.get());
    if order != place {
        let message = format!("the tier {name} is built in and stands at order {}", place.unwrap_or_default());
        return Err(Invalid::new("spec.order", "BUILTIN_TIER", message).advice("leave the document out"));
    }
    if action.is_some_and(|action| action != built_in.default_action) {
        let does = if built_in.default_action == DefaultAction::Deny { "denies" } else { "passes" };
        let message = format!("the tier {name} is built in and {does} at its end");
        return Err(Invalid::new("spec.defaultAction", "BUILTIN_TIER", message).advice("leave the document out"));
    }
    Ok(())
}

/// A place in a row; absent = last.
pub(super) fn order(field: &str, value: Option<&Scalar>) -> Result<Option<f64>, Invalid> {
    match value {
        None => Ok(None),
        // Beyond 2⁵³ neighbours fall together, as they do in Calico.
        #[allow(clippy::cast_precision_loss)]
        Some(Scalar::Whole(number)) => Ok(Some(*number as f64)),
        Some(Scalar::Fraction(number)) => Ok(Some(*number)),
        Some(other) => Err(Invalid::new(field, "BAD_ORDER", format!("{other} is not a number"))),
    }
}
