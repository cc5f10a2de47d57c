# shellcheck shell=bash
# The node: containerd and kubelet in mount and process namespaces of their own
# (see node-init). Their mounts, sockets and fixed paths are then seen by nobody
# else, and all of it ends with the namespace's first process, even after a
# kill -9 of everything else.

NODE="$CLUSTER_DIR/node"
CGROUP="cronwright-$CLUSTER_ID"

# One directory per hierarchy with cgroup v1, a single one with v2; runc uses
# every one there is.
cgroup_parents() { awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/mounts; }

# With cgroup v2, a group has only the controllers its parent passes on.
enable_controllers() {
    local controller
    [[ -e /sys/fs/cgroup/cgroup.subtree_control ]] || return 0
    for controller in cpu cpuset memory pids hugetlb; do
        echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null || true
    done
}

# kubelet wants its root to exist.
make_cgroups() {
    local parent
    enable_controllers
    for parent in $(cgroup_parents); do
        mkdir -p "$parent/$CGROUP"
    done
}

# Innermost first; a control group goes only when its last process is gone.
remove_cgroups() {
    local parent deadline=$((SECONDS + 10))
    for parent in $(cgroup_parents); do
        while [[ -d $parent/$CGROUP ]]; do
            find "$parent/$CGROUP" -depth -type d -exec rmdir {} \; 2>/dev/null || true
            if [[ -d $parent/$CGROUP ]]; then
                ((SECONDS < deadline)) || die "$parent/$CGROUP cannot be removed"
                sleep 0.05
            fi
        done
    done
}

node_is_set_up() { [[ -e $NODE/ready ]]; }

start_node_namespaces() {
    ! pid_of node >/dev/null || return 0
    kill_all containerd # of a node that has died
    kill_all kubelet
    remove_cgroups # kubelet would look for the dead containers at length
    rm -f "$NODE/ready"
    mkdir -p "$NODE/var"
    launch node unshare --mount --pid --fork --kill-child --mount-proc \
        bash "$HERE/parts/node-init" "$CLUSTER_DIR" "$CACHE"
    await 10 node namespaces node_is_set_up
}

# restrict_oom_score_adj: where the machine withholds CAP_SYS_RESOURCE, no
# container would start otherwise. native: the one snapshotter that works on
# every file system.
write_containerd_config() {
    local hosts="$CLUSTER_DIR/etc/registries/$REGISTRY_ADDRESS"
    mkdir -p "$hosts" "$CLUSTER_DIR/etc/cni"
    write "$hosts/hosts.toml" <<TOML
server = "http://$REGISTRY_ADDRESS"
[host."http://$REGISTRY_ADDRESS"]
  capabilities = ["pull", "resolve", "push"]
TOML
    give_to_caller "$CLUSTER_DIR/etc/registries" # tests add registries of their own
    write "$CLUSTER_DIR/etc/containerd.toml" <<TOML
version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$REGISTRY_ADDRESS/pause:latest"
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "$CLUSTER_DIR/etc/cni"
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "$CLUSTER_DIR/etc/registries"
TOML
}

# Not isGateway: that would turn on the machine's IP forwarding, and the bridge
# has its address already.
write_cni_config() {
    write "$CLUSTER_DIR/etc/cni/10-bridge.conflist" <<JSON
{
  "cniVersion": "0.4.0",
  "name": "$BRIDGE",
  "plugins": [{
    "type": "bridge",
    "bridge": "$BRIDGE",
    "ipam": {
      "type": "host-local",
      "dataDir": "/run/cni",
      "routes": [{"dst": "0.0.0.0/0"}],
      "ranges": [[{
        "subnet": "$SUBNET_PREFIX.0/24",
        "rangeStart": "$SUBNET_PREFIX.10",
        "rangeEnd": "$SUBNET_PREFIX.126",
        "gateway": "$HOST_ADDRESS"
      }]]
    }
  }]
}
JSON
}

containerd_answers() {
    nsenter --target "$(pid_of node)" --mount -- \
        ctr --connect-timeout 2s --timeout 2s version
}

start_containerd() {
    ! pid_of containerd >/dev/null || return 0
    write_containerd_config
    write_cni_config
    launch_in_node containerd containerd --config "$CLUSTER_DIR/etc/containerd.toml" --log-level warn
    await 20 containerd answer containerd_answers
    step containerd "$(containerd --version | awk '{print $3}')"
}

# Pods get no name server of the machine's: they reach this machine by address
# and nothing else. As the cluster's they are told one that does not exist, or
# every pod would have a warning; and the file has a line, for with an empty one
# containerd takes the machine's.
# No eviction and no image collection: a full disk of the machine is not the
# tests' matter, and the first images cannot be pulled twice from elsewhere. A
# log of 50 MB that is written within seconds is not rotated away (from 10 MiB
# on, by default) before anybody can have read it.
write_kubelet_config() {
    echo 'options attempts:1' | write "$CLUSTER_DIR/etc/resolv.conf"
    write "$CLUSTER_DIR/etc/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $HOST_ADDRESS
port: $KUBELET_PORT
healthzBindAddress: $HOST_ADDRESS
healthzPort: $KUBELET_HEALTH_PORT
tlsCertFile: "$PKI/kubelet-server.crt"
tlsPrivateKeyFile: "$PKI/kubelet-server.key"
authentication:
  x509: {clientCAFile: "$PKI/ca.crt"}
  webhook: {enabled: true}
  anonymous: {enabled: false}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
resolvConf: "$CLUSTER_DIR/etc/resolv.conf"
clusterDNS: [$HOST_ADDRESS]
clusterDomain: cluster.local
volumePluginDir: /var/lib/kubelet/volumeplugins
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
evictionHard: {}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
makeIPTablesUtilChains: false
oomScoreAdj: 0
containerLogMaxSize: 100Mi
serializeImagePulls: false
registryPullQPS: 0
eventRecordQPS: 0
logging:
  flushFrequency: 1s
YAML
}

kubelet_answers() { curl -fsS -m 2 -o /dev/null "http://$HOST_ADDRESS:$KUBELET_HEALTH_PORT/healthz"; }

node_is_ready() {
    ask /api/v1/nodes/node |
        jq -e '(.spec.taints // []) == [] and
               any(.status.conditions[]; .type == "Ready" and .status == "True")'
}

start_kubelet() {
    ! pid_of kubelet >/dev/null || return 0
    make_cgroups
    write_kubelet_config
    launch_in_node kubelet "$KUBERNETES_BIN/kubelet" --config="$CLUSTER_DIR/etc/kubelet.yaml" \
        --kubeconfig="$PKI/kubelet.kubeconfig" --hostname-override=node --node-ip="$HOST_ADDRESS"
}

await_kubelet() {
    await 60 kubelet health kubelet_answers
    await 60 kubelet 'node that is Ready' node_is_ready
    [[ -z ${LAUNCHED[kubelet]:-} ]] || step kubelet 'node is Ready'
}
