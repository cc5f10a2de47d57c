// The settings in use, which a reload replaces while they are read.
//
// What is read is always one whole file's settings: a snapshot that nobody changes, held for as
// long as somebody works with it. Hold one for each piece of work (a request, a reconcile), not for
// the life of a part. Any thread.
#ifndef CRONWRIGHT_SETTINGS_H
#define CRONWRIGHT_SETTINGS_H

#include "agent/config.h"
#include "webhooks/secrets.h"

#define CONFIG_PATH_DEFAULT "/etc/cronwright/cronwright.yaml"

struct settings;

// Reads and checks the file; on failure *errors says everything that is wrong. The caller finishes
// the errors in both cases.
bool settings_load(const char *path, struct settings **out,
                   struct config_errors *errors) MUST_CHECK;
// When nobody holds a snapshot any more. NULL is fine.
void settings_destroy(struct settings *settings);

// The file, as it was named.
const char *settings_path(const struct settings *settings);
// Whether the file, as it is now, would be taken; *errors says what is wrong with it. The caller
// finishes the errors in both cases.
bool settings_file_good(const struct settings *settings, struct config_errors *errors) MUST_CHECK;
// Whether the file was written to since it was read last.
bool settings_file_newer(struct settings *settings);

// The present snapshot, until settings_drop(). Neither blocks for longer than it takes to count.
const struct config *settings_hold(struct settings *settings);
void settings_drop(const struct config *config); // NULL is fine
void settings_drop_ptr(const struct config **config);
// The forges' secrets of a snapshot that is held, as they are verified with.
const struct webhook_secrets *settings_webhook_secrets(const struct config *config);

// Reads the file again. Settings that only a restart changes stay as they are, and `kept` hears the
// key of each that the file has another value for. On failure nothing changes, and *errors says
// why. The caller finishes the errors in both cases.
bool settings_reload(struct settings *settings, void (*kept)(void *user, const char *key),
                     void *user, struct config_errors *errors) MUST_CHECK;

#endif
