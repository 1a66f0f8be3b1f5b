//! Reads what the runtime wants from the environment, and refuses what the specification forbids.
//!
//! In: a way to look up variables. Out: the verb with what it needs. Rules: CNI specification, section 2, "Parameters".

use std::path::PathBuf;

use crate::error::CniError;

/// What the runtime wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Invocation {
    Add(Sandbox),
    Del(Attachment),
    Check(Sandbox),
    Status,
    Gc,
    Version,
}

/// One interface of one container. The two together are the attachment's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attachment {
    pub(crate) container: String,
    pub(crate) interface: String,
}

/// An attachment whose namespace is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sandbox {
    pub(crate) attachment: Attachment,
    pub(crate) netns: PathBuf,
    /// `CNI_ARGS`, in order.
    pub(crate) args: Vec<(String, String)>,
}

impl Invocation {
    /// Reads the environment through `variable`.
    pub(crate) fn from_env(variable: impl Fn(&str) -> Option<String>) -> Result<Self, CniError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let command = variable("CNI_COMMAND").ok_or_else(|| {
            CniError::environment("CNI_COMMAND is not set").details("this program is run by a container runtime")
        })?;
        match command.as_str() {
            "ADD" => Sandbox::from_env(variable).map(Self::Add),
            "DEL" => Attachment::from_env(variable).map(Self::Del),
            "CHECK" => Sandbox::from_env(variable).map(Self::Check),
            "STATUS" => Ok(Self::Status),
            "GC" => Ok(Self::Gc),
            "VERSION" => Ok(Self::Version),
            other => Err(CniError::environment(format!(
                "CNI_COMMAND {other:?} is none of ADD, DEL, CHECK, STATUS, GC, VERSION"
            ))),
        }
    }

    /// The version of the specification that brought the verb.
    pub(crate) fn since(&self) -> &'static str {
        match self {
            Self::Add(_) | Self::Del(_) | Self::Version => "0.3.0",
            Self::Check(_) => "0.4.0",
            Self::Status | Self::Gc => "1.1.0",
        }
    }
}

impl Attachment {
    fn from_env(variable: impl Fn(&str) -> Option<String>) -> Result<Self, CniError> {
        demand(&variable, &["CNI_CONTAINERID", "CNI_IFNAME"])?;
        let container = variable("CNI_CONTAINERID").unwrap_or_default();
        let interface = variable("CNI_IFNAME").unwrap_or_default();
        Self::checked(container, interface, ["CNI_CONTAINERID", "CNI_IFNAME"])
    }

    /// Both are distrusted, for they become names and paths. `called` is what whoever gave them calls them.
    pub(crate) fn checked(container: String, interface: String, called: [&str; 2]) -> Result<Self, CniError> {
        let [id, name] = called;
        if !is_container_id(&container) {
            return Err(CniError::environment(format!(
                "{id} {container:?} is not a letter or digit followed by letters, digits, _ . -"
            )));
        }
        if !is_interface_name(&interface) {
            return Err(CniError::environment(format!(
                "{name} {interface:?} is not an interface name: 1 to 15 octets without space, / or :"
            )));
        }
        Ok(Self { container, interface })
    }
}

impl Sandbox {
    fn from_env(variable: impl Fn(&str) -> Option<String>) -> Result<Self, CniError> {
        demand(&variable, &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"])?;
        Ok(Self {
            attachment: Attachment::from_env(&variable)?,
            netns: PathBuf::from(variable("CNI_NETNS").unwrap_or_default()),
            args: parse_args(&variable("CNI_ARGS").unwrap_or_default())?,
        })
    }
}

/// Names every variable that is missing, so that nobody mends them one by one.
fn demand(variable: &impl Fn(&str) -> Option<String>, names: &[&str]) -> Result<(), CniError> {
    let missing: Vec<_> = names.iter().copied().filter(|name| variable(name).is_none()).collect();
    match missing.as_slice() {
        [] => Ok(()),
        [name] => Err(CniError::environment(format!("{name} is not set"))),
        names => Err(CniError::environment(format!("{} are not set", names.join(", ")))),
    }
}

fn parse_args(text: &str) -> Result<Vec<(String, String)>, CniError> {
    let pairs = text.split(';').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            Some(_) | None => Err(CniError::environment(format!("CNI_ARGS: {pair:?} is not KEY=VALUE"))),
        })
        .collect()
}

/// The specification's own pattern: `^[a-zA-Z0-9][a-zA-Z0-9_.\-]*$`.
pub(crate) fn is_container_id(id: &str) -> bool {
    let is_inner = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-');
    id.starts_with(|letter: char| letter.is_ascii_alphanumeric()) && id.chars().all(is_inner)
}

/// What the kernel takes for a name: `dev_valid_name` of net/core/dev.c.
fn is_interface_name(name: &str) -> bool {
    const IFNAMSIZ: usize = 16;
    let is_forbidden = |letter: char| letter.is_whitespace() || matches!(letter, '/' | ':');
    (1..IFNAMSIZ).contains(&name.len()) && name != "." && name != ".." && !name.contains(is_forbidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invoke(variables: &[(&str, &str)]) -> Result<Invocation, CniError> {
        Invocation::from_env(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn message(variables: &[(&str, &str)]) -> String {
        invoke(variables).unwrap_err().to_json("1.0.0")["msg"].as_str().unwrap().to_owned()
    }

    #[test]
    fn every_missing_variable_is_named() {
        let message = message(&[("CNI_COMMAND", "ADD"), ("CNI_NETNS", "")]);

        assert_eq!(message, "CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME are not set");
    }

    #[test]
    fn del_needs_no_namespace() {
        let del = [("CNI_COMMAND", "DEL"), ("CNI_CONTAINERID", "c1"), ("CNI_IFNAME", "eth0")];

        let attachment = Attachment { container: "c1".to_owned(), interface: "eth0".to_owned() };
        assert_eq!(invoke(&del), Ok(Invocation::Del(attachment)));
    }

    #[test]
    fn names_are_held_to_the_specification() {
        for id in ["default-web", "0a.b_c-D"] {
            assert!(is_container_id(id), "{id}");
        }
        for id in ["", "-a", "a/b", "a b", "ü"] {
            assert!(!is_container_id(id), "{id}");
        }
        for name in ["", ".", "..", "a/b", "a b", "a:b", "sixteen-octets-x"] {
            assert!(!is_interface_name(name), "{name}");
        }
        assert!(is_interface_name("fifteen-octets-"));
    }

    #[test]
    fn arguments_are_pairs() {
        let pairs = parse_args("IgnoreUnknown=1;IP=10.0.0.9;").unwrap();

        assert_eq!(pairs[1], ("IP".to_owned(), "10.0.0.9".to_owned()));
        assert!(parse_args("IP").is_err());
    }
}
