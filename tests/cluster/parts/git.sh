# shellcheck shell=bash
# A real Git server over smart HTTP: lighttpd and Git's own http-backend.
# Every repository under GIT_ROOT can be read by everyone, those under
# GIT_ROOT/private only with a login; pushing is allowed to a login, and to
# everyone where the repository has http.receivepack set to true.

GIT_ROOT="$CLUSTER_DIR/git"
GIT_USERNAME=builder
GIT_PASSWORD_FILE="$CLUSTER_DIR/git-password"
GIT_URL_FILE="$CLUSTER_DIR/etc/git-url" # as it was started

git_server_answers() {
    # Not found is an answer: there need not be a repository.
    [[ $(curl -s -m 2 -o /dev/null -w '%{http_code}' "$(cat "$GIT_URL_FILE")/") =~ ^[234] ]]
}

# write_git_config ADDRESS PORT
write_git_config() {
    write "$CLUSTER_DIR/etc/lighttpd.conf" <<CONF
server.modules = ("mod_alias", "mod_auth", "mod_authn_file", "mod_setenv", "mod_cgi")
server.document-root = "$GIT_ROOT"
server.bind = "$1"
server.port = $2
server.upload-dirs = ("$CLUSTER_DIR/etc/git-uploads")
alias.url = ("/" => "$(git --exec-path)/git-http-backend/")
cgi.assign = ("" => "")
# The repositories may belong to someone else than the server's user.
setenv.set-environment = (
    "GIT_PROJECT_ROOT" => "$GIT_ROOT", "GIT_HTTP_EXPORT_ALL" => "1",
    "GIT_CONFIG_COUNT" => "1",
    "GIT_CONFIG_KEY_0" => "safe.directory", "GIT_CONFIG_VALUE_0" => "*",
    "HOME" => "$CLUSTER_DIR/etc", "PATH" => "/usr/bin:/bin")
auth.backend = "plain"
auth.backend.plain.userfile = "$CLUSTER_DIR/etc/git-users"
auth.require = ("/private/" =>
    ("method" => "basic", "realm" => "git", "require" => "user=$GIT_USERNAME"))
CONF
}

make_git_files() {
    mkdir -p "$GIT_ROOT/private" "$CLUSTER_DIR/etc/git-uploads"
    [[ -s $GIT_PASSWORD_FILE ]] || openssl rand -hex 16 | write "$GIT_PASSWORD_FILE" 600
    printf '%s:%s\n' "$GIT_USERNAME" "$(cat "$GIT_PASSWORD_FILE")" |
        write "$CLUSTER_DIR/etc/git-users" 600
    give_to_caller "$GIT_ROOT" "$GIT_PASSWORD_FILE"
}

# Is this a port of 127.0.0.1 that nobody listens on?
port_is_free() { [[ -z $(ss -Hltn "sport = :$1") ]]; }

# On the bridge's address beside a cluster of our own; otherwise on loopback, on
# a port that is free, beginning with one that the directory's name decides.
choose_git_address() {
    local port tries=0
    if find_network; then
        echo "$HOST_ADDRESS $GIT_SERVER_PORT"
        return 0
    fi
    port=$((GIT_SERVER_PORT + 16#${CLUSTER_ID:0:3} % 1000))
    until port_is_free "$port"; do
        port=$((port + 1))
        ((++tries < 1000)) || die "no free port for the Git server"
    done
    echo "127.0.0.1 $port"
}

start_git_server() {
    local address port
    ! pid_of git-server >/dev/null || return 0
    make_git_files
    exec 7</run/lock # two servers may be looking for a free port
    flock 7
    read -r address port < <(choose_git_address)
    write_git_config "$address" "$port"
    echo "http://$address:$port" | write "$GIT_URL_FILE"
    launch git-server lighttpd -D -f "$CLUSTER_DIR/etc/lighttpd.conf"
    await 10 git-server answer git_server_answers
    exec 7>&-
    step git-server "$(cat "$GIT_URL_FILE")"
}

stop_git_server() {
    kill_all git-server
    rm -f "$GIT_URL_FILE"
}

# The lines of the env file that describe the Git server.
git_environment() {
    [[ -e $GIT_URL_FILE ]] || return 0
    export_line GIT_URL "$(cat "$GIT_URL_FILE")"
    export_line GIT_ROOT "$GIT_ROOT"
    export_line GIT_USERNAME "$GIT_USERNAME"
    export_line GIT_PASSWORD_FILE "$GIT_PASSWORD_FILE"
}
