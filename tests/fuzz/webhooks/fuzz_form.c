// form_field(): what it decodes, encoded again and decoded again, is the same.
#include "agent/base/http.h"
#include "webhooks/form.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *body = (const char *)data;
    CLEANUP(buffer_finish) struct buffer once = {0};
    CLEANUP(buffer_finish) struct buffer twice = {0};
    struct error err = {0};
    if (!form_field(body, size, "payload", &once, &err)) {
        if (err.code != ERR_INVALID || once.len)
            abort();
        return 0;
    }
    if (once.len > size || (once.len && memchr(once.data, '\0', once.len)))
        abort();
    CLEANUP(free_ptr) char *escaped = http_escape(buffer_text(&once));
    CLEANUP(free_ptr) char *again = xasprintf("a=b&payload=%s&c", escaped);
    if (!form_field(again, strlen(again), "payload", &twice, &err) || once.len != twice.len ||
        memcmp(buffer_text(&once), buffer_text(&twice), once.len) != 0)
        abort();
    return 0;
}
