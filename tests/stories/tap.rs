//! A virtual machine that is attached by a tap is routed and governed as a container is.
//!
//! ```text
//! host: pop… (vm0), a tap ── a process that copies frames, as QEMU does ── eth0, a tap in the guest's namespace
//! ```
//! The guest has a kernel's whole stack, and nothing of it but what its own administrator gives it.

use std::path::{Path, PathBuf};

use poplin_lab::{Agent, Fabric, Namespace, Process, eventually, told, until};

use crate::spoof::counting;

/// Opens the host's tap by the name people gave it, then one in the guest's namespace, and copies frames both ways. Perl is part of every Debian.
const MACHINE: &str = r#"
$^F = 255; $| = 1;
sub tap {
    open(my $file, '+<', '/dev/net/tun') or die "/dev/net/tun: $!";
    my $wanted = pack('a16 S x22', $_[0], 0x1002);
    ioctl($file, 0x400454ca, $wanted) or die "$_[0]: $!";
    $file;
}
if ($ARGV[0] ne 'inside') {
    my $outer = tap($ARGV[0]);
    exec('ip', 'netns', 'exec', $ARGV[1], $^X, $0, 'inside', fileno($outer));
}
open(my $outer, '+<&=', $ARGV[1]) or die "$!";
my $inner = tap('eth0');
print "it runs\n";
while (1) {
    my $ready = '';
    vec($ready, fileno($_), 1) = 1 for ($outer, $inner);
    select($ready, undef, undef, undef);
    for ([$outer, $inner], [$inner, $outer]) {
        my ($from, $to) = @$_;
        next unless vec($ready, fileno($from), 1);
        defined(sysread($from, my $frame, 65536)) or exit;
        syswrite($to, $frame);
    }
}
"#;

/// A guest and its machine.
struct Guest {
    namespace: Namespace,
    mac: String,
    v4: String,
    v6: String,
    machine: Process,
    directory: PathBuf,
}

#[test]
fn a_machine_by_tap_is_routed_and_governed_as_a_container_is() {
    let mut fabric = Fabric::under_a_tor(2);
    let db = fabric.container(2, "db");
    let guest = Guest::boot(&fabric, &fabric.hosts[0]);

    until("it reaches a container of another host", || guest.reaches(&db.v4().to_string()));
    until("by IPv6 too", || guest.reaches(&db.v6().to_string()));
    assert!(db.reaches(guest.v4.parse().expect("an address")), "and is reached");
    assert!(guest.reaches("169.254.1.1"), "its host answers a ping");
    let _www = guest.namespace.listen(80);
    let [v4, v6] = [&guest.v4, &guest.v6].map(|text| text.parse().expect("an address"));
    assert!(db.connects(v4, 80) && db.connects(v6, 80));

    fabric.hosts[0].apply(
        "{apiVersion: poplin.dev/v1, kind: Policy, metadata: {name: vm}, spec: {subject: app == 'vm', ingress: []}}",
    );
    until("policy closes it", || !db.connects(v4, 80) && !db.connects(v6, 80));
    fabric.hosts[0].kill();
    assert!(guest.reaches(&db.v4().to_string()) && !db.connects(v4, 80), "without the agent, too");
    fabric.hosts[0].start();
    fabric.hosts[0].poplin(&["delete", "policy", "vm"]);
    until("the next agent knows it", || db.connects(v4, 80) && db.connects(v6, 80));
    let again = fabric.hosts[0].poplin(&["attach", "--tap", "vm0", "--name", "vm", "--label", "app=vm"]);
    assert!(again.contains(&guest.v4), "who asks again gets the same: {again}");
    assert!(db.connects(v4, 80), "and the machine does not notice");
}

#[test]
fn a_machine_sends_as_itself_only() {
    let fabric = Fabric::under_a_tor(2);
    let (web, db) = (fabric.container(1, "web"), fabric.container(2, "db"));
    let guest = Guest::boot(&fabric, &fabric.hosts[0]);
    until("it is let through", || guest.reaches(&db.v4().to_string()));
    let arrived = counting(db.namespace(), &format!("ip saddr {}", web.v4()));

    guest.namespace.run("ip", &["address", "add", &format!("{}/32", web.v4()), "dev", "eth0"]);
    guest.ping(&["-I", &web.v4().to_string(), &db.v4().to_string()]);
    assert_eq!(arrived(), 0, "nothing arrives under another's address");

    // With that switch a new MAC is announced by ARP, for each address there is.
    guest.namespace.run("sysctl", &["-qw", "net.ipv4.conf.eth0.arp_notify=1"]);
    guest.namespace.run("ip", &["link", "set", "eth0", "address", "02:00:00:00:00:99"]);
    assert!(db.reaches(web.v4()), "claiming it by ARP moves nothing");
    guest.namespace.run("ip", &["address", "del", &format!("{}/32", web.v4()), "dev", "eth0"]);
    assert!(!guest.reaches(&db.v4().to_string()), "what is sent to it goes to the MAC it was given");
    guest.namespace.run("ip", &["link", "set", "eth0", "address", &guest.mac]);
    until("with that it is back", || guest.reaches(&db.v4().to_string()));
}

