//! Runs the plugin as a runtime does.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

pub(crate) const NOWHERE: &str = "/run/nobody-listens-here/api.sock";

pub(crate) fn del() -> [(&'static str, &'static str); 3] {
    [("CNI_COMMAND", "DEL"), ("CNI_CONTAINERID", "c1"), ("CNI_IFNAME", "eth0")]
}

pub(crate) fn conf(version: &str, socket: &str) -> String {
    json!({"cniVersion": version, "name": "fabric", "type": "poplin-cni", "socket": socket}).to_string()
}

pub(crate) fn plugin(variables: &[(&str, &str)], input: &str) -> (i32, Value) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_poplin-cni"))
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The plugin may answer and end before it has read; that closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap_or(Value::Null))
}
