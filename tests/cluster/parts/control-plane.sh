# shellcheck shell=bash
# etcd, the API server, the controllers and the scheduler. All listen on this
# cluster's own addresses only.

# ask URL-PATH: a question to the API server as its administrator.
ask() {
    curl -fsS -m 5 --cacert "$PKI/ca.crt" --cert "$PKI/admin.crt" --key "$PKI/admin.key" \
        "https://$API_ADDRESS:443$1"
}

etcd_answers() { curl -fsS -m 2 "http://$HOST_ADDRESS:$ETCD_PORT/health" | grep -q '"true"'; }
api_answers() { [[ $(ask /readyz) == ok ]]; }
controllers_answer() { curl -fsSk -m 2 -o /dev/null "https://$HOST_ADDRESS:$CONTROLLER_PORT/healthz"; }
scheduler_answers() { curl -fsSk -m 2 -o /dev/null "https://$HOST_ADDRESS:$SCHEDULER_PORT/healthz"; }

# The peer port is the kernel's choice: there is no peer.
start_etcd() {
    local url="http://$HOST_ADDRESS:$ETCD_PORT"
    ! pid_of etcd >/dev/null || return 0
    launch etcd etcd --name cronwright --data-dir "$CLUSTER_DIR/etcd" --unsafe-no-fsync \
        --listen-client-urls "$url" --advertise-client-urls "$url" \
        --listen-peer-urls "http://$HOST_ADDRESS:0" --log-level warn
    await 20 etcd health etcd_answers
    step etcd "$url"
}

# What the accounts of pods and tests ask is on record, so that a test can tell which rights an
# account uses; the controllers' own accounts are left out.
write_audit_policy() {
    cat >"$CLUSTER_DIR/etc/audit-policy.yaml" <<'YAML'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: None
    userGroups: ["system:serviceaccounts:kube-system"]
  - level: Metadata
    userGroups: ["system:serviceaccounts"]
YAML
}

launch_apiserver() {
    ! pid_of kube-apiserver >/dev/null || return 0
    write_audit_policy
    launch kube-apiserver "$KUBERNETES_BIN/kube-apiserver" \
        --etcd-servers="http://$HOST_ADDRESS:$ETCD_PORT" \
        --bind-address="$API_ADDRESS" --secure-port=443 --advertise-address="$API_ADDRESS" \
        --service-cluster-ip-range="$SUBNET_PREFIX.128/25" \
        --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" \
        --client-ca-file="$PKI/ca.crt" \
        --kubelet-certificate-authority="$PKI/ca.crt" \
        --kubelet-client-certificate="$PKI/kubelet-client.crt" \
        --kubelet-client-key="$PKI/kubelet-client.key" \
        --kubelet-preferred-address-types=InternalIP \
        --service-account-issuer=https://kubernetes.default.svc \
        --service-account-key-file="$PKI/service-accounts.key" \
        --service-account-signing-key-file="$PKI/service-accounts.key" \
        --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
        --audit-policy-file="$CLUSTER_DIR/etc/audit-policy.yaml" \
        --audit-log-path="$LOGS/audit.log" --audit-log-maxsize=200 --audit-log-maxbackup=1
}

# Slow to start, so launched early and awaited only when it is needed.
await_apiserver() {
    [[ -n ${LAUNCHED[kube-apiserver]:-} ]] || return 0
    await 90 kube-apiserver readiness api_answers
    step kube-apiserver "https://$API_ADDRESS:443"
}

# Without a higher rate, it takes the controllers five seconds only to begin.
start_controllers() {
    ! pid_of kube-controller-manager >/dev/null || return 0
    launch kube-controller-manager "$KUBERNETES_BIN/kube-controller-manager" \
        --kubeconfig="$PKI/controller-manager.kubeconfig" \
        --bind-address="$HOST_ADDRESS" --secure-port="$CONTROLLER_PORT" --leader-elect=false \
        --use-service-account-credentials --root-ca-file="$PKI/ca.crt" \
        --kube-api-qps=500 --kube-api-burst=500 \
        --flex-volume-plugin-dir="$CLUSTER_DIR/etc/volume-plugins" \
        --service-account-private-key-file="$PKI/service-accounts.key"
}

start_scheduler() {
    ! pid_of kube-scheduler >/dev/null || return 0
    launch kube-scheduler "$KUBERNETES_BIN/kube-scheduler" \
        --kubeconfig="$PKI/scheduler.kubeconfig" \
        --bind-address="$HOST_ADDRESS" --secure-port="$SCHEDULER_PORT" --leader-elect=false
}

await_controllers() {
    if [[ -n ${LAUNCHED[kube-controller-manager]:-} ]]; then
        await 60 kube-controller-manager health controllers_answer
        step kube-controller-manager healthy
    fi
    if [[ -n ${LAUNCHED[kube-scheduler]:-} ]]; then
        await 60 kube-scheduler health scheduler_answers
        step kube-scheduler healthy
    fi
}
