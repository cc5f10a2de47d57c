#include "agent/backup.h"

#include "agent/settings.h"
#include "agent/store/check.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#define EXIT_INTERRUPTED 130

static atomic_bool stop;

static void interrupt(int signal)
{
    (void)signal;
    stop = true;
}

static bool back_up(const char *config_path, const char *file, struct error *err)
{
    int64_t bytes;
    struct settings *settings;
    struct config_errors errors = {0};
    if (!settings_load(config_path, &settings, &errors)) {
        config_errors_print(&errors, config_path, stderr);
        config_errors_finish(&errors);
        return error_set(err, ERR_INVALID, "the settings have errors");
    }
    config_errors_finish(&errors);
    const struct config *config = settings_hold(settings);
    bool done = store_backup(config->state_directory, file, &stop, &bytes, err);
    settings_drop(config);
    settings_destroy(settings);
    if (done)
        (void)fprintf(stderr, "%s: %" PRId64 " bytes\n", file, bytes);
    return done;
}

// The command line's table has checked the arguments and answered --help.
int backup_main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'}, {0}};
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    const char *config_path = CONFIG_PATH_DEFAULT;
    for (int option; (option = getopt_long(argc, argv, "c:", options, NULL)) != -1;) {
        if (option != 'c')
            return 2;
        config_path = optarg;
    }
    const struct sigaction action = {.sa_handler = interrupt};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
    struct error err;
    if (back_up(config_path, argv[optind], &err))
        return 0;
    (void)fprintf(stderr, "cronwright: %s\n", err.text);
    return stop ? EXIT_INTERRUPTED : 1;
}
