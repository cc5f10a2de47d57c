// Documents: all faults at once, to a CronJob and back, and changes that leave the rest alone.
#include "deploy/cronjob.h"
#include "deploy/document.h"
#include "deploy/document_forms.h"
#include "deploy/document_path.h"
#include "deploy/merge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

// JSON with ' for ", and ~ for one within a text.
static json_t *read_json(const char *quoted)
{
    CLEANUP(free_ptr) char *text = xalloc(2 * strlen(quoted) + 1);
    json_t *json = NULL;
    struct error err;
    char *end = text;
    for (const char *c = quoted; *c; c++) {
        if (*c == '~')
            *end++ = '\\';
        *end++ = (char)(*c == '\'' || *c == '~' ? '"' : *c);
    }
    if (!json_read(text, strlen(text), 1 << 20, &json, &err))
        fail_msg("%s: %s", err.text, text);
    return json;
}

static json_t *good(const json_t *given)
{
    CLEANUP(json_ptr) json_t *faults = json_array();
    json_t *document = document_normal(given, faults);
    if (json_array_size(faults) > 0) {
        CLEANUP(free_ptr) char *text = json_write(faults);
        fail_msg("%s", text);
    }
    return document;
}

static void assert_same(const json_t *a, const json_t *b)
{
    if (json_equal(a, b))
        return;
    CLEANUP(free_ptr) char *one = json_dumps(a, JSON_INDENT(1) | JSON_SORT_KEYS);
    CLEANUP(free_ptr) char *two = json_dumps(b, JSON_INDENT(1) | JSON_SORT_KEYS);
    assert_string_equal(one, two);
}

#define HEAD     "'name':'report','namespace':'reports','schedule':'0 3 * * *'"
#define OF_IMAGE HEAD ",'source':{'image':'registry.example:5000/acme/report:1.4'}"
#define OF_GIT                                                                                     \
    HEAD ",'source':{'git':{'repository':'https://github.com/acme/report'}},"                      \
         "'image':'registry.example/acme/report'"

static const char everything[] =
    "{" HEAD ",'project':'sales',"
    "'source':{'git':{'repository':'https://github.com/acme/report','branch':'release/1','dockerfi"
    "le':'docker/Report','context':'report','paths':['report/**'],'buildArgs':{'EDITION':'full'},"
    "'target':'last'}},'image':'registry.example/acme/report',"
    "'container':{'name':'job','command':['/bin/report'],'args':['--month',''],'pullSecret':'login'"
    ",'workingDir':'/data'},'timeZone':'Europe/Berlin','history':{'failed':2,'succeeded':0},"
    "'restarts':1,'maxDurationSeconds':600,'concurrency':'Replace','startingDeadlineSeconds':200,"
    "'missed':'run','firstRun':'onImage','restartPolicy':'OnFailure',"
    "'resources':{'requests':{'cpu':'100m'},'limits':{'memory':'256Mi'}},"
    "'env':[{'name':'MODE','value':''},{'name':'TOKEN','secret':{'name':'report','key':'token'}},"
    "{'name':'REGION','configMap':{'name':'site','key':'region'}}],"
    "'ports':[{'name':'metrics','port':9090,'protocol':'TCP'}],"
    "'healthChecks':{'startup':{'exec':{'command':['true']},'failures':30},"
    "'liveness':{'http':{'path':'/live','port':9090}},'readiness':{'tcp':{'port':'metrics'},"
    "'successes':2}},'security':{'runAsNonRoot':true,'runAsUser':1000,'runAsGroup':1000,"
    "'fsGroup':1000,'readOnlyRootFilesystem':true,'allowPrivilegeEscalation':false,"
    "'dropCapabilities':['ALL'],'addCapabilities':['NET_BIND_SERVICE'],'seccomp':'RuntimeDefault'}"
    ",'volumes':[{'name':'a','mountPath':'/a','secret':'s'},{'name':'b','mountPath':'/b',"
    "'readOnly':true,'configMap':'c'},{'name':'c','mountPath':'/c','subPath':'x','claim':'p'},"
    "{'name':'d','mountPath':'/d','emptyDir':{}}],'podLabels':{'team':'sales'},"
    "'nodeSelector':{'disk':'ssd'},'serviceAccount':'report','overrides':'runner'}";

// --- normal form ---

static void defaults(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *given = read_json("{" OF_GIT "}");
    CLEANUP(json_ptr) json_t *document = good(given);
    CLEANUP(json_ptr)
    json_t *wanted = read_json(
        "{'name':'report','namespace':'reports','source':{'git':{'repository':"
        "'https://github.com/acme/report','branch':'main','dockerfile':'Dockerfile','context':'.'}"
        "},'image':'registry.example/acme/report','container':{'name':'main'},'schedule':"
        "'0 3 * * *','history':{'failed':1,'succeeded':3},'restarts':3,'concurrency':'Forbid',"
        "'missed':'skip','firstRun':'never','restartPolicy':'Never','overrides':'admin'}");
    assert_same(document, wanted);
}

static void what_is_empty_is_not_given(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *given = read_json("{" OF_IMAGE "}");
    CLEANUP(json_ptr)
    json_t *empty =
        read_json("{" OF_IMAGE ",'project':'','container':{'command':[],'args':null,"
                  "'pullSecret':''},'env':[],'healthChecks':{'liveness':null},"
                  "'resources':{'limits':{}},'security':{},'status':{'state':'draft'}}");
    CLEANUP(json_ptr) json_t *one = good(given);
    CLEANUP(json_ptr) json_t *two = good(empty);
    assert_same(one, two);
    CLEANUP(json_ptr) json_t *again = good(two);
    assert_same(one, again);
}

static void quantities_may_be_numbers(void **state)
{
    (void)state;
    CLEANUP(json_ptr)
    json_t *given = read_json("{" OF_IMAGE ",'resources':{'limits':{'cpu':2,'memory':1.5}}}");
    CLEANUP(json_ptr) json_t *document = good(given);
    assert_string_equal(json_text_at(document, "resources", "limits", "cpu", NULL), "2");
    assert_string_equal(json_text_at(document, "resources", "limits", "memory", NULL), "1.5");
}

// --- faults ---

