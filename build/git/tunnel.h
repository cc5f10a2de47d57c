// Connections through an HTTP proxy, as libgit2's streams. Its own can neither log in at a proxy
// that closes the connection with its refusal, nor tell a proxy's words from the server's.
#ifndef CRONWRIGHT_BUILD_GIT_TUNNEL_H
#define CRONWRIGHT_BUILD_GIT_TUNNEL_H

#include "build/git/request.h"

// From now on every connection that libgit2 makes for HTTP goes through the request's proxy, by
// CONNECT. Why one cannot be made is put into *told too. Both must outlive the connections; the
// process has one such place: a later call takes it over, tunnel_end() gives it back.
bool tunnel_begin(const struct git_request *request, struct fault *told, struct fault *fault);
void tunnel_end(void);

#endif
