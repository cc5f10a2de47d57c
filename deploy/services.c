#include "deploy/services.h"
#include "agent/base/crypto.h"
#include "agent/base/text.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define SLOTS_FIRST 64 // a power of two, as all sizes of the tables

// A service in both tables.
struct entry {
    const struct service *service;
    char *key; // "identity\nbranch"; NULL: found by name only
    uint64_t name_hash;
    uint64_t key_hash;
    struct entry *next_name; // in the same slot
    struct entry *next_key;
};

struct service_cache {
    struct service_cache_options options;
    uint64_t seed;
    pthread_mutex_t mutex; // guards what follows
    struct entry **names;  // chains by namespace and name
    struct entry **keys;   // chains by repository identity and branch
    size_t slots;          // of each
    size_t count;
};

// Keys come from whoever may write CronJobs.
static uint64_t hash(uint64_t seed, const char *a, const char *b)
{
    return text_hash(text_hash(seed, a), b);
}

static bool is_named(const struct entry *entry, const char *namespace_, const char *name)
{
    return strcmp(entry->service->name, name) == 0 &&
           strcmp(entry->service->namespace_, namespace_) == 0;
}

// The place of the pointer to the entry of that name, or to the chain's end.
static struct entry **find_name(struct service_cache *cache, const char *namespace_,
                                const char *name)
{
    uint64_t wanted = hash(cache->seed, namespace_, name);
    struct entry **at = &cache->names[wanted & (cache->slots - 1)];
    while (*at && ((*at)->name_hash != wanted || !is_named(*at, namespace_, name)))
        at = &(*at)->next_name;
    return at;
}

static void link_entry(struct service_cache *cache, struct entry *entry)
{
    struct entry **name = &cache->names[entry->name_hash & (cache->slots - 1)];
    struct entry **key = &cache->keys[entry->key_hash & (cache->slots - 1)];
    entry->next_name = *name;
    *name = entry;
    if (!entry->key)
        return;
    entry->next_key = *key;
    *key = entry;
}

static void grow(struct service_cache *cache)
{
    struct entry **old = cache->names;
    size_t slots = cache->slots;
    free(cache->keys);
    cache->slots = slots ? 2 * slots : SLOTS_FIRST;
    cache->names = xalloc(cache->slots * sizeof(struct entry *));
    cache->keys = xalloc(cache->slots * sizeof(struct entry *));
    for (size_t i = 0; i < slots; i++)
        for (struct entry *entry = old[i], *next; entry; entry = next) {
            next = entry->next_name;
            link_entry(cache, entry);
        }
    free(old);
}

static void insert(struct service_cache *cache, const struct service *service)
{
    char identity[SERVICE_IDENTITY_MAX];
    struct entry *entry = xalloc(sizeof *entry);
    entry->service = service_hold(service);
    entry->name_hash = hash(cache->seed, service->namespace_, service->name);
    if (*service->repository && *service->branch &&
        cache->options.identify(service->repository, identity, sizeof identity)) {
        entry->key = xasprintf("%s\n%s", identity, service->branch);
        entry->key_hash = hash(cache->seed, identity, service->branch);
    }
    if (cache->count >= cache->slots)
        grow(cache);
    link_entry(cache, entry);
    cache->count++;
}

// Takes the entry at `place` out and hands on its service.
static const struct service *take_out(struct service_cache *cache, struct entry **place)
{
    struct entry *entry = *place;
    const struct service *service = entry->service;
    *place = entry->next_name;
    if (entry->key) {
        struct entry **at = &cache->keys[entry->key_hash & (cache->slots - 1)];
        while (*at != entry)
            at = &(*at)->next_key;
        *at = entry->next_key;
    }
    free(entry->key);
    free(entry);
    cache->count--;
    return service;
}

// --- life ---

struct service_cache *service_cache_create(const struct service_cache_options *options)
{
    struct service_cache *cache = xalloc(sizeof *cache);
    cache->options = *options;
    random_bytes(&cache->seed, sizeof cache->seed);
    pthread_mutex_init(&cache->mutex, NULL);
    grow(cache);
    return cache;
}

void service_cache_destroy(struct service_cache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < cache->slots; i++)
        while (cache->names[i])
            service_drop(take_out(cache, &cache->names[i]));
    free(cache->names);
    free(cache->keys);
    pthread_mutex_destroy(&cache->mutex);
    free(cache);
}

// --- what the watch tells ---

