//! Whether the files we are known by can be read, and count now and next week.

use crate::doctor::finding::Finding;
use crate::doctor::reading::{Certificate, Held, Reading};

const DAY: i64 = 86_400;

/// Who renews by hand needs some days; a certificate that lives shorter is renewed by a program, in its last third.
const SOON: i64 = 14 * DAY;

pub(super) fn judge(reading: &Reading) -> Vec<Finding> {
    let now = i64::try_from(reading.now).unwrap_or(i64::MAX);
    reading.certificates.iter().flat_map(|file| one(file, now)).collect()
}

fn one(file: &Certificate, now: i64) -> Vec<Finding> {
    let Certificate { setting, path, content } = file;
    match content {
        Err(reason) => {
            let message = format!("{path} ({setting}) cannot be used: {reason}");
            let advice = "put a PEM file there that the agent's user may read; it is read again by itself";
            vec![Finding::failure("certificate", message, advice)]
        }
        Ok(Held::Secret(mode)) if mode & 0o007 != 0 => {
            let message = format!("{path} ({setting}) can be read by everybody on this host (mode {:o})", mode & 0o777);
            vec![Finding::warning("certificate", message, format!("chmod 640 {path}, with the agent's group"))]
        }
        Ok(Held::Secret(_)) => Vec::new(),
        Ok(Held::Certificates(all)) if all.is_empty() => {
            let message = format!("{path} ({setting}) holds no certificate");
            vec![Finding::failure("certificate", message, "it must be PEM: -----BEGIN CERTIFICATE-----")]
        }
        Ok(Held::Certificates(all)) => {
            all.iter().filter_map(|(whose, from, to)| dated(file, whose, (*from, *to), now)).collect()
        }
    }
}

fn dated(file: &Certificate, whose: &str, (from, to): (i64, i64), now: i64) -> Option<Finding> {
    let name = format!("the certificate of {whose} in {} ({})", file.path, file.setting);
    let advice = "renew it in place; the agent reads it again by itself";
    let soon = SOON.min((to - from) / 3);
    if now > to {
        Some(Finding::failure("certificate", format!("{name} expired {} ago", span(now - to)), advice))
    } else if now < from {
        let message = format!("{name} counts only in {}", span(from - now));
        Some(Finding::failure("certificate", message, "look at this host's clock: timedatectl"))
    } else if to - now < soon {
        Some(Finding::warning("certificate", format!("{name} expires in {}", span(to - now)), advice))
    } else {
        None
    }
}

fn span(seconds: i64) -> String {
    crate::status::span(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Weight;

    fn found(content: Result<Held, String>, now: u64) -> Vec<(Weight, String)> {
        let certificates = vec![Certificate { setting: "etcd-cert".to_owned(), path: "/x".to_owned(), content }];
        let reading = Reading { now, certificates, ..Reading::default() };
        judge(&reading).into_iter().map(|finding| (finding.weight, finding.message)).collect()
    }

    #[test]
    fn a_certificate_is_told_of_before_it_counts_when_it_is_about_to_end_and_after() {
        let year = Ok(Held::Certificates(vec![("h1".to_owned(), 1000, 1000 + 365 * DAY)]));
        let at = |day: i64| u64::try_from(1000 + day * DAY).unwrap();
        let name = "the certificate of h1 in /x (etcd-cert)";

        assert_eq!(found(year.clone(), 940), [(Weight::Failure, format!("{name} counts only in 1m00s"))]);
        assert_eq!(found(year.clone(), at(300)), []);
        assert_eq!(found(year.clone(), at(360)), [(Weight::Warning, format!("{name} expires in 5d0h"))]);
        assert_eq!(found(year, at(366)), [(Weight::Failure, format!("{name} expired 1d0h ago"))]);
    }

    #[test]
    fn a_certificate_of_a_day_is_no_reason_for_a_warning_in_its_first_hours() {
        let day = || Ok(Held::Certificates(vec![("h1".to_owned(), 0, DAY)]));
        assert_eq!(found(day(), 3600), []);
        assert_eq!(found(day(), 23 * 3600).len(), 1);
    }

    #[test]
    fn a_key_that_everybody_reads_is_no_secret() {
        assert_eq!(found(Ok(Held::Secret(0o100_600)), 0), []);
        assert_eq!(found(Ok(Held::Secret(0o100_644)), 0)[0].0, Weight::Warning);
        assert_eq!(found(Err("no such file".to_owned()), 0)[0].0, Weight::Failure);
    }
}
