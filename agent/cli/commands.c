// The one table of commands and options.

#include "agent/base/text.h"
#include "agent/cli/command.h"
#include "agent/cli/output.h"
#include "agent/config.h"
#include "deploy/schedule.h"
#include "webhooks/sign.h"

#include <string.h>

#define LIMIT_MAX   500
#define TAIL_MAX    1000000000
#define ATTEMPT_MAX 1000
#define PAGE_MAX    INT64_MAX
#define KEPT_MAX    1000     // runs, attempts: as the agent takes them
#define SECONDS_MAX 31536000 // a year

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
#define LIST(id, name, argument, help)                                                             \
    {                                                                                              \
        id, 0, name, argument, OPTION_LIST, NULL, 0, 0, help                                       \
    }
#define END                                                                                        \
    {                                                                                              \
        .name = NULL                                                                               \
    }

static const char *const if_active_words[] = {"refuse", "allow", "replace", NULL};
static const char *const delete_active_words[] = {"refuse", "cancel", NULL};
static const char *const logs_words[] = {"keep", "delete", NULL};
static const char *const concurrency_words[] = {"Forbid", "Allow", "Replace", NULL};
static const char *const missed_words[] = {"skip", "run", NULL};
static const char *const first_run_words[] = {"never", "onStart", "onImage", NULL};
static const char *const restart_policy_words[] = {"Never", "OnFailure", NULL};

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
        "\"table\" for people (the default), \"wide\" with more columns; \"json\" or \"yaml\": the "
        "API's answer, also a refusal, with seconds and RFC 3339 times, JSON indented on a "
        "terminal, else one line with sorted keys; \"name\": only what the things are called, a "
        "line each."),
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
static const struct option_row backup_options[] = {
    TEXT(OPTION_CONFIG, 'c', "config", "FILE",
         "The agent's settings. Default: /etc/cronwright/cronwright.yaml."),
    END,
};
static const struct option_row fetch_context_options[] = {
    NUMBER(OPTION_TIMEOUT, 0, "timeout", 1, 86400, "How long to go on trying. Default: 600."),
    END,
};
static const struct option_row doctor_options[] = {
    TEXT(OPTION_CONFIG, 'c', "config", "FILE",
         "Also check this settings file, whether or not the agent runs. With --repair, the agent's "
         "settings; default: /etc/cronwright/cronwright.yaml."),
    FLAG(OPTION_REPAIR, 0, "repair",
         "Check and mend what a stopped agent left: database, mirrors and logs."),
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
    LIST(
        OPTION_ENV, "env", "NAME=VALUE",
        "A variable for this run alone, over the service's own; may be repeated. Needs role admin, "
        "or the service's \"overrides: runner\"."),
    END,
};
#define YES(help) FLAG(OPTION_YES, 'y', "yes", help)
// Where an image comes from, for create and adopt.
#define GIT_SOURCE                                                                                 \
    TEXT(OPTION_PROJECT, 0, "project", "NAME", "Project that the service belongs to."),            \
        TEXT(OPTION_REPOSITORY, 0, "repository", "URL",                                            \
             "Git repository to build the image from; the agent's settings must allow it."),       \
        TEXT(OPTION_BRANCH, 0, "branch", "NAME", "Branch to follow. Default: main."),              \
        TEXT(OPTION_DOCKERFILE, 0, "dockerfile", "PATH",                                           \
             "Dockerfile within the context. Default: Dockerfile."),                               \
        TEXT(OPTION_CONTEXT, 0, "context", "PATH",                                                 \
             "Folder of the repository that is given to the build. Default: all of it."),          \
        TEXT(OPTION_TARGET, 0, "target", "STAGE",                                                  \
             "Stage of the Dockerfile to build. Default: the last."),                              \
        LIST(OPTION_BUILD_ARG, "build-arg", "NAME=VALUE", "Build argument; may be repeated."),     \
        LIST(OPTION_PATH, "path", "PATTERN",                                                       \
             "Build only when a file like that changed, \"report/**\"; may be repeated. Default: " \
             "whatever changed.")