static const struct {
    const char *members; // upon OF_IMAGE
    const char *pointer;
    const char *detail; // a part of it
} bad[] = {
    {"'name':'n2345678901234567890123456789012345678901234567890123'", "/name", "at most 52"},
    {"'name':'Report'", "/name", "lower-case"},
    {"'name':5", "/name", "must be a text"},
    {"'namespace':'a.b'", "/namespace", "lower-case"},
    {"'project':'a b'", "/project", "letters"},
    {"'timezone':'UTC'", "/timezone", "did you mean \"timeZone\"?"},
    {"'container':{'comand':['x']}", "/container/comand", "did you mean \"command\"?"},
    {"'container':{'command':'x'}", "/container/command", "must be a list of texts, not a text"},
    {"'container':{'args':[1]}", "/container/args/0", "in quotes"},
    {"'container':{'workingDir':'data'}", "/container/workingDir", "starts with \"/\""},
    {"'schedule':'0 3 * * 7'", "/schedule", "Sunday is 0"},
    {"'schedule':'0 0 30 2 *'", "/schedule", "never fires"},
    {"'timeZone':'Mars'", "/timeZone", "Mars"},
    {"'restarts':-1", "/restarts", "0 to 1000"},
    {"'restarts':1.5", "/restarts", "a whole number, without point"},
    {"'restarts':'3'", "/restarts", "must be a number, not a text"},
    {"'restarts':''", "/restarts", "must be a number, not a text"},
    {"'missed':''", "/missed", "must be skip or run, not \"\""},
    {"'timeZone':{}", "/timeZone", "must be a text, not a group of keys"},
    {"'env':''", "/env", "must be a list, not a text"},
    {"'maxDurationSeconds':9223372036854775807", "/maxDurationSeconds", "1 to 31536000"},
    {"'maxDurationSeconds':0", "/maxDurationSeconds", "1 to 31536000"},
    {"'history':{'failed':100000}", "/history/failed", "0 to 1000"},
    {"'history':[1]", "/history", "group of keys"},
    {"'concurrency':'forbid'", "/concurrency", "Allow, Forbid or Replace"},
    {"'restartPolicy':'Always'", "/restartPolicy", "Never or OnFailure"},
    {"'resources':{'limits':{'memory':'100mb'}}", "/resources/limits/memory",
     "did you mean 100M or 100Mi?"},
    {"'resources':{'limits':{'memory':'-1'}}", "/resources/limits/memory", "less than nothing"},
    {"'resources':{'limits':{'memroy':'1'}}", "/resources/limits/memroy", "\"memory\""},
    {"'resources':{'requests':{'cpu':'2'},'limits':{'cpu':'1500m'}}", "/resources/requests/cpu",
     "more than the limit"},
    {"'env':[{'name':'A=B','value':'x'}]", "/env/0/name", "\"=\""},
    {"'env':[{'name':'A','value':'x','secret':{'name':'a','key':'b'}}]", "/env/0", "only one"},
    {"'env':[{'name':'A'}]", "/env/0", "needs one of value, secret or configMap"},
    {"'env':[{'name':'A','secret':{'name':'a'}}]", "/env/0/secret/key", "is missing"},
    {"'env':[{'name':'A','value':'1'},{'name':'A','value':'2'}]", "/env/1/name", "env[0]"},
    {"'env':[{'name':'A','value':1}]", "/env/0/value", "in quotes"},
    {"'env':['A=b']", "/env/0", "group of keys"},
    {"'ports':[{'port':0}]", "/ports/0/port", "1 to 65535"},
    {"'ports':[{'port':80,'name':'a_b'}]", "/ports/0/name", "lower-case"},
    {"'ports':[{'port':80},{'port':80}]", "/ports/1/port", "ports[0]"},
    {"'healthChecks':{'liveness':{'http':{'port':80}}}", "/healthChecks/liveness/http/port",
     "not declared"},
    {"'healthChecks':{'liveness':{'tcp':{'port':'web'}}}", "/healthChecks/liveness/tcp/port",
     "no port named"},
    {"'healthChecks':{'startup':{'periodSeconds':3}}", "/healthChecks/startup", "needs one of"},
    {"'healthChecks':{'startup':{'exec':{'command':['a']},'successes':2}}",
     "/healthChecks/startup/successes", "1 to 1"},
    {"'volumes':[{'name':'a','mountPath':'/a'}]", "/volumes/0", "needs one of"},
    {"'volumes':[{'name':'a','mountPath':'a','secret':'s'}]", "/volumes/0/mountPath", "\"/\""},
    {"'volumes':[{'name':'a','mountPath':'/a','secret':'s','subPath':'../x'}]",
     "/volumes/0/subPath", ".."},
    {"'podLabels':{'a b':'c'}", "/podLabels/a b", "label"},
    {"'podLabels':{'a':'b c'}", "/podLabels/a", "letters"},
    {"'podLabels':{'cronwright.io/managed':'no'}", "/podLabels/cronwright.io~1managed", "are"},
    {"'source':{'image':'registry.example/Acme/report'}", "/source/image",
     "did you mean \"registry.example/acme/report\"?"},
    {"'source':{'image':'a b'}", "/source/image", "space"},
    {"'source':{'image':'a/b:'}", "/source/image", "tag"},
    {"'source':{'image':'a/b@sha256:12'}", "/source/image", "digest"},
    {"'source':{'image':'a//b'}", "/source/image", "part"},
    {"'source':{}", "/source", "missing"},
    {"'source':{'image':'a','git':{'repository':'https://g/a'}},'image':'a'", "/source", "both"},
    {"'source':{'git':{'repository':'https://g/a'}}", "/image", "is missing"},
    {"'source':{'git':{'repository':'git://g/a/b'}},'image':'a'", "/source/git/repository",
     "https://"},
    {"'source':{'git':{'repository':'ssh://g/a'}},'image':'a'", "/source/git/repository",
     "https://"},
    {"'source':{'git':{'repository':'ssh://git:word@g/a'}},'image':'a'", "/source/git/repository",
     "https://"},
    {"'source':{'git':{'repository':'git@g'}},'image':'a'", "/source/git/repository", "https://"},
    {"'source':{'git':{'repository':'git@g:'}},'image':'a'", "/source/git/repository", "https://"},
    {"'source':{'git':{'repository':'g:a/b'}},'image':'a'", "/source/git/repository", "https://"},
    {"'source':{'git':{'repository':'ssh://git@g'}},'image':'a'", "/source/git/repository",
     "https://"},
    {"'source':{'git':{'repository':'https://u:p@g/a'}},'image':'a'", "/source/git/repository",
     "no user"},
    {"'source':{'git':{'repository':'https://g/a','branch':'a..b'}},'image':'a'",
     "/source/git/branch", "branch"},
    {"'source':{'git':{'repository':'https://g/a','dockerfile':'../x'}},'image':'a'",
     "/source/git/dockerfile", "\"..\""},
    {"'source':{'git':{'repository':'https://g/a','buildArgs':{'1':'x'}}},'image':'a'",
     "/source/git/buildArgs/1", "digits"},
    {"'source':{'git':{'repository':'https://g/a','paths':['a/**','/b']}},'image':'a'",
     "/source/git/paths/1", "\"/\""},
    {"'source':{'git':{'repository':'https://g/a','paths':['./a/**']}},'image':'a'",
     "/source/git/paths/0", "\"./\""},
    {"'source':{'git':{'repository':'https://g/a','paths':'a/**'}},'image':'a'",
     "/source/git/paths", "a list"},
    {"'source':{'git':{'repository':'https://g/a'}},'image':'a:1'", "/image", "without a tag"},
    {"'image':'a'", "/image", "source.image"},
    {"'security':{'runAsUser':-1}", "/security/runAsUser", "0 to 2147483647"},
    {"'security':{'runAsNonRoot':'yes'}", "/security/runAsNonRoot", "true or false"},
    {"'security':{'dropCapabilities':['CAP_KILL']}", "/security/dropCapabilities/0", "CAP_"},
};

