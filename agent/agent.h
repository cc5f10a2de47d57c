// The daemon: the one part that knows every other.
#ifndef CRONWRIGHT_AGENT_AGENT_H
#define CRONWRIGHT_AGENT_AGENT_H

// `cronwright agent [--check] [--config FILE]`: argv[0] is "agent", arguments were checked by the
// command line's table. Returns the exit status.
int agent_main(int argc, char **argv);

#endif
