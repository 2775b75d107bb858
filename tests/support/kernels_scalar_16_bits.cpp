#include "kernels.hpp"

#ifdef DELTA_ATTENTION_SHARED_KERNELS
DELTA_ATTENTION_KERNELS(, scalar, da::float16)
DELTA_ATTENTION_KERNELS(, scalar, da::bfloat16)
#endif
