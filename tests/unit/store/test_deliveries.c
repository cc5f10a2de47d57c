// Deliveries: repeats, redelivery of what failed, finishing, lists, trimming.
#include "tests/unit/store/fresh_store.h"

#include <pthread.h>
#include <semaphore.h>

static void reopen(void)
{
    store_close(store);
    assert_true(store_open(directory, &store, NULL));
}

// --- waiting for the writer ---

struct answer {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int count;
    enum store_outcome outcome;
    int64_t seq;
};

#define ANSWER                                                                                     \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, STORE_FAILED, 0                    \
    }

static void take_answer(void *user, enum store_outcome outcome, int64_t seq)
{
    struct answer *answer = user;
    pthread_mutex_lock(&answer->lock);
    answer->count++;
    answer->outcome = outcome;
    answer->seq = seq;
    pthread_cond_signal(&answer->changed);
    pthread_mutex_unlock(&answer->lock);
}

static void await(struct answer *answer, int count)
{
    pthread_mutex_lock(&answer->lock);
    while (answer->count < count)
        pthread_cond_wait(&answer->changed, &answer->lock);
    pthread_mutex_unlock(&answer->lock);
}

static enum store_outcome add(const struct delivery *delivery, int64_t *seq)
{
    struct answer answer = ANSWER;
    store_delivery_add(store, delivery, take_answer, &answer);
    await(&answer, 1);
    if (seq)
        *seq = answer.seq;
    return answer.outcome;
}

static struct delivery push(const char *id, const char *repository, const char *branch)
{
    struct delivery delivery = {.received = {1795507270123}, .pending = true};
    snprintf(delivery.forge, sizeof delivery.forge, "github");
    snprintf(delivery.id, sizeof delivery.id, "%s", id);
    snprintf(delivery.event, sizeof delivery.event, "push");
    snprintf(delivery.repository, sizeof delivery.repository, "%s", repository);
    snprintf(delivery.ref, sizeof delivery.ref, "refs/heads/%s", branch);
    snprintf(delivery.branch, sizeof delivery.branch, "%s", branch);
    snprintf(delivery.commit, sizeof delivery.commit, "0123456789012345678901234567890123456789");
    snprintf(delivery.pusher, sizeof delivery.pusher, "Zoë");
    snprintf(delivery.reason, sizeof delivery.reason, "accepted");
    for (size_t i = 0; i < sizeof delivery.body_sha256; i++)
        delivery.body_sha256[i] = (uint8_t)(250 + i);
    return delivery;
}

static int64_t newest(const char *repository, const char *branch)
{
    struct newest_delivery found;
    assert_true(store_delivery_newest(store, repository, branch, &found, NULL));
    assert_int_equal(found.received.ms, found.seq ? 1795507270123 : 0);
    assert_int_equal(found.seq > 0, *found.id != '\0');
    return found.seq;
}

static void finish(const char *repository, const char *branch, int64_t upto, const char *reason,
                   bool failed)
{
    struct deliveries_ended ended;
    assert_true(store_deliveries_finish(store, repository, NULL, branch, upto, reason,
                                        "A sentence.", failed, 7, &ended, NULL));
}

static bool count_delivery(void *user, const struct delivery *delivery)
{
    (void)delivery;
    ++*(int *)user;
    return true;
}

static int count_deliveries(const char *repository, const char *reason)
{
    struct delivery_filter filter = {.repository = repository, .reason = reason, .limit = 500};
    int count = 0;
    assert_true(store_delivery_list(store, &filter, count_delivery, &count, NULL));
    return count;
}

// --- tests ---

static void test_every_field_is_kept(void **state)
{
    (void)state;
    struct delivery in = push("id-1", "git.example/Acme/report", "feature/ä b");
    int64_t seq = 0;
    assert_int_equal(add(&in, &seq), STORE_ADDED);
    assert_true(seq > 0);
    finish(in.repository, in.branch, seq, "deployed", false);
    reopen();

    struct delivery out;
    assert_true(store_delivery_get(store, "id-1", &out, NULL));
    assert_int_equal(out.seq, seq);
    assert_string_equal(out.forge, in.forge);
    assert_string_equal(out.id, in.id);
    assert_int_equal(out.received.ms, in.received.ms);
    assert_string_equal(out.event, in.event);
    assert_string_equal(out.repository, in.repository);
    assert_string_equal(out.ref, in.ref);
    assert_string_equal(out.branch, in.branch);
    assert_string_equal(out.commit, in.commit);
    assert_string_equal(out.pusher, in.pusher);
    assert_memory_equal(out.body_sha256, in.body_sha256, sizeof in.body_sha256);
    assert_false(out.pending);
    assert_false(out.failed);
    assert_string_equal(out.reason, "deployed");
    assert_string_equal(out.detail, "A sentence.");
    assert_int_equal(out.build, 7);
    assert_true(out.finished.ms > 0);
}

