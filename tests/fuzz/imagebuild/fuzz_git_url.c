// git_url_parse(): what it takes has a host and a port, and nothing that a shell or a header reads.
#include "agent/base/buffer.h"
#include "build/git/url.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(free_ptr) char *url = xstrndup((const char *)data, size);
    struct git_url parsed;
    struct error err = {0};
    if (!git_url_parse(url, &parsed, &err)) {
        if (err.code != ERR_INVALID)
            abort();
        return 0;
    }
    if (!*parsed.host || parsed.host[0] == '-' || parsed.user[0] == '-' || parsed.port < 1 ||
        parsed.port > 65535 || (parsed.kind == GIT_URL_SSH) != (parsed.user[0] != '\0'))
        abort();
    for (const char *c = url; *c; c++)
        if (iscntrl((unsigned char)*c) || *c == ' ')
            abort();
    return 0;
}