static void repositories_are_named_in_four_ways(void **state)
{
    (void)state;
    static const char *const good[] = {
        "https://git.example/acme/report", "http://git.example:8080/a",
        "ssh://git@git.example:2222/acme/report", "git@git.example:acme/report.git"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct error err;
        if (!form_repository(good[i], &err))
            fail_msg("%s: %s", good[i], err.text);
    }
}

static void each_fault(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CLEANUP(json_ptr) json_t *base = read_json("{" OF_IMAGE "}");
        CLEANUP(free_ptr) char *members = xasprintf("{%s}", bad[i].members);
        CLEANUP(json_ptr) json_t *more = read_json(members);
        json_object_update(base, more);
        CLEANUP(json_ptr) json_t *faults = json_array();
        CLEANUP(json_ptr) json_t *document = document_normal(base, faults);
        CLEANUP(free_ptr) char *told = json_write(faults);
        const char *pointer = json_text_at(faults, "0", "pointer", NULL);
        const char *detail = json_text_at(faults, "0", "detail", NULL);
        if (json_array_size(faults) != 1 || strcmp(pointer, bad[i].pointer) != 0 ||
            !strstr(detail, bad[i].detail))
            fail_msg("%s: %s", bad[i].members, told);
    }
}

static void lists_are_bounded(void **state)
{
    (void)state;
    for (size_t over = 0; over < 2; over++) {
        CLEANUP(json_ptr) json_t *given = read_json("{" OF_IMAGE "}");
        CLEANUP(json_ptr)
        json_t *source = read_json("{'source':{'git':{'repository':'https://g/a','paths':[]}},"
                                   "'image':'h/a'}");
        json_t *paths = json_unconst(json_at(source, "source", "git", "paths", NULL));
        for (size_t i = 0; i < SERVICE_PATHS_MAX + over; i++)
            json_array_append_new(paths, json_string("a/**"));
        json_object_update(given, source);
        CLEANUP(json_ptr) json_t *faults = json_array();
        CLEANUP(json_ptr) json_t *document = document_normal(given, faults);
        assert_int_equal(json_array_size(faults), over);
        if (over)
            assert_string_equal(json_text_at(faults, "0", "pointer", NULL), "/source/git/paths");
    }
}

static void all_faults_at_once(void **state)
{
    (void)state;
    CLEANUP(json_ptr)
    json_t *given = read_json("{'name':'UP','schedule':'0 3 * * 7','timezone':'x',"
                              "'env':[{'name':'A','value':'b'},{'name':''}],'restarts':-2}");
    CLEANUP(json_ptr) json_t *faults = json_array();
    CLEANUP(json_ptr) json_t *document = document_normal(given, faults);
    static const char *const wanted[] = {"/timezone", "/name",     "/namespace",  "/source",
                                         "/schedule", "/restarts", "/env/1/name", "/env/1"};
    assert_int_equal(json_array_size(faults), sizeof wanted / sizeof *wanted);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        assert_string_equal(json_text_at(json_array_get(faults, i), "pointer", NULL), wanted[i]);
    CLEANUP(json_ptr) json_t *list = read_json("[1]");
    json_decref(document_normal(list, faults));
    assert_int_equal(json_array_size(faults), sizeof wanted / sizeof *wanted + 1);
}

static void faults_are_bounded(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *given = json_object();
    for (int i = 0; i < 500; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        json_object_set_new(given, key, json_integer(i));
    }
    CLEANUP(json_ptr) json_t *faults = json_array();
    CLEANUP(json_ptr) json_t *document = document_normal(given, faults);
    assert_int_equal(json_array_size(faults), DOCUMENT_FAULTS_MAX);
}

static void known_faults_are_forgotten(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *known = json_array();
    CLEANUP(json_ptr) json_t *faults = json_array();
    document_fault(known, "/a", "bad");
    document_fault(faults, "/a", "bad");
    document_fault(faults, "/a", "worse");
    document_faults_forget(faults, known);
    assert_int_equal(json_array_size(faults), 1);
    assert_string_equal(json_text_at(faults, "0", "detail", NULL), "worse");
}

// --- to a CronJob and back ---

static void round_trip(void **state)
{
    (void)state;
    static const char *const texts[] = {"{" OF_GIT "}", "{" OF_IMAGE "}", everything};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        CLEANUP(json_ptr) json_t *given = read_json(texts[i]);
        CLEANUP(json_ptr) json_t *document = good(given);
        CLEANUP(json_ptr) json_t *cronjob = document_to_cronjob(document);
        CLEANUP(json_ptr) json_t *back = document_of_cronjob(cronjob);
        assert_same(back, document);
    }
}

