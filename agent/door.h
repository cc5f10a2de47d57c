// Who is connected to a server, in all and from each address: says who is one too many.
//
// An IPv6 address counts with all others of its /64, which its owner can choose from. Those who
// come by a UNIX socket count in all only.
#ifndef CRONWRIGHT_DOOR_H
#define CRONWRIGHT_DOOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define DOOR_KEY_SIZE 16

enum door_verdict {
    DOOR_OPEN,
    DOOR_FULL,    // as many as there may be are connected
    DOOR_CROWDED, // as many as there may be from this address
};

struct door;

// What two addresses that count as one have in common: an IPv4 address, an IPv6 /64, the machine
// itself.
void door_key(const struct sockaddr *address, uint8_t out[static DOOR_KEY_SIZE]);

// Embedded by its owner; the fields are the door's.
struct visitor {
    struct visitor *next, *previous;
    uint8_t key[DOOR_KEY_SIZE];
    enum door_verdict verdict;
};

// At most `most` at once, at most `per_address` of them from one address (0: no matter). Aborts
// when out of memory.
struct door *door_create(unsigned most, unsigned per_address);
void door_destroy(struct door *door); // when all have left; NULL is fine

// Any thread. Who is one too many is let in all the same, to be told so, and does not count.
enum door_verdict door_enter(struct door *door, struct visitor *visitor,
                             const struct sockaddr *address);
void door_leave(struct door *door, struct visitor *visitor);

#endif
