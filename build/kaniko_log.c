// The cause of a failed build out of Kaniko's log, which mixes Kaniko's own lines (logfmt, as
// --log-format=text writes them) with the output of the Dockerfile's commands.
#include "build/kaniko.h"

#include "agent/base/printable.h"
#include "agent/base/text.h"

#include <stdio.h>
#include <string.h>

#define TAIL_MAX        ((size_t)64 << 10)
#define LINE_MAX_BYTES  ((size_t)2 << 10)
#define INSTRUCTION_MAX 48
#define SAID_MAX        160 // bytes of a command's last line, within a sentence

struct line {
    const char *text; // in the log
    size_t len;
};

struct findings {
    char instruction[LINE_MAX_BYTES]; // the last one that was begun: "RUN pip install …"
    char image[LINE_MAX_BYTES];       // the last base image that was asked for
    char doing[LINE_MAX_BYTES]; // what was begun last: an instruction, or "Pushing image to …"
    char error[LINE_MAX_BYTES]; // Kaniko's last words
    // What the last command wrote, the newest KANIKO_OUTPUT_LINES of `output_count` lines.
    struct line output[KANIKO_OUTPUT_LINES];
    size_t output_count;
};

static bool starts_with_instruction(const char *text)
{
    static const char *const words[] = {
        "RUN ",         "COPY ",   "ADD ",        "WORKDIR ", "ENV ",    "USER ",  "LABEL ", "ARG ",
        "HEALTHCHECK ", "VOLUME ", "ENTRYPOINT ", "CMD ",     "EXPOSE ", "SHELL ", NULL};
    for (size_t i = 0; words[i]; i++)
        if (text_starts(text, words[i]))
            return true;
    return false;
}

// The value of msg="…" with its escapes undone, cut at the first line break. False for other lines.
static bool message_of(const char *line, char *out, size_t room)
{
    const char *at = strstr(line, " msg=");
    if (!at || (!text_starts(line, "time=") && !text_starts(line, "level=")))
        return false;
    at += strlen(" msg=");
    if (*at != '"')
        return text_copy(out, room, at);
    size_t used = 0;
    for (at++; *at && *at != '"' && used + 1 < room; at++) {
        if (*at == '\\' && (at[1] == 'n' || at[1] == 'r'))
            break;
        if (*at == '\\' && at[1])
            at++;
        out[used++] = *at;
    }
    out[used] = '\0';
    return true;
}

// What Kaniko says of its work, and takes long at times.
static bool is_work(const char *message)
{
    static const char *const words[] = {"Retrieving image ", "Unpacking rootfs ",
                                        "Taking snapshot ", "Pushing ", NULL};
    for (size_t i = 0; words[i]; i++)
        if (text_starts(message, words[i]))
            return true;
    return false;
}

static void take_message(const char *message, struct findings *found)
{
    static const char retrieving[] = "Retrieving image manifest ";
    bool instruction = starts_with_instruction(message);
    found->output_count = 0;
    if (instruction)
        text_copy(found->instruction, sizeof found->instruction, message);
    else if (text_starts(message, retrieving))
        text_copy(found->image, sizeof found->image, message + strlen(retrieving));
    else if (text_starts(message, "Running: ")) // a command, after a snapshot that goes before it
        text_copy(found->doing, sizeof found->doing, found->instruction);
    if (instruction || is_work(message))
        text_copy(found->doing, sizeof found->doing, message);
}

static void take_line(const char *line, struct line raw, struct findings *found)
{
    char message[LINE_MAX_BYTES];
    if (message_of(line, message, sizeof message)) {
        take_message(message, found);
        return;
    }
    if (text_starts(line, "error ") || text_starts(line, "Error: "))
        text_copy(found->error, sizeof found->error, line);
    if (!text_starts(line, "error building image: ") && line[strspn(line, " ")])
        found->output[found->output_count++ % KANIKO_OUTPUT_LINES] = raw;
}

static void read_tail(const char *log, size_t len, struct findings *found)
{
    if (len > TAIL_MAX) {
        log += len - TAIL_MAX;
        len = TAIL_MAX;
    }
    for (const char *end = log + len; log < end;) {
        const char *newline = memchr(log, '\n', (size_t)(end - log));
        const char *stop = newline ? newline : end;
        char line[LINE_MAX_BYTES];
        printable_copy(line, sizeof line, log, (size_t)(stop - log));
        take_line(line, (struct line){log, (size_t)(stop - log)}, found);
        log = newline ? newline + 1 : end;
    }
}

