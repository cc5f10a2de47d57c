// Path filters: what patterns match, as the real Git says, and which difference counts.
#include "tests/unit/gitchild/workspace.h"

#include "build/git/changes.h"

static const char *const files[] = {"Dockerfile",
                                    "README.md",
                                    "a.sql",
                                    "report",
                                    "reports/x",
                                    ".hidden",
                                    "db/a.sql",
                                    "db/old/b.sql",
                                    "db/old/deep/c.sql",
                                    "db/.keep",
                                    "db/a.sqlite",
                                    "lib/a.py",
                                    "lib/ab.py",
                                    "lib/sub/a.py",
                                    "lib/sub/lib/a.py",
                                    "sub/lib/a.py",
                                    "src/x/y/z/end",
                                    "src/end",
                                    "src/x/end",
                                    "src/[odd]",
                                    "src/o",
                                    "src/-",
                                    "x/x/x/y",
                                    "x/y",
                                    "name with space/file",
                                    "gr\xc3\xb6\xc3\x9f/\xe9"};
#define FILES (sizeof files / sizeof files[0])

static const char *const patterns[] = {"Dockerfile",
                                       "report",
                                       "reports",
                                       "reports/",
                                       "repo",
                                       "db",
                                       "db/old",
                                       "db/**",
                                       "db/*",
                                       "db/old/**",
                                       "**",
                                       "*",
                                       "**/*",
                                       "*.sql",
                                       "**/*.sql",
                                       "**.sql",
                                       "db/**/*.sql",
                                       "db/**/old/**/c.sql",
                                       "d?/a.sql",
                                       "?",
                                       "db?a.sql",
                                       "lib/*.py",
                                       "lib/**/*.py",
                                       "lib/**.py",
                                       "**/lib/*.py",
                                       "**/lib/**",
                                       "**/lib",
                                       "lib/*",
                                       "lib/?.py",
                                       "lib/[ab]*.py",
                                       "lib/[!b].py",
                                       "lib/[^b].py",
                                       "src/**/end",
                                       "src/*/end",
                                       "src/**/x/**/end",
                                       "src/**/y/**",
                                       "src/[[]odd]",
                                       "src/[a-p]",
                                       "src/[]-]",
                                       "src/[[:punct:]]",
                                       "**/x/y",
                                       "**/x/**/y",
                                       "x/**/x/y",
                                       "x/**/**/y",
                                       "**/**/y",
                                       "x/*/x/*",
                                       "name with space/**",
                                       "name*/file",
                                       "gr*/*",
                                       "*/?",
                                       ".*",
                                       "**/.*",
                                       "*/.keep",
                                       "none",
                                       "none/**",
                                       "**/none",
                                       "*.md"};
#define PATTERNS (sizeof patterns / sizeof patterns[0])

// Lines of files with NUL between them, as "git diff -z" prints them.
static bool lists(const struct buffer *names, const char *file)
{
    for (size_t at = 0; at < names->len; at += strlen(names->data + at) + 1)
        if (strcmp(names->data + at, file) == 0)
            return true;
    return false;
}

static struct buffer real_matches(const char *pattern)
{
    struct buffer names = {0};
    char *command = xasprintf("cd '%s/tree' && git diff --name-only -z HEAD~ HEAD -- ':(glob)%s'",
                              workspace, pattern);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    char bytes[4096];
    for (size_t len; (len = fread(bytes, 1, sizeof bytes, pipe));)
        assert_true(buffer_append(&names, bytes, len, NULL));
    assert_int_equal(pclose(pipe), 0);
    free(command);
    return names;
}

static void patterns_match_what_git_matches(void **state)
{
    (void)state;
    char commit[GIT_COMMIT_SIZE];
    repository_make();
    sh("rm -rf tree/Dockerfile tree/data");
    commit_to("main", "none", commit);
    for (size_t i = 0; i < FILES; i++)
        sh("cd tree; mkdir -p \"$(dirname '%s')\"; echo %zu > '%s'", files[i], i, files[i]);
    commit_to("main", "all", commit);
    size_t matched = 0;
    for (size_t p = 0; p < PATTERNS; p++) {
        struct buffer names = real_matches(patterns[p]);
        for (size_t f = 0; f < FILES; f++) {
            bool expected = lists(&names, files[f]);
            matched += expected;
            if (changes_match(patterns[p], files[f]) != expected)
                fail_msg("\"%s\" %s \"%s\" for Git", patterns[p],
                         expected ? "matches" : "does not match", files[f]);
        }
        buffer_finish(&names);
    }
    assert_true(matched > PATTERNS);
}

// Git finds nothing by it, which nobody means.
static void a_slash_at_the_end_means_all_below(void **state)
{
    (void)state;
    assert_true(changes_match("rep*/", "reports/x"));
    assert_true(changes_match("rep*/", "reports/x/y"));
    assert_false(changes_match("rep*/", "report"));
    assert_true(changes_match("reports/", "reports/x"));
    assert_false(changes_match("reports/", "reports"));
    assert_true(changes_match("**/", "Dockerfile"));
}

