# shellcheck shell=bash
# Shared by up, down, status, git-server and the parts: where things are, how a
# daemon is started and found again, how progress is shown.
#
# Nothing here depends on a pid file. Every daemon carries two variables in its
# environment, CRONWRIGHT_CLUSTER=<the cluster's directory> and
# CRONWRIGHT_PART=<its name>, which its children inherit. A process is ours if,
# and only if, /proc/PID/environ has that exact entry; so a number that was
# given to another process is never mistaken, and nothing that was orphaned by
# a kill -9 is ever missed.

PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
TESTS=$(dirname "$HERE")
CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/cronwright"
CLUSTER_DIR=$(realpath -m -- "${CLUSTER_DIR:-$HERE/../../out/cluster}")
CLUSTER_ID=$(printf '%s' "$CLUSTER_DIR" | sha256sum | cut -c1-12)
LOGS="$CLUSTER_DIR/log"
ENV_FILE="$CLUSTER_DIR/env"
# Stands in each directory that `up` made; `down` deletes no other.
STAMP="$CLUSTER_DIR/.cronwright-cluster"

# Unusual ports, so that a program that listens on every address of the machine
# seldom has them; the addresses differ from cluster to cluster.
readonly ETCD_PORT=22379 REGISTRY_PORT=25000 GIT_SERVER_PORT=28080
readonly KUBELET_PORT=20250 KUBELET_HEALTH_PORT=20248
readonly CONTROLLER_PORT=20257 SCHEDULER_PORT=20259

declare -A LAUNCHED=() # part → pid of what this script started for it
CURRENT_PART=
STARTED_AT=$EPOCHREALTIME

# ---- words --------------------------------------------------------------

say() { printf '%s\n' "$*" >&2; }

# The seconds since this script began, with one decimal.
elapsed() {
    local now=${EPOCHREALTIME/[.,]/} begin=${STARTED_AT/[.,]/}
    local tenths=$(((now - begin) / 100000))
    printf '%d.%d' $((tenths / 10)) $((tenths % 10))
}

# step WHAT TEXT: one line of progress.
step() { printf '%7ss  %-24s %s\n' "$(elapsed)" "$1" "$2" >&2; }

# working_on PART: its log is shown if the next step fails.
# shellcheck disable=SC2034 # `up` shows it
working_on() { CURRENT_PART=$1; }

die() {
    say "error: $*"
    exit 1
}

# ---- processes ----------------------------------------------------------

# marked [PART]: the pids of this cluster's processes, of one part only if named.
marked() {
    local file files=()
    mapfile -t files < <(grep -lzxF -e "CRONWRIGHT_CLUSTER=$CLUSTER_DIR" \
        /proc/[0-9]*/environ 2>/dev/null || true)
    for file in "${files[@]}"; do
        [[ $# -eq 0 ]] || grep -qzxF -e "CRONWRIGHT_PART=$1" "$file" 2>/dev/null || continue
        file=${file#/proc/}
        printf '%s\n' "${file%/environ}"
    done
}

# The program of a part, as its process's first argument has it.
program_of() {
    case $1 in
        registry) echo docker-registry ;;
        git-server) echo lighttpd ;;
        node) echo bash ;;
        *) echo "$1" ;;
    esac
}