static void cronjob_of_everything(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *given = read_json(everything);
    CLEANUP(json_ptr) json_t *document = good(given);
    CLEANUP(json_ptr) json_t *cronjob = document_to_cronjob(document);
    CLEANUP(json_ptr)
    json_t *wanted = read_json(
        "{'apiVersion':'batch/v1','kind':'CronJob','metadata':{'name':'report',"
        "'namespace':'reports','labels':{'cronwright.io/managed':'true',"
        "'cronwright.io/project':'sales'},'annotations':{'cronwright.io/state':'draft',"
        "'cronwright.io/repository':'https://github.com/acme/report',"
        "'cronwright.io/branch':'release/1','cronwright.io/dockerfile':'docker/Report',"
        "'cronwright.io/context':'report','cronwright.io/paths':'[~report/**~]',"
        "'cronwright.io/build-args':'{~EDITION~:~full~}','cronwright.io/target':'last',"
        "'cronwright.io/image':'registry.example/acme/report','cronwright.io/missed':'run',"
        "'cronwright.io/first-run':'onImage','cronwright.io/overrides':'runner'}},"
        "'spec':{'suspend':true,'schedule':'0 3 * * *','timeZone':'Europe/Berlin',"
        "'failedJobsHistoryLimit':2,'successfulJobsHistoryLimit':0,'concurrencyPolicy':'Replace',"
        "'startingDeadlineSeconds':200,'jobTemplate':{'metadata':{'labels':"
        "{'cronwright.io/managed':'true'}},'spec':{'backoffLimit':1,'activeDeadlineSeconds':600,"
        "'template':{'metadata':{'labels':{'cronwright.io/managed':'true','team':'sales'}},"
        "'spec':{'restartPolicy':'OnFailure','serviceAccountName':'report','nodeSelector':"
        "{'disk':'ssd'},'securityContext':{'fsGroup':1000},'imagePullSecrets':[{'name':'login'}],"
        "'volumes':[{'name':'a','secret':{'secretName':'s'}},{'name':'b','configMap':{'name':'c'}}"
        ",{'name':'c','persistentVolumeClaim':{'claimName':'p'}},{'name':'d','emptyDir':{}}],"
        "'containers':[{'name':'job','image':'registry.example/acme/report:cronwright-not-built',"
        "'command':['/bin/report'],'args':['--month',''],'workingDir':'/data',"
        "'resources':{'requests':{'cpu':'100m'},'limits':{'memory':'256Mi'}},"
        "'env':[{'name':'MODE','value':''},{'name':'TOKEN','valueFrom':{'secretKeyRef':"
        "{'name':'report','key':'token'}}},{'name':'REGION','valueFrom':{'configMapKeyRef':"
        "{'name':'site','key':'region'}}}],'ports':[{'name':'metrics','containerPort':9090,"
        "'protocol':'TCP'}],'volumeMounts':[{'name':'a','mountPath':'/a'},{'name':'b','mountPath':"
        "'/b','readOnly':true},{'name':'c','mountPath':'/c','subPath':'x'},{'name':'d',"
        "'mountPath':'/d'}],"
        "'startupProbe':{'exec':{'command':['true']},'initialDelaySeconds':0,'periodSeconds':10,"
        "'timeoutSeconds':1,'failureThreshold':30,'successThreshold':1},"
        "'livenessProbe':{'httpGet':{'path':'/live','port':9090,'scheme':'HTTP'},"
        "'initialDelaySeconds':0,'periodSeconds':10,'timeoutSeconds':1,'failureThreshold':3,"
        "'successThreshold':1},"
        "'readinessProbe':{'tcpSocket':{'port':'metrics'},'initialDelaySeconds':0,"
        "'periodSeconds':10,'timeoutSeconds':1,'failureThreshold':3,'successThreshold':2},"
        "'securityContext':{'runAsNonRoot':true,'runAsUser':1000,'runAsGroup':1000,"
        "'readOnlyRootFilesystem':true,'allowPrivilegeEscalation':false,'capabilities':"
        "{'drop':['ALL'],'add':['NET_BIND_SERVICE']},'seccompProfile':{'type':'RuntimeDefault'}}"
        "}]}}}}}}");
    assert_same(cronjob, wanted);
}

// --- changes ---

// A CronJob as people write it, with much that documents have no word for.
static const char by_hand[] =
    "{'metadata':{'name':'report','namespace':'reports','uid':'u','labels':"
    "{'cronwright.io/managed':'true','team':'x'},'annotations':{'example.com/note':'mine',"
    "'cronwright.io/container':'main'}},'spec':{'schedule':'0 3 * * *','suspend':false,"
    "'concurrencyPolicy':'Allow','failedJobsHistoryLimit':1,'successfulJobsHistoryLimit':3,"
    "'jobTemplate':{'metadata':{'annotations':{'a':'b'}},'spec':{'ttlSecondsAfterFinished':60,"
    "'podFailurePolicy':{'rules':[]},'template':{'metadata':{'labels':{'app':'r',"
    "'cronwright.io/managed':'true'}},'spec':{"
    "'hostAliases':[{'ip':'10.0.0.1','hostnames':['db']}],'dnsPolicy':'ClusterFirst',"
    "'securityContext':{'runAsUser':5,'supplementalGroups':[7]},'serviceAccount':'old',"
    "'serviceAccountName':'old','restartPolicy':'Never','imagePullSecrets':[{'name':'one'},"
    "{'name':'two'}],'volumes':[{'name':'host','hostPath':{'path':'/x'}},{'name':'keys',"
    "'secret':{'secretName':'s','defaultMode':256,'items':[{'key':'k','path':'p'}]}},"
    "{'name':'shared','emptyDir':{'sizeLimit':'1Gi'}}],"
    "'containers':[{'name':'side','image':'side:1','volumeMounts':[{'name':'shared','mountPath':"
    "'/s'}]},{'name':'main','image':'r:1','imagePullPolicy':'Always','lifecycle':{},"
    "'envFrom':[{'secretRef':{'name':'all'}}],"
    "'env':[{'name':'POD','valueFrom':{'fieldRef':{'fieldPath':'metadata.name'}}},"
    "{'name':'A','value':'1'},{'name':'CPU','valueFrom':{'resourceFieldRef':{'resource':"
    "'limits.cpu'}}},{'name':'T','valueFrom':{'secretKeyRef':{'name':'s','key':'k','optional':"
    "true}}},{'name':'B'}],"
    "'ports':[{'containerPort':80,'hostPort':8080,'protocol':'TCP'}],"
    "'livenessProbe':{'httpGet':{'path':'/','port':80,'scheme':'HTTP','httpHeaders':[{'name':'X',"
    "'value':'y'}]},'terminationGracePeriodSeconds':5,'periodSeconds':10,'timeoutSeconds':1,"
    "'failureThreshold':3,'successThreshold':1},"
    "'readinessProbe':{'grpc':{'port':80},'periodSeconds':3},"
    "'securityContext':{'privileged':false,'seccompProfile':{'type':'Localhost',"
    "'localhostProfile':'p'}},'resources':{'limits':{'memory':'1Gi','example.com/gpu':'1'}},"
    "'volumeMounts':[{'name':'host','mountPath':'/h'},{'name':'keys','mountPath':'/k',"
    "'mountPropagation':'None'},{'name':'shared','mountPath':'/s'}]}]}}}}}}";

