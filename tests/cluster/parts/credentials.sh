# shellcheck shell=bash
# One authority, and a certificate for each that speaks with the API server.

PKI="$CLUSTER_DIR/pki"

# certificate NAME SUBJECT [ALTERNATIVE-NAMES]
certificate() {
    local extra=()
    if [[ -n ${3:-} ]]; then extra=(-addext "subjectAltName=$3"); fi
    openssl req -x509 -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -days 365 \
        -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$2" \
        -addext 'basicConstraints=critical,CA:FALSE' \
        -addext 'extendedKeyUsage=clientAuth,serverAuth' "${extra[@]}" \
        -keyout "$PKI/$1.key" -out "$PKI/$1.crt" 2>>"$LOGS/credentials.log"
}

# kubeconfig NAME: on stdout, with everything inside it.
kubeconfig() {
    cat <<YAML
apiVersion: v1
kind: Config
clusters:
- name: cronwright
  cluster:
    server: https://$API_ADDRESS:443
    certificate-authority-data: $(base64 -w 0 "$PKI/ca.crt")
users:
- name: $1
  user:
    client-certificate-data: $(base64 -w 0 "$PKI/$1.crt")
    client-key-data: $(base64 -w 0 "$PKI/$1.key")
contexts:
- name: cronwright
  context: {cluster: cronwright, user: $1}
current-context: cronwright
YAML
}

make_credentials() {
    local name
    working_on credentials
    [[ ! -e $PKI/complete ]] || return 0
    rm -rf "$PKI"
    (umask 077 && mkdir -p "$PKI")
    openssl req -x509 -days 365 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
        -subj /CN=cronwright-test-cluster -keyout "$PKI/ca.key" -out "$PKI/ca.crt" \
        2>>"$LOGS/credentials.log"
    openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -quiet \
        -out "$PKI/service-accounts.key" 2>>"$LOGS/credentials.log" ||
        openssl genrsa -out "$PKI/service-accounts.key" 2048 2>>"$LOGS/credentials.log"
    certificate apiserver /CN=kube-apiserver \
        "IP:$API_ADDRESS,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
    certificate kubelet-server /CN=node "IP:$HOST_ADDRESS,DNS:node"
    certificate kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
    certificate admin /O=system:masters/CN=admin
    certificate kubelet /O=system:nodes/CN=system:node:node
    certificate controller-manager /CN=system:kube-controller-manager
    certificate scheduler /CN=system:kube-scheduler
    for name in kubelet controller-manager scheduler; do
        kubeconfig "$name" | write "$PKI/$name.kubeconfig" 600
    done
    kubeconfig admin | write "$CLUSTER_DIR/kubeconfig" 600
    give_to_caller "$CLUSTER_DIR/kubeconfig"
    touch "$PKI/complete"
}
