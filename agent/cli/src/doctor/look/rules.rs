//! Asks `nft` for the chains that are hooked in, and for the rules of tables that others hooked where our packets pass.
//!
//! By the program, for it alone says what each kernel and each kind of rule means, and nothing hangs on how fast this is.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::doctor::reading::Rules;

/// Our table, which only we read and write.
const TABLE: &str = "poplin";

pub(super) fn read() -> Result<Rules, String> {
    let chains: Vec<Value> = objects("chain", &["list", "chains"])?;
    let is_of_interest =
        |chain: &&Value| chain["table"] != TABLE && (chain["hook"] == "forward" || chain["hook"] == "input");
    let name = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let hooked = chains.iter().filter(is_of_interest).map(|chain| (name(&chain["family"]), name(&chain["table"])));
    let mut tables: Vec<(String, String)> = hooked.collect();
    tables.sort();
    tables.dedup();
    let mut rules = Vec::new();
    for (family, table) in tables {
        rules.extend(objects("rule", &["list", "table", &family, &table])?);
    }
    Ok(Rules { chains, rules })
}

/// The objects of one kind in an answer.
fn objects(kind: &str, arguments: &[&str]) -> Result<Vec<Value>, String> {
    let answer = said("nft", &[&["-j"], arguments].concat())?;
    let answer: Value =
        serde_json::from_str(&answer).map_err(|error| format!("nft {}: {error}", arguments.join(" ")))?;
    let all = answer["nftables"].as_array().cloned().unwrap_or_default();
    Ok(all.into_iter().filter_map(|mut object| object.get_mut(kind).map(Value::take)).collect())
}

/// Rules of the old kind, if this namespace has any.
pub(super) fn legacy() -> Result<Option<String>, String> {
    let tables = fs::read_to_string("/proc/net/ip_tables_names").unwrap_or_default();
    match tables.lines().any(|table| table == "filter") {
        true => said("iptables-legacy", &["-w", "5", "-S"]).map(Some),
        false => Ok(None),
    }
}

fn said(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}
