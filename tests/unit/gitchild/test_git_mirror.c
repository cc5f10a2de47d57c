// The bare mirror: fetched once, then by what is new; damaged in every way, and made anew by
// itself.
#include "tests/unit/gitchild/workspace.h"

#include "build/git/bare.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>

static char commit[GIT_COMMIT_SIZE];

static json_int_t number(const struct reply *reply, const char *name, const char *key)
{
    const json_t *line = event(reply, name);
    assert_non_null(line);
    return json_int_or(json_at(line, key, NULL), -1);
}

static void nothing_is_fetched_twice(void **state)
{
    (void)state;
    repository_make();
    sh("cd tree; head -c 200000 /dev/urandom > big");
    commit_to("main", "First", commit);
    struct reply reply = ask(context_request("main", commit));
    assert_done(&reply);
    assert_null(event(&reply, "remake"));
    reply_finish(&reply);
    // The commit is there: the remote is not even asked.
    sh("mv origin.git away.git");
    reply = ask(context_request("main", commit));
    assert_done(&reply);
    assert_int_equal(number(&reply, "fetched", "bytes"), 0);
    assert_string_equal(json_text_at(event(&reply, "fetched"), "commit", NULL), commit);
    reply_finish(&reply);
    sh("mv away.git origin.git");
}

static void the_head_is_told(void **state)
{
    (void)state;
    repository_make();
    commit_to("main", "First", commit);
    commit_to("feature/\xc3\xa4", "Second", commit);
    char *url = xasprintf("%s/origin.git", workspace);
    struct reply reply = ask(json_pack("{s:s, s:s, s:s, s:i}", "op", "head", "url", url, "branch",
                                       "feature/\xc3\xa4", "seconds", 60));
    assert_done(&reply);
    assert_string_equal(json_text_at(event(&reply, "head"), "commit", NULL), commit);
    reply_finish(&reply);
    assert_error(ask(json_pack("{s:s, s:s, s:s, s:i}", "op", "head", "url", url, "branch",
                               "feature", "seconds", 60)),
                 GIT_ERROR_WORD_BRANCH, "no branch \"feature\"", NULL);
    // A file URL names a local repository too.
    char *file_url = xasprintf("file://%s", url);
    reply = ask(json_pack("{s:s, s:s, s:s, s:i}", "op", "head", "url", file_url, "branch", "main",
                          "seconds", 60));
    assert_done(&reply);
    reply_finish(&reply);
    free(file_url);
    free(url);
}

static void what_is_not_there_has_its_own_word(void **state)
{
    (void)state;
    repository_make();
    const char *none = "1111111111111111111111111111111111111111";
    assert_error(ask(context_request("main", none)), GIT_ERROR_WORD_BRANCH, "no branch \"main\"",
                 "empty", NULL);
    commit_to("main", "First", commit);
    assert_error(ask(context_request("other", commit)), GIT_ERROR_WORD_BRANCH,
                 "no branch \"other\"", NULL);
    assert_error(ask(context_request("main", none)), GIT_ERROR_WORD_SUPERSEDED, none, "\"main\"",
                 NULL);
}

static void a_forced_push_supersedes(void **state)
{
    (void)state;
    repository_make();
    char old[GIT_COMMIT_SIZE];
    commit_to("main", "First", commit);
    sh("cd tree; printf 'secret' > data; git commit -q -a --amend -m Amended;"
       "git rev-parse HEAD > ../old; git push -q -f origin HEAD:main;"
       "git commit -q --amend -m 'Amended again'; git push -q -f origin HEAD:main");
    char *text = sh_output("cat old");
    strcpy(old, text);
    free(text);
    sh("git -C origin.git reflog expire --expire=now --all; git -C origin.git gc -q --prune=now");
    assert_error(ask(context_request("main", old)), GIT_ERROR_WORD_SUPERSEDED, old, NULL);
    char *head = sh_output("git -C tree rev-parse HEAD");
    free(context_sha256(context_request("main", head)));
    free(head);
}

static void a_branch_may_become_a_directory(void **state)
{
    (void)state;
    repository_make();
    commit_to("a", "First", commit);
    free(context_sha256(context_request("a", commit)));
    sh("git -C origin.git update-ref -d refs/heads/a; printf 'two' > tree/data");
    commit_to("a/b", "Second", commit);
    struct reply reply = ask(context_request("a/b", commit));
    assert_done(&reply);
    assert_null(event(&reply, "remake"));
    reply_finish(&reply);
}

