//! Figures as lines: what each family is, then its samples.
//!
//! Rules: the text format 0.0.4 of Prometheus. A family without samples is left out.

use std::fmt::Write as _;

/// How a family grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Both ways.
    Gauge,
    /// Only up, until the process starts anew.
    Counter,
}

/// Figures, as far as they are written.
#[derive(Debug, Default)]
pub(super) struct Text {
    written: String,
    /// The family begun, not yet written before its first sample.
    head: String,
    name: &'static str,
}

impl Text {
    /// What follows belongs to this family.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        self.head = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
        self.name = name;
    }

    /// One figure.
    pub(super) fn sample(&mut self, labels: &[(&'static str, String)], value: u64) {
        self.written += &std::mem::take(&mut self.head);
        self.written += self.name;
        if !labels.is_empty() {
            let labels: Vec<String> =
                labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
            let _ = write!(self.written, "{{{}}}", labels.join(","));
        }
        let _ = writeln!(self.written, " {value}");
    }

    pub(super) fn finish(self) -> String {
        self.written
    }
}

/// A label's value: three characters are not taken as they are.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_introduced_once_and_only_if_it_has_samples() {
        let mut text = Text::default();
        text.family("poplin_none", Kind::Gauge, "Nothing.");
        text.family("poplin_some_total", Kind::Counter, "Something.");
        text.sample(&[], 1);
        text.sample(&[("peer", "tor".to_owned()), ("family", "ipv4".to_owned())], 2);

        let expected = "# HELP poplin_some_total Something.\n# TYPE poplin_some_total counter\n\
                        poplin_some_total 1\npoplin_some_total{peer=\"tor\",family=\"ipv4\"} 2\n";
        assert_eq!(text.finish(), expected);
    }

    #[test]
    fn what_would_end_a_label_is_escaped() {
        let mut text = Text::default();
        text.family("poplin_odd", Kind::Gauge, "Odd.");
        text.sample(&[("peer", "a\"b\\c\nd".to_owned())], 0);

        assert!(text.finish().ends_with("{peer=\"a\\\"b\\\\c\\nd\"} 0\n"));
    }
}
