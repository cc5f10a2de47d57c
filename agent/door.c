#include "agent/door.h"

#include "agent/base/buffer.h"

#include <netinet/in.h>
#include <pthread.h>
#include <string.h>

#define BUCKETS 1024 // of addresses; the largest maxConnections leaves ten or so in each

struct door {
    unsigned most, per_address;

    pthread_mutex_t lock; // guards what follows; no other lock is taken under it
    unsigned count;
    struct visitor *buckets[BUCKETS];
};

void door_key(const struct sockaddr *address, uint8_t out[static DOOR_KEY_SIZE])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}; // IPv4 as IPv6 writes it
    memset(out, 0xff, DOOR_KEY_SIZE); // nobody's address: of a UNIX socket
    if (address && address->sa_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)address;
        memcpy(out, mapped, sizeof mapped);
        memcpy(out + sizeof mapped, &four->sin_addr, sizeof four->sin_addr);
    } else if (address && address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)address;
        bool whole = IN6_IS_ADDR_V4MAPPED(&six->sin6_addr);
        memset(out, 0, DOOR_KEY_SIZE);
        memcpy(out, &six->sin6_addr, whole ? DOOR_KEY_SIZE : DOOR_KEY_SIZE / 2);
    }
}

static bool has_address(const struct sockaddr *address)
{
    return address && (address->sa_family == AF_INET || address->sa_family == AF_INET6);
}

// FNV-1a. Who picks addresses of one bucket fills it with no more than the door lets in.
static struct visitor **bucket_of(struct door *door, const uint8_t key[static DOOR_KEY_SIZE])
{
    uint32_t hash = 2166136261;
    for (size_t i = 0; i < DOOR_KEY_SIZE; i++)
        hash = (hash ^ key[i]) * 16777619;
    return &door->buckets[hash % BUCKETS];
}

static bool is_crowded(const struct door *door, const struct visitor *bucket,
                       const uint8_t key[static DOOR_KEY_SIZE])
{
    unsigned count = 0;
    for (; bucket && count < door->per_address; bucket = bucket->next)
        count += memcmp(bucket->key, key, DOOR_KEY_SIZE) == 0;
    return count == door->per_address;
}

struct door *door_create(unsigned most, unsigned per_address)
{
    struct door *door = xalloc(sizeof *door);
    door->most = most;
    door->per_address = per_address;
    pthread_mutex_init(&door->lock, NULL);
    return door;
}

void door_destroy(struct door *door)
{
    if (!door)
        return;
    pthread_mutex_destroy(&door->lock);
    free(door);
}

enum door_verdict door_enter(struct door *door, struct visitor *visitor,
                             const struct sockaddr *address)
{
    *visitor = (struct visitor){0};
    door_key(address, visitor->key);
    pthread_mutex_lock(&door->lock);
    struct visitor **bucket = bucket_of(door, visitor->key);
    if (door->count >= door->most)
        visitor->verdict = DOOR_FULL;
    else if (door->per_address && has_address(address) && is_crowded(door, *bucket, visitor->key))
        visitor->verdict = DOOR_CROWDED;
    if (visitor->verdict == DOOR_OPEN) {
        door->count++;
        visitor->next = *bucket;
        if (visitor->next)
            visitor->next->previous = visitor;
        *bucket = visitor;
    }
    pthread_mutex_unlock(&door->lock);
    return visitor->verdict;
}

void door_leave(struct door *door, struct visitor *visitor)
{
    if (visitor->verdict != DOOR_OPEN)
        return;
    pthread_mutex_lock(&door->lock);
    door->count--;
    if (visitor->previous)
        visitor->previous->next = visitor->next;
    else
        *bucket_of(door, visitor->key) = visitor->next;
    if (visitor->next)
        visitor->next->previous = visitor->previous;
    pthread_mutex_unlock(&door->lock);
}
