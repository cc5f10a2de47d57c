#include "agent/settings.h"

#include "agent/base/buffer.h"
#include "agent/config_read.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

struct snapshot {
    struct config config; // first: holders know it by this
    struct webhook_secrets secrets;
    atomic_size_t holders;
};

struct settings {
    char *path;
    pthread_mutex_t lock; // guards which one is present: it is counted before it can be replaced
    struct snapshot *present;
    struct timespec written; // the file, when it was read; under the lock
};

static bool add_secrets(const struct config *config, struct webhook_secrets *secrets,
                        struct config_errors *errors)
{
    const struct {
        const struct config_secrets *list;
        enum webhook_secret_sort sort;
    } sorts[] = {{&config->webhooks.github_secrets, SECRET_HMAC},
                 {&config->webhooks.gitlab_tokens, SECRET_TOKEN},
                 {&config->webhooks.gitlab_signing_tokens, SECRET_SIGNING},
                 {&config->webhooks.gitea_secrets, SECRET_GITEA},
                 {&config->webhooks.bitbucket_secrets, SECRET_BITBUCKET}};
    secrets->accept_unsigned = config->webhooks.gitlab_accept_unsigned;
    for (size_t i = 0; i < sizeof sorts / sizeof *sorts; i++)
        for (size_t j = 0; j < sorts[i].list->count; j++) {
            const struct config_secret *secret = &sorts[i].list->items[j];
            struct error err;
            if (!webhook_secrets_add(secrets, sorts[i].sort, secret->text, &err))
                config_errors_add(errors, (struct yaml_place){0, 0}, "%s: %s", secret->path,
                                  err.text);
        }
    return errors->count == 0;
}

static void snapshot_free(struct snapshot *snapshot)
{
    webhook_secrets_finish(&snapshot->secrets);
    config_finish(&snapshot->config);
    free(snapshot);
}

// `old`: whose values stay that only a restart changes; NULL: there is none.
static struct snapshot *read_snapshot(const char *path, const struct config *old,
                                      void (*kept)(void *user, const char *key), void *user,
                                      struct config_errors *errors)
{
    struct snapshot *snapshot = xalloc(sizeof *snapshot);
    snapshot->holders = 1;
    if (config_load(path, &snapshot->config, errors) &&
        add_secrets(&snapshot->config, &snapshot->secrets, errors)) {
        if (old)
            config_keep(&snapshot->config, old, kept, user);
        return snapshot;
    }
    snapshot_free(snapshot);
    return NULL;
}

// Before it is read: what is written meanwhile makes it newer.
static struct timespec time_written(const char *path)
{
    struct stat about = {0};
    return stat(path, &about) == 0 ? about.st_mtim : (struct timespec){0};
}

const char *settings_path(const struct settings *settings)
{
    return settings->path;
}

bool settings_file_good(const struct settings *settings, struct config_errors *errors)
{
    struct snapshot *snapshot = read_snapshot(settings->path, NULL, NULL, NULL, errors);
    if (snapshot)
        snapshot_free(snapshot);
    return snapshot != NULL;
}

bool settings_file_newer(struct settings *settings)
{
    struct timespec now = time_written(settings->path);
    pthread_mutex_lock(&settings->lock);
    struct timespec then = settings->written;
    pthread_mutex_unlock(&settings->lock);
    return now.tv_sec != then.tv_sec || now.tv_nsec != then.tv_nsec;
}

bool settings_load(const char *path, struct settings **out, struct config_errors *errors)
{
    struct timespec written = time_written(path);
    struct snapshot *snapshot = read_snapshot(path, NULL, NULL, NULL, errors);
    if (!snapshot)
        return false;
    struct settings *settings = xalloc(sizeof *settings);
    settings->path = xstrdup(path);
    settings->present = snapshot;
    settings->written = written;
    pthread_mutex_init(&settings->lock, NULL);
    *out = settings;
    return true;
}

void settings_destroy(struct settings *settings)
{
    if (!settings)
        return;
    settings_drop(&settings->present->config);
    pthread_mutex_destroy(&settings->lock);
    free(settings->path);
    free(settings);
}

const struct config *settings_hold(struct settings *settings)
{
    pthread_mutex_lock(&settings->lock);
    struct snapshot *snapshot = settings->present;
    atomic_fetch_add_explicit(&snapshot->holders, 1, memory_order_relaxed);
    pthread_mutex_unlock(&settings->lock);
    return &snapshot->config;
}

// A snapshot of a config that settings_hold() gave: it begins with it.
static struct snapshot *snapshot_of(const struct config *config)
{
    struct snapshot *snapshot;
    memcpy(&snapshot, &config, sizeof snapshot);
    return snapshot;
}

void settings_drop(const struct config *config)
{
    if (config &&
        atomic_fetch_sub_explicit(&snapshot_of(config)->holders, 1, memory_order_acq_rel) == 1)
        snapshot_free(snapshot_of(config));
}

void settings_drop_ptr(const struct config **config)
{
    settings_drop(*config);
}

const struct webhook_secrets *settings_webhook_secrets(const struct config *config)
{
    return &snapshot_of(config)->secrets;
}

bool settings_reload(struct settings *settings, void (*kept)(void *user, const char *key),
                     void *user, struct config_errors *errors)
{
    CLEANUP(settings_drop_ptr) const struct config *old = settings_hold(settings);
    struct timespec written = time_written(settings->path);
    struct snapshot *fresh = read_snapshot(settings->path, old, kept, user, errors);
    if (!fresh)
        return false;
    pthread_mutex_lock(&settings->lock);
    struct snapshot *replaced = settings->present;
    settings->present = fresh;
    settings->written = written;
    pthread_mutex_unlock(&settings->lock);
    settings_drop(&replaced->config);
    return true;
}
