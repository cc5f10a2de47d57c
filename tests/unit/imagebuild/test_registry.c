// Registries: the parsers, and the look-up against real ones (docker-registry on free ports of this
// machine: open, with a password, with tokens, with TLS). Skipped, loudly, where that is not
// installed. A scripted server gives only the answers that the real ones cannot be made to give.
#include "agent/base/crypto.h"
#include "agent/base/http.h"
#include "build/registry.h"
#include "tests/unit/scratch.h"

#include <fcntl.h>

#define TIMEOUT_MS 10000

#define NO_DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define MANIFEST  "{}" // as far as the look-up is concerned
#define ITS_DIGEST                                                                                 \
    "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" // of MANIFEST

// --- parsers ---

static void challenges_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool bearer;
        const char *realm, *service, *scope;
    } cases[] = {
        {"Basic realm=\"x\"", false, "", "", ""},
        {"basic", false, "", "", ""},
        {"Bearer realm=\"https://auth.example/token\",service=\"registry.example\","
         "scope=\"repository:a/b:pull,push\"",
         true, "https://auth.example/token", "registry.example", "repository:a/b:pull,push"},
        {"bearer  Service = \"s\" ,\t REALM=https", true, "https", "s", ""},
        {"Basic realm=\"a, Bearer realm=b\", Bearer realm=\"c\"", true, "c", "", ""},
        {"Negotiate YII==, Basic realm=\"x\"", false, "", "", ""},
        {"Negotiate, NTLM , Basic", false, "", "", ""},
        {"Bearer realm=\"c\\\"\\\\d\", error=\"insufficient_scope\"", true, "c\"\\d", "", ""},
        {"Digest realm=\"x\", nonce=\"a,b\", qop=\"auth\", Bearer realm=r", true, "r", "", ""},
        {", ,Bearer realm=r,,", true, "r", "", ""},
        {"Bearer realm=one, Bearer realm=two", true, "two", "", ""},
        {"Basic x=1, Bearer service=s", false, "", "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct registry_challenge challenge = {0};
        struct error err;
        if (!registry_challenge_parse(cases[i].value, &challenge, &err))
            fail_msg("%s: %s", cases[i].value, err.text);
        assert_int_equal(challenge.bearer, cases[i].bearer);
        assert_string_equal(challenge.realm, cases[i].realm);
        assert_string_equal(challenge.service, cases[i].service);
        assert_string_equal(challenge.scope, cases[i].scope);
    }
}

static void malformed_challenges_are_refused(void **state)
{
    (void)state;
    static const char *const values[] = {
        "",
        ",",
        "realm=\"x\"",
        "Bearer",
        "Bearer realm=",
        "Bearer realm",
        "Bearer realm=\"x",
        "Bearer realm=\"x\\",
        "Bearer realm=\"x\" y",
        "Bearer realm=\"\"",
        "Bearer =x",
        "Bearer@ realm=x",
        "Negotiate",
        "Digest realm=\"x\"",
        "Bearer realm=\"a\nb\"",
        "Basic \"x\"",
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct registry_challenge challenge;
        struct error err = {0};
        if (registry_challenge_parse(values[i], &challenge, &err))
            fail_msg("taken: %s", values[i]);
        assert_int_equal(err.code, ERR_PROTOCOL);
    }
    char long_value[REGISTRY_CHALLENGE_MAX + 2];
    struct registry_challenge challenge;
    memset(long_value, ',', sizeof long_value);
    long_value[sizeof long_value - 1] = '\0';
    assert_false(registry_challenge_parse(long_value, &challenge, NULL));
    strcpy(long_value, "Bearer realm=");
    memset(long_value + 13, 'x', sizeof challenge.realm);
    long_value[13 + sizeof challenge.realm] = '\0';
    assert_false(registry_challenge_parse(long_value, &challenge, NULL));
    long_value[13 + sizeof challenge.realm - 1] = '\0';
    assert_true(registry_challenge_parse(long_value, &challenge, NULL));
}

