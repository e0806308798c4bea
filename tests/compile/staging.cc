/* staging.c, in C++. */
#include "staging.c"
