// As Docker's patternmatcher has it, of which Kaniko uses Matches(): patterns in order, the last
// one that matches a path or its parent of as many parts decides, "!" takes back. What is written
// in ways that are not understood here leaves out nothing, or, after "!", takes everything back.
#include "build/git/ignore.h"

#include "agent/base/buffer.h"
#include "agent/base/text.h"
#include "build/git/changes.h"
#include "build/git/protocol.h"

#include <string.h>

#define IGNORE_SUFFIX ".dockerignore"

struct pattern {
    char *text;
    size_t parts;
    bool negated;
};

struct ignore {
    struct pattern patterns[IGNORE_PATTERNS_MAX];
    size_t count;
    char *dockerfile;
};

// --- reading ---

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\v' || byte == '\f';
}

// Without white space at both ends.
static char *trimmed(const char *text, size_t len)
{
    while (len > 0 && is_space(text[len - 1]))
        len--;
    while (len > 0 && is_space(text[0])) {
        text++;
        len--;
    }
    return xstrndup(text, len);
}

// Go's filepath.Clean of what matters here, without a "/" in front; ".." is not understood.
static bool clean(char *text)
{
    char *out = text;
    for (const char *part = text; *part;) {
        size_t len = strcspn(part, "/");
        bool dot = len == 1 && part[0] == '.';
        if (len == 2 && memcmp(part, "..", 2) == 0)
            return false;
        if (len && !dot) {
            if (out != text)
                *out++ = '/';
            memmove(out, part, len);
            out += len;
        }
        part += len + (part[len] == '/');
    }
    *out = '\0';
    return true;
}

// Plain characters, "*", "?", and "**" as a whole part: those mean here what they mean there.
static bool is_understood(const char *text)
{
    if (!*text || strlen(text) > GIT_PATTERN_MAX || strpbrk(text, "[]\\+()|{}^$!"))
        return false;
    for (const char *at = text; (at = strstr(at, "**")); at += 2)
        if ((at != text && at[-1] != '/') || (at[2] && at[2] != '/'))
            return false;
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at < ' ' || (unsigned char)*at >= 0x7f)
            return false;
    return true;
}

static size_t count_parts(const char *text)
{
    size_t parts = 1;
    for (; *text; text++)
        parts += *text == '/';
    return parts;
}

// False: nothing may be left out any more.
static bool add_line(struct ignore *ignore, const char *line, size_t len)
{
    if (len > 0 && line[0] == '#')
        return true;
    CLEANUP(free_ptr) char *whole = trimmed(line, len);
    bool negated = whole[0] == '!';
    CLEANUP(free_ptr) char *text = trimmed(whole + negated, strlen(whole + negated));
    if (!*whole)
        return true;
    bool good = clean(text) && is_understood(text);
    if (!good)
        return !negated;
    if (ignore->count == IGNORE_PATTERNS_MAX)
        return false;
    struct pattern *pattern = &ignore->patterns[ignore->count++];
    pattern->parts = count_parts(text);
    pattern->negated = negated;
    pattern->text = TAKE(text);
    return true;
}

struct ignore *ignore_read(const char *bytes, size_t len, const char *dockerfile)
{
    struct ignore *ignore = xalloc(sizeof *ignore);
    ignore->dockerfile = xstrdup(dockerfile);
    bool good = len <= IGNORE_FILE_MAX && !memchr(bytes, '\0', len);
    size_t at = len >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; // byte order mark
    while (good && at < len) {
        const char *end = memchr(bytes + at, '\n', len - at);
        size_t line = end ? (size_t)(end - bytes) - at : len - at;
        good = add_line(ignore, bytes + at, line);
        at += line + 1;
    }
    if (good)
        return ignore;
    ignore_free(ignore);
    return NULL;
}

void ignore_free(struct ignore *ignore)
{
    if (!ignore)
        return;
    for (size_t i = 0; i < ignore->count; i++)
        free(ignore->patterns[i].text);
    free(ignore->dockerfile);
    free(ignore);
}

// --- matching ---

// Whether the pattern matches the path's first `parts` parts, of which it has more.
static bool matches_parent(const struct pattern *pattern, const char *path, size_t parts)
{
    const char *end = path;
    for (size_t i = 0; i < parts; i++) {
        end = strchr(i ? end + 1 : end, '/');
        if (!end)
            return false;
    }
    CLEANUP(free_ptr) char *parent = xstrndup(path, (size_t)(end - path));
    return changes_match(pattern->text, parent);
}

// "!" may take back by any parent: other versions of the matcher have it so.
static bool matches(const struct pattern *pattern, const char *path)
{
    if (changes_match(pattern->text, path))
        return true;
    if (!pattern->negated)
        return matches_parent(pattern, path, pattern->parts);
    for (size_t parts = 1, all = count_parts(path); parts < all; parts++)
        if (matches_parent(pattern, path, parts))
            return true;
    return false;
}

bool ignore_matches(const struct ignore *ignore, const char *path)
{
    bool left_out = false;
    if (!ignore || strcmp(path, ignore->dockerfile) == 0 || text_ends(path, IGNORE_SUFFIX))
        return false;
    for (size_t i = 0; i < ignore->count; i++)
        if (ignore->patterns[i].negated == left_out && matches(&ignore->patterns[i], path))
            left_out = !left_out;
    return left_out;
}
