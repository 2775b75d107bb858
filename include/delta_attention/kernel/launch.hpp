#pragma once

#include <Kokkos_Core.hpp>
#include <delta_attention/kernel/kokkos_version.hpp>
#include <delta_attention/kernel/main_loop.hpp>
#include <delta_attention/kernel/pipelined_loop.hpp>

#include <string>
#include <type_traits>

namespace delta_attention::kernel {

/// Whether an atom is one for the second main loop (kernel/pipelined_loop.hpp).
template <class Atom>
concept pipelined = requires { typename Atom::consumer; };

struct no_launch_data {};

template <class Exec>
inline constexpr bool is_host = Kokkos::SpaceAccessibility<Exec, Kokkos::HostSpace>::accessible;

/// The work items of a team.
template <class Atom, class Element, class Mask, class Epilogue, class Data>
struct attention_functor {
  problem<Element> p;
  Mask mask;
  schedule plan;
  Epilogue epilogue;
  Data data;

  // Not a function that the kernel calls: its registers would not be those of the warp that calls.
  template <class Member> KOKKOS_FORCEINLINE_FUNCTION void operator()(const Member& team) const {
    if constexpr (pipelined<Atom>) {
      attend_pipelined<Atom>(team, data, p, mask, plan, epilogue);
    } else {
      Atom atom(team, p);
      std::int64_t i = team.league_rank();
      if constexpr (std::is_same_v<Data, dealt_items>) i = data.item(team.league_rank());
      for (; i < plan.items(); i += team.league_size()) {
        const work_item item = plan.item(i);
        if (epilogue.wants(item.rows, item.split)) attend(atom, p, mask, item, epilogue);
      }
    }
  }
};

template <class Atom, class Run, class Functor>
void launch_teams(const std::string& label, const Run& run, const Functor& f) {
  using policy = Kokkos::TeamPolicy<typename Run::space, Kokkos::Schedule<Kokkos::Dynamic>,
                                    typename Atom::launch_bounds>;
  int league;
  if constexpr (pipelined<Atom>)
    league = Atom::league_size(run.instance(), f.plan.items());
  else if constexpr (is_host<typename Run::space>)
    league = f.data.league();
  else
    league = league_size(f.plan.items(), Atom::vector_length);
  auto teams = by_argument(policy(run.instance(), league, Atom::team_size, Atom::vector_length));
  const std::size_t scratch = Atom::scratch_bytes(f.p.head_size(), f.p.value_size());
  if (scratch > 0)  // and room to align it
    teams.set_scratch_size(Atom::scratch_level,
                           Kokkos::PerTeam(static_cast<int>(scratch + Atom::scratch_alignment)));
  teams.set_chunk_size(1);
  const whole_team_scratch<Functor, decltype(teams)> while_launching(run.instance());
  Kokkos::parallel_for(label, teams, f);
}

/// `data` is what a family found out for the whole launch. A pipelined atom gives its address to
/// the copy engine: where an argument has none, teams put it into the call's memory.
template <class Atom, class Run, class Element, class Mask, class Epilogue,
          class Data = no_launch_data>
void launch(const std::string& label, Run& run, const problem<Element>& p, const Mask& m,
            const schedule& plan, const Epilogue& epilogue, const Data& data = {}) {
  if (plan.items() == 0) return;
  using space = typename Run::space;
  const auto go = [&](const auto& launch_data) {
    if constexpr (Run::launches)
      launch_teams<Atom>(
          label, run,
          attention_functor<Atom, Element, Mask, Epilogue, std::decay_t<decltype(launch_data)>>{
              p, m, plan, epilogue, launch_data});
  };
  if constexpr (pipelined<Atom>) {
    const std::int64_t teams = Atom::league_size(run.instance(), plan.items());
    std::int64_t* next_item = nullptr;
    if (plan.heads_in_turn) {
      next_item = run.template take<std::int64_t>(1);
      if constexpr (Run::launches)  // each team has one of the first items
        Kokkos::parallel_for(
            "delta_attention::first_items",
            by_argument(Kokkos::RangePolicy<space>(run.instance(), 0, 1)),
            KOKKOS_LAMBDA(int) { *next_item = teams; });
    }
    if constexpr (arguments_have_addresses<space>)
      go(pipelined_launch<Data, std::nullptr_t>{data, nullptr, next_item});
    else
      go(pipelined_launch<Data, Data*>{data, run.template take<Data>(teams), next_item});
  } else if constexpr (is_host<space>) {
    go(dealt_items(plan, run.instance().concurrency()));
  } else {
    go(data);
  }
}

}  // namespace delta_attention::kernel
