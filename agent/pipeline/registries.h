// How registries are reached, by the settings: for builds, and for our own look-ups.
#ifndef CRONWRIGHT_PIPELINE_REGISTRIES_H
#define CRONWRIGHT_PIPELINE_REGISTRIES_H

#include "agent/config.h"
#include "build/image.h"
#include "build/kaniko.h"

// What builds are told. Texts of the settings are borrowed.
struct registries {
    const char **plain_http;
    size_t plain_http_count;
    struct kaniko_authority *authorities;
    size_t authorities_count;
    char **pems; // the files' texts of now, as many
    char *no_proxy;
};

// ERR_NOT_FOUND, ERR_IO, ERR_TOO_LARGE: a CA file. The caller finishes *out, also after false.
bool registries_read(const struct config *config, struct registries *out,
                     struct error *err) MUST_CHECK;
void registries_finish(struct registries *registries);
// The settings borrow from both.
void registries_put(const struct config *config, const struct registries *registries,
                    struct kaniko_settings *settings);

#define REGISTRY_TIMEOUT_MS 10000 // where nobody waits for the answer

// registry_confirm() by the settings of the image's registry.
bool registries_confirm(const struct config *config, const struct image_reference *image,
                        const char *digest, int64_t timeout_ms, struct error *err) MUST_CHECK;
// registry_confirm_tag() of a reference that has both.
bool registries_confirm_tag(const struct config *config, const struct image_reference *image,
                            struct error *err) MUST_CHECK;

// registry_reach() likewise; `timeout_ms` in all.
bool registries_reach(const struct config *config, const struct image_reference *image,
                      const char *tag, int64_t timeout_ms, bool *there,
                      struct error *err) MUST_CHECK;

#endif