static void logins_are_found(void **state)
{
    (void)state;
    static const char config[] =
        "{\"auths\": {"
        "\"registry.example\": {\"auth\": \"YW5hOnNlOmNyZXQ=\"},"
        "\"https://Upper.example:5000\": {\"username\": \"ben\", \"password\": \"word\"},"
        "\"https://index.docker.io/v1/\": {\"auth\": \"aHViOnB3\", \"email\": \"x\"},"
        "\"path.example/project\": {\"auth\": \"YW5hOng=\"},"
        "\"path.example/project/deep\": {\"username\": \"deep\", \"password\": \"d\"},"
        "\"identity.example\": {\"auth\": \"YW5hOng=\", \"identitytoken\": \"tok\"},"
        "\"empty.example\": {},"
        "\"bad.example\": {\"auth\": \"!\"},"
        "\"nocolon.example\": {\"auth\": \"YW5h\"},"
        "\"nul.example\": {\"auth\": \"YToAYg==\"}}}";
    static const struct {
        const char *registry, *path, *username, *password; // NULL: none
        bool wrong;
    } cases[] = {
        {"registry.example", "a", "ana", "se:cret", false},
        {"upper.example:5000", "a", "ben", "word", false},
        {"upper.example", "a", NULL, NULL, false},
        {"docker.io", "library/a", "hub", "pw", false},
        {"path.example", "a", NULL, NULL, false},
        {"path.example", "project2/a", NULL, NULL, false},
        {"path.example", "project", "ana", "x", false},
        {"path.example", "project/a/b", "ana", "x", false},
        {"path.example", "project/deep/b", "deep", "d", false},
        {"identity.example", "a", NULL, NULL, false},
        {"empty.example", "a", NULL, NULL, false},
        {"other.example", "a", NULL, NULL, false},
        {"bad.example", "a", NULL, NULL, true},
        {"nocolon.example", "a", NULL, NULL, true},
        {"nul.example", "a", NULL, NULL, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct registry_login login;
        struct error err;
        bool good = registry_login_find(config, cases[i].registry, cases[i].path, &login, &err);
        assert_int_equal(good, !cases[i].wrong);
        if (cases[i].username) {
            assert_string_equal(login.username, cases[i].username);
            assert_string_equal(login.password, cases[i].password);
        } else {
            assert_null(login.username);
            assert_null(login.password);
        }
        if (strcmp(cases[i].registry, "identity.example") == 0)
            assert_string_equal(login.identity_token, "tok");
        else
            assert_null(login.identity_token);
        registry_login_finish(&login);
    }
    struct registry_login login;
    struct error err;
    assert_false(registry_login_find("se:cret", "x", "a", &login, &err));
    assert_null(strstr(err.text, "se:cret"));
    assert_false(registry_login_find("{\"credsStore\": \"x\"}", "x", "a", &login, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

// --- real registries ---

static bool have_registry;
static int open_port, basic_port, token_port, tls_port, login_port;
static char digest[IMAGE_DIGEST_SIZE];

// All at once, so that no two are the same.
static void pick_ports(int *const ports[], size_t count)
{
    int sockets[8];
    assert_true(count <= sizeof sockets / sizeof sockets[0]);
    for (size_t i = 0; i < count; i++)
        sockets[i] = socket_on_free_port(false, ports[i]);
    for (size_t i = 0; i < count; i++)
        close(sockets[i]);
}

// All keep their images in one directory.
static void start_registry(const char *name, int port, const char *tls, const char *auth)
{
    write_text(
        name,
        "version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s/images}}\n"
        "http: {addr: \"127.0.0.1:%d\", secret: x%s}\n%s",
        workspace, port, tls, auth);
    start("docker-registry", (const char *const[]){"docker-registry", "serve", name, NULL});
}

// Where tokens are given: a file behind a login.
static void start_login_server(void)
{
    write_text(
        "lighttpd.conf",
        "server.modules = (\"mod_auth\", \"mod_authn_file\")\nserver.bind = \"127.0.0.1\"\n"
        "server.port = %d\nserver.document-root = \"%s/tokens\"\n"
        "mimetype.assign = (\"\" => \"application/json\")\n"
        "server.stat-cache-engine = \"disable\"\n"
        "auth.backend = \"plain\"\nauth.backend.plain.userfile = \"%s/users\"\n"
        "auth.require = (\"/\" => (\"method\" => \"basic\", \"realm\" => \"x\", \"require\" => "
        "\"valid-user\"))\n",
        login_port, workspace, workspace);
    write_text("users", "builder:correct horse\n");
    start("/usr/sbin/lighttpd",
          (const char *const[]){"lighttpd", "-D", "-f", "lighttpd.conf", NULL});
}

// A JSON Web Token, as the registry checks it, that allows to pull one repository.
static void make_token(const char *file, const char *repository)
{
    sh("b64() { openssl base64 -A | tr '+/' '-_' | tr -d '='; };"
       "now=$(date +%%s); x5c=$(openssl x509 -in cert.pem -outform DER | openssl base64 -A);"
       "head=$(printf '{\"typ\":\"JWT\",\"alg\":\"RS256\",\"x5c\":[\"%%s\"]}' $x5c | b64);"
       "body=$(printf "
       "'{\"iss\":\"tests\",\"sub\":\"x\",\"aud\":\"registry\",\"exp\":%%d,\"nbf\":%%d,"
       "\"iat\":%%d,\"jti\":\"1\",\"access\":[{\"type\":\"repository\",\"name\":\"%s\",\"actions\":"
       "[\"pull\"]}]}' $((now + 3600)) $((now - 60)) $now | b64);"
       "sign=$(printf '%%s.%%s' $head $body | openssl dgst -sha256 -sign key.pem -binary | b64);"
       "printf '{\"token\":\"%%s.%%s.%%s\"}' $head $body $sign > tokens/%s",
       repository, file);
}

static void push_an_image(void)
{
    sh("u=http://127.0.0.1:%d/v2/acme/report; printf '{}' > config;"
       "c=sha256:$(sha256sum < config | cut -c1-64);"
       "l=$(curl -sSf -X POST -D - -o answer $u/blobs/uploads/ | tr -d '\\r' | sed -n "
       "'s/^Location: //p');"
       "curl -sSf -X PUT --data-binary @config -H 'Content-Type: application/octet-stream' "
       "\"$l&digest=$c\";"
       "t=application/vnd.docker.distribution.manifest.v2+json;"
       "printf '{\"schemaVersion\":2,\"mediaType\":\"%%s\",\"config\":{\"mediaType\":"
       "\"application/"
       "vnd.docker.container.image.v1+json\",\"size\":2,\"digest\":\"%%s\"},\"layers\":[]}'"
       " $t $c > manifest; curl -sSf -X PUT --data-binary @manifest -H \"Content-Type: $t\" "
       "$u/manifests/1;"
       "printf 'sha256:%%s' $(sha256sum < manifest | cut -c1-64) > digest",
       open_port);
    char *text = sh_output("cat digest");
    assert_true(strlen(text) < sizeof digest);
    strcpy(digest, text);
    free(text);
}

static int servers_start(void **state)
{
    (void)state;
    http_setup();
    if (!scratch_make())
        return -1;
    have_registry =
        access("/usr/bin/docker-registry", X_OK) == 0 && access("/usr/sbin/lighttpd", X_OK) == 0;
    if (!have_registry) {
        fprintf(stderr, "SKIPPED: docker-registry or lighttpd is not installed\n");
        return 0;
    }
    sh("mkdir tokens images; openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout key.pem "
       "-out "
       "cert.pem -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>openssl.log");
    write_text("htpasswd", // bcrypt of "correct horse"
               "builder:$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2\n");
    int *const ports[] = {&login_port, &open_port, &basic_port, &token_port, &tls_port};
    size_t count = sizeof ports / sizeof ports[0];
    pick_ports(ports, count);
    start_login_server();
    char *token =
        xasprintf("auth: {token: {realm: \"http://127.0.0.1:%d/token\", service: registry, "
                  "issuer: tests, rootcertbundle: %s/cert.pem}}\n",
                  login_port, workspace);
    char *tls =
        xasprintf(", tls: {certificate: %s/cert.pem, key: %s/key.pem}", workspace, workspace);
    char *basic = xasprintf("auth: {htpasswd: {realm: x, path: %s/htpasswd}}\n", workspace);
    start_registry("open.yml", open_port, "", "");
    start_registry("basic.yml", basic_port, "", basic);
    start_registry("token.yml", token_port, "", token);
    start_registry("tls.yml", tls_port, tls, token);
    free(token);
    free(tls);
    free(basic);
    for (size_t i = 0; i < count; i++)
        wait_until_it_answers(*ports[i]);
    push_an_image();
    return 0;
}

static int servers_stop(void **state)
{
    (void)state;
    return scratch_remove() ? 0 : -1;
}

// Asks localhost for a digest of a repository; the error's code, ERR_NONE for success.
static enum error_code ask(int port, const char *path, const char *wanted,
                           const struct registry_access *access, struct error *err)
{
    char *text = xasprintf("localhost:%d/%s", port, path);
    struct image_reference image;
    assert_true(image_parse(text, &image, err));
    err->text[0] = '\0';
    bool good = registry_confirm(&image, wanted, access, TIMEOUT_MS, err);
    if (!good && !strstr(err->text, path))
        fail_msg("%s is not named: %s", path, err->text);
    free(text);
    return good ? ERR_NONE : err->code;
}

static char *login_text(int port, const char *password)
{
    char *pair = xasprintf("builder:%s", password);
    char *encoded = base64_encode(pair, strlen(pair));
    char *text = xasprintf("{\"auths\": {\"localhost:%d\": {\"auth\": \"%s\"}}}", port, encoded);
    free(encoded);
    free(pair);
    return text;
}

static void an_open_registry(void **state)
{
    (void)state;
    if (!have_registry)
        skip();
    struct registry_access access = {.plain_http = true};
    struct error err;
    assert_int_equal(ask(open_port, "acme/report", digest, &access, &err), ERR_NONE);
    assert_int_equal(ask(open_port, "acme/report", NO_DIGEST, &access, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, NO_DIGEST));
    assert_int_equal(ask(open_port, "acme/other", digest, &access, &err), ERR_NOT_FOUND);
    assert_int_equal(ask(open_port, "acme/report", "sha256:12", &access, &err), ERR_INVALID);
    // TLS is spoken unless a setting says otherwise.
    access.plain_http = false;
    assert_int_not_equal(ask(open_port, "acme/report", digest, &access, &err), ERR_NONE);
}

static enum error_code ask_tag(const char *tag, const char *wanted)
{
    struct registry_access access = {.plain_http = true};
    struct image_reference image;
    struct error err;
    char *text = xasprintf("localhost:%d/acme/report:%s", open_port, tag);
    assert_true(image_parse(text, &image, &err));
    free(text);
    return registry_confirm_tag(&image, wanted, &access, TIMEOUT_MS, &err) ? ERR_NONE : err.code;
}

static void what_a_tag_means(void **state)
{
    (void)state;
    if (!have_registry)
        skip();
    assert_int_equal(ask_tag("1", digest), ERR_NONE);
    assert_int_equal(ask_tag("1", NO_DIGEST), ERR_CONFLICT);
    assert_int_equal(ask_tag("2", digest), ERR_NOT_FOUND);
}

static void a_registry_with_a_password(void **state)
{
    (void)state;
    if (!have_registry)
        skip();
    struct registry_access access = {.plain_http = true};
    struct error err;
    assert_int_equal(ask(basic_port, "acme/report", digest, &access, &err), ERR_UNAUTHORIZED);
    assert_non_null(strstr(err.text, "none is configured"));
    char *wrong = login_text(basic_port, "wrong battery");
    access.auth = wrong;
    assert_int_equal(ask(basic_port, "acme/report", digest, &access, &err), ERR_UNAUTHORIZED);
    assert_non_null(strstr(err.text, "refused"));
    assert_null(strstr(err.text, "battery"));
    char *right = login_text(basic_port, "correct horse");
    access.auth = right;
    assert_int_equal(ask(basic_port, "acme/report", digest, &access, &err), ERR_NONE);
    assert_int_equal(ask(basic_port, "acme/report", NO_DIGEST, &access, &err), ERR_NOT_FOUND);
    access.auth = "{}";
    assert_int_equal(ask(basic_port, "acme/report", digest, &access, &err), ERR_INVALID);
    free(wrong);
    free(right);
}

static void a_registry_with_tokens(void **state)
{
    (void)state;
    if (!have_registry)
        skip();
    struct registry_access access = {.plain_http = true};
    struct error err;
    make_token("token", "acme/report");
    assert_int_equal(ask(token_port, "acme/report", digest, &access, &err), ERR_UNAUTHORIZED);
    assert_non_null(strstr(err.text, "none is configured"));
    char *wrong = login_text(token_port, "wrong battery");
    access.auth = wrong;
    assert_int_equal(ask(token_port, "acme/report", digest, &access, &err), ERR_UNAUTHORIZED);
    char *right = login_text(token_port, "correct horse");
    access.auth = right;
    assert_int_equal(ask(token_port, "acme/report", digest, &access, &err), ERR_NONE);
    assert_int_equal(ask(token_port, "acme/report", NO_DIGEST, &access, &err), ERR_NOT_FOUND);
    make_token("token", "acme/other"); // a token, but not for this
    assert_int_equal(ask(token_port, "acme/report", digest, &access, &err), ERR_UNAUTHORIZED);
    static const char *const odd[] = {
        "{}",    "{\"token\": \"\"}",    "{\"token\": 7}",
        "hello", "{\"token\": \"a b\"}", "{\"token\": \"a\\r\\nX: y\"}"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        write_text("tokens/token", "%s", odd[i]);
        assert_int_equal(ask(token_port, "acme/report", digest, &access, &err), ERR_PROTOCOL);
    }
    sh("rm tokens/token");
    assert_int_equal(ask(token_port, "acme/report", digest, &access, &err), ERR_PROTOCOL);
    free(wrong);
    free(right);
}

static void a_registry_with_tls(void **state)
{
    (void)state;
    if (!have_registry)
        skip();
    char *ca = xasprintf("%s/cert.pem", workspace);
    char *login = login_text(tls_port, "correct horse");
    struct registry_access access = {.auth = login};
    struct error err;
    assert_int_equal(ask(tls_port, "acme/report", digest, &access, &err), ERR_PROTOCOL);
    assert_null(strstr(err.text, "without https"));
    // Trusted. But it wants the login to go to where everybody can read it.
    access.ca_file = ca;
    assert_int_equal(ask(tls_port, "acme/report", digest, &access, &err), ERR_PROTOCOL);
    assert_non_null(strstr(err.text, "without https"));
    access.ca_file = NULL;
    access.insecure_skip_verify = true;
    assert_int_equal(ask(tls_port, "acme/report", digest, &access, &err), ERR_PROTOCOL);
    assert_non_null(strstr(err.text, "without https"));
    free(login);
    free(ca);
}

// --- answers that a real one does not give ---

// A child that answers the next connections with these texts, one each, and keeps the requests in
// the file "requests".
static pid_t scripted(const char *const answers[], int *port)
{
    int listening = socket_on_free_port(true, port);
    char *requests = xasprintf("%s/requests", workspace);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (; *answers; answers++) {
            char request[4096];
            int fd = accept(listening, NULL, NULL);
            ssize_t len = fd < 0 ? -1 : read(fd, request, sizeof request);
            int kept = open(requests, O_WRONLY | O_CREAT | O_APPEND, 0600);
            if (len <= 0 || write(kept, request, (size_t)len) != len ||
                write(fd, *answers, strlen(*answers)) < 0)
                _exit(1);
            close(kept);
            close(fd);
        }
        _exit(0);
    }
    close(listening);
    free(requests);
    return pid;
}

static void odd_answers(void **state)
{
    (void)state;
#define END  "Connection: close\r\nContent-Length: 0\r\n\r\n"
#define GOOD "Connection: close\r\nContent-Length: 2\r\n\r\n" MANIFEST
    static const struct {
        const char *answers[4];
        enum error_code code;
        const char *text;
    } cases[] = {
        {{"HTTP/1.1 200 OK\r\n" GOOD}, ERR_NONE, ""},
        {{"HTTP/1.1 200 OK\r\nDocker-Content-Digest: " ITS_DIGEST "\r\n" GOOD}, ERR_NONE, ""},
        {{"HTTP/1.1 200 OK\r\nDocker-Content-Digest: sha256:ab\r\n" GOOD},
         ERR_CONFLICT,
         "it speaks of sha256:ab"},
        {{"HTTP/1.1 200 OK\r\nDocker-Content-Digest: " ITS_DIGEST "\r\n" END},
         ERR_CONFLICT,
         "it gives what has the digest sha256:e3b0c44298fc"},
        {{"HTTP/1.1 200 OK\r\nDocker-Content-Digest: " ITS_DIGEST "\r\n"
          "Content-Length: 3\r\n\r\n{ }"},
         ERR_CONFLICT,
         "it gives what has the digest"},
        {{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" MANIFEST}, ERR_UNAVAILABLE, ""},
        {{"HTTP/1.1 302 Found\r\nLocation: http://localhost:1/?secret\r\n" END},
         ERR_PROTOCOL,
         "302, to go to http://localhost:1/, which is not followed"},
        {{"HTTP/1.1 307 Temporary Redirect\r\n" END}, ERR_PROTOCOL, "it answers 307"},
        {{"HTTP/1.1 403 Forbidden\r\n" END}, ERR_FORBIDDEN, "not allowed"},
        {{"HTTP/1.1 429 Too Many Requests\r\n" END}, ERR_UNAVAILABLE, "429"},
        {{"HTTP/1.1 503 Service Unavailable\r\n" END}, ERR_UNAVAILABLE, "503"},
        {{"HTTP/1.1 401 Unauthorized\r\n" END}, ERR_PROTOCOL, "not known"},
        {{"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\nwww-authenticate: Basic "
          "realm=\"x\"\r\n" END},
         ERR_UNAUTHORIZED,
         "none is configured"},
        {{"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer "
          "realm=\"file:///etc/passwd\"\r\n" END},
         ERR_PROTOCOL,
         "without https"},
        {{"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer "
          "realm=\"http://a:b@localhost/\"\r\n" END},
         ERR_PROTOCOL,
         "malformed address"},
        {{"nonsense\r\n\r\n"}, ERR_PROTOCOL, ""},
    };
#undef END
#undef GOOD
    struct registry_access access = {.plain_http = true};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int port;
        struct error err;
        pid_t pid = scripted(cases[i].answers, &port);
        enum error_code code = ask(port, "acme/report", ITS_DIGEST, &access, &err);
        if (code != cases[i].code || !strstr(err.text, cases[i].text))
            fail_msg("%zu: %s: %s", i, error_word(code), err.text);
        kill(pid, SIGTERM);
        waitpid(pid, NULL, 0);
    }
}

static void what_is_too_large_is_no_manifest(void **state)
{
    (void)state;
    size_t size = ((size_t)4 << 20) + 1;
    CLEANUP(free_ptr) char *body = xalloc(size + 1);
    memset(body, ' ', size);
    CLEANUP(free_ptr)
    char *answer = xasprintf("HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", size, body);
    struct registry_access access = {.plain_http = true};
    struct error err;
    int port;
    pid_t pid = scripted((const char *const[]){answer, NULL}, &port);
    assert_int_equal(ask(port, "acme/report", ITS_DIGEST, &access, &err), ERR_PROTOCOL);
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
}

static void an_identity_token_is_exchanged(void **state)
{
    (void)state;
    int token_server, registry;
    sh("rm -f requests");
    pid_t giver = scripted((const char *const[]){"HTTP/1.1 200 OK\r\nConnection: close\r\n"
                                                 "Content-Length: 25\r\n\r\n"
                                                 "{\"access_token\": \"good\"} \n",
                                                 NULL},
                           &token_server);
    char *challenge = xasprintf(
        "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n"
        "WWW-Authenticate: Bearer realm=\"http://localhost:%d/token\",service=\"s\"\r\n\r\n",
        token_server);
    pid_t pid = scripted((const char *const[]){challenge,
                                               "HTTP/1.1 200 OK\r\nConnection: close\r\n"
                                               "Content-Length: 2\r\n\r\n" MANIFEST,
                                               NULL},
                         &registry);
    char *auth = xasprintf("{\"auths\": {\"localhost:%d\": {\"auth\": \"eDp5\", "
                           "\"identitytoken\": \"to&ken\"}}}",
                           registry);
    struct registry_access access = {.plain_http = true, .auth = auth};
    struct error err;
    assert_int_equal(ask(registry, "acme/report", ITS_DIGEST, &access, &err), ERR_NONE);
    waitpid(pid, NULL, 0);
    waitpid(giver, NULL, 0);
    char *requests = sh_output("cat requests");
    assert_non_null(strstr(requests, "POST /token HTTP/1.1\r\n"));
    assert_non_null(strstr(requests, "\r\n\r\ngrant_type=refresh_token&client_id=cronwright&"
                                     "service=s&scope=repository%3Aacme%2Freport%3Apull&"
                                     "refresh_token=to%26ken"));
    assert_non_null(strstr(requests, "Authorization: Bearer good\r\n"));
    assert_null(strstr(requests, "Authorization: Basic"));
    free(requests);
    free(auth);
    free(challenge);
}

static void nobody_there_and_nothing_said(void **state)
{
    (void)state;
    struct registry_access access = {.plain_http = true};
    struct image_reference image;
    struct error err;
    int port;
    close(socket_on_free_port(false, &port));
    assert_int_equal(ask(port, "acme/report", NO_DIGEST, &access, &err), ERR_UNAVAILABLE);
    int silent = socket_on_free_port(true, &port);
    char *text = xasprintf("localhost:%d/acme/report", port);
    assert_true(image_parse(text, &image, &err));
    assert_false(registry_confirm(&image, NO_DIGEST, &access, 300, &err));
    assert_int_equal(err.code, ERR_TIMEOUT);
    free(text);
    close(silent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(challenges_are_read),
        cmocka_unit_test(malformed_challenges_are_refused),
        cmocka_unit_test(logins_are_found),
        cmocka_unit_test(an_open_registry),
        cmocka_unit_test(what_a_tag_means),
        cmocka_unit_test(a_registry_with_a_password),
        cmocka_unit_test(a_registry_with_tokens),
        cmocka_unit_test(a_registry_with_tls),
        cmocka_unit_test(odd_answers),
        cmocka_unit_test(what_is_too_large_is_no_manifest),
        cmocka_unit_test(an_identity_token_is_exchanged),
        cmocka_unit_test(nobody_there_and_nothing_said),
    };
    return cmocka_run_group_tests(tests, servers_start, servers_stop);
}
