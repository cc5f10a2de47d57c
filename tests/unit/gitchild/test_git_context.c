// The build context: what is in it, that the same tree gives the same bytes, and what is refused.
#include "tests/unit/gitchild/workspace.h"

#include <git2.h>
#include <sys/stat.h>

#define LONG_NAME                                                                                  \
    "a-name-of-more-than-a-hundred-bytes-which-old-tar-headers-cannot-hold-so-that-the-format-"    \
    "must-show-what-it-does-with-it"

static char commit[GIT_COMMIT_SIZE];

static void many_kinds_of_files(void)
{
    repository_make();
    sh("cd tree; mkdir -p sub/deeper empty; printf '#!/bin/sh\\n' > run.sh; chmod 755 run.sh;"
       "ln -s ../data sub/link; : > sub/nothing; printf 'x' > 'sub/with space';"
       "printf 'u' > 'sub/\xc3\xa4\xe2\x82\xac.txt'; printf 'l' > $(printf 'sub/latin\\351');"
       "printf 'b' > sub/deeper/" LONG_NAME "; ln -s " LONG_NAME " sub/deeper/long-link;"
       "head -c 300000 /dev/urandom > big; printf 'a' > sub.a; printf 'b' > sub-b");
    commit_to("main", "First", commit);
}

static void archive_equals_git_archive(void **state)
{
    (void)state;
    many_kinds_of_files();
    struct reply reply = ask(context_request("main", commit));
    assert_done(&reply);
    const json_t *context = event(&reply, "context");
    struct stat status;
    char *path = xasprintf("%s/out.tar.gz", workspace);
    assert_int_equal(stat(path, &status), 0);
    free(path);
    assert_int_equal(json_int_or(json_at(context, "bytes", NULL), -1), status.st_size);
    assert_int_equal(json_int_or(json_at(context, "files", NULL), -1), 13);
    char *sum = sh_output("sha256sum < out.tar.gz | cut -c1-64");
    assert_string_equal(json_text_at(context, "sha256", NULL), sum);
    free(sum);
    sh("rm -rf ours theirs; mkdir ours theirs; tar -xzf out.tar.gz -C ours;"
       "git -C origin.git archive main | tar -x -C theirs; diff -r --no-dereference ours theirs;"
       "(cd ours && find . -printf '%%P %%y %%m %%l\\n' | sort) > ours.list;"
       "(cd theirs && find . -type d -exec chmod 755 {} + && find . ! -type l ! -type d -perm /100 "
       "-exec chmod 755 {} + && find . -type f ! -perm /100 -exec chmod 644 {} + &&"
       " find . -printf '%%P %%y %%m %%l\\n' | sort) > theirs.list; cmp ours.list theirs.list");
    reply_finish(&reply);
}

static void entries_carry_no_owner_and_no_time(void **state)
{
    (void)state;
    many_kinds_of_files();
    free(context_sha256(context_request("main", commit)));
    char *odd = sh_output("tar --numeric-owner --utc --full-time -tvzf out.tar.gz |"
                          "grep -vc ' 0/0 .* 1980-01-02 00:00:00 ' || true");
    assert_string_equal(odd, "0");
    free(odd);
    char *gzip_time = sh_output("head -c 8 out.tar.gz | tail -c 4 | od -An -tx1");
    assert_string_equal(gzip_time, " 00 00 00 00");
    free(gzip_time);
}

static void same_tree_same_bytes(void **state)
{
    (void)state;
    many_kinds_of_files();
    char *first = context_sha256(context_request("main", commit));
    char *again = context_sha256(context_request("main", commit));
    assert_string_equal(again, first);
    free(again);

    // Another commit, another author, another time, packed otherwise, in another mirror.
    sh("cd tree; GIT_AUTHOR_NAME=Ben GIT_AUTHOR_DATE='2001-02-03T04:05:06Z'"
       " git commit -q --allow-empty -m Other; git push -q origin HEAD:refs/heads/main;"
       " git -C ../origin.git repack -q -a -d -F; rm -rf ../mirror");
    char *other = sh_output("git -C tree rev-parse HEAD");
    assert_string_not_equal(other, commit);
    again = context_sha256(context_request("main", other));
    assert_string_equal(again, first);
    free(again);

    sh("cd tree; chmod 644 run.sh");
    commit_to("main", "Mode", commit);
    again = context_sha256(context_request("main", commit));
    assert_string_not_equal(again, first);
    free(again);
    free(other);
    free(first);
}

