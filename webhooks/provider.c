#include "webhooks/provider.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const header_names[WEBHOOK_HEADER_COUNT] = {
    [HEADER_CONTENT_TYPE] = "Content-Type",
    [HEADER_GITHUB_EVENT] = "X-GitHub-Event",
    [HEADER_GITHUB_DELIVERY] = "X-GitHub-Delivery",
    [HEADER_HUB_SIGNATURE] = "X-Hub-Signature",
    [HEADER_HUB_SIGNATURE_256] = "X-Hub-Signature-256",
    [HEADER_GITEA_EVENT] = "X-Gitea-Event",
    [HEADER_GITEA_DELIVERY] = "X-Gitea-Delivery",
    [HEADER_GITEA_SIGNATURE] = "X-Gitea-Signature",
    [HEADER_FORGEJO_EVENT] = "X-Forgejo-Event",
    [HEADER_FORGEJO_DELIVERY] = "X-Forgejo-Delivery",
    [HEADER_FORGEJO_SIGNATURE] = "X-Forgejo-Signature",
    [HEADER_GOGS_EVENT] = "X-Gogs-Event",
    [HEADER_GOGS_DELIVERY] = "X-Gogs-Delivery",
    [HEADER_GOGS_SIGNATURE] = "X-Gogs-Signature",
    [HEADER_EVENT_KEY] = "X-Event-Key",
    [HEADER_REQUEST_UUID] = "X-Request-UUID",
    [HEADER_REQUEST_ID] = "X-Request-Id",
    [HEADER_GITLAB_EVENT] = "X-Gitlab-Event",
    [HEADER_GITLAB_TOKEN] = "X-Gitlab-Token",
    [HEADER_IDEMPOTENCY_KEY] = "Idempotency-Key",
    [HEADER_WEBHOOK_ID] = "webhook-id",
    [HEADER_WEBHOOK_TIMESTAMP] = "webhook-timestamp",
    [HEADER_WEBHOOK_SIGNATURE] = "webhook-signature",
};

const struct webhook_provider *const webhook_providers[] = {
    &webhook_gitea, &webhook_github, &webhook_gitlab, &webhook_bitbucket, NULL};

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

void webhook_event_finish(struct webhook_event *event)
{
    free(event->more);
    *event = (struct webhook_event){0};
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
