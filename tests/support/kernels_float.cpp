#include "kernels.hpp"

#ifdef DELTA_ATTENTION_SHARED_KERNELS
DELTA_ATTENTION_KERNELS(, simd, float)
#endif
