// What a user's program needs to compile, link and run: the target and one call.
#include <Kokkos_Core.hpp>
#include <delta_attention/delta_attention.hpp>
#include <cstdio>

namespace da = delta_attention;

int main(int argc, char** argv) {
  Kokkos::ScopeGuard kokkos(argc, argv);
  using view = Kokkos::View<float****, Kokkos::LayoutRight>;
  Kokkos::DefaultExecutionSpace exec;
  view q("q", 1, 40, 2, 16), k("k", 1, 40, 1, 16), v("v", 1, 40, 1, 16), out("out", 1, 40, 2, 16);
  Kokkos::deep_copy(v, 3.0F);
  da::attention(exec, q, k, v, out, da::causal{});
  exec.fence();

  // Any mean of a constant is the constant.
  auto host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace{}, out);
  for (int token = 0; token < 40; ++token) {
    if (host(0, token, 1, 5) < 2.999F || host(0, token, 1, 5) > 3.001F) {
      std::printf("out(0, %d, 1, 5) = %g, not 3\n", token, host(0, token, 1, 5));
      return 1;
    }
  }
}
