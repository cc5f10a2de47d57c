// The program itself against a real Git server: lighttpd with git http-backend on a free port of
// this machine. Skipped, loudly, where lighttpd is not installed.
#include "tests/unit/gitchild/workspace.h"

#include <fcntl.h>

static int port; // of the server; 0: there is none
static char commit[GIT_COMMIT_SIZE];

// --- the server ---

static const char CONFIGURATION[] =
    "server.modules = (\"mod_access\", \"mod_alias\", \"mod_auth\", \"mod_authn_file\", "
    "\"mod_redirect\", \"mod_setenv\", \"mod_cgi\")\n"
    "server.bind = \"127.0.0.1\"\n"
    "server.port = %d\n"
    "server.stream-response-body = 2\n"
    "server.document-root = \"%s\"\n"
    "server.errorlog = \"%s/lighttpd.log\"\n"
    "mimetype.assign = (\"\" => \"text/plain\")\n"
    "setenv.set-environment = (\"GIT_PROJECT_ROOT\" => \"%s\", \"GIT_HTTP_EXPORT_ALL\" => \"1\",\n"
    "    \"PATH\" => \"/usr/bin:/bin\")\n"
    "auth.backend = \"plain\"\n"
    "auth.backend.plain.userfile = \"%s/users\"\n"
    "auth.require = (\"/git/private\" => (\"method\" => \"basic\", \"realm\" => \"git\", "
    "\"require\" => \"valid-user\"))\n"
    "url.redirect = (\"^/elsewhere/(.*)\" => \"http://localhost:%d/git/$1\",\n"
    "    \"^/moved/(.*)\" => \"/git/$1\", \"^/circle/(.*)\" => \"/circle/$1\",\n"
    "    \"^/git/turning\\.git/(git-upload-pack)$\" => \"/git/origin.git/$1\")\n"
    "$HTTP[\"url\"] =~ \"^/git/\" {\n"
    "    alias.url = (\"/git/\" => \"/usr/lib/git-core/git-http-backend/\")\n"
    "    cgi.assign = (\"\" => \"\")\n"
    "}\n"
    "$HTTP[\"url\"] =~ \"^/forbidden/\" { url.access-deny = (\"\") }\n"
    "$HTTP[\"url\"] =~ \"^/(busy|torn|hung|flipped|endless)/\" {\n"
    "    alias.url = (\"/\" => \"%s/\")\n"
    "    cgi.assign = (\"\" => \"/bin/sh\")\n"
    "}\n";

// Answers as the real server does up to the midst of the pack, and then does something else.
static const char BROKEN[] =
    "export PATH_TRANSLATED=%s$PATH_INFO; unset PATH_INFO GIT_PROJECT_ROOT\n"
    "case $PATH_TRANSLATED in\n"
    "*/git-upload-pack) /usr/lib/git-core/git-http-backend | (head -c 300000; %s) ;;\n"
    "*) exec /usr/lib/git-core/git-http-backend ;;\n"
    "esac\n";

// Lists refs for as long as somebody reads.
static const char ENDLESS[] =
    "printf 'Content-Type: application/x-git-upload-pack-advertisement\\r\\n\\r\\n'\n"
    "printf '001e# service=git-upload-pack\\n0000'\n"
    "printf '0059%%040d HEAD\\000side-band-64k ofs-delta agent=git/test\\n' 1\n"
    "exec awk 'BEGIN { for (i = 1; ; i++) printf \"0045%%040d refs/heads/%%012d\\n\", i, i }'\n";

static int server_start(void **state)
{
    const char *w = workspace;
    if (workspace_make(state) != 0)
        return -1;
    if (access("/usr/sbin/lighttpd", X_OK) != 0) {
        fprintf(stderr, "SKIPPED: lighttpd is not installed\n");
        return 0;
    }
    close(socket_on_free_port(false, &port));
    write_text("lighttpd.conf", CONFIGURATION, port, w, w, w, w, port, w);
    write_text("users", "builder:correct horse\n");
    sh("mkdir -p busy torn hung flipped endless");
    write_text("busy/git", "printf 'Status: 503\\r\\nContent-Type: text/plain\\r\\n\\r\\nbusy'\n");
    write_text("torn/git", BROKEN, w, "true");
    write_text("hung/git", BROKEN, w, "exec sleep 30");
    write_text("flipped/git", BROKEN, w,
               "head -c 9 | LC_ALL=C tr '\\000-\\377' '\\001-\\377\\000'; cat");
    write_text("endless/git", ENDLESS);
    start("/usr/sbin/lighttpd",
          (const char *const[]){"lighttpd", "-D", "-f", "lighttpd.conf", NULL});
    wait_until_it_answers(port);
    return 0;
}

