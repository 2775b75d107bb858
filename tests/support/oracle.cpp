#include "oracle.hpp"

namespace oracle {
DELTA_ATTENTION_ORACLE(, float)
DELTA_ATTENTION_ORACLE(, double)
DELTA_ATTENTION_ORACLE(, long double)
}  // namespace oracle
