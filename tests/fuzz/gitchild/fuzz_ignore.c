// .dockerignore files of any bytes: whatever they say, what Kaniko itself reads stays, and what no
// pattern names too.
#include "build/git/ignore.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const paths[] = {"a", "a/b/c", "deep/er/x.o", "\xff", "*", "a+b/[c]"};
    struct ignore *ignore = ignore_read((const char *)data, size, "docker/Dockerfile");
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        (void)ignore_matches(ignore, paths[i]);
    if (ignore_matches(ignore, "docker/Dockerfile") || ignore_matches(ignore, ".dockerignore") ||
        (size == 0 && ignore_matches(ignore, "a")))
        abort();
    ignore_free(ignore);
    return 0;
}
