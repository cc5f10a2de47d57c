// The page: files of agent/web that are compiled in, and how they are served.
#ifndef CRONWRIGHT_ADMIN_PAGE_H
#define CRONWRIGHT_ADMIN_PAGE_H

#include <stddef.h>

struct page_bytes {
    const unsigned char *bytes;
    size_t len;
};

struct page_file {
    const char *name; // "main.js"
    const char *type;
    struct page_bytes plain;
    struct page_bytes compressed; // by gzip
};

// Made by the build; ended by a file without a name. There is always an "index.html".
extern const struct page_file page_files[];
// Of all of them: the folder in their address.
extern const char page_hash[];

#endif
