// `cronwright doctor --repair`: checks and mends what an agent that is stopped left in its state
// directory.
#ifndef CRONWRIGHT_REPAIR_H
#define CRONWRIGHT_REPAIR_H

// argv: --repair [--config FILE] [-o FORMAT]. Returns an exit status: 0 when all is good then.
int repair_main(int argc, char **argv);

#endif
