#include "webhooks/provider.h"

#include <string.h>
#include <strings.h>

static const char *const header_names[WEBHOOK_HEADER_COUNT] = {
    [HEADER_CONTENT_TYPE] = "Content-Type",
    [HEADER_GITHUB_EVENT] = "X-GitHub-Event",
    [HEADER_GITHUB_DELIVERY] = "X-GitHub-Delivery",
    [HEADER_HUB_SIGNATURE] = "X-Hub-Signature",
    [HEADER_HUB_SIGNATURE_256] = "X-Hub-Signature-256",
    [HEADER_GITEA_EVENT] = "X-Gitea-Event",
    [HEADER_FORGEJO_EVENT] = "X-Forgejo-Event",
    [HEADER_GITLAB_EVENT] = "X-Gitlab-Event",
    [HEADER_GITLAB_TOKEN] = "X-Gitlab-Token",
    [HEADER_IDEMPOTENCY_KEY] = "Idempotency-Key",
    [HEADER_WEBHOOK_ID] = "webhook-id",
    [HEADER_WEBHOOK_TIMESTAMP] = "webhook-timestamp",
    [HEADER_WEBHOOK_SIGNATURE] = "webhook-signature",
};

const struct webhook_provider *const webhook_providers[] = {&webhook_github, &webhook_gitlab, NULL};

void webhook_headers_add(struct webhook_headers *headers, const char *name, const char *value)
{
    for (unsigned i = 0; i < WEBHOOK_HEADER_COUNT; i++) {
        if (strcasecmp(name, header_names[i]) != 0)
            continue;
        if (headers->values[i])
            headers->repeated |= 1U << i;
        headers->values[i] = value;
    }
}

const char *webhook_header_name(enum webhook_header header)
{
    return header_names[header];
}

const struct webhook_provider *webhook_provider_at(const char *path)
{
    for (size_t i = 0; webhook_providers[i]; i++)
        if (strcmp(webhook_providers[i]->path, path) == 0)
            return webhook_providers[i];
    return NULL;
}
