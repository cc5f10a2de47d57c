// Who this agent is, for what it writes into the cluster: "<host>/<twelve digits>". The digits are
// those of its state directory, so that it knows its own work again after a restart.
#include "agent/base/crypto.h"
#include "agent/base/file.h"
#include "agent/base/text.h"
#include "agent/pipeline/steps.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ID_BYTES  6
#define ID_SIZE   (2 * ID_BYTES + 1)
#define ID_MODE   0600
#define HOST_SIZE 64

static bool read_id(const char *path, char id[static ID_SIZE], struct error *err)
{
    CLEANUP(buffer_finish) struct buffer text = {0};
    uint8_t bytes[ID_BYTES];
    if (file_read(path, ID_SIZE, &text, err) && text.len == ID_SIZE - 1)
        return text_copy(id, ID_SIZE, buffer_text(&text));
    random_bytes(bytes, sizeof bytes);
    hex_encode(bytes, sizeof bytes, id);
    return file_write(path, ID_MODE, id, strlen(id), err);
}

bool identity_read(struct pipeline *pipeline, const char *state_directory, struct error *err)
{
    CLEANUP(free_ptr) char *path = xasprintf("%s/agent-id", state_directory);
    char id[ID_SIZE], host[HOST_SIZE] = "";
    if (!read_id(path, id, err))
        return false;
    if (gethostname(host, sizeof host) != 0 || memchr(host, '\0', sizeof host) == NULL)
        text_copy(host, sizeof host, "somewhere");
    snprintf(pipeline->identity, sizeof pipeline->identity, "%s/%s", host, id);
    return true;
}

const char *pipeline_identity(const struct pipeline *pipeline)
{
    return pipeline->identity;
}

bool identity_is_own(const struct pipeline *pipeline, const char *identity)
{
    const char *own = strrchr(pipeline->identity, '/');
    return text_ends(identity, own);
}