#[test]
fn a_tap_goes_with_its_endpoint_and_one_that_was_removed_is_told_and_made_anew() {
    let fabric = Fabric::under_a_tor(1);
    let host = &fabric.hosts[0];
    let mut guest = Guest::boot(&fabric, host);
    let refused = |arguments: &[&str]| {
        let output = host.try_poplin(&[&["attach", "--name", "other"][..], arguments].concat());
        assert!(!output.status.success());
        told(&output)
    };
    assert!(refused(&["--tap", "lo"]).contains("interface lo exists on this host already"));
    assert!(refused(&["--tap", "vm1", "--ip", "203.0.113.9"]).contains("203.0.113.9"));
    assert!(!host.namespace().output("ip", &["link", "show", "vm1"]).status.success(), "nothing is left of it");
    assert!(host.ip("-d link show vm0").contains("user 4711"), "it is the user's");

    guest.machine.kill();
    host.ip("link delete vm0");
    eventually("its loss is told", || match told(&host.try_poplin(&["ipam", "check"])) {
        check if check.contains("vm") => Ok(()),
        check => Err(check),
    });
    let again = host.poplin(&["attach", "--tap", "vm0", "--user", "4711", "--name", "vm", "--label", "app=vm"]);
    assert!(again.contains(&guest.v4), "{again}");
    guest.plug(host);
    until("it is back", || guest.reaches("169.254.1.1"));

    host.poplin(&["detach", "vm"]);
    assert_eq!(host.links(), Vec::<String>::new());
    assert!(!host.namespace().output("ip", &["link", "show", "vm0"]).status.success());
    assert!(host.routes().iter().all(|route| !route.starts_with(&format!("{} ", guest.v4))), "{:?}", host.routes());
}

impl Guest {
    /// Attached by the command line, started, and configured by hand as README says.
    fn boot(fabric: &Fabric, host: &Agent) -> Self {
        let namespace = fabric.lab.namespace("guest");
        host.poplin(&["attach", "--tap", "vm0", "--user", "4711", "--name", "vm", "--label", "app=vm"]);
        let spec = host.get(&["endpoint", "vm"])["spec"].clone();
        let word = |field: &str| spec[field].as_str().unwrap_or_default().to_owned();
        let address = |place: usize| spec["addresses"][place].as_str().unwrap_or_default().to_owned();
        let bare = |address: String| address.split('/').next().unwrap_or_default().to_owned();
        let (v4, v6, mac) = (bare(address(0)), bare(address(1)), word("mac"));
        let directory = fabric.lab.directory().to_owned();
        let machine = start(&directory, &namespace, host);
        let mut guest = Self { namespace, mac, v4, v6, machine, directory };
        guest.configure();
        guest
    }

    /// Starts the machine anew.
    fn plug(&mut self, host: &Agent) {
        self.machine = start(&self.directory, &self.namespace, host);
        self.configure();
    }

    fn configure(&mut self) {
        for command in [
            &format!("link set eth0 address {} up", self.mac),
            &format!("address add {}/32 dev eth0", self.v4),
            "route add default via 169.254.1.1 dev eth0 onlink",
            &format!("-6 address add {}/128 dev eth0 nodad", self.v6),
            "-6 route add default via fe80::1 dev eth0",
        ] {
            self.namespace.run("ip", &command.split(' ').collect::<Vec<_>>());
        }
    }

    fn ping(&self, arguments: &[&str]) -> String {
        told(&self.namespace.output("ping", &[&["-n", "-c1", "-W1"][..], arguments].concat()))
    }

    fn reaches(&self, address: &str) -> bool {
        self.ping(&[address]).contains(" 1 received")
    }
}

fn start(directory: &Path, guest: &Namespace, host: &Agent) -> Process {
    let (script, log) = (directory.join("machine.pl"), directory.join("machine.log"));
    std::fs::write(&script, MACHINE).expect("the script can be written");
    let _ = std::fs::remove_file(&log); // of its former life
    let machine = host.namespace().spawn(log, "perl", &[&script.display().to_string(), "vm0", guest.name()]);
    eventually("the machine runs", || if machine.said().contains("it runs") { Ok(()) } else { Err(machine.said()) });
    machine
}
