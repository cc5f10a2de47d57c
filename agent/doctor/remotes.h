#ifndef CRONWRIGHT_DOCTOR_REMOTES_H
#define CRONWRIGHT_DOCTOR_REMOTES_H

#include "agent/doctor/look.h"

// Services that can be built, one for each host and credential. The caller finishes it.
void remotes_list(const struct look *look, struct service_list *out);
// "host[:port]" of a clone URL. False: it is no URL.
#define REMOTE_HOST_SIZE 256
bool remote_host(const char *url, char out[static REMOTE_HOST_SIZE]);

#endif
