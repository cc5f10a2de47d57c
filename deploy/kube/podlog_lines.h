// Within the library: the lines of a log file, and which of those that the kubelet sends again the
// file has already. Pure, but for reading the file.
#ifndef CRONWRIGHT_KUBE_PODLOG_LINES_H
#define CRONWRIGHT_KUBE_PODLOG_LINES_H

#include "deploy/kube/podlog.h"

// The time at a line's start, as nanoseconds since 1970, and the bytes up to its text ("<time> ").
// False when the line does not begin with one.
bool podlog_stamp(const char *line, size_t len, int64_t *ns, size_t *prefix);

// Where to go on in a log of which `fd` holds the first lines.
//
// The kubelet can be asked for lines since a whole second. It sends lines in the order of its own
// file, whose times may run backwards by a little (each stream of a container has its own writer),
// and whose older part may have been rotated away. So we ask from a margin before the newest line,
// and remember the times of all lines from there on: they come again as a sequence, or as the end
// of it, before anything new does.
struct podlog_resume {
    struct wall_time since; // whole seconds; unset: from the start
    int64_t *stamps;        // of the file's lines since then, in its order
    size_t count;
    size_t next; // the first that has not come again yet
    bool fresh;  // nothing has come yet
    bool gap;    // the first line that came was not among them: some were rotated away unread
};

// Reads the end of the file, whose `size` bytes are whole lines. ERR_IO.
bool podlog_resume_read(int fd, uint64_t size, struct podlog_resume *out,
                        struct error *err) MUST_CHECK;
// Whether the file has this line, as it comes next, already.
bool podlog_resume_has(struct podlog_resume *resume, int64_t stamp);
void podlog_resume_finish(struct podlog_resume *resume);

// The last line: "= complete\n". `why` (cleaned, one line) may be NULL.
char *podlog_trailer(enum podlog_state state, const char *why) __attribute__((returns_nonnull));
// Reads one, without its newline. False when the line is none.
bool podlog_trailer_read(const char *line, size_t len, struct podlog_end *out);

// Looks at a file's end: *whole = bytes of whole log lines; the trailer, if there is one, in *end,
// else end->state is PODLOG_FOLLOWING.
bool podlog_file_end(int fd, uint64_t *whole, struct podlog_end *end, struct error *err) MUST_CHECK;

#endif
