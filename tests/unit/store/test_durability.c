// What the store promises when things go wrong: a full disk, a killed process, another agent, a
// database it cannot use.
#include "agent/base/file.h"
#include "agent/store/db.h"
#include "agent/store/store.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64];

static int set_up(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/cronwright-store-XXXXXX");
    assert_non_null(mkdtemp(directory));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_true(directory_remove(directory, NULL));
    return 0;
}

static struct delivery push(int number)
{
    struct delivery delivery = {.forge = "github", .branch = "main", .pending = true};
    snprintf(delivery.id, sizeof delivery.id, "id-%d", number);
    snprintf(delivery.repository, sizeof delivery.repository, "git.example/a/b");
    snprintf(delivery.reason, sizeof delivery.reason, "accepted");
    return delivery;
}

static void put(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

// --- answers of the writer, one slot each ---

enum { MANY = 3000 };

struct slot {
    atomic_int answered; // 1 + outcome
};

static void take_answer(void *user, enum store_outcome outcome, int64_t seq)
{
    (void)seq;
    struct slot *slot = user;
    assert_int_equal(atomic_exchange(&slot->answered, 1 + (int)outcome), 0);
}

static int count_answers(struct slot *slots, enum store_outcome outcome)
{
    int count = 0;
    for (int i = 0; i < MANY; i++)
        count += atomic_load(&slots[i].answered) == 1 + (int)outcome;
    return count;
}

// --- tests ---

static void test_closing_commits_what_is_queued(void **state)
{
    (void)state;
    static struct slot slots[MANY];
    struct store *store;
    assert_true(store_open(directory, &store, NULL));
    for (int i = 0; i < MANY; i++) {
        struct delivery delivery = push(i);
        store_delivery_add(store, &delivery, take_answer, &slots[i]);
    }
    store_close(store);
    assert_int_equal(count_answers(slots, STORE_ADDED), MANY);

    assert_true(store_open(directory, &store, NULL));
    struct delivery out;
    assert_true(store_delivery_get(store, "id-2999", &out, NULL));
    assert_int_equal(out.seq, MANY); // in the order given
    store_close(store);
}

static void test_two_agents_do_not_share(void **state)
{
    (void)state;
    struct store *store, *other;
    struct error err;
    assert_true(store_open(directory, &store, NULL));
    assert_false(store_open(directory, &other, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.text, directory));
    store_close(store);
    assert_true(store_open(directory, &other, NULL));
    store_close(other);
}

static void test_only_the_owner_can_read_it(void **state)
{
    (void)state;
    char path[128];
    struct store *store;
    struct stat info;
    snprintf(path, sizeof path, "%s/made/cronwright.db", directory);
    mode_t mask = umask(0);
    *strrchr(path, '/') = '\0';
    assert_true(store_open(path, &store, NULL));
    umask(mask);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    path[strlen(path)] = '/';
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    strcat(path, "-wal");
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    store_close(store);
}

static void test_what_is_no_database_is_left_alone(void **state)
{
    (void)state;
    struct store *store;
    struct error err;
    put("cronwright.db", "This is not a database, and nobody said it may be overwritten.\n");
    assert_false(store_open(directory, &store, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_non_null(strstr(err.text, "cronwright.db"));
    char path[128];
    snprintf(path, sizeof path, "%s/cronwright.db", directory);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_size, 63);

    put("file", "");
    snprintf(path, sizeof path, "%s/file/below", directory);
    assert_false(store_open(path, &store, &err));
    assert_int_equal(err.code, ERR_IO);
}

static void test_a_newer_schema_is_refused(void **state)
{
    (void)state;
    struct store *store;
    struct error err;
    assert_true(store_open(directory, &store, NULL));
    store_close(store);
    char path[128];
    snprintf(path, sizeof path, "%s/cronwright.db", directory);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    // Far newer. The user version is a big-endian number at offset 60 of the file:
    // sqlite.org/fileformat.html.
    assert_int_equal(pwrite(fd, "\0\1\0\0", 4, 60), 4);
    close(fd);
    assert_false(store_open(directory, &store, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
}

// A database as the first version left it, with unfinished work: the sqlite3 program makes it.
static void make_first_version(void)
{
    static const char rows[] =
        "INSERT INTO builds VALUES (7, 'r', 'main', 'c0ffee', 'recipe', 1, 'cw-1', 'i', '', "
        "'running', '', '', '', '', 1, 2, 0, -1, -1, -1, -1, 0);"
        "INSERT INTO deliveries VALUES (3, 'github', 'old', 1, 'push', 'r', 'refs/heads/main', "
        "'main', 'c0ffee', 'ana', x'00', 1, 0, 'accepted', '', 0, 0, 0);"
        "PRAGMA user_version = 1;";
    put("schema.sql", store_schema);
    put("rows.sql", rows);
    char command[256];
    snprintf(command, sizeof command, "cd %s && cat schema.sql rows.sql | sqlite3 cronwright.db",
             directory);
    assert_int_equal(system(command), 0);
}

static bool is_key(void *user, const char *repository, const char *branch)
{
    int *count = user;
    (*count)++;
    assert_string_equal(repository, "r");
    assert_string_equal(branch, "main");
    return true;
}

static void count_repository(void *user, const char *repository)
{
    int *count = user;
    assert_string_equal(repository, "r");
    (*count)++;
}

static void test_work_of_the_first_version_goes_on(void **state)
{
    (void)state;
    struct store *store;
    struct build build;
    struct delivery delivery;
    int under_way = 0;
    int keys = 0;
    make_first_version();
    assert_true(store_open(directory, &store, NULL));
    assert_true(store_build_get(store, 7, &build, NULL));
    assert_string_equal(build.job, "cw-1");
    assert_int_equal(build.state, BUILD_RUNNING);
    assert_true(store_builds_under_way(store, count_repository, &under_way, NULL));
    assert_int_equal(under_way, 1);
    assert_true(store_delivery_get(store, "old", &delivery, NULL));
    assert_true(delivery.pending);
    assert_true(store_pending_keys(store, is_key, &keys, NULL));
    assert_int_equal(keys, 1);
    store_close(store);
    assert_true(store_open(directory, &store, NULL)); // nothing is led on twice
    store_close(store);
}

// The limit on file size makes writes fail as a full disk does.
static void test_a_full_disk_fails_all_and_heals(void **state)
{
    (void)state;
    struct store *store;
    assert_true(store_open(directory, &store, NULL));
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit whole, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &whole), 0);
    small = whole;
    small.rlim_cur = 256 << 10;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);

    static struct slot slots[MANY];
    struct error err = {0};
    bool failed = false;
    int sent = 0;
    while (!failed && sent < MANY) {
        struct delivery delivery = push(sent);
        store_delivery_add(store, &delivery, take_answer, &slots[sent++]);
        struct branch_head head = {.repository = "r", .branch = "b"}; // waits for its commit
        failed = !store_branch_put(store, &head, &err);
    }
    assert_true(failed);
    assert_int_equal(err.code, ERR_IO);
    assert_false(store_healthy(store, &err));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &whole), 0);

    struct branch_head head = {.repository = "r", .branch = "b"};
    assert_true(store_branch_put(store, &head, &err));
    assert_true(store_healthy(store, NULL));
    int refused = 0;
    for (int i = 0; i < sent; i++) {
        char id[16];
        snprintf(id, sizeof id, "id-%d", i);
        struct delivery out;
        bool there = store_delivery_get(store, id, &out, NULL);
        int answered = atomic_load(&slots[i].answered);
        assert_int_not_equal(answered, 0);
        assert_int_equal(there, answered == 1 + STORE_ADDED); // what was said is what is there
        refused += answered == 1 + STORE_FAILED;
    }
    assert_true(refused > 0);
    store_close(store);
}

