// How the command line looks: marks, colours, progress lines. Data goes to stdout, progress to
// stderr. Without a terminal there is no colour and no redrawing; without UTF-8, words stand for
// symbols. One thread.
#ifndef CRONWRIGHT_CLI_SCREEN_H
#define CRONWRIGHT_CLI_SCREEN_H

#include "agent/base/buffer.h"
#include "agent/base/json.h"

#include <stdio.h>

enum mark {
    MARK_NONE,
    MARK_OK,      // ✔
    MARK_FAILED,  // ✗
    MARK_RUNNING, // ●
    MARK_WAITING, // ◎
    MARK_START,   // ►
    MARK_WARNING, // ⚠
    MARK_SKIPPED, // –: not done, and that is right so
    MARK_COUNT,
};

struct screen {
    bool utf8;       // the locale's character set
    bool colour_out; // on stdout
    bool colour_err; // on stderr
    bool redraw;     // stderr is a terminal that can redraw a line
    bool shared;     // stdout and stderr are both terminals
    bool open_line;  // stderr ends in a line of screen_wait()
    bool cut_line;   // stdout ends within a line of a log
};

// Looks at the locale, the terminal, NO_COLOR and TERM. Calls setlocale() for the character set.
void screen_init(struct screen *screen);

// "✗ exit 3", or "failed: exit 3" without UTF-8. With an empty text the mark alone. No word is put
// before a text that begins with it.
char *mark_text(const struct screen *screen, enum mark mark, const char *text)
    __attribute__((returns_nonnull));
// The escape sequence that begins the mark's colour; "" for none.
const char *mark_colour(enum mark mark);
#define COLOUR_END  "\033[0m"
#define COLOUR_HEAD "\033[1m"

// → and – or their ASCII forms.
const char *screen_arrow(const struct screen *screen);

// The text as one line without control characters, which could play tricks with a terminal: for
// everything that came from outside. The caller frees.
char *text_clean(const char *text) __attribute__((returns_nonnull));
char *text_clean_printf(const char *fmt, va_list args) PRINTF_LIKE(1, 0)
    __attribute__((returns_nonnull));

// A progress line on stderr, after all that stdout has. The text is cleaned.
void screen_say(struct screen *screen, enum mark mark, const char *fmt, ...) PRINTF_LIKE(3, 4);
// A line of advice under it: two spaces, no mark.
void screen_hint(struct screen *screen, const char *fmt, ...) PRINTF_LIKE(2, 3);
// A line that whatever comes next draws over; only where `redraw` is set, else nothing happens.
void screen_wait(struct screen *screen, const char *fmt, ...) PRINTF_LIKE(2, 3);
// Takes it away, before something else than this file writes to the terminal.
void screen_unwait(struct screen *screen);

// After Ctrl-C on a terminal, which has echoed "^C" into the line.
void screen_interrupted(struct screen *screen);

// "cronwright: <text>". The lines of an error's text after the first say what to do.
void screen_error(struct screen *screen, const struct error *err);

// The API's JSON on stdout: indented on a terminal, else one line with sorted keys.
void screen_json(const json_t *value);

#endif
