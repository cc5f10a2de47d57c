// Within the library: what the texts of a document must look like. Each says what is wrong, and
// what may be meant.
#ifndef CRONWRIGHT_DEPLOY_DOCUMENT_FORMS_H
#define CRONWRIGHT_DEPLOY_DOCUMENT_FORMS_H

#include "agent/base/error.h"

typedef bool document_form(const char *text, struct error *err);

document_form form_cronjob_name, form_namespace, form_name, form_label_key, form_label_value,
    form_own_label_key, form_image, form_destination, form_repository, form_branch, form_file_path,
    form_path_pattern, form_variable, form_build_arg, form_config_key, form_port_name,
    form_mount_path, form_sub_path, form_http_path, form_schedule, form_zone, form_quantity,
    form_resource, form_capability, form_absolute_path;

#endif
