// Whatever stands in a log file, its end is found, it can be followed on, and it reads the same in
// pieces of any size.
#include "deploy/kube/podlog_lines.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(struct podlog_hub *hub, const char *path, size_t room, struct buffer *out,
                     struct podlog_end *end)
{
    struct podlog_reader *reader;
    char chunk[64];
    size_t len = 1;
    if (!podlog_reader_open(hub, path, 0, false, &reader, NULL))
        abort();
    while (len > 0)
        if (!podlog_read(reader, mono_now(), chunk, room, &len, end, NULL) ||
            !buffer_append(out, chunk, len, NULL))
            break; // a last line that is too long
    podlog_reader_close(reader);
}

static void check_end(int fd, size_t size)
{
    uint64_t whole;
    struct podlog_end end;
    struct podlog_resume resume;
    if (!podlog_file_end(fd, &whole, &end, NULL) || whole > size)
        abort();
    if (!podlog_resume_read(fd, whole, &resume, NULL))
        abort();
    for (size_t i = 0; i < resume.count; i++) // what the file has, it has
        if (!podlog_resume_has(&resume, resume.stamps[i]))
            abort();
    podlog_resume_finish(&resume);
}

// The last lines are the end of the text, and as many as are asked for.
static void check_part(struct podlog_hub *hub, const char *path, int64_t tail,
                       const struct buffer *text)
{
    struct podlog_part part = {.tail = tail};
    struct podlog_place place;
    if (!podlog_locate(hub, path, &part, false, &place, NULL) || place.offset > text->len)
        abort();
    uint64_t offset = place.offset;
    size_t lines = 0;
    for (size_t i = (size_t)offset; i < text->len; i++)
        lines += text->data[i] == '\n';
    if (tail >= 0 && lines > (size_t)tail)
        abort();
    if (offset > 0 && text->data[offset - 1] != '\n')
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct podlog_end one_end, other_end;
    struct podlog_hub *hub = podlog_hub_create(NULL, NULL);
    CLEANUP(close_fd) int fd = memfd_create("log", MFD_CLOEXEC);
    CLEANUP(buffer_finish) struct buffer one = {0};
    CLEANUP(buffer_finish) struct buffer other = {0};
    if (fd < 0 || (size > 0 && write(fd, data, size) != (ssize_t)size))
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    check_end(fd, size);
    read_all(hub, path, 1, &one, &one_end);
    read_all(hub, path, sizeof "a prime number of bytes", &other, &other_end);
    if (one.len != other.len || memcmp(buffer_text(&one), buffer_text(&other), one.len) != 0 ||
        one_end.state != other_end.state || strcmp(one_end.why, other_end.why) != 0)
        abort();
    for (int64_t tail = -1; tail < 4; tail++)
        check_part(hub, path, tail, &one);
    podlog_hub_destroy(hub);
    return 0;
}