static void need_server(void)
{
    if (!port)
        skip();
}

// --- asking the program ---

static json_t *with_url(json_t *request, const char *path)
{
    char *url = xasprintf("http://127.0.0.1:%d%s", port, path);
    json_object_set_new(request, "url", json_string(url));
    free(url);
    return request;
}

static json_t *head_request(const char *path)
{
    return with_url(json_pack("{s:s, s:s, s:i}", "op", "head", "branch", "main", "seconds", 20),
                    path);
}

static json_t *fetch_request(const char *path)
{
    return with_url(context_request("main", commit), path);
}

// Takes the request.
static struct reply ask_program(json_t *request)
{
    char *text = json_write(request);
    json_decref(request);
    write_text("request", "%s", text);
    free(text);
    char *status = sh_output("env -i " GIT_PROGRAM " < request > answers || echo $?");
    struct reply reply = {.status = *status ? atoi(status) : 0};
    free(status);
    char *answers = sh_output("cat answers; echo");
    reply.lines = parse_lines(answers, strlen(answers));
    free(answers);
    return reply;
}

static void repository_with_weight(void)
{
    repository_make();
    sh("cd tree; head -c 500000 /dev/urandom > big");
    commit_to("main", "First", commit);
}

// --- tests ---

static void head_and_context_over_http(void **state)
{
    (void)state;
    need_server();
    repository_with_weight();
    struct reply reply = ask_program(head_request("/git/origin.git"));
    assert_done(&reply);
    assert_string_equal(json_text_at(event(&reply, "head"), "commit", NULL), commit);
    reply_finish(&reply);

    reply = ask_program(fetch_request("/git/origin.git"));
    assert_done(&reply);
    assert_true(json_int_or(json_at(event(&reply, "fetched"), "bytes", NULL), -1) > 500000);
    reply_finish(&reply);
    sh("tar -xzOf out.tar.gz big | cmp - tree/big");

    // What is new only.
    sh("printf 'two' > tree/data");
    commit_to("main", "Second", commit);
    reply = ask_program(fetch_request("/git/origin.git"));
    assert_done(&reply);
    json_int_t bytes = json_int_or(json_at(event(&reply, "fetched"), "bytes", NULL), -1);
    assert_in_range(bytes, 1, 5000);
    assert_null(event(&reply, "remake"));
    reply_finish(&reply);
    sh("test \"$(stat -c %%a out.tar.gz mirror | tr '\\n' ' ')\" = '600 700 '");
}

static void each_failure_has_its_word(void **state)
{
    (void)state;
    need_server();
    repository_with_weight();
    sh("rm -rf dumb.git; cp -r origin.git dumb.git; git -C dumb.git update-server-info");
    static const struct {
        const char *path;
        const char *word;
        const char *text;
    } failures[] = {
        {"/git/nothing.git", GIT_ERROR_WORD_NOT_FOUND, "there is no repository at http://"},
        {"/nothing", GIT_ERROR_WORD_NOT_FOUND, "/nothing"},
        {"/forbidden/git", GIT_ERROR_WORD_UNAUTHORIZED, "needs a login"},
        {"/busy/git", GIT_ERROR_WORD_UNAVAILABLE, "503"},
        {"/dumb.git", GIT_ERROR_WORD_PROTOCOL, "content-type"},
        {"/elsewhere/origin.git", GIT_ERROR_WORD_REDIRECT, "from 127.0.0.1 to localhost"},
        {"/circle/origin.git", GIT_ERROR_WORD_REDIRECT, "redirects again and again"},
    };
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
        assert_error(ask_program(head_request(failures[i].path)), failures[i].word,
                     failures[i].text, NULL);
    sh("ln -sfn origin.git turning.git");
    assert_error(ask_program(fetch_request("/git/turning.git")), GIT_ERROR_WORD_REDIRECT,
                 "redirects whoever asks for a pack", NULL);
    // A redirect on the same host is no danger.
    struct reply reply = ask_program(head_request("/moved/origin.git"));
    assert_done(&reply);
    reply_finish(&reply);
}