// --- more than the queue holds ---

static sem_t arrived, gate;

static void wait_at_gate(void *user, enum store_outcome outcome, int64_t seq)
{
    sem_post(&arrived);
    sem_wait(&gate);
    take_answer(user, outcome, seq);
}

static void test_a_full_queue_refuses_at_once(void **state)
{
    (void)state;
    static struct slot slots[MANY];
    static struct slot more[STORE_QUEUE_MAX];
    struct store *store;
    assert_true(store_open(directory, &store, NULL));
    sem_init(&arrived, 0, 0);
    sem_init(&gate, 0, 0);
    struct delivery delivery = push(0);
    store_delivery_add(store, &delivery, wait_at_gate, &slots[0]); // holds the writer up
    sem_wait(&arrived);
    for (int i = 0; i < STORE_QUEUE_MAX; i++) {
        delivery = push(MANY + i);
        store_delivery_add(store, &delivery, take_answer, &more[i]);
    }
    for (int i = 1; i < MANY; i++) {
        delivery = push(i);
        store_delivery_add(store, &delivery, take_answer, &slots[i]);
        assert_int_equal(atomic_load(&slots[i].answered), 1 + STORE_FAILED);
    }
    sem_post(&gate);
    store_close(store);
    assert_int_equal(count_answers(slots, STORE_ADDED), 1);
    for (int i = 0; i < STORE_QUEUE_MAX; i++)
        assert_int_equal(atomic_load(&more[i].answered), 1 + STORE_ADDED);
}

// --- killed while it writes ---

