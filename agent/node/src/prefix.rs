//! Arithmetic of prefixes, blocks and ordinals, for both families alike.
//!
//! A block is numbered within its pool, an address within its block; both counts begin at 0.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Most host bits a block may have: 4,096 addresses, so that its value stays far below what a store takes (etcd: 1.5 MiB).
pub const MAX_BLOCK_HOST_BITS: u8 = 12;

/// How many blocks a pool has. A pool of 2^64 blocks or more counts as 2^64: nobody ever looks at more.
pub fn block_count(pool: IpNet, block_bits: u8) -> u128 {
    1 << block_bits.saturating_sub(pool.prefix_len()).min(64)
}

/// Block number `index` of a pool.
pub fn block_at(pool: IpNet, block_bits: u8, index: u128) -> IpNet {
    let host_bits = pool.max_prefix_len() - block_bits;
    net(from_number(number(pool.network()) + (index << host_bits), pool), block_bits)
}

/// The block an address of the pool lies in.
pub fn block_of(pool: IpNet, block_bits: u8, address: IpAddr) -> IpNet {
    debug_assert!(pool.contains(&address));
    net(address, block_bits)
}

/// The address at an ordinal of a block. One that is none of its ordinals, as a damaged value may say, is answered by an address beyond it.
pub fn address_at(block: IpNet, ordinal: u32) -> IpAddr {
    from_number(number(block.network()).saturating_add(u128::from(ordinal)), block)
}

/// Where in its block an address stands.
pub fn ordinal_of(block: IpNet, address: IpAddr) -> u32 {
    let distance = number(address) - number(block.network());
    u32::try_from(distance).expect("a block has at most 4,096 addresses")
}

/// How many addresses a block has.
pub fn size_of(block: IpNet) -> u32 {
    1 << (block.max_prefix_len() - block.prefix_len()).min(31)
}

/// How many addresses a prefix has; one of 2^128 counts as 2^127.
pub fn address_count(prefix: IpNet) -> u128 {
    1 << (prefix.max_prefix_len() - prefix.prefix_len()).min(127)
}

/// The address alone, as a prefix.
pub fn host_prefix(address: IpAddr) -> IpNet {
    IpNet::from(address)
}

/// The address as a number, within its family.
pub(crate) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

fn from_number(number: u128, family: IpNet) -> IpAddr {
    match family {
        IpNet::V4(_) => IpAddr::V4(u32::try_from(number).unwrap_or(u32::MAX).into()),
        IpNet::V6(_) => IpAddr::V6(number.into()),
    }
}

fn net(address: IpAddr, bits: u8) -> IpNet {
    let fits = "a block's prefix length was checked against its family";
    match address {
        IpAddr::V4(address) => Ipv4Net::new(address, bits).expect(fits).trunc().into(),
        IpAddr::V6(address) => Ipv6Net::new(address, bits).expect(fits).trunc().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_ordinals_lead_back_to_their_addresses() {
        for (pool, bits) in [("10.77.0.0/16", 26), ("fd00:77::/48", 122), ("192.0.2.0/26", 26)] {
            let pool: IpNet = pool.parse().unwrap();
            let index = block_count(pool, bits) - 1;

            let block = block_at(pool, bits, index);
            let last = address_at(block, size_of(block) - 1);

            assert!(pool.contains(&last));
            assert_eq!(block_of(pool, bits, last), block);
            assert_eq!(ordinal_of(block, last), size_of(block) - 1);
        }
    }

    #[test]
    fn an_ordinal_that_is_none_names_no_address_of_the_block() {
        for block in ["255.255.255.192/26", "10.77.0.0/26", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffc0/122"] {
            let block: IpNet = block.parse().unwrap();
            let beyond = address_at(block, u32::MAX);
            assert!(!block.contains(&beyond) || beyond == block.broadcast(), "{beyond}");
        }
    }

    #[test]
    fn the_largest_pool_does_not_overflow() {
        assert_eq!(block_count("::/0".parse().unwrap(), 122), 1 << 64);
    }
}