static void nobody_there(void **state)
{
    (void)state;
    need_server();
    int free_port;
    close(socket_on_free_port(false, &free_port));
    char *url = xasprintf("http://127.0.0.1:%d/git", free_port);
    json_t *request = head_request("/");
    json_object_set_new(request, "url", json_string(url));
    assert_error(ask_program(request), GIT_ERROR_WORD_UNAVAILABLE, url, NULL);
    free(url);
    request = head_request("/");
    json_object_set_new(request, "url", json_string("http://no-such-host.invalid/git"));
    json_object_set_new(request, "seconds", json_integer(60));
    assert_error(ask_program(request), GIT_ERROR_WORD_UNAVAILABLE, "no-such-host.invalid", NULL);
}

// Accepts one connection and gives its first line.
static void first_line(int listening, char *out, size_t room)
{
    int fd = accept(listening, NULL, NULL);
    assert_true(fd >= 0);
    ssize_t len = read(fd, out, room - 1);
    assert_true(len > 0);
    out[strcspn(out, "\r")] = '\0';
    close(fd);
}

static void a_proxy_is_asked_for_https(void **state)
{
    (void)state;
    int proxy_port;
    int proxy = socket_on_free_port(true, &proxy_port);
    char *url = xasprintf("http://127.0.0.1:%d", proxy_port);
    json_t *request = head_request("/");
    json_object_set_new(request, "url", json_string("https://git.example/acme/report"));
    json_object_set_new(request, "proxy", json_string(url));
    free(url);
    char *text = json_write(request);
    json_decref(request);
    write_text("request", "%s", text);
    free(text);
    char *command = xasprintf("cd %s; env -i " GIT_PROGRAM " < request", workspace);
    FILE *answers = popen(command, "r");
    free(command);
    char line[GIT_ANSWER_LINE_MAX] = "";
    first_line(proxy, line, sizeof line);
    assert_string_equal(line, "CONNECT git.example:443 HTTP/1.1");
    assert_non_null(fgets(line, sizeof line, answers));
    assert_non_null(strstr(line, "\"error\""));
    assert_int_equal(WEXITSTATUS(pclose(answers)), 1);
    close(proxy);
}

static void logins(void **state)
{
    (void)state;
    need_server();
    repository_with_weight();
    sh("rm -rf private; mkdir private; cp -r origin.git private/origin.git");
    const char *path = "/git/private/origin.git";
    assert_error(ask_program(head_request(path)), GIT_ERROR_WORD_UNAUTHORIZED, "needs a login",
                 NULL);

    json_t *request = head_request(path);
    json_object_set_new(request, "username", json_string("builder"));
    json_object_set_new(request, "password", json_string("wrong battery"));
    struct reply reply = ask_program(request);
    char *answers = sh_output("cat answers");
    assert_null(strstr(answers, "battery"));
    free(answers);
    assert_error(reply, GIT_ERROR_WORD_UNAUTHORIZED, "refuses the login", NULL);

    request = fetch_request(path);
    json_object_set_new(request, "username", json_string("builder"));
    json_object_set_new(request, "password", json_string("correct horse"));
    reply = ask_program(request);
    assert_done(&reply);
    reply_finish(&reply);
    sh("! grep -r 'correct horse' mirror answers");
}

static void a_silent_server_ends_at_the_deadline(void **state)
{
    (void)state;
    need_server();
    int silent_port;
    int silent = socket_on_free_port(true, &silent_port);
    char *url = xasprintf("http://127.0.0.1:%d/git", silent_port);
    json_t *request = head_request("/");
    json_object_set_new(request, "url", json_string(url));
    json_object_set_new(request, "seconds", json_integer(1));
    free(url);
    assert_error(ask_program(request), GIT_ERROR_WORD_TIMEOUT, "127.0.0.1", "within 1 s", NULL);
    close(silent);
}

static void only_http_is_spoken(void **state)
{
    (void)state;
    repository_with_weight();
    assert_error(ask_program(context_request("main", commit)), GIT_ERROR_WORD_INVALID, "\"url\"",
                 NULL);
    sh("! " GIT_PROGRAM " now 2>usage; grep -q Usage usage; " GIT_PROGRAM
       " --help | grep -q Usage;" GIT_PROGRAM " --version | grep -q '^cronwright-git '");
    sh("head -c 70000 /dev/zero | " GIT_PROGRAM " > answers && exit 1; grep -q invalid answers");
}

