// What is read as YAML can be written, and reads as the same again; every value has its place.
#include "agent/base/yaml.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yaml_document first, second;
    struct error err;
    if (!yaml_read((const char *)data, size, 65536, &first, &err))
        return 0;
    CLEANUP(free_ptr) char *text = yaml_write(first.root);
    if (!yaml_read(text, strlen(text), (size_t)1 << 24, &second, &err) ||
        !json_equal(first.root, second.root) || !json_equal(second.root, first.root))
        abort();
    if (json_object_size(first.places) != json_object_size(second.places) &&
        !json_is_null(first.root))
        abort();
    yaml_finish(&first);
    yaml_finish(&second);
    return 0;
}