static void test_a_repeat_does_nothing_twice(void **state)
{
    (void)state;
    struct delivery delivery = push("id-1", "git.example/a/b", "main");
    int64_t first = 0, second = 0;
    assert_int_equal(add(&delivery, &first), STORE_ADDED);
    assert_int_equal(add(&delivery, &second), STORE_REPEATED);
    assert_true(second > first);
    assert_int_equal(newest("git.example/a/b", "main"), first);
    finish("git.example/a/b", "main", second, "deployed", false);
    assert_int_equal(add(&delivery, NULL), STORE_REPEATED);
    assert_int_equal(newest("git.example/a/b", "main"), 0);
    assert_int_equal(count_deliveries(NULL, "repeated"), 2);

    struct delivery out;
    assert_true(store_delivery_get(store, "id-1", &out, NULL));
    assert_int_equal(out.seq, first);
    assert_string_equal(out.reason, "deployed");

    snprintf(delivery.forge, sizeof delivery.forge, "gitlab"); // the same id of another sender
    assert_int_equal(add(&delivery, NULL), STORE_ADDED);
}

static void test_what_failed_may_be_sent_again(void **state)
{
    (void)state;
    struct delivery delivery = push("id-1", "git.example/a/b", "main");
    int64_t first = 0, second = 0;
    assert_int_equal(add(&delivery, &first), STORE_ADDED);
    finish("git.example/a/b", "main", first, "fetch-failed", true);
    assert_int_equal(newest("git.example/a/b", "main"), 0);

    assert_int_equal(add(&delivery, &second), STORE_REOPENED);
    assert_true(second > first);
    assert_int_equal(newest("git.example/a/b", "main"), second);
    assert_int_equal(count_deliveries(NULL, NULL), 1);
    // A worker that decided before the redelivery does not end it.
    finish("git.example/a/b", "main", first, "fetch-failed", true);
    assert_int_equal(newest("git.example/a/b", "main"), second);
    finish("git.example/a/b", "main", second, "deployed", false);
    assert_int_equal(add(&delivery, NULL), STORE_REPEATED);
}

static void test_final_as_given(void **state)
{
    (void)state;
    struct delivery delivery = push("id-1", "git.example/a/b", "main");
    delivery.pending = false;
    delivery.failed = true;
    delivery.finished = delivery.received;
    snprintf(delivery.reason, sizeof delivery.reason, "no-match");
    assert_int_equal(add(&delivery, NULL), STORE_ADDED);
    assert_int_equal(newest("git.example/a/b", "main"), 0);
    assert_int_equal(add(&delivery, NULL), STORE_ADDED); // sent again, still no match: one row
    assert_int_equal(count_deliveries(NULL, NULL), 1);
    delivery.pending = true;
    delivery.failed = false;
    assert_int_equal(add(&delivery, NULL), STORE_REOPENED); // now there is one
}

static void test_what_no_service_was_seen_for_counts_later(void **state)
{
    (void)state;
    struct delivery early = push("id-1", "git.example/A/b", "main");
    struct delivery late = push("id-2", "git.example/a/b", "main");
    struct delivery other = push("id-3", "git.example/a/b", "next");
    int64_t seq;
    int count;
    early.received.ms -= 1000;
    assert_int_equal(add(&early, &seq), STORE_ADDED);
    finish("git.example/a/b", "main", seq, "no-match", true);
    assert_int_equal(add(&late, &seq), STORE_ADDED);
    finish("git.example/a/b", "main", seq, "no-match", true);
    assert_int_equal(add(&other, NULL), STORE_ADDED);

    struct wall_time since = {late.received.ms - 500};
    assert_true(
        store_deliveries_reopen(store, "git.example/a/b", "main", "no-match", since, &count, NULL));
    assert_int_equal(count, 1);
    assert_int_equal(newest("git.example/a/b", "main"), seq);
    // What ended otherwise stays as it is.
    finish("git.example/a/b", "main", seq, "deployed", false);
    assert_true(
        store_deliveries_reopen(store, "git.example/a/b", "main", "no-match", since, &count, NULL));
    assert_int_equal(count, 0);
}

