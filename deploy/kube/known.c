#include "deploy/kube/known.h"
#include "agent/base/buffer.h"
#include "agent/base/crypto.h"
#include "agent/base/text.h"

#include <stdint.h>
#include <string.h>

#define SLOTS_FIRST ((size_t)64) // a power of two

struct entry {
    struct entry *next;
    uint32_t hash;
    uint32_t list;   // the last one that had it
    uint32_t uid_at; // in `text`
    char text[];     // the name, NUL, the uid, NUL
};

struct known {
    struct entry **slots;
    size_t slot_count;
    size_t count;
    uint64_t seed;
    uint32_t list; // the newest
};

static struct entry **place_of(const struct known *known, const char *name)
{
    uint32_t wanted = (uint32_t)text_hash(known->seed, name);
    struct entry **at = &known->slots[wanted & (known->slot_count - 1)];
    while (*at && ((*at)->hash != wanted || strcmp((*at)->text, name) != 0))
        at = &(*at)->next;
    return at;
}

static void grow(struct known *known)
{
    size_t before = known->slot_count;
    struct entry **old = known->slots;
    known->slot_count = before ? 2 * before : SLOTS_FIRST;
    known->slots = xalloc(known->slot_count * sizeof(struct entry *));
    for (size_t i = 0; i < before; i++)
        for (struct entry *entry = old[i], *next; entry; entry = next) {
            struct entry **at = &known->slots[entry->hash & (known->slot_count - 1)];
            next = entry->next;
            entry->next = *at;
            *at = entry;
        }
    free(old);
}

static void take_out(struct known *known, struct entry **at)
{
    struct entry *entry = *at;
    *at = entry->next;
    free(entry);
    known->count--;
}

struct known *known_create(void)
{
    struct known *known = xalloc(sizeof *known);
    random_bytes(&known->seed, sizeof known->seed);
    grow(known);
    return known;
}

void known_destroy(struct known *known)
{
    if (!known)
        return;
    for (size_t i = 0; i < known->slot_count; i++)
        while (known->slots[i])
            take_out(known, &known->slots[i]);
    free(known->slots);
    free(known);
}

const char *known_uid(const struct known *known, const char *name)
{
    const struct entry *entry = *place_of(known, name);
    return entry ? entry->text + entry->uid_at : NULL;
}

void known_put(struct known *known, const char *name, const char *uid)
{
    struct entry **at = place_of(known, name);
    if (*at && strcmp((*at)->text + (*at)->uid_at, uid) == 0) {
        (*at)->list = known->list;
        return;
    }
    if (*at)
        take_out(known, at);
    if (known->count >= known->slot_count)
        grow(known);
    size_t name_size = strlen(name) + 1, uid_size = strlen(uid) + 1;
    struct entry *entry = xalloc(sizeof *entry + name_size + uid_size);
    entry->hash = (uint32_t)text_hash(known->seed, name);
    entry->list = known->list;
    entry->uid_at = (uint32_t)name_size;
    memcpy(entry->text, name, name_size);
    memcpy(entry->text + name_size, uid, uid_size);
    at = &known->slots[entry->hash & (known->slot_count - 1)];
    entry->next = *at;
    *at = entry;
    known->count++;
}

void known_drop(struct known *known, const char *name)
{
    struct entry **at = place_of(known, name);
    if (*at)
        take_out(known, at);
}

void known_begin_list(struct known *known)
{
    known->list++;
}

void known_end_list(struct known *known,
                    void (*gone)(void *user, const char *name, const char *uid), void *user)
{
    for (size_t i = 0; i < known->slot_count; i++)
        for (struct entry **at = &known->slots[i]; *at;) {
            if ((*at)->list == known->list) {
                at = &(*at)->next;
                continue;
            }
            gone(user, (*at)->text, (*at)->text + (*at)->uid_at);
            take_out(known, at);
        }
}

size_t known_count(const struct known *known)
{
    return known->count;
}
