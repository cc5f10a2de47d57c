// image_parse(): what it takes, written out in full, means the same again.
#include "agent/base/buffer.h"
#include "build/image.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(free_ptr) char *text = xstrndup((const char *)data, size);
    struct image_reference once, again;
    struct error err = {0};
    if (!image_parse(text, &once, &err)) {
        if (err.code != ERR_INVALID)
            abort();
        return 0;
    }
    CLEANUP(free_ptr)
    char *whole = xasprintf("%s/%s%s%s%s%s", once.registry, once.path, once.tag[0] ? ":" : "",
                            once.tag, once.digest[0] ? "@" : "", once.digest);
    bool short_enough = strlen(whole) <= IMAGE_REFERENCE_MAX;
    if (short_enough &&
        (!image_parse(whole, &again, &err) || strcmp(once.registry, again.registry) != 0 ||
         strcmp(once.path, again.path) != 0 || strcmp(once.tag, again.tag) != 0 ||
         strcmp(once.digest, again.digest) != 0))
        abort();
    if (image_check_destination(text, NULL) != (!once.tag[0] && !once.digest[0]))
        abort();
    return 0;
}
