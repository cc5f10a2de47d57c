// Whatever is given as a document, and whatever stands in a CronJob: the normal form is stable, a
// good document comes back from its CronJob, and a change shows in it.
//
// Input: {"document": …, "cronjob": …, "patch": …}.
#include "deploy/document.h"
#include "deploy/kube/client.h"
#include "deploy/merge.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(const json_t *a, const json_t *b)
{
    CLEANUP(json_ptr) json_t *differences = document_differences(a, b);
    return json_array_size(differences) == 0;
}

static void check_faults(const json_t *faults)
{
    size_t i;
    json_t *fault;
    if (json_array_size(faults) > DOCUMENT_FAULTS_MAX)
        abort();
    json_array_foreach(faults, i, fault)
    {
        const char *detail = json_text_at(fault, "detail", NULL);
        if (!json_text_at(fault, "pointer", NULL) || !detail || !*detail)
            abort();
    }
}

static void check_document(const json_t *given)
{
    CLEANUP(json_ptr) json_t *faults = json_array();
    CLEANUP(json_ptr) json_t *document = document_normal(given, faults);
    check_faults(faults);
    if (json_array_size(faults) > 0)
        return;
    CLEANUP(json_ptr) json_t *again = document_normal(document, faults);
    CLEANUP(json_ptr) json_t *cronjob = document_to_cronjob(document);
    CLEANUP(json_ptr) json_t *back = document_of_cronjob(cronjob);
    CLEANUP(json_ptr) json_t *warnings = document_warnings(document, 1795489200);
    if (json_array_size(faults) > 0 || !json_equal(document, again) || !json_equal(document, back))
        abort();
}

static void check_change(const json_t *cronjob, const json_t *patch)
{
    CLEANUP(json_ptr) json_t *known = json_array();
    CLEANUP(json_ptr) json_t *faults = json_array();
    CLEANUP(json_ptr) json_t *before = document_of_cronjob(cronjob);
    CLEANUP(json_ptr) json_t *wanted = merge_patched(before, patch);
    CLEANUP(json_ptr) json_t *same_again = document_normal(before, known);
    CLEANUP(json_ptr) json_t *after = document_normal(wanted, faults);
    CLEANUP(json_ptr) json_t *changed = json_deep_copy(cronjob);
    CLEANUP(json_ptr) json_t *copy = document_copy_cronjob(cronjob, "there", "copied");
    document_faults_forget(faults, known);
    if (json_array_size(faults) > 0 || !document_apply(before, after, changed, faults))
        return;
    // What was wrong before cannot always be written as it is.
    CLEANUP(json_ptr) json_t *back = document_of_cronjob(changed);
    if (json_array_size(known) == 0 && same(before, after) && !json_equal(cronjob, changed))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(json_ptr) json_t *input = NULL;
    if (!kube_json_read((const char *)data, size, &input, NULL))
        return 0;
    check_document(json_object_get(input, "document"));
    if (json_object_get(input, "cronjob") && json_object_get(input, "patch"))
        check_change(json_object_get(input, "cronjob"), json_object_get(input, "patch"));
    return 0;
}
