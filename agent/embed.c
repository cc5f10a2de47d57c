// Built and run by the build itself: prints a C file that defines what agent/admin/page.h declares,
// made of the page's files.
//
//     embed FILE…
//
// The page's address of its own files holds a hash of them all, so that they can be kept for ever:
// index.html writes PLACEHOLDER for it.
#include "agent/base/crypto.h"
#include "agent/base/file.h"
#include "agent/base/gzip.h"
#include "agent/base/text.h"

#include <stdio.h>
#include <string.h>

#define FILE_SIZE_MAX ((size_t)1 << 20)
#define FILES_MAX     64
#define HASH_DIGITS   16
#define DOCUMENT      "index.html"
#define PLACEHOLDER   "web/HASH/"

struct file {
    const char *name;
    const char *type;
    struct buffer content;
    struct buffer compressed;
};

static const char *type_of(const char *name)
{
    static const struct {
        const char *suffix, *type;
    } types[] = {{".html", "text/html; charset=utf-8"},
                 {".css", "text/css; charset=utf-8"},
                 {".js", "text/javascript; charset=utf-8"},
                 {".svg", "image/svg+xml"}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (text_ends(name, types[i].suffix))
            return types[i].type;
    return NULL;
}

static bool read_file(const char *path, struct file *out, struct error *err)
{
    const char *slash = strrchr(path, '/');
    out->name = slash ? slash + 1 : path;
    out->type = type_of(out->name);
    if (!out->type)
        return error_set(err, ERR_INVALID, "%s: of no known type", path);
    return file_read(path, FILE_SIZE_MAX, &out->content, err);
}

static void hash_files(const struct file files[], size_t count, char out[static SHA256_HEX_SIZE])
{
    uint8_t digest[SHA256_SIZE];
    struct sha256_stream *stream = sha256_begin();
    for (size_t i = 0; i < count; i++) {
        sha256_add(stream, files[i].name, strlen(files[i].name) + 1);
        sha256_add(stream, &files[i].content.len, sizeof files[i].content.len);
        sha256_add(stream, buffer_text(&files[i].content), files[i].content.len);
    }
    sha256_end(stream, digest);
    hex_encode(digest, sizeof digest, out);
    out[HASH_DIGITS] = '\0';
}

// Writes the hash for each placeholder.
static bool name_files(struct buffer *document, const char *hash, struct error *err)
{
    struct buffer named = {0};
    const char *rest = buffer_text(document), *found;
    bool ok = strstr(rest, PLACEHOLDER) ||
              error_set(err, ERR_INVALID, "%s: names no file by %s", DOCUMENT, PLACEHOLDER);
    while (ok && (found = strstr(rest, PLACEHOLDER))) {
        ok = buffer_append(&named, rest, (size_t)(found - rest), err) &&
             buffer_printf(&named, err, "web/%s/", hash);
        rest = found + strlen(PLACEHOLDER);
    }
    ok = ok && buffer_append(&named, rest, strlen(rest), err);
    buffer_finish(document);
    *document = named;
    return ok;
}

static bool prepare(struct file files[], size_t count, const char *hash, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        struct file *file = &files[i];
        if ((strcmp(file->name, DOCUMENT) == 0 && !name_files(&file->content, hash, err)) ||
            !gzip_bytes(buffer_text(&file->content), file->content.len, &file->compressed, err))
            return false;
    }
    return true;
}

static void print_bytes(const char *name, size_t number, const struct buffer *bytes)
{
    printf("static const unsigned char %s%zu[] = {", name, number);
    for (size_t i = 0; i < bytes->len; i++)
        printf("%s%d,", i % 32 ? "" : "\n", (unsigned char)bytes->data[i]);
    printf("};\n");
}

static void print_files(const struct file files[], size_t count, const char *hash)
{
    printf("#include \"agent/admin/page.h\"\n\n");
    for (size_t i = 0; i < count; i++) {
        print_bytes("plain", i, &files[i].content);
        print_bytes("compressed", i, &files[i].compressed);
    }
    printf("\nconst char page_hash[] = \"%s\";\nconst struct page_file page_files[] = {\n", hash);
    for (size_t i = 0; i < count; i++)
        printf("    {\"%s\", \"%s\", {plain%zu, sizeof plain%zu}, {compressed%zu, sizeof "
               "compressed%zu}},\n",
               files[i].name, files[i].type, i, i, i, i);
    printf("    {0},\n};\n");
}

int main(int argc, char **argv)
{
    static struct file files[FILES_MAX];
    char hash[SHA256_HEX_SIZE];
    struct error err;
    size_t count = (size_t)argc - 1;
    bool ok = count <= FILES_MAX || error_set(&err, ERR_TOO_LARGE, "more than %d files", FILES_MAX);
    for (size_t i = 0; ok && i < count; i++)
        ok = read_file(argv[i + 1], &files[i], &err);
    if (ok) {
        hash_files(files, count, hash);
        ok = prepare(files, count, hash, &err);
    }
    if (ok)
        print_files(files, count, hash);
    else
        fprintf(stderr, "embed: %s\n", err.text);
    for (size_t i = 0; i < count && i < FILES_MAX; i++) {
        buffer_finish(&files[i].content);
        buffer_finish(&files[i].compressed);
    }
    return ok ? 0 : 1;
}
