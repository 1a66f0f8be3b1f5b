//! Pools.

use ipnet::IpNet;
use poplin_manifest::field::{Findings, Invalid, Invalids, checked_name, net, selector, within, word};
use poplin_node::name::PoolName;
use poplin_node::object::Pool;
use poplin_node::prefix::MAX_BLOCK_HOST_BITS;
use poplin_node::range::{Range, Ranges};
use poplin_node::tunnel::Encapsulation;
use poplin_policy::model::Scope;
use poplin_proto::v1;

use super::nat;

/// Host bits of a block nobody chose: 64 addresses, /26 or /122.
const DEFAULT_BLOCK_HOST_BITS: u8 = 6;

pub(super) fn check(pool: &v1::Pool) -> Result<Pool, Invalids> {
    let spec = pool.spec.clone().unwrap_or_default();
    let mut findings = Findings::default();
    let cidr = findings.take(net("spec.cidr", &spec.cidr).and_then(usable));
    let block_bits = cidr.and_then(|cidr| findings.take(block_bits(cidr, spec.block_size)));
    let hosts = findings.take(selector("spec.hosts", &spec.hosts));
    let namespaces = findings.take(namespaces(&spec.namespaces));
    let networks = Some(spec.networks.as_str()).filter(|text| !text.trim().is_empty());
    let networks = findings.take(networks.map(|text| selector("spec.networks", text)).transpose());
    let reserved = cidr.map(|cidr| reserved(&mut findings, &spec.reserved, cidr));
    let most = spec.max_blocks_per_host.map(|most| within("spec.maxBlocksPerHost", most, 1, u32::MAX, ""));
    let max_blocks = findings.take(most.transpose().map_err(|invalid| {
        invalid.advice("to take no new addresses from it set disabled: true; for no bound leave it out")
    }));
    let name = PoolName::new(checked_name(pool.metadata.as_ref()));
    let nat = cidr.zip(spec.nat.as_ref()).and_then(|(cidr, nat)| nat::check(&mut findings, "spec.nat", nat, cidr));
    let encapsulation = findings.take(encapsulation(&spec));
    if spec.lan && spec.nat.is_some() {
        findings.add(translated_on_its_lan());
    }
    let checked =
        cidr.zip(block_bits).zip(hosts).zip(namespaces).zip(networks).zip(reserved).zip(max_blocks).zip(encapsulation);
    findings.finish(checked.map(
        |(((((((cidr, block_bits), hosts), namespaces), networks), reserved), max_blocks), encapsulation)| Pool {
            hosts,
            namespaces,
            networks,
            is_enabled: !spec.disabled,
            is_manual: spec.manual,
            reserved,
            is_strict: spec.strict_affinity,
            max_blocks,
            nat,
            is_lan: spec.lan,
            encapsulation,
            ..Pool::open(name, cidr, block_bits)
        },
    ))
}

fn namespaces(text: &str) -> Result<Scope, Invalid> {
    match text.trim() {
        "" => Ok(Scope::Anywhere),
        "global()" => Ok(Scope::Global),
        text => selector("spec.namespaces", text).map(Scope::Namespaces),
    }
}

/// Checks which packets are wrapped.
fn encapsulation(spec: &v1::PoolSpec) -> Result<Encapsulation, Invalid> {
    let field = "spec.encapsulation";
    let words = [
        ("", Encapsulation::Never),
        ("never", Encapsulation::Never),
        ("crossSubnet", Encapsulation::CrossSubnet),
        ("always", Encapsulation::Always),
    ];
    match word(field, &spec.encapsulation, &words)? {
        Encapsulation::Never => Ok(Encapsulation::Never),
        _ if spec.lan => {
            let message = "addresses of a LAN are answered on it, by whichever host has them, and no host leads there";
            Err(Invalid::new(field, "ENCAPSULATED_LAN", message).advice("leave out encapsulation, or lan"))
        }
        encapsulation => Ok(encapsulation),
    }
}

/// Who has an address of the LAN is answered there.
fn translated_on_its_lan() -> Invalid {
    let message = "addresses of a LAN are answered on it as they are, and nat would put the host's in their place";
    Invalid::new("spec.nat", "NAT_ON_LAN", message).advice("leave out nat, or lan; the LAN's own router translates")
}

/// Checks what nobody shall get: ranges, and all inside the pool.
fn reserved(findings: &mut Findings, texts: &[String], cidr: IpNet) -> Ranges {
    let check = |(index, text): (usize, &String)| {
        let field = format!("spec.reserved[{index}]");
        let range = text.parse::<Range>().map_err(|error| {
            Invalid::new(&field, "BAD_RANGE", format!("{text:?}: {error}"))
                .advice(format!("write a prefix, an address, or two with a dash: {0}-{0}", cidr.network()))
        })?;
        match range.is_within(cidr) {
            true => Ok(range),
            false => Err(Invalid::new(&field, "OUTSIDE_CIDR", format!("{range} is not inside {cidr}"))
                .advice(format!("reserve what lies between {} and {}", cidr.network(), cidr.broadcast()))),
        }
    };
    findings.take_all(texts.iter().enumerate().map(check)).into_iter().collect()
}

/// Containers cannot live where routers do not forward to.
fn usable(cidr: IpNet) -> Result<IpNet, Invalid> {
    let address = cidr.network();
    let is_link_local = match cidr {
        IpNet::V4(net) => net.network().is_link_local(),
        IpNet::V6(net) => net.network().is_unicast_link_local(),
    };
    if address.is_loopback() || address.is_multicast() || is_link_local || cidr.prefix_len() == 0 {
        return Err(Invalid::new("spec.cidr", "NOT_ROUTABLE", format!("{cidr} cannot be routed to containers"))
            .advice("take a private range such as 10.77.0.0/16 or fd77::/48"));
    }
    Ok(cidr)
}

fn block_bits(cidr: IpNet, wanted: Option<u32>) -> Result<u8, Invalid> {
    let longest = cidr.max_prefix_len();
    let default = longest - DEFAULT_BLOCK_HOST_BITS;
    let shortest = longest - MAX_BLOCK_HOST_BITS;
    let wanted = wanted.unwrap_or(u32::from(default));
    let bits = u8::try_from(wanted).ok().filter(|bits| (shortest..=longest).contains(bits)).ok_or_else(|| {
        Invalid::new("spec.blockSize", "OUT_OF_RANGE", format!("/{wanted} is not between /{shortest} and /{longest}"))
    })?;
    if bits >= cidr.prefix_len() {
        return Ok(bits);
    }
    let has = addresses(longest - cidr.prefix_len());
    let needs = addresses(longest - bits);
    let message =
        format!("{cidr} is too small for its block size /{bits}: it has {has} addresses, one block needs {needs}");
    let advice = format!("take a cidr of /{bits} or larger, or blockSize: {}", (cidr.prefix_len() + 4).min(longest));
    Err(Invalid::new("spec.cidr", "POOL_TOO_SMALL", message).advice(advice))
}

fn addresses(host_bits: u8) -> u128 {
    1 << host_bits.min(127)
}
