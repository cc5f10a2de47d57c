#include "deploy/document_table.h"
#include "deploy/cronjob.h"
#include "deploy/document_forms.h"
#include "deploy/kube/names.h"
#include "deploy/schedule.h"

#include <string.h>

static const char *const concurrency_words[] = {"Allow", "Forbid", "Replace", NULL};
static const char *const missed_words[] = {"skip", "run", NULL};
static const char *const first_run_words[] = {"never", "onStart", "onImage", NULL};
static const char *const restart_words[] = {"Never", "OnFailure", NULL};
static const char *const override_words[] = {"admin", "runner", NULL};
static const char *const scheme_words[] = {"HTTP", "HTTPS", NULL};
static const char *const protocol_words[] = {"TCP", "UDP", "SCTP", NULL};
static const char *const seccomp_words[] = {"RuntimeDefault", "Unconfined", NULL};

#define SECONDS DOCUMENT_INT, .max = DOCUMENT_SECONDS_MAX
#define ID      DOCUMENT_INT, .max = 2147483647

// One health check: the same fields at three places.
#define HEALTH_CHECK(name, probe, successes_max, what)                                             \
    {"healthChecks." name, DOCUMENT_OBJECT, .home = HOME_CONTAINER, .place = probe, .help = what}, \
        {"healthChecks." name ".http", DOCUMENT_OBJECT, .home = HOME_CONTAINER,                    \
         .place = probe ".httpGet",                                                                \
         .help = "An HTTP request that must be answered with 200 to 399."},                        \
        {"healthChecks." name ".http.path",                                                        \
         DOCUMENT_TEXT,                                                                            \
         .standard = "\"/\"",                                                                      \
         .form = form_http_path,                                                                   \
         .home = HOME_CONTAINER,                                                                   \
         .place = probe ".httpGet.path",                                                           \
         .help = "Path and query of the request."},                                                \
        {"healthChecks." name ".http.port",                                                        \
         DOCUMENT_PORT,                                                                            \
         DOCUMENT_REQUIRED,                                                                        \
         .home = HOME_CONTAINER,                                                                   \
         .place = probe ".httpGet.port",                                                           \
         .help = "Number or name of a port that `ports` declares."},                               \
        {"healthChecks." name ".http.scheme",                                                      \
         DOCUMENT_CHOICE,                                                                          \
         .standard = "\"HTTP\"",                                                                   \
         .words = scheme_words,                                                                    \
         .home = HOME_CONTAINER,                                                                   \
         .place = probe ".httpGet.scheme",                                                         \
         .help = "HTTP, or HTTPS without a look at the certificate."},                             \
        {"healthChecks." name ".tcp", DOCUMENT_OBJECT, .home = HOME_CONTAINER,                     \
         .place = probe ".tcpSocket", .help = "A TCP connection that must be accepted."},          \
        {"healthChecks." name ".tcp.port",                                                         \
         DOCUMENT_PORT,                                                                            \
         DOCUMENT_REQUIRED,                                                                        \
         .home = HOME_CONTAINER,                                                                   \
         .place = probe ".tcpSocket.port",                                                         \
         .help = "Number or name of a port that `ports` declares."},                               \
        {"healthChecks." name ".exec", DOCUMENT_OBJECT, .home = HOME_CONTAINER,                    \
         .place = probe ".exec", .help = "A command in the container that must exit with 0."},     \
        {"healthChecks." name ".exec.command",                                                     \
         DOCUMENT_TEXTS,                                                                           \
         DOCUMENT_REQUIRED,                                                                        \
         .max = DOCUMENT_LONG_TEXT_MAX,                                                            \
         .home = HOME_CONTAINER,                                                                   \
         .place = probe ".exec.command",                                                           \
         .help = "The command and its arguments; no shell."},                                      \
        {"healthChecks." name ".delaySeconds",                                                     \
         SECONDS,                                                                                  \
         .standard = "0",                                                                          \
         .home = HOME_CONTAINER,                                                                   \
         .place = probe ".initialDelaySeconds",                                                    \
         .help = "Seconds from the container's start to the first look."},                         \
        {"healthChecks." name ".periodSeconds",                                                    \
         SECONDS,                                                                                  \
         .min = 1,                                                                                 \
         .standard = "10",                                                                         \
         .home = HOME_CONTAINER,                                                                   \
         .place = probe ".periodSeconds",                                                          \
         .help = "Seconds between two looks."},                                                    \
        {"healthChecks." name ".timeoutSeconds",                                                   \
         SECONDS,                                                                                  \
         .min = 1,                                                                                 \
         .standard = "1",                                                                          \
         .home = HOME_CONTAINER,                                                                   \
         .place = probe ".timeoutSeconds",                                                         \
         .help = "Seconds in which an answer must come."},                                         \
        {"healthChecks." name ".failures",                                                         \
         DOCUMENT_INT,                                                                             \
         .min = 1,                                                                                 \
         .max = DOCUMENT_COUNT_MAX,                                                                \
         .standard = "3",                                                                          \
         .home = HOME_CONTAINER,                                                                   \
         .place = probe ".failureThreshold",                                                       \
         .help = "Failures in a row until it counts as failed."},                                  \
    {                                                                                              \
        "healthChecks." name ".successes", DOCUMENT_INT,                                           \
            .min = 1, .max = (successes_max), .standard = "1", .home = HOME_CONTAINER,             \
            .place = probe ".successThreshold",                                                    \
            .help = "Successes in a row until it counts as well again; 1 but for readiness."       \
    }

