// images: those a service has had, the newest first.

#include "agent/base/text.h"
#include "agent/cli/output.h"
#include "agent/cli/table.h"

#include <string.h>

#define IMAGES_SHOWN 20

// "report:b-51": without the registry and the digest.
static void add_image(struct table *table, const json_t *item, bool wide)
{
    const char *image = field_or_dash(item, "image");
    const char *slash = wide ? NULL : strrchr(image, '/');
    const char *name = slash ? slash + 1 : image;
    table_cell(table, "%.*s", (int)(wide ? strlen(name) : strcspn(name, "@")), name);
}

static void print_images(const struct session *session, const json_t *images)
{
    char zone[TIME_TEXT_SIZE];
    zone_text(session->now, zone);
    CLEANUP(free_ptr) char *when = xasprintf("WHEN (%s)", zone);
    const char *headers[] = {"IMAGE", "BUILD", "COMMIT", when, "HOW", "BY", "LIVE", "SUBJECT"};
    struct table table = {.screen = &session->screen, .headers = headers, .columns = 8};
    for (size_t i = 0; i < json_array_size(images); i++) {
        const json_t *item = json_array_get(images, i);
        const char *subject = field(item, "subject"), *author = field(item, "author");
        char commit[COMMIT_SIZE], at[TIME_TEXT_SIZE];
        commit_short(field(item, "commit"), commit);
        wall_text(field_time(item, "at"), session->now, at);
        add_image(&table, item, output_of(session) == OUTPUT_WIDE);
        table_cell(&table, "%s", field_or_dash(item, "build"));
        table_cell(&table, "%s", commit);
        table_cell(&table, "%s", at);
        table_cell(&table, "%s", field_or_dash(item, "kind"));
        table_cell(&table, "%s", field_or_dash(item, "by"));
        if (json_is_true(json_at(item, "live", NULL)))
            table_mark(&table, MARK_OK, "%s", "");
        else
            table_cell(&table, "%s", "");
        table_rest(&table, MARK_NONE, "%s%s%s", subject, subject[0] && author[0] ? ", " : "",
                   author);
    }
    table_print(&table, !call_has(session->call, OPTION_NO_HEADERS), stdout);
    table_finish(&table);
}

int command_images(struct session *session)
{
    static const struct naming naming = {"images", {"image", NULL}};
    struct error err;
    struct service_name service;
    CLEANUP(json_ptr) json_t *answer = NULL;
    if (!session_service(session, &service, &err))
        return session_fail(session, &err);
    const struct call *call = session->call;
    CLEANUP(free_ptr)
    char *path = service_path(
        &service, "/images?limit=%d",
        (int)(call_has(call, OPTION_LIMIT) ? call->number[OPTION_LIMIT] : IMAGES_SHOWN));
    if (!client_get(&session->client, path, &answer, &err)) {
        if (err.code == ERR_NOT_FOUND)
            (void)service_not_found(session, &service, &err);
        return session_fail(session, &err);
    }
    if (output_print(session, answer, &naming))
        return STATUS_OK;
    const json_t *images = json_at(answer, "images", NULL);
    if (json_array_size(images) > 0)
        print_images(session, images);
    else
        screen_say(&session->screen, MARK_NONE, "No image yet. Build one: cronwright build %s/%s",
                   service.namespace, service.name);
    return STATUS_OK;
}
