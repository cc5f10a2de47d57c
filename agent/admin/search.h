// Searching logs.
#ifndef CRONWRIGHT_ADMIN_SEARCH_H
#define CRONWRIGHT_ADMIN_SEARCH_H

#include "agent/admin/admin.h"

// Answers with the lines of a log file that have the text ?search=, from ?line= on, at most
// ?limit=; in any case of letters A to Z with ?ignoreCase=true.
void admin_answer_search(struct server_request *req, const struct admin *admin, const char *path);

#endif
