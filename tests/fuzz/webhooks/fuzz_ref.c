// ref_check() against the same rules applied component by component.
#include "agent/base/buffer.h"
#include "agent/base/text.h"
#include "webhooks/ref.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool component_is_good(const char *name, size_t len)
{
    if (len == 0 || name[0] == '.')
        return false;
    if (len >= 5 && memcmp(name + len - 5, ".lock", 5) == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];
        char next = i + 1 < len ? name[i + 1] : '\0';
        if (c <= ' ' || c == 0x7f || c == '~' || c == '^' || c == ':' || c == '?' || c == '*' ||
            c == '[' || c == '\\' || (c == '.' && next == '.') || (c == '@' && next == '{'))
            return false;
    }
    return true;
}

static bool is_good(const char *ref)
{
    size_t len = strlen(ref);
    if (len > REF_MAX || strncmp(ref, "refs/", 5) != 0 || ref[len - 1] == '.' ||
        !text_is_utf8(ref, len))
        return false;
    for (const char *at = ref;; at++) {
        size_t part = strcspn(at, "/");
        if (!component_is_good(at, part))
            return false;
        at += part;
        if (!*at)
            return true;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(free_ptr) char *ref = xstrndup((const char *)data, size);
    struct error err = {0};
    bool taken = ref_check(ref, &err);
    if (taken != is_good(ref) || (!taken && err.code != ERR_INVALID))
        abort();
    const char *branch = ref_branch(ref);
    if (branch && ref_check_branch(branch, NULL) &&
        (!taken || branch[0] == '-' || strcmp(branch, "HEAD") == 0))
        abort();
    return 0;
}
