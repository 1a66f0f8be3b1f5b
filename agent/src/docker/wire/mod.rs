//! The words of the protocol, as dockerd spells them: Go's field names, absent where empty, and unknown ones of later versions left alone.

pub(super) mod ipam;
pub(super) mod network;

use serde::de::DeserializeOwned;

/// Reads a request, which is an object; calls without parameters come without a body.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let body = if body.is_empty() { b"{}" } else { body };
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err("the request cannot be read: it is no JSON object".to_owned()); // a list would do for the fields in their order
    }
    serde_json::from_slice(body).map_err(|error| format!("the request cannot be read: {error}"))
}
