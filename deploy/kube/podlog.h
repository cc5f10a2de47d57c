// Logs of containers: a follower copies each into a file as it grows, any number of readers read
// the file. So a slow reader never stalls the reading from the cluster, and a log outlives its pod.
//
// A file holds the lines as the kubelet sends them with timestamps=true,
// "2026-11-24T08:01:10.123456789Z text\n", whole lines only; and, once nothing more will come, one
// last line "= complete",
// "= truncated WHY" or "= lost WHY". Readers see the texts alone.
//
// No line is lost or repeated through broken connections and restarts of the agent: the follower
// asks again from a little before the last line in the file, and leaves out those that the file
// has.
#ifndef CRONWRIGHT_KUBE_PODLOG_H
#define CRONWRIGHT_KUBE_PODLOG_H

#include "deploy/kube/client.h"

#define PODLOG_FILE_MAX_DEFAULT ((uint64_t)64 << 20) // bytes of a file
#define PODLOG_LINE_MAX         ((size_t)256 << 10) // bytes of a line with its timestamp; the rest is cut
#define PODLOG_FOLLOWERS_MAX    1000                // at once
#define PODLOG_WHY_MAX          256

enum podlog_state {
    PODLOG_FOLLOWING, // more may come
    PODLOG_COMPLETE,  // the container ended and all was read
    PODLOG_TRUNCATED, // the file's cap was met
    PODLOG_LOST,      // the rest cannot be had
};
const char *podlog_state_word(enum podlog_state state); // "following", "complete", …

// The file may be compressed once it is at its end: then it has this name. Whoever reads it by
// `path` is given the same. The caller frees.
char *podlog_compressed(const char *path) __attribute__((returns_nonnull));

// --- followers ---
struct podlog_hub;

// `client` and `loop` must live longer.
struct podlog_hub *podlog_hub_create(struct kube_client *client, struct http_loop *loop);
// Stops all followers (their files stay without a last line, and can be followed on); readers get
// ERR_CANCELLED. Not on the loop's thread, and before the loop's own end. NULL is fine.
void podlog_hub_destroy(struct podlog_hub *hub);

// From now on tells of each log whose end was written into its file, by that; NULL: of none any
// more, and none is being told. On the loop's thread, with a lock held: it must neither block nor
// call this header.
void podlog_hub_on_end(struct podlog_hub *hub, void (*ended)(void *user, const char *path),
                       void *user);

struct podlog_source {
    const char *namespace_;
    const char *pod;
    const char *uid; // of the pod; NULL or "": not checked
    const char *container;
    const char *path;   // of the file; its directory exists; created with mode 0600
    uint64_t max_bytes; // of the file; 0: PODLOG_FILE_MAX_DEFAULT
};

// Sees to it that the log is followed into the file: starts a follower unless there is one for this
// path or the file is at its end already (a "lost" end is tried again) or compressed. Waits through
// a container that has not started yet. The follower goes by itself when the log is at its end. A
// container that is restarted within its pod goes on in the same file.
bool podlog_follow(struct podlog_hub *hub, const struct podlog_source *source,
                   struct error *err) MUST_CHECK;

// --- readers: any thread, one at a time ---
struct podlog_reader;

struct podlog_end {
    enum podlog_state state;
    char why[PODLOG_WHY_MAX]; // a sentence; "" for PODLOG_COMPLETE
};

// Reads the file from byte `offset` of its texts (of its lines, when `timestamps` are to be given
// too): what the client has been given so far. A file whose end has not come and that nobody
// follows is read up to where it stops and ends as PODLOG_LOST. ERR_NOT_FOUND: no such file.
bool podlog_reader_open(struct podlog_hub *hub, const char *path, uint64_t offset, bool timestamps,
                        struct podlog_reader **out, struct error *err) MUST_CHECK;
void podlog_reader_close(struct podlog_reader *reader); // NULL is fine

// Up to `room` bytes, as soon as there are any. *len = 0: the end, and why in `end`. ERR_TIMEOUT at
// the deadline (call again to go on); ERR_CANCELLED when the hub goes; ERR_INVALID when the log
// ended before the offset.
bool podlog_read(struct podlog_reader *reader, struct mono_time deadline, char *out, size_t room,
                 size_t *len, struct podlog_end *end, struct error *err) MUST_CHECK;

// How far the log in this file is, as a reader at its end would be told. ERR_NOT_FOUND: no such
// file.
bool podlog_look(struct podlog_hub *hub, const char *path, struct podlog_end *out,
                 struct error *err) MUST_CHECK;

// Where in a log the part begins that is asked for. Of what is there now; a huge log is not held in
// memory.
struct podlog_part {
    int64_t line;           // from this one on, counted from 1: neither of those below; 0: from any
    int64_t tail;           // the last so many lines; -1: all
    struct wall_time since; // lines written at that time or later; unset: all
};
struct podlog_place {
    uint64_t offset; // for podlog_reader_open()
    uint64_t line;   // the number of the line there: one more than there are, at the end
    uint64_t lines;  // whole ones that there are now
};
bool podlog_locate(struct podlog_hub *hub, const char *path, const struct podlog_part *part,
                   bool timestamps, struct podlog_place *out, struct error *err) MUST_CHECK;

// Looks for a text in the lines that are there now, without their times. Lines are looked at one by
// one: a huge log is not held in memory.
#define PODLOG_SEARCH_TEXT_MAX 1024 // bytes of what is looked for
struct podlog_search {
    const char *text; // exactly so; not empty
    bool ignore_case; // of the letters A to Z
    uint64_t line;    // from this one on, counted from 1
    size_t limit;     // no more matches than that
    struct mono_time deadline;
    // A line with the text, without its newline, where in it that is first, valid until it returns.
    void (*found)(void *user, uint64_t line, const char *bytes, size_t len, size_t at);
    void *user;
};
struct podlog_searched {
    uint64_t lines; // that there are, as far as was looked
    bool more;      // there were more matches than the limit, or the deadline came
};
bool podlog_find(struct podlog_hub *hub, const char *path, const struct podlog_search *search,
                 struct podlog_searched *out, struct error *err) MUST_CHECK;

// What the file itself says of its end: PODLOG_FOLLOWING when it says nothing. ERR_NOT_FOUND: no
// such file.
bool podlog_ended(const char *path, struct podlog_end *out, struct error *err) MUST_CHECK;

static inline void podlog_reader_ptr(struct podlog_reader **reader)
{
    podlog_reader_close(*reader);
}

#endif
