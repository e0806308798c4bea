/* refused.c, in C++. */
#include "refused.c"