static void a_repository_over_its_cap_is_not_fetched(void **state)
{
    (void)state;
    need_server();
    repository_with_weight();
    json_t *request = fetch_request("/git/origin.git");
    json_object_set_new(request, "max_repository_bytes", json_integer(100000));
    assert_error(ask_program(request), GIT_ERROR_WORD_TOO_LARGE, "100000", NULL);
    sh("test $(du -sk mirror | cut -f1) -lt 400");
    struct reply reply = ask_program(fetch_request("/git/origin.git"));
    assert_done(&reply);
    reply_finish(&reply);
}

static void a_torn_answer_is_told_and_forgotten(void **state)
{
    (void)state;
    need_server();
    repository_with_weight();
    struct reply reply = ask_program(fetch_request("/torn/git/origin.git"));
    const json_t *error = event(&reply, "error");
    assert_non_null(error);
    assert_int_equal(reply.status, 1);
    assert_null(event(&reply, "remake"));
    reply_finish(&reply);
    reply = ask_program(fetch_request("/git/origin.git"));
    assert_done(&reply);
    assert_null(event(&reply, "remake"));
    reply_finish(&reply);
}

// A mirror that was in order goes for it, since it could have been to blame; it comes back.
static void a_broken_pack_is_the_remotes_fault(void **state)
{
    (void)state;
    need_server();
    repository_with_weight();
    for (int turn = 0; turn < 2; turn++) {
        assert_error(ask_program(fetch_request("/flipped/git/origin.git")), GIT_ERROR_WORD_PROTOCOL,
                     "/flipped/git/origin.git sends a broken pack", NULL);
        struct reply reply = ask_program(fetch_request("/git/origin.git"));
        assert_done(&reply);
        reply_finish(&reply);
        sh("cd tree; head -c 500000 /dev/urandom > big");
        commit_to("main", "Next", commit);
    }
}

// Sanitizers leave no limit on memory.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static void an_endless_list_of_refs_ends(void **state)
{
    (void)state;
    need_server();
    json_t *request = head_request("/endless/git");
    json_object_set_new(request, "seconds", json_integer(120));
    assert_error(ask_program(request), GIT_ERROR_WORD_TOO_LARGE, "lists more refs than fit", NULL);
}
#endif

// Half a pack is in the mirror, and the server says no more.
static pid_t start_that_hangs(void)
{
    json_t *request = fetch_request("/hung/git/origin.git");
    char *text = json_write(request);
    json_decref(request);
    write_text("request", "%s", text);
    free(text);
    char *path = xasprintf("%s/request", workspace);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int in = open(path, O_RDONLY);
        dup2(in, STDIN_FILENO);
        int out = open("/dev/null", O_WRONLY);
        dup2(out, STDOUT_FILENO);
        execl(GIT_PROGRAM, GIT_PROGRAM, (char *)NULL);
        _exit(127);
    }
    free(path);
    struct mono_time deadline = mono_after(SCRATCH_WAIT_MS);
    for (;;) {
        char *found = sh_output("find mirror -name 'pack_git2_*' -size +0 2>/dev/null || true");
        bool there = *found;
        free(found);
        if (there)
            return pid;
        assert_false(mono_past(deadline));
        usleep(20000);
    }
}

static void killed_in_mid_fetch(void **state)
{
    (void)state;
    need_server();
    repository_with_weight();
    pid_t pid = start_that_hangs();
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    struct reply reply = ask_program(fetch_request("/git/origin.git"));
    assert_done(&reply);
    reply_finish(&reply);
    sh("test -z \"$(find mirror -name 'pack_git2_*' -o -name '*.lock')\"");
}

// The agent was killed before the program could ask to end with it: nobody reads the answers.
static void nobody_waits_for_an_answer(void **state)
{
    (void)state;
    int silent_port;
    int silent = socket_on_free_port(true, &silent_port);
    write_text("request",
               "{\"op\": \"head\", \"branch\": \"main\", \"seconds\": 3600, "
               "\"url\": \"http://127.0.0.1:%d/git\"}",
               silent_port);
    char *path = xasprintf("%s/request", workspace);
    int answers[2];
    assert_int_equal(pipe2(answers, O_CLOEXEC), 0);
    close(answers[0]);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(open(path, O_RDONLY), STDIN_FILENO);
        dup2(answers[1], STDOUT_FILENO);
        execl(GIT_PROGRAM, GIT_PROGRAM, (char *)NULL);
        _exit(127);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    close(answers[1]);
    close(silent);
    free(path);
}