# pid_of PART: prints the pid of the part's daemon; false if it does not run.
# Helpers and children of the part have the same mark and another program.
pid_of() {
    local pid argument program
    program=$(program_of "$1")
    for pid in $(marked "$1"); do
        IFS= read -r -d '' argument 2>/dev/null <"/proc/$pid/cmdline" || continue
        if [[ ${argument##*/} == "$program" ]]; then
            printf '%s\n' "$pid"
            return 0
        fi
    done
    return 1
}

# launch PART COMMAND...: runs the command in the background, in a session and
# an environment of its own, without any of our open files: an inherited pipe or
# lock would be held for as long as the cluster runs.
launch() {
    local part=$1
    shift
    working_on "$part"
    (
        local fd
        for fd in "/proc/$BASHPID/fd"/*; do
            fd=${fd##*/}
            if ((fd > 2)); then eval "exec $fd>&-"; fi
        done
        cd /
        exec env -i PATH="$PATH" HOME="$CLUSTER_DIR" LANG=C.UTF-8 \
            CRONWRIGHT_CLUSTER="$CLUSTER_DIR" CRONWRIGHT_PART="$part" \
            setsid "$@"
    ) >>"$LOGS/$part.log" 2>&1 </dev/null &
    LAUNCHED[$part]=$!
    disown # or bash would tell of its end
}

# launch_in_node PART COMMAND...: the same inside the node's namespaces.
launch_in_node() {
    local part=$1 node
    shift
    node=$(pid_of node) || die "the node does not run"
    launch "$part" nsenter --target "$node" --mount --pid -- "$@"
}

# await SECONDS PART WHAT COMMAND...: until the command succeeds; false when the
# time is over or when what was launched for the part has ended.
await() {
    local deadline=$((SECONDS + $1)) part=$2 what=$3
    shift 3
    working_on "$part"
    until "$@" >/dev/null 2>&1; do
        if [[ -n ${LAUNCHED[$part]:-} ]] && ! kill -0 "${LAUNCHED[$part]}" 2>/dev/null; then
            say "error: $part ended while waiting for $what"
            return 1
        fi
        if ((SECONDS >= deadline)); then
            say "error: $part: no $what in time"
            return 1
        fi
        sleep 0.1
    done
}

# kill_all [PART]: ends this cluster's processes. They are killed, not asked: a
# throw-away cluster has nothing to save, and the node's first process takes
# every container along. Repeated, since a process may just be starting another.
kill_all() {
    local deadline=$((SECONDS + 20)) pids
    while pids=$(marked "$@") && [[ -n $pids ]]; do
        # shellcheck disable=SC2086 # one word per pid
        kill -KILL $pids 2>/dev/null || true
        ((SECONDS < deadline)) || die "these processes do not end: ${pids//$'\n'/ }"
        sleep 0.05
    done
}

# ---- the cluster's directory --------------------------------------------

# These characters would need quoting in one of the configuration files.
check_directory_name() {
    [[ $CLUSTER_DIR =~ ^/[A-Za-z0-9._/@%+=\ -]*$ && $CLUSTER_DIR != / ]] ||
        die "CLUSTER_DIR has a character that is not supported: $CLUSTER_DIR"
}

# is_foreign: does the directory hold what is not ours? The stamp is the first
# file to come and the last to go. Without it the rest may still be ours, if
# someone has removed it under a running cluster.
is_foreign() {
    local files
    [[ -e $CLUSTER_DIR ]] || return 1
    files=$(ls -A "$CLUSTER_DIR") # first, for another run may just be beginning
    [[ ! -d $CLUSTER_DIR || -n $files ]] &&
        [[ ! -e $STAMP && ! -e /sys/class/net/$BRIDGE && -z $(marked) ]]
}

make_directory() {
    ! is_foreign || die "$CLUSTER_DIR holds something else than a cluster"
    mkdir -p "$CLUSTER_DIR"
    touch "$STAMP"
    mkdir -p "$LOGS" "$CLUSTER_DIR/etc"
}

remove_directory() {
    [[ -e $STAMP ]] || return 0
    find "$CLUSTER_DIR" -mindepth 1 -maxdepth 1 ! -path "$STAMP" \
        -exec rm -rf --one-file-system {} +
    rm -rf --one-file-system "$CLUSTER_DIR"
}

# One up, down or git-server at a time for each directory. The directory itself
# is locked, so that no lock file stays behind; if it was replaced while we
# waited, the lock is worth nothing and is taken again.
lock_directory() {
    while :; do
        make_directory
        exec 8<"$CLUSTER_DIR"
        flock 8
        [[ $(stat -L -c %d:%i /proc/$$/fd/8) != $(stat -c %d:%i "$CLUSTER_DIR" 2>/dev/null) ]] ||
            return 0
    done
}

# write FILE: stdin to a file that is either the old or the new one, never half.
write() {
    local mode=${2:-644}
    (umask 077 && cat >"$1.new")
    chmod "$mode" "$1.new"
    mv -f "$1.new" "$1"
}

# Through sudo, what the caller is to use should be the caller's.
give_to_caller() {
    [[ -n ${SUDO_UID:-} ]] || return 0
    chown -R "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$@"
}

# need_root ARGUMENT...: goes on as root, keeping what the caller has set.
need_root() {
    local name keep=()
    ((EUID != 0)) || return 0
    command -v sudo >/dev/null || die "this needs root, and there is no sudo"
    mkdir -p "${CLUSTER_DIR%/*}" # or it would be root's, with all that comes to stand in it
    for name in KUBECONFIG REGISTRY KUBECTL KANIKO_IMAGE BUSYBOX_IMAGE; do
        if [[ -n ${!name:-} ]]; then keep+=("$name=${!name}"); fi
    done
    exec sudo env CLUSTER_DIR="$CLUSTER_DIR" XDG_CACHE_HOME="$(dirname "$CACHE")" \
        "${keep[@]}" "$0" "$@"
}

# ---- whose cluster ------------------------------------------------------

# The caller's own cluster is used if KUBECONFIG and REGISTRY are both set; but
# not if they come from this cluster's env file.
caller_has_cluster() {
    [[ -n ${KUBECONFIG:-} && -n ${REGISTRY:-} && $KUBECONFIG != "$CLUSTER_DIR/kubeconfig" ]]
}

# shellcheck source-path=SCRIPTDIR source=parts/programs.sh
source "$HERE/parts/programs.sh"
# shellcheck source-path=SCRIPTDIR source=parts/network.sh
source "$HERE/parts/network.sh"
# shellcheck source-path=SCRIPTDIR source=parts/credentials.sh
source "$HERE/parts/credentials.sh"
# shellcheck source-path=SCRIPTDIR source=parts/registry.sh
source "$HERE/parts/registry.sh"
# shellcheck source-path=SCRIPTDIR source=parts/control-plane.sh
source "$HERE/parts/control-plane.sh"
# shellcheck source-path=SCRIPTDIR source=parts/node.sh
source "$HERE/parts/node.sh"
# shellcheck source-path=SCRIPTDIR source=parts/git.sh
source "$HERE/parts/git.sh"
# shellcheck source-path=SCRIPTDIR source=parts/lifecycle.sh
source "$HERE/parts/lifecycle.sh"
