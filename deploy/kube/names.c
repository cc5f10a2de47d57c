#include "deploy/kube/names.h"

#include <string.h>

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

// `len` bytes of lower-case letters, digits and '-', with neither end a '-'.
static bool is_label(const char *text, size_t len)
{
    if (len == 0 || !is_alphanumeric(text[0]) || !is_alphanumeric(text[len - 1]))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_alphanumeric(text[i]) && text[i] != '-')
            return false;
    return true;
}

bool kube_is_label(const char *text)
{
    size_t len = strnlen(text, KUBE_LABEL_MAX + 1);
    return len <= KUBE_LABEL_MAX && is_label(text, len);
}

bool kube_is_name(const char *text)
{
    if (strnlen(text, KUBE_NAME_MAX + 1) > KUBE_NAME_MAX)
        return false;
    for (;;) {
        size_t len = strcspn(text, ".");
        if (!is_label(text, len))
            return false;
        if (text[len] == '\0')
            return true;
        text += len + 1;
    }
}
