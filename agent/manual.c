// Built and run by the build itself: prints a manual page or the example settings from the tables
// that drive the program.
//
//     manual cronwright.1 | cronwright.yaml.5 | cronwright-metrics.7 | cronwright.example.yaml
#include "agent/cli/doc.h"
#include "agent/config.h"
#include "agent/metrics.h"

#include <string.h>

static const struct {
    const char *name;
    void (*print)(FILE *out);
} documents[] = {
    {"cronwright.1", doc_man},
    {"cronwright.yaml.5", config_doc_man},
    {"cronwright-metrics.7", metrics_doc_man},
    {"cronwright.example.yaml", config_doc_example},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        if (argc == 2 && strcmp(argv[1], documents[i].name) == 0) {
            documents[i].print(stdout);
            return 0;
        }
    }
    return 2;
}
