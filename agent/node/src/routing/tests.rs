//! What was recomputed where something changed is what would have been computed from nothing.

use proptest::prelude::*;

use super::*;
use crate::underlay::{on_link, resolve};

/// Something that can happen; places are chosen among few, so that they meet.
#[derive(Clone, Debug)]
enum Happening {
    Install(usize, Vec<usize>),
    Remove(usize),
    Underlay(usize, Option<usize>),
    Carrier(u32, bool),
    /// The link of the address that names one lives, as interface with this index, or does not.
    Lives(Option<u32>),
    EndAdoption,
    /// Prefixes inside of this place are wrapped so, as far as the device stands that leads to the first addresses.
    Wraps(usize, Encapsulation, bool),
}

const PREFIXES: [&str; 8] = [
    "198.51.100.0/24",
    "198.51.100.128/25",
    "203.0.113.0/24",
    "0.0.0.0/0",
    "10.0.2.0/24",
    "10.0.2.7/32",
    "2001:db8::/32",
    "2001:db8:1::/48",
];
const ADDRESSES: [&str; 9] = [
    "10.0.1.1",
    "10.0.1.2",
    "10.0.2.7",
    "198.51.100.129",
    "203.0.113.1",
    "10.0.3.1",
    "2001:db8:1::1",
    "fd00::1",
    "fe80::1%eth0",
];
const LINKS: [&str; 5] = ["10.0.1.0/24", "10.0.3.0/24", "fd00::/64", "0.0.0.0/0", "10.0.2.0/25"];

fn happening() -> impl Strategy<Value = Happening> {
    let places = prop::collection::btree_set(0..ADDRESSES.len(), 1..3);
    prop_oneof![
        6 => (0..PREFIXES.len(), places).prop_map(|(prefix, hops)| Happening::Install(prefix, hops.into_iter().collect())),
        2 => (0..PREFIXES.len()).prop_map(Happening::Remove),
        2 => (0..LINKS.len(), prop::option::of(0..ADDRESSES.len())).prop_map(|(link, via)| Happening::Underlay(link, via)),
        1 => (0..5_u32, any::<bool>()).prop_map(|(link, is_dark)| Happening::Carrier(link, is_dark)),
        1 => prop::option::of(7..9_u32).prop_map(Happening::Lives),
        1 => Just(Happening::EndAdoption),
        2 => (0..PREFIXES.len(), 0..3_usize, any::<bool>())
            .prop_map(|(place, how, stands)| Happening::Wraps(place, Encapsulation::ALL[how], stands)),
    ]
}

/// The plain definition beside the clever one.
#[derive(Default)]
struct World {
    kernel: KernelState,
    tunnels: Tunnels,
    routing: Routing,
    learned: Learned,
    adopted: BTreeMap<IpNet, Gateways>,
    /// As the touched prefixes tell it.
    followed: BTreeMap<IpNet, Gateways>,
}

impl World {
    fn adopting() -> Self {
        let gateway = Gateway { address: address(0).ip(), interface: Some(0) };
        let adopted = BTreeMap::from([0, 4, 6].map(|place| (prefix(place), Arc::new(BTreeSet::from([gateway])))));
        let mut world = Self { adopted: adopted.clone(), ..Self::default() };
        world.routing.adopt(adopted);
        world
    }

    fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::Install(place, hops) => {
                let mut hops: Vec<_> = hops.into_iter().map(address).collect();
                hops.sort_unstable();
                self.routing.install(prefix(place), &hops);
                self.learned.insert(prefix(place), hops.into());
                self.adopted.remove(&prefix(place));
            }
            Happening::Remove(place) => {
                self.routing.remove(prefix(place));
                self.learned.remove(&prefix(place));
                self.adopted.remove(&prefix(place));
            }
            Happening::Underlay(link, via) => {
                let on_link = UnderlayRoute::OnLink(u32::try_from(link).unwrap());
                let way = via.map_or(on_link, |via| UnderlayRoute::Via([address(via)].into()));
                self.kernel.underlay.insert(LINKS[link].parse().unwrap(), way);
            }
            Happening::Carrier(link, true) => drop(self.kernel.dark.insert(link)),
            Happening::Carrier(link, false) => drop(self.kernel.dark.remove(&link)),
            Happening::Lives(index) => {
                let zone = Zone::new("eth0").unwrap();
                self.kernel.live = index.map(|index| (zone, index)).into_iter().collect();
            }
            Happening::Wraps(place, encapsulation, stands) => {
                let gateways = (0..5).filter(|_| stands).map(|end| (address(end).ip(), inside(end)));
                self.tunnels = Tunnels::sample([(encapsulation, prefix(place))].into(), gateways.collect());
            }
            Happening::EndAdoption => {
                self.routing.end_adoption();
                self.adopted.clear();
            }
        }
    }

    fn follow(&mut self) {
        self.routing.follow(&self.kernel, &self.tunnels);
        for prefix in self.routing.take_touched() {
            match self.routing.gateways(&prefix) {
                Some(gateways) => drop(self.followed.insert(prefix, gateways.clone())),
                None => drop(self.followed.remove(&prefix)),
            }
        }
    }

    fn recomputed(&self) -> BTreeMap<IpNet, Gateways> {
        let plain = |next_hop: Address| resolve(&self.kernel, &self.learned, &[next_hop]).gateways;
        let led = |prefix: &IpNet, next_hop: Address| {
            let is_wrapped = match self.tunnels.encapsulation_of(prefix) {
                Encapsulation::Never => false,
                Encapsulation::CrossSubnet => on_link(&self.kernel, next_hop.ip()).is_none(),
                Encapsulation::Always => true,
            };
            match (plain(next_hop), self.tunnels.gateway(next_hop.ip())) {
                (plain, Some(inside)) if is_wrapped && !plain.is_empty() => BTreeSet::from([inside]),
                (plain, _) => plain,
            }
        };
        let resolved = |(prefix, next_hops): (&IpNet, &crate::underlay::NextHops)| {
            (*prefix, Arc::new(next_hops.iter().flat_map(|next_hop| led(prefix, *next_hop)).collect::<BTreeSet<_>>()))
        };
        let learned = self.learned.iter().map(resolved);
        self.adopted.clone().into_iter().chain(learned.filter(|(_, gateways)| !gateways.is_empty())).collect()
    }
}

fn prefix(place: usize) -> IpNet {
    PREFIXES[place].parse().unwrap()
}

/// The end of a tunnel.
fn inside(end: usize) -> Gateway {
    Gateway { address: address(end).ip(), interface: Some(99) }
}

fn address(place: usize) -> Address {
    ADDRESSES[place].parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_followed_routes_are_the_recomputed_ones(
        happenings in prop::collection::vec((happening(), any::<bool>()), 1..60),
    ) {
        let mut world = World::adopting();
        for (happening, is_looked_at) in happenings {
            world.happens(happening);
            if is_looked_at {
                world.follow();
                prop_assert_eq!(&world.followed, &world.recomputed());
            }
        }
        world.follow();
        prop_assert_eq!(&world.followed, &world.recomputed());
    }
}
