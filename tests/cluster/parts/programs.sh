# shellcheck shell=bash
# The programs Debian does not package. The Go tool compiles them from the
# manifests ../kubernetes, ../kaniko and ../gitea, once per machine and manifest:
# they take minutes, so they are kept in the user's cache and not in the checkout.

# manifest_key NAME: changes with the manifest and the machine's kind.
manifest_key() {
    { cat "$HERE/$1/go.mod" "$HERE/$1/go.sum" && uname -m; } | sha256sum | cut -c1-12
}

KUBERNETES_BIN="$CACHE/kubernetes-$(manifest_key kubernetes)"
KANIKO_BIN="$CACHE/kaniko-$(manifest_key kaniko)"
# shellcheck disable=SC2034 # gitea-program uses it
GITEA_BIN="$CACHE/gitea-$(manifest_key gitea)"
KANIKO_VERSION=$(sed -n 's/^require .*kaniko v//p' "$HERE/kaniko/go.mod")

# The scheduler first: it compiles most of what the others share.
readonly KUBERNETES_PROGRAMS=(
    kube-scheduler kube-apiserver kube-controller-manager kubelet kubectl)

# Without these the API server reports no version.
kubernetes_ldflags() {
    local version package=k8s.io/component-base/version
    version=$(sed -n 's/^require k8s.io\/kubernetes //p' "$HERE/kubernetes/go.mod")
    local numbers=${version#v}
    local major=${numbers%%.*} rest=${numbers#*.}
    printf -- '-X %s.gitVersion=%s -X %s.gitMajor=%s -X %s.gitMinor=%s' \
        "$package" "$version" "$package" "$major" "$package" "${rest%%.*}"
}

programs_are_there() {
    local program
    for program in "${KUBERNETES_PROGRAMS[@]}"; do
        [[ -x $KUBERNETES_BIN/$program ]] || return 1
    done
    [[ -x $KANIKO_BIN/executor ]]
}

# heartbeat PID LOG WHAT: a line every ten seconds until the process ends.
heartbeat() {
    local begin=$SECONDS doing
    while kill -0 "$1" 2>/dev/null; do
        timeout 10 tail --pid="$1" -f /dev/null &
        wait $! || true
        kill -0 "$1" 2>/dev/null || break
        doing=compiling
        if [[ $(tail -n 1 "$2") == 'go: downloading'* ]]; then doing='downloading modules'; fi
        step "$3" "$doing … $((SECONDS - begin))s"
    done
}

# A module that could not be fetched, which another try may mend: an error that tells an address.
lost_the_network() { grep -v '^go: downloading' "$1" | grep 'https\?://' >/dev/null; }

# compile_once [BUILD-OPTION...]: with the variables of compile, whose part it is.
compile_once() {
    (
        cd "$HERE/$manifest" || exit
        GOTOOLCHAIN=local CGO_ENABLED="${CGO:-0}" GOWORK=off GOFLAGS='-mod=readonly -buildvcs=false' \
            exec "$GO" build "$@" -trimpath -ldflags "-s -w $flags" -o "$partial" "$package"
    ) >"$log" 2>&1 &
    local build=$!
    # An asynchronous command ignores Ctrl-C, so it is ended here.
    trap 'kill -TERM '$build' 2>/dev/null; exit 130' INT TERM HUP
    heartbeat "$build" "$log" "$name"
    wait "$build"
}

# compile MANIFEST PACKAGE TARGET LDFLAGS [BUILD-OPTION...]: written under another
# name first, so that an interrupted run leaves no half program; Go's own cache
# resumes it. With CGO=1 set, C is compiled too.
compile() {
    local manifest=$1 package=$2 target=$3 flags=$4 name=${3##*/} begin=$SECONDS
    local partial="$target.partial" log="$CACHE/$name.log" tries=3
    shift 4
    number=$((number + 1))
    [[ ! -x $target ]] || return 0
    step "$name" "compiling, $number of $total"
    mkdir -p "${target%/*}"
    until compile_once "$@"; do
        say "error: $name could not be compiled:"
        grep -v '^go: downloading' "$log" | tail -n 20 >&2
        tries=$((tries - 1))
        if ((tries == 0)) || ! lost_the_network "$log"; then exit 1; fi
        trap 'exit 130' INT TERM HUP
        step "$name" 'once more, in five seconds'
        sleep 5
    done
    trap 'exit 130' INT TERM HUP
    mv -f "$partial" "$target"
    rm -f "$log"
    step "$name" "compiled in $((SECONDS - begin))s"
}

compile_all() {
    local program flags number=0 total=$((${#KUBERNETES_PROGRAMS[@]} + 1))
    flags=$(kubernetes_ldflags)
    for program in "${KUBERNETES_PROGRAMS[@]}"; do
        compile kubernetes "k8s.io/kubernetes/cmd/$program" "$KUBERNETES_BIN/$program" "$flags"
    done
    compile kaniko github.com/GoogleContainerTools/kaniko/cmd/executor "$KANIKO_BIN/executor" \
        "-X github.com/GoogleContainerTools/kaniko/pkg/version.version=v$KANIKO_VERSION"
}

gitea_is_there() { [[ -x $GITEA_BIN/gitea && -e $GITEA_BIN/static/public/assets/manifest.json ]]; }

# Gitea reads templates and the like from beside it, which its module has. The list of what its web
# pages load stands in for the pages' scripts, which are not compiled here.
compile_gitea() {
    local number=0 total=1 module part
    CGO=1 compile gitea code.gitea.io/gitea "$GITEA_BIN/gitea" '' \
        -tags 'sqlite sqlite_unlock_notify'
    module=$(cd "$HERE/gitea" && GOFLAGS=-mod=readonly GOWORK=off "$GO" list -m -f '{{.Dir}}' \
        code.gitea.io/gitea)
    for part in templates options public; do
        mkdir -p "$GITEA_BIN/static"
        cp -R --no-preserve=mode "$module/$part" "$GITEA_BIN/static/"
    done
    mkdir -p "$GITEA_BIN/static/public/assets"
    echo '{}' >"$GITEA_BIN/static/public/assets/manifest.json"
}

# ensure ARE-THERE COMPILE: several runs may want them at once; one of them
# compiles, the others wait.
ensure() {
    ! "$1" || return 0
    "$TESTS/setup" go
    GO=$("$TESTS/setup" --go)
    mkdir -p "$CACHE"
    exec 9>"$CACHE/programs.lock"
    until flock -w 10 9; do
        step programs 'waiting for another run that compiles them'
    done
    if ! "$1"; then
        step programs "compiling once for this machine, $(nproc) cores, some minutes"
        "$2"
    fi
    exec 9>&-
}

ensure_programs() { ensure programs_are_there compile_all; }
