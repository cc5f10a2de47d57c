#include "agent/base/threads.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct meeting {
    pthread_mutex_t mutex;
    pthread_cond_t came;
    bool here;
    sigset_t blocked;
    char name[16];
};

static void *come(void *user)
{
    struct meeting *meeting = user;
    pthread_mutex_lock(&meeting->mutex);
    pthread_sigmask(SIG_SETMASK, NULL, &meeting->blocked);
    pthread_getname_np(pthread_self(), meeting->name, sizeof meeting->name);
    meeting->here = true;
    pthread_cond_signal(&meeting->came);
    pthread_mutex_unlock(&meeting->mutex);
    return NULL;
}

static void begin(struct meeting *meeting)
{
    *meeting = (struct meeting){.here = false};
    pthread_mutex_init(&meeting->mutex, NULL);
    condition_init(&meeting->came);
}

static void end(struct meeting *meeting)
{
    pthread_cond_destroy(&meeting->came);
    pthread_mutex_destroy(&meeting->mutex);
}

static void a_thread_leaves_signals_alone(void **state)
{
    (void)state;
    static const struct mono_time deadlines[] = {{INT64_MAX}, {0}};
    for (size_t i = 0; i < sizeof deadlines / sizeof *deadlines; i++) {
        struct meeting meeting;
        pthread_t thread;
        sigset_t own;
        begin(&meeting);
        struct mono_time deadline = deadlines[i].ms ? deadlines[i] : mono_after(60000);
        pthread_mutex_lock(&meeting.mutex);
        thread_start(&thread, "a-meeting", come, &meeting);
        while (!meeting.here)
            assert_true(condition_wait(&meeting.came, &meeting.mutex, deadline));
        pthread_mutex_unlock(&meeting.mutex);
        pthread_join(thread, NULL);
        pthread_sigmask(SIG_SETMASK, NULL, &own);
        assert_true(sigismember(&meeting.blocked, SIGTERM));
        assert_false(sigismember(&own, SIGTERM));
        end(&meeting);
    }
}

static void a_wait_ends_at_its_deadline(void **state)
{
    (void)state;
    struct meeting meeting;
    begin(&meeting);
    struct mono_time deadline = mono_after(30);
    pthread_mutex_lock(&meeting.mutex);
    while (condition_wait(&meeting.came, &meeting.mutex, deadline))
        ;
    assert_true(mono_past(deadline));
    assert_false(condition_wait(&meeting.came, &meeting.mutex, (struct mono_time){0}));
    pthread_mutex_unlock(&meeting.mutex);
    end(&meeting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_leaves_signals_alone),
        cmocka_unit_test(a_wait_ends_at_its_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