static void a_directory_is_the_context(void **state)
{
    (void)state;
    repository_make();
    sh("cd tree; mkdir -p app/docker; mv Dockerfile app/docker/; printf 'x' > app/x");
    commit_to("main", "Ä subject\nwith more", commit);
    json_t *request = context_request("main", commit);
    json_object_set_new(request, "subdirectory", json_string("app"));
    json_object_set_new(request, "dockerfile", json_string("docker/Dockerfile"));
    struct reply reply = ask(request);
    assert_done(&reply);
    char *list = sh_output("tar -tzf out.tar.gz | tr '\\n' ' '");
    assert_string_equal(list, "docker/ docker/Dockerfile x ");
    free(list);
    const json_t *context = event(&reply, "context");
    char *tree = sh_output("git -C tree rev-parse HEAD:app");
    assert_string_equal(json_text_at(context, "tree", NULL), tree);
    free(tree);
    assert_string_equal(json_text_at(context, "subject", NULL), "Ä subject with more");
    assert_string_equal(json_text_at(context, "author", NULL), "Ana");
    reply_finish(&reply);
}

static void subject_is_made_printable(void **state)
{
    (void)state;
    repository_make();
    sh("cd tree; git add -A; printf 'bad \\377 \\033[31mred \\342\\200\\256rtl' > ../message;"
       "git -c i18n.commitEncoding=ISO-8859-1 commit -q -F ../message; git push -q origin "
       "HEAD:main");
    char *head = sh_output("git -C tree rev-parse HEAD");
    struct reply reply = ask(context_request("main", head));
    assert_done(&reply);
    const char *subject = json_text_at(event(&reply, "context"), "subject", NULL);
    assert_null(strchr(subject, '\033'));
    assert_null(strstr(subject, "\xe2\x80\xae"));
    assert_non_null(strstr(subject, "red"));
    reply_finish(&reply);
    free(head);
}

static void missing_things_are_named(void **state)
{
    (void)state;
    repository_make();
    sh("cd tree; mkdir app; printf 'x' > app/x; mkdir folder; mv Dockerfile folder/Dockerfile;"
       "printf 'FROM scratch\\n' > Top");
    commit_to("main", "First", commit);
    assert_error(ask(context_request("main", commit)), GIT_ERROR_WORD_DOCKERFILE,
                 "\"Dockerfile\" is not there at commit ", commit, "\"main\"", NULL);

    json_t *request = context_request("main", commit);
    json_object_set_new(request, "dockerfile", json_string("folder"));
    assert_error(ask(request), GIT_ERROR_WORD_DOCKERFILE, "\"folder\" is no file", NULL);

    request = context_request("main", commit);
    json_object_set_new(request, "subdirectory", json_string("app"));
    json_object_set_new(request, "dockerfile", json_string("Top"));
    assert_error(ask(request), GIT_ERROR_WORD_DOCKERFILE, "\"Top\" is not there in the context",
                 "\"app\"", "relative to the context", NULL);

    request = context_request("main", commit);
    json_object_set_new(request, "subdirectory", json_string("nothing/here"));
    assert_error(ask(request), GIT_ERROR_WORD_CONTEXT, "\"nothing/here\" is not there", commit,
                 NULL);

    request = context_request("main", commit);
    json_object_set_new(request, "subdirectory", json_string("Top"));
    assert_error(ask(request), GIT_ERROR_WORD_CONTEXT, "\"Top\" is no directory", NULL);
    sh("test ! -e out.tar.gz; test ! -e out.tar.gz.part");
}

static void a_dockerfile_may_be_a_link(void **state)
{
    (void)state;
    repository_make();
    sh("cd tree; mv Dockerfile Dockerfile.real; ln -s Dockerfile.real Dockerfile");
    commit_to("main", "First", commit);
    free(context_sha256(context_request("main", commit)));
}

