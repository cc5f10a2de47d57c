#include "agent/agent.h"
#include "agent/backup.h"
#include "agent/base/process.h"
#include "agent/cli/cli.h"
#include "agent/contexts/fetch.h"
#include "agent/repair.h"

#include <stddef.h>

// What is not a client of the agent but a program of its own.
static const struct cli_program programs[] = {
    {"agent", agent_main},
    {"backup", backup_main},
    {"doctor", repair_main},
    {"fetch-context", fetch_context_main},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    if (!process_keep_standard())
        return 1;
    return cli_main(argc, argv, programs);
}
