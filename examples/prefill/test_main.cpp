#include <Kokkos_Core.hpp>
#include <cstdio>
#include <cstdlib>

#include "test.hpp"

int main() {
  ::setenv("OMP_PROC_BIND", "false", 0);
  Kokkos::ScopeGuard const kokkos;
  prefill_test::test_files();
  prefill_test::test_tokenizer();
  prefill_test::test_model();
  prefill_test::test_methods();
  prefill_test::test_report();
  std::printf("%d passed, %d failed\n", prefill_test::passed, prefill_test::failed);
  return prefill_test::failed == 0 ? 0 : 1;
}
