//! Profiles, and the names by which endpoints name them.

use std::collections::BTreeSet;

use poplin_policy::model::Profile;
use poplin_proto::v1;

use crate::field::{Findings, Invalid, Invalids, checked_name, labels, object_name};

/// Checks a profile.
pub fn check_profile(profile: &v1::Profile) -> Result<Profile, Invalids> {
    let spec = profile.spec.clone().unwrap_or_default();
    let mut findings = Findings::default();
    let name = checked_name(profile.metadata.as_ref());
    findings.take(profile_name("metadata.name", &name));
    let inherited = findings.take(labels("spec.endpointLabels", &spec.endpoint_labels));
    findings.finish(inherited.map(|endpoint_labels| Profile { name, endpoint_labels }))
}

/// Checks the profiles an endpoint names.
pub fn check_profiles(field: &str, names: &[String]) -> Result<Vec<String>, Invalids> {
    let mut findings = Findings::default();
    let mut seen = BTreeSet::new();
    for (index, name) in names.iter().enumerate() {
        let field = format!("{field}[{index}]");
        findings.take(profile_name(&field, name));
        if !seen.insert(name) {
            findings.add(Invalid::new(field, "TWICE", format!("profile {name} is named twice")));
        }
    }
    if names.len() > Profile::MAX_COUNT {
        let message = format!("{} profiles are named, at most {} can be", names.len(), Profile::MAX_COUNT);
        findings.add(Invalid::new(field, "TOO_MANY", message).advice("put their labels together into fewer profiles"));
    }
    findings.finish(Some(names.to_vec()))
}

/// A label is made of the name of a profile, so it cannot be of any length.
fn profile_name(field: &str, name: &str) -> Result<(), Invalid> {
    object_name(field, name)?;
    if name.len() > Profile::MAX_NAME_OCTETS {
        let (octets, most) = (name.len(), Profile::MAX_NAME_OCTETS);
        let message = format!("the name of the profile has {octets} octets, at most {most} are allowed");
        return Err(Invalid::new(field, "BAD_NAME", message).advice("give it a shorter name"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(names: &[&str]) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        check_profiles("spec.profiles", &names).unwrap_err().to_string()
    }

    #[test]
    fn profiles_are_named_once_each_and_are_not_many() {
        assert!(refusal(&["pci", "pci"]).contains("spec.profiles[1]: profile pci is named twice"));
        assert!(refusal(&["PCI"]).contains("\"PCI\" is not a name"));
        assert!(refusal(&["x".repeat(64).as_str()]).contains("has 64 octets, at most 63 are allowed"));
        let many: Vec<String> = (0..17).map(|number| format!("p{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(refusal(&many).contains("17 profiles are named, at most 16 can be"));
    }
}
