// registry_challenge_parse(): a bearer challenge has a realm, and no text is longer than what it
// came from.
#include "agent/base/buffer.h"
#include "build/registry.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(free_ptr) char *value = xstrndup((const char *)data, size);
    struct registry_challenge challenge;
    struct error err = {0};
    if (!registry_challenge_parse(value, &challenge, &err)) {
        if (err.code != ERR_PROTOCOL)
            abort();
        return 0;
    }
    if (challenge.bearer != (challenge.realm[0] != '\0') ||
        strlen(challenge.realm) + strlen(challenge.service) + strlen(challenge.scope) > size)
        abort();
    return 0;
}
