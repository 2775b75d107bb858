#include "attention.hpp"

#include <delta_attention/delta_attention.hpp>

namespace prefill {

namespace da = delta_attention;

namespace {

using rows_view = Kokkos::View<tensor_element****, Kokkos::LayoutRight, space,
                               Kokkos::MemoryTraits<Kokkos::Unmanaged>>;

/// The rows [begin, end), without a copy: with one batch they are contiguous.
rows_view rows(tensor const& all, std::int64_t begin, std::int64_t end) {
  return rows_view(all.data() + std::size_t(begin) * all.extent(2) * all.extent(3), 1,
                   std::size_t(end - begin), all.extent(2), all.extent(3));
}

}  // namespace

/// |sparse - dense| / |dense| of one head of one row.
struct relative_error {
  static constexpr char const* label = "prefill: errors";
  tensor_element const *dense, *sparse;
  std::int64_t d;
  float* error;

  template <class Lanes> KOKKOS_FUNCTION void operator()(Lanes const& lanes, std::int64_t i) const {
    tensor_element const *const x = dense + i * d, *const y = sparse + i * d;
    double const difference = lanes.sum(d, [&](std::int64_t c) {
      double const apart = double(float(y[c])) - double(float(x[c]));
      return apart * apart;
    });
    double const norm = lanes.sum(d, [&](std::int64_t c) {
      double const value = float(x[c]);
      return value * value;
    });
    error[i] = float(Kokkos::sqrt(difference / (norm + 1e-30)));
  }
};

/// Seconds of call(options), which gets its temporary memory before the clock starts.
template <class Call> double layer_attention::timed(std::size_t workspace, Call const& call) {
  if (workspace_.size() < workspace)
    workspace_ = Kokkos::View<std::byte*, space>("prefill: workspace", workspace);
  exec_.fence("prefill: before attention");
  Kokkos::Timer clock;
  call(da::options{.workspace = workspace_});
  exec_.fence("prefill: after attention");
  return clock.seconds();
}

double layer_attention::run(method const& m, std::int64_t prefill, tensor const& target) {
  auto const q = rows(q_, 0, prefill), k = rows(k_, 0, prefill), v = rows(v_, 0, prefill),
             out = rows(target, 0, prefill);
  auto const sparse = da::sink_window{.sinks = m.sinks, .window = m.window};
  auto const attend = [&](auto const& mask) {
    return timed(da::workspace_size(exec_, q, k, v, out, mask),
                 [&](auto const& options) { da::attention(exec_, q, k, v, out, mask, options); });
  };
  auto const correct = [&](da::delta const& how) {
    return timed(da::workspace_size(exec_, q, k, v, out, sparse, how), [&](auto const& options) {
      da::delta_attention(exec_, q, k, v, out, sparse, how, options);
    });
  };
  switch (m.how) {
    case rule::dense:
      return attend(da::causal{});
    case rule::sink_window:
      return attend(sparse);
    case rule::recompute:
      return correct(
          {.stride = m.stride, .correction = da::correction::recompute, .tail = m.tail(prefill)});
    case rule::delta:
      break;
  }
  return correct({.stride = m.stride,
                  .correction = da::correction::delta,
                  .average = m.average,
                  .tail = m.tail(prefill)});
}

double layer_attention::attend(method const& m, std::int64_t prefill) {
  auto const seconds = run(m, prefill, out_);
  if (prefill < tokens())
    da::attention(exec_, rows(q_, prefill, tokens()), rows(k_, 0, tokens()), rows(v_, 0, tokens()),
                  rows(out_, prefill, tokens()), da::causal{});
  exec_.fence("prefill: decoded rows");
  return seconds;
}

double layer_attention::compare(crew& all, method const& m, std::int64_t prefill,
                                std::vector<float>& errors) {
  auto const seconds = run(m, prefill, other_);
  Kokkos::deep_copy(other_crew_, other_);
  auto const heads = std::int64_t(out_.extent(2)), d = std::int64_t(out_.extent(3));
  auto const found = room_for<float>(prefill * heads);
  all.share("prefill: errors", prefill, 128, [&](worker& work) {
    auto const first = work.begin() * heads;
    work.each(relative_error{out_crew_.data() + first * d, other_crew_.data() + first * d, d,
                             found.data() + first},
              heads);
  });
  auto const values = prefill::download(found);
  errors.insert(errors.end(), values.begin(), values.end());
  return seconds;
}

std::string layer_attention::path() const {
  return da::describe(exec_, q_, k_, v_, out_, da::causal{});
}

}  // namespace prefill
