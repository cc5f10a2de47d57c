#include "build/registry.h"

#include "agent/base/crypto.h"
#include "agent/base/http.h"
#include "agent/base/json.h"
#include "agent/base/text.h"

#include <string.h>
#include <strings.h>

#define ANSWER_MAX       ((size_t)64 << 10) // of a login server
#define MANIFEST_MAX     ((size_t)4 << 20)  // what the distribution API asks registries to take
#define TOKEN_MAX        ((size_t)32 << 10)
#define DOCKER_HUB       "docker.io"
#define DOCKER_HUB_API   "registry-1.docker.io"
#define FORM_TYPE        "Content-Type: application/x-www-form-urlencoded"
#define CHALLENGE_HEADER "WWW-Authenticate:"

// The digest may be of a manifest or of a list of them, in either dialect.
#define ACCEPT                                                                                     \
    "Accept: application/vnd.oci.image.manifest.v1+json, "                                         \
    "application/vnd.oci.image.index.v1+json, "                                                    \
    "application/vnd.docker.distribution.manifest.v2+json, "                                       \
    "application/vnd.docker.distribution.manifest.list.v2+json"

struct session {
    const struct image_reference *image;
    const struct registry_access *access;
    struct mono_time deadline;
    char *url; // of the manifest
    struct registry_login login;
    char *token; // "Authorization: Bearer …"; NULL: none
};

static void session_finish(struct session *session)
{
    free(session->url);
    registry_login_finish(&session->login);
    secret_free(session->token);
}

static bool perform(const struct session *session, const char *method, const char *url,
                    bool with_login, const char *header, const char *body, size_t max_body,
                    struct http_response *response, struct error *err)
{
    struct http_trust trust = {
        .ca_file = session->access->ca_file,
        .proxy = session->access->proxy,
        .username = with_login ? session->login.username : NULL,
        .password = with_login ? session->login.password : NULL,
        .insecure_skip_verify = session->access->insecure_skip_verify,
    };
    struct http_request request = {
        .method = method,
        .url = url,
        .headers = {ACCEPT, header},
        .body = body,
        .body_len = body ? strlen(body) : 0,
        .timeout_ms = mono_left(session->deadline),
        .max_body = max_body,
        .trust = &trust,
    };
    if (request.timeout_ms == 0)
        return error_set(err, ERR_TIMEOUT, "no answer in time");
    return http_perform(&request, response, err);
}

// All values of WWW-Authenticate, joined by commas.
static bool challenge_of(const struct http_response *response, struct registry_challenge *out,
                         struct error *err)
{
    CLEANUP(buffer_finish) struct buffer value = {.cap = REGISTRY_CHALLENGE_MAX};
    for (const char *line = buffer_text(&response->headers); *line;) {
        size_t len = strcspn(line, "\r\n");
        size_t name = strlen(CHALLENGE_HEADER);
        if (len >= name && strncasecmp(line, CHALLENGE_HEADER, name) == 0 &&
            !buffer_printf(&value, NULL, "%s%.*s", value.len ? ", " : "", (int)(len - name),
                           line + name))
            return error_set(err, ERR_PROTOCOL, "an overlong WWW-Authenticate");
        line += len;
        line += strspn(line, "\r\n");
    }
    return registry_challenge_parse(buffer_text(&value), out, err);
}

// The login goes to the realm, so it must be as safe as the registry itself.
static bool check_realm(const struct session *session, const char *realm, struct error *err)
{
    const char *rest = NULL;
    if (text_starts(realm, "https://"))
        rest = realm + strlen("https://");
    else if (session->access->plain_http && text_starts(realm, "http://"))
        rest = realm + strlen("http://");
    if (!rest)
        return error_set(err, ERR_PROTOCOL, "it sends the login to an address without https");
    size_t host = strcspn(rest, "/?#");
    if (host == 0 || memchr(rest, '@', host) || strpbrk(realm, " #"))
        return error_set(err, ERR_PROTOCOL, "it names a malformed address to log in at");
    return true;
}

