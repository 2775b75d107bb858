// merge_states: against the oracle, and two halves of the keys give the whole.
#include <catch2/catch_template_test_macros.hpp>
#include <cmath>
#include <limits>
#include <tuple>

#include "call.hpp"

namespace {

// Keys from `first` on, under causal: the other half of sink_window{.sinks = first, .window = 0}.
struct late_keys : da::mask_base {
  std::int64_t first = 0;
  late_keys() = default;
  explicit late_keys(std::int64_t f) : first(f) {}
  KOKKOS_FUNCTION bool allows(int, int, std::int64_t position, std::int64_t key) const {
    return key >= first && key <= position;
  }
};

template <class Exec, class Element> struct state_buffers {
  using lse_view = Kokkos::View<statistic<Element>***, typename Exec::memory_space>;
  buffer<Exec, Element> out;
  lse_view lse;

  state_buffers(integer batches, integer tokens, integer heads, integer size, layout where)
      : out(batches, tokens, heads, size, where), lse("lse", batches, tokens, heads) {}

  void upload(const oracle::state<double>& s) {
    out.upload(s.out);
    const auto host = Kokkos::create_mirror_view(lse);
    for (integer b = 0; b < s.lse.batches; ++b)
      for (integer t = 0; t < s.lse.tokens; ++t)
        for (integer h = 0; h < s.lse.heads; ++h)
          host(b, t, h) = static_cast<statistic<Element>>(s.lse(b, t, h, 0));
    Kokkos::deep_copy(lse, host);
  }
  results download() {
    const auto host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace{}, lse);
    oracle::tensor<double> numbers(static_cast<integer>(lse.extent(0)),
                                   static_cast<integer>(lse.extent(1)),
                                   static_cast<integer>(lse.extent(2)), 1);
    for (integer b = 0; b < numbers.batches; ++b)
      for (integer t = 0; t < numbers.tokens; ++t)
        for (integer h = 0; h < numbers.heads; ++h) numbers(b, t, h, 0) = host(b, t, h);
    return {out.download(), numbers};
  }
};

// Random states as Element stores them; some rows saw nothing.
template <class Element> oracle::state<double> random_state(const shape& s, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  oracle::state<double> state{{s.batches, s.queries, s.query_heads, s.value_size},
                              {s.batches, s.queries, s.query_heads, 1}};
  for (double& x : state.out.values)
    x = element_traits<Element>::to(element_traits<Element>::from(normal(engine)));
  for (integer row = 0; row < static_cast<integer>(state.lse.values.size()); ++row) {
    double& lse = state.lse.values[static_cast<std::size_t>(row)];
    lse = 20 * normal(engine);
    if (engine() % 4 != 0) continue;
    lse = -INFINITY;
    for (integer e = 0; e < s.value_size; ++e)
      state.out.values[static_cast<std::size_t>(row * s.value_size + e)] = 0;
  }
  return state;
}

template <class Exec>
using element_setups =
    std::tuple<setup<Exec, float, best_family>, setup<Exec, double, best_family>,
               setup<Exec, da::float16, best_family>, setup<Exec, da::bfloat16, best_family>>;
using merge_setups = element_setups<Kokkos::DefaultExecutionSpace>;

}  // namespace

TEMPLATE_LIST_TEST_CASE("merge_states: against the oracle", "[merge]", merge_setups) {
  using exec_space = typename TestType::execution_space;
  using element = typename TestType::element;
  using plain = typename element_traits<element>::plain;
  using truth = typename element_traits<element>::truth;
  const exec_space exec;
  for (const shape& s : {shape{.batches = 2, .queries = 63, .query_heads = 5, .value_size = 24},
                         shape{.queries = 1, .query_heads = 1, .value_size = 256},
                         shape{.queries = 0, .query_heads = 2, .value_size = 16}})
    for (const layout where : {layout::tokens_first, layout::heads_first, layout::padded}) {
      const auto make = [&] {
        return state_buffers<exec_space, element>(s.batches, s.queries, s.query_heads, s.value_size,
                                                  where);
      };
      auto a = make(), b = make(), result = make();
      const auto state_a = random_state<element>(s, 1), state_b = random_state<element>(s, 2);
      a.upload(state_a);
      b.upload(state_b);
      Kokkos::deep_copy(result.lse, std::numeric_limits<statistic<element>>::quiet_NaN());
      Kokkos::fence("test: inputs are ready");
      da::merge_states(exec, a.out.view(), a.lse, b.out.view(), b.lse, result.out.view(),
                       result.lse);
      exec.fence("test: results are ready");
      const auto as = [](const oracle::state<double>& state, auto number) {
        using real = decltype(number);
        return oracle::state<real>{state.out.template as<real>(), state.lse.template as<real>()};
      };
      // The lse that the library reads is a float's.
      const auto rounded = [&](oracle::state<double> state) {
        for (double& lse : state.lse.values) lse = static_cast<statistic<element>>(lse);
        return state;
      };
      const auto ra = rounded(state_a), rb = rounded(state_b);
      const std::string error =
          judge<element>(result.download(), oracle::merge(as(ra, truth()), as(rb, truth())),
                         oracle::merge(as(ra, plain()), as(rb, plain())));
      INFO(setup_name<TestType>() << " " << describe(s));
      CHECK(error == "");
      CHECK(result.out.untouched());
    }
}

