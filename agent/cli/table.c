#include "agent/cli/table.h"

#include "agent/base/text.h"

#include <assert.h>
#include <stdarg.h>

#define GAP 2

static void add(struct table *table, char *text, enum mark mark, bool rest)
{
    if (table->count == table->room) {
        table->room = table->room ? 2 * table->room : 64;
        table->cells = xrealloc(table->cells, table->room * sizeof(*table->cells));
    }
    table->cells[table->count++] = (struct table_cell){.text = text, .mark = mark, .rest = rest};
}

void table_cell(struct table *table, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    add(table, text_clean_printf(fmt, args), MARK_NONE, false);
    va_end(args);
}

void table_mark(struct table *table, enum mark mark, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    CLEANUP(free_ptr) char *text = text_clean_printf(fmt, args);
    va_end(args);
    add(table, mark_text(table->screen, mark, text), mark, false);
}

void table_rest(struct table *table, enum mark mark, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    CLEANUP(free_ptr) char *text = text_clean_printf(fmt, args);
    va_end(args);
    add(table, mark == MARK_NONE ? TAKE(text) : mark_text(table->screen, mark, text), mark, true);
    while (table->count % table->columns != 0)
        add(table, xstrdup(""), MARK_NONE, false);
}

// Spreads a header over the columns that continue it.
static void widen_for_header(const struct table *table, size_t first, size_t widths[])
{
    size_t last = first;
    size_t have = widths[first];
    while (last + 1 < table->columns && table->headers[last + 1] == NULL)
        have += GAP + widths[++last];
    size_t need = text_width(table->headers[first]);
    if (need > have)
        widths[last] += need - have;
}

static void measure(const struct table *table, bool headers, size_t widths[])
{
    for (size_t i = 0; i < table->count; i++) {
        size_t width = text_width(table->cells[i].text);
        size_t column = i % table->columns;
        if (!table->cells[i].rest && width > widths[column])
            widths[column] = width;
    }
    for (size_t column = 0; headers && column < table->columns; column++) {
        if (table->headers[column] != NULL)
            widen_for_header(table, column, widths);
    }
}

// Writes a row; padding is put off until something follows it.
static void print_row(const struct table_cell cells[], size_t columns, const size_t widths[],
                      bool colour, FILE *out)
{
    size_t start = 0; // where the column begins
    size_t at = 0;    // where the line is
    for (size_t i = 0; i < columns; i++) {
        const struct table_cell *cell = &cells[i];
        if (cell->text[0] != '\0') {
            const char *begin = colour ? mark_colour(cell->mark) : "";
            (void)fprintf(out, "%*s%s%s%s", (int)(start - at), "", begin, cell->text,
                          begin[0] != '\0' ? COLOUR_END : "");
            at = start + text_width(cell->text);
        }
        start += widths[i] + GAP;
    }
    (void)fputc('\n', out);
}

static void print_headers(const struct table *table, const size_t widths[], bool colour, FILE *out)
{
    size_t start = 0;
    size_t at = 0;
    (void)fputs(colour ? COLOUR_HEAD : "", out);
    for (size_t i = 0; i < table->columns; i++) {
        if (table->headers[i] != NULL) {
            (void)fprintf(out, "%*s%s", (int)(start - at), "", table->headers[i]);
            at = start + text_width(table->headers[i]);
        }
        start += widths[i] + GAP;
    }
    (void)fprintf(out, "%s\n", colour ? COLOUR_END : "");
}

void table_print(const struct table *table, bool headers, FILE *out)
{
    assert(table->columns <= TABLE_COLUMNS_MAX && table->count % table->columns == 0);
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    measure(table, headers, widths);
    bool colour = table->screen->colour_out;
    if (headers)
        print_headers(table, widths, colour, out);
    for (size_t i = 0; i < table->count; i += table->columns)
        print_row(&table->cells[i], table->columns, widths, colour, out);
}

void table_finish(struct table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i].text);
    free(table->cells);
    table->cells = NULL;
    table->count = table->room = 0;
}
