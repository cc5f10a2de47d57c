#include "agent/base/crashpoint.h"
#include "agent/base/text.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE 64

static struct {
    pthread_once_t read;
    char name[NAME_SIZE]; // "": nowhere
    int64_t nth;
    atomic_int_fast64_t passed;
} wanted = {.read = PTHREAD_ONCE_INIT};

static void read_wanted(void)
{
    const char *text = getenv("CRONWRIGHT_CRASH_AT");
    const char *colon = text ? strchr(text, ':') : NULL;
    wanted.nth = 1;
    if (!text)
        return;
    if (colon && !text_to_int(colon + 1, 1, INT64_MAX, &wanted.nth))
        abort();
    size_t len = colon ? (size_t)(colon - text) : strlen(text);
    if (len >= sizeof wanted.name)
        abort();
    memcpy(wanted.name, text, len);
}

void crash_point(const char *name)
{
    pthread_once(&wanted.read, read_wanted);
    if (strcmp(name, wanted.name) == 0 && atomic_fetch_add(&wanted.passed, 1) + 1 == wanted.nth)
        raise(SIGKILL);
}
