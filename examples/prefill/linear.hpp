// Numbers where the crew works, linear layers, and a check that these compute what they should.
#pragma once

#include <Kokkos_Core.hpp>
#include <cmath>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "chunks.hpp"
#include "crew.hpp"
#include "dequantise.hpp"

namespace prefill {

template <class T>
using array = Kokkos::View<T*, crew_space>;
using numbers = array<float>;

/// Not initialised.
template <class T>
array<T> room_for(std::int64_t count) {
  return array<T>(Kokkos::view_alloc(Kokkos::WithoutInitializing, "prefill: numbers"),
                  std::size_t(count));
}

template <class T>
array<T> upload(std::vector<T> const& values) {
  auto const result = room_for<T>(std::int64_t(values.size()));
  Kokkos::deep_copy(result, Kokkos::View<T const*, Kokkos::HostSpace, Kokkos::MemoryUnmanaged>(
                                values.data(), values.size()));
  return result;
}

template <class T>
std::vector<T> download(array<T> const& values) {
  std::vector<T> result(values.size());
  Kokkos::deep_copy(Kokkos::View<T*, Kokkos::HostSpace, Kokkos::MemoryUnmanaged>(result.data(),
                                                                                result.size()),
                    values);
  return result;
}

/// y = x W^T + b, as the models store it: one row of W an output.
struct matrix {
  std::int64_t outputs = 0;
  std::int64_t inputs = 0;
  numbers data{};
  numbers bias{};  // empty: none
};

struct add_bias {
  static constexpr char const* label = "prefill: bias";
  float const* bias;
  std::int64_t width;
  float* y;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(Lanes const& lanes, std::int64_t row) const {
    float* const to = y + row * width;
    lanes.each(width, [&](std::int64_t i) { to[i] += bias[i]; });
  }
};

/// y (rows, outputs) = accumulate * y + x (rows, inputs) W^T + b, for a worker's rows.
inline void apply(worker& work, matrix const& w, float const* x, float* y, float accumulate = 0) {
  work.product(w.data.data(), w.outputs, w.inputs, x, y, accumulate);
  if (w.bias.size() > 0) work.each(add_bias{w.bias.data(), w.outputs, y});
}

inline numbers read_tensor(gguf const& file, std::string const& name, std::int64_t count) {
  gguf_tensor const& stored = file.tensor(name);
  auto const [block, size] = layout_of(stored.type);
  std::int64_t elements = 1;
  for (auto const extent : stored.extents) elements *= extent;
  if (elements != count || std::size_t(stored.extents[0]) % block != 0)
    file.fail("its tensor '" + name + "' has " + std::to_string(elements) + " elements where " +
              std::to_string(count) + " are expected");
  auto const result = room_for<float>(count);
  auto const on_host = Kokkos::create_mirror_view(Kokkos::WithoutInitializing, result);
  auto const bytes = file.bytes(stored, std::size_t(count) / block * size);
  // Whole blocks never cross a row, so rows can be taken apart.
  auto const row = std::size_t(stored.extents[0]);
  float* const out = on_host.data();
  auto const type = stored.type;
  in_chunks("prefill: dequantise", std::int64_t(result.size() / row), 64,
            [=](std::int64_t begin, std::int64_t rows) {
              auto const first = std::size_t(begin) * row;
              dequantise(type, bytes.substr(first / block * size), out + first,
                         std::size_t(rows) * row);
            });
  Kokkos::deep_copy(result, on_host);
  return result;
}

inline matrix read_matrix(gguf const& file, std::string const& name, std::int64_t outputs,
                          std::int64_t inputs) {
  matrix w{outputs, inputs, read_tensor(file, name + ".weight", outputs * inputs)};
  if (file.has_tensor(name + ".bias")) w.bias = read_tensor(file, name + ".bias", outputs);
  return w;
}

/// Some old OpenBLAS builds compute wrong products on processors newer than they are; with one of
/// them every number of this program would be nonsense.
inline void check_blas(crew& all) {
  constexpr int m = 96, n = 130, k = 200;  // several of any BLAS' register tiles, with remainders
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> x(m * k), w(n * k);
  for (auto& e : x) e = uniform(random);
  for (auto& e : w) e = uniform(random);
  matrix const layer{n, k, upload(w)};
  auto const in = upload(x), out = room_for<float>(m * n);
  all.share("prefill: check BLAS", m, m,
            [&](worker& work) { apply(work, layer, in.data(), out.data()); });
  auto const y = download(out);
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j) {
      double sum = 0;
      for (int c = 0; c < k; ++c) sum += double(x[i * k + c]) * w[j * k + c];
      if (!(std::abs(sum - y[i * n + j]) < 1e-3))
        throw std::runtime_error(
            std::string("this machine's BLAS computes wrong products: ") + worker::product_name +
            " gives " + std::to_string(y[i * n + j]) + " where a plain loop gives " +
            std::to_string(sum) + ". " + worker::product_advice);
    }
}

}  // namespace prefill
