// Tells a forge what became of a commit: one request for each status. Facts: GitHub's, GitLab's and
// Gitea's documentation of their REST APIs for commit statuses.
#ifndef CRONWRIGHT_STATUS_REPORT_H
#define CRONWRIGHT_STATUS_REPORT_H

#include "agent/base/http.h"
#include "agent/config.h"
#include "agent/store/statuses.h"

#define STATUS_REPORT_MS 10000 // for one request

// A request as it goes out. Starts as {0}.
struct status_request {
    char *url;
    char *token; // a header line, with the secret
    char *body;
};

// `public_url`: where people reach us, for a link to the build; "": no link. ERR_INVALID when the
// clone URL or the API's address give no project.
bool status_request_make(const struct config_status *entry, const struct commit_status *status,
                         const char *public_url, struct status_request *out,
                         struct error *err) MUST_CHECK;
void status_request_finish(struct status_request *request);

// Sends it. Redirects are not followed, since the token is for this server alone.
// `*retry_after_ms`: how long the forge asks to wait; -1: it does not say. Errors name no secret.
// Blocks.
bool status_report(const struct config *config, const struct config_status *entry,
                   const struct commit_status *status, int64_t *retry_after_ms,
                   struct error *err) MUST_CHECK;

#endif
