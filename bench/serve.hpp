#pragma once

namespace bench {

/// Reads names of cases, one a line, and answers each with the seconds of a call: on the wall's
/// clock, and of all threads together. Another program interleaves them with its own.
void serve();

}  // namespace bench