// What a merge patch of the document makes of that CronJob.
static json_t *changed_by(const char *patch)
{
    json_t *cronjob = read_json(by_hand);
    CLEANUP(json_ptr) json_t *before = document_of_cronjob(cronjob);
    CLEANUP(json_ptr) json_t *wish = read_json(patch);
    CLEANUP(json_ptr) json_t *given = merge_patched(before, wish);
    CLEANUP(json_ptr) json_t *known = json_array();
    CLEANUP(json_ptr) json_t *faults = json_array();
    json_decref(document_normal(before, known));
    CLEANUP(json_ptr) json_t *after = document_normal(given, faults);
    document_faults_forget(faults, known);
    assert_int_equal(json_array_size(faults), 0);
    assert_true(document_apply(before, after, cronjob, faults));
    CLEANUP(json_ptr) json_t *back = document_of_cronjob(cronjob);
    CLEANUP(json_ptr) json_t *left = document_differences(back, after);
    assert_int_equal(json_array_size(left), 0);
    return cronjob;
}

static void document_of_what_is_by_hand(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *cronjob = read_json(by_hand);
    CLEANUP(json_ptr) json_t *document = document_of_cronjob(cronjob);
    CLEANUP(json_ptr)
    json_t *wanted = read_json(
        "{'name':'report','namespace':'reports','source':{'image':'r:1'},'container':{'name':"
        "'main','pullSecret':'one'},'schedule':'0 3 * * *','history':{'failed':1,'succeeded':3},"
        "'restarts':6,'concurrency':'Allow','missed':'skip','firstRun':'never','restartPolicy':"
        "'Never','resources':{'limits':{'memory':'1Gi','example.com/gpu':'1'}},'env':[{'name':'A',"
        "'value':'1'},{'name':'T','secret':{'name':'s','key':'k'}},{'name':'B','value':''}],"
        "'ports':[{'port':80,'protocol':'TCP'}],'healthChecks':{'liveness':{'http':{'path':'/',"
        "'port':80,'scheme':'HTTP'},'delaySeconds':0,'periodSeconds':10,'timeoutSeconds':1,"
        "'failures':3,'successes':1}},'security':{'runAsUser':5,'seccomp':'Localhost'},"
        "'volumes':[{'name':'keys','mountPath':'/k','readOnly':false,'secret':'s'},{'name':"
        "'shared','mountPath':'/s','readOnly':false,'emptyDir':{}}],'podLabels':{'app':'r'},"
        "'serviceAccount':'old','overrides':'admin'}");
    assert_same(document, wanted);
}

#define POD       "spec.jobTemplate.spec.template.spec."
#define CONTAINER POD "containers.1."

