#pragma once

namespace bench {

/// One benchmark for each of all_cases().
void register_attention();

}  // namespace bench