static void test_finish_ends_only_its_key(void **state)
{
    (void)state;
    struct delivery delivery = push("a", "git.example/Acme/Report", "main");
    int64_t first = 0, second = 0, other = 0, upper = 0;
    add(&delivery, &first);
    delivery = push("b", "git.example/acme/report", "main");
    add(&delivery, &second);
    delivery = push("c", "git.example/acme/report", "next");
    add(&delivery, &other);
    delivery = push("d", "git.example/acme/report", "Main");
    add(&delivery, &upper);
    assert_int_equal(newest("GIT.example/acme/report", "main"), second); // case of the repository

    finish("git.example/ACME/report", "main", first, "superseded", false);
    assert_int_equal(newest("git.example/acme/report", "main"), second);
    finish("git.example/acme/report", "main", INT64_MAX, "deployed", false);
    assert_int_equal(newest("git.example/acme/report", "main"), 0);
    assert_int_equal(newest("git.example/acme/report", "next"), other);
    assert_int_equal(newest("git.example/acme/report", "Main"), upper);

    struct delivery out;
    assert_true(store_delivery_get(store, "a", &out, NULL));
    assert_string_equal(out.reason, "superseded");
    assert_true(store_delivery_get(store, "b", &out, NULL));
    assert_string_equal(out.reason, "deployed");
}

struct asked {
    size_t count;
    char service[2 * STORE_NAME_SIZE]; // the last one
};

static void note_asked(void *user, const char *service)
{
    struct asked *asked = user;
    asked->count++;
    snprintf(asked->service, sizeof asked->service, "%s", service);
}

static struct asked asked_of(const char *repository, const char *branch)
{
    struct asked asked = {0};
    assert_true(store_delivery_asked(store, repository, branch, note_asked, &asked, NULL));
    return asked;
}

static void test_services_that_were_asked_for(void **state)
{
    (void)state;
    struct delivery delivery = push("a", "git.example/acme/report", "main");
    add(&delivery, NULL);
    assert_int_equal(asked_of("git.example/acme/report", "main").count, 0);
    for (int i = 0; i < 3; i++) {
        char id[] = {(char)('b' + i), '\0'};
        delivery = push(id, "git.example/acme/report", "main");
        snprintf(delivery.service, sizeof delivery.service, i == 2 ? "prod/mail" : "prod/report");
        add(&delivery, NULL);
    }
    assert_int_equal(asked_of("git.example/Acme/report", "main").count, 2);
    assert_int_equal(asked_of("git.example/acme/report", "next").count, 0);
    finish("git.example/acme/report", "main", 3, "deployed", false);
    struct asked left = asked_of("git.example/acme/report", "main");
    assert_int_equal(left.count, 1);
    assert_string_equal(left.service, "prod/mail");
    finish("git.example/acme/report", "main", INT64_MAX, "deployed", false);
    assert_int_equal(asked_of("git.example/acme/report", "main").count, 0);
}

static void test_finish_leaves_what_is_spelled_as_another(void **state)
{
    (void)state;
    struct delivery delivery = push("a", "git.example/acme/report", "main");
    int64_t lower = 0, upper = 0, neither = 0;
    add(&delivery, &lower);
    delivery = push("b", "git.example/Acme/report", "main");
    add(&delivery, &upper);
    delivery = push("c", "git.example/ACME/report", "main");
    add(&delivery, &neither);
    struct deliveries_ended ended;
    assert_true(store_deliveries_finish(store, "git.example/Acme/report",
                                        "\ngit.example/acme/repor\ngit.example/acme/report\n",
                                        "main", INT64_MAX, "deployed", "", false, 7, &ended, NULL));
    assert_int_equal(ended.count, 2);
    assert_string_equal(ended.ids[1], "c");
    assert_int_equal(newest("git.example/acme/report", "main"), lower);
    assert_int_equal(count_deliveries("git.example/acme/report", "deployed"), 2);
    assert_int_equal(count_deliveries("git.example/acme/report", "accepted"), 1);
}