static const struct {
    const char *patch; // of the document
    struct {
        const char *place; // in the CronJob
        const char *value; // NULL: gone
    } changes[4];          // and nothing else
} edits[] = {
    {"{}", {{NULL, NULL}}},
    {"{'resources':{'limits':{'memory':'1024Mi'}}}", {{NULL, NULL}}}, // the same amount
    {"{'schedule':'1 3 * * *'}", {{"spec.schedule", "'1 3 * * *'"}}},
    {"{'timeZone':'UTC'}", {{"spec.timeZone", "'UTC'"}}},
    {"{'history':{'failed':0}}", {{"spec.failedJobsHistoryLimit", "0"}}},
    {"{'restarts':0}", {{"spec.jobTemplate.spec.backoffLimit", "0"}}},
    {"{'maxDurationSeconds':5}", {{"spec.jobTemplate.spec.activeDeadlineSeconds", "5"}}},
    {"{'concurrency':'Replace'}", {{"spec.concurrencyPolicy", "'Replace'"}}},
    {"{'restartPolicy':'OnFailure'}", {{POD "restartPolicy", "'OnFailure'"}}},
    {"{'source':{'image':'r:2'}}", {{CONTAINER "image", "'r:2'"}}},
    {"{'container':{'command':['a'],'args':['b'],'workingDir':'/w'}}",
     {{CONTAINER "command", "['a']"},
      {CONTAINER "args", "['b']"},
      {CONTAINER "workingDir", "'/w'"}}},
    {"{'container':{'pullSecret':'new'}}", {{POD "imagePullSecrets.0.name", "'new'"}}},
    {"{'serviceAccount':'new'}",
     {{POD "serviceAccountName", "'new'"}, {POD "serviceAccount", NULL}}},
    {"{'serviceAccount':null}", {{POD "serviceAccountName", NULL}, {POD "serviceAccount", NULL}}},
    {"{'podLabels':{'app':null,'team':'x'}}",
     {{"spec.jobTemplate.spec.template.metadata.labels.app", NULL},
      {"spec.jobTemplate.spec.template.metadata.labels.team", "'x'"}}},
    {"{'nodeSelector':{'disk':'ssd'}}", {{POD "nodeSelector", "{'disk':'ssd'}"}}},
    {"{'resources':{'limits':{'memory':'2Gi'},'requests':{'cpu':'1'}}}",
     {{CONTAINER "resources.limits.memory", "'2Gi'"},
      {CONTAINER "resources.requests", "{'cpu':'1'}"}}},
    // Variables: what is unknown keeps its place, and a reference its other members.
    {"{'env':[{'name':'A','value':'2'},{'name':'T','secret':{'name':'s','key':'k2'}},"
     "{'name':'B','value':''}]}",
     {{CONTAINER "env.1.value", "'2'"}, {CONTAINER "env.3.valueFrom.secretKeyRef.key", "'k2'"}}},
    {"{'env':[{'name':'B','value':''},{'name':'NEW','value':'n'},{'name':'A','value':'1'}]}",
     {{CONTAINER "env",
       "[{'name':'POD','valueFrom':{'fieldRef':{'fieldPath':'metadata.name'}}},{'name':'B'},"
       "{'name':'NEW','value':'n'},{'name':'CPU','valueFrom':{'resourceFieldRef':{'resource':"
       "'limits.cpu'}}},{'name':'A','value':'1'}]"}}},
    {"{'env':[{'name':'POD','value':'mine'}]}",
     {{CONTAINER "env", "[{'name':'POD','value':'mine'},{'name':'CPU','valueFrom':"
                        "{'resourceFieldRef':{'resource':'limits.cpu'}}}]"}}},
    {"{'env':null}",
     {{CONTAINER "env", "[{'name':'POD','valueFrom':{'fieldRef':{'fieldPath':'metadata.name'}}},"
                        "{'name':'CPU','valueFrom':{'resourceFieldRef':{'resource':'limits.cpu'}}"
                        "}]"}}},
    {"{'ports':[{'port':80,'name':'web'},{'port':81}]}",
     {{CONTAINER "ports.0.name", "'web'"},
      {CONTAINER "ports.1", "{'containerPort':81,'protocol':'TCP'}"}}},
    // Health checks.
    {"{'healthChecks':{'liveness':{'http':{'path':'/live'}}}}",
     {{CONTAINER "livenessProbe.httpGet.path", "'/live'"}}},
    {"{'healthChecks':{'liveness':{'http':null,'tcp':{'port':80}}}}",
     {{CONTAINER "livenessProbe.httpGet", NULL},
      {CONTAINER "livenessProbe.tcpSocket", "{'port':80}"}}},
    {"{'healthChecks':{'liveness':null}}", {{CONTAINER "livenessProbe", NULL}}},
    {"{'healthChecks':{'readiness':{'tcp':{'port':80}}}}",
     {{CONTAINER "readinessProbe",
       "{'tcpSocket':{'port':80},'initialDelaySeconds':0,'periodSeconds':10,'timeoutSeconds':1,"
       "'failureThreshold':3,'successThreshold':1}"}}},
    // Security: what the pod says for all containers is left to them, unless it is taken away.
    {"{'security':{'runAsUser':6}}", {{CONTAINER "securityContext.runAsUser", "6"}}},
    {"{'security':{'runAsUser':null}}", {{POD "securityContext.runAsUser", NULL}}},
    {"{'security':{'seccomp':'RuntimeDefault'}}",
     {{CONTAINER "securityContext.seccompProfile", "{'type':'RuntimeDefault'}"}}},
    {"{'security':{'fsGroup':9}}", {{POD "securityContext.fsGroup", "9"}}},
    {"{'security':{'dropCapabilities':['ALL']}}",
     {{CONTAINER "securityContext.capabilities", "{'drop':['ALL']}"}}},
    // Volumes: one that another container mounts stays.
    {"{'volumes':null}",
     {{POD "volumes", "[{'name':'host','hostPath':{'path':'/x'}},{'name':'shared','emptyDir':"
                      "{'sizeLimit':'1Gi'}}]"},
      {CONTAINER "volumeMounts", "[{'name':'host','mountPath':'/h'}]"}}},
    {"{'volumes':[{'name':'keys','mountPath':'/keys','secret':'t'},{'name':'shared','mountPath':'/"
     "s',"
     "'emptyDir':{}}]}",
     {{POD "volumes.1.secret.secretName", "'t'"},
      {CONTAINER "volumeMounts.1.mountPath", "'/keys'"}}},
};

static void edits_leave_the_rest_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        CLEANUP(json_ptr) json_t *cronjob = changed_by(edits[i].patch);
        CLEANUP(json_ptr) json_t *wanted = read_json(by_hand);
        for (size_t k = 0; k < 4 && edits[i].changes[k].place; k++) {
            const char *value = edits[i].changes[k].value;
            CLEANUP(free_ptr) char *list = xasprintf("[%s]", value ? value : "");
            CLEANUP(json_ptr) json_t *values = read_json(list);
            if (value)
                path_set(wanted, edits[i].changes[k].place,
                         json_deep_copy(json_array_get(values, 0)));
            else
                path_remove(wanted, edits[i].changes[k].place);
        }
        assert_same(cronjob, wanted);
    }
}

static void pull_secret_taken_away(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *cronjob = read_json(by_hand);
    CLEANUP(json_ptr) json_t *before = document_of_cronjob(cronjob);
    CLEANUP(json_ptr) json_t *after = json_deep_copy(before);
    CLEANUP(json_ptr) json_t *faults = json_array();
    path_remove(after, "container.pullSecret");
    assert_true(document_apply(before, after, cronjob, faults));
    CLEANUP(json_ptr) json_t *other = read_json("[{'name':'two'}]");
    assert_same(path_get(cronjob, POD "imagePullSecrets"), other);
}

static const char *annotation(const json_t *cronjob, const char *key)
{
    return json_text_at(cronjob, "metadata", "annotations", key, NULL);
}

static void annotations_and_labels(void **state)
{
    (void)state;
    CLEANUP(json_ptr)
    json_t *cronjob = changed_by("{'project':'sales','missed':'run','overrides':'runner'}");
    assert_string_equal(annotation(cronjob, "cronwright.io/missed"), "run");
    assert_string_equal(annotation(cronjob, "cronwright.io/overrides"), "runner");
    assert_null(annotation(cronjob, "cronwright.io/first-run"));
    assert_string_equal(annotation(cronjob, "example.com/note"), "mine");
    assert_string_equal(json_text_at(cronjob, "metadata", "labels", "cronwright.io/project", NULL),
                        "sales");
}

static void another_source(void **state)
{
    (void)state;
    CLEANUP(json_ptr)
    json_t *built = changed_by("{'source':{'image':null,'git':{'repository':'https://g/a'}},"
                               "'image':'r.example/a'}");
    assert_string_equal(annotation(built, "cronwright.io/repository"), "https://g/a");
    assert_string_equal(annotation(built, "cronwright.io/image"), "r.example/a");
    assert_string_equal(json_string_value(path_get(built, CONTAINER "image")),
                        "r:1"); // until built

    CLEANUP(json_ptr) json_t *before = document_of_cronjob(built);
    CLEANUP(json_ptr)
    json_t *wish = read_json("{'source':{'git':null,'image':'r:3'},'image':null}");
    CLEANUP(json_ptr) json_t *given = merge_patched(before, wish);
    CLEANUP(json_ptr) json_t *faults = json_array();
    CLEANUP(json_ptr) json_t *after = document_normal(given, faults);
    assert_true(document_apply(before, after, built, faults));
    assert_null(annotation(built, "cronwright.io/repository"));
    assert_null(annotation(built, "cronwright.io/branch"));
    assert_null(annotation(built, "cronwright.io/image"));
    assert_string_equal(json_string_value(path_get(built, CONTAINER "image")), "r:3");
}

