#pragma once

namespace bench {

/// Adds where a result comes from to the context of Google Benchmark's report: device, commit,
/// threads, vector width, compiler, Kokkos' configuration, and the path that the library says it
/// takes.
void add_context();

}  // namespace bench
