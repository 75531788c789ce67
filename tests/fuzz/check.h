// What a fuzz target holds to be true of every input. A failure aborts, also where NDEBUG is defined.
#pragma once

#include <cstdio>
#include <cstdlib>

#define QIAO_FUZZ_CHECK(condition)                                                        \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                       \
    }                                                                                     \
  } while (false)
