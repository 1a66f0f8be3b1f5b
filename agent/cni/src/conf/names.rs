//! What a container is called, of what its runtime calls it.

/// Names it answers to, each once, in lower case; what is no name of DNS is none.
pub(super) fn aliases<'a>(called: Option<&'a str>, runtime: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut aliases: Vec<String> = Vec::new();
    for alias in called.into_iter().chain(runtime.map(String::as_str)).map(str::to_ascii_lowercase) {
        if is_dns_name(&alias) && !aliases.contains(&alias) {
            aliases.push(alias);
        }
    }
    aliases
}

/// Names its endpoint would like; none where nothing is left that an object may be called.
pub(super) fn preferred(called: Option<&str>, namespace: &str, interface: &str) -> Vec<String> {
    let Some(called) = called.map(plain).filter(|called| !called.is_empty()) else { return Vec::new() };
    let own = match interface {
        "eth0" => called,
        other => format!("{called}-{}", plain(other)),
    };
    let full = if namespace.is_empty() { own } else { format!("{own}.{namespace}") };
    // The bound of the wire contract; whoever has a longer name goes by one that is made for it.
    if full.len() <= 253 { vec![full] } else { Vec::new() }
}

/// A name that objects may have: lower case letters, digits and dashes, in labels joined by dots.
fn plain(called: &str) -> String {
    let keep = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
    let name = called.to_ascii_lowercase().chars().map(keep).collect::<String>();
    let labels = name.split('.').map(|label| label.trim_matches('-')).filter(|label| !label.is_empty());
    labels.collect::<Vec<_>>().join(".")
}

/// Whether the agent takes it for an alias.
fn is_dns_name(name: &str) -> bool {
    let is_plain = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || matches!(octet, b'-' | b'_');
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(is_plain);
    name.len() <= 253 && name.split('.').all(is_label)
}
