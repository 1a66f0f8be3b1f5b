//! Link addresses, as they stand in documents.

use poplin_node::kernel::Mac;

/// Reads a MAC address in the form `02:00:00:00:00:01`.
pub fn mac(text: &str) -> Option<Mac> {
    let octets: Vec<u8> = text.split(':').map(|octet| u8::from_str_radix(octet, 16)).collect::<Result<_, _>>().ok()?;
    octets.try_into().ok().map(Mac)
}