// "RUN pip install -r requirements.txt…", at most INSTRUCTION_MAX bytes, cut after a word.
static void shorten(char *instruction)
{
    char *out = instruction;
    for (const char *at = instruction; *at; at++)
        if (*at != ' ' || at[1] != ' ')
            *out++ = *at;
    *out = '\0';
    if (strlen(instruction) <= INSTRUCTION_MAX)
        return;
    size_t cut = INSTRUCTION_MAX - strlen("…");
    while (cut > 0 && instruction[cut] != ' ')
        cut--;
    if (cut < INSTRUCTION_MAX / 2) { // one long word
        cut = INSTRUCTION_MAX - strlen("…");
        while (cut > 0 && (instruction[cut] & 0xc0) == 0x80)
            cut--;
    }
    while (cut > 0 && instruction[cut - 1] == ' ')
        cut--;
    memcpy(instruction + cut, "…", sizeof "…");
}

// Kaniko's wrapping says where in Kaniko, not where in the Dockerfile.
static const char *unwrapped(const char *error)
{
    static const char *const wrappings[] = {
        "Error: ",
        "error building image: ",
        "error building stage: ",
        "error resolving dockerfile path: ",
        "error resolving source context: ",
        "error pushing image: ",
        "failed to optimize instructions: ",
        "failed to get files used from context: ",
        "failed to get filesystem from image: ",
        "parsing dockerfile: ",
        "dockerfile parse error on ",
        "unable to complete operation after 0 attempts, last error: ",
        NULL,
    };
    for (size_t i = 0; wrappings[i]; i++)
        if (text_starts(error, wrappings[i])) {
            error += strlen(wrappings[i]);
            i = (size_t)-1;
        }
    return error;
}

// "… failed to execute command: waiting for process to exit: exit status 1"
static bool failed_instruction(const struct findings *found, char *out, size_t room)
{
    static const char mark[] = "failed to execute command: ";
    static const char wait[] = "waiting for process to exit: ";
    static const char status[] = "exit status ";
    const char *at = strstr(found->error, mark);
    if (!at || !found->instruction[0])
        return false;
    at += strlen(mark);
    if (text_starts(at, wait))
        at += strlen(wait);
    bool has_status = text_starts(at, status);
    char said[SAID_MAX] = "";
    if (found->output_count > 0) {
        struct line last = found->output[(found->output_count - 1) % KANIKO_OUTPUT_LINES];
        printable_copy(said, sizeof said, last.text, last.len);
    }
    snprintf(out, room, "%s: %s%s%s%s", found->instruction, has_status ? "exit " : "",
             has_status ? at + strlen(status) : at, *said ? ": " : "", said);
    return true;
}

// "… lstat /kaniko/buildcontext/app.py: no such file or directory", or "/kaniko/0/app" for what
// COPY --from=0 wants. Kaniko looks for files before it names the instruction.
static bool missing_file(const struct findings *found, char *out, size_t room)
{
    static const char context[] = "/kaniko/buildcontext/";
    static const char stage[] = "/kaniko/";
    if (!text_ends(found->error, "no such file or directory"))
        return false;
    const char *at = strstr(found->error, context);
    if (at) {
        at += strlen(context);
        snprintf(out, room, "%.*s: not in the build context", (int)strcspn(at, ":"), at);
        return true;
    }
    at = strstr(found->error, stage);
    size_t digits = at ? strspn(at + strlen(stage), "0123456789") : 0;
    if (!digits || at[strlen(stage) + digits] != '/')
        return false;
    const char *path = at + strlen(stage) + digits;
    snprintf(out, room, "%.*s: not in stage %.*s", (int)strcspn(path, ":"), path, (int)digits,
             at + strlen(stage));
    return true;
}

static bool missing_base(const struct findings *found, char *out, size_t room)
{
    static const char *const words[] = {"MANIFEST_UNKNOWN", "NAME_UNKNOWN", "NOT_FOUND",
                                        "404 Not Found", NULL};
    static const char *const refusals[] = {"UNAUTHORIZED", "DENIED", "401 Unauthorized",
                                           "403 Forbidden", NULL};
    if (!found->image[0] || strstr(found->error, "push"))
        return false;
    const char *cause = NULL;
    for (size_t i = 0; words[i]; i++)
        if (strstr(found->error, words[i]))
            cause = "not found";
    for (size_t i = 0; refusals[i]; i++)
        if (strstr(found->error, refusals[i]))
            cause = "not found, or needs a login";
    if (cause)
        snprintf(out, room, "FROM %s: %s", found->image, cause);
    return cause;
}

