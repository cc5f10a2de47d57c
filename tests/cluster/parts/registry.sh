# shellcheck shell=bash
# The registry, over plain HTTP on the bridge's address, and the images that
# everything else begins with: nothing is pulled from anywhere.

registry_answers() { curl -fsS -m 2 -o /dev/null "http://$REGISTRY_ADDRESS/v2/"; }

set_registry_address() { REGISTRY_ADDRESS="$HOST_ADDRESS:$REGISTRY_PORT"; }

start_registry() {
    set_registry_address
    ! pid_of registry >/dev/null || return 0
    write "$CLUSTER_DIR/etc/registry.yml" <<YAML
version: 0.1
log:
  level: warn
  accesslog: {disabled: true}
storage:
  filesystem: {rootdirectory: "$CLUSTER_DIR/registry"}
  delete: {enabled: true}
http:
  addr: $REGISTRY_ADDRESS
YAML
    launch registry docker-registry serve "$CLUSTER_DIR/etc/registry.yml"
    await 20 registry answer registry_answers
    step registry "$REGISTRY_ADDRESS"
}

# push NAME:TAG ARGUMENT...: unless the registry has it already.
push() {
    local image=$1
    shift
    curl -fsS -m 2 -o /dev/null -I -H 'Accept: application/vnd.oci.image.manifest.v1+json' \
        "http://$REGISTRY_ADDRESS/v2/${image%:*}/manifests/${image#*:}" 2>/dev/null && return 0
    python3 "$HERE/push-image" "$REGISTRY_ADDRESS/$image" "$@" >>"$LOGS/images.log" 2>&1
}

# Debian's static busybox under each of its names: small, and enough for a base
# image with a shell.
push_busybox() {
    local applet links=()
    while read -r applet; do
        [[ $applet == busybox ]] || links+=("link:/bin/$applet=busybox")
    done < <(busybox --list)
    echo 'root:x:0:0:root:/root:/bin/sh' | write "$CLUSTER_DIR/etc/passwd"
    echo 'root:x:0:' | write "$CLUSTER_DIR/etc/group"
    push busybox:latest --env PATH=/bin --cmd sh "file:/bin/busybox=$(command -v busybox)" \
        "${links[@]}" "file:/etc/passwd=$CLUSTER_DIR/etc/passwd" \
        "file:/etc/group=$CLUSTER_DIR/etc/group" dir:/root=0700 dir:/tmp=1777
}

# The first container of each pod only holds its namespaces.
push_pause() {
    push pause:latest --entrypoint /busybox --entrypoint sleep --entrypoint 2147483647 \
        "file:/busybox=$(command -v busybox)"
}

# As the official image: the executor and certificates alone, from nothing.
push_kaniko() {
    push "kaniko:$KANIKO_VERSION" --uncompressed --entrypoint /kaniko/executor \
        --workdir /workspace --env HOME=/root --env USER=root \
        --env PATH=/usr/local/bin:/kaniko --env DOCKER_CONFIG=/kaniko/.docker/ \
        --env SSL_CERT_DIR=/kaniko/ssl/certs dir:/kaniko=0777 dir:/kaniko/.docker=0755 \
        dir:/workspace=0755 "file:/kaniko/executor=$KANIKO_BIN/executor" \
        file:/kaniko/ssl/certs/ca-certificates.crt=/etc/ssl/certs/ca-certificates.crt
}

push_images() {
    working_on images
    push_busybox
    push_pause
    push_kaniko
    step images "busybox, pause, kaniko $KANIKO_VERSION"
}
