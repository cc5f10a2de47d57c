// The agent's admin API: one place for its address, the token and what goes wrong.
#ifndef CRONWRIGHT_CLI_CLIENT_H
#define CRONWRIGHT_CLI_CLIENT_H

#include "agent/base/http.h"
#include "agent/base/json.h"
#include "agent/cli/command.h"

#define CLIENT_URL_DEFAULT "http://127.0.0.1:8081"
#define CLIENT_URL_MAX     1024
#define CLIENT_ANSWER_MAX  ((size_t)32 << 20)
#define CLIENT_TIMEOUT_MS  65000 // longer than the agent takes, who answers within 60 s

struct client {
    char *url;           // http(s) without a slash at the end, or "unix:/path"; as people know it
    char *token_file;    // NULL: none
    char *authorization; // "Authorization: Bearer …", a secret; NULL: none
    json_t *refusal;     // what the last request whose error somebody wants was refused with, an
                         // RFC 9457 problem; empty when it was not
};

// From --url, --token-file and the environment. ERR_INVALID for a malformed address or token, or a
// token file that cannot be read.
bool client_open(const struct call *call, struct client *out, struct error *err) MUST_CHECK;
void client_close(struct client *client);

// "127.0.0.1", "[::1]": the host of the agent's address.
char *client_host(const struct client *client) __attribute__((returns_nonnull));

// A request to a path such as "/v1/services", with our token, for http_perform() or a stream.
// *url belongs to the caller, and must outlive the request.
void client_prepare(const struct client *client, const char *path, char **url,
                    struct http_request *request);

// RFC 9457, as the agent answers.
struct problem {
    int status;
    char reason[64];  // "active-run"; "" when not given
    char detail[512]; // "" when not given
    char run[64];     // for "active-run"
};
void problem_read(int status, const struct buffer *body, struct problem *out);
// What it means and what to do about it. Always returns false.
bool problem_error(const struct client *client, const struct problem *problem, struct error *err);
// The text of an error of the network without the agent's address, which the reader knows.
const char *client_cause(const struct client *client, const struct error *err);
// Adds to an error of the network (or NULL) whom we asked and what to do. Always returns false.
bool client_unreachable(const struct client *client, struct error *err);

// An answer's body, which must be a JSON object. The caller owns *out.
bool client_read(const struct client *client, const struct buffer *body, json_t **out,
                 struct error *err) MUST_CHECK;

// GET of a path. The answer is a JSON object. The caller owns *out.
bool client_get(const struct client *client, const char *path, json_t **out,
                struct error *err) MUST_CHECK;

struct client_request {
    const char *method;
    const char *path;
    const json_t *body;       // NULL: none
    const char *content_type; // of the body; NULL: application/json
    const char *header;       // one more, "Name: value"; NULL: none
};

#define ETAG_SIZE 128
struct client_answer {
    int status;             // 0: there was none
    json_t *json;           // NULL: empty; of a refusal also when it was no JSON object
    char etag[ETAG_SIZE];   // "" when it had none
    struct problem problem; // of a refusal
};

// False when there was no answer or it was a refusal, or no JSON object; err says what it means and
// what to do about it. *answer is to be finished in any case.
bool client_exchange(const struct client *client, const struct client_request *request,
                     struct client_answer *answer, struct error *err) MUST_CHECK;
void client_answer_finish(struct client_answer *answer);

// Any method, with a JSON body (or NULL) and one more header (or NULL). *out is the answer, or NULL
// when it is empty. On an error status false, and *problem (or NULL) says what the agent said;
// problem->status is 0 when it did not answer.
bool client_send(const struct client *client, const char *method, const char *path,
                 const json_t *body, const char *header, int *status, json_t **out,
                 struct problem *problem, struct error *err) MUST_CHECK;

#endif
