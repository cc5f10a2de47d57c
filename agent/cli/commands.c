// The one table of commands and options.

#include "agent/base/text.h"
#include "agent/cli/command.h"
#include "agent/cli/session.h"
#include "deploy/schedule.h"
#include "webhooks/sign.h"

#include <string.h>

#define LIMIT_MAX   500
#define TAIL_MAX    1000000000
#define ATTEMPT_MAX 1000
#define PAGE_MAX    INT64_MAX

#define FLAG(id, letter, name, help)                                                               \
    {                                                                                              \
        id, letter, name, NULL, OPTION_FLAG, NULL, 0, 0, help                                      \
    }
#define TEXT(id, letter, name, argument, help)                                                     \
    {                                                                                              \
        id, letter, name, argument, OPTION_TEXT, NULL, 0, 0, help                                  \
    }
#define NUMBER(id, letter, name, min, max, help)                                                   \
    {                                                                                              \
        id, letter, name, "N", OPTION_NUMBER, NULL, min, max, help                                 \
    }
#define CHOICE(id, letter, name, argument, choices, help)                                          \
    {                                                                                              \
        id, letter, name, argument, OPTION_CHOICE, choices, 0, 0, help                             \
    }
#define END                                                                                        \
    {                                                                                              \
        .name = NULL                                                                               \
    }

static const char *const output_words[] = {"table", "json", NULL};
static const char *const if_active_words[] = {"refuse", "allow", "replace", NULL};

// --- options that several commands share ---

static const struct option_row agent_rows[] = {
    TEXT(OPTION_URL, 0, "url", "URL",
         "The agent's admin address, also unix:/path. Default: CRONWRIGHT_URL, else "
         "http://127.0.0.1:8081."),
    TEXT(OPTION_TOKEN_FILE, 0, "token-file", "FILE",
         "File with the token to show to the agent. Default: CRONWRIGHT_TOKEN_FILE."),
    END,
};
static const struct option_row output_rows[] = {
    CHOICE(
        OPTION_OUTPUT, 'o', "output", "FORMAT", output_words,
        "\"table\" for people (the default), or \"json\": the API's answer, with seconds and RFC "
        "3339 times, indented on a terminal, else one line with sorted keys."),
    END,
};
static const struct option_row table_rows[] = {
    FLAG(OPTION_NO_HEADERS, 0, "no-headers", "Leave out the line of column names."),
    END,
};
static const struct option_row namespace_rows[] = {
    TEXT(
        OPTION_NAMESPACE, 'n', "namespace", "NAMESPACE",
        "Namespace of a service that is given by its name alone; for lists, the only one to show."),
    END,
};
static const struct option_row help_rows[] = {
    FLAG(OPTION_HELP, 'h', "help", "Show this."),
    END,
};

const struct option_group_rows option_groups[] = {
    {GROUP_NAMESPACE, namespace_rows}, {GROUP_OUTPUT, output_rows}, {GROUP_TABLE, table_rows},
    {GROUP_AGENT, agent_rows},         {GROUP_HELP, help_rows},     {0, NULL},
};

// --- options of one command ---

