// What is read as JSON can be written, and reads as the same again.
#include "agent/base/json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *first, *second;
    struct error err;
    if (!json_read((const char *)data, size, 65536, &first, &err))
        return 0;
    CLEANUP(free_ptr) char *text = json_write(first);
    if (!json_read(text, strlen(text), (size_t)1 << 24, &second, &err) ||
        !json_equal(first, second))
        abort();
    json_decref(first);
    json_decref(second);
    return 0;
}
