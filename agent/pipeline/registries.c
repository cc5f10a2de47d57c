#include "agent/pipeline/registries.h"

#include "agent/base/file.h"
#include "build/registry.h"

static const char *or_null(const char *text)
{
    return *text ? text : NULL;
}

static bool read_authority(const struct config_registry *registry, struct registries *out,
                           struct error *err)
{
    CLEANUP(buffer_finish) struct buffer pem = {0};
    if (!file_read(registry->ca_file, KANIKO_AUTHORITIES_MAX, &pem, err))
        return error_wrap(err, "the CA of registry %s", registry->host);
    size_t at = out->authorities_count++;
    out->pems[at] = xstrdup(buffer_text(&pem));
    out->authorities[at] =
        (struct kaniko_authority){.registry = registry->host, .pem = out->pems[at]};
    return true;
}

static char *joined(const struct config_texts *texts)
{
    char *all = xstrdup("");
    for (size_t i = 0; i < texts->count; i++) {
        CLEANUP(free_ptr) char *before = all;
        all = xasprintf("%s%s%s", before, i ? "," : "", texts->items[i]);
    }
    return all;
}

bool registries_read(const struct config *config, struct registries *out, struct error *err)
{
    size_t count = config->registries.count;
    *out = (struct registries){.plain_http = xalloc((count + 1) * sizeof *out->plain_http),
                               .authorities = xalloc((count + 1) * sizeof *out->authorities),
                               .pems = xalloc((count + 1) * sizeof *out->pems),
                               .no_proxy = joined(&config->builds.no_proxy)};
    for (size_t i = 0; i < count; i++) {
        const struct config_registry *registry = &config->registries.items[i];
        if (registry->plain_http)
            out->plain_http[out->plain_http_count++] = registry->host;
        else if (*registry->ca_file && !read_authority(registry, out, err))
            return false;
    }
    return true;
}

void registries_finish(struct registries *registries)
{
    for (size_t i = 0; i < registries->authorities_count; i++)
        free(registries->pems[i]);
    free(registries->pems);
    free(registries->authorities);
    free(registries->plain_http);
    free(registries->no_proxy);
}

void registries_put(const struct config *config, const struct registries *registries,
                    struct kaniko_settings *settings)
{
    settings->plain_http_registries = registries->plain_http;
    settings->plain_http_count = registries->plain_http_count;
    settings->authorities = registries->authorities;
    settings->authorities_count = registries->authorities_count;
    settings->proxy = config->builds.proxy;
    settings->no_proxy = registries->no_proxy;
}

static struct registry_access access_to(const struct config *config,
                                        const struct image_reference *image)
{
    const struct config_registry *registry = config_registry(config, image->registry);
    struct registry_access access = {0};
    if (registry) {
        access.auth = registry->auth.text;
        access.ca_file = or_null(registry->ca_file);
        access.proxy = or_null(registry->proxy);
        access.plain_http = registry->plain_http;
    }
    access.plain_http |= config->builds.insecure;
    return access;
}

bool registries_confirm(const struct config *config, const struct image_reference *image,
                        const char *digest, int64_t timeout_ms, struct error *err)
{
    struct registry_access access = access_to(config, image);
    return registry_confirm(image, digest, &access, timeout_ms, err);
}

bool registries_confirm_tag(const struct config *config, const struct image_reference *image,
                            struct error *err)
{
    struct registry_access access = access_to(config, image);
    return registry_confirm_tag(image, image->digest, &access, REGISTRY_TIMEOUT_MS, err);
}

bool registries_reach(const struct config *config, const struct image_reference *image,
                      const char *tag, int64_t timeout_ms, bool *there, struct error *err)
{
    struct registry_access access = access_to(config, image);
    return registry_reach(image, tag, &access, timeout_ms, there, err);
}
