// Log files as answers.
#ifndef CRONWRIGHT_ADMIN_LOGS_H
#define CRONWRIGHT_ADMIN_LOGS_H

#include "agent/admin/admin.h"
#include "deploy/kube/podlog.h"

// Who may see a log. `token` is as the settings have it at that moment.
typedef bool (*log_sees)(const struct admin *admin, const struct config_token *token,
                         const void *of);
struct log_sight {
    log_sees sees;
    const void *of; // what the log is of; copied
    size_t of_size;
};

// Answers with the texts of a log file (deploy/kube/podlog.h) from byte ?offset= on: what the
// client has not been given yet. With ?timestamps=true each line comes after its time. With
// ?tail=N or ?since=TIME chooses where an answer without ?offset= begins; the header Log-Offset
// says where that is, so that a broken one can be gone on with. With ?line=N it begins with that
// line, counted from 1; ?count=N lines and no more. When a line was looked for, by ?line=, ?tail=
// or ?since=, Log-Line is its number and Log-Lines how many there are. With ?follow=true until the
// log's end; otherwise what is there. With ?search=TEXT answers as search.h says. An answer breaks
// off within a second of when its caller may no more have it, by `sight`.
void admin_answer_log(struct server_request *req, const struct admin *admin, const char *path,
                      const struct log_sight *sight);
// Answers that a log cannot be read.
void admin_refuse_log(struct server_request *req, const struct error *err);

#endif
