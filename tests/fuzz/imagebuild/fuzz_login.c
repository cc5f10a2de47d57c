// registry_login_find(): both or neither, and an error never has a part of the file in it.
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
        struct registry_login login;
        struct error err = {0};
        bool good = registry_login_find(config, registries[i], "acme/report", &login, &err);
        if (!login.username != !login.password || (login.username && login.identity_token) ||
            (!good && (login.username || login.identity_token || err.code != ERR_INVALID)))
            abort();
        registry_login_finish(&login);
    }
    return 0;
}