static void limits_are_set(void **state)
{
    (void)state;
    need_server();
    repository_with_weight();
    pid_t pid = start_that_hangs();
    char *command = xasprintf("cat /proc/%d/limits", (int)pid);
    char *limits = sh_output(command);
    free(command);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_non_null(strstr(limits, "Max core file size        0 "));
    assert_non_null(strstr(limits, "Max cpu time              3600 "));
    assert_non_null(strstr(limits, "Max file size             17179869184 "));
    free(limits);
}

// As the agent's user, which is not root: much below /proc is then out of reach.
static void runs_without_privileges(void **state)
{
    (void)state;
    need_server();
    if (geteuid() != 0)
        skip(); // then all the other tests show it
    repository_with_weight();
    json_t *request = head_request("/git/origin.git");
    char *text = json_write(request);
    json_decref(request);
    write_text("request", "%s", text);
    free(text);
    sh("setpriv --reuid=65534 --regid=65534 --clear-groups " GIT_PROGRAM " < request > answers;"
       "grep -q '\"event\":\"head\"' answers");
}

// --- TLS ---

static void start_tls_server(int tls_port)
{
    sh("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
       "-keyout key.pem -out cert.pem -subj /CN=localhost -addext subjectAltName=DNS:localhost "
       "2>/dev/null");
    char *accept_port = xasprintf("%d", tls_port);
    start("openssl", (const char *const[]){"openssl", "s_server", "-accept", accept_port, "-cert",
                                           "cert.pem", "-key", "key.pem", "-www", NULL});
    free(accept_port);
    wait_until_it_answers(tls_port);
}

static void certificates_are_checked(void **state)
{
    (void)state;
    int tls_port;
    close(socket_on_free_port(false, &tls_port));
    start_tls_server(tls_port);
    char *url = xasprintf("https://localhost:%d/git", tls_port);
    char *by_number = xasprintf("https://127.0.0.1:%d/git", tls_port);
    char *ca = xasprintf("%s/cert.pem", workspace);
    json_t *request = head_request("/");
    json_object_set_new(request, "url", json_string(url));
    assert_error(ask_program(request), GIT_ERROR_WORD_TLS, url, NULL);

    // Trusted, it is still no Git server: so the certificate was taken.
    request = head_request("/");
    json_object_set_new(request, "url", json_string(url));
    json_object_set_new(request, "ca_file", json_string(ca));
    assert_error(ask_program(request), GIT_ERROR_WORD_PROTOCOL, NULL);

    // Trusted, but for another name.
    request = head_request("/");
    json_object_set_new(request, "url", json_string(by_number));
    json_object_set_new(request, "ca_file", json_string(ca));
    assert_error(ask_program(request), GIT_ERROR_WORD_TLS, NULL);

    request = head_request("/");
    json_object_set_new(request, "url", json_string(url));
    json_object_set_new(request, "ca_file", json_string("/nowhere/ca.pem"));
    assert_error(ask_program(request), GIT_ERROR_WORD_TLS, "/nowhere/ca.pem", NULL);
    free(url);
    free(by_number);
    free(ca);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(head_and_context_over_http),
        cmocka_unit_test(each_failure_has_its_word),
        cmocka_unit_test(nobody_there),
        cmocka_unit_test(a_proxy_is_asked_for_https),
        cmocka_unit_test(logins),
        cmocka_unit_test(a_silent_server_ends_at_the_deadline),
        cmocka_unit_test(only_http_is_spoken),
        cmocka_unit_test(a_repository_over_its_cap_is_not_fetched),
        cmocka_unit_test(a_torn_answer_is_told_and_forgotten),
        cmocka_unit_test(a_broken_pack_is_the_remotes_fault),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(an_endless_list_of_refs_ends),
#endif
        cmocka_unit_test(killed_in_mid_fetch),
        cmocka_unit_test(nobody_waits_for_an_answer),
        cmocka_unit_test(limits_are_set),
        cmocka_unit_test(runs_without_privileges),
        cmocka_unit_test(certificates_are_checked),
    };
    return cmocka_run_group_tests(tests, server_start, workspace_remove);
}