static void another_source_of_a_draft(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *given = read_json("{" OF_IMAGE "}");
    CLEANUP(json_ptr) json_t *before = good(given);
    CLEANUP(json_ptr) json_t *cronjob = document_to_cronjob(before);
    CLEANUP(json_ptr) json_t *wish = read_json("{" OF_GIT "}");
    CLEANUP(json_ptr) json_t *after = good(wish);
    CLEANUP(json_ptr) json_t *faults = json_array();
    assert_true(document_apply(before, after, cronjob, faults));
    assert_string_equal(json_string_value(path_get(cronjob, POD "containers.0.image")),
                        "registry.example/acme/report:cronwright-not-built");
}

static void destination_of_a_draft(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *given = read_json("{" OF_GIT "}");
    CLEANUP(json_ptr) json_t *before = good(given);
    CLEANUP(json_ptr) json_t *cronjob = document_to_cronjob(before);
    json_object_set_new(given, "image", json_string("r.example/other"));
    CLEANUP(json_ptr) json_t *after = good(given);
    CLEANUP(json_ptr) json_t *faults = json_array();
    assert_true(document_apply(before, after, cronjob, faults));
    assert_string_equal(json_string_value(path_get(cronjob, POD "containers.0.image")),
                        "r.example/other:cronwright-not-built");
}

static void container_that_is_not_there(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *cronjob = read_json(by_hand);
    CLEANUP(json_ptr) json_t *same = json_deep_copy(cronjob);
    CLEANUP(json_ptr) json_t *before = document_of_cronjob(cronjob);
    CLEANUP(json_ptr) json_t *after = json_deep_copy(before);
    CLEANUP(json_ptr) json_t *faults = json_array();
    path_set(after, "container.name", json_string("no"));
    path_set(after, "restarts", json_integer(1));
    assert_false(document_apply(before, after, cronjob, faults));
    assert_string_equal(json_text_at(faults, "0", "pointer", NULL), "/container/name");
    assert_non_null(strstr(json_text_at(faults, "0", "detail", NULL), "side, main"));
    path_remove(after, "container.name");
    assert_false(document_apply(before, after, cronjob, faults));
    assert_same(cronjob, same);
}

static void containers_that_share_an_image(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *cronjob = read_json(by_hand);
    CLEANUP(json_ptr) json_t *init = read_json("[{'name':'before','image':'r:1'}]");
    path_set(cronjob, POD "initContainers", json_deep_copy(init));
    CLEANUP(json_ptr) json_t *before = document_of_cronjob(cronjob);
    CLEANUP(json_ptr) json_t *after = json_deep_copy(before);
    CLEANUP(json_ptr) json_t *faults = json_array();
    path_set(after, "source.image", json_string("r:2"));
    assert_true(document_apply(before, after, cronjob, faults));
    assert_string_equal(json_string_value(path_get(cronjob, POD "initContainers.0.image")), "r:2");
    assert_string_equal(json_string_value(path_get(cronjob, POD "containers.0.image")), "side:1");
}

static void two_containers_and_no_choice(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *cronjob = read_json(by_hand);
    json_object_del(path_get(cronjob, "metadata.annotations"), "cronwright.io/container");
    CLEANUP(json_ptr) json_t *before = document_of_cronjob(cronjob);
    assert_null(path_get(before, "container.name"));
    assert_null(path_get(before, "source.image"));
    CLEANUP(json_ptr) json_t *after = json_deep_copy(before);
    CLEANUP(json_ptr) json_t *faults = json_array();
    path_set(after, "container.name", json_string("side"));
    assert_true(document_apply(before, after, cronjob, faults));
    assert_string_equal(annotation(cronjob, "cronwright.io/container"), "side");
}

static void copies(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *one = read_json(by_hand);
    json_t *annotations = path_get(one, "metadata.annotations");
    json_object_set_new(annotations, "cronwright.io/commit", json_string("c"));
    json_object_set_new(annotations, "cronwright.io/repository", json_string("https://g/a"));
    json_object_set_new(annotations, "argocd.argoproj.io/tracking-id", json_string("x"));
    CLEANUP(json_ptr) json_t *copy = document_copy_cronjob(one, "other", "copied");
    assert_string_equal(json_string_value(path_get(copy, "metadata.name")), "copied");
    assert_string_equal(json_string_value(path_get(copy, "metadata.namespace")), "other");
    assert_null(path_get(copy, "metadata.uid"));
    assert_true(json_is_true(path_get(copy, "spec.suspend")));
    assert_string_equal(annotation(copy, "cronwright.io/state"), "draft");
    assert_string_equal(annotation(copy, "example.com/note"), "mine");
    assert_null(annotation(copy, "cronwright.io/commit"));
    assert_null(annotation(copy, "argocd.argoproj.io/tracking-id"));
    assert_string_equal(json_string_value(path_get(copy, CONTAINER "image")),
                        "r:cronwright-not-built");
    assert_same(path_get(copy, POD "hostAliases"), path_get(one, POD "hostAliases"));
}

// --- comparing, and Kubernetes' names ---

static void differences(void **state)
{
    (void)state;
    CLEANUP(json_ptr)
    json_t *a = read_json("{" OF_IMAGE ",'restarts':1,'env':[{'name':'A','value':"
                          "'1'}],'resources':{'limits':{'cpu':'1000m'}}}");
    CLEANUP(json_ptr)
    json_t *b = read_json("{" OF_IMAGE ",'timeZone':'UTC','env':[{'name':'A',"
                          "'value':'2'}],'resources':{'limits':{'cpu':'1'}}}");
    CLEANUP(json_ptr) json_t *yours = good(a);
    CLEANUP(json_ptr) json_t *theirs = good(b);
    CLEANUP(json_ptr) json_t *list = document_differences(yours, theirs);
    CLEANUP(json_ptr)
    json_t *wanted = read_json("[{'pointer':'/restarts','yours':1,'theirs':3},"
                               "{'pointer':'/env/0/value','yours':'1','theirs':'2'},"
                               "{'pointer':'/timeZone','yours':null,'theirs':'UTC'}]");
    assert_same(list, wanted);
    CLEANUP(free_ptr) char *one = document_tag(yours);
    CLEANUP(free_ptr) char *two = document_tag(theirs);
    CLEANUP(free_ptr) char *again = document_tag(yours);
    assert_string_not_equal(one, two);
    assert_string_equal(one, again);
}

