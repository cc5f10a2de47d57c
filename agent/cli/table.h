// Aligned tables on stdout: columns are as wide as their widest cell on a terminal, two spaces
// apart, and no line ends in a space.
#ifndef CRONWRIGHT_CLI_TABLE_H
#define CRONWRIGHT_CLI_TABLE_H

#include "agent/cli/screen.h"

#define TABLE_COLUMNS_MAX 12

struct table_cell {
    char *text;
    enum mark mark; // for the colour
    bool rest;      // runs on to the end of the row, and makes no column wider
};

// Begin with {.screen = …, .headers = …, .columns = …}. A NULL header continues the one before it.
struct table {
    const struct screen *screen;
    const char *const *headers;
    size_t columns;           // 1 … TABLE_COLUMNS_MAX
    struct table_cell *cells; // row by row
    size_t count;
    size_t room;
};

// Cells go from left to right, row after row. What came from outside is cleaned. An empty text
// leaves the cell empty.
void table_cell(struct table *table, const char *fmt, ...) PRINTF_LIKE(2, 3);
// "✗ exit 3" in its colour.
void table_mark(struct table *table, enum mark mark, const char *fmt, ...) PRINTF_LIKE(3, 4);
// The last cell of a row; whatever columns are left stay empty.
void table_rest(struct table *table, enum mark mark, const char *fmt, ...) PRINTF_LIKE(3, 4);

// Every row must be complete.
void table_print(const struct table *table, bool headers, FILE *out);
void table_finish(struct table *table);

#endif
