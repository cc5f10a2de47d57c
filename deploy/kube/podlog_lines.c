#include "deploy/kube/podlog_lines.h"
#include "agent/base/printable.h"
#include "agent/base/text.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STAMP_MAX    48 // bytes of a time with its blank
#define NS           INT64_C(1000000000)
#define MARGIN_NS    (2 * NS) // how far a line's time may lie behind that of a line before it
#define WINDOW_FIRST ((uint64_t)64 << 10)
#define TAIL_SIZE    512u // bytes at a file's end; the last line fits

static const char *const words[] = {
    [PODLOG_FOLLOWING] = "following",
    [PODLOG_COMPLETE] = "complete",
    [PODLOG_TRUNCATED] = "truncated",
    [PODLOG_LOST] = "lost",
};

const char *podlog_state_word(enum podlog_state state)
{
    return words[state];
}

bool podlog_stamp(const char *line, size_t len, int64_t *ns, size_t *prefix)
{
    char text[STAMP_MAX];
    const char *blank = memchr(line, ' ', len < STAMP_MAX ? len : STAMP_MAX);
    struct wall_time time;
    if (!blank)
        return false;
    size_t used = (size_t)(blank - line);
    memcpy(text, line, used);
    text[used] = '\0';
    if (!wall_parse(text, &time) || time.ms < 0 || time.ms / 1000 >= INT64_MAX / NS)
        return false; // no time, or none that fits: before 1970, after 2262
    int64_t fraction = 0;
    int64_t unit = NS;
    const char *dot = strchr(text, '.');
    for (const char *digit = dot ? dot + 1 : ""; isdigit((unsigned char)*digit); digit++) {
        unit /= 10;
        fraction += (*digit - '0') * unit;
    }
    *ns = time.ms / 1000 * NS + fraction;
    *prefix = used + 1;
    return true;
}

// All of [from, from + len) of a file.
static bool read_range(int fd, uint64_t from, char *out, size_t len, struct error *err)
{
    while (len > 0) {
        ssize_t got = pread(fd, out, len, (off_t)from);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return error_errno(err, ERR_IO, got < 0 ? errno : EIO, "read the log file");
        out += got;
        from += (uint64_t)got;
        len -= (size_t)got;
    }
    return true;
}

// --- going on ---

static void add_stamp(struct podlog_resume *resume, int64_t stamp)
{
    if ((resume->count & (resume->count - 1)) == 0) // a power of two: full
        resume->stamps =
            xrealloc(resume->stamps, (resume->count ? 2 * resume->count : 1) * sizeof stamp);
    resume->stamps[resume->count++] = stamp;
}

// The times of the whole lines in `text`, the newest of which goes to *newest.
static void collect_stamps(struct podlog_resume *resume, const char *text, size_t len,
                           int64_t *newest)
{
    *newest = INT64_MIN;
    for (const char *end; (end = memchr(text, '\n', len));) {
        size_t line = (size_t)(end - text), prefix;
        int64_t stamp;
        if (podlog_stamp(text, line, &stamp, &prefix)) {
            add_stamp(resume, stamp);
            if (stamp > *newest)
                *newest = stamp;
        }
        text += line + 1;
        len -= line + 1;
    }
}

// Reads the file's last `window` bytes. *enough: they reach back beyond the margin.
static bool read_window(int fd, uint64_t size, uint64_t window, struct podlog_resume *resume,
                        bool *enough, struct error *err)
{
    CLEANUP(free_ptr) char *text = xalloc(window);
    if (!read_range(fd, size - window, text, window, err))
        return false;
    const char *start = text;
    if (window < size) { // it begins within a line
        start = memchr(text, '\n', window);
        start = start ? start + 1 : text + window;
    }
    int64_t newest;
    resume->count = 0;
    collect_stamps(resume, start, window - (size_t)(start - text), &newest);
    if (resume->count == 0) {
        *enough = window == size;
        return true;
    }
    int64_t since = (newest - MARGIN_NS) / NS * NS;
    *enough = window == size || resume->stamps[0] < since;
    resume->since.ms = since / 1000000;
    size_t kept = 0;
    for (size_t i = 0; i < resume->count; i++)
        if (resume->stamps[i] >= since)
            resume->stamps[kept++] = resume->stamps[i];
    resume->count = kept;
    return true;
}

