/* headers.c, in C++. */
#include "headers.c"