const struct document_field document_fields[] = {
    {"name", DOCUMENT_TEXT, DOCUMENT_REQUIRED, .form = form_cronjob_name, .home = HOME_CRONJOB,
     .place = "metadata.name", .help = "The service's name, a DNS label of at most 52 characters.",
     .example = "nightly-report"},
    {"namespace", DOCUMENT_TEXT, DOCUMENT_REQUIRED, .form = form_namespace, .home = HOME_CRONJOB,
     .place = "metadata.namespace", .help = "The namespace it lives in: its environment.",
     .example = "reports"},
    {"project", DOCUMENT_TEXT, .form = form_label_value, .home = HOME_LABEL, .place = LABEL_PROJECT,
     .help = "What it belongs to; lists can be filtered by it.", .example = "sales"},
    {"source", DOCUMENT_OBJECT, DOCUMENT_REQUIRED,
     .help = "Where its image comes from: `git` or `image`, one of them."},
    {"source.git", DOCUMENT_OBJECT,
     .help = "A repository whose branch is built, now and after each push."},
    {"source.git.repository", DOCUMENT_TEXT, DOCUMENT_REQUIRED, .form = form_repository,
     .home = HOME_ANNOTATION, .place = ANNOTATION_REPOSITORY,
     .help =
         "Its URL: https://, http://, ssh://git@host/path or git@host:path. The agent's settings "
         "must allow it for the namespace.",
     .example = "https://github.com/acme/report"},
    {"source.git.branch", DOCUMENT_TEXT, .max = 255, .standard = "\"main\"", .form = form_branch,
     .home = HOME_ANNOTATION, .place = ANNOTATION_BRANCH,
     .help = "The branch whose head is built."},
    {"source.git.dockerfile", DOCUMENT_TEXT, .max = 1024, .standard = "\"Dockerfile\"",
     .form = form_file_path, .home = HOME_ANNOTATION, .place = ANNOTATION_DOCKERFILE,
     .help = "The Dockerfile's path, relative to the context."},
    {"source.git.context", DOCUMENT_TEXT, .max = 1024, .standard = "\".\"", .form = form_file_path,
     .home = HOME_ANNOTATION, .place = ANNOTATION_CONTEXT,
     .help = "The directory of the repository that is built."},
    {"source.git.paths", DOCUMENT_TEXTS, .max = SERVICE_PATH_MAX, .most = SERVICE_PATHS_MAX,
     .form = form_path_pattern, .home = HOME_ANNOTATION, .place = ANNOTATION_PATHS,
     .help = "Patterns of files, from the root of the repository: a push is built only if one of "
             "them differs between the commit that is live and the branch's head. As in Git's "
             ":(glob): * and ? stand for all but \"/\", a part ** for any number of directories, "
             "and a path without *, ? and [ for a file or all in a directory; a \"/\" at the end "
             "means all below. So *.sql is in the root alone, **/*.sql anywhere. None: every push "
             "is built.",
     .example = "[\"report/**\"]"},
    {"source.git.buildArgs", DOCUMENT_MAP, .max = DOCUMENT_TEXT_MAX, .key_form = form_build_arg,
     .home = HOME_ANNOTATION, .place = ANNOTATION_BUILD_ARGS,
     .help = "Build arguments (ARG in the Dockerfile). No secrets: images keep them.",
     .example = "{EDITION: full}"},
    {"source.git.target", DOCUMENT_TEXT, .max = 255, .home = HOME_ANNOTATION,
     .place = ANNOTATION_TARGET, .help = "The stage of the Dockerfile to build; default the last.",
     .example = "release"},
    {"source.image", DOCUMENT_TEXT, .max = 1024, .form = form_image,
     .help = "An image that is there already, instead of `git`.",
     .example = "registry.example/acme/report:1.4"},
    {"image", DOCUMENT_TEXT, .max = 1024, .form = form_destination,
     .help = "Where the image of a Git source is pushed to: without a tag.",
     .example = "registry.example/acme/report"},
    {"container", DOCUMENT_OBJECT, DOCUMENT_ALWAYS, .help = "What runs in the image."},
    {"container.name", DOCUMENT_TEXT, .standard = "\"" DOCUMENT_CONTAINER "\"",
     .form = form_namespace,
     .help =
         "The container's name. Of several in a CronJob, the one that is the service's; others, "
         "init containers too, get its image as well if they have it already, or if the "
         "annotation cronwright.io/container names them all: a,b."},
    {"container.command", DOCUMENT_TEXTS, .max = DOCUMENT_LONG_TEXT_MAX, .home = HOME_CONTAINER,
     .place = "command", .help = "Instead of the image's ENTRYPOINT; no shell.",
     .example = "[/usr/bin/report]"},
    {"container.args", DOCUMENT_TEXTS, .max = DOCUMENT_LONG_TEXT_MAX, .home = HOME_CONTAINER,
     .place = "args", .help = "Instead of the image's CMD.", .example = "[--month, last]"},
    {"container.pullSecret", DOCUMENT_TEXT, .form = form_name,
     .help = "The Secret to pull the image with. It takes the place of the service account's own.",
     .example = "registry-login"},
    {"container.workingDir", DOCUMENT_TEXT, .form = form_absolute_path, .home = HOME_CONTAINER,
     .place = "workingDir", .help = "Instead of the image's WORKDIR.", .example = "/data"},
    {"schedule", DOCUMENT_TEXT, DOCUMENT_REQUIRED, .max = SCHEDULE_TEXT_MAX, .form = form_schedule,
     .home = HOME_CRONJOB, .place = "spec.schedule",
     .help = "Minute, hour, day of month, month, day of week (0-6, Sunday is 0); or @daily, @every "
             "90m and the like.",
     .example = "\"0 3 * * *\""},
    {"timeZone", DOCUMENT_TEXT, .max = ZONE_NAME_MAX, .form = form_zone, .home = HOME_CRONJOB,
     .place = "spec.timeZone",
     .help = "The zone of the schedule, by its IANA name. Not set: the cluster's, usually UTC.",
     .example = "Europe/Berlin"},
    {"history", DOCUMENT_OBJECT, DOCUMENT_ALWAYS, .help = "Finished runs that the cluster keeps."},
    {"history.failed", DOCUMENT_INT, .max = DOCUMENT_COUNT_MAX, .standard = "1",
     .home = HOME_CRONJOB, .place = "spec.failedJobsHistoryLimit",
     .help = "Failed ones, 0 to 1000."},
    {"history.succeeded", DOCUMENT_INT, .max = DOCUMENT_COUNT_MAX, .standard = "3",
     .home = HOME_CRONJOB, .place = "spec.successfulJobsHistoryLimit",
     .help = "Successful ones, 0 to 1000."},
    {"restarts", DOCUMENT_INT, .max = DOCUMENT_COUNT_MAX, .standard = "3", .absent = "6",
     .home = HOME_JOB, .place = "backoffLimit",
     .help = "How often a failed run is tried again (backoffLimit), 0 to 1000."},
    {"maxDurationSeconds", SECONDS, .min = 1, .home = HOME_JOB, .place = "activeDeadlineSeconds",
     .help = "A run, with all its attempts, is ended after so many seconds, 1 to a year. Not set: "
             "never.",
     .example = "600"},
    {"concurrency", DOCUMENT_CHOICE, .standard = "\"Forbid\"", .absent = "\"Allow\"",
     .words = concurrency_words, .home = HOME_CRONJOB, .place = "spec.concurrencyPolicy",
     .help =
         "What a scheduled run does while another one is active: Forbid (it is left out), Allow "
         "or Replace. Forced runs do not count."},
    {"startingDeadlineSeconds", SECONDS, .home = HOME_CRONJOB,
     .place = "spec.startingDeadlineSeconds",
     .help = "A run that could not start for so many seconds is left out, 0 to a year. Not set: it "
             "is started however late.",
     .example = "200"},
    {"missed", DOCUMENT_CHOICE, .standard = "\"skip\"", .words = missed_words,
     .home = HOME_ANNOTATION, .place = ANNOTATION_MISSED,
     .help = "What start, resume and a new schedule do about a time that has passed: skip it, or "
             "run it at once."},
    {"firstRun", DOCUMENT_CHOICE, .standard = "\"never\"", .words = first_run_words,
     .home = HOME_ANNOTATION, .place = ANNOTATION_FIRST_RUN,
     .help = "Whether to run once beside the schedule: never, onStart, or onImage (with each new "
             "image)."},
    {"restartPolicy", DOCUMENT_CHOICE, .standard = "\"Never\"", .words = restart_words,
     .home = HOME_POD, .place = "restartPolicy",
     .help = "Never: each attempt has a pod of its own, and so its log is kept. OnFailure: the "
             "container is started again in its pod, and of its log only the last is there."},
    {"resources", DOCUMENT_OBJECT, .help = "What a run gets of the cluster."},
    {"resources.requests", DOCUMENT_AMOUNTS, .form = form_quantity, .key_form = form_resource,
     .home = HOME_CONTAINER, .place = "resources.requests",
     .help = "What is set aside for it: cpu (100m is a tenth of one), memory (64Mi), "
             "ephemeral-storage.",
     .example = "{cpu: 100m, memory: 64Mi}"},
    {"resources.limits", DOCUMENT_AMOUNTS, .form = form_quantity, .key_form = form_resource,
     .home = HOME_CONTAINER, .place = "resources.limits",
     .help = "What it may use at most; beyond its memory it is killed.",
     .example = "{memory: 256Mi}"},
    {"env", DOCUMENT_OBJECTS, .home = HOME_CONTAINER, .place = "env",
     .help = "Environment variables, each with a value, or from a key of a Secret or ConfigMap.",
     .example = "[{name: MODE, value: full}, {name: TOKEN, secret: {name: report, key: token}}, "
                "{name: REGION, configMap: {name: site, key: region}}]"},
    {"env[].name", DOCUMENT_TEXT, DOCUMENT_REQUIRED, .form = form_variable,
     .help = "The variable's name."},
    {"env[].value", DOCUMENT_TEXT, DOCUMENT_EMPTY_OK, .max = DOCUMENT_LONG_TEXT_MAX,
     .help = "Its value. No secrets here: everyone who may see the CronJob reads them."},
    {"env[].secret", DOCUMENT_OBJECT, .help = "Its value is a Secret's."},
    {"env[].secret.name", DOCUMENT_TEXT, DOCUMENT_REQUIRED, .form = form_name,
     .help = "The Secret's name."},
    {"env[].secret.key", DOCUMENT_TEXT, DOCUMENT_REQUIRED, .form = form_config_key,
     .help = "The key in the Secret."},
    {"env[].configMap", DOCUMENT_OBJECT, .help = "Its value is a ConfigMap's."},
    {"env[].configMap.name", DOCUMENT_TEXT, DOCUMENT_REQUIRED, .form = form_name,
     .help = "The ConfigMap's name."},
    {"env[].configMap.key", DOCUMENT_TEXT, DOCUMENT_REQUIRED, .form = form_config_key,
     .help = "The key in the ConfigMap."},
    {"ports", DOCUMENT_OBJECTS, .home = HOME_CONTAINER, .place = "ports",
     .help = "Ports that the container listens on.", .example = "[{name: metrics, port: 9090}]"},
    {"ports[].name", DOCUMENT_TEXT, .form = form_port_name, .help = "The port's name."},
    {"ports[].port", DOCUMENT_INT, DOCUMENT_REQUIRED, .min = 1, .max = 65535,
     .help = "Its number, 1 to 65535."},
    {"ports[].protocol", DOCUMENT_CHOICE, .standard = "\"TCP\"", .words = protocol_words,
     .help = "TCP, UDP or SCTP."},
    {"healthChecks", DOCUMENT_OBJECT,
     .help = "Looks at a running container, each by `http`, `tcp` or `exec`."},
    HEALTH_CHECK("startup", "startupProbe", 1,
                 "Until this one succeeds the others wait; a container for which it fails is "
                 "killed."),
    HEALTH_CHECK("liveness", "livenessProbe", 1, "A container for which this fails is killed."),
    HEALTH_CHECK("readiness", "readinessProbe", DOCUMENT_COUNT_MAX,
                 "While this fails the pod is not ready, and Services send it nothing."),
    {"security", DOCUMENT_OBJECT, .help = "What the container may do."},
    {"security.runAsNonRoot", DOCUMENT_BOOL, .home = HOME_SECURITY, .place = "runAsNonRoot",
     .help = "Whether to refuse to run as root.", .example = "true"},
    {"security.runAsUser", ID, .home = HOME_SECURITY, .place = "runAsUser",
     .help = "The user's id instead of the image's, 0 to 2147483647.", .example = "1000"},
    {"security.runAsGroup", ID, .home = HOME_SECURITY, .place = "runAsGroup",
     .help = "The group's id, 0 to 2147483647.", .example = "1000"},
    {"security.fsGroup", ID, .home = HOME_POD, .place = "securityContext.fsGroup",
     .help = "The group that volumes are given to, 0 to 2147483647.", .example = "1000"},
    {"security.readOnlyRootFilesystem", DOCUMENT_BOOL, .home = HOME_CONTAINER,
     .place = "securityContext.readOnlyRootFilesystem",
     .help = "Whether only volumes can be written to.", .example = "true"},
    {"security.allowPrivilegeEscalation", DOCUMENT_BOOL, .home = HOME_CONTAINER,
     .place = "securityContext.allowPrivilegeEscalation",
     .help = "Whether setuid programs gain rights.", .example = "false"},
    {"security.dropCapabilities", DOCUMENT_TEXTS, .form = form_capability, .home = HOME_CONTAINER,
     .place = "securityContext.capabilities.drop", .help = "Capabilities to give up.",
     .example = "[ALL]"},
    {"security.addCapabilities", DOCUMENT_TEXTS, .form = form_capability, .home = HOME_CONTAINER,
     .place = "securityContext.capabilities.add", .help = "Capabilities to have besides.",
     .example = "[NET_BIND_SERVICE]"},
    {"security.seccomp", DOCUMENT_CHOICE, .words = seccomp_words, .home = HOME_SECURITY,
     .place = "seccompProfile.type",
     .help = "Which system calls there are: RuntimeDefault or Unconfined.",
     .example = "RuntimeDefault"},
    {"volumes", DOCUMENT_OBJECTS, .home = HOME_POD, .place = "volumes",
     .help = "What is mounted, each from a `secret`, a `configMap`, a `claim` (of a persistent "
             "volume) or an `emptyDir`.",
     .example = "[{name: data, mountPath: /data, secret: report-data}]"},
    {"volumes[].name", DOCUMENT_TEXT, DOCUMENT_REQUIRED, .form = form_namespace,
     .help = "The volume's name."},
    {"volumes[].mountPath", DOCUMENT_TEXT, DOCUMENT_REQUIRED, .form = form_mount_path,
     .help = "Where it is in the container."},
    {"volumes[].readOnly", DOCUMENT_BOOL, .standard = "false",
     .help = "Whether it cannot be written to."},
    {"volumes[].subPath", DOCUMENT_TEXT, .form = form_sub_path,
     .help = "The path in the volume that is mounted, instead of all of it."},
    {"volumes[].secret", DOCUMENT_TEXT, .form = form_name, .help = "A Secret's name."},
    {"volumes[].configMap", DOCUMENT_TEXT, .form = form_name, .help = "A ConfigMap's name."},
    {"volumes[].claim", DOCUMENT_TEXT, .form = form_name,
     .help = "A PersistentVolumeClaim's name."},
    {"volumes[].emptyDir", DOCUMENT_OBJECT, DOCUMENT_EMPTY_OK,
     .help = "{}: an empty directory that ends with the pod."},
    {"podLabels", DOCUMENT_MAP, .form = form_label_value, .key_form = form_own_label_key,
     .home = HOME_POD_LABELS, .help = "Labels of the pods.", .example = "{team: sales}"},
    {"nodeSelector", DOCUMENT_MAP, .form = form_label_value, .key_form = form_label_key,
     .home = HOME_POD, .place = "nodeSelector", .help = "Labels that a node must have.",
     .example = "{disk: ssd}"},
    {"serviceAccount", DOCUMENT_TEXT, .form = form_name, .home = HOME_POD,
     .place = "serviceAccountName",
     .help = "Whose rights the pods have in the cluster. Not set: the namespace's default.",
     .example = "report"},
    {"overrides", DOCUMENT_CHOICE, .standard = "\"admin\"", .words = override_words,
     .home = HOME_ANNOTATION, .place = ANNOTATION_OVERRIDES,
     .help =
         "Who may give a forced run variables and arguments of its own: role admin, or runner."},
};
const size_t document_field_count = sizeof document_fields / sizeof *document_fields;

bool document_is_below(const char *parent, const struct document_field *field, const char **key)
{
    size_t len = strlen(parent);
    if (strncmp(field->path, parent, len) != 0)
        return false;
    const char *rest = field->path + len;
    if (len > 0 && *rest++ != '.')
        return false;
    if (*rest == '\0' || strpbrk(rest, ".["))
        return false;
    *key = rest;
    return true;
}
