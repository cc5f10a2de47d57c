// What the disk can do: how often a second 4 KiB can be appended to a file and synced.
//
//     disk DIRECTORY SECONDS
#include "agent/base/buffer.h"
#include "agent/base/clock.h"
#include "agent/base/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define BLOCK 4096

int main(int argc, char **argv)
{
    int64_t seconds;
    if (argc != 3 || !text_to_int(argv[2], 1, 60, &seconds)) {
        fputs("usage: disk DIRECTORY SECONDS\n", stderr);
        return 2;
    }
    CLEANUP(free_ptr) char *path = xasprintf("%s/disk-bench-%d", argv[1], getpid());
    CLEANUP(close_fd) int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) {
        perror(path);
        return 1;
    }
    static const char block[BLOCK];
    int64_t syncs = 0;
    struct mono_time began = mono_now();
    while (mono_now().ms - began.ms < seconds * 1000) {
        if (write(fd, block, sizeof block) != sizeof block || fdatasync(fd) != 0) {
            perror(path);
            unlink(path);
            return 1;
        }
        syncs++;
    }
    unlink(path);
    printf("%.0f\n", (double)syncs * 1000 / (double)(mono_now().ms - began.ms));
    return 0;
}
