// repository_identify(): an identity is a fixed point, and has none of what it promises to refuse.
#include "agent/base/buffer.h"
#include "agent/base/text.h"
#include "webhooks/repository.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(free_ptr) char *url = xstrndup((const char *)data, size);
    char identity[REPOSITORY_MAX + 1];
    char again[REPOSITORY_MAX + 1];
    struct error err = {0};
    if (!repository_identify(url, identity, &err)) {
        if (err.code != ERR_INVALID)
            abort();
        return 0;
    }
    if (!repository_identify(identity, again, &err) || strcmp(identity, again) != 0)
        abort();
    const char *slash = strchr(identity, '/');
    if (!slash || slash == identity || !slash[1] || text_ends(identity, "/") ||
        strstr(identity, "//") || strstr(identity, "/../") || text_ends(identity, "/..") ||
        strpbrk(identity, "%?#\\") || !text_is_utf8(identity, strlen(identity)))
        abort();
    for (const char *c = identity; *c; c++)
        if (iscntrl((unsigned char)*c) || (c < slash && isupper((unsigned char)*c)))
            abort();
    return 0;
}
