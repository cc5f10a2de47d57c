// webhook_github's decode(), of a push as JSON and of the same bytes as a form, and of another
// event.
#include "tests/fuzz/webhooks/event_checks.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(const char *event_name, const char *content_type, const uint8_t *data,
                   size_t size)
{
    check_github_payload(&webhook_github, "X-GitHub-Event", event_name, content_type,
                         (const char *)data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode("push", "application/json", data, size);
    decode("release", "application/json", data, size);
    decode("push", "application/x-www-form-urlencoded", data, size);
    return 0;
}
