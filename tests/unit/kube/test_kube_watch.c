// List and watch against answers that a real API server cannot be made to give.
#include "deploy/kube/watch.h"
#include "tests/unit/kube/scripted.h"

#define OBJECT(name, uid, version)                                                                 \
    "{\"metadata\":{\"namespace\":\"n\",\"name\":\"" name "\",\"uid\":\"" uid                      \
    "\",\"resourceVersion\":\"" version "\"}}"
#define LIST(version, ...)                                                                         \
    OK "{\"metadata\":{\"resourceVersion\":\"" version "\"},\"items\":[" __VA_ARGS__ "]}"
#define EVENT(type, ...) "{\"type\":\"" type "\",\"object\":" __VA_ARGS__ "}\n"
#define STATUS_410       "{\"kind\":\"Status\",\"reason\":\"Expired\",\"message\":\"old\",\"code\":410}"
#define GONE             ANSWER("410 Gone", "X-A: b") STATUS_410

// The story so far, as "+a1 ~a1 -a1 | " (added, changed, deleted; a list ended).
static struct {
    pthread_mutex_t mutex; // guards the rest
    char text[2000];
    struct error failure; // the last one
    int64_t retry_ms;
} story = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void tell(const char *format, ...) PRINTF_LIKE(1, 2);
static void tell(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pthread_mutex_lock(&story.mutex);
    size_t len = strlen(story.text);
    vsnprintf(story.text + len, sizeof story.text - len, format, args);
    pthread_mutex_unlock(&story.mutex);
    va_end(args);
}

static void item(void *user, enum kube_event event, const json_t *object)
{
    (void)user;
    tell("%c%s%s ", "+~-"[event], json_text_at(object, "metadata", "name", NULL),
         json_text_at(object, "metadata", "uid", NULL));
}

static void synced(void *user)
{
    (void)user;
    tell("| ");
}

static void failed(void *user, const struct error *err, int64_t retry_ms)
{
    (void)user;
    pthread_mutex_lock(&story.mutex);
    story.failure = *err;
    story.retry_ms = retry_ms;
    pthread_mutex_unlock(&story.mutex);
}

static bool told(const char *wanted)
{
    pthread_mutex_lock(&story.mutex);
    bool same = strcmp(story.text, wanted) == 0;
    pthread_mutex_unlock(&story.mutex);
    return same;
}

static struct {
    struct kube_client *client;
    struct http_loop *loop;
    struct kube_watch *watch;
} stage;

static void start(const struct step *script, size_t count)
{
    static const struct kube_watch_events events = {item, synced, failed};
    static const struct kube_watch_options options = {&KUBE_PODS, "n", "a=b"};
    play(script, count);
    story.text[0] = '\0';
    story.failure.code = ERR_NONE;
    stage.client = scripted_client("{}");
    stage.loop = http_loop_create();
    stage.watch = kube_watch_create(stage.client, stage.loop, &options, &events, NULL);
}

static void stop(void)
{
    kube_watch_destroy(stage.watch);
    http_loop_destroy(stage.loop);
    kube_client_destroy(stage.client);
}

#define START(script) start(script, sizeof(script) / sizeof *(script))

#define assert_told(wanted)                                                                        \
    do {                                                                                           \
        struct mono_time deadline_ = mono_after(AWAIT_MS);                                         \
        while (!told(wanted) && !mono_past(deadline_))                                             \
            nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);                               \
        if (!told(wanted))                                                                         \
            fail_msg("told: %s (%s)", story.text, story.failure.text);                             \
    } while (0)

static void expired_watch_lists_again(void **state)
{
    (void)state;
    static const struct step script[] = {
        STEP("GET /api/v1/namespaces/n/pods?limit=100&labelSelector=a%3Db HTTP",
             LIST("7", OBJECT("a", "1", "1") "," OBJECT("b", "2", "2"))),
        STEP("?watch=1&allowWatchBookmarks=true&resourceVersion=7&timeoutSeconds=", GONE),
        STEP("?limit=100&labelSelector=a%3Db HTTP",
             LIST("9", OBJECT("b", "3", "8") "," OBJECT("c", "4", "9"))),
        HOLD("&resourceVersion=9&", OK EVENT("MODIFIED", OBJECT("c", "4", "10"))),
    };
    START(script);
    // b was deleted and made anew while nobody watched; a just went.
    assert_told("+a1 +b2 | -b2 +b3 +c4 -a1 | ~c4 ");
    assert_int_equal(story.failure.code, ERR_CONFLICT);
    assert_true(kube_watch_synced(stage.watch));
    assert_false(kube_watch_failing(stage.watch, NULL));
    stop();
}

static void expiry_told_within_the_stream_lists_again(void **state)
{
    (void)state;
    static const struct step script[] = {
        STEP(NULL, LIST("7", OBJECT("a", "1", "1"))),
        STEP("watch=1", OK EVENT("ADDED", OBJECT("b", "2", "8")) EVENT("ERROR", STATUS_410)),
        STEP("limit=100", LIST("20", OBJECT("a", "1", "1") "," OBJECT("b", "2", "8"))),
        HOLD("resourceVersion=20&", OK),
    };
    START(script);
    assert_told("+a1 | +b2 ~a1 ~b2 | ");
    stop();
}

