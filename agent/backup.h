// `cronwright backup FILE`: a copy of the database of an agent that may be running.
#ifndef CRONWRIGHT_BACKUP_H
#define CRONWRIGHT_BACKUP_H

// Returns an exit status. Ctrl-C leaves no file.
int backup_main(int argc, char **argv);

#endif
