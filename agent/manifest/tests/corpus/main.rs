//! What policies of Kubernetes and Calico mean, case by case, from their specifications; and what is refused, and how.
//!
//! Each file beside this one holds cases: real documents, and what is expected of them. [`case`] tells their form,
//! `topology.yaml` who is there. The verdict is asked for every flow in each family both ends have.

// In helpers too: a test that cannot be set up fails.
#![allow(clippy::unwrap_used)]

mod case;
mod compiled;
mod flow;
mod fuzz;
mod plain;
mod way;

use poplin_manifest::world;
use poplin_policy::verdict::verdict;
use poplin_proto::Failure;

use case::{MEANINGS, cases, documents, gates_of, world_of};
use flow::{Flow, flows};

#[test]
fn every_flow_fares_as_its_case_says() {
    let mut wrong = Vec::new();
    let mut counts = (0, 0, 0);
    for file in MEANINGS {
        for case in cases(file) {
            let (world, gates) = (world_of(&case), way::own(gates_of(&case)));
            let flows = flows(&case);
            counts.0 += 1;
            counts.1 += case.documents;
            counts.2 += flows.len();
            for Flow { packet, said, is_allowed } in flows {
                if way::is_allowed(&world, &gates, &packet) != is_allowed {
                    let decision = verdict(&world, &packet);
                    wrong.push(format!("{file}: {}\n  said: {said}\n  but {packet}: {decision:?}", case.title));
                }
            }
        }
    }
    println!("{} cases, {} documents, {} flows", counts.0, counts.1, counts.2);
    assert!(wrong.is_empty(), "{} flows fare otherwise\n{}", wrong.len(), wrong.join("\n"));
    assert!(counts.1 >= 150, "only {} documents", counts.1);
}

#[test]
fn compiled_rules_do_the_same() {
    let mut wrong = Vec::new();
    for file in MEANINGS {
        for case in cases(file) {
            let world = world_of(&case);
            let host = compiled::Machine::of(&world, way::own(gates_of(&case)));
            // What an endpoint says to itself never reaches its host.
            let leaves = |flow: &Flow| flow.packet.source != flow.packet.destination;
            for Flow { packet, said, is_allowed } in flows(&case).into_iter().filter(leaves) {
                if host.delivers(&world, &packet) != is_allowed {
                    wrong.push(format!("{file}: {}\n  said: {said}\n  but {packet}", case.title));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} flows fare otherwise\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_is_converted_means_the_same_when_it_is_read_again() {
    for file in MEANINGS {
        for case in cases(file) {
            let read = documents(&case.text).unwrap();
            let resources: Vec<_> = read.iter().map(|document| document.resource.clone()).collect();
            let printed = serde_saphyr::to_string_multiple(&resources).unwrap();

            let again = documents(&printed).unwrap_or_else(|failures| panic!("{printed}\n{failures:#?}"));

            assert_eq!(world(&again).unwrap(), world(&read).unwrap(), "{file}: {}", case.title);
        }
    }
}

#[test]
fn what_is_wrong_is_refused_where_it_stands() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in cases("refused") {
        count += 1;
        let said = refusals(&case.text).join("\n");
        let wanted = case.expectations.join("\n");
        if said != wanted {
            wrong.push(format!("#### {}\nwanted\n{wanted}\nsaid\n{said}\n", case.title));
        }
    }
    println!("{count} documents refused");
    assert!(wrong.is_empty(), "{} are refused otherwise\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 60, "only {count} refusals");
}

/// All that is wrong with a text, a line each: place, words, and what to try.
fn refusals(text: &str) -> Vec<String> {
    let failures = match documents(text) {
        Ok(documents) => world(&documents).err().unwrap_or_default(),
        Err(failures) => failures,
    };
    let told = |failure: Failure| {
        let place = failure.origin.unwrap_or_default().trim_start_matches("case:").to_owned();
        let field = failure.field.filter(|field| !failure.message.contains(field.as_str()));
        let field = field.map(|field| format!("{field}: ")).unwrap_or_default();
        let advice = failure.advice.map(|advice| format!(" | {advice}")).unwrap_or_default();
        format!("{place} {field}{}{advice}", failure.message)
    };
    failures.into_iter().map(told).collect()
}