static void pointers(void **state)
{
    (void)state;
#define IN "spec.jobTemplate.spec.template.spec"
    static const struct {
        const char *field, *pointer;
    } names[] = {
        {"metadata.name", "/name"},
        {"spec.schedule", "/schedule"},
        {"spec.timeZone", "/timeZone"},
        {"spec.jobTemplate.spec.backoffLimit", "/restarts"},
        {"spec.jobTemplate.spec.template.metadata.labels", "/podLabels"},
        {IN ".containers[0].env[1].name", "/env/1"},
        {IN ".containers[0].resources.limits[memory]", "/resources/limits/memory"},
        {IN ".containers[0].resources.requests", "/resources/requests"},
        {IN ".containers[0].image", "/source/image"},
        {IN ".containers[0].livenessProbe.httpGet.path", "/healthChecks/liveness/http/path"},
        {IN ".containers[0].livenessProbe", "/healthChecks/liveness"},
        {IN ".containers[2].volumeMounts[1].mountPath", "/volumes/1"},
        {IN ".volumes[0].secret", "/volumes/0"},
        {IN ".imagePullSecrets[0].name", "/container/pullSecret"},
        {IN ".securityContext.fsGroup", "/security/fsGroup"},
        {IN ".containers[0].securityContext.runAsUser", "/security/runAsUser"},
        {IN ".nodeSelector", "/nodeSelector"},
        {IN ".hostAliases[0]", ""},
        {"spec", ""},
    };
#undef IN
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        CLEANUP(free_ptr) char *pointer = document_pointer(names[i].field);
        assert_string_equal(pointer, names[i].pointer);
    }
}

static void merge_patches(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        // RFC 7386, appendix A: target, patch, result
        {"{'a':'b'}", "{'a':'c'}", "{'a':'c'}"},
        {"{'a':'b'}", "{'b':'c'}", "{'a':'b','b':'c'}"},
        {"{'a':'b','b':'c'}", "{'a':null}", "{'b':'c'}"},
        {"{'a':['b']}", "{'a':'c'}", "{'a':'c'}"},
        {"{'a':{'b':'c'}}", "{'a':{'b':'d','c':null}}", "{'a':{'b':'d'}}"},
        {"{'e':null}", "{'a':1}", "{'e':null,'a':1}"},
        {"[1,2]", "{'a':'b','c':null}", "{'a':'b'}"},
        {"{}", "{'a':{'bb':{'ccc':null}}}", "{'a':{'bb':{}}}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEANUP(json_ptr) json_t *target = read_json(cases[i][0]);
        CLEANUP(json_ptr) json_t *patch = read_json(cases[i][1]);
        CLEANUP(json_ptr) json_t *wanted = read_json(cases[i][2]);
        CLEANUP(json_ptr) json_t *result = merge_patched(target, patch);
        assert_same(result, wanted);
    }
    CLEANUP(json_ptr) json_t *before = read_json("{'a':{'b':1,'c':[1]},'d':2,'e':{}}");
    CLEANUP(json_ptr) json_t *after = read_json("{'a':{'b':1,'c':[2]},'e':{'f':{'g':1}}}");
    CLEANUP(json_ptr) json_t *between = merge_between(before, after);
    CLEANUP(json_ptr) json_t *made = merge_patched(before, between);
    CLEANUP(json_ptr) json_t *short_one = read_json("{'a':{'c':[2]},'d':null,'e':{'f':{'g':1}}}");
    assert_same(made, after);
    assert_same(between, short_one);
}

static void warnings(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *given = read_json("{" OF_IMAGE ",'startingDeadlineSeconds':5}");
    CLEANUP(json_ptr) json_t *document = good(given);
    CLEANUP(json_ptr) json_t *list = document_warnings(document, 1795489200);
    assert_int_equal(json_array_size(list), 2);
    assert_non_null(strstr(json_string_value(json_array_get(list, 0)), "no time zone"));
    assert_non_null(strstr(json_string_value(json_array_get(list, 1)), "below 10"));
}

// --- the table ---

static void every_field_is_explained(void **state)
{
    (void)state;
    for (size_t i = 0; i < document_field_count; i++) {
        const struct document_field *field = &document_fields[i];
        if (!field->help || field->help[strlen(field->help) - 1] != '.')
            fail_msg("%s has no help that ends in a full stop", field->path);
        if ((field->kind == DOCUMENT_CHOICE) != (field->words != NULL))
            fail_msg("%s has words, or none", field->path);
        if (field->kind == DOCUMENT_INT && field->max == 0)
            fail_msg("%s has no bound", field->path);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(document_fields[k].path, field->path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(what_is_empty_is_not_given),
        cmocka_unit_test(quantities_may_be_numbers),
        cmocka_unit_test(repositories_are_named_in_four_ways),
        cmocka_unit_test(each_fault),
        cmocka_unit_test(lists_are_bounded),
        cmocka_unit_test(all_faults_at_once),
        cmocka_unit_test(faults_are_bounded),
        cmocka_unit_test(known_faults_are_forgotten),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(cronjob_of_everything),
        cmocka_unit_test(document_of_what_is_by_hand),
        cmocka_unit_test(edits_leave_the_rest_alone),
        cmocka_unit_test(pull_secret_taken_away),
        cmocka_unit_test(annotations_and_labels),
        cmocka_unit_test(another_source),
        cmocka_unit_test(another_source_of_a_draft),
        cmocka_unit_test(destination_of_a_draft),
        cmocka_unit_test(container_that_is_not_there),
        cmocka_unit_test(containers_that_share_an_image),
        cmocka_unit_test(two_containers_and_no_choice),
        cmocka_unit_test(copies),
        cmocka_unit_test(differences),
        cmocka_unit_test(pointers),
        cmocka_unit_test(merge_patches),
        cmocka_unit_test(warnings),
        cmocka_unit_test(every_field_is_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
