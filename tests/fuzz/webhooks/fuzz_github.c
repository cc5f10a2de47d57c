// webhook_github's decode(), of a push as JSON and of the same bytes as a form, and of another
// event.
#include "agent/base/buffer.h"
#include "tests/fuzz/webhooks/event_checks.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(const char *event_name, const char *content_type, const char *body, size_t len)
{
    struct webhook_headers headers = {0};
    struct webhook_event event;
    struct error err = {0};
    webhook_headers_add(&headers, "X-GitHub-Event", event_name);
    webhook_headers_add(&headers, "Content-Type", content_type);
    if (!webhook_github.decode(&headers, body, len, &event, &err)) {
        expect(err.code == ERR_INVALID, "the error's code");
        return;
    }
    if (strcmp(content_type, "application/json") != 0)
        return; // fuzz_form looks into these
    CLEANUP(json_ptr) json_t *json = json_loadb(body, len, 0, NULL);
    check_event_of_ref(&event, json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *body = (const char *)data;
    decode("push", "application/json", body, size);
    decode("release", "application/json", body, size);
    decode("push", "application/x-www-form-urlencoded", body, size);
    return 0;
}
