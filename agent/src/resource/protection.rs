//! What keeps strangers off the connections to a BGP neighbour.

use std::num::NonZeroU8;
use std::path::PathBuf;

use poplin_bgp::Protection;
use poplin_manifest::field::{Findings, Invalid, within};

/// Checks what stands in two fields of `spec`, or of something in it.
pub(super) fn check(findings: &mut Findings, spec: &str, password_file: &str, hops: Option<u32>) -> Protection {
    let password_file = match password_file {
        "" => None,
        path => findings.take(absolute(&format!("{spec}.passwordFile"), path)),
    };
    let hops = hops.and_then(|hops| {
        findings
            .take(within(&format!("{spec}.ttlSecurityHops"), hops, 1, 254, " hops"))
            .and_then(|hops| u8::try_from(hops).ok())
    });
    Protection { password_file, hops_max: hops.and_then(NonZeroU8::new) }
}

/// Where the agent was started must not matter.
fn absolute(field: &str, path: &str) -> Result<PathBuf, Invalid> {
    if path.starts_with('/') && !path.contains('\0') {
        return Ok(PathBuf::from(path));
    }
    Err(Invalid::new(
        field,
        "RELATIVE_PATH",
        "what stands there is no absolute path; it is not repeated here, in case it is the password",
    )
    .advice("put the password into a file on each host, such as /etc/poplin/tor.key, and name that file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(password_file: &str, hops: Option<u32>) -> Result<Protection, String> {
        let mut findings = Findings::default();
        let protection = check(&mut findings, "spec", password_file, hops);
        findings.finish(Some(protection)).map_err(|invalids| invalids.to_string())
    }

    #[test]
    fn nothing_said_is_nothing_protected() {
        assert_eq!(checked("", None), Ok(Protection::default()));
    }

    #[test]
    fn a_file_and_a_distance_are_taken() {
        let expected = Protection { password_file: Some("/etc/poplin/tor.key".into()), hops_max: NonZeroU8::new(2) };
        assert_eq!(checked("/etc/poplin/tor.key", Some(2)), Ok(expected));
    }

    #[test]
    fn a_password_where_its_file_belongs_is_refused_and_so_is_a_distance_out_of_bounds() {
        let told = checked("secret", Some(255)).unwrap_err();
        assert!(told.contains("spec.passwordFile: what stands there is no absolute path"), "{told}");
        assert!(!told.contains("secret"), "{told}");
        assert!(told.contains("spec.ttlSecurityHops: 255 hops is above 254"), "{told}");
    }
}