static const struct option_row create_options[] = {
    TEXT(OPTION_FILE, 'f', "file", "FILE",
         "The service as YAML or JSON, \"-\" for standard input. Instead of a SERVICE and the "
         "options that describe it."),
    FLAG(OPTION_EXAMPLE, 0, "example", "Print a file with every setting, explained, and end."),
    FLAG(OPTION_DRY_RUN, 0, "dry-run", "Check everything, by Kubernetes too, and create nothing."),
    TEXT(OPTION_IMAGE, 0, "image", "IMAGE",
         "Image to run; with --repository, where the built image is pushed, without a tag."),
    GIT_SOURCE,
    TEXT(OPTION_SCHEDULE, 0, "schedule", "EXPRESSION",
         "When it runs: minute, hour, day of month, month and day of week (0 is Sunday), as "
         "Kubernetes takes them. cronwright schedule explains one."),
    TEXT(OPTION_TIME_ZONE, 0, "time-zone", "ZONE",
         "Zone of the schedule, \"Europe/Berlin\". Default: the cluster's, usually UTC."),
    NUMBER(
        OPTION_RESTARTS, 0, "restarts", 0, KEPT_MAX,
        "How often a failed attempt is followed by another (Kubernetes' backoffLimit), from 0 to "
        "1000, each later than the one before. Default: 3."),
    NUMBER(OPTION_MAX_DURATION, 0, "max-duration", 1, SECONDS_MAX,
           "Seconds after which a run is ended with all its attempts (activeDeadlineSeconds), from "
           "1 to 31536000, a year. Default: none."),
    CHOICE(OPTION_CONCURRENCY, 0, "concurrency", "WHAT", concurrency_words,
           "When a run is due while one goes on: \"Forbid\" (the default) skips it, \"Allow\" runs "
           "both, \"Replace\" ends the old one. Forced runs are not counted."),
    NUMBER(OPTION_STARTING_DEADLINE, 0, "starting-deadline", 0, SECONDS_MAX,
           "Seconds that a run may start late, from 0 to 31536000; later it is skipped. Below 10 "
           "the controller may miss every run. Default: any."),
    NUMBER(OPTION_FAILED_HISTORY, 0, "failed-history", 0, KEPT_MAX,
           "Failed runs whose Jobs and pods the cluster keeps, from 0 to 1000. Default: 1. The "
           "agent keeps the logs of more."),
    NUMBER(OPTION_SUCCEEDED_HISTORY, 0, "succeeded-history", 0, KEPT_MAX,
           "The same for runs that succeeded. Default: 3."),
    CHOICE(OPTION_MISSED, 0, "missed", "WHAT", missed_words,
           "What start, resume and a changed schedule do about times that are past: \"skip\" (the "
           "default), or \"run\" the latest at once."),
    CHOICE(
        OPTION_FIRST_RUN, 0, "first-run", "WHEN", first_run_words,
        "A run out of turn: \"never\" (the default), \"onStart\" when the service is started, or "
        "\"onImage\" with each new image."),
    CHOICE(
        OPTION_RESTART_POLICY, 0, "restart-policy", "WHAT", restart_policy_words,
        "\"Never\" (the default) makes each attempt a pod of its own, so that the log of each is "
        "kept; \"OnFailure\" restarts the container in its pod."),
    TEXT(OPTION_REQUEST_CPU, 0, "request-cpu", "QUANTITY",
         "Processor time that is set aside for it, \"100m\" or \"0.5\"."),
    TEXT(OPTION_REQUEST_MEMORY, 0, "request-memory", "QUANTITY",
         "Memory that is set aside for it, \"64Mi\"."),
    TEXT(OPTION_LIMIT_CPU, 0, "limit-cpu", "QUANTITY", "Processor time that it may use at most."),
    TEXT(OPTION_LIMIT_MEMORY, 0, "limit-memory", "QUANTITY",
         "Memory that it may use at most; beyond it is killed."),
    LIST(OPTION_ENV, "env", "NAME=VALUE",
         "Environment variable; may be repeated. Those from Secrets and ConfigMaps are given in a "
         "file."),
    FLAG(OPTION_COMMAND, 0, "command",
         "What follows -- is the container's command, not its arguments."),
    TEXT(OPTION_CONTAINER, 0, "container", "NAME", "Name of the container. Default: main."),
    TEXT(OPTION_WORKING_DIR, 0, "working-dir", "PATH",
         "Directory that it starts in. Default: the image's."),
    TEXT(OPTION_SERVICE_ACCOUNT, 0, "service-account", "NAME",
         "Service account that it runs as. Default: the namespace's own."),
    TEXT(OPTION_PULL_SECRET, 0, "pull-secret", "NAME", "Secret to pull the image with."),
    END,
};
static const struct option_row edit_options[] = {
    TEXT(OPTION_FILE, 'f', "file", "FILE",
         "Make the service as this file says, \"-\" for standard input, instead of running an "
         "editor. What the file leaves out goes back to its default."),
    FLAG(OPTION_DRY_RUN, 0, "dry-run", "Show what would change, and change nothing."),
    YES("Apply the change without asking."),
    END,
};
static const struct option_row adopt_options[] = {
    TEXT(OPTION_IMAGE, 0, "image", "IMAGE",
         "Where the built image is pushed, without a tag. Default: where the present image is "
         "from."),
    GIT_SOURCE,
    TEXT(OPTION_CONTAINER, 0, "container", "NAME[,NAME...]",
         "The container that gets the image, where there are several with different ones; init "
         "containers may be named, and several that all get it."),
    END,
};
static const struct option_row delete_options[] = {
    CHOICE(
        OPTION_LOGS, 0, "logs", "WHAT", logs_words,
        "\"keep\" (the default) the logs of its runs in the agent's archive, or \"delete\" them."),
    CHOICE(OPTION_IF_ACTIVE, 0, "if-active", "WHAT", delete_active_words,
           "When a run of the service is going on: \"refuse\" (the default), or \"cancel\" it."),
    YES("Delete it without asking."),
    END,
};
static const struct option_row build_options[] = {
    FLAG(OPTION_FOLLOW, 'f', "follow", "Wait for the build and print its log as it is written."),
    END,
};
static const struct option_row rollback_options[] = {
    TEXT(OPTION_TO, 0, "to", "BUILD",
         "The build, \"b-49\", whose image it gets; cronwright images lists them. Default: the "
         "image "
         "before the present one."),
    END,
};
static const struct option_row images_options[] = {
    NUMBER(OPTION_LIMIT, 0, "limit", 1, LIMIT_MAX, "At most so many, the newest. Default: 20."),
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
    TEXT(OPTION_SEARCH, 0, "search", "TEXT",
         "Only the lines with exactly this text, at most 1000, each after its number; exits with 1 "
         "when there is none."),
    FLAG(OPTION_IGNORE_CASE, 0, "ignore-case", "With --search: letters A to Z of either case."),
    FLAG(OPTION_RAW, 0, "raw",
         "On a terminal too, every byte as it was written. Without it control sequences are shown, "
         "not obeyed, there; files and pipes always get every byte."),
    END,
};
#define OF_COMMIT                                                                                  \
    TEXT(OPTION_COMMIT, 0, "commit", "ID",                                                         \
         "Only those of this commit, or of commits whose ids begin so: 7 to 40 hex digits.")
