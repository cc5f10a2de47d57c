// A settings file of any bytes is loaded or refused with at least one error; nothing is left over.
#include "agent/base/buffer.h"
#include "agent/config.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    if (fd < 0 && (fd = memfd_create("settings", MFD_CLOEXEC)) < 0)
        abort();
    CLEANUP(free_ptr) char *path = xasprintf("/proc/self/fd/%d", fd);
    if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    struct config config;
    struct config_errors errors;
    if (config_load(path, &config, &errors)) {
        if (errors.count > 0)
            abort();
        struct config_grant grant;
        if (config_allows(&config, "reports", "https://git.example/acme/x", "registry.example/x",
                          &grant, NULL))
            (void)config_credential(&config, grant.credential, "https://git.example/acme/x");
        config_finish(&config);
    } else if (errors.count == 0) {
        abort();
    }
    config_errors_finish(&errors);
    return 0;
}