static int acknowledged[2]; // pipe: one int for each delivery that was said to be stored

static void acknowledge(void *user, enum store_outcome outcome, int64_t seq)
{
    (void)seq;
    int number = (int)(intptr_t)user;
    if (outcome == STORE_ADDED && write(acknowledged[1], &number, sizeof number) < 0)
        _exit(2);
}

static _Noreturn void write_until_killed(void)
{
    struct store *store;
    if (!store_open(directory, &store, NULL))
        _exit(1);
    for (int i = 0;; i++) {
        struct delivery delivery = push(i);
        store_delivery_add(store, &delivery, acknowledge, (void *)(intptr_t)i);
        struct branch_head head = {.repository = "r", .branch = "b"};
        if (i % 50 == 0 && !store_branch_put(store, &head, NULL))
            _exit(1);
    }
}

static void test_a_kill_loses_nothing_acknowledged(void **state)
{
    (void)state;
    assert_int_equal(pipe(acknowledged), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        write_until_killed();
    close(acknowledged[1]);
    int number = -1, last = -1, count = 0;
    while (count < 2000) {
        assert_int_equal(read(acknowledged[0], &number, sizeof number), sizeof number);
        count++;
        last = number;
    }
    kill(child, SIGKILL);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    while (read(acknowledged[0], &number, sizeof number) == sizeof number)
        last = number;
    close(acknowledged[0]);

    struct store *store;
    assert_true(store_open(directory, &store, NULL));
    for (int i = 0; i <= last; i++) { // stored in order, so all up to the last one
        char id[16];
        struct delivery out;
        snprintf(id, sizeof id, "id-%d", i);
        assert_true(store_delivery_get(store, id, &out, NULL));
    }
    store_close(store);
}

// --- somebody reads it while the agent starts ---

static _Noreturn void add_and_die(int number)
{
    struct store *store;
    if (!store_open(directory, &store, NULL))
        _exit(1);
    struct delivery delivery = push(number);
    struct branch_head head = {.repository = "r", .branch = "b"}; // waits for both
    store_delivery_add(store, &delivery, take_answer, &(struct slot){0});
    _exit(store_branch_put(store, &head, NULL) ? 0 : 1);
}

// As a killed agent leaves it: with a write-ahead log.
static void leave_a_log(int number)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        add_and_die(number);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_a_reader_that_stays_keeps_nothing_up(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/" DATABASE_NAME, directory);
    leave_a_log(1);
    struct db *reader;
    struct store *store;
    struct delivery out;
    assert_true(db_open(path, DB_READ, &reader, NULL));
    assert_true(db_execute(reader, "BEGIN; SELECT count(*) FROM deliveries", NULL));
    for (int i = 2; i < 4; i++) {
        static struct slot slots[4];
        struct branch_head head = {.repository = "r", .branch = "b"};
        assert_true(store_open(directory, &store, NULL));
        struct delivery delivery = push(i);
        store_delivery_add(store, &delivery, take_answer, &slots[i]);
        assert_true(store_branch_put(store, &head, NULL));
        assert_int_equal(atomic_load(&slots[i].answered), 1 + STORE_ADDED);
        assert_true(store_delivery_get(store, "id-1", &out, NULL));
        assert_true(store_healthy(store, NULL));
        store_close(store);
    }
    db_close(&reader);
    assert_true(store_open(directory, &store, NULL));
    assert_true(store_delivery_get(store, "id-3", &out, NULL));
    store_close(store);
}

// --- many threads ---

static struct store *shared;

static void *work(void *arg)
{
    struct newest_delivery newest;
    char branch[16];
    snprintf(branch, sizeof branch, "branch-%d", *(const int *)arg);
    for (int i = 1; i <= 50; i++) {
        struct branch_head head = {.repository = "git.example/a/b", .seq = i}, out;
        snprintf(head.branch, sizeof head.branch, "%s", branch);
        // What was put can be read at once.
        if (!store_branch_put(shared, &head, NULL) ||
            !store_branch_get(shared, "git.example/a/b", branch, "", &out, NULL) || out.seq != i ||
            !store_delivery_newest(shared, "git.example/a/b", branch, &newest, NULL))
            return arg;
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    enum { THREADS = 8 };
    assert_true(store_open(directory, &shared, NULL));
    pthread_t threads[THREADS];
    int numbers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    store_close(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_closing_commits_what_is_queued, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_agents_do_not_share, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_only_the_owner_can_read_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_database_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_newer_schema_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_work_of_the_first_version_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_full_disk_fails_all_and_heals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_full_queue_refuses_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_kill_loses_nothing_acknowledged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_reader_that_stays_keeps_nothing_up, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_threads, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("durability", tests, NULL, NULL);
}
