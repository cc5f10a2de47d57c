// Gets the build context that a ticket speaks of, and believes nothing but its SHA-256.
#include "agent/contexts/fetch.h"

#include "agent/base/crypto.h"
#include "agent/base/file.h"
#include "agent/base/http.h"
#include "agent/base/json.h"
#include "agent/base/printable.h"
#include "agent/base/text.h"
#include "agent/base/threads.h"
#include "build/kaniko.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TIMEOUT_DEFAULT_S INT64_C(600)
#define TIMEOUT_MAX_S     INT64_C(86400)
#define IDLE_MS           60000 // without a byte
#define BACKOFF_MIN_MS    500   // doubled up to:
#define BACKOFF_MAX_MS    15000
#define PROGRESS_MS       5000
#define PROBLEM_MAX       ((size_t)4 << 10)
#define TLS_TRIES         3 // a certificate that is not trusted is not trusted later either
#define FILE_MODE         0444
#define MIB               ((double)(1 << 20))

struct ticket {
    char *address, *token, *sha256, *bytes, *ca;
    int64_t len; // the number that `bytes` is
};

// One request for it.
struct download {
    const struct ticket *ticket;
    const char *part; // the file it goes to
    int fd;
    int64_t got;
    struct sha256_stream *hash;
    struct buffer problem; // the body of a refusal
    struct mono_time told;
    int status; // as soon as it is known
    struct error why;

    pthread_mutex_t lock; // guards what follows
    pthread_cond_t ended;
    bool over;
};

static void say(const char *fmt, ...) PRINTF_LIKE(1, 2);
static void say(const char *fmt, ...)
{
    CLEANUP(free_ptr) char *text = NULL;
    va_list args;
    va_start(args, fmt);
    text = xvasprintf(fmt, args);
    va_end(args);
    fprintf(stderr, "%s\n", text);
}

// --- the ticket ---

static void ticket_finish(struct ticket *ticket)
{
    free(ticket->address);
    secret_free(ticket->token);
    free(ticket->sha256);
    free(ticket->bytes);
    free(ticket->ca);
}

static bool read_part(const char *directory, const char *name, char **out, struct error *err)
{
    CLEANUP(free_ptr) char *path = xasprintf("%s/%s", directory, name);
    return secret_file_read(path, out, err);
}

static bool ticket_read(const char *directory, struct ticket *out, struct error *err)
{
    uint8_t digest[SHA256_SIZE];
    if (!read_part(directory, "address", &out->address, err) ||
        !read_part(directory, "token", &out->token, err) ||
        !read_part(directory, "sha256", &out->sha256, err) ||
        !read_part(directory, "bytes", &out->bytes, err) ||
        !read_part(directory, "ca", &out->ca, err))
        return false;
    if (!text_starts(out->address, "https://") ||
        !hex_decode(out->sha256, strlen(out->sha256), digest, sizeof digest) ||
        !text_to_int(out->bytes, 1, INT64_MAX, &out->len))
        return error_set(err, ERR_INVALID, "%s is no ticket for a build context", directory);
    return true;
}

// --- one download, whose callbacks run on the loop's thread ---

static void on_head(void *user, int status, const struct buffer *headers)
{
    struct download *download = user;
    (void)headers;
    download->status = status;
}

static bool take(struct download *download, const void *bytes, size_t len)
{
    download->got += (int64_t)len;
    if (download->got > download->ticket->len)
        return error_set(&download->why, ERR_PROTOCOL, "it is more than the %s bytes it should be",
                         download->ticket->bytes);
    sha256_add(download->hash, bytes, len);
    if (!fd_write(download->fd, bytes, len))
        return error_errno(&download->why, ERR_IO, errno, "%s", download->part);
    if (mono_past(download->told)) {
        download->told = mono_after(PROGRESS_MS);
        say("%.1f of %.1f MiB", (double)download->got / MIB, (double)download->ticket->len / MIB);
    }
    return true;
}

static bool on_data(void *user, const void *bytes, size_t len)
{
    struct download *download = user;
    if (download->status == 200)
        return take(download, bytes, len);
    return buffer_append(&download->problem, bytes, len, NULL);
}

static void on_done(void *user, int status, const struct error *err)
{
    struct download *download = user;
    download->status = status;
    if (err && download->why.code == ERR_NONE)
        download->why = *err;
    pthread_mutex_lock(&download->lock);
    download->over = true;
    pthread_cond_signal(&download->ended);
    pthread_mutex_unlock(&download->lock);
}

static bool await_end(struct download *download, struct http_loop *loop, struct mono_time deadline)
{
    static const struct http_stream_events events = {on_head, on_data, on_done};
    CLEANUP(secret_ptr)
    char *token = xasprintf("Authorization: Bearer %s", download->ticket->token);
    struct http_trust trust = {.ca_pem = download->ticket->ca};
    http_stream_start(loop,
                      &(struct http_request){.url = download->ticket->address,
                                             .headers = {token},
                                             .timeout_ms = mono_left(deadline),
                                             .idle_ms = IDLE_MS,
                                             .trust = &trust},
                      &events, download);
    pthread_mutex_lock(&download->lock);
    while (!download->over)
        pthread_cond_wait(&download->ended, &download->lock); // the stream has the deadline
    pthread_mutex_unlock(&download->lock);
    return download->why.code == ERR_NONE;
}

