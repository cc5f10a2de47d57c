// A service's file of any bytes is read or refused; every place that it has is one of a value,
// which its pointer leads to. The bytes are a pointer too, which need not lead anywhere.
#include "agent/cli/draft.h"
#include "agent/cli/service_file.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void follow(const json_t *root, const char *pointer, bool leads_somewhere)
{
    CLEANUP(free_ptr) char *text = pointer_text(pointer);
    const json_t *value = pointer_get(root, pointer);
    (void)draft_option(pointer);
    if (leads_somewhere && value == NULL)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    if (fd < 0 && (fd = memfd_create("service", MFD_CLOEXEC)) < 0)
        abort();
    CLEANUP(free_ptr) char *path = xasprintf("/proc/self/fd/%d", fd);
    CLEANUP(free_ptr) char *pointer = xstrndup((const char *)data, size);
    if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    CLEANUP(service_file_finish) struct service_file file = {0};
    struct error err = {0};
    if (!service_file_read(path, &file, &err)) {
        if (err.code == ERR_NONE)
            abort();
        return 0;
    }
    const char *place;
    json_t *numbers;
    json_object_foreach(file.yaml.places, place, numbers) follow(file.yaml.root, place, true);
    follow(file.yaml.root, pointer, false);
    return 0;
}