// What the other side answered, without the address (the destination is named already) and without
// the second try over another scheme.
static void print_push_cause(const char *cause, char *out, size_t room)
{
    static const char failed[] = " failed: ";
    if (text_starts(cause, "creating push check transport for ") && strstr(cause, failed))
        cause = strstr(cause, failed) + strlen(failed);
    const char *second = strstr(cause, "; Get \"");
    size_t len = second ? (size_t)(second - cause) : strlen(cause);
    static const char *const requests[] = {"Get \"",    "Put \"",     "Post \"",  "Patch \"",
                                           "Head \"",   "GET http",   "PUT http", "POST http",
                                           "HEAD http", "PATCH http", NULL};
    for (size_t i = 0; requests[i]; i++) {
        const char *end = text_starts(cause, requests[i]) ? strstr(cause, ": ") : NULL;
        if (!end || end >= cause + len)
            continue;
        len -= (size_t)(end + strlen(": ") - cause);
        cause = end + strlen(": ");
        break;
    }
    const char *dump = memmem(cause, len, "; [map[", strlen("; [map[")); // what it asked for, in Go
    if (dump)
        len = (size_t)(dump - cause);
    snprintf(out, room, "%.*s", (int)len, cause);
}

// `… checking push permission for "HOST/PATH:TAG": CAUSE`, and
// `error pushing image: failed to push to destination HOST/PATH:TAG: CAUSE`
static bool failed_push(const struct findings *found, char *out, size_t room)
{
    static const char *const marks[] = {"checking push permission for \"",
                                        "failed to push to destination ", NULL};
    for (size_t i = 0; marks[i]; i++) {
        const char *at = strstr(found->error, marks[i]);
        const char *end = at ? strstr(at + strlen(marks[i]), ": ") : NULL;
        if (!end)
            continue;
        at += strlen(marks[i]);
        const char *tag = memrchr(at, ':', (size_t)(end - at));
        char cause[LINE_MAX_BYTES];
        print_push_cause(end + 2, cause, sizeof cause);
        snprintf(out, room, "push to %.*s: %s", (int)((tag ? tag : end) - at), at, cause);
        return true;
    }
    return false;
}

bool kaniko_cause_is_transient(const char *cause)
{
    static const char *const words[] = {"connection refused",
                                        "connection reset",
                                        "no such host",
                                        "i/o timeout",
                                        "handshake timeout",
                                        "unexpected EOF",
                                        "context deadline exceeded",
                                        "TOOMANYREQUESTS",
                                        "Too Many Requests",
                                        "UNSUPPORTED", // a registry that is read-only for a while
                                        "Method Not Allowed",
                                        "Internal Server Error",
                                        "Bad Gateway",
                                        "Service Unavailable",
                                        "Gateway Timeout",
                                        NULL};
    // What a command of the Dockerfile met is its own matter: it names its instruction.
    if (starts_with_instruction(cause))
        return false;
    for (size_t i = 0; words[i]; i++)
        if (strstr(cause, words[i]))
            return true;
    return false;
}

bool kaniko_log_doing(const char *log, size_t len, char *out, size_t room)
{
    struct findings found = {0};
    read_tail(log, len, &found);
    if (!found.doing[0])
        return false;
    shorten(found.doing);
    printable_copy(out, room, found.doing, strlen(found.doing));
    return true;
}

json_t *kaniko_log_output(const char *log, size_t len)
{
    struct findings found = {0};
    json_t *lines = json_array();
    read_tail(log, len, &found);
    size_t first =
        found.output_count > KANIKO_OUTPUT_LINES ? found.output_count - KANIKO_OUTPUT_LINES : 0;
    for (size_t i = first; i < found.output_count && found.instruction[0]; i++) {
        struct line line = found.output[i % KANIKO_OUTPUT_LINES];
        char text[KANIKO_OUTPUT_MAX];
        printable_copy(text, sizeof text, line.text, line.len);
        json_array_append_new(lines, json_string(text));
    }
    return lines;
}

bool kaniko_log_reason(const char *log, size_t len, char *out, size_t room)
{
    struct findings found = {0};
    read_tail(log, len, &found);
    if (!found.error[0])
        return false;
    shorten(found.instruction);
    static bool (*const readers[])(const struct findings *, char *, size_t) = {
        failed_instruction, missing_file, missing_base, failed_push};
    char cause[2 * LINE_MAX_BYTES];
    bool known = false;
    for (size_t i = 0; !known && i < sizeof readers / sizeof readers[0]; i++)
        known = readers[i](&found, cause, sizeof cause);
    if (!known)
        text_copy(cause, sizeof cause, unwrapped(found.error));
    printable_copy(out, room, cause, strlen(cause));
    return true;
}
