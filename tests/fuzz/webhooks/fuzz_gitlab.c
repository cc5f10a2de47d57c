// webhook_gitlab's decode().
#include "agent/base/buffer.h"
#include "tests/fuzz/webhooks/event_checks.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *body = (const char *)data;
    struct webhook_headers headers = {0};
    struct webhook_event event;
    struct error err = {0};
    webhook_headers_add(&headers, "X-Gitlab-Event", "System Hook");
    webhook_headers_add(&headers, "Content-Type", "application/json");
    if (!webhook_gitlab.decode(&headers, body, size, &event, &err)) {
        expect(err.code == ERR_INVALID, "the error's code");
        return 0;
    }
    CLEANUP(json_ptr) json_t *json = json_loadb(body, size, 0, NULL);
    check_event_of_ref(&event, json);
    return 0;
}
