// Findings, and looking at several things at once.
#include "agent/doctor/look.h"

#include "agent/base/threads.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

#define AT_ONCE 7 // beside the thread that waits for them

void look_say(struct look *look, const char *state, const char *fix, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    CLEANUP(free_ptr) char *text = xvasprintf(fmt, args);
    va_end(args);
    json_array_append_new(look->checks,
                          json_pack("{s:s, s:s, s:o, s:o}", "check", look->check, "state", state,
                                    "text", json_text(text), "fix", json_text_or_null(fix)));
}

struct round {
    struct look *items;
    size_t count;
    atomic_size_t next;
    void (*one)(struct look *look, size_t i, void *user);
    void *user;
};

static void *work_off(void *user)
{
    struct round *round = user;
    for (size_t i; (i = atomic_fetch_add(&round->next, 1)) < round->count;)
        round->one(&round->items[i], i, round->user);
    return NULL;
}

void look_each(struct look *look, size_t count,
               void (*one)(struct look *look, size_t i, void *user), void *user)
{
    CLEANUP(free_ptr) struct look *items = xalloc((count + 1) * sizeof *items);
    struct round round = {.items = items, .count = count, .one = one, .user = user};
    for (size_t i = 0; i < count; i++) {
        items[i] = *look;
        items[i].checks = json_array();
    }
    pthread_t threads[AT_ONCE];
    size_t started = 0;
    while (started < AT_ONCE && started + 1 < count &&
           thread_try(&threads[started], "doctor", work_off, &round))
        started++;
    work_off(&round);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < count; i++) {
        json_array_extend(look->checks, items[i].checks);
        json_decref(items[i].checks);
    }
}

int64_t look_timeout(const struct look *look, int64_t ms)
{
    int64_t left = mono_left(look->deadline);
    return left < 1 ? 1 : left < ms ? left : ms;
}

bool look_first(json_t *seen, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    CLEANUP(free_ptr) char *key = xvasprintf(fmt, args);
    va_end(args);
    if (json_object_get(seen, key))
        return false;
    json_object_set_new(seen, key, json_true());
    return true;
}