static const struct option_row daemon_options[] = {
    TEXT(OPTION_CONFIG, 'c', "config", "FILE",
         "Settings. Default: /etc/cronwright/cronwright.yaml."),
    FLAG(OPTION_CHECK, 0, "check", "Check the settings, say all that is wrong with them, and end."),
    END,
};
static const struct option_row services_options[] = {
    TEXT(OPTION_PROJECT, 0, "project", "NAME", "Only services of this project."),
    END,
};
static const struct option_row run_options[] = {
    FLAG(OPTION_FOLLOW, 'f', "follow",
         "Wait for the run, print its log as it is written, and exit as its container did."),
    CHOICE(
        OPTION_IF_ACTIVE, 0, "if-active", "WHAT", if_active_words,
        "When a run of the service is still going on: \"refuse\" (the default), \"allow\" both, or "
        "\"replace\" the old one, which is cancelled."),
    TEXT(OPTION_IDEMPOTENCY_KEY, 0, "idempotency-key", "KEY",
         "Two requests with the same key make one run. Default: a new key each time."),
    END,
};
static const struct option_row runs_options[] = {
    NUMBER(OPTION_LIMIT, 0, "limit", 1, LIMIT_MAX, "At most so many, the newest. Default: 20."),
    FLAG(OPTION_FAILED, 0, "failed", "Only those that failed."),
    END,
};
static const struct option_row logs_options[] = {
    FLAG(OPTION_FOLLOW, 'f', "follow", "Go on as the log grows, through retries, to the end."),
    FLAG(OPTION_FAILED, 0, "failed", "The latest run that failed."),
    TEXT(OPTION_RUN, 0, "run", "NAME", "This run instead of the latest."),
    NUMBER(OPTION_ATTEMPT, 0, "attempt", 1, ATTEMPT_MAX,
           "This attempt of the run. Default: the latest; with --follow, all from the latest on."),
    TEXT(OPTION_BUILD, 0, "build", "BUILD",
         "The log of an image build, \"b-51\", instead of a run."),
    FLAG(OPTION_PREVIOUS, 0, "previous", "The attempt before that one."),
    TEXT(OPTION_CONTAINER, 0, "container", "NAME",
         "Of this container of the pod, init containers too. Default: the service's."),
    NUMBER(OPTION_TAIL, 0, "tail", 0, TAIL_MAX, "Begin with the last so many lines."),
    TEXT(OPTION_SINCE, 0, "since", "TIME",
         "Begin with the lines written since then: \"10m\" ago, \"1h30m\", or at "
         "\"2026-11-24T08:00:00Z\"."),
    FLAG(OPTION_TIMESTAMPS, 0, "timestamps", "Begin each line with the time it was written."),
    FLAG(OPTION_RAW, 0, "raw",
         "On a terminal too, every byte as it was written. Without it control sequences are shown, "
         "not obeyed, there; files and pipes always get every byte."),
    END,
};
static const struct option_row deliveries_options[] = {
    NUMBER(OPTION_LIMIT, 0, "limit", 1, LIMIT_MAX, "At most so many, the newest. Default: 20."),
    NUMBER(OPTION_BEFORE, 0, "before", 1, PAGE_MAX,
           "Only those before this \"seq\" (see -o json): the next page."),
    TEXT(OPTION_REPOSITORY, 0, "repository", "URL", "Only those of this repository."),
    TEXT(OPTION_REASON, 0, "reason", "WORD",
         "Only those that ended so: \"deployed\", \"no-match\", ..."),
    END,
};
static const struct option_row builds_options[] = {
    NUMBER(OPTION_LIMIT, 0, "limit", 1, LIMIT_MAX, "At most so many, the newest. Default: 20."),
    TEXT(OPTION_BEFORE, 0, "before", "BUILD", "Only those before this build: the next page."),
    TEXT(OPTION_REPOSITORY, 0, "repository", "URL", "Only those of this repository."),
    TEXT(OPTION_BRANCH, 0, "branch", "NAME", "Only those of this branch."),
    END,
};
static const struct option_row schedule_options[] = {
    TEXT(
        OPTION_TIME_ZONE, 0, "time-zone", "ZONE",
        "The schedule's time zone, \"Europe/Berlin\". Default: UTC, which the cluster's controller "
        "nearly always takes when a CronJob has none."),
    NUMBER(OPTION_TIMES, 0, "count", 1, SCHEDULE_COUNT_MAX, "So many times. Default: 5."),
    TEXT(OPTION_FROM, 0, "from", "TIME",
         "The first time after this one, in RFC 3339, \"2026-03-28T00:00:00Z\", of the years 1970 "
         "to 2037. Default: now."),
    TEXT(OPTION_FILE, 0, "file", "FILE",
         "Take the schedules from a file, one a line; \"-\" is standard input. Empty lines and "
         "lines that begin with # are left out. At most 1 MiB."),
    END,
};
static const struct option_row sign_options[] = {
    CHOICE(
        OPTION_SCHEME, 's', "scheme", "SCHEME", sign_scheme_words,
        "Which forge to speak as, and how: \"github-json\" and \"github-form\" sign with "
        "X-Hub-Signature-256, \"gitlab-token\" sends X-Gitlab-Token, \"gitlab-signing\" signs as "
        "Standard Webhooks do. Default: by the URL's path, else github-json."),
    TEXT(OPTION_SECRET_FILE, 0, "secret-file", "FILE",
         "File with the secret that the agent has too."),
    FLAG(OPTION_UNSIGNED, 0, "unsigned", "Send no signature: what the agent must refuse."),
    CHOICE(OPTION_EVENT, 0, "event", "EVENT", sign_event_words,
           "\"push\" (the default), \"tag\", \"delete\" a branch, or \"ping\" (GitHub only)."),
    TEXT(OPTION_REPOSITORY, 0, "repository", "URL", "Clone URL that the delivery names."),
    TEXT(OPTION_BRANCH, 0, "branch", "NAME", "Branch that was pushed or deleted. Default: main."),
    TEXT(OPTION_TAG, 0, "tag", "NAME", "Tag that was pushed, with --event tag. Default: v1."),
    TEXT(OPTION_COMMIT, 0, "commit", "ID",
         "Commit that the delivery claims, 40 or 64 hex digits. Default: one made up; the agent "
         "builds the branch's real head in any case."),
    TEXT(OPTION_DELIVERY, 0, "delivery", "ID",
         "The delivery's id; the same id again is a repeat. Default: a new one."),
    FLAG(OPTION_PRINT, 0, "print", "Show the request's headers and body, send nothing."),
    END,
};

