#include "agent/cli/cli.h"

#include "agent/cli/doc.h"
#include "agent/cli/output.h"

#include <errno.h>
#include <string.h>

// NULL, and why, when there is none of that name.
static const struct command *find_command(const char *name, struct error *err)
{
    const struct command *command = command_find(name);
    const struct command *near = command_nearest(name);
    if (command == NULL && name[0] == '-')
        (void)error_set(err, ERR_INVALID, "\"%s\" before a command: options go after it", name);
    else if (command == NULL)
        (void)error_set(err, ERR_INVALID, "unknown command \"%s\"%s%s%s", name,
                        near ? "; did you mean \"" : "", near ? near->name : "", near ? "\"?" : "");
    return command;
}

static int help(const struct call *call, struct screen *screen)
{
    struct error err;
    if (call->operand_count == 0) {
        doc_help(stdout);
        return STATUS_OK;
    }
    const struct command *command = find_command(call->operands[0], &err);
    if (command == NULL)
        return usage_fail(screen, "", &err);
    doc_command(command, stdout);
    return STATUS_OK;
}

// What could not be written was not said: that is a failure, except that a reader may have had
// enough.
static int flush(struct screen *screen, int status)
{
    struct error err;
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return status;
    if (errno == EPIPE)
        return STATUS_PIPE;
    (void)error_errno(&err, ERR_IO, errno, "writing the output");
    screen_error(screen, &err);
    return status == STATUS_OK ? STATUS_FAILED : status;
}

static int run_client(const struct call *call, const struct screen *screen)
{
    struct session session = {.call = call, .screen = *screen, .now = wall_now()};
    struct error err;
    http_setup();
    bool needs_agent = (call->command->groups & GROUP_AGENT) != 0;
    if (needs_agent && !client_open(call, &session.client, &err))
        return session_fail(&session, &err);
    int status = call->command->run(&session);
    screen_unwait(&session.screen);
    if (status != STATUS_OK)
        output_refusal(&session);
    client_close(&session.client);
    return flush(&session.screen, status);
}

static int run_program(const struct cli_program programs[], int argc, char **argv)
{
    while (programs->name != NULL && strcmp(programs->name, argv[0]) != 0)
        programs++;
    return programs->name != NULL ? programs->main(argc, argv) : STATUS_FAILED;
}

static int run_command(const struct command *command, int argc, char **argv,
                       const struct cli_program programs[], struct screen *screen)
{
    struct call call;
    struct error err;
    if (!call_parse(command, argc, argv, &call, &err))
        return usage_fail(screen, command->name, &err);
    if (call_has(&call, OPTION_HELP)) {
        doc_command(command, stdout);
        return flush(screen, STATUS_OK);
    }
    if (command->run != NULL && !call_has(&call, OPTION_REPAIR))
        return run_client(&call, screen);
    if (strcmp(command->name, "help") == 0)
        return flush(screen, help(&call, screen));
    return run_program(programs, argc, argv);
}

int cli_main(int argc, char **argv, const struct cli_program programs[])
{
    struct screen screen;
    struct error err;
    screen_init(&screen);
    if (argc < 2) {
        doc_help(stderr);
        return STATUS_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        (void)printf("cronwright %s\n", CRONWRIGHT_VERSION);
        return flush(&screen, STATUS_OK);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        doc_help(stdout);
        return flush(&screen, STATUS_OK);
    }
    const struct command *command = find_command(argv[1], &err);
    if (command == NULL)
        return usage_fail(&screen, "", &err);
    return run_command(command, argc - 1, argv + 1, programs, &screen);
}
