//! Gives each set of headers one form, so that equal sets are equal values, and one text, so that people can read it.
//!
//! Canonical: source ports are cut into as few spans as differ, within each the targets are joined where they touch, and
//! protocols that carry the same stand together.

use std::collections::BTreeMap;
use std::fmt;

use super::traffic::{Block, Protocols, Span, Traffic};
use crate::packet::{ICMP, ICMP6, protocol_name};

/// For spans of source ports that do not touch or differ, the targets they go to.
type Shape = Vec<(Span, Vec<Span>)>;

impl Traffic {
    /// The one form of this set.
    #[must_use]
    pub fn canonical(&self) -> Self {
        let mut shapes: BTreeMap<Shape, Protocols> = BTreeMap::new();
        for group in self.groups() {
            let Some(number) = group.iter().next() else { continue };
            let blocks = self.blocks().iter().filter(|block| block.protocols.contains(number));
            let shape = shape(&blocks.collect::<Vec<_>>());
            shapes.entry(shape).and_modify(|protocols| *protocols = protocols.or(group)).or_insert(group);
        }
        let blocks = shapes.into_iter().flat_map(|(shape, protocols)| {
            shape.into_iter().flat_map(move |(origin, targets)| {
                targets.into_iter().map(move |target| Block { protocols, target, origin })
            })
        });
        Self::from_disjoint(blocks.collect())
    }

    /// Protocols that no block tells apart.
    fn groups(&self) -> Vec<Protocols> {
        let mut groups = vec![Protocols::ALL];
        for block in self.blocks() {
            let parts = |group: Protocols| {
                let outside = group.without(block.protocols);
                [group.without(outside), outside]
            };
            groups = groups.into_iter().flat_map(parts).filter(|group| !group.is_empty()).collect();
        }
        groups
    }
}

fn shape(blocks: &[&Block]) -> Shape {
    let mut edges: Vec<u32> =
        blocks.iter().flat_map(|block| [u32::from(block.origin.low), u32::from(block.origin.high) + 1]).collect();
    edges.sort_unstable();
    edges.dedup();
    let mut shape = Shape::new();
    for pair in edges.windows(2) {
        let (Ok(low), Ok(high)) = (u16::try_from(pair[0]), u16::try_from(pair[1] - 1)) else { continue };
        let origin = Span { low, high };
        let targets = joined(blocks.iter().filter(|block| block.origin.and(origin).is_some()).map(|b| b.target));
        match shape.last_mut() {
            Some((before, same)) if u32::from(before.high) + 1 == pair[0] && *same == targets => before.high = high,
            _ if targets.is_empty() => {}
            _ => shape.push((origin, targets)),
        }
    }
    shape
}

/// Spans in order, joined where they touch.
fn joined(spans: impl Iterator<Item = Span>) -> Vec<Span> {
    let mut spans: Vec<Span> = spans.collect();
    spans.sort_unstable();
    let mut all: Vec<Span> = Vec::new();
    for span in spans {
        match all.last_mut() {
            Some(last) if u32::from(span.low) <= u32::from(last.high) + 1 => last.high = last.high.max(span.high),
            _ => all.push(span),
        }
    }
    all
}

impl fmt::Display for Traffic {
    /// As rules are written, `tcp/80 udp/53 icmp/8`, or what is missing where nearly everything is held.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missing = Self::all().without(self);
        if missing.is_empty() {
            return out.write_str("everything");
        }
        if self.is_empty() {
            return out.write_str("nothing");
        }
        let is_wide = self.blocks().iter().any(|block| block.protocols.len() > 128);
        match is_wide {
            true => write!(out, "everything but {}", listed(&missing.canonical())),
            false => out.write_str(&listed(&self.canonical())),
        }
    }
}

fn listed(traffic: &Traffic) -> String {
    let mut parts: Vec<(u8, Span, Span)> = traffic
        .blocks()
        .iter()
        .flat_map(|block| block.protocols.iter().map(|number| (number, block.target, block.origin)))
        .collect();
    parts.sort_unstable();
    parts.into_iter().map(|(number, target, origin)| part(number, target, origin)).collect::<Vec<_>>().join(" ")
}

fn part(number: u8, target: Span, origin: Span) -> String {
    let mut text = protocol_name(number);
    if target != Span::ALL {
        text.push('/');
        text.push_str(&if [ICMP, ICMP6].contains(&number) { messages(target) } else { range(target) });
    }
    if origin != Span::ALL {
        text.push_str(" from ");
        text.push_str(&range(origin));
    }
    text
}

fn range(Span { low, high }: Span) -> String {
    if low == high { low.to_string() } else { format!("{low}-{high}") }
}

/// Whole types as numbers, single messages as type and code.
fn messages(span: Span) -> String {
    let ([low, low_code], [high, high_code]) = (span.low.to_be_bytes(), span.high.to_be_bytes());
    match (low_code, high_code) {
        (0, u8::MAX) if low == high => low.to_string(),
        (0, u8::MAX) => format!("{low}-{high}"),
        _ if span.low == span.high => format!("{low}/{low_code}"),
        _ => format!("{low}/{low_code}-{high}/{high_code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u8, low: u16, high: u16) -> Block {
        Block { protocols: Protocols::one(number), target: Span { low, high }, origin: Span::ALL }
    }

    #[test]
    fn traffic_is_told_as_rules_are_written() {
        let web = Traffic::of([block(6, 80, 80), block(6, 8000, 8010), block(17, 53, 53), block(1, 2048, 2303)]);

        assert_eq!(web.to_string(), "icmp/8 tcp/80 tcp/8000-8010 udp/53");
        assert_eq!(Traffic::all().without(&web).to_string(), format!("everything but {web}"));
        assert_eq!(Traffic::all().to_string(), "everything");
    }

    #[test]
    fn spans_that_touch_are_told_as_one() {
        let ports = Traffic::of([block(6, 80, 80), block(6, 81, 90), block(6, 85, 100)]);
        assert_eq!(ports.to_string(), "tcp/80-100");
    }
}
