#include "agent/cli/output.h"

#include "agent/base/yaml.h"

const char *const output_words[] = {"table", "wide", "json", "yaml", "name", NULL};

const struct naming service_naming = {NULL, {"namespace", "name"}};
const struct naming services_naming = {"services", {"namespace", "name"}};
const struct naming run_naming = {NULL, {"name", NULL}};
const struct naming runs_naming = {"runs", {"name", NULL}};

enum output output_of(const struct session *session)
{
    bool given = call_has(session->call, OPTION_OUTPUT);
    return given ? (enum output)session->call->number[OPTION_OUTPUT] : OUTPUT_TABLE;
}

bool output_is_data(const struct session *session)
{
    return output_of(session) >= OUTPUT_JSON;
}

static void print_name(const json_t *thing, const struct naming *naming)
{
    CLEANUP(free_ptr) char *first = text_clean(field(thing, naming->fields[0]));
    CLEANUP(free_ptr)
    char *second = text_clean(naming->fields[1] ? field(thing, naming->fields[1]) : "");
    if (first[0] != '\0') // a run that did not happen has none
        (void)printf("%s%s%s\n", first, second[0] ? "/" : "", second);
}

static void print_names(const json_t *answer, const struct naming *naming)
{
    const json_t *list = naming->list ? json_at(answer, naming->list, NULL) : answer;
    if (!json_is_array(list)) {
        print_name(answer, naming);
        return;
    }
    for (size_t i = 0; i < json_array_size(list); i++)
        print_name(json_array_get(list, i), naming);
}

void output_refusal(const struct session *session)
{
    const json_t *refusal = session->client.refusal;
    if (json_object_size(refusal) > 0 && output_of(session) != OUTPUT_NAME)
        (void)output_print(session, refusal, &service_naming);
}

bool output_print(const struct session *session, const json_t *answer, const struct naming *naming)
{
    enum output output = output_of(session);
    if (output == OUTPUT_JSON) {
        screen_json(answer);
    } else if (output == OUTPUT_YAML) {
        CLEANUP(free_ptr) char *text = yaml_write(answer);
        (void)fputs(text, stdout);
    } else if (output == OUTPUT_NAME) {
        print_names(answer, naming);
    }
    return output >= OUTPUT_JSON;
}
