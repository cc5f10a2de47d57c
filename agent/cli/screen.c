#include "agent/cli/screen.h"

#include "agent/base/printable.h"
#include "agent/base/text.h"

#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *symbol;
    const char *word;  // stands before the text where there is no symbol
    const char *alone; // the mark without a text, in UTF-8
    const char *colour;
} marks[MARK_COUNT] = {
    [MARK_NONE] = {"", "", "", ""},
    [MARK_OK] = {"✔", "ok", "✔", "\033[32m"},
    [MARK_FAILED] = {"✗", "failed", "✗", "\033[31m"},
    [MARK_RUNNING] = {"●", "running", "● running", "\033[36m"},
    [MARK_WAITING] = {"◎", "waiting", "◎ waiting", "\033[36m"},
    [MARK_START] = {"►", "", "►", "\033[1m"},
    [MARK_WARNING] = {"⚠", "warning", "⚠", "\033[33m"},
    [MARK_SKIPPED] = {"–", "", "–", "\033[2m"},
};

void screen_init(struct screen *screen)
{
    (void)setlocale(LC_CTYPE, "");
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    bool plain = term == NULL || strcmp(term, "dumb") == 0;
    bool colour = !plain && (no_color == NULL || no_color[0] == '\0');
    bool out = isatty(STDOUT_FILENO) == 1;
    bool err = isatty(STDERR_FILENO) == 1;
    *screen = (struct screen){
        .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
        .colour_out = out && colour,
        .colour_err = err && colour,
        .redraw = err && !plain,
        .shared = out && err,
    };
}

char *mark_text(const struct screen *screen, enum mark mark, const char *text)
{
    if (screen->utf8 && marks[mark].symbol[0] != '\0')
        return text[0] == '\0' ? xstrdup(marks[mark].alone)
                               : xasprintf("%s %s", marks[mark].symbol, text);
    const char *word = marks[mark].word;
    if (text[0] == '\0')
        return xstrdup(word[0] == '\0' ? "-" : word);
    if (word[0] == '\0' || text_starts(text, word))
        return xstrdup(text);
    return xasprintf("%s: %s", word, text);
}

const char *mark_colour(enum mark mark)
{
    return marks[mark].colour;
}

const char *screen_arrow(const struct screen *screen)
{
    return screen->utf8 ? "→" : "->";
}

char *text_clean(const char *text)
{
    size_t len = strlen(text);
    char *clean = xalloc(len + 4); // it never grows; 4 is the least room
    printable_copy(clean, len + 4, text, len);
    return clean;
}

// A progress line gets a line of its own.
static void begin_line(struct screen *screen)
{
    (void)fflush(stdout);
    screen_unwait(screen);
    if (screen->shared && screen->cut_line)
        (void)fputc('\n', stderr);
    screen->cut_line = false;
}

char *text_clean_printf(const char *fmt, va_list args)
{
    CLEANUP(free_ptr) char *text = xvasprintf(fmt, args);
    return text_clean(text);
}

void screen_say(struct screen *screen, enum mark mark, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    CLEANUP(free_ptr) char *text = text_clean_printf(fmt, args);
    va_end(args);
    CLEANUP(free_ptr) char *line = mark_text(screen, mark, text);
    begin_line(screen);
    const char *colour = screen->colour_err ? marks[mark].colour : "";
    (void)fprintf(stderr, "%s%s%s\n", colour, line, colour[0] != '\0' ? COLOUR_END : "");
}

void screen_hint(struct screen *screen, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    CLEANUP(free_ptr) char *text = text_clean_printf(fmt, args);
    va_end(args);
    begin_line(screen);
    (void)fprintf(stderr, "  %s\n", text);
}

void screen_wait(struct screen *screen, const char *fmt, ...)
{
    if (!screen->redraw)
        return;
    va_list args;
    va_start(args, fmt);
    CLEANUP(free_ptr) char *text = text_clean_printf(fmt, args);
    va_end(args);
    CLEANUP(free_ptr) char *line = mark_text(screen, MARK_WAITING, text);
    if (!screen->open_line)
        begin_line(screen);
    // Without line wrapping (?7l) a long line stays one that can be drawn over.
    (void)fprintf(stderr, "\r\033[K\033[?7l%s%s%s\033[?7h",
                  screen->colour_err ? marks[MARK_WAITING].colour : "", line,
                  screen->colour_err ? COLOUR_END : "");
    screen->open_line = true;
}

void screen_unwait(struct screen *screen)
{
    if (screen->open_line)
        (void)fputs("\r\033[K", stderr);
    screen->open_line = false;
}

void screen_interrupted(struct screen *screen)
{
    screen->cut_line = screen->shared && !screen->open_line;
}

void screen_error(struct screen *screen, const struct error *err)
{
    begin_line(screen);
    const char *rest = strchr(err->text, '\n');
    size_t first = rest ? (size_t)(rest - err->text) : strlen(err->text);
    CLEANUP(free_ptr) char *line = xstrndup(err->text, first);
    CLEANUP(free_ptr) char *clean = text_clean(line);
    (void)fprintf(stderr, "%scronwright: %s%s\n",
                  screen->colour_err ? marks[MARK_FAILED].colour : "", clean,
                  screen->colour_err ? COLOUR_END : "");
    while (rest != NULL) {
        const char *start = rest + 1;
        rest = strchr(start, '\n');
        CLEANUP(free_ptr)
        char *hint = xstrndup(start, rest ? (size_t)(rest - start) : strlen(start));
        screen_hint(screen, "%s", hint);
    }
}

void screen_json(const json_t *value)
{
    // 0.4 is 0.4, not 0.40000000000000002.
    size_t flags = JSON_REAL_PRECISION(12) | JSON_ENCODE_ANY;
    flags |= isatty(STDOUT_FILENO) == 1 ? JSON_INDENT(2) : JSON_COMPACT | JSON_SORT_KEYS;
    if (json_dumpf(value, stdout, flags) == 0)
        (void)fputc('\n', stdout);
}