static int count_notes(const struct reply *reply, const char *kind)
{
    size_t i;
    json_t *line;
    int count = 0;
    json_array_foreach(reply->lines, i,
                       line) if (strcmp(json_text_at(line, "event", NULL), "note") == 0 &&
                                 strcmp(json_text_at(line, "kind", NULL), kind) == 0) count++;
    return count;
}

static void dockerfile_is_refused(const char *make, const char *why)
{
    repository_make();
    sh("cd tree; rm Dockerfile; %s", make);
    commit_to("main", "First", commit);
    assert_error(ask(context_request("main", commit)), GIT_ERROR_WORD_DOCKERFILE, why, commit,
                 NULL);
    sh("test ! -e out.tar.gz; test ! -e out.tar.gz.part");
}

static void a_dockerfile_that_is_none_is_refused(void **state)
{
    (void)state;
    dockerfile_is_refused("ln -s /etc/passwd Dockerfile", "a symbolic link that leads out");
    dockerfile_is_refused("ln -s ../x Dockerfile", "a symbolic link that leads out");
    dockerfile_is_refused("ln -s nothing Dockerfile", "not there");
    dockerfile_is_refused("ln -s other Dockerfile; ln -s Dockerfile other", "leads to itself");
    dockerfile_is_refused("printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:0\\n' "
                          "> Dockerfile",
                          "a Git LFS pointer");
    dockerfile_is_refused("git init -q Dockerfile; cd Dockerfile; git commit -q --allow-empty -m x;"
                          "cd ..; git add Dockerfile 2>/dev/null",
                          "a submodule");
}

static void what_is_in_a_submodule_is_named_so(void **state)
{
    (void)state;
    repository_make();
    sh("cd tree; git init -q inner; cd inner; git commit -q --allow-empty -m x; cd ..;"
       "git add inner 2>/dev/null");
    commit_to("main", "First", commit);
    json_t *request = context_request("main", commit);
    json_object_set_new(request, "dockerfile", json_string("inner/docker/Dockerfile"));
    assert_error(ask(request), GIT_ERROR_WORD_DOCKERFILE, "in the submodule \"inner\"", NULL);
    request = context_request("main", commit);
    json_object_set_new(request, "subdirectory", json_string("inner"));
    assert_error(ask(request), GIT_ERROR_WORD_CONTEXT, "\"inner\" is a submodule", NULL);
}

static char *packed_files(void)
{
    return sh_output("tar -tzf out.tar.gz | grep -v '/$' | tr '\\n' ' '");
}

static void what_dockerignore_names_is_left_out(void **state)
{
    (void)state;
    repository_make();
    sh("cd tree; mkdir -p logs/old deep/node_modules src; touch logs/a logs/keep logs/old/b"
       " deep/node_modules/x src/a.o src/b.c; ln -s /etc/passwd logs/link;"
       "printf '# a comment\\nlogs\\n!logs/keep\\n**/*.o\\nDockerfile\\n' > .dockerignore");
    commit_to("main", "First", commit);
    struct reply reply = ask(context_request("main", commit));
    assert_done(&reply);
    assert_int_equal(json_int_or(json_at(event(&reply, "context"), "ignored", NULL), -1), 4);
    assert_int_equal(count_notes(&reply, "symlink"), 0);
    reply_finish(&reply);
    char *files = packed_files();
    assert_string_equal(files,
                        ".dockerignore Dockerfile data deep/node_modules/x logs/keep src/b.c ");
    free(files);

    // The one beside the Dockerfile goes first.
    sh("cd tree; printf 'src\\n' > Dockerfile.dockerignore");
    commit_to("main", "Second", commit);
    free(context_sha256(context_request("main", commit)));
    sh("tar -tzf out.tar.gz | grep -q logs/a; ! tar -tzf out.tar.gz | grep -q src/b.c");
}

