#ifndef CRONWRIGHT_DOCTOR_KUBERNETES_H
#define CRONWRIGHT_DOCTOR_KUBERNETES_H

#include "agent/doctor/look.h"

// What to do when the API server cannot be asked.
const char *kubernetes_advice(const struct error *err);
// A check: rights.c.
void kubernetes_rights(struct look *look);

#endif
