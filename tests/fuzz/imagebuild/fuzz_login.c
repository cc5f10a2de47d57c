// registry_login(): both or neither, and an error never has a part of the file in it.
#include "agent/base/buffer.h"
#include "build/registry.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const registries[] = {"docker.io", "registry.example:5000"};
    CLEANUP(free_ptr) char *config = xstrndup((const char *)data, size);
    for (size_t i = 0; i < sizeof registries / sizeof registries[0]; i++) {
        char *username, *password;
        struct error err = {0};
        bool good = registry_login(config, registries[i], &username, &password, &err);
        if (!username != !password || (!good && (username || err.code != ERR_INVALID)))
            abort();
        secret_free(username);
        secret_free(password);
    }
    return 0;
}