static void hard_patterns_end(void **state)
{
    (void)state;
    char pattern[GIT_PATTERN_MAX + 1] = "", path[2001];
    for (size_t i = 0; i + 3 <= 240; i += 3)
        memcpy(pattern + i, "**/", 4);
    strcat(pattern, "*a*a*a*a*a*b");
    for (size_t i = 0; i < 2000; i++)
        path[i] = i % 50 == 49 ? '/' : 'a';
    path[1999] = 'a';
    path[2000] = '\0';
    assert_false(changes_match(pattern, path));
    path[1999] = 'b';
    assert_true(changes_match(pattern, path));
}

// --- trees ---

// Asks for the context at `commit` unless none of the files that match `pattern` differs.
static struct reply ask_filtered(const char *commit, const char *pattern, const char *since,
                                 const char *also)
{
    json_t *request = context_request("main", commit);
    json_t *commits = json_pack("[s]", since);
    if (also)
        json_array_append_new(commits, json_string(also));
    json_object_set_new(request, "since", commits);
    json_object_set_new(request, "paths", json_pack("[s, s]", "none/**", pattern));
    return ask(request);
}

static void assert_changed(const char *commit, const char *pattern, const char *since,
                           const char *also, bool changed)
{
    sh("rm -f out.tar.gz");
    struct reply reply = ask_filtered(commit, pattern, since, also);
    assert_done(&reply);
    if (!event(&reply, changed ? "context" : "unchanged") ||
        event(&reply, changed ? "unchanged" : "context"))
        fail_msg("\"%s\" is %s since %s", pattern, changed ? "unchanged" : "changed", since);
    sh(changed ? "test -s out.tar.gz" : "test ! -e out.tar.gz");
    if (!changed) {
        assert_string_equal(json_text_at(event(&reply, "unchanged"), "since", NULL), since);
        assert_string_equal(json_text_at(event(&reply, "unchanged"), "author", NULL), "Ana");
    }
    reply_finish(&reply);
}

static void the_net_difference_counts(void **state)
{
    (void)state;
    char first[GIT_COMMIT_SIZE], second[GIT_COMMIT_SIZE], third[GIT_COMMIT_SIZE];
    repository_make();
    sh("cd tree; mkdir -p report old; echo 1 > report/a; echo 1 > old/a; echo 1 > mode");
    commit_to("main", "one", first);
    sh("cd tree; echo 2 > data; echo 2 > report/a; git rm -qr old; chmod +x mode; "
       "ln -sf data link");
    commit_to("main", "two", second);
    sh("cd tree; echo 1 > report/a; echo 3 > data");
    commit_to("main", "three", third);
    assert_changed(second, "report/**", first, NULL, true);
    assert_changed(third, "report/**", first, NULL, false); // there and back
    assert_changed(third, "report/**", second, NULL, true);
    assert_changed(third, "report/**", first, second, true); // one of them suffices
    assert_changed(third, "data", first, second, true);
    assert_changed(third, "Dockerfile", first, second, false);
    assert_changed(third, "old/**", first, NULL, true); // it went
    assert_changed(first, "old/**", third, NULL, true); // it came
    assert_changed(third, "mode", first, NULL, true);
    assert_changed(third, "link", first, NULL, true);
    assert_changed(third, "**", third, NULL, false);
}

// A file that became a directory, and the other way round.
static void what_changes_its_kind_has_changed(void **state)
{
    (void)state;
    char first[GIT_COMMIT_SIZE], second[GIT_COMMIT_SIZE];
    repository_make();
    sh("cd tree; echo 1 > thing; ln -s Dockerfile kind");
    commit_to("main", "one", first);
    sh("cd tree; rm thing kind; mkdir thing; echo 1 > thing/a; printf Dockerfile > kind");
    commit_to("main", "two", second);
    assert_changed(second, "thing", first, NULL, true);
    assert_changed(second, "thing/*", first, NULL, true);
    assert_changed(first, "thing/*", second, NULL, true);
    assert_changed(second, "kind", first, NULL, true);
    assert_changed(second, "data", first, NULL, false);
}

static void a_commit_that_is_not_there_differs(void **state)
{
    (void)state;
    char first[GIT_COMMIT_SIZE], second[GIT_COMMIT_SIZE];
    repository_make();
    commit_to("main", "one", first);
    sh("cd tree; git checkout -q --orphan other; git commit -qm lonely");
    commit_to("main", "two", second);
    assert_changed(second, "none/**", first, NULL, true); // rewritten, and never fetched
    free(context_sha256(context_request("main", second)));
    assert_changed(second, "none/**", second, NULL, false);
    assert_changed(second, "none/**", second, "0123456789012345678901234567890123456789", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_what_git_matches),
        cmocka_unit_test(a_slash_at_the_end_means_all_below),
        cmocka_unit_test(hard_patterns_end),
        cmocka_unit_test(the_net_difference_counts),
        cmocka_unit_test(what_changes_its_kind_has_changed),
        cmocka_unit_test(a_commit_that_is_not_there_differs),
    };
    return cmocka_run_group_tests(tests, workspace_make, workspace_remove);
}
