#include "deploy/text_fields.h"
#include "agent/base/buffer.h"

#include <stdint.h>

static const char empty[] = ""; // shared by all: most members of most records are

static const char **member_at(void *record, size_t offset)
{
    return (const char **)((char *)record + offset);
}

static void release(const char *text)
{
    if (text != empty)
        free((void *)(uintptr_t)text); // ours, though readers see it const
}

void text_fields_init(void *record, struct text_fields fields)
{
    for (size_t i = 0; i < fields.count; i++)
        *member_at(record, fields.offsets[i]) = empty;
}

void text_fields_finish(void *record, struct text_fields fields)
{
    for (size_t i = 0; i < fields.count; i++)
        release(*member_at(record, fields.offsets[i]));
}

void text_field_set(const char **member, const char *text)
{
    const char *old = *member;
    *member = text && *text ? xstrdup(text) : empty;
    release(old);
}
