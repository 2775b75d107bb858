// The main function of every test program: Kokkos lives as long as the Catch2 session.
#include <Kokkos_Core.hpp>
#include <catch2/catch_session.hpp>
#include <exception>
#include <iostream>

int main(int argc, char** argv) try {
  Kokkos::ScopeGuard kokkos(argc, argv);
  return Catch::Session().run(argc, argv);
} catch (const std::exception& failure) {  // no GPU, say
  std::cerr << failure.what() << '\n';
  return 1;
}