// What a refusal says: the "detail" of a problem document, else its status.
static bool refused(const struct download *download, struct error *err)
{
    bool later = download->status >= 500 || download->status == 429 || download->status == 408;
    enum error_code code = later ? ERR_UNAVAILABLE : ERR_FORBIDDEN;
    CLEANUP(json_ptr) json_t *problem = NULL;
    const char *detail = NULL;
    if (json_read(buffer_text(&download->problem), download->problem.len, PROBLEM_MAX, &problem,
                  NULL))
        detail = json_text_at(problem, "detail", NULL);
    char clean[ERROR_TEXT_MAX] = "no reason given";
    if (detail)
        printable_copy(clean, sizeof clean, detail, strlen(detail));
    return error_set(err, code, "refused with %d: %s", download->status, clean);
}

static bool check(struct download *download, struct error *err)
{
    uint8_t digest[SHA256_SIZE];
    char hex[SHA256_HEX_SIZE];
    sha256_end(TAKE(download->hash), digest);
    hex_encode(digest, sizeof digest, hex);
    if (download->got < download->ticket->len)
        return error_set(err, ERR_PROTOCOL, "it is %" PRId64 " bytes and should be %s",
                         download->got, download->ticket->bytes);
    if (strcmp(hex, download->ticket->sha256) != 0)
        return error_set(err, ERR_INVALID, "its SHA-256 is %s and should be %s", hex,
                         download->ticket->sha256);
    return true;
}

static void download_finish(struct download *download)
{
    uint8_t unused[SHA256_SIZE];
    if (download->hash)
        sha256_end(download->hash, unused);
    buffer_finish(&download->problem);
    close_fd(&download->fd);
    unlink(download->part); // unless it has its name by now
    pthread_cond_destroy(&download->ended);
    pthread_mutex_destroy(&download->lock);
}

// ERR_INVALID and ERR_FORBIDDEN are final.
static bool fetch_once(const struct ticket *ticket, const char *path, struct http_loop *loop,
                       struct mono_time deadline, struct error *err)
{
    CLEANUP(free_ptr) char *part = xasprintf("%s.part", path);
    CLEANUP(download_finish)
    struct download download = {.ticket = ticket,
                                .part = part,
                                .fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600),
                                .hash = sha256_begin(),
                                .problem.cap = PROBLEM_MAX,
                                .told = mono_after(PROGRESS_MS)};
    pthread_mutex_init(&download.lock, NULL);
    condition_init(&download.ended);
    if (download.fd < 0)
        return error_errno(err, ERR_IO, errno, "%s", part);
    if (!await_end(&download, loop, deadline)) {
        *err = download.why;
        return false;
    }
    if (download.status != 200)
        return refused(&download, err);
    if (!check(&download, err))
        return false;
    if (fchmod(download.fd, FILE_MODE) != 0 || fsync(download.fd) != 0)
        return error_errno(err, ERR_IO, errno, "%s", part);
    return file_rename(part, path, err);
}

// --- until it is there ---

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool is_final(const struct error *err, int tls_failures)
{
    return err->code == ERR_INVALID || err->code == ERR_FORBIDDEN || err->code == ERR_IO ||
           tls_failures >= TLS_TRIES;
}

static int fetch(const struct ticket *ticket, const char *path, struct mono_time deadline)
{
    struct http_loop *loop = http_loop_create();
    struct error err = {0};
    int64_t backoff = BACKOFF_MIN_MS;
    int odd = 0; // answers in a row that no server of ours gives
    bool done, final = false;
    while (!(done = fetch_once(ticket, path, loop, deadline, &err))) {
        odd = err.code == ERR_PROTOCOL ? odd + 1 : 0;
        final = is_final(&err, odd);
        if (final || mono_left(deadline) <= backoff)
            break;
        say("%s; again in %" PRId64 " ms", err.text, backoff);
        mono_sleep(backoff);
        backoff = least(2 * backoff, BACKOFF_MAX_MS);
    }
    http_loop_destroy(loop);
    if (done)
        return 0;
    say("%s%s", final ? "" : "time ran out: ", err.text);
    return final ? 1 : KANIKO_FETCH_AGAIN;
}

int fetch_context_main(int argc, char **argv)
{
    static const struct option options[] = {{"timeout", required_argument, NULL, 't'}, {0}};
    int64_t seconds = TIMEOUT_DEFAULT_S;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        if (option != 't' || !text_to_int(optarg, 1, TIMEOUT_MAX_S, &seconds))
            return 2;
    http_setup();
    struct mono_time deadline = mono_after(seconds * 1000), start = mono_now();
    CLEANUP(ticket_finish) struct ticket ticket = {0};
    struct error err;
    if (!ticket_read(argv[optind], &ticket, &err)) {
        say("%s", err.text);
        return 1;
    }
    int status = fetch(&ticket, argv[optind + 1], deadline);
    if (status == 0)
        say("%.1f MiB in %.1f s", (double)ticket.len / MIB,
            (double)(mono_now().ms - start.ms) / 1000);
    return status;
}
