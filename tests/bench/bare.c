// The floor for a webhooks listener on libmicrohttpd: takes the body, computes its HMAC, answers
// 202. No decoding, no storing. Prints its port; ends when stdin does.
#include "agent/base/buffer.h"
#include "agent/base/crypto.h"

#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char secret[] = "a secret of the usual length, made of words";

static enum MHD_Result answer(void *user, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *len, void **state)
{
    (void)user, (void)url, (void)method, (void)version;
    struct buffer *body = *state;
    if (!body) {
        *state = xalloc(sizeof *body);
        return MHD_YES;
    }
    if (*len) {
        enum MHD_Result kept = buffer_append(body, data, *len, NULL) ? MHD_YES : MHD_NO;
        *len = 0;
        return kept;
    }
    uint8_t digest[SHA256_SIZE];
    hmac_sha256(secret, sizeof secret - 1, body->data, body->len, digest);
    static char text[] = "{\"delivery\":\"00000000-0000-4000-8000-000000000000\"}";
    struct MHD_Response *response =
        MHD_create_response_from_buffer(sizeof text - 1, text, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result queued = MHD_queue_response(connection, 202, response);
    MHD_destroy_response(response);
    return queued;
}

static void completed(void *user, struct MHD_Connection *connection, void **state,
                      enum MHD_RequestTerminationCode why)
{
    (void)user, (void)connection, (void)why;
    if (*state)
        buffer_finish(*state);
    free(*state);
    *state = NULL;
}

int main(void)
{
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_ERROR_LOG, 0, NULL,
                         NULL, answer, NULL, MHD_OPTION_NOTIFY_COMPLETED, completed, NULL,
                         MHD_OPTION_CONNECTION_LIMIT, 1024u, MHD_OPTION_END);
    if (!daemon)
        return 1;
    printf("%u\n", MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    MHD_stop_daemon(daemon);
    return 0;
}
