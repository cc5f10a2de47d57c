// `cronwright fetch-context`: what the init container of a build pod runs.
#ifndef CRONWRIGHT_CONTEXTS_FETCH_H
#define CRONWRIGHT_CONTEXTS_FETCH_H

// argv: [--timeout SECONDS] TICKET FILE. TICKET is a directory with the files address, token,
// sha256, bytes and ca: see struct kaniko_ticket. Returns 0 when FILE has those bytes, on disk; 1
// when it never will; KANIKO_FETCH_AGAIN when time ran out. The last line on standard error says
// why.
int fetch_context_main(int argc, char **argv);

#endif