static void caps_name_their_setting(void **state)
{
    (void)state;
    repository_make();
    sh("cd tree; mkdir -p a/b/c; touch a/b/c/d; head -c 20000 /dev/zero > wide");
    commit_to("main", "First", commit);
    free(context_sha256(context_request("main", commit)));

    json_t *request = context_request("main", commit);
    json_object_set_new(request, "max_tree_depth", json_integer(3));
    free(context_sha256(request));
    request = context_request("main", commit);
    json_object_set_new(request, "max_tree_depth", json_integer(2));
    assert_error(ask(request), GIT_ERROR_WORD_INVALID, "git.maxTreeDepth", "a/b/c", NULL);

    request = context_request("main", commit);
    json_object_set_new(request, "max_file_bytes", json_integer(20000));
    free(context_sha256(request));
    request = context_request("main", commit);
    json_object_set_new(request, "max_file_bytes", json_integer(19999));
    assert_error(ask(request), GIT_ERROR_WORD_CONTEXT_SIZE, "wide", "20000", "git.maxFileBytes",
                 NULL);

    request = context_request("main", commit);
    json_object_set_new(request, "max_bytes", json_integer(10));
    json_object_set_new(request, "max_bytes_setting", json_string("context.listen"));
    assert_error(ask(request), GIT_ERROR_WORD_CONTEXT_SIZE, "10 are allowed (context.listen)",
                 NULL);
}

static void what_is_odd_is_noted(void **state)
{
    (void)state;
    repository_make();
    sh("cd tree; mkdir -p a/b; ln -s /etc/passwd a/absolute; ln -s ../../.. a/b/up; ln -s "
       "../../data a/b/fine;"
       "ln -s x/../../../y a/b/fine2; ln -s ../x/../../y outside; ln -s . here;"
       "printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:00\\nsize 1\\n' > "
       "model.bin;"
       "git -C ../tree init -q inner; cd inner; git commit -q --allow-empty -m x; cd ..;"
       "git add inner 2>/dev/null");
    commit_to("main", "First", commit);
    struct reply reply = ask(context_request("main", commit));
    assert_done(&reply);
    assert_int_equal(count_notes(&reply, "submodule"), 1);
    assert_int_equal(count_notes(&reply, "lfs"), 1);
    assert_int_equal(count_notes(&reply, "symlink"), 4);
    // What Kaniko could follow to its own files is not in the archive.
    char *links =
        sh_output("tar -tvzf out.tar.gz | sed -n 's/.*:00 \\(.* -> \\)/\\1/p' | tr '\\n' ';'");
    assert_string_equal(links, "a/b/fine -> ../../data;here -> .;");
    free(links);
    sh("! tar -tzf out.tar.gz | grep -q '^inner'");
    reply_finish(&reply);
}

static void notes_are_bounded(void **state)
{
    (void)state;
    repository_make();
    sh("cd tree; for i in $(seq 40); do ln -s / l$i; done");
    commit_to("main", "First", commit);
    struct reply reply = ask(context_request("main", commit));
    assert_done(&reply);
    assert_int_equal(count_notes(&reply, "symlink"), GIT_NOTES_MAX);
    assert_int_equal(count_notes(&reply, "more"), 1);
    const json_t *last = json_array_get(reply.lines, json_array_size(reply.lines) - 2);
    assert_string_equal(json_text_at(last, "text", NULL), "and 20 more");
    reply_finish(&reply);
}

static void size_is_capped_with_both_numbers(void **state)
{
    (void)state;
    many_kinds_of_files();
    struct reply reply = ask(context_request("main", commit));
    assert_done(&reply);
    json_int_t size = json_int_or(json_at(event(&reply, "context"), "bytes", NULL), -1);
    assert_true(size > 300000);
    reply_finish(&reply);

    json_t *request = context_request("main", commit);
    json_object_set_new(request, "max_bytes", json_integer(size));
    free(context_sha256(request));

    sh("rm out.tar.gz");
    request = context_request("main", commit);
    json_object_set_new(request, "max_bytes", json_integer(size - 1));
    char *numbers =
        xasprintf("%lld bytes, and %lld are allowed", (long long)size, (long long)size - 1);
    assert_error(ask(request), GIT_ERROR_WORD_CONTEXT_SIZE, numbers, commit, NULL);
    free(numbers);
    sh("test ! -e out.tar.gz; test ! -e out.tar.gz.part");
}

