// A store in a directory of its own, for each test.
#ifndef CRONWRIGHT_TESTS_STORE_FRESH_STORE_H
#define CRONWRIGHT_TESTS_STORE_FRESH_STORE_H

#include "agent/base/file.h"
#include "agent/store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char directory[64];
static struct store *store;

static int set_up(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/cronwright-store-XXXXXX");
    assert_non_null(mkdtemp(directory));
    assert_true(store_open(directory, &store, NULL));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_close(store);
    assert_true(directory_remove(directory, NULL));
    return 0;
}

#endif
