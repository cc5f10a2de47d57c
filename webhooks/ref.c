#include "webhooks/ref.h"

#include "agent/base/text.h"

#include <stdio.h>
#include <string.h>

#define HEADS "refs/heads/"
#define TAGS  "refs/tags/"

// What must not be anywhere in a ref, as git-check-ref-format(1) lists it.
static const struct {
    const char *text;
    const char *why;
} forbidden[] = {
    {"..", "it holds \"..\""},
    {"@{", "it holds \"@{\""},
    {"//", "it holds \"//\""},
    {"/.", "a part of it starts with a dot"},
    {".lock/", "a part of it ends with \".lock\""},
};

static const char *broken_rule(const char *ref)
{
    size_t len = strlen(ref);
    if (len > REF_MAX)
        return "it is too long";
    if (!text_is_utf8(ref, len))
        return "it is not UTF-8";
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)ref[i];
        if (c < 0x20 || c == 0x7f)
            return "it holds a control character";
        if (strchr(" ~^:?*[\\", c))
            return "it holds a space or one of ~ ^ : ? * [ \\";
    }
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++)
        if (strstr(ref, forbidden[i].text))
            return forbidden[i].why;
    if (text_ends(ref, ".lock"))
        return "it ends with \".lock\"";
    if (text_ends(ref, "/") || text_ends(ref, "."))
        return "it ends with a slash or a dot";
    return NULL;
}

bool ref_check(const char *ref, struct error *err)
{
    const char *why = broken_rule(ref);
    if (!why && (!text_starts(ref, "refs/") || !ref[strlen("refs/")]))
        why = "it does not start with \"refs/\"";
    return why ? error_set(err, ERR_INVALID, "not a ref that Git allows: %s", why) : true;
}

bool ref_check_branch(const char *name, struct error *err)
{
    if (!*name)
        return error_set(err, ERR_INVALID, "the branch name is empty");
    if (name[0] == '-' || strcmp(name, "HEAD") == 0)
        return error_set(err, ERR_INVALID, "not a branch name that Git allows: it %s",
                         name[0] == '-' ? "starts with '-'" : "is \"HEAD\"");
    char ref[REF_MAX + 2]; // one byte more than allowed, so that too long is still seen
    snprintf(ref, sizeof ref, HEADS "%s", name);
    return ref_check(ref, err);
}

static const char *after_prefix(const char *ref, const char *prefix)
{
    return text_starts(ref, prefix) ? ref + strlen(prefix) : NULL;
}

const char *ref_branch(const char *ref)
{
    return after_prefix(ref, HEADS);
}

const char *ref_tag(const char *ref)
{
    return after_prefix(ref, TAGS);
}
