// The crew on a host: threads that take chunks of rows, and call the machine's BLAS.
//
// Each of Kokkos' host threads takes its own rows through the layers and calls a BLAS of one
// thread. A threaded BLAS would meet Kokkos' threads on the same cores, and wait for all of its
// own at the end of every product; on a busy machine that made it ten times slower.
#pragma once

#include <cblas.h>

#include <Kokkos_Core.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "chunks.hpp"

/// OpenBLAS only; null with any other BLAS.
extern "C" void openblas_set_num_threads(int) __attribute__((weak));

namespace prefill {

using crew_space = host_space;

/// What q, k, v and the output of attention are stored in.
using tensor_element = float;

/// All elements, one after the other.
struct one_lane {
  template <class Body>
  KOKKOS_FUNCTION void each(std::int64_t count, Body const& body) const {
    for (std::int64_t i = 0; i < count; ++i) body(i);
  }
  template <class Value>
  KOKKOS_FUNCTION auto sum(std::int64_t count, Value const& value) const {
    decltype(value(count)) total = 0;
    for (std::int64_t i = 0; i < count; ++i) total += value(i);
    return total;
  }
  /// Of at least one.
  template <class Value>
  KOKKOS_FUNCTION auto max(std::int64_t count, Value const& value) const {
    auto most = value(std::int64_t(0));
    for (std::int64_t i = 1; i < count; ++i) most = Kokkos::max(most, value(i));
    return most;
  }
};

/// One thread, with a chunk of rows whose intermediate states stay in its caches.
class worker {
 public:
  worker(std::int64_t begin, std::int64_t rows) : begin_(begin), rows_(rows) {}

  std::int64_t begin() const { return begin_; }
  std::int64_t rows() const { return rows_; }

  float* take(std::int64_t a_row) {
    auto const count = std::size_t(rows_ * a_row);
    return taken_.emplace_back(std::make_unique_for_overwrite<float[]>(count)).get();
  }

  static constexpr char const* product_name = "cblas_sgemm";
  static constexpr char const* product_advice =
      "With an old OpenBLAS, try OPENBLAS_CORETYPE=Haswell, or install a newer BLAS";

  /// y (rows, outputs) = accumulate * y + x (rows, inputs) W^T; W has a row for each output.
  void product(float const* w, std::int64_t outputs, std::int64_t inputs, float const* x, float* y,
               float accumulate) {
    auto const m = int(rows_), n = int(outputs), k = int(inputs);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1.0F, x, k, w, k, accumulate, y,
                n);
  }

  template <class What>
  void each(What const& what, std::int64_t parts = 1) {
    for (std::int64_t i = 0; i < rows_ * parts; ++i) what(one_lane{}, i);
  }

 private:
  std::int64_t begin_, rows_;
  std::vector<std::unique_ptr<float[]>> taken_;
};

class crew {
 public:
  /// Where there is one host thread only, BLAS keeps its own.
  crew() {
    if (host_space().concurrency() > 1 && openblas_set_num_threads) openblas_set_num_threads(1);
  }

  std::string description() const {
    return "BLAS on " + std::to_string(host_space().concurrency()) + " host threads, float";
  }

  template <class Body>
  void share(char const* label, std::int64_t count, std::int64_t chunk, Body const& body) {
    in_chunks(label, count, chunk, [&](std::int64_t begin, std::int64_t rows) {
      worker work(begin, rows);
      body(work);
    });
  }
};

}  // namespace prefill
