// A service as a file that says all it may, with what each setting means.
#ifndef CRONWRIGHT_CLI_EXAMPLE_H
#define CRONWRIGHT_CLI_EXAMPLE_H

extern const char service_example[]; // a valid document

#endif