static void torn_stream_goes_on_from_the_last_event(void **state)
{
    (void)state;
    static const struct step script[] = {
        STEP(NULL, LIST("7")),
        STEP("resourceVersion=7&",
             ANSWER("200 OK", "Transfer-Encoding: chunked") "1000\r\n" EVENT("ADDED",
                                                                             OBJECT("a", "1", "8"))
                 EVENT(
                     "BOOKMARK",
                     "{\"metadata\":{\"resourceVersion\":\"11\"}}") "{\"type\":\"MODIFIED\",\"obj"),
        HOLD("resourceVersion=11&", OK EVENT("DELETED", OBJECT("a", "1", "12"))),
    };
    START(script);
    assert_told("| +a1 -a1 ");
    assert_int_equal(story.failure.code, ERR_UNAVAILABLE);
    stop();
}

static void unreadable_event_is_passed_by_a_list(void **state)
{
    (void)state;
    static const struct step script[] = {
        STEP(NULL, LIST("7")),
        STEP("resourceVersion=7&", OK EVENT("ADDED", OBJECT("a", "1", "8")) "{]\n"),
        STEP("limit=100", LIST("9", OBJECT("a", "1", "8"))),
        STEP("resourceVersion=9&", OK EVENT("SURPRISE", OBJECT("a", "1", "10"))),
        STEP("limit=100", LIST("11")),
        {.path = "resourceVersion=11&", .answer = OK, .filler = KUBE_WATCH_LINE_MAX + 100},
        STEP("limit=100", LIST("12", OBJECT("b", "2", "12"))),
        HOLD("resourceVersion=12&", OK),
    };
    START(script);
    assert_told("| +a1 ~a1 | -a1 | +b2 | ");
    stop();
}

static void events_may_be_cut_anywhere(void **state)
{
    (void)state;
    // Longer than what libcurl hands over at once, with short ones around it.
    static char body[60000] = OK "\n" EVENT("ADDED", OBJECT("a", "1", "8")) "{\"x\":\"";
    memset(body + strlen(body), 'x', 50000);
    strcat(body, "\",\"type\":\"ADDED\",\"object\":" OBJECT("b", "2", "9") "}\n" EVENT(
                     "DELETED", OBJECT("a", "1", "10")));
    const struct step script[] = {STEP(NULL, LIST("7")), HOLD("watch=1", body)};
    START(script);
    assert_told("| +a1 +b2 -a1 ");
    stop();
}

static void expired_page_starts_the_list_anew(void **state)
{
    (void)state;
    static const struct step script[] = {
        STEP("limit=100&labelSelector=a%3Db HTTP",
             OK "{\"metadata\":{\"resourceVersion\":\"5\",\"continue\":\"t\"},\"items\":[" OBJECT(
                 "a", "1", "1") "]}"),
        STEP("&continue=t HTTP", GONE),
        STEP("limit=100&labelSelector=a%3Db HTTP", LIST("9", OBJECT("b", "2", "8"))),
        HOLD("resourceVersion=9&", OK),
    };
    START(script);
    assert_told("+a1 +b2 -a1 | ");
    stop();
}

static void busy_server_is_given_its_time(void **state)
{
    (void)state;
    static const struct step script[] = {
        STEP("limit=100", ANSWER("429 Too Many Requests", "Retry-After: 3")),
        STEP("limit=100", LIST("9")),
        HOLD("resourceVersion=9&", OK),
    };
    struct mono_time begin = mono_now();
    struct error why;
    START(script);
    await(kube_watch_failing(stage.watch, &why));
    assert_int_equal(why.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(why.text, "list pods: 429"));
    assert_false(kube_watch_synced(stage.watch));
    assert_told("| ");
    assert_int_equal(story.retry_ms, 3000);
    assert_true(mono_now().ms - begin.ms >= 3000);
    stop();
}

static void ended_while_it_waits(void **state)
{
    (void)state;
    static const struct step script[] = {
        STEP("limit=100", ANSWER("429 Too Many Requests", "Retry-After: 3600"))};
    struct mono_time begin = mono_now();
    START(script);
    await(kube_watch_failing(stage.watch, NULL));
    stop();
    assert_true(mono_now().ms - begin.ms < AWAIT_MS);
    assert_int_equal(story.retry_ms, 60000); // no longer, whatever the server says
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expired_watch_lists_again),
        cmocka_unit_test(expiry_told_within_the_stream_lists_again),
        cmocka_unit_test(torn_stream_goes_on_from_the_last_event),
        cmocka_unit_test(unreadable_event_is_passed_by_a_list),
        cmocka_unit_test(events_may_be_cut_anywhere),
        cmocka_unit_test(expired_page_starts_the_list_anew),
        cmocka_unit_test(busy_server_is_given_its_time),
        cmocka_unit_test(ended_while_it_waits),
    };
    return cmocka_run_group_tests(tests, scripted_setup, scripted_teardown);
}
