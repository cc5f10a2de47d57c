# shellcheck shell=bash
# What up, down, status and git-server do with the parts.

# All parts of a cluster of our own, in the order in which they start.
readonly PARTS=(etcd kube-apiserver registry git-server node containerd
    kube-controller-manager kube-scheduler kubelet)

# How the health of a part is asked.
probe_of() {
    case $1 in
        etcd) etcd_answers ;;
        kube-apiserver) api_answers ;;
        registry) set_registry_address && registry_answers ;;
        git-server) git_server_answers ;;
        node) node_is_set_up ;;
        containerd) containerd_answers ;;
        kube-controller-manager) controllers_answer ;;
        kube-scheduler) scheduler_answers ;;
        kubelet) kubelet_answers && node_is_ready ;;
    esac
}

part_is_healthy() {
    pid_of "$1" >/dev/null && probe_of "$1" >/dev/null 2>&1
}

cluster_is_healthy() {
    local part
    [[ -s $ENV_FILE ]] && find_network || return 1
    for part in "${PARTS[@]}"; do
        part_is_healthy "$part" || return 1
    done
}

# Is there anything of a cluster of our own in this directory?
own_cluster_exists() {
    [[ -e /sys/class/net/$BRIDGE || -e $PKI ]] || pid_of node >/dev/null
}

# ---- the env file -------------------------------------------------------

KUBECTL_CACHE="$CLUSTER_DIR/kubectl-cache"

export_line() { printf 'export %s=%q\n' "$1" "$2"; }

own_environment() {
    export_line KUBECONFIG "$CLUSTER_DIR/kubeconfig"
    export_line KUBECTL "$KUBERNETES_BIN/kubectl"
    export_line KUBECACHEDIR "$KUBECTL_CACHE" # not in the home, where it would stay
    export_line REGISTRY "$REGISTRY_ADDRESS"
    export_line KANIKO_IMAGE "$REGISTRY_ADDRESS/kaniko:$KANIKO_VERSION"
    export_line BUSYBOX_IMAGE "$REGISTRY_ADDRESS/busybox:latest"
    export_line HOST_ADDRESS "$HOST_ADDRESS"
    export_line AUDIT_LOG "$LOGS/audit.log"
}

# Of the images only what the caller has named: the rest is not ours to know.
callers_environment() {
    local name
    export_line KUBECONFIG "$KUBECONFIG"
    export_line REGISTRY "$REGISTRY"
    export_line KUBECTL "$CALLERS_KUBECTL"
    for name in KANIKO_IMAGE BUSYBOX_IMAGE; do
        if [[ -n ${!name:-} ]]; then export_line "$name" "${!name}"; fi
    done
}

# write_environment FUNCTION
write_environment() {
    { echo '# source this file'; "$1"; git_environment; } | write "$ENV_FILE"
    give_to_caller "$ENV_FILE"
}

# ---- up -----------------------------------------------------------------

# The proof that the cluster works: a pod whose image comes from the registry,
# and which reaches the registry itself.
run_a_pod() {
    local pod="check-$$"
    kubectl() {
        KUBECACHEDIR="$KUBECTL_CACHE" "$KUBERNETES_BIN/kubectl" \
            --kubeconfig "$CLUSTER_DIR/kubeconfig" "$@"
    }
    working_on kubelet
    await 30 kube-controller-manager 'service account' ask \
        /api/v1/namespaces/default/serviceaccounts/default
    kubectl create -f - >/dev/null <<YAML
apiVersion: v1
kind: Pod
metadata: {name: $pod, namespace: default}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  containers:
  - name: check
    image: $REGISTRY_ADDRESS/busybox:latest
    command: [sleep, "600"]
    readinessProbe:
      exec: {command: [wget, -q, -O, /dev/null, "http://$REGISTRY_ADDRESS/v2/"]}
      periodSeconds: 1
      timeoutSeconds: 10
YAML
    if ! kubectl wait --for=condition=Ready "pod/$pod" --timeout=60s >/dev/null; then
        say "error: no pod becomes Ready that runs busybox and reaches the registry (a firewall?)"
        kubectl get pod "$pod" -o json | jq -c '.status' >&2 || true
        kubectl get events -o custom-columns=:.reason,:.message >&2 || true
        return 1
    fi
    kubectl delete "pod/$pod" --force --grace-period=0 >/dev/null 2>&1
    step pod 'ran and reached the registry'
}

bring_up_own() {
    start_network
    make_credentials
    start_etcd
    launch_apiserver
    start_registry
    start_git_server
    push_images
    start_node_namespaces
    start_containerd
    await_apiserver
    start_controllers
    start_scheduler
    start_kubelet
    await_controllers
    await_kubelet
    run_a_pod
    give_to_caller "$KUBECTL_CACHE" "$LOGS/audit.log"
    write_environment own_environment
}

registry_of_caller_answers() {
    local scheme
    for scheme in https http; do
        # A registry that wants a login answers too.
        [[ $(curl -sk -m 10 -o /dev/null -w '%{http_code}' "$scheme://$REGISTRY/v2/") =~ ^(200|401)$ ]] &&
            return 0
    done
    return 1
}

use_cluster_of_caller() {
    step cluster "KUBECONFIG and REGISTRY are set; using $KUBECONFIG and $REGISTRY"
    "$CALLERS_KUBECTL" --kubeconfig "$KUBECONFIG" get --raw /readyz --request-timeout=10s >/dev/null ||
        die "the cluster of $KUBECONFIG does not answer"
    step cluster 'the API server answers'
    registry_of_caller_answers || die "the registry $REGISTRY does not answer"
    step registry 'answers'
    touch "$CLUSTER_DIR/etc/cluster-of-caller"
    start_git_server
    write_environment callers_environment
}

# ---- down ---------------------------------------------------------------

# Whatever the state: each step finds what there is, and nothing is asked of a
# program that may be gone.
take_down() {
    kill_all
    if [[ -e /sys/class/net/$BRIDGE ]]; then stop_network; fi
    remove_cgroups
    remove_directory
}

something_is_left() {
    local parent
    [[ -n $(marked) || -e /sys/class/net/$BRIDGE || -e $STAMP ]] && return 0
    for parent in $(cgroup_parents); do
        [[ ! -e $parent/$CGROUP ]] || return 0
    done
    return 1
}