static void tell(struct service_cache *cache, const struct service *before,
                 const struct service *after)
{
    bool same = before && after && strcmp(before->uid, after->uid) == 0 &&
                strcmp(before->resource_version, after->resource_version) == 0;
    if ((before || after) && !same && cache->options.changed)
        cache->options.changed(cache->options.user, before, after);
}

static void put(struct service_cache *cache, const json_t *cronjob)
{
    CLEANUP(service_ptr) const struct service *before = NULL;
    CLEANUP(service_ptr) const struct service *after = NULL;
    if (!service_from_json(cronjob, &after, NULL))
        return;
    pthread_mutex_lock(&cache->mutex);
    struct entry **place = find_name(cache, after->namespace_, after->name);
    if (*place)
        before = take_out(cache, place);
    insert(cache, after);
    pthread_mutex_unlock(&cache->mutex);
    tell(cache, before, after);
}

static void drop(struct service_cache *cache, const json_t *cronjob)
{
    CLEANUP(service_ptr) const struct service *before = NULL;
    const char *namespace_ = json_text_at(cronjob, "metadata", "namespace", NULL);
    const char *name = json_text_at(cronjob, "metadata", "name", NULL);
    if (!namespace_ || !name)
        return;
    pthread_mutex_lock(&cache->mutex);
    struct entry **place = find_name(cache, namespace_, name);
    if (*place)
        before = take_out(cache, place);
    pthread_mutex_unlock(&cache->mutex);
    tell(cache, before, NULL);
}

static void item(void *user, enum kube_event event, const json_t *object)
{
    if (event == KUBE_DELETED)
        drop(user, object);
    else
        put(user, object);
}

const struct kube_watch_events SERVICE_CACHE_EVENTS = {.item = item};

// --- what others ask ---

static void append(struct service_list *list, const struct service *service)
{
    if ((list->count & (list->count - 1)) == 0) // a power of two: full
        list->items =
            xrealloc(list->items, (list->count ? 2 * list->count : 1) * sizeof *list->items);
    list->items[list->count++] = service_hold(service);
}

static int by_name(const void *a, const void *b)
{
    const struct service *one = *(const struct service *const *)a;
    const struct service *two = *(const struct service *const *)b;
    int order = strcmp(one->namespace_, two->namespace_);
    return order ? order : strcmp(one->name, two->name);
}

static void sort(struct service_list *list)
{
    if (list->count > 1)
        qsort(list->items, list->count, sizeof *list->items, by_name);
}

void service_list_finish(struct service_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        service_drop(list->items[i]);
    free(list->items);
    *list = (struct service_list){0};
}

void service_cache_list(struct service_cache *cache, const char *namespace_,
                        struct service_list *out)
{
    bool all = !namespace_ || !*namespace_;
    *out = (struct service_list){0};
    pthread_mutex_lock(&cache->mutex);
    for (size_t i = 0; i < cache->slots; i++)
        for (struct entry *entry = cache->names[i]; entry; entry = entry->next_name)
            if (all || strcmp(entry->service->namespace_, namespace_) == 0)
                append(out, entry->service);
    pthread_mutex_unlock(&cache->mutex);
    sort(out);
}

void service_cache_find(struct service_cache *cache, const char *identity, const char *branch,
                        struct service_list *out)
{
    CLEANUP(free_ptr) char *key = xasprintf("%s\n%s", identity, branch);
    uint64_t wanted = hash(cache->seed, identity, branch);
    *out = (struct service_list){0};
    pthread_mutex_lock(&cache->mutex);
    struct entry *entry = cache->keys[wanted & (cache->slots - 1)];
    for (; entry; entry = entry->next_key)
        if (entry->key_hash == wanted && strcmp(entry->key, key) == 0)
            append(out, entry->service);
    pthread_mutex_unlock(&cache->mutex);
    sort(out);
}

const struct service *service_cache_get(struct service_cache *cache, const char *namespace_,
                                        const char *name)
{
    pthread_mutex_lock(&cache->mutex);
    const struct entry *entry = *find_name(cache, namespace_, name);
    const struct service *service = entry ? service_hold(entry->service) : NULL;
    pthread_mutex_unlock(&cache->mutex);
    return service;
}

size_t service_cache_count(struct service_cache *cache)
{
    pthread_mutex_lock(&cache->mutex);
    size_t count = cache->count;
    pthread_mutex_unlock(&cache->mutex);
    return count;
}