static char *token_url(const struct session *session, const struct registry_challenge *challenge)
{
    CLEANUP(free_ptr) char *own_scope = xasprintf("repository:%s:pull", session->image->path);
    CLEANUP(free_ptr) char *scope = http_escape(challenge->scope[0] ? challenge->scope : own_scope);
    CLEANUP(free_ptr) char *service = http_escape(challenge->service);
    return xasprintf("%s%cservice=%s&scope=%s", challenge->realm,
                     strchr(challenge->realm, '?') ? '&' : '?', service, scope);
}

static bool unauthorized(const struct session *session, struct error *err)
{
    return error_set(err, ERR_UNAUTHORIZED,
                     session->login.username || session->login.identity_token
                         ? "the login is refused"
                         : "a login is needed, and none is configured");
}

static bool take_token(struct session *session, const struct http_response *response,
                       struct error *err)
{
    CLEANUP(json_ptr) json_t *answer = NULL;
    if (response->status == 401 || response->status == 403)
        return unauthorized(session, err);
    if (response->status != 200)
        return error_set(err, response->status >= 500 ? ERR_UNAVAILABLE : ERR_PROTOCOL,
                         "its login server answers %d", response->status);
    if (!json_read(buffer_text(&response->body), response->body.len, ANSWER_MAX, &answer, NULL))
        return error_set(err, ERR_PROTOCOL, "its login server does not answer JSON");
    const char *token = json_text_at(answer, "token", NULL);
    token = token ? token : json_text_at(answer, "access_token", NULL);
    if (!token || !*token || strlen(token) > TOKEN_MAX || strpbrk(token, " \t\r\n"))
        return error_set(err, ERR_PROTOCOL, "its login server gives no token");
    session->token = xasprintf("Authorization: Bearer %s", token);
    return true;
}

// An identity token is exchanged by OAuth 2.0's refresh (the distribution project's
// token/oauth.md); a login is given with a plain GET.
static bool ask_for_token(const struct session *session, const struct registry_challenge *challenge,
                          struct http_response *response, struct error *err)
{
    CLEANUP(free_ptr) char *url = token_url(session, challenge);
    if (!session->login.identity_token)
        return perform(session, "GET", url, true, NULL, NULL, ANSWER_MAX, response, err);
    CLEANUP(secret_ptr) char *token = http_escape(session->login.identity_token);
    CLEANUP(secret_ptr)
    char *body = xasprintf("grant_type=refresh_token&client_id=cronwright&%s&refresh_token=%s",
                           url + strlen(challenge->realm) + 1, token);
    return perform(session, "POST", challenge->realm, false, FORM_TYPE, body, ANSWER_MAX, response,
                   err);
}

static bool fetch_token(struct session *session, const struct registry_challenge *challenge,
                        struct error *err)
{
    struct http_response response = {0};
    if (!check_realm(session, challenge->realm, err))
        return false;
    if (!ask_for_token(session, challenge, &response, err))
        return false;
    bool taken = take_token(session, &response, err);
    buffer_wipe(&response.body);
    http_response_finish(&response);
    return taken;
}

// What a second try needs after a 401.
static bool log_in(struct session *session, const struct http_response *refusal, struct error *err)
{
    struct registry_challenge challenge;
    if (!challenge_of(refusal, &challenge, err))
        return false;
    if (session->access->auth &&
        !registry_login_find(session->access->auth, session->image->registry, session->image->path,
                             &session->login, err))
        return false;
    if (challenge.bearer)
        return fetch_token(session, &challenge, err);
    if (!session->login.username)
        return unauthorized(session, err);
    return true;
}

static bool judge_status(const struct session *session, const char *digest,
                         const struct http_response *response, struct error *err)
{
    int status = response->status;
    char location[256];
    if (status == 200)
        return true;
    if (status == 404)
        return error_set(err, ERR_NOT_FOUND, "there is no %s", digest ? digest : "such image");
    if (status == 401)
        return unauthorized(session, err);
    if (status == 403)
        return error_set(err, ERR_FORBIDDEN, "reading it is not allowed");
    if (status == 429 || status >= 500)
        return error_set(err, ERR_UNAVAILABLE, "it answers %d", status);
    if (status / 100 == 3 && http_header(&response->headers, "Location", location, sizeof location))
        return error_set(err, ERR_PROTOCOL, "it answers %d, to go to %.*s, which is not followed",
                         status, (int)strcspn(location, "?#"), location);
    return error_set(err, ERR_PROTOCOL, "it answers %d", status);
}

