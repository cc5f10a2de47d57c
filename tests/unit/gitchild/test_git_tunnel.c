// What a proxy may answer, by one that is scripted: a real one is in the end-to-end tests.
#include "tests/unit/gitchild/workspace.h"

#include "build/git/remote.h"
#include "build/git/tunnel.h"

#define ESTABLISHED "HTTP/1.1 200 Connection established\r\n"

// A child that keeps the first request in "request", sends the text and closes.
static pid_t scripted(const char *answer, size_t len, int *port)
{
    int listening = socket_on_free_port(true, port);
    char *path = xasprintf("%s/request", workspace);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char request[4096];
        struct error err;
        int fd = accept(listening, NULL, NULL);
        ssize_t got = fd < 0 ? -1 : read(fd, request, sizeof request);
        _exit(got > 0 && file_write(path, 0600, request, (size_t)got, &err) &&
                      fd_write(fd, answer, len) && shutdown(fd, SHUT_RDWR) == 0
                  ? 0
                  : 1);
    }
    close(listening);
    free(path);
    return pid;
}

// Asks for a branch through it: why that fails.
static void open_through(const char *answer, size_t len, const char *more, struct fault *fault)
{
    int port;
    pid_t pid = scripted(answer, len, &port);
    char *text = xasprintf("{\"op\":\"head\",\"url\":\"https://git.invalid/acme/report\","
                           "\"branch\":\"main\",\"seconds\":60,"
                           "\"proxy\":\"http://127.0.0.1:%d\"%s}",
                           port, more);
    struct git_request request;
    struct remote *remote = NULL;
    assert_true(git_request_read(text, strlen(text), false, &request, fault));
    assert_false(remote_open(&request, NULL, &remote, fault));
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    git_request_finish(&request);
    free(text);
}

static void assert_says(const char *answer, const char *more, const char *word, const char *says)
{
    struct fault fault;
    open_through(answer, strlen(answer), more, &fault);
    if (strcmp(fault.word, word) != 0 || !strstr(fault.text, says))
        fail_msg("%s: %s, not %s: %s", answer, fault.word, word, fault.text);
    assert_null(strstr(fault.text, "s3cret"));
}

static void refusals_have_words(void **state)
{
    (void)state;
    static const char login[] = ",\"proxy_username\":\"ana\",\"proxy_password\":\"s3cret\"";
    static const struct {
        const char *answer, *more, *says;
    } cases[] = {
        {"HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic\r\n\r\n", "", "needs a login"},
        {"HTTP/1.0 407 No\r\n\r\n", login, "refuses the login that is configured for it"},
        {"HTTP/1.1 403 Filtered\r\nConnection: close\r\n\r\nno", "",
         "answers 403 when asked for git.invalid"},
        {"HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n", login, "answers 302"},
        {"HTTP/1.1 200", "", "does not answer"},
        {"", "", "does not answer"},
        {"SSH-2.0-OpenSSH_9.2\r\n\r\n", "", "does not answer as a proxy does"},
        {"HTTP/2 200\r\n\r\n", "", "does not answer as a proxy does"},
        {"\r\n\r\n", "", "does not answer as a proxy does"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_says(cases[i].answer, cases[i].more, GIT_ERROR_WORD_PROXY, cases[i].says);
}

static void what_is_asked(void **state)
{
    (void)state;
    // Then the server itself would have to speak TLS.
    struct fault fault;
    open_through(ESTABLISHED "Via: x\r\n\r\n", strlen(ESTABLISHED "Via: x\r\n\r\n"),
                 ",\"proxy_username\":\"ana\",\"proxy_password\":\"s3cret\"", &fault);
    assert_string_not_equal(fault.word, GIT_ERROR_WORD_PROXY);
    char *request = sh_output("cat request");
    assert_string_equal(request, "CONNECT git.invalid:443 HTTP/1.1\r\nHost: git.invalid:443\r\n"
                                 "Proxy-Authorization: Basic YW5hOnMzY3JldA==\r\n\r");
    free(request);
}

static void an_endless_answer_is_left(void **state)
{
    (void)state;
    enum { LEN = 1 << 20 };
    char *answer = xalloc(LEN);
    memset(answer, 'x', LEN);
    memcpy(answer, ESTABLISHED, strlen(ESTABLISHED));
    struct fault fault;
    open_through(answer, LEN, "", &fault);
    assert_string_equal(fault.word, GIT_ERROR_WORD_PROXY);
    assert_non_null(strstr(fault.text, "does not answer"));
    free(answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_have_words),
        cmocka_unit_test(what_is_asked),
        cmocka_unit_test(an_endless_answer_is_left),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, workspace_make, workspace_remove);
}