static void tree_line(struct buffer *tree, const char *name, const git_oid *id)
{
    assert_true(buffer_printf(tree, NULL, "100644 %s", name));
    assert_true(buffer_append(tree, "", 1, NULL));
    assert_true(buffer_append(tree, id->id, sizeof id->id, NULL));
}

// git itself makes no such trees: the object is written as it is.
static void commit_tree_with(const char *name)
{
    git_repository *repository;
    git_odb *odb;
    git_oid blob, tree_id, commit_id;
    git_tree *tree;
    git_signature *ana;
    struct buffer bytes = {0};
    char *path = xasprintf("%s/origin.git", workspace);
    assert_int_equal(git_repository_open(&repository, path), 0);
    assert_int_equal(git_repository_odb(&odb, repository), 0);
    assert_int_equal(git_odb_write(&blob, odb, "FROM scratch\n", 13, GIT_OBJECT_BLOB), 0);
    tree_line(&bytes, name, &blob);
    tree_line(&bytes, "Dockerfile", &blob);
    assert_int_equal(git_odb_write(&tree_id, odb, bytes.data, bytes.len, GIT_OBJECT_TREE), 0);
    assert_int_equal(git_tree_lookup(&tree, repository, &tree_id), 0);
    assert_int_equal(git_signature_new(&ana, "Ana", "ana@example.org", 1, 0), 0);
    assert_int_equal(git_commit_create(&commit_id, repository, "refs/heads/main", ana, ana, NULL,
                                       "Odd", tree, 0, NULL),
                     0);
    git_oid_tostr(commit, sizeof commit, &commit_id);
    git_signature_free(ana);
    git_tree_free(tree);
    git_odb_free(odb);
    git_repository_free(repository);
    buffer_finish(&bytes);
    free(path);
}

static void hostile_names_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"..", ".", ".git", ".GIT", "a/b", "../x"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        repository_make();
        commit_tree_with(names[i]);
        assert_error(ask(context_request("main", commit)), GIT_ERROR_WORD_INVALID, "entry named",
                     names[i], NULL);
        sh("test ! -e out.tar.gz; test ! -e out.tar.gz.part");
    }
}

// Ten levels of ten entries that are all the next level: ten thousand million files.
static void a_tree_bomb_ends(void **state)
{
    (void)state;
    repository_make();
    sh("cd origin.git; d=$(printf 'FROM scratch\\n' | git hash-object -w --stdin);"
       "t=$(printf '100644 blob %%s\\tDockerfile\\n' $d | git mktree);"
       "for level in 1 2 3 4 5 6 7 8 9 10; do t=$({ printf '100644 blob %%s\\tDockerfile\\n' $d;"
       "for i in 0 1 2 3 4 5 6 7 8 9; do printf '040000 tree %%s\\td%%s\\n' $t $i; done; } | git "
       "mktree);"
       "done; git update-ref refs/heads/main $(git commit-tree -m bomb $t)");
    char *head = sh_output("git -C origin.git rev-parse main");
    json_t *request = context_request("main", head);
    json_object_set_new(request, "max_bytes", json_integer(1000));
    free(head);
    assert_error(ask(request), GIT_ERROR_WORD_CONTEXT_SIZE, "500000 entries", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(archive_equals_git_archive),
        cmocka_unit_test(entries_carry_no_owner_and_no_time),
        cmocka_unit_test(same_tree_same_bytes),
        cmocka_unit_test(a_directory_is_the_context),
        cmocka_unit_test(subject_is_made_printable),
        cmocka_unit_test(missing_things_are_named),
        cmocka_unit_test(a_dockerfile_may_be_a_link),
        cmocka_unit_test(a_dockerfile_that_is_none_is_refused),
        cmocka_unit_test(what_is_in_a_submodule_is_named_so),
        cmocka_unit_test(what_dockerignore_names_is_left_out),
        cmocka_unit_test(caps_name_their_setting),
        cmocka_unit_test(what_is_odd_is_noted),
        cmocka_unit_test(notes_are_bounded),
        cmocka_unit_test(size_is_capped_with_both_numbers),
        cmocka_unit_test(hostile_names_are_refused),
        cmocka_unit_test(a_tree_bomb_ends),
    };
    return cmocka_run_group_tests(tests, workspace_make, workspace_remove);
}