bool podlog_resume_read(int fd, uint64_t size, struct podlog_resume *out, struct error *err)
{
    CLEANUP(podlog_resume_finish) struct podlog_resume resume = {.fresh = true};
    uint64_t window = WINDOW_FIRST;
    for (bool enough = size == 0; !enough; window *= 4)
        if (!read_window(fd, size, window < size ? window : size, &resume, &enough, err))
            return false;
    *out = resume;
    resume.stamps = NULL;
    return true;
}

bool podlog_resume_has(struct podlog_resume *resume, int64_t stamp)
{
    size_t i = resume->next;
    while (i < resume->count && resume->stamps[i] != stamp)
        i++;
    bool has = i < resume->count;
    if (!has && resume->fresh && resume->count > 0)
        resume->gap = true;
    resume->fresh = false;
    resume->next = has ? i + 1 : resume->count; // a new line: the old ones are over
    return has;
}

void podlog_resume_finish(struct podlog_resume *resume)
{
    free(resume->stamps);
    resume->stamps = NULL;
    resume->count = resume->next = 0;
}

// --- the last line ---

char *podlog_trailer(enum podlog_state state, const char *why)
{
    char shown[PODLOG_WHY_MAX] = "";
    if (why)
        printable_copy(shown, sizeof shown, why, strlen(why));
    return xasprintf("= %s%s%s\n", words[state], *shown ? " " : "", shown);
}

bool podlog_trailer_read(const char *line, size_t len, struct podlog_end *out)
{
    if (len < 2 || memcmp(line, "= ", 2) != 0)
        return false;
    line += 2;
    len -= 2;
    for (enum podlog_state state = PODLOG_COMPLETE; state <= PODLOG_LOST; state++) {
        size_t word = strlen(words[state]);
        if (len < word || memcmp(line, words[state], word) != 0 ||
            (len > word && line[word] != ' '))
            continue;
        *out = (struct podlog_end){.state = state};
        if (len > word)
            printable_copy(out->why, sizeof out->why, line + word + 1, len - word - 1);
        return true;
    }
    return false;
}

// A crash may have left the start of a line behind the last whole one.
static bool cut_partial_line(int fd, uint64_t *size, struct error *err)
{
    while (*size > 0) {
        char tail[TAIL_SIZE];
        size_t len = *size < TAIL_SIZE ? (size_t)*size : TAIL_SIZE;
        if (!read_range(fd, *size - len, tail, len, err))
            return false;
        const char *newline = memrchr(tail, '\n', len);
        if (newline) {
            *size -= len - (size_t)(newline + 1 - tail);
            return true;
        }
        *size -= len;
    }
    return true;
}

bool podlog_file_end(int fd, uint64_t *whole, struct podlog_end *end, struct error *err)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0)
        return error_errno(err, ERR_IO, errno, "look at the log file");
    uint64_t size = (uint64_t)stat.st_size;
    char tail[TAIL_SIZE];
    if (!cut_partial_line(fd, &size, err))
        return false;
    size_t len = size < TAIL_SIZE ? (size_t)size : TAIL_SIZE;
    if (!read_range(fd, size - len, tail, len, err))
        return false;
    size_t line = len; // where the last one starts
    while (line > 0 && (line == len || tail[line - 1] != '\n'))
        line--;
    *end = (struct podlog_end){.state = PODLOG_FOLLOWING};
    *whole = size;
    if (len > line && podlog_trailer_read(tail + line, len - line - 1, end))
        *whole = size - (len - line);
    return true;
}
