//! Whom an operator means: a user or group of this host, or the holder of a certificate.

use std::fmt;
use std::str::FromStr;

/// One entry of a list of those who are let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// `user:NAME`, or by number; over the socket. Digits alone are a number, never a name.
    User(String),
    /// `group:NAME`, or by number; over the socket. Digits alone are a number, never a name.
    Group(String),
    /// `O=NAME`: an organization of the certificate's subject, which is where Kubernetes has its groups.
    Organization(String),
    /// `CN=NAME`: the common name of the certificate's subject.
    CommonName(String),
    /// `URI=spiffe://…`: a name of that kind in the certificate (RFC 5280 §4.2.1.6).
    Uri(String),
}

/// What a name of one kind means.
type Form = fn(String) -> Who;

/// Users and groups that stand for all whom the kernel cannot name (`/proc/sys/kernel/overflowuid`), by name and number.
const NOBODY: [&str; 5] = ["user:nobody", "user:65534", "group:nogroup", "group:nobody", "group:65534"];

/// The text names nobody, or not one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhoError {
    /// None of the forms there are.
    #[error("{0:?} names nobody; write user:NAME, group:NAME, O=NAME, CN=NAME or URI=NAME")]
    Unknown(String),
    /// Perhaps meant as several, or as all of one certificate's names.
    #[error(
        "{0:?} has a comma, and an entry is one name; give several by repeating the flag, or as a list in the file"
    )]
    Several(String),
    /// Whoever comes out of a container with users of its own.
    #[error("{0:?} is everybody whom this host has no name for; name a user or group of your own")]
    Nobody(String),
}

impl Who {
    /// Whether it means somebody of this host.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::User(_) | Self::Group(_) => true,
            Self::Organization(_) | Self::CommonName(_) | Self::Uri(_) => false,
        }
    }
}

impl FromStr for Who {
    type Err = WhoError;

    fn from_str(text: &str) -> Result<Self, WhoError> {
        if text.contains(',') {
            return Err(WhoError::Several(text.to_owned()));
        }
        if NOBODY.contains(&text) {
            return Err(WhoError::Nobody(text.to_owned()));
        }
        let forms: [(&str, Form); 5] = [
            ("user:", Self::User),
            ("group:", Self::Group),
            ("O=", Self::Organization),
            ("CN=", Self::CommonName),
            ("URI=", Self::Uri),
        ];
        let named = forms.into_iter().find_map(|(prefix, form)| Some((form, text.strip_prefix(prefix)?)));
        match named {
            Some((form, name)) if is_name(name, &form(String::new())) => Ok(form(name.to_owned())),
            Some(_) | None => Err(WhoError::Unknown(text.to_owned())),
        }
    }
}

/// Something, and if it is a number of a user or group, one that there can be.
fn is_name(name: &str, form: &Who) -> bool {
    let is_number = name.bytes().all(|octet| octet.is_ascii_digit());
    !name.is_empty() && (!form.is_local() || !is_number || name.parse::<u32>().is_ok())
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user:{name}"),
            Self::Group(name) => write!(f, "group:{name}"),
            Self::Organization(name) => write!(f, "O={name}"),
            Self::CommonName(name) => write!(f, "CN={name}"),
            Self::Uri(name) => write!(f, "URI={name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read_as_it_is_written() {
        for text in ["user:alice", "group:100", "O=poplin:admin", "CN=web 1 in Berlin", "URI=spiffe://x/ns/y"] {
            assert_eq!(text.parse::<Who>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_text_that_names_nobody_is_refused_with_the_forms_there_are() {
        for text in ["", "alice", "user:", "O=", "o=x", "OU=x", "user:99999999999"] {
            let error = text.parse::<Who>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?} names nobody; write user:NAME")), "{error}");
        }
    }

    #[test]
    fn what_might_be_meant_as_several_or_is_everybody_is_refused() {
        let error = "CN=deploy,O=ops".parse::<Who>().unwrap_err().to_string();
        assert!(error.contains("repeating the flag"), "{error}");
        for text in NOBODY {
            let error = text.parse::<Who>().unwrap_err().to_string();
            assert!(error.contains("everybody whom this host has no name for"), "{error}");
        }
    }
}
