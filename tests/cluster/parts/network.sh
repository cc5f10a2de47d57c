# shellcheck shell=bash
# The network of one cluster: a bridge with a /24 of its own. The node, the
# registry and the Git server use the bridge's address, pods get theirs from the
# same /24, so host and pods reach everything by one name and nothing needs to
# be forwarded, translated or filtered; pods reach this machine and nothing else.
#
#   .1            the bridge: HOST_ADDRESS
#   .10 – .126    pods
#   .128/25       services; .129, the first of them, is the service `kubernetes`.
#                 It is an address of the bridge too, and the API server listens
#                 there: in-cluster clients find it without kube-proxy.

BRIDGE="cw-$CLUSTER_ID" # at most 15 bytes
SUBNET_PREFIX=          # the first three numbers
HOST_ADDRESS=
API_ADDRESS=

set_addresses() {
    SUBNET_PREFIX=$1
    HOST_ADDRESS="$1.1"
    API_ADDRESS="$1.129"
}

# find_network: sets the addresses from the bridge, if that is there.
find_network() {
    local address
    address=$(ip -j -4 address show dev "$BRIDGE" 2>/dev/null |
        jq -r 'first(.[].addr_info[]? | select(.prefixlen == 24) | .local) // empty')
    [[ -n $address ]] || return 1
    set_addresses "${address%.*}"
}

# A subnet is free if no route but the default one touches it.
subnet_is_free() {
    [[ -z $(ip -4 route show table all root "$1") ]] &&
        [[ -z $(ip -4 route show table all match "$1" | grep -v '^default' || true) ]]
}

# The directory's name decides where to begin, so that a cluster usually gets the
# same addresses again. 198.18/15 is reserved for tests and hardly ever in use.
choose_subnet() {
    local base i start=$((16#${CLUSTER_ID:0:2}))
    for base in 10.213 172.29 198.18; do
        for ((i = 0; i < 256; i++)); do
            if subnet_is_free "$base.$(((start + i) % 256)).0/24"; then
                set_addresses "$base.$(((start + i) % 256))"
                return 0
            fi
        done
    done
    die "no free network for the cluster"
}

# A fixed hardware address: a bridge otherwise takes the least of its ports',
# which changes as pods come and go, and they would remember the wrong one.
make_bridge() {
    ip link add "$BRIDGE" type bridge
    ip link set "$BRIDGE" address "02:${CLUSTER_ID:0:2}:${CLUSTER_ID:2:2}:${CLUSTER_ID:4:2}:${CLUSTER_ID:6:2}:01"
    echo 1 >"/proc/sys/net/ipv6/conf/$BRIDGE/disable_ipv6" 2>/dev/null || true
    ip address add "$HOST_ADDRESS/24" dev "$BRIDGE"
    ip address add "$API_ADDRESS/32" dev "$BRIDGE"
    ip link set "$BRIDGE" up
}

# The lock is machine-wide, held until the bridge's route shows the subnet taken.
start_network() {
    working_on ""
    ! find_network || return 0
    ip link delete "$BRIDGE" 2>/dev/null || true # half made
    exec 7</run/lock
    flock 7
    choose_subnet
    make_bridge
    exec 7>&-
    step network "$SUBNET_PREFIX.0/24 on $BRIDGE"
}

# The interfaces of pods go with their namespaces, a little later; not waiting.
stop_network() {
    local port
    for port in $(ip -j link show master "$BRIDGE" 2>/dev/null | jq -r '.[].ifname'); do
        ip link delete "$port" 2>/dev/null || true
    done
    ip link delete "$BRIDGE" 2>/dev/null || true
}