static bool note_key(void *user, const char *repository, const char *branch)
{
    char *notes = user;
    size_t len = strlen(notes);
    snprintf(notes + len, 256 - len, "%s %s;", repository, branch);
    return true;
}

static void test_pending_keys_survive_a_restart(void **state)
{
    (void)state;
    struct delivery delivery = push("a", "git.example/a/b", "main");
    add(&delivery, NULL);
    delivery = push("b", "git.example/a/b", "main");
    add(&delivery, NULL);
    delivery = push("c", "git.example/a/b", "next");
    add(&delivery, NULL);
    delivery = push("d", "git.example/a/c", "main");
    add(&delivery, NULL);
    finish("git.example/a/c", "main", INT64_MAX, "deployed", false);
    reopen();
    char notes[256] = "";
    assert_true(store_pending_keys(store, note_key, notes, NULL));
    assert_string_equal(notes, "git.example/a/b main;git.example/a/b next;");
}

struct page {
    int64_t seqs[8];
    int count, most;
};

static bool note_seq(void *user, const struct delivery *delivery)
{
    struct page *page = user;
    assert_true(page->count < 8);
    page->seqs[page->count++] = delivery->seq;
    return page->count < page->most;
}

static void test_list_pages_and_filters(void **state)
{
    (void)state;
    int64_t seqs[5];
    for (int i = 0; i < 5; i++) {
        char id[8];
        snprintf(id, sizeof id, "id-%d", i);
        struct delivery delivery = push(id, i == 2 ? "git.example/x/y" : "git.example/a/b", "main");
        add(&delivery, &seqs[i]);
    }
    struct delivery_filter filter = {.limit = 2};
    struct page page = {.most = 8};
    assert_true(store_delivery_list(store, &filter, note_seq, &page, NULL));
    assert_int_equal(page.count, 2);
    assert_int_equal(page.seqs[0], seqs[4]);
    assert_int_equal(page.seqs[1], seqs[3]);

    filter.before = page.seqs[1];
    filter.limit = 500;
    page = (struct page){.most = 8};
    assert_true(store_delivery_list(store, &filter, note_seq, &page, NULL));
    assert_int_equal(page.count, 3);
    assert_int_equal(page.seqs[0], seqs[2]);

    page = (struct page){.most = 1}; // the caller has enough
    assert_true(store_delivery_list(store, &filter, note_seq, &page, NULL));
    assert_int_equal(page.count, 1);

    assert_int_equal(count_deliveries("GIT.example/X/y", NULL), 1);
    assert_int_equal(count_deliveries(NULL, "accepted"), 5);
    assert_int_equal(count_deliveries(NULL, "deployed"), 0);

    struct error err;
    struct delivery out;
    assert_false(store_delivery_get(store, "id-9", &out, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void assert_commits(struct delivery_filter filter, int wanted)
{
    struct page page = {.most = 8};
    filter.limit = 500;
    assert_true(store_delivery_list(store, &filter, note_seq, &page, NULL));
    assert_int_equal(page.count, wanted);
    for (int i = 1; i < page.count; i++)
        assert_true(page.seqs[i - 1] > page.seqs[i]);
}

static void test_list_of_a_commit(void **state)
{
    (void)state;
    static const char *const commits[] = {"abcdef0111", "abcdef0fff", "abcdef1000",
                                          "abcdef0",    "",           "abcdef0fff"};
    int64_t seqs[6];
    for (int i = 0; i < 6; i++) {
        char id[8];
        snprintf(id, sizeof id, "id-%d", i);
        struct delivery delivery = push(id, i == 5 ? "git.example/x/y" : "git.example/a/b", "main");
        snprintf(delivery.commit, sizeof delivery.commit, "%s", commits[i]);
        add(&delivery, &seqs[i]);
    }
    assert_commits((struct delivery_filter){.commit = ""}, 6);
    assert_commits((struct delivery_filter){.commit = "abcdef0"}, 4);
    assert_commits((struct delivery_filter){.commit = "abcdef0fff"}, 2);
    assert_commits((struct delivery_filter){.commit = "abcdef2"}, 0);
    assert_commits((struct delivery_filter){.commit = "abcdef0", .before = seqs[3]}, 2);
    assert_commits((struct delivery_filter){.commit = "abcdef0", .repository = "git.example/x/y"},
                   1);
}

static void test_trim_keeps_unfinished_work(void **state)
{
    (void)state;
    struct delivery delivery = push("open", "git.example/a/b", "main");
    add(&delivery, NULL);
    enum { MANY = 1203 }; // more than one step of trimming
    struct answer answer = ANSWER;
    int64_t last = 0;
    for (int i = 0; i < MANY; i++) {
        char id[16];
        snprintf(id, sizeof id, "id-%d", i);
        delivery = push(id, "git.example/a/b", "main");
        delivery.pending = false;
        store_delivery_add(store, &delivery, take_answer, &answer);
    }
    await(&answer, MANY);
    last = answer.seq;
    assert_true(store_trim(store, &(struct store_bounds){10, 10, 100}, NULL));
    assert_int_equal(count_deliveries(NULL, NULL), 11);
    assert_int_equal(newest("git.example/a/b", "main"), 1);

    // The newest stays, so that no seq comes twice.
    assert_true(store_trim(store, &(struct store_bounds){0, 0, 100}, NULL));
    assert_int_equal(count_deliveries(NULL, NULL), 2);
    int64_t next = 0;
    delivery = push("new", "git.example/a/b", "main");
    add(&delivery, &next);
    assert_int_equal(next, last + 1);
}

static void test_pending_ones_are_bounded(void **state)
{
    (void)state;
    struct delivery one = push("one", "git.example/a/b", "main");
    struct delivery two = push("two", "git.example/a/b", "next");
    struct delivery three = push("three", "git.example/a/b", "main");
    struct delivery ignored = push("ignored", "git.example/a/b", "main");
    struct error err;
    ignored.pending = false;
    store_bound_pending(store, 2);
    assert_true(store_delivery_put(store, &one, NULL));
    assert_true(store_delivery_put(store, &two, NULL));
    assert_false(store_delivery_put(store, &three, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
    assert_true(store_healthy(store, NULL)); // nothing is wrong with it
    assert_true(store_delivery_put(store, &ignored, NULL));
    // One that ends makes room, and one that is opened again takes it.
    finish("git.example/a/b", "main", INT64_MAX, "failed", true);
    assert_true(store_delivery_put(store, &one, NULL));
    assert_false(store_delivery_put(store, &three, &err));
    // Those of before a restart count too.
    store_close(store);
    assert_true(store_open(directory, &store, NULL));
    store_bound_pending(store, 2);
    assert_false(store_delivery_put(store, &three, &err));
    finish("git.example/a/b", "next", INT64_MAX, "failed", true);
    assert_true(store_delivery_put(store, &three, NULL));
}

static void test_what_pending_ones_wait_for_is_said(void **state)
{
    (void)state;
    struct delivery one = push("one", "git.example/a/b", "main"), read;
    int64_t seq;
    add(&one, &seq);
    struct delivery later = push("later", "git.example/a/b", "main");
    add(&later, NULL);
    assert_true(store_deliveries_explain(store, "git.example/A/b", NULL, "main", seq,
                                         "no route; tried 2 times", NULL));
    assert_true(store_delivery_get(store, "one", &read, NULL));
    assert_string_equal(read.detail, "no route; tried 2 times");
    assert_string_equal(read.reason, "accepted");
    assert_true(read.pending);
    assert_true(store_delivery_get(store, "later", &read, NULL));
    assert_string_equal(read.detail, "");
    // An identity that differs in letter case is another key's.
    assert_true(store_deliveries_explain(store, "git.example/A/b", "\ngit.example/a/b\n", "main",
                                         INT64_MAX, "of somebody else", NULL));
    assert_true(store_delivery_get(store, "one", &read, NULL));
    assert_string_equal(read.detail, "no route; tried 2 times");
}

static void put_head(const char *branch, int64_t checked)
{
    struct branch_head head = {.checked = {checked}};
    snprintf(head.repository, sizeof head.repository, "git.example/a/b");
    snprintf(head.branch, sizeof head.branch, "%s", branch);
    assert_true(store_branch_put(store, &head, NULL));
}

static bool has_head(const char *branch)
{
    struct branch_head head;
    return store_branch_get(store, "git.example/a/b", branch, "", &head, NULL);
}

static void test_heads_that_nobody_asked_for_longest_go(void **state)
{
    (void)state;
    put_head("busy", 1); // the oldest, but somebody waits for it
    struct delivery delivery = push("one", "git.example/a/b", "busy");
    add(&delivery, NULL);
    put_head("old", 2);
    put_head("older", 1);
    put_head("new", 4);
    put_head("due", 0);
    assert_true(store_trim(store, &(struct store_bounds){10, 10, 5}, NULL));
    assert_true(has_head("older"));
    assert_true(store_trim(store, &(struct store_bounds){10, 10, 2}, NULL));
    assert_true(has_head("busy") && has_head("new") && has_head("due"));
    assert_false(has_head("old") || has_head("older"));
}

static void test_odd_text_is_only_text(void **state)
{
    (void)state;
    struct delivery delivery =
        push("'; DROP TABLE deliveries; --", "git.example/a/b", "x' OR '1'='1");
    assert_int_equal(add(&delivery, NULL), STORE_ADDED);
    assert_int_equal(count_deliveries("git.example/a/b' OR 1=1 --", NULL), 0);
    assert_int_equal(count_deliveries(NULL, NULL), 1);
    memset(delivery.detail, 'd', sizeof delivery.detail - 1); // fills its room to the last byte
    snprintf(delivery.id, sizeof delivery.id, "%0128d", 1);
    assert_int_equal(add(&delivery, NULL), STORE_ADDED);
    struct delivery out;
    assert_true(store_delivery_get(store, delivery.id, &out, NULL));
    assert_string_equal(out.detail, delivery.detail);
}

static void test_figures_of_what_waits(void **state)
{
    (void)state;
    struct store_figures figures;
    assert_true(store_figures(store, &figures, NULL));
    assert_int_equal(figures.pending, 0);
    struct delivery delivery = push("id-1", "git.example/a/b", "main");
    add(&delivery, NULL);
    delivery = push("id-2", "git.example/a/b", "main");
    delivery.received.ms++;
    add(&delivery, NULL);
    struct build build = {.attempt = 1, .state = BUILD_WAITING};
    assert_true(store_build_put(store, &build, NULL));
    build = (struct build){.attempt = 2, .state = BUILD_RUNNING};
    assert_true(store_build_put(store, &build, NULL));
    assert_true(store_figures(store, &figures, NULL));
    assert_int_equal(figures.pending, 2);
    assert_int_equal(figures.oldest.ms, delivery.received.ms - 1);
    assert_int_equal(figures.builds_waiting, 1);
    assert_int_equal(figures.builds_under_way, 1);
    assert_int_equal(figures.queued, 0);
    finish("git.example/a/b", "main", INT64_MAX, "deployed", false);
    assert_true(store_figures(store, &figures, NULL));
    assert_int_equal(figures.pending, 0);
}

static void hang(void *user, enum store_outcome outcome, int64_t seq)
{
    (void)outcome;
    (void)seq;
    sem_t *gates = user;
    sem_post(&gates[0]);
    sem_wait(&gates[1]);
}

static void await_busy(bool busy)
{
    struct mono_time deadline = mono_after(10000);
    while ((store_busy_ms(store) > 0) != busy && !mono_past(deadline))
        mono_sleep(1);
    assert_int_equal(store_busy_ms(store) > 0, busy);
}

static void test_a_writer_that_hangs_is_seen(void **state)
{
    (void)state;
    assert_int_equal(store_busy_ms(store), 0);
    sem_t gates[2];
    sem_init(&gates[0], 0, 0);
    sem_init(&gates[1], 0, 0);
    struct delivery delivery = push("id-1", "git.example/a", "main");
    store_delivery_add(store, &delivery, hang, gates);
    sem_wait(&gates[0]);
    await_busy(true);
    sem_post(&gates[1]);
    await_busy(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_writer_that_hangs_is_seen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_field_is_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_repeat_does_nothing_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_failed_may_be_sent_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_final_as_given, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_no_service_was_seen_for_counts_later, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_finish_ends_only_its_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_finish_leaves_what_is_spelled_as_another, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_services_that_were_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pending_keys_survive_a_restart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_list_pages_and_filters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_list_of_a_commit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_trim_keeps_unfinished_work, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pending_ones_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_pending_ones_wait_for_is_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_heads_that_nobody_asked_for_longest_go, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_odd_text_is_only_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_figures_of_what_waits, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("deliveries", tests, NULL, NULL);
}