// --- the commands ---

#define SERVICE_TEXT "A SERVICE is namespace/name, or a name with -n.\n"
#define AGENT_GROUPS (GROUP_AGENT | GROUP_HELP)

const struct command commands[] = {
    {
        .name = "agent",
        .operands = "",
        .summary = "Run the daemon",
        .text = "Takes signed webhooks, builds images, patches CronJobs, and serves the admin API "
                "that the other commands ask. Everything is in the settings file; SIGTERM ends it "
                "in good order.\n",
        .options = daemon_options,
        .groups = GROUP_HELP,
        .examples =
            (const char *const[]){"cronwright agent --check --config cronwright.yaml", NULL},
    },
    {
        .name = "services",
        .operands = "",
        .summary = "List the services and how their last runs ended",
        .text = "A service is a CronJob that cronwright manages. STATE, the last run that has "
                "ended, and a run that is going on now are three things and shown as such.\n",
        .options = services_options,
        .groups = AGENT_GROUPS | GROUP_NAMESPACE | GROUP_OUTPUT | GROUP_TABLE,
        .run = command_services,
    },
    {
        .name = "show",
        .operands = "SERVICE",
        .least = 1,
        .most = 1,
        .summary = "Show one service: source, live commit, schedule, last run",
        .text = SERVICE_TEXT,
        .groups = AGENT_GROUPS | GROUP_NAMESPACE | GROUP_OUTPUT,
        .examples = (const char *const[]){"cronwright show reports/nightly-report", NULL},
        .run = command_show,
    },
    {
        .name = "run",
        .operands = "SERVICE",
        .least = 1,
        .most = 1,
        .summary = "Run a service now",
        .text = SERVICE_TEXT
        "The run is made as `kubectl create job --from` would; the CronJob is not touched. Its "
        "name "
        "goes to standard output.\n"
        "With --follow only the job's own lines go to standard output, and the command waits "
        "through pulling, retries and a restart of the agent. Ctrl-C detaches; the run goes on. "
        "With --follow -o json the log goes to standard error, and the ended run to standard "
        "output.\n",
        .options = run_options,
        .groups = AGENT_GROUPS | GROUP_NAMESPACE | GROUP_OUTPUT,
        .examples = (const char *const[]){"cronwright run --follow reports/nightly-report",
                                          "cronwright run --if-active replace -n reports "
                                          "nightly-report",
                                          NULL},
        .run = command_run,
    },
    {
        .name = "runs",
        .operands = "SERVICE",
        .least = 1,
        .most = 1,
        .summary = "List the runs of a service, the newest first",
        .text =
            SERVICE_TEXT "Runs stay listed when the cluster has forgotten them. Times that were "
                         "due and passed without a run are listed too, each with why.\n",
        .options = runs_options,
        .groups = AGENT_GROUPS | GROUP_NAMESPACE | GROUP_OUTPUT | GROUP_TABLE,
        .run = command_runs,
    },
    {
        .name = "logs",
        .operands = "[SERVICE]",
        .least = 0,
        .most = 1,
        .summary = "Print the log of a run, or of an image build",
        .text = SERVICE_TEXT "Without further options the latest run. Only the log goes to "
                             "standard output; of which run "
                             "it is, and how that ended, to standard error.\n",
        .options = logs_options,
        .groups = AGENT_GROUPS | GROUP_NAMESPACE,
        .examples = (const char *const[]){"cronwright logs reports/nightly-report",
                                          "cronwright logs --failed reports/nightly-report",
                                          "cronwright logs --follow --build b-51", NULL},
        .run = command_logs,
    },
    {
        .name = "cancel",
        .operands = "SERVICE [RUN]",
        .least = 1,
        .most = 2,
        .summary = "Cancel a run that is going on",
        .text = SERVICE_TEXT
        "Without RUN, the only one that is going on. The run's Job and pods are deleted.\n",
        .groups = AGENT_GROUPS | GROUP_NAMESPACE | GROUP_OUTPUT,
        .examples = (const char *const[]){"cronwright cancel reports/nightly-report "
                                          "nightly-report-f-3kq9",
                                          NULL},
        .run = command_cancel,
    },
    {
        .name = "deliveries",
        .operands = "[DELIVERY]",
        .least = 0,
        .most = 1,
        .summary = "List the webhook deliveries, refused ones too, and what each led to",
        .text = "With the id of a DELIVERY, all that is known of it and of its builds.\n",
        .options = deliveries_options,
        .groups = AGENT_GROUPS | GROUP_OUTPUT | GROUP_TABLE,
        .run = command_deliveries,
    },
    {
        .name = "builds",
        .operands = "[BUILD]",
        .least = 0,
        .most = 1,
        .summary = "List the image builds, how they ended and how long each step took",
        .text = "With a BUILD, \"b-51\", all that is known of it and which services got its "
                "image.\n",
        .options = builds_options,
        .groups = AGENT_GROUPS | GROUP_OUTPUT | GROUP_TABLE,
        .run = command_builds,
    },
    {
        .name = "schedule",
        .operands = "[EXPRESSION]",
        .least = 0,
        .most = 1,
        .summary = "Explain a cron schedule, and tell when it fires",
        .text =
            "Needs no agent. The grammar and the times are exactly those of Kubernetes' CronJob "
            "controller, also when clocks change. Exits with 1 when an EXPRESSION or the zone is "
            "wrong.\n"
            "An EXPRESSION has five fields: minute (0-59), hour (0-23), day of month (1-31), month "
            "(1-12 or jan-dec) and day of week (0-6 or sun-sat; Sunday is 0). A field is a list "
            "\"1,5\" of numbers, ranges \"1-5\", \"*\" (or \"?\") for all, each with a step: "
            "\"*/15\", \"8-18/2\", \"5/10\" from 5 on.\n"
            "When both day fields are given, it fires when either of them fits; unless one of them "
            "has a \"*\" without a step.\n"
            "Or it is @hourly, @daily (@midnight), @weekly, @monthly, @yearly (@annually), or "
            "\"@every 1h30m\", which is counted from the run before.\n"
            "An expression has at most 256 bytes. Times are told up to five years ahead and until "
            "the end of 2037.\n",
        .options = schedule_options,
        .groups = GROUP_OUTPUT | GROUP_HELP,
        .examples =
            (const char *const[]){"cronwright schedule '0 3 * * 1-5' --time-zone Europe/Berlin",
                                  "cronwright schedule '30 2 * * *' --time-zone Europe/Berlin "
                                  "--count 2 --from 2026-03-28T00:00:00Z",
                                  "cronwright schedule --file schedules -o json", NULL},
        .run = command_schedule,
    },
    {
        .name = "sign",
        .operands = "[URL]",
        .least = 0,
        .most = 1,
        .summary = "Send a signed test delivery to a webhook address",
        .text = "URL is the webhook address, with or without its /webhooks/... path; only --print "
                "needs none. Exits with 0 when the delivery was accepted.\n",
        .options = sign_options,
        .groups = GROUP_OUTPUT | GROUP_HELP,
        .examples =
            (const char *const[]){
                "cronwright sign --secret-file github.secret --repository "
                "https://github.com/acme/report http://127.0.0.1:8080",
                "cronwright sign --scheme gitlab-signing --secret-file "
                "gitlab.secret --repository https://gitlab.com/acme/report --print",
                NULL},
        .run = command_sign,
    },
    {
        .name = "help",
        .operands = "[COMMAND]",
        .least = 0,
        .most = 1,
        .summary = "Show what there is, or the help of a command",
        .text = "",
        .groups = GROUP_HELP,
    },
    {.name = NULL},
};

const struct command *command_find(const char *name)
{
    for (const struct command *command = commands; command->name != NULL; command++) {
        if (strcmp(command->name, name) == 0)
            return command;
    }
    return NULL;
}

const struct command *command_nearest(const char *name)
{
    const char *names[sizeof(commands) / sizeof(commands[0])] = {NULL};
    for (size_t i = 0; commands[i].name != NULL; i++)
        names[i] = commands[i].name;
    const char *near = text_nearest(name, names);
    return near ? command_find(near) : NULL;
}

void command_options(const struct command *command,
                     void (*each)(void *user, const struct option_row *row), void *user)
{
    const struct option_row *row = command->options;
    for (; row != NULL && row->name != NULL; row++)
        each(user, row);
    for (const struct option_group_rows *group = option_groups; group->rows != NULL; group++) {
        for (row = group->rows; (command->groups & group->group) && row->name != NULL; row++)
            each(user, row);
    }
}