TEMPLATE_LIST_TEST_CASE("merged states: any number of parts", "[merge]", merge_setups) {
  using exec_space = typename TestType::execution_space;
  using element = typename TestType::element;
  using accumulator = da::accumulator_of<element>;
  const exec_space exec;
  // The library loads several states at once, and those that are left one by one.
  const auto check = [&](int parts, int queries, bool rows_end) {
    const shape s{.batches = 2, .queries = queries, .query_heads = 2, .value_size = 136};
    da::kernel::key_parts of_rows(queries);
    of_rows.count = parts;
    if (rows_end) of_rows.end_with_rows(0, 1, 1);  // row r has the states of parts 0 to r
    std::vector<oracle::state<double>> states;
    for (int part = 0; part < parts; ++part) {
      states.push_back(random_state<accumulator>(s, static_cast<unsigned>(part)));
      for (double& lse : states.back().lse.values)
        lse = static_cast<accumulator>(lse / 10);  // many of them weigh something
    }
    shape together = s;
    together.queries = of_rows.states();
    oracle::state<double> all{{s.batches, together.queries, s.query_heads, s.value_size},
                              {s.batches, together.queries, s.query_heads, 1}};
    for (integer batch = 0; batch < s.batches; ++batch)
      for (integer row = 0; row < s.queries; ++row)
        for (integer head = 0; head < s.query_heads; ++head)
          for (int p = 0; p < parts; ++p) {
            auto& part = states[static_cast<std::size_t>(p)];
            if (p < of_rows.of(row))
              all.lse(batch, of_rows.place(p, row), head, 0) = part.lse(batch, row, head, 0);
            else
              part.lse(batch, row, head, 0) = -std::numeric_limits<double>::infinity();
            for (integer e = 0; e < s.value_size; ++e) {
              if (p < of_rows.of(row))
                all.out(batch, of_rows.place(p, row), head, e) = part.out(batch, row, head, e);
              else
                part.out(batch, row, head, e) = 0;
            }
          }
    const auto buffers = [&]<class Stored>(const shape& x, std::type_identity<Stored>) {
      return state_buffers<exec_space, Stored>(x.batches, x.queries, x.query_heads, x.value_size,
                                               layout::tokens_first);
    };
    auto from = buffers(together, std::type_identity<accumulator>{});
    auto to = buffers(s, std::type_identity<element>{});
    from.upload(all);
    Kokkos::fence("test: inputs are ready");
    const da::kernel::execution<exec_space, true> run(exec);
    da::kernel::for_each_row("test_merge: parts", run, s.batches, s.queries, s.query_heads,
                             da::kernel::store_merged<element>{
                                 {da::erase(from.out.view()), da::erase(from.lse), of_rows},
                                 {0, 1, s.queries},
                                 {da::erase(to.out.view()), da::erase(to.lse), {}}});
    exec.fence("test: results are ready");

    const auto merged = [&](auto number) {
      using real = decltype(number);
      const auto as = [](const oracle::state<double>& x) {
        return oracle::state<real>{x.out.template as<real>(), x.lse.template as<real>()};
      };
      oracle::state<real> result = as(states[0]);
      for (std::size_t part = 1; part < states.size(); ++part)
        result = oracle::merge(result, as(states[part]));
      return result;
    };
    const std::string error =
        judge<element>(to.download(), merged(typename element_traits<element>::truth()),
                       merged(typename element_traits<element>::plain()));
    INFO(setup_name<TestType>() << ", " << parts << " parts");
    CHECK(error == "");
    CHECK(to.out.untouched());
  };
  for (const int parts : {1, 2, 7, 8, 9, 15, 16, 23, 64}) check(parts, 3, false);
  check(12, 17, true);
}

