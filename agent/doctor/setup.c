// The settings and the files that they name.
#include "agent/doctor/look.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void look_at_file(struct look *look)
{
    struct settings *settings = look->doctor->settings;
    CLEANUP(config_errors_finish) struct config_errors errors = {0};
    if (!settings_file_good(settings, &errors)) {
        const struct config_error *first = &errors.items[0];
        CLEANUP(free_ptr)
        char *fix = xasprintf("cronwright agent --check --config %s", settings_path(settings));
        char place[48] = "";
        if (first->line)
            snprintf(place, sizeof place, ":%d:%d", first->line, first->column);
        look_problem(look, fix, "%s%s: %s%s; the next start fails", settings_path(settings), place,
                     first->text, errors.count > 1 ? ", and more" : "");
    } else if (settings_file_newer(settings)) {
        look_warning(look, "systemctl reload cronwright", "%s was changed since it was read",
                     settings_path(settings));
    } else {
        look_good(look, "%s", settings_path(settings));
    }
}

struct sight {
    struct look *look;
    int open;
};

// In a pod nobody else is there to read them, and Kubernetes makes them so.
static void look_at_secret(void *user, const char *key, const char *path)
{
    struct sight *sight = user;
    struct stat about;
    if (stat(path, &about) != 0 || !S_ISREG(about.st_mode) || !(about.st_mode & S_IRWXO) ||
        getenv("KUBERNETES_SERVICE_HOST") || sight->open++ >= LOOK_LISTED_MAX)
        return;
    CLEANUP(free_ptr) char *fix = xasprintf("chmod o= %s", path);
    look_warning(sight->look, fix, "every user of this machine can read %s (%s)", path, key);
}

static void look_at_secrets(struct look *look)
{
    struct sight sight = {look, 0};
    config_secret_files(look->config, look_at_secret, &sight);
    if (sight.open > LOOK_LISTED_MAX)
        look_warning(look, "chmod o= each of them", "%d more secret files that all can read",
                     sight.open - LOOK_LISTED_MAX);
}

static void look_at_allow(struct look *look)
{
    if (look->config->allow.count == 0)
        look_warning(look, "add an entry to allow: man cronwright.yaml",
                     "allow is empty: nothing is built");
}

static void look_at_helper(struct look *look)
{
    if (access(look->config->git.helper, X_OK) != 0)
        look_problem(look, "install it, or set git.helper", "%s is no program that can be run",
                     look->config->git.helper);
}

static void look_at_registries(struct look *look)
{
    if (look->config->builds.insecure)
        look_warning(look, "set plainHttp or caFile of single registries instead",
                     "builds.insecure is on: any server may pose as a registry");
}

const struct check settings_checks[] = {
    {"file", look_at_file},          {"secret-files", look_at_secrets}, {"allow", look_at_allow},
    {"git-program", look_at_helper}, {"insecure", look_at_registries},  {0},
};