// --- damage ---

static void leftovers_of_a_killed_run_do_no_harm(void **state)
{
    (void)state;
    repository_make();
    commit_to("main", "First", commit);
    free(context_sha256(context_request("main", commit)));
    sh("printf 'three' > tree/data; cd mirror; r=$(find refs/cronwright -type f);"
       " touch $r.lock config.lock HEAD.lock objects/pack/pack_git2_abc objects/pack/tmp_pack_x");
    commit_to("main", "Second", commit);
    struct reply reply = ask(context_request("main", commit));
    assert_done(&reply);
    assert_null(event(&reply, "remake"));
    reply_finish(&reply);
    sh("test -z \"$(find mirror -name '*.lock' -o -name 'pack_git2_*' -o -name 'tmp_*')\"");
}

static const struct {
    const char *what;
    const char *command; // run in the mirror
} damages[] = {
    {"objects removed", "rm -rf objects"},
    {"packs removed", "rm -rf objects/pack/* objects/??"},
    {"pack truncated", "for p in objects/pack/*.pack; do truncate -s 40 $p; done"},
    {"pack garbled", "for p in objects/pack/*.pack; do chmod +w $p;"
                     "dd if=/dev/zero of=$p bs=1 seek=14 count=200 conv=notrunc 2>/dev/null; done"},
    {"index truncated", "for p in objects/pack/*.idx; do truncate -s 100 $p; done"},
    {"index removed", "rm -f objects/pack/*.idx"},
    {"HEAD garbled", "printf '\\000\\001' > HEAD"},
    {"HEAD removed", "rm HEAD"},
    {"configuration garbled", "printf '[core\\nx' > config"},
    {"not bare", "git config core.bare false"},
    {"a file in its place", "cd ..; rm -rf mirror; printf x > mirror"},
    {"a link in its place", "cd ..; rm -rf mirror; ln -s /nowhere mirror"},
    {"an empty directory in its place", "cd ..; rm -rf mirror; mkdir mirror"},
    {"refs garbled", "for r in $(find refs/cronwright -type f); do printf 'x' > $r; done"},
    {"HEAD a directory", "rm HEAD; mkdir -p HEAD/x"},
    {"objects a file", "rm -rf objects; printf x > objects"},
    {"closed to its owner", "chmod -R 0 ."},
    {"a directory in its lock's place", "rm -f ../mirror.lock; mkdir -p ../mirror.lock/x"},
    {"a link in its lock's place", "ln -sf /nowhere ../mirror.lock"},
    {"its last use crashed", "touch " BARE_DAMAGED},
    {"many packs", "for i in $(seq 50); do touch objects/pack/pack-$i.pack; done"},
};

static void damage_heals_itself(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        repository_make();
        // From a real server everything comes as one pack; the local transport copies objects.
        sh("cd tree; head -c 5000 /dev/urandom > big");
        commit_to("main", "First", commit);
        char *first = context_sha256(context_request("main", commit));
        sh("cd mirror; git repack -q -a -d; chmod -R u+w .; %s", damages[i].command);
        char *again = context_sha256(context_request("main", commit));
        if (strcmp(first, again) != 0)
            fail_msg("%s: another context", damages[i].what);
        free(again);
        free(first);

        // The same before something new is fetched.
        sh("printf 'new' > tree/data; rm -rf mirror");
        struct reply reply = ask(context_request("main", commit));
        assert_done(&reply);
        reply_finish(&reply);
        sh("cd mirror; git repack -q -a -d; chmod -R u+w .; %s", damages[i].command);
        commit_to("main", "Second", commit);
        free(context_sha256(context_request("main", commit)));
    }
}

// Wherever bytes of a pack or of its index change, the same context comes of it.
static void changed_bytes_heal_themselves(void **state)
{
    (void)state;
    static const char *const kinds[] = {"pack", "idx"};
    repository_make();
    sh("cd tree; for i in 1 2 3 4 5 6; do head -c 3000 /dev/urandom > big$i; done");
    commit_to("main", "First", commit);
    char *first = context_sha256(context_request("main", commit));
    sh("cd mirror; git repack -q -a -d; cd ..; cp -a mirror sound");
    for (unsigned seed = 1; seed <= 60; seed++) {
        const char *kind = kinds[seed % 2];
        sh("rm -rf mirror; cp -a sound mirror; cd mirror; chmod -R u+w .;"
           "p=$(ls objects/pack/*.%s); size=$(stat -c %%s $p); seed=%u;"
           "for i in 1 2 3; do seed=$(( (seed * 1103515245 + 12345) %% 2147483648 ));"
           "printf '\\252' | dd of=$p bs=1 seek=$((seed %% size)) conv=notrunc 2>/dev/null; done",
           kind, seed);
        char *again = context_sha256(context_request("main", commit));
        if (strcmp(first, again) != 0)
            fail_msg("seed %u, %s: another context", seed, kind);
        free(again);
    }
    free(first);
}