TEMPLATE_LIST_TEST_CASE("merge: parts of the keys, with states only where rows see them", "[merge]",
                        best_setups) {
  using exec_space = typename TestType::execution_space;
  using element = typename TestType::element;
  using family = da::arch::preferred<exec_space, element>;
  // More keys than rows, rows that see nothing, rows beyond all keys.
  for (const auto& [queries, keys, offset] :
       {std::tuple{300, 700, 400}, std::tuple{700, 500, -200}, std::tuple{90, 600, 560}}) {
    const shape s{.batches = 2, .queries = queries, .keys = keys, .query_heads = 6, .kv_heads = 2};
    for (const bool in_turn : {false, true}) {
      problem_of<TestType> p(s, {.query_offset = offset});
      bool skips = false;
      const auto got = run(p, [&](const auto& options) {
        const auto c = da::kernel::checked(p.exec, p.q_buffer.view(), p.k_buffer.view(),
                                           p.v_buffer.view(), p.out_buffer.view(), options);
        const da::kernel::row_set rows{0, 1, queries};
        const auto bound = da::mask::bind(da::causal{}, c.in.geometry());
        da::kernel::run_passes(p.exec, options, [&](auto& run) {
          family::template with_tile<exec_space, std::decay_t<decltype(bound)>>(
              c.in, [&]<class Atom>(std::type_identity<Atom>, const auto&... data) {
                da::kernel::schedule plan(c.in, rows, false, Atom::tile_rows);
                plan.heads_in_turn = in_turn;
                plan.split(4, Atom::tile_keys, true);
                skips = plan.parts.states() < queries * plan.parts.count;
                const auto states = da::kernel::row_states<da::accumulator_of<element>>::take(
                    run, c.in, plan.parts);
                da::kernel::launch<Atom>("test_merge: states", run, c.in, bound, plan,
                                         states.epilogue(), data...);
                da::kernel::for_each_row("test_merge: merged", run, s.batches, queries,
                                         s.query_heads,
                                         da::kernel::store_merged<element>{states, rows, c.out});
              });
        });
      });
      const std::string error =
          judge<family>(got, p, [](const auto& q, const auto& k, const auto& v, const auto& o) {
            return oracle::attention(q, k, v, oracle::causal(), o);
          });
      INFO(setup_name<TestType>() << ", " << describe(s) << ", heads in turn " << in_turn);
      CHECK(error == "");
      CHECK((skips || offset == 560));
    }
  }
}

TEMPLATE_LIST_TEST_CASE("merge_states: two halves of the keys give the whole", "[merge]",
                        best_setups) {
  using exec_space = typename TestType::execution_space;
  const shape s{.batches = 2, .queries = 70, .keys = 110, .query_heads = 4, .kv_heads = 2};
  // Rows at negative positions see nothing in either half.
  for (const std::optional<integer> offset :
       {std::optional<integer>{}, std::optional<integer>{-9}}) {
    problem_of<TestType> p(s, {.query_offset = offset});
    const auto whole = run_attention<best_family>(p, da::causal{});
    const auto early = run_attention<best_family>(p, da::sink_window{.sinks = 50, .window = 0});
    const auto late = run_attention<best_family>(p, late_keys(50));
    const auto buffers = [&](const results& r) {
      state_buffers<exec_space, float> buffers(s.batches, s.queries, s.query_heads, s.value_size,
                                               layout::tokens_first);
      buffers.upload({r.out, r.lse});
      return buffers;
    };
    auto a = buffers(early), b = buffers(late), merged = buffers(late);
    da::merge_states(p.exec, a.out.view(), a.lse, b.out.view(), b.lse, merged.out.view(),
                     merged.lse);
    p.exec.fence();
    const results result = merged.download();
    double worst = 0;
    for (std::size_t i = 0; i < whole.out.values.size(); ++i)
      worst = std::max(worst, std::fabs(whole.out.values[i] - result.out.values[i]));
    for (std::size_t i = 0; i < whole.lse.values.size(); ++i)
      if (whole.lse.values[i] != result.lse.values[i])
        worst = std::max(worst, std::fabs(whole.lse.values[i] - result.lse.values[i]));
    CHECK(worst < 2e-6);
  }
}