static const struct option_row deliveries_options[] = {
    NUMBER(OPTION_LIMIT, 0, "limit", 1, LIMIT_MAX, "At most so many, the newest. Default: 20."),
    NUMBER(OPTION_BEFORE, 0, "before", 1, PAGE_MAX,
           "Only those before this \"seq\" (see -o json): the next page."),
    TEXT(OPTION_REPOSITORY, 0, "repository", "URL", "Only those of this repository."),
    TEXT(OPTION_REASON, 0, "reason", "WORD",
         "Only those that ended so: \"deployed\", \"no-match\", ..."),
    OF_COMMIT,
    END,
};
static const struct option_row builds_options[] = {
    NUMBER(OPTION_LIMIT, 0, "limit", 1, LIMIT_MAX, "At most so many, the newest. Default: 20."),
    TEXT(OPTION_BEFORE, 0, "before", "BUILD", "Only those before this build: the next page."),
    TEXT(OPTION_REPOSITORY, 0, "repository", "URL", "Only those of this repository."),
    TEXT(OPTION_BRANCH, 0, "branch", "NAME", "Only those of this branch."),
    OF_COMMIT,
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
        "Standard Webhooks do, \"gitea-json\" and \"gitea-form\" (for Forgejo too) sign the JSON, "
        "\"bitbucket-cloud\" and \"bitbucket-server\" (Data Center) sign with X-Hub-Signature. "
        "Default: by the URL's path, else github-json."),
    TEXT(OPTION_SECRET_FILE, 0, "secret-file", "FILE",
         "File with the secret that the agent has too."),
    FLAG(OPTION_UNSIGNED, 0, "unsigned", "Send no signature: what the agent must refuse."),
    CHOICE(OPTION_EVENT, 0, "event", "EVENT", sign_event_words,
           "\"push\" (the default), \"tag\", \"delete\" a branch, or \"ping\" (GitHub and "
           "Bitbucket Data Center only)."),
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
static const struct option_row token_options[] = {
    TEXT(OPTION_NAME, 0, "name", "NAME", "Whose it is: shown in logs. Default: new."),
    CHOICE(
        OPTION_ROLE, 0, "role", "ROLE", config_role_words,
        "\"viewer\" (the default) looks, \"runner\" also starts runs, \"admin\" changes things."),
    TEXT(OPTION_NAMESPACES, 0, "namespaces", "NAMES",
         "Namespaces it is good for, with commas between them. Default: *, which is all."),
    TEXT(OPTION_OUT, 0, "out", "FILE",
         "Write the token to a new file that only you can read, in place of standard output."),
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
                "that the other commands ask. Everything is in the settings file; SIGHUP has that "
                "read again, SIGTERM ends it in good order.\n",
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
        .summary = "Show one service as for a review: what will run, when, and what is missing",
        .text = SERVICE_TEXT "Values of secrets are not shown, only their names. With -o json or "
                             "yaml, the document that "
                             "create and edit take, with all defaults, and its \"status\".\n",
        .groups = AGENT_GROUPS | GROUP_NAMESPACE | GROUP_OUTPUT,
        .examples = (const char *const[]){"cronwright show reports/nightly-report", NULL},
        .run = command_show,
    },
    {
        .name = "create",
        .operands = "[SERVICE]",
        .least = 0,
        .most = 1,
        .rest = "ARGUMENT...",
        .summary = "Create a service, as a draft that does not run yet",
        .text = SERVICE_TEXT
        "The service is described by a file or by options; what follows -- are its container's "
        "arguments. All that is wrong is said at once, by line and column, and nothing is created "
        "then. To create the same service twice changes nothing.\n"
        "A draft is a suspended CronJob. One with a Git repository is built at once; nothing runs "
        "before cronwright start.\n",
        .options = create_options,
        .groups = AGENT_GROUPS | GROUP_NAMESPACE | GROUP_OUTPUT,
        .examples =
            (const char *const[]){"cronwright create --example > svc.yaml",
                                  "cronwright create -f svc.yaml --dry-run",
                                  "cronwright create reports/cleanup --image "
                                  "registry.example/acme/cleanup:1.4 --schedule '0 3 * * *' "
                                  "--time-zone Europe/Berlin -- --older-than 30d",
                                  "cronwright create reports/nightly-report --repository "
                                  "https://github.com/acme/report --image "
                                  "registry.example/acme/report --schedule '0 3 * * *'",
                                  NULL},
        .run = command_create,
    },
    {
        .name = "edit",
        .operands = "[SERVICE]",
        .least = 0,
        .most = 1,
        .summary = "Change a service in an editor, or by a file",
        .text = SERVICE_TEXT
        "VISUAL, else EDITOR, gets the service as YAML. Then the difference is shown, and applied "
        "when you say so. Nothing happens when the editor ends with an error. What was changed by "
        "someone else meanwhile is never overwritten. A run that is going on is not touched, and "
        "what cronwright has no word for in the CronJob stays as it is. If it cannot be applied, "
        "the file is kept.\n",
        .options = edit_options,
        .groups = AGENT_GROUPS | GROUP_NAMESPACE | GROUP_OUTPUT,
        .examples = (const char *const[]){"EDITOR=nano cronwright edit reports/nightly-report",
                                          "cronwright edit -f svc.yaml --yes", NULL},
        .run = command_edit,
    },
    {
        .name = "adopt",
        .operands = "SERVICE",
        .least = 1,
        .most = 1,
        .summary = "Take over a CronJob that exists, so that cronwright builds and runs it",
        .text = SERVICE_TEXT
        "The CronJob gets a label and annotations; all else in it stays, and it goes on running. "
        "If Helm, Argo CD or Flux owns it, the answer says what will fight and how to stop it.\n",
        .options = adopt_options,
        .groups = AGENT_GROUPS | GROUP_NAMESPACE | GROUP_OUTPUT,
        .examples = (const char *const[]){"cronwright adopt reports/nightly-report --repository "
                                          "https://github.com/acme/report --branch main",
                                          NULL},
        .run = command_adopt,
    },
    {
        .name = "copy",
        .operands = "SERVICE TO",
        .least = 2,
        .most = 2,
        .summary = "Copy a service to another environment, as a draft",
        .text = SERVICE_TEXT "TO is the new one's namespace/name.\n",
        .groups = AGENT_GROUPS | GROUP_NAMESPACE | GROUP_OUTPUT,
        .examples = (const char *const[]){"cronwright copy staging/report production/report", NULL},
        .run = command_copy,
    },
    {
        .name = "start",
        .operands = "SERVICE",
        .least = 1,
        .most = 1,
        .summary = "Start a draft or a stopped service: from now on its schedule counts",
        .text = SERVICE_TEXT
        "All that a run needs is checked first, and what is missing is named. A service whose "
        "image "
        "is not built yet starts when it is. Times that are past are skipped, unless the service "
        "says \"missed: run\".\n",
        .groups = AGENT_GROUPS | GROUP_NAMESPACE | GROUP_OUTPUT,
        .examples = (const char *const[]){"cronwright start reports/nightly-report", NULL},
        .run = command_start,
    },
    {
        .name = "stop",
        .operands = "SERVICE",
        .least = 1,
        .most = 1,
        .summary = "Stop a service: its schedule no longer counts",
        .text = SERVICE_TEXT "A run that is going on goes on; cronwright cancel ends it.\n",
        .groups = AGENT_GROUPS | GROUP_NAMESPACE | GROUP_OUTPUT,
        .examples = (const char *const[]){"cronwright stop reports/nightly-report", NULL},
        .run = command_stop,
    },
    {
        .name = "delete",
        .operands = "SERVICE",
        .least = 1,
        .most = 1,
        .summary = "Delete a service: its CronJob and what the cluster keeps of its runs",
        .text = SERVICE_TEXT "Asks first; without a terminal it wants --yes.\n",
        .options = delete_options,
        .groups = AGENT_GROUPS | GROUP_NAMESPACE | GROUP_OUTPUT,
        .examples =
            (const char *const[]){"cronwright delete --logs delete --yes reports/old-report", NULL},
        .run = command_delete,
    },
    {
        .name = "build",
        .operands = "SERVICE",
        .least = 1,
        .most = 1,
        .summary = "Build the head of a service's branch now, as a push would",
        .text = SERVICE_TEXT,
        .options = build_options,
        .groups = AGENT_GROUPS | GROUP_NAMESPACE | GROUP_OUTPUT,
        .examples = (const char *const[]){"cronwright build --follow reports/nightly-report", NULL},
        .run = command_build,
    },
    {
        .name = "images",
        .operands = "SERVICE",
        .least = 1,
        .most = 1,
        .summary = "List the images that a service has had, the newest first",
        .text = SERVICE_TEXT,
        .options = images_options,
        .groups = AGENT_GROUPS | GROUP_NAMESPACE | GROUP_OUTPUT | GROUP_TABLE,
        .run = command_images,
    },
    {
        .name = "rollback",
        .operands = "SERVICE",
        .least = 1,
        .most = 1,
        .summary = "Give a service an earlier image, and stop following its branch",
        .text = SERVICE_TEXT
        "Pushes no longer change it, until cronwright resume. So it is too when somebody sets the "
        "image by hand.\n",
        .options = rollback_options,
        .groups = AGENT_GROUPS | GROUP_NAMESPACE | GROUP_OUTPUT,
        .examples =
            (const char *const[]){"cronwright rollback reports/nightly-report --to b-49", NULL},
        .run = command_rollback,
    },
    {
        .name = "resume",
        .operands = "SERVICE",
        .least = 1,
        .most = 1,
        .summary = "Follow the branch again, after a rollback or an image set by hand",
        .text = SERVICE_TEXT,
        .groups = AGENT_GROUPS | GROUP_NAMESPACE | GROUP_OUTPUT,
        .examples = (const char *const[]){"cronwright resume reports/nightly-report", NULL},
        .run = command_resume,
    },
    {
        .name = "run",
        .operands = "SERVICE",
        .least = 1,
        .most = 1,
        .rest = "ARGUMENT...",
        .summary = "Run a service now",
        .text = SERVICE_TEXT
        "The run is made as `kubectl create job --from` would; the CronJob is not touched. Its "
        "name "
        "goes to standard output.\n"
        "With --follow only the job's own lines go to standard output, and the command waits "
        "through pulling, retries and a restart of the agent. Ctrl-C detaches; the run goes on. "
        "With --follow and -o json, yaml or name the log goes to standard error, and the ended run "
        "to standard output.\n"
        "What follows -- are the container's arguments for this run alone, in place of the "
        "service's; that needs what --env needs.\n",
        .options = run_options,
        .groups = AGENT_GROUPS | GROUP_NAMESPACE | GROUP_OUTPUT,
        .examples = (const char *const[]){"cronwright run --follow reports/nightly-report",
                                          "cronwright run --if-active replace -n reports "
                                          "nightly-report",
                                          "cronwright run --env DAY=2026-11-23 "
                                          "reports/nightly-report -- --again",
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
        .examples =
            (const char *const[]){"cronwright logs reports/nightly-report",
                                  "cronwright logs --failed reports/nightly-report",
                                  "cronwright logs --follow --build b-51",
                                  "cronwright logs --search Traceback reports/nightly-report",
                                  NULL},
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
        .name = "doctor",
        .operands = "",
        .summary = "Look at everything that may be wrong, and say how to mend it",
        .text = "The agent looks at its settings, its rights in each namespace, Git hosts and "
                "registries with their logins, what builds need, its disk, the clocks, and at each "
                "service; it sends itself a signed delivery of each forge, which is ignored. What "
                "is wrong stands on a line of its own, with what to do below it.\n"
                "Exits with 1 when there is a problem; warnings alone are no failure. Needs a "
                "token of role admin for all namespaces. It takes half a minute at most. When the "
                "agent is not reached, that is the problem, and --config checks its settings.\n"
                "With --repair, while no agent runs: the database is checked and mended, and "
                "brought to this version's schema; mirrors are read through, and damaged ones "
                "removed, since they are made again; so are logs and contexts that nothing belongs "
                "to. What cannot be mended is moved aside, with all of it that can be read in its "
                "place. Exits with 1 when something could not be mended.\n",
        .options = doctor_options,
        .groups = AGENT_GROUPS | GROUP_OUTPUT,
        .examples =
            (const char *const[]){"cronwright doctor",
                                  "cronwright doctor --config "
                                  "/etc/cronwright/cronwright.yaml",
                                  "cronwright doctor -o json", "cronwright doctor --repair", NULL},
        .run = command_doctor,
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
        .name = "token",
        .operands = "",
        .summary = "Make a token for the admin API, and the entry of the settings for it",
        .text = "The token, 256 bits of chance, goes to standard output and is told only this "
                "once. The entry for admin.tokens in the agent's settings goes to standard error: "
                "it holds the token's hash, from which nobody finds the token. With -o json or "
                "yaml both are on standard output. No agent is asked.\n",
        .options = token_options,
        .groups = GROUP_OUTPUT | GROUP_HELP,
        .examples =
            (const char *const[]){
                "cronwright token --name ana --role runner --namespaces reports,sales",
                "cronwright token --name ci --role admin --out ci.token 2>> entry.yaml", NULL},
        .run = command_token,
    },
    {
        .name = "backup",
        .operands = "FILE",
        .least = 1,
        .most = 1,
        .summary = "Copy the agent's database to a file while the agent runs",
        .text =
            "FILE holds the database as it was at one moment, is readable for its owner alone, "
            "and is on disk when the command ends; one that is there stays. Run it as the user "
            "that the agent runs as.\n"
            "To go back to it: stop the agent, remove cronwright.db, cronwright.db-wal and "
            "cronwright.db-shm from its state directory, put FILE there as cronwright.db, and "
            "start it again. Pushes since the backup are found by looking at every branch. Logs "
            "are no part of it, and mirrors are made again.\n",
        .options = backup_options,
        .groups = GROUP_HELP,
        .examples =
            (const char *const[]){"cronwright backup /var/backups/cronwright-$(date +%F).db", NULL},
    },
    {
        .name = "fetch-context",
        .operands = "TICKET FILE",
        .least = 2,
        .most = 2,
        .summary = "Fetch a build context in a build's pod",
        .text = "Runs in the init container of builds whose context is too large for a Secret. "
                "TICKET is a directory with the files address, token, sha256, bytes and ca, which "
                "the agent's context listener is asked with. FILE is there only when its SHA-256 "
                "is right. Exits with 1 when it never will be, and with 75 when time ran out.\n",
        .options = fetch_context_options,
        .groups = GROUP_HELP,
        .internal = true,
    },
    {
        .name = "completion",
        .operands = "SHELL",
        .least = 1,
        .most = 1,
        .summary = "Print a script that completes commands, options and services in a shell",
        .text = "SHELL is bash, zsh or fish. Services are asked of the agent as you type.\n",
        .groups = GROUP_HELP,
        .examples = (const char *const[]){"source <(cronwright completion bash)",
                                          "cronwright completion fish > "
                                          "~/.config/fish/completions/cronwright.fish",
                                          NULL},
        .run = command_completion,
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
