#include "context.hpp"

#include <benchmark/benchmark.h>

#include <Kokkos_Core.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "peak.hpp"
#include "workload.hpp"

namespace bench {

namespace {

// A virtual machine may hide the model's name; its numbers still tell.
[[maybe_unused]] std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  std::string name, family, model;
  for (std::string line; std::getline(file, line) && !line.empty();) {
    const auto value = [&](const std::string& key, std::string& result) {
      if (line.compare(0, key.size(), key) == 0 && line.find(": ") != std::string::npos &&
          line.find_first_not_of(" \t", key.size()) == line.find(':'))
        result = line.substr(line.find(": ") + 2);
    };
    value("model name", name);
    value("cpu family", family);
    value("model", model);
  }
  if (name.empty()) name = "unknown processor";
  if (!family.empty()) name += " (family " + family + ", model " + model + ")";
  return name;
}

// "NVIDIA H100", or the processor's name.
std::string device() {
#if defined(KOKKOS_ENABLE_CUDA)
  return Kokkos::Cuda().cuda_device_prop().name;
#elif defined(KOKKOS_ENABLE_HIP)
  return Kokkos::HIP::hip_device_prop().name;
#else
  return processor();
#endif
}

std::string kokkos_configuration() {
  std::ostringstream text;
  Kokkos::print_configuration(text);
  return text.str();
}

}  // namespace

void add_context() {
  benchmark::AddCustomContext("device", device());
  const char* commit = std::getenv("DELTA_ATTENTION_COMMIT");  // quickstart sets it
  benchmark::AddCustomContext("commit", commit != nullptr ? commit : "unknown");
  benchmark::AddCustomContext("threads", std::to_string(host_threads()));
  benchmark::AddCustomContext("vector_bits", std::to_string(8 * vector_bytes));
  benchmark::AddCustomContext("compiler", __VERSION__);
  benchmark::AddCustomContext("kokkos", kokkos_configuration());
  const case_spec small{method::dense, "float", 16, 128, 8, 2};
  benchmark::AddCustomContext("path", make_workload(small)->describe());
}

}  // namespace bench