static void too_many_objects_are_refused(void **state)
{
    (void)state;
    repository_make();
    commit_to("main", "First", commit);
    // The transport counts what comes from a server; a local one has its own count.
    json_t *request = context_request("main", commit);
    json_object_set_new(request, "max_objects", json_integer(1));
    assert_error(ask(request), GIT_ERROR_WORD_TOO_LARGE, "git.maxObjects", NULL);
}

static void a_mirror_over_its_size_is_made_anew(void **state)
{
    (void)state;
    repository_make();
    sh("cd tree; head -c 100000 /dev/urandom > big");
    commit_to("main", "First", commit);
    free(context_sha256(context_request("main", commit)));
    sh("head -c 3000000 /dev/zero > mirror/objects/pack/pack-old.pack");
    json_t *request = context_request("main", commit);
    json_object_set_new(request, "max_repository_bytes", json_integer(2000000));
    struct reply reply = ask(request);
    assert_done(&reply);
    assert_non_null(event(&reply, "remake"));
    reply_finish(&reply);
    sh("test ! -e mirror/objects/pack/pack-old.pack");
}

// --- the lock ---

// A run that finds the mirror locked, until the lock is given up; `remove` takes its file away
// first.
static void run_that_waits(bool remove)
{
    repository_make();
    commit_to("main", "First", commit);
    char *path = xasprintf("%s/mirror.lock", workspace);
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(lock >= 0);
    assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), 0);

    int out[2];
    assert_int_equal(pipe(out), 0);
    json_t *request = context_request("main", commit);
    char *text = json_write(request);
    json_decref(request);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(lock);
        _exit(git_child_run(text, strlen(text), true, out[1]));
    }
    close(out[1]);
    free(text);
    FILE *answers = fdopen(out[0], "r");
    char line[GIT_ANSWER_LINE_MAX];
    assert_non_null(fgets(line, sizeof line, answers));
    assert_string_equal(line, "{\"event\":\"waiting\"}\n");
    if (remove)
        assert_int_equal(unlink(path), 0);
    close(lock);
    while (fgets(line, sizeof line, answers))
        continue;
    assert_non_null(strstr(line, "\"event\":\"context\""));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(access(path, F_OK), 0);
    fclose(answers);
    free(path);
}

static void a_second_run_waits_for_the_first(void **state)
{
    (void)state;
    run_that_waits(false);
}

// The agent removes locks together with mirrors.
static void a_removed_lock_is_made_anew(void **state)
{
    (void)state;
    run_that_waits(true);
}

static void a_full_disk_is_said_so(void **state)
{
    (void)state;
    repository_make();
    commit_to("main", "First", commit);
    json_t *request = context_request("main", commit);
    json_object_set_new(request, "output", json_string("/dev/full/out.tar.gz"));
    assert_error(ask(request), GIT_ERROR_WORD_IO, "/dev/full", NULL);
    request = context_request("main", commit);
    json_object_set_new(request, "mirror", json_string("/proc/self/mirror"));
    assert_error(ask(request), GIT_ERROR_WORD_IO, "/proc/self/mirror", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_fetched_twice),
        cmocka_unit_test(the_head_is_told),
        cmocka_unit_test(what_is_not_there_has_its_own_word),
        cmocka_unit_test(a_forced_push_supersedes),
        cmocka_unit_test(a_branch_may_become_a_directory),
        cmocka_unit_test(leftovers_of_a_killed_run_do_no_harm),
        cmocka_unit_test(damage_heals_itself),
        cmocka_unit_test(changed_bytes_heal_themselves),
        cmocka_unit_test(too_many_objects_are_refused),
        cmocka_unit_test(a_removed_lock_is_made_anew),
        cmocka_unit_test(a_mirror_over_its_size_is_made_anew),
        cmocka_unit_test(a_second_run_waits_for_the_first),
        cmocka_unit_test(a_full_disk_is_said_so),
    };
    return cmocka_run_group_tests(tests, workspace_make, workspace_remove);
}