// What a registry says of itself proves nothing: the digest is that of the manifest's bytes.
// `digest`: what that must be; NULL: anything.
static bool judge(const struct session *session, const char *digest,
                  const struct http_response *response, struct error *err)
{
    char said[IMAGE_DIGEST_SIZE], hex[SHA256_HEX_SIZE];
    uint8_t found[SHA256_SIZE];
    if (!judge_status(session, digest, response, err))
        return false;
    if (!digest)
        return true;
    if (http_header(&response->headers, "Docker-Content-Digest", said, sizeof said) &&
        strcmp(said, digest) != 0)
        return error_set(err, ERR_CONFLICT, "asked for %s, it speaks of %s", digest, said);
    sha256(response->body.data, response->body.len, found);
    hex_encode(found, sizeof found, hex);
    return strcmp(hex, digest + strlen("sha256:")) == 0 ||
           error_set(err, ERR_CONFLICT, "asked for %s, it gives what has the digest sha256:%s",
                     digest, hex);
}

static bool ask(const struct session *session, struct http_response *response, struct error *err)
{
    bool logged_in = session->login.username && !session->token;
    if (perform(session, "GET", session->url, logged_in, session->token, NULL, MANIFEST_MAX,
                response, err))
        return true;
    if (err->code == ERR_TOO_LARGE) // no manifest: something else is answering
        err->code = ERR_PROTOCOL;
    return false;
}

static bool judge_in_turn(struct session *session, const char *digest, struct error *err)
{
    CLEANUP(http_response_finish) struct http_response first = {0};
    CLEANUP(http_response_finish) struct http_response second = {0};
    if (!ask(session, &first, err))
        return false;
    if (first.status != 401)
        return judge(session, digest, &first, err);
    return log_in(session, &first, err) && ask(session, &second, err) &&
           judge(session, digest, &second, err);
}

// `reference`: tag or digest.
static bool look_up(const struct image_reference *image, const char *reference, const char *digest,
                    const struct registry_access *access, int64_t timeout_ms, struct error *err)
{
    CLEANUP(session_finish)
    struct session session = {.image = image, .access = access, .deadline = mono_after(timeout_ms)};
    bool hub = strcmp(image->registry, DOCKER_HUB) == 0;
    session.url = xasprintf("%s://%s/v2/%s/manifests/%s", access->plain_http ? "http" : "https",
                            hub ? DOCKER_HUB_API : image->registry, image->path, reference);
    return judge_in_turn(&session, digest, err) ||
           error_wrap(err, "registry %s, %s", image->registry, image->path);
}

static bool confirm(const struct image_reference *image, const char *reference, const char *digest,
                    const struct registry_access *access, int64_t timeout_ms, struct error *err)
{
    if (!image_digest_is_valid(digest))
        return error_set(err, ERR_INVALID, "registry %s, %s: a malformed digest", image->registry,
                         image->path);
    return look_up(image, reference, digest, access, timeout_ms, err);
}

bool registry_confirm(const struct image_reference *image, const char *digest,
                      const struct registry_access *access, int64_t timeout_ms, struct error *err)
{
    return confirm(image, digest, digest, access, timeout_ms, err);
}

bool registry_confirm_tag(const struct image_reference *image, const char *digest,
                          const struct registry_access *access, int64_t timeout_ms,
                          struct error *err)
{
    return confirm(image, image->tag, digest, access, timeout_ms, err);
}

bool registry_reach(const struct image_reference *image, const char *tag,
                    const struct registry_access *access, int64_t timeout_ms, bool *there,
                    struct error *err)
{
    struct error why;
    *there = look_up(image, tag, NULL, access, timeout_ms, &why);
    return *there || why.code == ERR_NOT_FOUND || error_set(err, why.code, "%s", why.text);
}
