# The quickstart's parts, sourced by up and down: what stands where, how it is made, how it is removed.
#
#   qs-tor (BIRD, etcd) ── 172.31.1.0/24 ── qs-h1 (poplind): web ci
#                       ── 172.31.2.0/24 ── qs-h2 (poplind): api batch
#                       ── 172.31.3.0/24 ── qs-h3 (poplind): db cache

STATE=/run/poplin-quickstart
HOSTS=(1 2 3)
CONTAINERS=(web ci api batch db cache)
ETCD=http://172.31.0.1:2379

declare -A HOST_OF=([web]=1 [ci]=1 [api]=2 [batch]=2 [db]=3 [cache]=3)
declare -A LABELS_OF=([web]='app=web' [ci]='app=ci' [api]='app=api' [batch]='app=batch' [db]='app=db tier=data' [cache]='app=cache tier=data')

# inside NAMESPACE COMMAND...
inside() { local ns=$1; shift; ip netns exec "qs-$ns" "$@"; }

# start NAME COMMAND...: in the background, its pid and log under $STATE.
start() {
  local name=$1; shift
  "$@" >"$STATE/$name.log" 2>&1 </dev/null &
  echo $! >"$STATE/$name.pid"
}

# until_true SECONDS WHAT COMMAND...: nothing is waited for by the clock.
until_true() {
  local deadline=$((SECONDS + $1)) what=$2; shift 2
  until "$@" >/dev/null 2>&1; do
    if [ $SECONDS -ge $deadline ]; then
      printf 'error: %s: not so after %s s\n' "$what" "$1" >&2
      tail -n 5 "$STATE"/*.log >&2
      return 1
    fi
    sleep 0.05
  done
}

make_tor() {
  ip netns add qs-tor
  inside tor ip link set lo up
  inside tor ip address add 172.31.0.1/32 dev lo
  inside tor sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
}

make_host() {
  local n=$1
  ip netns add "qs-h$n"
  ip link add "qs-h$n" netns qs-tor type veth peer name uplink netns "qs-h$n"
  inside tor ip address add "172.31.$n.1/24" dev "qs-h$n"
  inside tor ip address add "fd31:$n::1/64" dev "qs-h$n" nodad
  inside tor ip link set "qs-h$n" up
  inside "h$n" ip link set lo up
  inside "h$n" ip address add "172.31.$n.2/24" dev uplink
  inside "h$n" ip address add "fd31:$n::2/64" dev uplink nodad
  inside "h$n" ip link set uplink up
  inside "h$n" ip route add default via "172.31.$n.1"
  inside "h$n" ip -6 route add default via "fd31:$n::1"
}

start_tor() {
  start etcd ip netns exec qs-tor etcd --name qs --data-dir "$STATE/etcd" --log-level error \
    --listen-client-urls "$ETCD" --advertise-client-urls "$ETCD" --listen-peer-urls http://127.0.0.1:2380
  start bird ip netns exec qs-tor bird -f -c "$HERE/tor.conf" -s "$STATE/bird.ctl" -P "$STATE/bird.run"
}

start_agent() {
  start "h$1" ip netns exec "qs-h$1" "$BIN/poplind" --host "h$1" --label "host=h$1" --asn "6460$1" \
    --etcd "$ETCD" --data "$STATE/h$1" --socket "$STATE/h$1.sock"
}

# poplin of a host: on HOST VERB...
on() { local n=$1; shift; "$BIN/poplin" --socket "$STATE/h$n.sock" "$@"; }

# cni COMMAND CONTAINER: exactly what a container runtime does.
cni() {
  local command=$1 name=$2 n=${HOST_OF[$2]} labels= pair
  for pair in ${LABELS_OF[$name]}; do labels+="${labels:+, }\"${pair%%=*}\": \"${pair#*=}\""; done
  CNI_COMMAND=$command CNI_CONTAINERID=$name CNI_NETNS=/run/netns/qs-$name CNI_IFNAME=eth0 CNI_PATH=$BIN \
    ip netns exec "qs-h$n" "$BIN/poplin-cni" <<JSON
{"cniVersion": "1.0.0", "name": "shop", "type": "poplin-cni", "socket": "$STATE/h$n.sock", "labels": {$labels}}
JSON
}

make_container() {
  local name=$1
  ip netns add "qs-$name"
  cni ADD "$name" >"$STATE/$name.json" || { cat "$STATE/$name.json" >&2; return 1; }
  mkdir -p "$STATE/www/$name"
  echo "$name" >"$STATE/www/$name/index.html"
  start "httpd-$name" ip netns exec "qs-$name" busybox httpd -f -p '[::]:80' -h "$STATE/www/$name"
}

# The container's IPv4 address, from the CNI result.
address_of() { sed -n 's/.*"address": *"\([0-9.]*\)\/32".*/\1/p' "$STATE/$1.json" | head -n1; }

# probe FROM TO: prints "FROM TO ok" or "FROM TO no", by a real HTTP request.
probe() {
  local got
  got=$(inside "$1" curl -s --noproxy '*' --connect-timeout 1 --max-time 2 "http://$(address_of "$2")/" 2>/dev/null)
  if [ "$got" = "$2" ]; then echo "$1 $2 ok"; else echo "$1 $2 no"; fi
}

# All pairs at once; prints a line a pair.
probe_all() {
  local from to
  for from in "${CONTAINERS[@]}"; do for to in "${CONTAINERS[@]}"; do
    [ "$from" = "$to" ] || probe "$from" "$to" &
  done; done
  wait
}

# Processes by their pids, children with them; then namespaces, links with them; then files. Twice does no harm.
remove_everything() {
  local file ns
  for file in "$STATE"/*.pid; do
    [ -e "$file" ] && kill "$(cat "$file")" 2>/dev/null
  done
  for ns in "${CONTAINERS[@]}" h1 h2 h3 tor; do
    [ -e "/run/netns/qs-$ns" ] || continue
    ip netns pids "qs-$ns" | xargs -r kill -9 2>/dev/null
    ip netns delete "qs-$ns"
  done
  rm -rf "$STATE"
}
