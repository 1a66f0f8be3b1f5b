# Sourced by the quickstart and by tests/run: what this machine must have before anything is built.
# Installs Debian packages by name; everything else is in the checkout.

# Says one line about what is going on; more only when something fails.
say() { printf '%s\n' "$*" >&2; }

need_root() {
  [ "$(id -u)" -eq 0 ] || { say "error: this needs root: namespaces, links and routes are made"; say "  try: sudo $0 $*"; exit 2; }
}

# need_packages PACKAGE...: those that are not there yet.
need_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  local log; log=$(mktemp)
  if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    cat "$log" >&2; say "error: packages could not be installed"; say "  try: apt-get install ${missing[*]}"; exit 1
  fi
  rm -f "$log"
  # Debian starts what it installs. The lab starts its own, in namespaces; what came only for that is put to rest again.
  [ -d /run/systemd/system ] || return 0
  for package in "${missing[@]}"; do
    case $package in
      etcd-server) systemctl --quiet disable --now etcd.service ;;
      bird2) systemctl --quiet disable --now bird.service ;;
      frr) systemctl --quiet disable --now frr.service ;;
      gobgpd) systemctl --quiet disable --now gobgpd.service ;;
      docker.io) systemctl --quiet disable --now docker.service docker.socket containerd.service ;;
      podman) systemctl --quiet disable --now podman.service podman.socket podman-auto-update.timer podman-restart.service ;;
      exabgp) systemctl --quiet disable --now exabgp.service ;;
      pmacct) systemctl --quiet disable --now pmacctd.service nfacctd.service sfacctd.service uacctd.service ;;
    esac
  done
}

# The compiler. Debian 12's own is older than this code's edition.
need_cargo() {
  [ -x "$(command -v cargo)" ] || PATH="$HOME/.cargo/bin:$PATH"
  local wanted have
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$1/Cargo.toml")
  have=$(cargo --version 2>/dev/null | cut -d' ' -f2)
  if [ -z "$have" ] || [ "$(printf '%s\n%s\n' "$wanted" "$have" | sort -V | head -n1)" != "$wanted" ]; then
    say "error: cargo ${have:-is not installed}; Rust $wanted or newer is needed"
    say "  try: install it with rustup, then run this again"
    exit 1
  fi
}

BUILD_PACKAGES=(build-essential protobuf-compiler libprotobuf-dev)
LAB_PACKAGES=(iproute2 nftables conntrack etcd-server etcd-client bird2 busybox-static curl faketime iputils-ping procps)
INTEROP_PACKAGES=(frr gobgpd exabgp pmacct tshark bgpdump docker.io docker-compose containerd runc podman containernetworking-plugins systemd iptables openssl)
