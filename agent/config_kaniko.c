// Which of Kaniko's options are cronwright's own to give.
#include "agent/base/text.h"
#include "agent/config_read.h"

#include <string.h>

// Names without "--", and what there is instead, or why nothing else will do.
static const struct {
    const char *name;
    const char *instead;
} own_options[] = {
    {"destination", "images go where the service's annotation and the allow table say"},
    {"context", "the context is what cronwright packs"},
    {"context-sub-path", "the service's context says it"},
    {"bucket", "the context is what cronwright packs"},
    {"git", "the context is what cronwright packs"},
    {"dockerfile", "the service says it"},
    {"target", "the service says it"},
    {"custom-platform", "builds.platform says it"},
    {"customPlatform", "builds.platform says it"},
    {"digest-file", "cronwright reads the digest there"},
    {"kaniko-dir", "context and login are mounted below /kaniko"},
    {"no-push", "an image that is not pushed cannot be run"},
    {"tar-path", "an image that is not pushed cannot be run"},
    {"tarPath", "an image that is not pushed cannot be run"},
    {"cache", "builds.cache says it"},
    {"cache-repo", "builds.cacheRepository says it"},
    {"registry-mirror", "builds.registryMirrors says it"},
    {"registry-map", "builds.registryMaps says it"},
    {"log-format", "cronwright reads the log"},
    {"log-timestamp", "cronwright reads the log"},
    {"help", "nothing would be built"},
};

void config_check_kaniko_options(struct config_load *load, const struct config_texts *options)
{
    for (size_t i = 0; i < options->count; i++) {
        const char *option = options->items[i];
        size_t len =
            option ? strcspn(option, "=") : 0; // NULL: could not be read, and that was told
        for (size_t k = 0; k < sizeof own_options / sizeof own_options[0]; k++) {
            const char *name = own_options[k].name;
            if (len != strlen(name) + 2 || strncmp(option + 2, name, len - 2) != 0)
                continue;
            CLEANUP(free_ptr) char *pointer = xasprintf("/builds/extraArgs/%zu", i);
            config_fail(load, pointer, "--%s is not to be given: %s", name, own_options[k].instead);
        }
    }
}
