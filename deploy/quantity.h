// Quantities as Kubernetes writes them: "100m", "64Mi", "1e3".
#ifndef CRONWRIGHT_DEPLOY_QUANTITY_H
#define CRONWRIGHT_DEPLOY_QUANTITY_H

#include "agent/base/error.h"

// ERR_INVALID for what is none, or less than nothing; the text says what may be meant.
bool quantity_read(const char *text, double *out, struct error *err) MUST_CHECK;
// Whether both are quantities of the same amount ("1000m" and "1").
bool quantity_same(const char *a, const char *b);

#endif
