// Within the library: the objects that a watch has told of, each by name and uid, as small as may
// be: there can be a hundred thousand. One thread.
#ifndef CRONWRIGHT_KUBE_KNOWN_H
#define CRONWRIGHT_KUBE_KNOWN_H

#include <stddef.h>

struct known;

struct known *known_create(void);
void known_destroy(struct known *known); // NULL is fine

// The uid of the object of this name; NULL when there is none. Holds until the next change.
const char *known_uid(const struct known *known, const char *name);
// It is there, with this uid. While a list is read that also says that the list has it.
void known_put(struct known *known, const char *name, const char *uid);
void known_drop(struct known *known, const char *name);

// A list begins, or begins anew: nothing is in it so far.
void known_begin_list(struct known *known);
// The list is whole. Calls gone() for each object that is not in it, and drops that.
void known_end_list(struct known *known,
                    void (*gone)(void *user, const char *name, const char *uid), void *user);
size_t known_count(const struct known *known);

#endif
