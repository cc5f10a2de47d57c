// Serves the page. It is the same for everybody and holds no secret: who is not signed in gets it
// too, and is asked for a token by it.
#include "agent/admin/page.h"
#include "agent/admin/admin.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

// Scripts and styles from this listener alone, none within the document, and no string that becomes
// markup: text that somebody else wrote can do nothing but be shown.
static const char POLICY[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'";

static void add_guards(struct server_request *req)
{
    static const struct {
        const char *name, *value;
    } guards[] = {{"Content-Security-Policy", POLICY},
                  {"X-Content-Type-Options", "nosniff"},
                  {"Referrer-Policy", "no-referrer"},
                  {"Cross-Origin-Opener-Policy", "same-origin"},
                  {"Cross-Origin-Resource-Policy", "same-origin"}};
    for (size_t i = 0; i < sizeof guards / sizeof *guards; i++)
        server_add_header(req, guards[i].name, guards[i].value);
}

// Whether "gzip" is in the list without a weight of nought.
static bool takes_gzip(const struct server_request *req)
{
    static const char word[] = "gzip";
    const char *rest = server_header(req, "Accept-Encoding");
    while (rest && *rest) {
        rest += strspn(rest, ", \t");
        size_t len = strcspn(rest, ",");
        size_t name = strcspn(rest, ",; \t");
        if (name == sizeof word - 1 && strncasecmp(rest, word, name) == 0) {
            const char *weight = memchr(rest, '=', len);
            return !weight || strspn(weight + 1, "0. \t") < len - (size_t)(weight + 1 - rest);
        }
        rest += len;
    }
    return false;
}

static void answer_file(struct server_request *req, const struct page_file *file)
{
    bool compressed = takes_gzip(req);
    const struct page_bytes *bytes = compressed ? &file->compressed : &file->plain;
    server_add_header(req, "Vary", "Accept-Encoding");
    if (compressed)
        server_add_header(req, "Content-Encoding", "gzip");
    server_answer_bytes(req, 200, file->type, bytes->bytes, bytes->len);
}

static const struct page_file *find_file(const char *name)
{
    for (const struct page_file *file = page_files; file->name; file++)
        if (strcmp(file->name, name) == 0)
            return file;
    return NULL;
}

// The document is asked for each time, and changes with any of the files.
static void get_document(struct server_request *req, void *user)
{
    (void)user;
    char tag[64];
    snprintf(tag, sizeof tag, "W/\"%s\"", page_hash);
    add_guards(req);
    server_add_header(req, "Cache-Control", "no-cache");
    server_add_header(req, "ETag", tag);
    const char *known = server_header(req, "If-None-Match");
    if (known && strstr(known, tag + strlen("W/")))
        server_answer_bytes(req, 304, NULL, NULL, 0);
    else
        answer_file(req, find_file("index.html"));
}

static void get_file(struct server_request *req, void *user)
{
    (void)user;
    const struct page_file *file = find_file(server_param(req, "file"));
    add_guards(req);
    if (!file || strcmp(server_param(req, "hash"), page_hash) != 0) {
        server_add_header(req, "Cache-Control", "no-store");
        server_refuse(req, 404, "not-found", "there is no such file of the page: load it again");
        return;
    }
    server_add_header(req, "Cache-Control", "public, max-age=31536000, immutable");
    answer_file(req, file);
}

const struct server_route admin_page_routes[] = {
    {"GET", "/", get_document, SERVER_OPEN},
    {"GET", "/web/{hash}/{file}", get_file, SERVER_OPEN},
    {0},
};
